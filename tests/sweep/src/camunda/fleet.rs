//! What is the same of every site that is upgraded part by part, said of engines; and what must be so at every end.

use std::collections::BTreeMap;

use liftlock_types::Change;
use liftlock_types::facts::traffic::Administrative;
use serde_json::Value;

use super::engines::Engines;
use super::perform;
use super::position;
use super::position::Own;
use crate::ledger::Seen;
use crate::perform::Stage;
use crate::rolling::Fleet;
use crate::rolling::Wrongs;
use crate::rolling::bench::Bench;
use crate::rolling::reference::Reference;
use crate::site::Round;

/// The table with the marker of a transaction.
const MARKER: &str = "liftlock_marker";

impl Fleet for Engines {
    type Own = Own;

    /// The schema, and the canaries' instances.
    const STAYS: &'static [&'static str] = &["columns", "indexes", "log", "instances"];

    /// The keys of canaries tell the run.
    const OF_RUNS: &'static [&'static str] = &["instances"];

    fn bench(&self) -> &Bench {
        &self.bench
    }

    fn bench_mut(&mut self) -> &mut Bench {
        &mut self.bench
    }

    fn seen(&self) -> anyhow::Result<Value> {
        self.look()
    }

    fn seen_but_named(&self, report: &[String]) -> anyhow::Result<Value> {
        let mut seen = self.look()?;
        if names_the_marker(report) {
            if let Some(own) = seen["own"].as_array_mut() {
                own.retain(|table| table != MARKER);
            }
            for of in ["columns", "indexes"] {
                if let Some(names) = seen[of].as_object_mut() {
                    names.retain(|name, _| !name.starts_with(MARKER));
                }
            }
        }
        for (key, times) in seen["instances"].as_object_mut().into_iter().flatten() {
            if names_a_request_for(report, key) {
                *times = 1.into();
            }
        }
        Ok(seen)
    }

    fn wrongs(
        &self,
        round: &Round,
        reference: &Reference,
        report: &[String],
    ) -> anyhow::Result<Wrongs> {
        let mut wrongs = Wrongs::default();
        schema_as_concluded(round, reference, &mut wrongs.lost);
        if self.machines.least_serving() == 0 {
            wrongs.lost.push("no server served at one moment".into());
        }
        let cut = self.machines.cut();
        if cut > 0 {
            wrongs.lost.push(format!("{cut} requests were cut"));
        }
        for (key, times) in self.store.seen()?.instances {
            if times > 1 && !names_a_request_for(report, &key) {
                wrongs
                    .repeated
                    .push(format!("the instance `{key}` was started {times} times"));
            }
        }
        Ok(wrongs)
    }

    fn ours(&self, report: &[String]) -> anyhow::Result<Vec<String>> {
        let named = names_the_marker(report);
        let seen = self.store.seen()?;
        let own = seen.own_tables();
        Ok(own
            .iter()
            .filter(|table| !(named && **table == MARKER))
            .map(|table| format!("the table `{table}`"))
            .collect())
    }

    fn taken_and_not_named(&self, report: &str) -> anyhow::Result<Vec<String>> {
        let seen = self.machines.seen();
        let mut taken = Vec::new();
        for name in self.units() {
            let name = name.as_str();
            let state = &seen["servers"][name]["state"];
            let is_named =
                report.contains(&format!("/{name} ")) || report.contains(&format!("{name}-drain"));
            if *state != "ready" && !is_named {
                taken.push(format!("server {name} in state {state}"));
            }
            let is_named = report.contains(&format!("{name}-stop"))
                || report.contains(&format!("{name}-start"));
            if seen["nodes"][name]["runs"].is_null() && !is_named {
                taken.push(format!("node {name} stopped"));
            }
        }
        Ok(taken)
    }

    fn give_back_by_hand(&self) -> anyhow::Result<()> {
        for name in self.units() {
            let name = name.as_str();
            self.machines.start(name, "");
            while !self.machines.is_ready(name) {
                self.machines.look_at(name);
            }
            self.machines.set_state(name, Administrative::Ready);
        }
        Ok(())
    }

    fn is_claimed(&self) -> anyhow::Result<bool> {
        Ok(!self.store.seen()?.own_tables().is_empty())
    }

    /// A command to a balancer or a service manager on the same machine is carried out when it is read, and the settle
    /// time is longer than that; a request over a network, or a statement that waits for a lock, can land when nobody
    /// expects it.
    fn can_land_late(&self, change: &Change) -> bool {
        matches!(
            change,
            Change::Execute { .. } | Change::ExecuteTogether { .. } | Change::EndpointRequest(_)
        )
    }

    fn own(&self, reference: &Reference) -> Vec<Own> {
        position::all(reference, &self.units())
    }

    fn perform(stage: &mut Stage<'_, Self>, own: &Own) -> anyhow::Result<()> {
        perform::perform(stage, own)
    }
}

/// The last conclusion of each statement is what the catalog shows, and of one that was never sent nothing is there.
fn schema_as_concluded(round: &Round, reference: &Reference, lost: &mut Vec<String>) {
    let mut last = BTreeMap::new();
    for entry in round.ground.ledger.entries() {
        if let Seen::Concluded { step, kind, .. } = entry.seen {
            last.insert(step, kind);
        }
    }
    for (step, change) in &reference.acts {
        if !matches!(
            change,
            Change::Execute { .. } | Change::ExecuteTogether { .. }
        ) {
            continue;
        }
        let is_there = (round.ground.truth)(step, change);
        match last.get(step) {
            Some(kind) if kind.is_done() && is_there == Some(false) => lost.push(format!(
                "step `{step}` is recorded `{}`, and its effect is gone",
                kind.as_str()
            )),
            None if is_there == Some(true) && !was_sent(round, step) => {
                lost.push(format!(
                    "nobody sent step `{step}`, and its effect is there"
                ));
            }
            _ => {}
        }
    }
}

fn was_sent(round: &Round, id: &str) -> bool {
    let entries = round.ground.ledger.entries();
    entries
        .iter()
        .any(|entry| matches!(&entry.seen, Seen::Act { step, .. } if step == id))
}

/// A person decided that the canary was not started, and the report says that it may land after all.
fn names_a_request_for(report: &[String], key: &str) -> bool {
    let node = key.rsplit('-').next().unwrap_or_default();
    let named = format!("a request of step {node}-canary was never answered");
    report.iter().any(|line| line.contains(&named))
}

/// The marker of a step of unknown outcome stays, and a report names it.
fn names_the_marker(report: &[String]) -> bool {
    report.iter().any(|line| line.contains(MARKER))
}
