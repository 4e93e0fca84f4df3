//! What is the same of every site that is disturbed between gate and capabilities, said of this one; and what must be so
//! at every end.

use std::collections::BTreeMap;

use liftlock_testkit::SimCluster;
use liftlock_types::Change;
use serde_json::Value;
use serde_json::json;

use super::Pair;
use super::perform;
use super::position;
use super::position::Own;
use crate::kuzzle::ground;
use crate::kuzzle::ground::COLLECTIONS;
use crate::kuzzle::ground::REPOSITORY;
use crate::kuzzle::ground::TEXT;
use crate::kuzzle::machines::KUZZLE;
use crate::kuzzle::ways::NEW_ADDRESS;
use crate::kuzzle::ways::OLD_ADDRESS;
use crate::perform::Stage;
use crate::rolling::Fleet;
use crate::rolling::Wrongs;
use crate::rolling::bench::Bench;
use crate::rolling::node::Machine;
use crate::rolling::reference::Reference;
use crate::site::Round;

/// Of a collection what Kuzzle knows of it.
const OF_KUZZLE: [&str; 3] = ["docs", "mappings", "aliases"];

/// Documents, mapping and aliases of each collection that a cluster has.
fn collections(sim: &SimCluster) -> BTreeMap<&'static str, Vec<Value>> {
    let indices = &sim.state_json()["indices"];
    let there = COLLECTIONS
        .iter()
        .filter(|(name, _)| indices[name].is_object());
    there
        .map(|(name, _)| {
            let of = OF_KUZZLE.map(|member| indices[name][member].clone());
            (*name, of.to_vec())
        })
        .collect()
}

/// What was taken lies in a store that both clusters show; it is looked at by itself.
fn without_snapshots(mut cluster: Value) -> Value {
    for (_, repository) in cluster["repositories"]
        .as_object_mut()
        .into_iter()
        .flatten()
    {
        repository["snapshots"].take();
    }
    cluster
}

impl Pair {
    /// How often each index came to the new cluster by a restore.
    fn restored(&self) -> BTreeMap<String, u32> {
        let mut times = BTreeMap::new();
        for record in self.new.records() {
            let is_done = record.applied && record.status.is_some_and(|status| status < 300);
            if is_done && record.path.ends_with("/_restore") {
                let body: Value = record.body.parse().unwrap_or_default();
                for name in body["indices"].as_str().unwrap_or_default().split(',') {
                    *times.entry(name.to_owned()).or_default() += 1;
                }
            }
        }
        times
    }

    /// Every snapshot in the store by its name; whichever cluster the store is registered on.
    pub(super) fn snapshots(&self) -> Value {
        let stores = [&self.old, &self.new].map(|sim| {
            let mut state = sim.state_json();
            state["repositories"][REPOSITORY]["snapshots"].take()
        });
        let registered = stores.into_iter().find(Value::is_array);
        registered.unwrap_or_default()
    }
}

impl Fleet for Pair {
    type Own = Own;

    /// The backups are kept, and so is the copy of the configuration.
    const STAYS: &'static [&'static str] = &["restarts", "kept", "snapshots"];

    /// Names of snapshots tell the run, and what is done again is done twice.
    const OF_RUNS: &'static [&'static str] = &["restarts", "kept", "snapshots"];

    fn bench(&self) -> &Bench {
        &self.bench
    }

    fn bench_mut(&mut self) -> &mut Bench {
        &mut self.bench
    }

    fn seen(&self) -> anyhow::Result<Value> {
        let mut seen = self.machines.seen();
        seen["snapshots"] = self.snapshots();
        seen["old"] = without_snapshots(self.old.state_json());
        seen["new"] = without_snapshots(self.new.state_json());
        seen["configuration"] = json!(self.machines.configuration());
        seen["kept"] = json!(ground::kept_texts(&self.bench));
        Ok(seen)
    }

    fn seen_but_named(&self, report: &[String]) -> anyhow::Result<Value> {
        let mut seen = self.seen()?;
        let is_named = |name: &str| report.iter().any(|line| line.contains(name));
        for cluster in ["old", "new"] {
            ground::without_named(&mut seen[cluster], &is_named);
        }
        ground::started_as_told(&mut seen, report);
        // What clients wrote to meanwhile stays, with all that belongs to it.
        let stays = |line: &&String| line.contains("what step restore (") && line.contains("stays");
        if let (Some(line), Some(all)) = (
            report.iter().find(stays),
            seen["new"]["indices"].as_object_mut(),
        ) {
            all.retain(|name, _| !line.contains(name.as_str()));
        }
        Ok(seen)
    }

    fn wrongs(&self, _: &Round, _: &Reference, _: &[String]) -> anyhow::Result<Wrongs> {
        let mut wrongs = Wrongs::default();
        let old = self.old.full_state_json();
        for (name, was) in self.untouched.as_object().into_iter().flatten() {
            if old["indices"][name] != *was {
                let line = format!("`{name}` of the old cluster is not what it was");
                wrongs.lost.push(line);
            }
        }
        if let Some(told) = self.machines.told() {
            match (told.mode.as_str(), told.node.as_str()) {
                ("7", OLD_ADDRESS) => {}
                ("8", NEW_ADDRESS) => {
                    if collections(&self.new) != collections(&self.old) {
                        let line = "Kuzzle runs on the new cluster, which has not all that the old one has";
                        wrongs.lost.push(line.into());
                    }
                }
                _ => wrongs.lost.push(format!("Kuzzle runs as {told:?}")),
            }
        }
        for (name, times) in self.restored() {
            if times > 1 {
                let line = format!("`{name}` was restored {times} times");
                wrongs.repeated.push(line);
            }
        }
        Ok(wrongs)
    }

    fn ours(&self, report: &[String]) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        for (whose, sim) in [("old", &self.old), ("new", &self.new)] {
            for name in ground::own_things(sim) {
                if !report.iter().any(|line| line.contains(&name)) {
                    found.push(format!("`{name}` on the {whose} cluster"));
                }
            }
        }
        Ok(found)
    }

    fn taken_and_not_named(&self, report: &str) -> anyhow::Result<Vec<String>> {
        let mut taken = ground::stopped_and_not_named(&self.machines, report);
        if self
            .machines
            .told()
            .is_some_and(|told| told.node == NEW_ADDRESS)
        {
            // It is where it was to go.
            return Ok(taken);
        }
        for name in collections(&self.new).keys() {
            if !report.contains(name) && !report.contains("restore") {
                taken.push(format!("`{name}` on the new cluster"));
            }
        }
        if self.machines.configuration() != TEXT && !report.contains("kuzzle-address") {
            taken.push("Kuzzle's configuration changed".into());
        }
        Ok(taken)
    }

    /// All of it goes back to the old cluster.
    fn give_back_by_hand(&self) -> anyhow::Result<()> {
        if self.machines.configuration() != TEXT {
            let kuzzle = self.machines.of(KUZZLE);
            self.bench.server.block_on(kuzzle.stop());
            self.machines.configure(TEXT)?;
        }
        ground::start_by_hand(&self.bench, &self.machines, KUZZLE);
        for name in collections(&self.new).keys() {
            let path = format!("/{}", ground::in_path(name));
            self.new.call("DELETE", &path, "");
        }
        // What comes there now is another run's.
        self.new.clear_records();
        Ok(())
    }

    fn is_claimed(&self) -> anyhow::Result<bool> {
        let mut things = ground::own_things(&self.old);
        things.extend(ground::own_things(&self.new));
        Ok(things.iter().any(|name| name.contains("claim")))
    }

    fn can_land_late(&self, change: &Change) -> bool {
        ground::can_land_late(change)
    }

    fn own(&self, reference: &Reference) -> Vec<Own> {
        position::all(reference)
    }

    fn perform(stage: &mut Stage<'_, Self>, own: &Own) -> anyhow::Result<()> {
        perform::perform(stage, own)
    }
}
