//! The cluster as it stands, read once and then looked at by functions over plain values.

use std::collections::BTreeMap;

use liftlock_sdk::capability::{Archived, Deprecation};
use liftlock_sdk::prelude::*;

use crate::descriptor::{ALIASES, BACKUPS, STORAGE};
use crate::options::Options;

/// The snapshot repository.
#[derive(Debug, Clone)]
pub(crate) struct Backups {
    /// Its name on the server.
    pub(crate) name: String,
    /// Nodes that reach it; none where that cannot be asked, with the reason.
    pub(crate) verified: std::result::Result<Vec<String>, String>,
}

/// Everything of the cluster that checks and plan look at.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// What `/` of each node says of itself.
    pub(crate) identities: Vec<Identity>,
    /// All nodes, as the elected one lists them.
    pub(crate) nodes: Vec<Node>,
    pub(crate) health: Health,
    /// Every index: hidden, closed and system ones too.
    pub(crate) indices: Vec<Index>,
    /// Of every index.
    pub(crate) shards: Vec<Shard>,
    /// Those that name collections.
    pub(crate) aliases: Vec<Alias>,
    /// What the operator has set, transient over persistent.
    pub(crate) settings: BTreeMap<String, String>,
    /// What the server put aside.
    pub(crate) archived: Vec<Archived>,
    /// None: the server has no such function.
    pub(crate) deprecations: Option<Vec<Deprecation>>,
    /// None: no repository is bound.
    pub(crate) backups: Option<Backups>,
}

impl Seen {
    /// Reads all of it.
    pub(crate) fn gather(site: &Site, _: &Options) -> Result<Self> {
        let storage = Cluster::open(site, STORAGE)?;
        let mut settings = BTreeMap::new();
        for scope in [SettingScope::Persistent, SettingScope::Transient] {
            settings.extend(flat(&storage.cluster_settings(scope)?)?);
        }
        Ok(Self {
            identities: storage.identities()?,
            nodes: storage.nodes()?,
            health: storage.health()?,
            indices: storage.indices("*")?,
            shards: storage.shards("*")?,
            aliases: storage.aliases(ALIASES)?,
            settings,
            archived: storage.archived()?,
            deprecations: storage.deprecations().supported()?,
            backups: backups(site)?,
        })
    }

    /// Indices of the site.
    pub(crate) fn ours<'a>(&'a self, options: &'a Options) -> impl Iterator<Item = &'a Index> {
        self.indices
            .iter()
            .filter(|index| options.is_ours(&index.name))
    }

    /// Versions of all nodes, by the node's own word where it could be asked.
    pub(crate) fn versions(&self) -> BTreeMap<&str, &str> {
        let listed = self
            .nodes
            .iter()
            .map(|node| (node.name.as_str(), node.version.as_str()));
        let said = self
            .identities
            .iter()
            .map(|it| (it.node_name.as_str(), it.version.as_str()));
        // A list can lie while versions are mixed, so the later word counts.
        listed.chain(said).collect()
    }
}

fn backups(site: &Site) -> Result<Option<Backups>> {
    if !site.has(BACKUPS) {
        return Ok(None);
    }
    let repository = Repository::open(site, BACKUPS)?;
    Ok(Some(Backups {
        name: repository.name(),
        verified: repository.verified().map_err(|error| error.text()),
    }))
}

/// Settings as texts.
fn flat(json: &str) -> Result<BTreeMap<String, String>> {
    let settings: BTreeMap<String, Value> = liftlock_sdk::serde_json::from_str(json)?;
    Ok(settings
        .into_iter()
        .map(|(key, value)| match value {
            Value::String(text) => (key, text),
            other => (key, other.to_string()),
        })
        .collect())
}
