//! The new cluster as it stands, and what speaks against it.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;
use liftlock_sdk::told;

use super::asks::{Choices, NEW, NEW_REPOSITORY};
use crate::check::{blocker, warning};
use crate::descriptor::BACKUPS;
use crate::kuzzle::Kuzzles;
use crate::options::Options;
use crate::seen::Seen;

/// Everything of the new cluster that is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Beside {
    pub(crate) uuid: String,
    /// By node.
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) status: String,
    pub(crate) indices: Vec<Index>,
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
            repository: Repository::open(site, NEW_REPOSITORY)?
                .verified()
                .map_err(|error| error.text()),
        }))
    }
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
