//! Somebody else changes something between two lives of a run.

use liftlock_types::facts::traffic::Administrative;
use serde_json::Value;
use serde_json::json;

use super::node_at;
use crate::camunda::engines::Engines;
use crate::camunda::machines::Server;
use crate::camunda::position::Meddling;
use crate::ledger::Place;
use crate::rolling::perform::meddle::Meddles;

/// An artifact that is neither the old nor the new one.
const THIRD: &str = "7.21.9";

/// A column of the script, and its table.
const COLUMN: (&str, &str) = ("ACT_RU_TASK", "TASK_STATE_");

impl Meddles<Engines> for Meddling {
    fn does(&self, world: &mut Engines, place: &Place) -> anyhow::Result<bool> {
        let node = &node_at(place);
        let machines = &world.machines;
        let runs = !machines.seen()["nodes"][node]["runs"].is_null();
        let seen = world.store.seen()?;
        let (table, column) = COLUMN;
        Ok(match self {
            Self::Maintenance => machines.set_state(node, Administrative::Maintenance),
            Self::Ready => {
                machines.seen()["servers"][node]["state"] != "ready"
                    && machines.set_state(node, Administrative::Ready)
            }
            Self::OtherOut => machines.set_state(&other_than(node), Administrative::Maintenance),
            Self::Artifact => {
                machines.switch(node, THIRD);
                true
            }
            Self::Started => {
                machines.start(node, "");
                !runs
            }
            Self::Stopped => {
                // Their own requests are cut, not ours: what is out comes to its end while it is looked at.
                let is_ending = |(name, server, _): &(String, Server, bool)| {
                    name == node
                        && server.administrative != Administrative::Ready
                        && server.current > 0
                };
                while machines.servers().iter().any(is_ending) {}
                machines.stop(node);
                runs
            }
            Self::Column => {
                let is_new = !seen.has_column(table, column);
                if is_new {
                    world.store.ask(&format!(
                        "alter table {table} add column {column} varchar(10)"
                    ))?;
                }
                is_new
            }
            Self::LogRow => {
                let is_new = !seen.log.contains("1100");
                if is_new {
                    world.store.ask(
                        "insert into ACT_GE_SCHEMA_LOG values ('1100', CURRENT_TIMESTAMP, '7.22.77')",
                    )?;
                }
                is_new
            }
            Self::Claim => {
                let is_there = seen.own_tables().contains("liftlock_claim");
                if is_there {
                    world.store.ask("drop table liftlock_claim")?;
                }
                is_there
            }
        })
    }

    fn theirs(&self, world: &Engines, place: &Place) -> anyhow::Result<(Value, Value)> {
        let node = &node_at(place);
        let seen = world.machines.seen();
        Ok(match self {
            Self::Maintenance => (seen["servers"][node]["state"].clone(), json!("maintenance")),
            Self::OtherOut => (
                seen["servers"][other_than(node)]["state"].clone(),
                json!("maintenance"),
            ),
            Self::Column => {
                let (table, column) = COLUMN;
                let wanted = format!("{table}.{column} ").to_lowercase();
                let columns = world.store.seen()?.columns;
                let found = columns.iter().find(|it| it.starts_with(&wanted));
                (
                    json!(found.is_some_and(|it| it.contains("10"))),
                    json!(true),
                )
            }
            Self::LogRow => {
                let row = world
                    .store
                    .ask("select VERSION_ from ACT_GE_SCHEMA_LOG where ID_ = '1100'")?;
                (json!(row.trim()), json!("7.22.77"))
            }
            _ => (Value::Null, Value::Null),
        })
    }

    fn is_of_the_claim(&self) -> bool {
        *self == Self::Claim
    }
}

fn other_than(node: &str) -> String {
    if node == "n1" {
        "n2".into()
    } else {
        "n1".into()
    }
}
