//! Names of an Optimize schema: `prefix-name_vN`, some with a rollover number behind.

/// The indices that every Optimize of the 3.13 to 8.8 lines has, each behind the alias `prefix-name`.
pub(crate) const FIXED: &[&str] = &[
    "alert",
    "business-key",
    "collection",
    "combined-report",
    "dashboard",
    "dashboard-share",
    "decision-definition",
    "external-process-variable",
    "instant-dashboard",
    "metadata",
    "position-based-import-index",
    "process-definition",
    "process-overview",
    "report-share",
    "settings",
    "single-decision-report",
    "single-process-report",
    "tenant",
    "terminated-user-session",
    "timestamp-based-import-index",
    "variable-label",
    "variable-update-instance",
];

/// Indices of older lines that may still lie about, and the one that only upgrades make.
const OTHERS: &[&str] = &[
    "event",
    "event-process-definition",
    "event-process-mapping",
    "event-process-publish-state",
    "event-sequence-count-external",
    "event-trace-state-external",
    "import-index",
    "license",
    "onboarding-state",
    "update-log",
];

/// One index for each process or decision definition, behind its own alias and a shared one.
const PER_DEFINITION: &[&str] = &["process-instance", "decision-instance"];

/// What an index of the site is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One of [`FIXED`].
    Fixed(&'static str),
    /// Of a process definition.
    ProcessInstance(String),
    /// Of a decision definition.
    DecisionInstance(String),
    /// One of the others that Optimize knows or knew.
    Other(&'static str),
    /// Of another tenant, whose prefix begins with ours.
    Tenant(String),
    /// Begins with our prefix, but no Optimize makes such an index.
    Unknown,
    /// Does not begin with our prefix.
    Foreign,
}

/// The names of one site.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// `optimize-settings`: an alias, or the front of an index name.
    pub(crate) fn alias(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// All names of the site, and those of tenants whose prefix begins with ours.
    pub(crate) fn all(&self) -> String {
        self.alias("*")
    }

    pub(crate) fn metadata(&self) -> String {
        self.alias("metadata_v3")
    }

    pub(crate) fn update_log(&self) -> String {
        self.alias("update-log_v1")
    }

    /// `settings_v3` of `optimize-settings_v3`.
    pub(crate) fn inside<'a>(&self, index: &'a str) -> Option<&'a str> {
        index.strip_prefix(&self.prefix)?.strip_prefix('-')
    }

    /// `settings` of `optimize-settings_v3`.
    pub(crate) fn base<'a>(&self, index: &'a str) -> Option<&'a str> {
        base_of(self.inside(index)?)
    }

    /// The version in an index name: 3 of `optimize-settings_v3`, 2 of `optimize-event_v2-000001`.
    pub(crate) fn version(&self, index: &str) -> Option<u32> {
        self.base(index)?;
        let (_, version) = index.rsplit_once("_v")?;
        version.split('-').next()?.parse().ok()
    }

    /// The same index one version earlier: `optimize-settings_v2` of `optimize-settings_v3`.
    pub(crate) fn before(&self, index: &str) -> Option<String> {
        let version = self.version(index)?.checked_sub(1)?;
        Some(self.alias(&format!("{}_v{version}", self.base(index)?)))
    }

    /// What this index is.
    pub(crate) fn kind(&self, index: &str) -> Kind {
        let Some(rest) = self.inside(index) else {
            return Kind::Foreign;
        };
        let Some(base) = base_of(rest) else {
            return Kind::Unknown;
        };
        for (of, kind) in [
            (
                PER_DEFINITION[0],
                Kind::ProcessInstance as fn(String) -> Kind,
            ),
            (PER_DEFINITION[1], Kind::DecisionInstance),
        ] {
            if let Some(key) = base
                .strip_prefix(of)
                .and_then(|rest| rest.strip_prefix('-'))
            {
                return kind(key.to_owned());
            }
        }
        if let Some(name) = FIXED.iter().find(|name| **name == base) {
            return Kind::Fixed(name);
        }
        if let Some(name) = OTHERS.iter().find(|name| **name == base) {
            return Kind::Other(name);
        }
        match tenant_of(base) {
            Some(tenant) => Kind::Tenant(self.alias(tenant)),
            None => Kind::Unknown,
        }
    }
}

/// `settings` of `settings_v3`, `event` of `event_v4-000001`: what stands before the version.
fn base_of(rest: &str) -> Option<&str> {
    let (base, version) = rest.rsplit_once("_v")?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbered = match version.split_once('-') {
        Some((version, rollover)) => digits(version) && digits(rollover),
        None => digits(version),
    };
    (numbered && !base.is_empty()).then_some(base)
}

/// `team-a` of `team-a-settings`: the longest known name is taken off.
fn tenant_of(base: &str) -> Option<&str> {
    let fixed = FIXED
        .iter()
        .chain(OTHERS)
        .filter_map(|name| base.strip_suffix(name)?.strip_suffix('-'))
        .min_by_key(|tenant| tenant.len());
    let dynamic = PER_DEFINITION
        .iter()
        .filter_map(|name| base.find(&format!("-{name}-")).map(|at| &base[..at]));
    fixed
        .into_iter()
        .chain(dynamic)
        .filter(|tenant| !tenant.is_empty())
        .min_by_key(|tenant| tenant.len())
}

/// Prefixes of other sites, from the names of their metadata indices.
pub(crate) fn prefixes_with_metadata<'a>(indices: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut prefixes: Vec<String> = indices
        .filter_map(|index| {
            let (prefix, version) = index.rsplit_once("-metadata_v")?;
            version
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| prefix.to_owned())
        })
        .collect();
    prefixes.sort();
    prefixes.dedup();
    prefixes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_of_a_site_is_known() {
        let names = Names::new("optimize");
        let kind = |index: &str| names.kind(index);
        assert_eq!(kind("optimize-settings_v3"), Kind::Fixed("settings"));
        assert_eq!(
            kind("optimize-variable-update-instance_v2-000001"),
            Kind::Fixed("variable-update-instance")
        );
        assert_eq!(
            kind("optimize-dashboard-share_v4"),
            Kind::Fixed("dashboard-share")
        );
        assert_eq!(
            kind("optimize-process-instance-invoice_v8"),
            Kind::ProcessInstance("invoice".into())
        );
        assert_eq!(
            kind("optimize-decision-instance-my_v2_v5"),
            Kind::DecisionInstance("my_v2".into())
        );
        assert_eq!(kind("optimize-update-log_v1"), Kind::Other("update-log"));
        assert_eq!(kind("zeebe-record_process_8.7.0_2026-11-21"), Kind::Foreign);
        assert_eq!(kind("optimizer-settings_v3"), Kind::Foreign);
        assert_eq!(kind("optimize-notes"), Kind::Unknown);
        assert_eq!(kind("optimize-notes_v1"), Kind::Unknown);
    }

    #[test]
    fn a_name_gives_its_version() {
        let names = Names::new("optimize");
        for (index, version) in [
            ("optimize-settings_v3", Some(3)),
            ("optimize-event_v4-000001", Some(4)),
            ("optimize-process-instance-my_v2_v8", Some(8)),
            ("optimize-notes", None),
            ("acme-settings_v3", None),
        ] {
            assert_eq!(names.version(index), version, "{index}");
        }
    }

    #[test]
    fn a_longer_prefix_is_another_tenant() {
        let names = Names::new("optimize");
        for index in [
            "optimize-team-a-settings_v3",
            "optimize-team-a-position-based-import-index_v3",
            "optimize-team-a-process-instance-invoice_v8",
            "optimize-team-a-metadata_v3",
        ] {
            assert_eq!(
                names.kind(index),
                Kind::Tenant("optimize-team-a".into()),
                "{index}"
            );
        }
        assert_eq!(
            Names::new("optimize-team-a").kind("optimize-team-a-settings_v3"),
            Kind::Fixed("settings")
        );
    }

    #[test]
    fn a_process_key_that_looks_like_a_name_is_still_a_process() {
        let names = Names::new("optimize");
        assert_eq!(
            names.kind("optimize-process-instance-tenant-settings_v8"),
            Kind::ProcessInstance("tenant-settings".into())
        );
    }

    #[test]
    fn other_sites_are_named_by_their_metadata() {
        let found = prefixes_with_metadata(
            [
                "acme-metadata_v3",
                "b-c-metadata_v2",
                "x-metadata_vy",
                "acme-alert_v4",
            ]
            .into_iter(),
        );
        assert_eq!(found, ["acme", "b-c"]);
    }
}
