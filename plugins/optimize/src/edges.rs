//! The ways from one version to the next, as data: what the vendor's own plan of each hop does, and what
//! database each line of the product wants.

use liftlock_sdk::prelude::*;

use crate::names::Names;

/// One step of the vendor's plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VendorStep {
    /// Every index behind the alias of that name.
    DeleteIndex { name: &'static str, version: u32 },
    /// The legacy template of that name.
    DeleteTemplate { name: &'static str, version: u32 },
}

impl VendorStep {
    /// Its type in the vendor's update log.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::DeleteIndex { .. } => "schema-delete-index",
            Self::DeleteTemplate { .. } => "schema-delete-template",
        }
    }

    /// Its name in the vendor's update log: without the prefix.
    pub(crate) fn log_name(self) -> String {
        match self {
            Self::DeleteIndex { name, version } => format!("{name}_v{version}"),
            Self::DeleteTemplate { name, version } => format!("{name}_v{version}[Template]"),
        }
    }

    /// The template's name, or what the names of the indices begin with.
    pub(crate) fn object(self, names: &Names) -> String {
        let (Self::DeleteIndex { name, version } | Self::DeleteTemplate { name, version }) = self;
        names.alias(&format!("{name}_v{version}"))
    }
}

/// One hop between minor lines, or inside one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    /// The version under which the vendor logs the steps: the first of the line, also for a later patch.
    pub(crate) logged_as: &'static str,
    pub(crate) steps: &'static [VendorStep],
    pub(crate) note: &'static str,
}

impl Hop {
    /// The id of a step's document in the vendor's update log.
    pub(crate) fn log_id(&self, step: VendorStep) -> String {
        format!("{}_{}_{}", self.logged_as, step.kind(), step.log_name())
    }

    /// Ids of all its steps.
    pub(crate) fn log_ids(&self) -> impl Iterator<Item = String> {
        self.steps.iter().map(|step| self.log_id(*step))
    }

    /// Is this name of an index one that the hop deletes?
    pub(crate) fn dooms_index(&self, names: &Names, index: &str) -> bool {
        self.steps.iter().any(|step| {
            matches!(step, VendorStep::DeleteIndex { .. })
                && index
                    .strip_prefix(&step.object(names))
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
    }

    /// Is this template one that the hop deletes?
    pub(crate) fn dooms_template(&self, names: &Names, template: &str) -> bool {
        self.steps.iter().any(|step| {
            matches!(step, VendorStep::DeleteTemplate { .. }) && step.object(names) == template
        })
    }
}

const fn patch(line: &'static str) -> Hop {
    Hop {
        from: line,
        to: line,
        logged_as: "",
        steps: &[],
        note: "patch: only the schema version changes",
    }
}

/// All hops. A minor line is never skipped: the vendor's plans are made for neighbours only.
pub(crate) static HOPS: &[Hop] = &[
    patch("8.6"),
    Hop {
        from: "8.6",
        to: "8.7",
        logged_as: "8.7.0",
        steps: &[],
        note: "no steps; refused while Camunda 7 data is there",
    },
    patch("8.7"),
    Hop {
        from: "8.7",
        to: "8.8",
        logged_as: "8.8.0",
        // The order is the vendor's: its upgrader continues after ours by these numbers.
        steps: &[
            VendorStep::DeleteIndex {
                name: "variable-update-instance",
                version: 2,
            },
            VendorStep::DeleteTemplate {
                name: "variable-update-instance",
                version: 2,
            },
            VendorStep::DeleteTemplate {
                name: "external-process-variable",
                version: 2,
            },
        ],
        note: "the vendor's three deletions: one unused index, two legacy templates",
    },
    patch("8.8"),
];

/// The hop between two versions. The target is one exact release that is not older.
pub(crate) fn hop(from: &Version, to: &Version) -> Option<&'static Hop> {
    HOPS.iter()
        .find(|hop| from.matches(hop.from) && to.matches(hop.to) && from <= to)
}

/// Lines one after the other, for naming the hops of a longer way.
pub(crate) const LINES: &[&str] = &["8.6", "8.7", "8.8"];

/// The hops of a way that skips a line: `8.6 -> 8.7 -> 8.8`.
pub(crate) fn way(from: &Version, to: &Version) -> Option<String> {
    let at = |version: &Version| LINES.iter().position(|line| version.matches(line));
    let (from, to) = (at(from)?, at(to)?);
    (from < to).then(|| LINES[from..=to].join(" -> "))
}

/// What the database must be for a line of the product: minimum versions within one major.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Database {
    pub(crate) line: &'static str,
    pub(crate) elasticsearch: &'static str,
    pub(crate) opensearch: &'static str,
}

/// From the vendor's list of supported environments; "8.16+" there means within major 8.
pub(crate) static DATABASES: &[Database] = &[
    Database {
        line: "8.6",
        elasticsearch: "8.13",
        opensearch: "2.9",
    },
    Database {
        line: "8.7",
        elasticsearch: "8.13",
        opensearch: "2.9",
    },
    Database {
        line: "8.8",
        elasticsearch: "8.16",
        opensearch: "2.17",
    },
];

/// The database that a version of the product wants.
pub(crate) fn database(to: &Version) -> Option<&'static Database> {
    DATABASES.iter().find(|database| to.matches(database.line))
}

/// Optimize jumped from 8.8.8 to 8.8.24: the patch numbers between do not exist.
///
/// Optimize compares the schema version with its own as text, so that a site set to one of them would be
/// started by no release at all.
pub(crate) fn is_gap(version: &Version) -> bool {
    version.matches("8.8") && (9..24).contains(&version.patch())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn neighbours_and_patches_have_a_hop_and_nothing_else_has() {
        let found =
            |from: &str, to: &str| hop(&version(from), &version(to)).map(|hop| hop.steps.len());
        assert_eq!(found("8.7.26", "8.8.0"), Some(3));
        assert_eq!(found("8.7.0", "8.8.36"), Some(3));
        assert_eq!(found("8.6.5", "8.7.0"), Some(0));
        assert_eq!(found("8.8.8", "8.8.24"), Some(0));
        assert_eq!(found("8.8.0", "8.8.0"), Some(0));
        assert_eq!(found("8.6.5", "8.8.0"), None);
        assert_eq!(found("8.8.1", "8.8.0"), None);
        assert_eq!(found("8.8.0", "8.7.9"), None);
        assert_eq!(found("8.8.0", "8.9.0"), None);
    }

    #[test]
    fn log_ids_are_those_of_the_vendor() {
        let hop = hop(&version("8.7.3"), &version("8.8.24")).unwrap();
        assert_eq!(
            hop.log_ids().collect::<Vec<_>>(),
            [
                "8.8.0_schema-delete-index_variable-update-instance_v2",
                "8.8.0_schema-delete-template_variable-update-instance_v2[Template]",
                "8.8.0_schema-delete-template_external-process-variable_v2[Template]",
            ]
        );
    }

    #[test]
    fn only_the_unused_index_is_doomed() {
        let hop = hop(&version("8.7.3"), &version("8.8.0")).unwrap();
        let names = Names::new("acme");
        assert!(hop.dooms_index(&names, "acme-variable-update-instance_v2-000001"));
        assert!(hop.dooms_index(&names, "acme-variable-update-instance_v2"));
        for other in [
            "acme-external-process-variable_v2-000001",
            "acme-variable-update-instance_v21",
            "acme-variable-update-instance_v1-000001",
            "optimize-variable-update-instance_v2-000001",
        ] {
            assert!(!hop.dooms_index(&names, other), "{other}");
        }
        assert!(hop.dooms_template(&names, "acme-external-process-variable_v2"));
        assert!(!hop.dooms_template(&names, "acme-other_v2"));
    }

    #[test]
    fn a_longer_way_is_named_hop_by_hop() {
        assert_eq!(
            way(&version("8.6.2"), &version("8.8.0")).as_deref(),
            Some("8.6 -> 8.7 -> 8.8")
        );
        assert_eq!(way(&version("8.8.0"), &version("8.6.2")), None);
    }

    #[test]
    fn patch_numbers_that_were_never_released_are_known() {
        assert!(is_gap(&version("8.8.9")) && is_gap(&version("8.8.23")));
        assert!(
            !is_gap(&version("8.8.8")) && !is_gap(&version("8.8.24")) && !is_gap(&version("8.7.9"))
        );
    }
}
