//! What `inspect` shows of a site.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;

use crate::nodes::{Node, Nodes};
use crate::schema::Schema;
use crate::standing::Standing;

/// Most nodes that are shown one by one. Where there are more, nobody reads them, and the host takes 1,000 facts at most.
const NODES_TOLD_MAX: usize = 500;

/// Schema, database and nodes.
pub(crate) fn inventory(schema: &Schema, nodes: &Nodes) -> Inventory {
    let standing = match &schema.standing {
        Some(Standing::Settled(settled)) => format!("{}, whole", settled.minor),
        Some(Standing::Between(between)) => format!("between {} and {}", between.from, between.to),
        Some(Standing::Damaged { minor, .. }) => format!("{minor}, damaged"),
        None => "not Camunda's".into(),
    };
    let mut facts = vec![
        fact("schema", json!(standing)),
        fact("scripts", json!(schema.family.name())),
        fact(
            "database",
            json!(format!(
                "{:?} {}",
                schema.identity.product, schema.identity.version
            )),
        ),
        fact("isolation", json!(schema.identity.isolation)),
        fact("tables", json!(schema.tables.len())),
    ];
    facts.extend(of_nodes(nodes));
    let versions: Vec<&String> = nodes
        .all
        .iter()
        .filter_map(|node| node.said.version.as_ref())
        .collect();
    Inventory {
        product: "Camunda 7".into(),
        version: versions.iter().min().map(ToString::to_string),
        facts,
    }
}

fn fact(name: &str, value: Value) -> Fact {
    Fact {
        name: name.into(),
        value: value.to_string(),
    }
}

fn of_nodes(nodes: &Nodes) -> Vec<Fact> {
    if nodes.all.len() > NODES_TOLD_MAX {
        pools(nodes)
    } else {
        nodes.all.iter().map(one).collect()
    }
}

fn one(node: &Node) -> Fact {
    let servers: Vec<String> = node
        .places
        .iter()
        .map(|place| format!("{}/{}", place.backend, place.server))
        .collect();
    fact(
        &node.binding,
        json!({
            "pool": node.pool,
            "version": node.said.version,
            "runs": node.artifact,
            "servers": servers,
            "state": node.state.to_string(),
        }),
    )
}

/// How many nodes each pool has, by what they run and how they stand.
fn pools(nodes: &Nodes) -> Vec<Fact> {
    let mut pools: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    for node in &nodes.all {
        let version = node.said.version.as_deref().unwrap_or("unknown");
        let standing = format!("{version}, {}", node.state);
        *pools
            .entry(&node.pool)
            .or_default()
            .entry(standing)
            .or_default() += 1;
    }
    let told = |(pool, standing): (&str, BTreeMap<String, usize>)| {
        fact(&format!("nodes of pool {pool}"), json!(standing))
    };
    pools.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::Said;

    fn nodes(count: usize) -> Nodes {
        let node = |number: usize| Node {
            name: format!("node-{number}"),
            binding: format!("service.node-{number}"),
            pool: if number.is_multiple_of(2) {
                "even"
            } else {
                "odd"
            }
            .into(),
            runs_jobs: true,
            endpoint: "endpoint.node".into(),
            places: Vec::new(),
            state: State::Ready,
            artifact: None,
            available: Vec::new(),
            said: Said {
                version: (number > 0).then(|| "7.22.0".into()),
                ..Said::default()
            },
            online: None,
        };
        Nodes {
            all: (0..count).map(node).collect(),
            ..Nodes::default()
        }
    }

    #[test]
    fn more_nodes_than_anybody_reads_are_counted_by_pool() {
        assert_eq!(of_nodes(&nodes(NODES_TOLD_MAX)).len(), NODES_TOLD_MAX);
        let told = of_nodes(&nodes(1_000));
        let told: Vec<(&str, &str)> = told
            .iter()
            .map(|fact| (fact.name.as_str(), fact.value.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (
                    "nodes of pool even",
                    r#"{"7.22.0, ready":499,"unknown, ready":1}"#
                ),
                ("nodes of pool odd", r#"{"7.22.0, ready":500}"#),
            ]
        );
    }
}
