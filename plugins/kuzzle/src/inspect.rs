//! What `inspect` shows of a site.

use liftlock_sdk::prelude::*;

use crate::kuzzle::Kuzzles;
use crate::seen::Seen;

/// Nodes, collections, Kuzzles.
pub(crate) fn inventory(seen: &Seen, kuzzles: &Kuzzles) -> Inventory {
    let versions = seen.versions();
    let parsed = |text: &&str| text.parse::<Version>().ok();
    let oldest = versions.values().filter_map(parsed).min();
    let mut facts = vec![
        Fact::new("nodes", json!(versions)),
        Fact::new("health", seen.health.status.as_str()),
        Fact::new("indices", seen.indices.len()),
        Fact::new("collections", seen.aliases.len()),
        Fact::new(
            "primary-bytes",
            seen.indices
                .iter()
                .map(|index| index.primary_bytes)
                .sum::<u64>(),
        ),
    ];
    let clients = seen.clients.iter().flatten();
    facts.extend(
        clients.map(|(agent, connections)| Fact::new("client", format!("{agent} ({connections})"))),
    );
    for service in &kuzzles.services {
        facts.push(Fact::new(&service.binding, service.state.to_string()));
    }
    for configuration in &kuzzles.configurations {
        facts.push(Fact::new(
            &configuration.binding,
            format!("{:?}", configuration.mode()),
        ));
    }
    for said in &kuzzles.said {
        facts.push(Fact::new(
            &said.binding,
            json!({
                "version": said.version,
                "storage": said.storage,
                "health": said.health.as_ref().map(|(status, told)| format!("{status} {told}")),
            }),
        ));
    }
    Inventory {
        product: "Kuzzle".into(),
        version: oldest.map(|version| version.to_string()),
        facts,
    }
}
