//! `site.toml`: one installation, its things and how to reach them.
//!
//! Read in one pass, so that every mistake has a line and a column; checked for what the parser cannot see; never
//! changed once it is there. A rehearsal of the site is a site of its own, with other targets.

mod lookup;
mod place;
mod rehearsal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use liftlock_cluster::ClusterConfig;
use liftlock_database::DatabaseConfig;
use liftlock_disk::DiskConfig;
use liftlock_endpoint::EndpointConfig;
use liftlock_service::ServiceConfig;
use liftlock_snapshot::SnapshotConfig;
use liftlock_traffic::TrafficConfig;
use liftlock_types::Binding;
use serde::Deserialize;

use crate::code::Code;
use crate::failure::{self, Failure};

pub(crate) use place::toml_failure;

use rehearsal::RehearsalToml;

/// The name of the file.
pub(crate) const SITE_FILE: &str = "site.toml";

/// Longest name of a site: it stands in file names beside versions and a hash.
const NAME_CHARS_MAX: usize = 40;

/// Most approvals that a site can ask for.
///
/// 20: a limit of good sense; a typing error of 100 would lock every plan out.
const APPROVALS_MAX: u32 = 20;

/// Most steps at once that a site or a command can ask for.
///
/// 32: each of them holds a request or a task of the target; a cluster of the size that Liftlock is for has some tens
/// of threads for such work, and more would only queue there.
pub(crate) const SIDE_BY_SIDE_MAX: u32 = 32;

/// Steps at once where nobody says anything else.
///
/// 4: enough to hide that each step waits for answers most of its time, and little beside what a cluster does for its
/// users. Chosen, not measured; the bench prints what side by side brings.
const SIDE_BY_SIDE: u32 = 4;

/// What a binding's name can begin with, where a label names one.
const CAPABILITIES: [&str; 7] = [
    "cluster", "snapshot", "disk", "service", "endpoint", "database", "traffic",
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SiteToml {
    name: String,
    product_plugin: String,
    #[serde(default = "one")]
    approvals: u32,
    #[serde(default = "usual")]
    side_by_side: u32,
    #[serde(default)]
    options: BTreeMap<String, OptionValue>,
    #[serde(default)]
    cluster: BTreeMap<String, ClusterConfig>,
    #[serde(default)]
    snapshot: BTreeMap<String, SnapshotConfig>,
    #[serde(default)]
    disk: BTreeMap<String, DiskConfig>,
    #[serde(default)]
    service: BTreeMap<String, ServiceConfig>,
    #[serde(default)]
    traffic: BTreeMap<String, TrafficConfig>,
    #[serde(default)]
    endpoint: BTreeMap<String, EndpointConfig>,
    #[serde(default)]
    database: BTreeMap<String, DatabaseConfig>,
    #[serde(default)]
    rehearsal: Option<RehearsalToml>,
}

fn one() -> u32 {
    1
}

fn usual() -> u32 {
    SIDE_BY_SIDE
}

#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "an option is a text, a whole number, `true` or `false`"
)]
enum OptionValue {
    Text(String),
    Number(u64),
    Flag(bool),
}

impl OptionValue {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}

/// Beside `site.toml`: what a rehearsal writes there, and the records of the rehearsals.
pub(crate) const REHEARSALS_DIR: &str = "rehearsals";

/// A site as the operator wrote it, or as a rehearsal of it sees it.
#[derive(Debug)]
pub(crate) struct Site {
    file: PathBuf,
    text: String,
    /// Its name.
    pub(crate) name: String,
    /// The plugin's name.
    pub(crate) plugin: String,
    /// How many approvals a plan needs.
    pub(crate) approvals: usize,
    /// Most steps at once.
    pub(crate) side_by_side: usize,
    /// Options that are set.
    pub(crate) options: BTreeMap<String, String>,
    /// Search clusters.
    pub(crate) clusters: BTreeMap<Binding, ClusterConfig>,
    /// Snapshot repositories.
    pub(crate) snapshots: BTreeMap<Binding, SnapshotConfig>,
    /// Directories.
    pub(crate) disks: BTreeMap<Binding, DiskConfig>,
    /// Services.
    pub(crate) services: BTreeMap<Binding, ServiceConfig>,
    /// Load balancers.
    pub(crate) balancers: BTreeMap<Binding, TrafficConfig>,
    /// APIs of products.
    pub(crate) endpoints: BTreeMap<Binding, EndpointConfig>,
    /// Relational databases.
    pub(crate) databases: BTreeMap<Binding, DatabaseConfig>,
    /// What `[rehearsal]` says.
    rehearsal: Option<RehearsalToml>,
    /// Of a rehearsal: bindings that lead to its own targets. All others lead to the real ones.
    scratch: Vec<Binding>,
    /// Of a rehearsal: the command that fills its targets; program and arguments.
    pub(crate) fill: Option<Vec<String>>,
    /// Of a rehearsal: the site that it stands for.
    pub(crate) real: Option<Box<Site>>,
}

/// The site file that `--site` means.
pub(crate) fn file_of(named: &Path) -> PathBuf {
    if named.is_dir() || (!named.exists() && named.extension().is_none_or(|ext| ext != "toml")) {
        named.join(SITE_FILE)
    } else {
        named.to_owned()
    }
}

fn dir_of(file: &Path) -> &Path {
    match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Where the grants and plans of the site of this file are, or of its rehearsal.
pub(crate) fn home_of(file: &Path, rehearsal: bool) -> PathBuf {
    let dir = dir_of(file);
    if rehearsal {
        dir.join(REHEARSALS_DIR)
    } else {
        dir.to_owned()
    }
}

impl Site {
    /// Reads and checks the site that `--site` means.
    pub(crate) fn load(named: &Path) -> Result<Self, Failure> {
        let file = file_of(named);
        match fs::read_to_string(&file) {
            Ok(text) => Self::parse(file, text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Failure::new(
                Code::NoSite,
                format!("there is no `{}`", file.display()),
            )
            .remedy("write one from what can be seen, or name the place of yours with `--site DIR`")
            .next("liftlock init --plugin FILE --cluster URL")),
            Err(e) => Err(failure::file("read", &file, &e)),
        }
    }

    /// Checks a site's text.
    pub(crate) fn parse(file: PathBuf, text: String) -> Result<Self, Failure> {
        let raw: SiteToml = toml::from_str(&text)
            .map_err(|error| toml_failure(Code::SiteInvalid, &file, &text, &error))?;
        let mut site = Self {
            name: raw.name,
            plugin: raw.product_plugin,
            approvals: 0,
            side_by_side: 0,
            options: raw
                .options
                .into_iter()
                .map(|(name, value)| (name, value.into_text()))
                .collect(),
            clusters: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            disks: BTreeMap::new(),
            services: BTreeMap::new(),
            balancers: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            databases: BTreeMap::new(),
            rehearsal: raw.rehearsal,
            scratch: Vec::new(),
            fill: None,
            real: None,
            file,
            text,
        };
        site.check_name()?;
        if raw.approvals == 0 || raw.approvals > APPROVALS_MAX {
            return Err(site.wrong(
                &["approvals"],
                &format!("it must be 1 to {APPROVALS_MAX}: with 1, who planned may approve"),
            ));
        }
        site.approvals = raw.approvals as usize;
        if raw.side_by_side == 0 || raw.side_by_side > SIDE_BY_SIDE_MAX {
            return Err(site.wrong(
                &["side-by-side"],
                &format!("it must be 1 to {SIDE_BY_SIDE_MAX}: most steps at once"),
            ));
        }
        site.side_by_side = raw.side_by_side as usize;
        site.clusters = site.bindings("cluster", raw.cluster)?;
        site.snapshots = site.bindings("snapshot", raw.snapshot)?;
        site.disks = site.bindings("disk", raw.disk)?;
        site.services = site.bindings("service", raw.service)?;
        site.balancers = site.bindings("traffic", raw.traffic)?;
        site.endpoints = site.bindings("endpoint", raw.endpoint)?;
        site.databases = site.bindings("database", raw.database)?;
        site.check_targets()?;
        // A mistake in it is told before it is needed.
        if site.rehearsal.is_some() {
            site.shallow().into_rehearsal()?;
        }
        Ok(site)
    }

    fn check_targets(&self) -> Result<(), Failure> {
        self.check_databases()?;
        self.check_snapshots()?;
        self.check_balancers()?;
        self.check_labels()
    }

    /// The same site once more, as no rehearsal.
    fn shallow(&self) -> Self {
        Self {
            file: self.file.clone(),
            text: self.text.clone(),
            name: self.name.clone(),
            plugin: self.plugin.clone(),
            approvals: self.approvals,
            side_by_side: self.side_by_side,
            options: self.options.clone(),
            clusters: self.clusters.clone(),
            snapshots: self.snapshots.clone(),
            disks: self.disks.clone(),
            services: self.services.clone(),
            balancers: self.balancers.clone(),
            endpoints: self.endpoints.clone(),
            databases: self.databases.clone(),
            rehearsal: self.rehearsal.clone(),
            scratch: Vec::new(),
            fill: None,
            real: None,
        }
    }

    /// The file it was read from.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The directory of the file: what its relative paths mean.
    pub(crate) fn dir(&self) -> &Path {
        dir_of(&self.file)
    }

    /// Where grants and plans are: beside the file, those of a rehearsal apart.
    pub(crate) fn home(&self) -> PathBuf {
        home_of(&self.file, self.real.is_some())
    }

    /// Of a rehearsal: this binding leads to a target of its own.
    pub(crate) fn is_scratch(&self, binding: &Binding) -> bool {
        self.scratch.contains(binding)
    }

    /// Everything that is bound.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Binding> {
        self.clusters
            .keys()
            .chain(self.snapshots.keys())
            .chain(self.disks.keys())
            .chain(self.services.keys())
            .chain(self.balancers.keys())
            .chain(self.endpoints.keys())
            .chain(self.databases.keys())
    }

    /// A mistake at this key, with what would be right.
    pub(crate) fn wrong(&self, path: &[&str], right: &str) -> Failure {
        let is_scratch = |capability: &str, name: &str| {
            let mut scratch = self.scratch.iter();
            scratch.any(|known| (known.capability(), known.name()) == (capability, name))
        };
        let path = match path {
            [capability, name, ..] if is_scratch(capability, name) => {
                [&["rehearsal"], path].concat()
            }
            _ => path.to_vec(),
        };
        let path = path.as_slice();
        let span = lookup::span_of(&self.text, path);
        Failure::new(
            Code::SiteInvalid,
            format!("`{}` in `{}`: {right}", path.join("."), self.file.display()),
        )
        .at(place::place(&self.file, &self.text, span, right))
        .remedy("mend the line")
        .next("liftlock doctor")
    }

    fn check_name(&self) -> Result<(), Failure> {
        let good = !self.name.is_empty()
            && self.name.len() <= NAME_CHARS_MAX
            && self
                .name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if good {
            return Ok(());
        }
        Err(self.wrong(
            &["name"],
            &format!("it must be 1 to {NAME_CHARS_MAX} lower-case letters, digits, `-` and `_`"),
        ))
    }

    fn bindings<T>(
        &self,
        capability: &str,
        of: BTreeMap<String, T>,
    ) -> Result<BTreeMap<Binding, T>, Failure> {
        of.into_iter()
            .map(
                |(name, config)| match Binding::new(format!("{capability}.{name}")) {
                    Ok(binding) => Ok((binding, config)),
                    Err(error) => Err(self.wrong(&[capability, &name], error.why)),
                },
            )
            .collect()
    }

    /// Which keys of a balancer go together depends on its kind.
    fn check_balancers(&self) -> Result<(), Failure> {
        for (binding, config) in &self.balancers {
            config.check().map_err(|mistake| {
                self.wrong(&["traffic", binding.name(), mistake.key], &mistake.right)
            })?;
        }
        Ok(())
    }

    /// A label that names a binding names one of this file: a node whose API is another's would be judged by it.
    fn check_labels(&self) -> Result<(), Failure> {
        for (binding, config) in &self.services {
            for (label, value) in &config.labels {
                let names_one = Binding::new(value.as_str())
                    .is_ok_and(|named| CAPABILITIES.contains(&named.capability()));
                if names_one && !self.names().any(|known| known.as_str() == value) {
                    return Err(self.wrong(
                        &["service", binding.name(), "labels", label],
                        "it names a binding that this file does not have",
                    ));
                }
            }
        }
        Ok(())
    }

    /// What the parser cannot see of a database.
    fn check_databases(&self) -> Result<(), Failure> {
        for (binding, config) in &self.databases {
            if let Err(error) = config.check() {
                let path = ["database", binding.name(), error.field];
                return Err(self.wrong(&path, &format!("`{}`: {}", error.value, error.right)));
            }
        }
        Ok(())
    }

    /// A repository is one of a cluster that is bound.
    fn check_snapshots(&self) -> Result<(), Failure> {
        for (binding, config) in &self.snapshots {
            if !self.clusters.contains_key(&config.cluster) {
                let there: Vec<&str> = self.clusters.keys().map(Binding::as_str).collect();
                return Err(self.wrong(
                    &["snapshot", binding.name(), "cluster"],
                    &format!("it must name a cluster of this file: {}", there.join(", ")),
                ));
            }
        }
        Ok(())
    }
}
