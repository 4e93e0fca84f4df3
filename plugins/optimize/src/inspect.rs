//! The inventory: what was seen, for people and for later comparison.

use liftlock_sdk::prelude::*;

use crate::names::Kind;
use crate::seen::{Metadata, Seen};

pub(crate) fn inventory(seen: &Seen) -> Inventory {
    let mut facts = vec![
        Fact::new("prefix", seen.names.prefix()),
        Fact::new(
            "database",
            seen.identities
                .iter()
                .map(|identity| {
                    json!({
                        "node": identity.node_name,
                        "product": product(identity),
                        "cluster": identity.cluster_name,
                        "cluster-uuid": identity.cluster_uuid,
                    })
                })
                .collect::<Vec<_>>(),
        ),
        Fact::new("health", seen.health.status.as_str()),
        Fact::new("indices", seen.indices.len()),
        Fact::new(
            "documents",
            seen.indices.iter().map(|index| index.docs).sum::<u64>(),
        ),
        Fact::new(
            "bytes",
            seen.indices.iter().map(|index| index.bytes).sum::<u64>(),
        ),
        Fact::new("primary-bytes", seen.primary_bytes()),
        Fact::new(
            "process-definitions",
            count(seen, |kind| matches!(kind, Kind::ProcessInstance(_))),
        ),
        Fact::new(
            "decision-definitions",
            count(seen, |kind| matches!(kind, Kind::DecisionInstance(_))),
        ),
        Fact::new("aliases", seen.aliases.len()),
        Fact::new(
            "legacy-templates",
            seen.legacy_templates
                .iter()
                .map(|template| template.name.clone())
                .collect::<Vec<_>>(),
        ),
        Fact::new(
            "update-log",
            seen.log
                .values()
                .map(|entry| json!({"id": entry.id, "applied": entry.applied}))
                .collect::<Vec<_>>(),
        ),
        Fact::new(
            "data-nodes",
            seen.data_nodes().map(node).collect::<Vec<_>>(),
        ),
    ];
    if let Metadata::Found {
        installation: Some(id),
        ..
    } = &seen.metadata
    {
        facts.push(Fact::new("installation-id", id.as_str()));
    }
    if let Some(backups) = &seen.backups {
        facts.push(Fact::new(
            "snapshot-repository",
            json!({"name": backups.name, "verified-by": backups.nodes, "running": backups.running.len()}),
        ));
    }
    if let Some(status) = &seen.service {
        facts.push(Fact::new("optimize", state(&status.state)));
    }
    if let Some(files) = &seen.config {
        facts.push(Fact::new("config-files", files.clone()));
    }
    Inventory {
        product: "Camunda Optimize".into(),
        version: seen.version().map(ToString::to_string),
        facts,
    }
}

/// `OpenSearch 2.19.1`.
pub(crate) fn product(identity: &Identity) -> String {
    format!("{} {}", named(identity.distribution), identity.version)
}

/// `OpenSearch`.
pub(crate) fn named(product: Distribution) -> &'static str {
    match product {
        Distribution::Elasticsearch => "Elasticsearch",
        Distribution::Opensearch => "OpenSearch",
    }
}

/// `ready`, `stopped`, ...
pub(crate) fn state(state: &State) -> String {
    match state {
        State::Stopped => "stopped".into(),
        State::Starting => "starting".into(),
        State::Ready => "ready".into(),
        State::RunningNotReady(why) => format!("running, not ready: {why}"),
        State::Unknown(why) => format!("unknown: {why}"),
    }
}

fn count(seen: &Seen, is: impl Fn(&Kind) -> bool) -> usize {
    seen.indices
        .iter()
        .filter(|index| is(&seen.names.kind(&index.name)))
        .count()
}

fn node(node: &Node) -> Value {
    json!({
        "name": node.name,
        "version": node.version,
        "heap-max-bytes": node.heap_max_bytes,
        "disk-total-bytes": node.disk_total_bytes,
        "disk-free-bytes": node.disk_free_bytes,
    })
}
