//! The cluster as it stands, read once and then looked at by functions over plain values.

use std::collections::BTreeMap;

use liftlock_sdk::capability::{Archived, Deprecation};
use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling::{self, View};

use crate::check::TAKEN_OFF;
use crate::descriptor::{ALIASES, BACKUPS, STORAGE};
use crate::options::Options;
use crate::watch::{BREAKERS, HEAP, POOLS};

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
    /// Of those that a plan takes off: each place with one, and the values that are set there.
    pub(crate) taken_off: Vec<(SettingScope, BTreeMap<String, String>)>,
    /// What the server put aside.
    pub(crate) archived: Vec<Archived>,
    /// None: the server has no such function.
    pub(crate) deprecations: Option<Vec<Deprecation>>,
    /// None: no repository is bound.
    pub(crate) backups: Option<Backups>,
    /// Of each node of 7.x: what it was started with, as far as it differs from the defaults.
    pub(crate) node_settings: BTreeMap<String, BTreeMap<String, String>>,
    /// Plugins that are no part of the server, and the nodes that have them.
    pub(crate) plugins: BTreeMap<String, Vec<String>>,
    /// Who talks to it by HTTP, as they call themselves, with their connections: those of the last minutes too. None: the
    /// server does not say.
    pub(crate) clients: Option<BTreeMap<String, u64>>,
}

/// The paths that are read as they are.
pub(crate) const RAW: [&str; 8] = [
    NODE_SETTINGS,
    PLUGINS,
    CLIENTS,
    INDEX_SETTINGS,
    BREAKERS,
    POOLS,
    HEAP,
    rolling::EXPLAIN,
];
const NODE_SETTINGS: &str = "/_nodes/settings";
const PLUGINS: &str = "/_cat/plugins";
const CLIENTS: &str = "/_nodes/stats/http";
/// Of every index.
pub(crate) const INDEX_SETTINGS: &str = "/_settings";

impl Seen {
    /// Reads all of it.
    pub(crate) fn gather(site: &Site) -> Result<Self> {
        let storage = Cluster::open(site, STORAGE)?;
        let (mut settings, mut taken_off) = (BTreeMap::new(), Vec::new());
        for scope in [SettingScope::Persistent, SettingScope::Transient] {
            let set = flat(&storage.cluster_settings(scope)?)?;
            let mut known = set.clone();
            known.retain(|key, _| TAKEN_OFF.contains(&key.as_str()));
            if !known.is_empty() {
                taken_off.push((scope, known));
            }
            settings.extend(set);
        }
        Ok(Self {
            identities: storage.identities()?,
            nodes: storage.nodes()?,
            health: storage.health()?,
            indices: storage.indices("*")?,
            shards: storage.shards("*")?,
            aliases: storage.aliases(ALIASES)?,
            settings,
            taken_off,
            archived: storage.archived()?,
            deprecations: storage.deprecations().supported()?,
            backups: backups(site)?,
            node_settings: node_settings(&storage)?,
            plugins: plugins(&storage)?,
            clients: clients(&raw(&storage, CLIENTS, "nodes.*.http.clients.agent")?),
        })
    }

    /// Every node is of this version.
    pub(crate) fn all_are(&self, version: &str) -> bool {
        self.rolling().all_are(version)
    }

    /// Indices of the site.
    pub(crate) fn ours<'a>(&'a self, options: &'a Options) -> impl Iterator<Item = &'a Index> {
        self.indices
            .iter()
            .filter(|index| options.is_ours(&index.name))
    }

    /// Versions of all nodes, by the node's own word where it could be asked.
    pub(crate) fn versions(&self) -> BTreeMap<&str, &str> {
        self.rolling().versions()
    }

    /// What the nodes are upgraded by.
    pub(crate) fn rolling(&self) -> View<'_> {
        View {
            identities: &self.identities,
            nodes: &self.nodes,
            shards: &self.shards,
            settings: &self.settings,
        }
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

/// What is at a path, and no more of it than this.
pub(crate) fn raw(on: &Cluster, path: &str, filter_path: &str) -> Result<Value> {
    asked(on, path, [("filter_path", filter_path)])
}

/// Likewise, with all of the query.
pub(crate) fn asked<const N: usize>(
    storage: &Cluster,
    path: &str,
    query: [(&str, &str); N],
) -> Result<Value> {
    let query = query.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let answer = storage.raw_read(path, &query, None)?;
    if answer.status != 200 {
        return Err(Error::Unavailable(format!(
            "`{path}` was answered with {}",
            answer.status
        )));
    }
    Ok(liftlock_sdk::serde_json::from_str(&answer.body)?)
}

fn node_settings(storage: &Cluster) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
    let query = [
        ("flat_settings", "true"),
        (
            "filter_path",
            "nodes.*.name,nodes.*.version,nodes.*.settings",
        ),
    ];
    let told = asked(storage, NODE_SETTINGS, query)?;
    let nodes = told["nodes"].as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(nodes
        .filter(|(_, node)| text(&node["version"]).starts_with("7."))
        .map(|(_, node)| {
            let settings = node["settings"].as_object().cloned().unwrap_or_default();
            (text(&node["name"]), texts(settings))
        })
        .collect())
}

fn plugins(storage: &Cluster) -> Result<BTreeMap<String, Vec<String>>> {
    let told = asked(
        storage,
        PLUGINS,
        [("format", "json"), ("h", "name,component")],
    )?;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in told.as_array().into_iter().flatten() {
        if let (Some(plugin), Some(node)) = (row["component"].as_str(), row["name"].as_str()) {
            found
                .entry(plugin.to_owned())
                .or_default()
                .push(node.to_owned());
        }
    }
    Ok(found)
}

/// One that does not say what it is counts too.
fn clients(told: &Value) -> Option<BTreeMap<String, u64>> {
    let mut found: Option<BTreeMap<String, u64>> = None;
    for node in told["nodes"].as_object().into_iter().flatten() {
        for client in node.1["http"]["clients"].as_array().into_iter().flatten() {
            let agent = client["agent"].as_str().unwrap_or("without a name");
            *found
                .get_or_insert_default()
                .entry(agent.to_owned())
                .or_default() += 1;
        }
    }
    found
}

/// Templates of every kind that somebody gave to the cluster. Each version brings its own, and those are left out.
pub(crate) fn templates(on: &Cluster) -> Result<Vec<Template>> {
    let kinds = [
        TemplateKind::Legacy,
        TemplateKind::Composable,
        TemplateKind::Component,
    ];
    let mut all = Vec::new();
    for kind in kinds {
        all.extend(on.templates(kind, "*")?);
    }
    all.retain(|template| !is_the_servers_own(template));
    Ok(all)
}

fn is_the_servers_own(template: &Template) -> bool {
    let body: Value = template.body.parse().unwrap_or(Value::Null);
    template.name.starts_with('.') || body["_meta"]["managed"] == true
}

/// Settings as texts.
fn flat(json: &str) -> Result<BTreeMap<String, String>> {
    Ok(texts(liftlock_sdk::serde_json::from_str::<
        BTreeMap<String, Value>,
    >(json)?))
}

fn texts(settings: impl IntoIterator<Item = (String, Value)>) -> BTreeMap<String, String> {
    settings
        .into_iter()
        .map(|(key, value)| match value {
            Value::String(text) => (key, text),
            other => (key, other.to_string()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_of_the_servers_own_is_known_by_its_name_or_its_mark() {
        let template = |name: &str, body: &str| Template {
            kind: TemplateKind::Composable,
            name: name.into(),
            patterns: Vec::new(),
            body: body.into(),
        };
        assert!(is_the_servers_own(&template(".monitoring", "{}")));
        let managed = r#"{"_meta":{"managed":true}}"#;
        assert!(is_the_servers_own(&template("logs", managed)));
        assert!(!is_the_servers_own(&template("mine", "{}")));
    }
}
