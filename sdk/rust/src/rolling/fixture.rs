//! A cluster as tests see it: three nodes of 7.17.15 with one index that has a replica, `n1` elected.

use std::collections::BTreeMap;

use crate::capability::{Distribution, Identity, Index, Node, Shard};

use super::{Bound, Rolling, View};

pub(super) const INDEX: &str = "orders";
pub(super) const TO: &str = "8.19.13";

/// What a [`View`] looks at.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) identities: Vec<Identity>,
    pub(super) nodes: Vec<Node>,
    pub(super) shards: Vec<Shard>,
    pub(super) settings: BTreeMap<String, String>,
}

impl Seen {
    pub(super) fn view(&self) -> View<'_> {
        View {
            identities: &self.identities,
            nodes: &self.nodes,
            shards: &self.shards,
            settings: &self.settings,
        }
    }

    /// The node of this place runs this version.
    pub(super) fn runs(&mut self, at: usize, version: &str) {
        self.nodes[at].version = version.into();
        self.identities[at].version = version.into();
    }
}

pub(super) fn seen() -> Seen {
    let names = ["n1", "n2", "n3"];
    Seen {
        identities: names.map(|name| identity(name, "7.17.15")).into(),
        nodes: names.map(|name| node(name, "7.17.15", name == "n1")).into(),
        shards: vec![
            shard(INDEX, true, Some("n1")),
            shard(INDEX, false, Some("n2")),
        ],
        settings: BTreeMap::new(),
    }
}

pub(super) fn rolling(outages_accepted: bool) -> Rolling<'static> {
    Rolling {
        ids: "acme",
        to: TO,
        flushed: &[],
        outages_accepted,
        settle_ms: 0,
        stays: "no node goes back",
    }
}

pub(super) fn services() -> Vec<Bound> {
    ["n1", "n2", "n3"]
        .map(|name| Bound {
            binding: format!("service.node-{name}"),
            unit: format!("node-{name}"),
            node: Some(name.into()),
            artifacts: Some(vec!["7.17.15".into(), TO.into()]),
        })
        .into()
}

pub(super) fn node(name: &str, version: &str, is_elected: bool) -> Node {
    let elected = ("elected-manager".to_owned(), "yes".to_owned());
    Node {
        id: format!("id-{name}"),
        name: name.into(),
        version: version.into(),
        roles: vec!["data".into(), "master".into()],
        address: String::new(),
        heap_max_bytes: 0,
        disk_total_bytes: 0,
        disk_free_bytes: 0,
        watermark_low_bytes: 0,
        watermark_high_bytes: 0,
        watermark_flood_bytes: 0,
        plugins: Vec::new(),
        more: is_elected.then_some(elected).into_iter().collect(),
    }
}

fn identity(name: &str, version: &str) -> Identity {
    Identity {
        distribution: Distribution::Elasticsearch,
        version: version.into(),
        cluster_name: "c".into(),
        cluster_uuid: "u".into(),
        node_name: name.into(),
        minimum_wire_version: "6.8.0".into(),
        minimum_index_version: "6.0.0-beta1".into(),
        more: Vec::new(),
    }
}

pub(super) fn shard(index: &str, primary: bool, node: Option<&str>) -> Shard {
    let state = if node.is_some() {
        "STARTED"
    } else {
        "UNASSIGNED"
    };
    Shard {
        index: index.into(),
        number: 0,
        primary,
        state: state.into(),
        node: node.map(str::to_owned),
        bytes: 1,
        docs: 1,
    }
}

pub(super) fn index(name: &str, created_version: u64) -> Index {
    Index {
        name: name.into(),
        uuid: format!("uuid-{name}"),
        created_version,
        open: true,
        hidden: false,
        docs: 1,
        bytes: 2,
        primary_bytes: 1,
        shards: 1,
        replicas: 1,
        blocks: Vec::new(),
    }
}
