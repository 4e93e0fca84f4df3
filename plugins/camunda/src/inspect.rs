//! What `inspect` shows of a site.

use liftlock_sdk::prelude::*;

use crate::nodes::Nodes;
use crate::schema::Schema;
use crate::standing::Standing;

/// Schema, database and nodes.
pub(crate) fn inventory(schema: &Schema, nodes: &Nodes) -> Inventory {
    let standing = match &schema.standing {
        Some(Standing::Settled(settled)) => format!("{}, whole", settled.minor),
        Some(Standing::Between(between)) => format!("between {} and {}", between.from, between.to),
        Some(Standing::Damaged { minor, .. }) => format!("{minor}, damaged"),
        None => "not Camunda's".into(),
    };
    let fact = |name: &str, value: Value| Fact {
        name: name.into(),
        value: value.to_string(),
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
    facts.extend(nodes.all.iter().map(|node| {
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
                "state": format!("{:?}", node.state),
            }),
        )
    }));
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
