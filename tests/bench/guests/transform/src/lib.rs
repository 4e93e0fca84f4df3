//! A plugin as its authors write it, whose transformation leaves each document as it is: what is measured is the way
//! there and back.

use liftlock_sdk::prelude::*;
use liftlock_sdk::serde_json;

struct Bench;

const DATABASE: &str = "cluster.database";

/// What the bench fills, and what it wants filled.
const SOURCE: &str = "bench-source";
const DESTINATION: &str = "bench-transformed";

/// What both are made with, and those that the peers fill.
const INDEX: &str = include_str!("../index.json");

impl Plugin for Bench {
    fn describe() -> Descriptor {
        Descriptor {
            product: "bench".into(),
            name: "bench-transform".into(),
            version: "0.1.0".into(),
            summary: "is measured".into(),
            edges: vec![describe::edge("1", "2", "")],
            requests: vec![
                describe::one(DATABASE, "it holds the documents")
                    .verb("cluster.read", &["bench-*"], "how many there are")
                    .verb("cluster.create-index", &[DESTINATION], "to be filled")
                    .verb("cluster.transform", &["bench-*"], "to be measured"),
            ],
            options: vec![],
            findings: vec![],
            more: vec![],
        }
    }

    fn inspect(_: &Site) -> Result<Inventory> {
        Ok(Inventory {
            product: "bench".into(),
            version: Some("1".into()),
            facts: vec![],
        })
    }

    fn check(_: &Site, _: &Run, _: &Target) -> Result<Vec<Finding>> {
        Ok(vec![])
    }

    fn plan(site: &Site, _: &Run, _: &Target, plan: &Plan<'_>) -> std::result::Result<(), Refusal> {
        let database = Cluster::open(site, DATABASE)?;
        let body: Value =
            serde_json::from_str(INDEX).map_err(|error| Error::Invalid(error.to_string()))?;
        plan.step("make", Phase::Expand, "make the destination")
            .does(database.create_index(DESTINATION, &body))
            .add()?;
        plan.step("fill", Phase::Expand, "all documents through the plugin")
            .does(database.transform(&TransformingInto {
                source: SOURCE.into(),
                destination: DESTINATION.into(),
                query: None,
                name: "identity".into(),
                on_rejected: OnRejected::Stop,
            }))
            .after("make")
            .add()?;
        Ok(())
    }

    fn validate(_: &Site, _: &Run, _: &Target) -> Result<Vec<Finding>> {
        Ok(vec![])
    }
}

impl Transforming for Bench {
    fn transform(_: &str, _: &str, source: Value) -> std::result::Result<Value, String> {
        Ok(source)
    }
}

liftlock_sdk::export!(Bench, transforming);
