//! A site as tests see it: three nodes of 7.17.15, one collection, one Kuzzle, nothing wrong.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;

use crate::kuzzle::{Configuration, File, KuzzleService, Kuzzles, Said};
use crate::options::{Method, Options};
use crate::seen::{Backups, Seen};

/// The collection's index.
pub(crate) const INDEX: &str = "&nyc.taxi";

pub(crate) fn options() -> Options {
    Options {
        method: Method::Rolling,
        also: None,
        configuration: ".kuzzlerc".into(),
        serves_meanwhile: false,
        outages_accepted: false,
        quiet_ms: 0,
        settle_ms: 0,
        watch_ms: 0,
    }
}

pub(crate) fn target() -> Target {
    Target {
        from: None,
        to: "8.19.13".into(),
    }
}

pub(crate) fn node(name: &str, version: &str, is_elected: bool) -> Node {
    let elected = ("elected-manager".to_owned(), "yes".to_owned());
    Node {
        id: format!("id-{name}"),
        name: name.into(),
        version: version.into(),
        roles: vec!["data".into(), "master".into()],
        address: String::new(),
        heap_max_bytes: 0,
        disk_total_bytes: 1_000,
        disk_free_bytes: 900,
        watermark_low_bytes: 150,
        watermark_high_bytes: 100,
        watermark_flood_bytes: 50,
        plugins: Vec::new(),
        more: is_elected.then_some(elected).into_iter().collect(),
    }
}

pub(crate) fn identity(name: &str, version: &str) -> Identity {
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

pub(crate) fn shard(index: &str, primary: bool, node: Option<&str>) -> Shard {
    Shard {
        index: index.into(),
        number: 0,
        primary,
        state: if node.is_some() {
            "STARTED"
        } else {
            "UNASSIGNED"
        }
        .into(),
        node: node.map(str::to_owned),
        bytes: 1,
        docs: 1,
    }
}

pub(crate) fn index(name: &str, created_version: u64) -> Index {
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

pub(crate) fn alias(name: &str, index: &str) -> Alias {
    Alias {
        name: name.into(),
        index: index.into(),
        write: None,
        more: Vec::new(),
    }
}

pub(crate) fn seen() -> Seen {
    let names = ["n1", "n2", "n3"];
    let security = ("xpack.security.enabled".to_owned(), "false".to_owned());
    Seen {
        identities: names.map(|name| identity(name, "7.17.15")).into(),
        nodes: names.map(|name| node(name, "7.17.15", name == "n1")).into(),
        health: Health {
            status: "green".into(),
            nodes: 3,
            active_shards: 2,
            relocating_shards: 0,
            initializing_shards: 0,
            unassigned_shards: 0,
            pending_tasks: 0,
            reasons: Vec::new(),
        },
        indices: vec![index(INDEX, 7_171_599)],
        shards: vec![
            shard(INDEX, true, Some("n1")),
            shard(INDEX, false, Some("n2")),
        ],
        aliases: vec![alias("@&nyc.taxi", INDEX)],
        settings: BTreeMap::new(),
        taken_off: Vec::new(),
        archived: Vec::new(),
        deprecations: Some(Vec::new()),
        backups: Some(Backups {
            name: "backups".into(),
            verified: Ok(names.map(str::to_owned).into()),
        }),
        node_settings: names
            .map(|name| (name.to_owned(), BTreeMap::from([security.clone()])))
            .into(),
        plugins: BTreeMap::new(),
        clients: Some(BTreeMap::new()),
    }
}

/// Every node has the target's version.
pub(crate) fn seen_new() -> Seen {
    let mut seen = seen();
    for node in &mut seen.nodes {
        node.version = target().to;
    }
    for identity in &mut seen.identities {
        identity.version = target().to;
    }
    seen.node_settings.clear();
    seen
}

pub(crate) fn kuzzles(mode: &str) -> Kuzzles {
    Kuzzles {
        services: vec![KuzzleService {
            binding: "service.kuzzle".into(),
            name: "kuzzle".into(),
            state: State::Ready,
        }],
        configurations: vec![Configuration {
            binding: "disk.kuzzle".into(),
            name: "kuzzle".into(),
            file: Some(File {
                text: format!("{{\"majorVersion\": {mode}}}"),
                sha256: "0".repeat(64),
            }),
        }],
        said: vec![Said {
            binding: "endpoint.kuzzle".into(),
            health: Some((200, "green".into())),
            version: Some("2.56.0".into()),
            storage: Some("7.17.15".into()),
        }],
    }
}
