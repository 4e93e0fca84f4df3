//! Somebody else changes something between two lives of a run.

use liftlock_types::facts::traffic::Administrative;
use serde_json::Value;
use serde_json::json;

use crate::camunda::engines::Engines;
use crate::camunda::machines::Server;
use crate::camunda::position::Meddling;
use crate::ledger::Place;
use crate::perform::Finish;
use crate::perform::Stage;
use crate::site::Site;

/// An artifact that is neither the old nor the new one.
const THIRD: &str = "7.21.9";

/// A column of the script, and its table.
const COLUMN: (&str, &str) = ("ACT_RU_TASK", "TASK_STATE_");

impl Stage<'_, Engines> {
    /// What is somebody else's is there at the end, whatever becomes of the run.
    pub(super) fn meddled_with(&mut self, place: &Place, meddling: Meddling) -> anyhow::Result<()> {
        let mut round = self.killed_at(place)?;
        let node = self.node_at(place);
        if !self.meddle(&node, meddling)? {
            return Ok(());
        }
        self.world.machines.forget_least();
        let finish = self.drive(&mut round, None)?;
        self.judge(&round);
        let theirs = self.theirs(&node, meddling)?;
        if theirs.0 != theirs.1 {
            self.verdict.lost.push(format!(
                "{meddling:?} was somebody else's, and is {} now, not {}",
                theirs.0, theirs.1
            ));
        }
        let is_over = self
            .world
            .rows(&round)
            .iter()
            .any(|row| row.kind == "run-ended");
        match finish {
            Finish::RolledBack => self.verdict.lost.push("it was rolled back".into()),
            // A claim that somebody removed is a lost one: nothing of that run is sent any more (gate, rule 5).
            Finish::Stopped(..) if is_over || meddling == Meddling::Claim => {}
            Finish::Stopped(..) if !self.world.rows(&round).is_empty() => {
                // What is out or stopped now may be theirs.
                self.abort(&mut round)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// False: there is nothing of that sort to be changed here.
    fn meddle(&mut self, node: &str, meddling: Meddling) -> anyhow::Result<bool> {
        let world = &*self.world;
        let machines = &world.machines;
        let runs = !machines.seen()["nodes"][node]["runs"].is_null();
        let seen = world.store.seen()?;
        let (table, column) = COLUMN;
        Ok(match meddling {
            Meddling::Maintenance => machines.set_state(node, Administrative::Maintenance),
            Meddling::Ready => {
                machines.seen()["servers"][node]["state"] != "ready"
                    && machines.set_state(node, Administrative::Ready)
            }
            Meddling::OtherOut => {
                machines.set_state(&other_than(node), Administrative::Maintenance)
            }
            Meddling::Artifact => {
                machines.switch(node, THIRD);
                true
            }
            Meddling::Started => {
                machines.start(node, "");
                !runs
            }
            Meddling::Stopped => {
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
            Meddling::Column => {
                let is_new = !seen.has_column(table, column);
                if is_new {
                    world.store.ask(&format!(
                        "alter table {table} add column {column} varchar(10)"
                    ))?;
                }
                is_new
            }
            Meddling::LogRow => {
                let is_new = !seen.log.contains("1100");
                if is_new {
                    world.store.ask(
                        "insert into ACT_GE_SCHEMA_LOG values ('1100', CURRENT_TIMESTAMP, '7.22.77')",
                    )?;
                }
                is_new
            }
            Meddling::Claim => {
                let is_there = seen.own_tables().contains("liftlock_claim");
                if is_there {
                    world.store.ask("drop table liftlock_claim")?;
                }
                is_there
            }
        })
    }

    /// What is there of theirs, and what should be.
    fn theirs(&self, node: &str, meddling: Meddling) -> anyhow::Result<(Value, Value)> {
        let seen = self.world.machines.seen();
        Ok(match meddling {
            Meddling::Maintenance => (seen["servers"][node]["state"].clone(), json!("maintenance")),
            Meddling::OtherOut => (
                seen["servers"][other_than(node)]["state"].clone(),
                json!("maintenance"),
            ),
            Meddling::Column => {
                let (table, column) = COLUMN;
                let wanted = format!("{table}.{column} ").to_lowercase();
                let columns = self.world.store.seen()?.columns;
                let found = columns.iter().find(|it| it.starts_with(&wanted));
                (
                    json!(found.is_some_and(|it| it.contains("10"))),
                    json!(true),
                )
            }
            Meddling::LogRow => {
                let row = self
                    .world
                    .store
                    .ask("select VERSION_ from ACT_GE_SCHEMA_LOG where ID_ = '1100'")?;
                (json!(row.trim()), json!("7.22.77"))
            }
            _ => (Value::Null, Value::Null),
        })
    }
}

fn other_than(node: &str) -> String {
    if node == "n1" {
        "n2".into()
    } else {
        "n1".into()
    }
}
