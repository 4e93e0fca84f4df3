//! The new cluster as it stands, and what speaks against it.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;
use liftlock_sdk::told;

use super::asks::{Choices, NEW, NEW_REPOSITORY};
use crate::check::{blocker, warning};
use crate::descriptor::{BACKUPS, STORAGE};
use crate::kuzzle::Kuzzles;
use crate::options::Options;
use crate::seen::{self, Seen};

/// Everything of the new cluster that is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Beside {
    pub(crate) uuid: String,
    /// By node.
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) status: String,
    pub(crate) indices: Vec<Index>,
    /// Settings and templates that somebody gave to the old cluster, and that this one does not have so.
    pub(crate) stay: Vec<String>,
    /// Nodes that reach the store, or why that is not known.
    pub(crate) repository: std::result::Result<Vec<String>, String>,
}

/// Bindings of this method that the site does not have.
pub(crate) fn unbound(site: &Site) -> Vec<&'static str> {
    let needed = [NEW, NEW_REPOSITORY, BACKUPS];
    needed.into_iter().filter(|it| !site.has(it)).collect()
}

impl Beside {
    /// Reads all of it; none where it is not bound.
    pub(crate) fn gather(site: &Site) -> Result<Option<Self>> {
        if !unbound(site).is_empty() {
            return Ok(None);
        }
        let cluster = Cluster::open(site, NEW)?;
        let identities = cluster.identities()?;
        Ok(Some(Self {
            uuid: identities
                .first()
                .map(|it| it.cluster_uuid.clone())
                .unwrap_or_default(),
            versions: cluster
                .nodes()?
                .into_iter()
                .map(|node| (node.name, node.version))
                .collect(),
            status: cluster.health()?.status,
            indices: cluster.indices("*")?,
            stay: stay(&given(&Cluster::open(site, STORAGE)?)?, &given(&cluster)?),
            repository: Repository::open(site, NEW_REPOSITORY)?
                .verified()
                .map_err(|error| error.text()),
        }))
    }
}

/// Persistent settings with their values, and templates: what somebody gave to a cluster.
fn given(cluster: &Cluster) -> Result<BTreeMap<String, String>> {
    let persistent = cluster.cluster_settings(SettingScope::Persistent)?;
    let settings: BTreeMap<String, Value> = liftlock_sdk::serde_json::from_str(&persistent)?;
    let mut found: BTreeMap<String, String> = settings
        .into_iter()
        .filter(|(key, _)| !key.starts_with("archived."))
        .map(|(key, value)| (format!("setting `{key}`"), value.to_string()))
        .collect();
    for template in seen::templates(cluster)? {
        found.insert(format!("template `{}`", template.name), String::new());
    }
    Ok(found)
}

/// What is on the old one, and not or not so on the new one.
fn stay(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    old.iter()
        .filter(|(name, value)| new.get(*name) != Some(value))
        .map(|(name, value)| match value.as_str() {
            "" => name.clone(),
            value => format!("{name} = {value}"),
        })
        .collect()
}

/// Everything that keeps this method from being planned.
pub(crate) fn cannot(
    seen: &Seen,
    beside: &Beside,
    kuzzles: &Kuzzles,
    options: &Options,
    choices: &Choices,
    target: &Target,
) -> Vec<Finding> {
    let mut all = Vec::new();
    let there: Vec<&str> = beside
        .indices
        .iter()
        .filter(|index| options.is_ours(&index.name))
        .map(|index| index.name.as_str())
        .collect();
    if !there.is_empty() {
        let what = told::first(&there, ", ");
        all.push(blocker("kuzzle.new-not-empty", NEW, what));
    }
    if seen
        .identities
        .iter()
        .any(|it| it.cluster_uuid == beside.uuid)
    {
        all.push(blocker("kuzzle.new-is-the-old", NEW, &beside.uuid));
    }
    for (node, version) in &beside.versions {
        if *version != target.to {
            let what = format!("node {node} is {version}");
            all.push(blocker("kuzzle.new-of-another-version", NEW, what));
        }
    }
    if beside.status == "red" {
        all.push(blocker("kuzzle.new-not-well", NEW, "its health is red"));
    }
    if choices.repository.is_none() {
        let old = match &seen.backups {
            Some(backups) => backups.verified.clone(),
            None => Ok(Vec::new()),
        };
        let registered = [(BACKUPS, &old), (NEW_REPOSITORY, &beside.repository)];
        for (binding, verified) in registered {
            if let Err(why) = verified {
                all.push(blocker("kuzzle.repository-not-reached", binding, why));
            }
        }
        all.push(warning(
            "kuzzle.repository-may-be-written",
            NEW_REPOSITORY,
            "the option `repository` is empty, so the plan does not register it read-only",
        ));
    }
    if !beside.stay.is_empty() {
        let what = told::first(&beside.stay, ", ");
        all.push(warning("kuzzle.settings-stay", NEW, what));
    }
    collections(seen, options, &mut all);
    configurations(kuzzles, options, choices, &mut all);
    all
}

/// What of the site's own data would not come along as it is.
fn collections(seen: &Seen, options: &Options, all: &mut Vec<Finding>) {
    let closed: Vec<&str> = seen
        .ours(options)
        .filter(|index| !index.open)
        .map(|index| index.name.as_str())
        .collect();
    if !closed.is_empty() {
        let what = told::first(&closed, ", ");
        all.push(blocker("kuzzle.closed-index", "cluster.storage", what));
    }
}

/// What each configuration must say, so that it can be told of the new cluster.
fn configurations(kuzzles: &Kuzzles, options: &Options, choices: &Choices, all: &mut Vec<Finding>) {
    if choices.address.is_empty() || choices.new_address.is_empty() {
        all.push(blocker(
            "kuzzle.address",
            "options address, new-address",
            "they are not set",
        ));
        return;
    }
    for configuration in &kuzzles.configurations {
        let name = &options.configuration;
        let Some(file) = &configuration.file else {
            continue;
        };
        let times = file.text.matches(&quoted(&choices.address)).count();
        if times != 1 {
            let what = format!("`{}` stands {times} times in `{name}`", choices.address);
            all.push(blocker("kuzzle.address", &configuration.binding, what));
        }
    }
}

/// As it stands in a configuration.
pub(crate) fn quoted(address: &str) -> String {
    format!("\"{address}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_gave_to_the_old_cluster_and_not_to_the_new_is_told() {
        let of = |list: &[(&str, &str)]| -> BTreeMap<String, String> {
            let each = list.iter();
            each.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let old = of(&[
            ("setting `a`", "1"),
            ("setting `b`", "2"),
            ("template `t`", ""),
        ]);
        let new = of(&[
            ("setting `a`", "1"),
            ("setting `b`", "3"),
            ("setting `c`", "1"),
        ]);
        assert_eq!(stay(&old, &new), ["setting `b` = 2", "template `t`"]);
        assert!(stay(&old, &old).is_empty());
    }
}
