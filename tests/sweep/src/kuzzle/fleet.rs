//! What is the same of every site that is upgraded part by part, said of this one; and what must be so at every end.

use liftlock_types::Change;
use serde_json::Value;
use serde_json::json;

use super::collections::ALLOCATION;
use super::collections::Collections;
use super::disturbed;
use super::ground;
use super::ground::REPOSITORY;
use super::machines::NEIGHBOUR;
use super::perform;
use super::position::Own;
use super::ways::TO;
use crate::perform::Stage;
use crate::rolling::Fleet;
use crate::rolling::Wrongs;
use crate::rolling::bench::Bench;
use crate::rolling::node::Machine;
use crate::rolling::reference::Reference;
use crate::site::Round;

/// What names of the copies of the plan's trial restore hold.
const TRIAL: &str = "-prove-snapshot-";

/// A report names it, or the step whose id is in its name.
fn is_named(report: &[String], name: &str) -> bool {
    let of_the_trial = [
        "a request of step prove-snapshot was never answered",
        "names of the restored copies hold run and step",
    ];
    report.iter().any(|line| {
        line.contains(name)
            || (name.contains(TRIAL) && of_the_trial.iter().any(|told| line.contains(told)))
    })
}

impl Collections {
    fn allocation(&self) -> Value {
        let path = "/_cluster/settings?flat_settings=true";
        self.sim.call("GET", path, "").1["persistent"][ALLOCATION.0].clone()
    }
}

impl Fleet for Collections {
    type Own = Own;

    /// A node that once ran the new version stays there, and so does the mode once it was told; the backup is kept.
    const STAYS: &'static [&'static str] = &[
        "versions",
        "restarts",
        "told",
        "configuration",
        "kept",
        "snapshots",
    ];

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
        let mut cluster = self.sim.state_json();
        seen["snapshots"] = cluster["repositories"][REPOSITORY]["snapshots"].take();
        // Its documents are looked at by themselves.
        cluster["indices"][NEIGHBOUR]["docs"].take();
        cluster["indices"][NEIGHBOUR]["mappings"].take();
        seen["cluster"] = cluster;
        seen["configuration"] = json!(self.machines.configuration());
        seen["kept"] = json!(ground::kept_texts(&self.bench));
        Ok(seen)
    }

    fn seen_but_named(&self, report: &[String]) -> anyhow::Result<Value> {
        let mut seen = self.seen()?;
        let is_named = |name: &str| is_named(report, name);
        ground::without_named(&mut seen["cluster"], &is_named);
        ground::started_as_told(&mut seen, report);
        // A request can land after the end; then somebody was told which value is to be set.
        let told = format!("was \"{}\"", ALLOCATION.1);
        let is_told = |line: &String| {
            line.contains("never answered") && line.contains(ALLOCATION.0) && line.contains(&told)
        };
        let path = format!(
            "/cluster/cluster_settings/persistent/{}",
            ALLOCATION.0.replace('.', "/")
        );
        if let (true, Some(value)) = (report.iter().any(is_told), seen.pointer_mut(&path)) {
            *value = ALLOCATION.1.into();
        }
        Ok(seen)
    }

    fn wrongs(&self, _: &Round, _: &Reference, _: &[String]) -> anyhow::Result<Wrongs> {
        let mut wrongs = Wrongs {
            lost: self.machines.outages(),
            ..Wrongs::default()
        };
        for id in self.machines.missing() {
            wrongs
                .lost
                .push(format!("`{id}` was written by somebody else, and is gone"));
        }
        let seen = self.machines.seen();
        let nodes = seen["versions"].as_object().into_iter().flatten();
        let is_old = |(name, node): (&String, &Value)| {
            name.starts_with("node-") && !node["runs"].is_null() && node["runs"] != TO
        };
        if seen["told"][0] == "8" && nodes.into_iter().any(is_old) {
            wrongs
                .lost
                .push("Kuzzle runs in mode 8 on nodes of the old version".into());
        }
        Ok(wrongs)
    }

    fn ours(&self, report: &[String]) -> anyhow::Result<Vec<String>> {
        let things = ground::own_things(&self.sim).into_iter();
        Ok(things
            .filter(|name| !is_named(report, name))
            .map(|name| format!("`{name}`"))
            .collect())
    }

    fn taken_and_not_named(&self, report: &str) -> anyhow::Result<Vec<String>> {
        let mut taken = ground::stopped_and_not_named(&self.machines, report);
        let value = self.allocation();
        // Neutral: it is given back at every end.
        if value != ALLOCATION.1 && !report.contains(ALLOCATION.0) && !report.contains("-hold") {
            taken.push(format!("`{}` at {value}", ALLOCATION.0));
        }
        Ok(taken)
    }

    fn give_back_by_hand(&self) -> anyhow::Result<()> {
        let names = self.machines.names();
        // No node of the old version can join new ones.
        let is_new = names
            .iter()
            .filter(|name| name.starts_with("node-"))
            .filter_map(|name| self.machines.of(name).runs())
            .all(|runs| runs == TO);
        for name in names {
            let service = self.machines.of(&name);
            if is_new && name.starts_with("node-") && service.runs().is_none() {
                service.switch(TO);
            }
            ground::start_by_hand(&self.bench, &self.machines, &name);
        }
        let body = json!({"persistent": {ALLOCATION.0: ALLOCATION.1}});
        self.sim
            .call("PUT", "/_cluster/settings", &body.to_string());
        // Copies of a trial restore of which nobody knows the end.
        for name in ground::own_things(&self.sim) {
            if name.contains(TRIAL) {
                let path = format!("/{}", ground::in_path(&name));
                self.sim.call("DELETE", &path, "");
            }
        }
        Ok(())
    }

    fn is_claimed(&self) -> anyhow::Result<bool> {
        let things = ground::own_things(&self.sim);
        Ok(things.iter().any(|name| name.contains("claim")))
    }

    fn can_land_late(&self, change: &Change) -> bool {
        ground::can_land_late(change)
    }

    fn own(&self, reference: &Reference) -> Vec<Own> {
        disturbed::all(reference)
    }

    fn perform(stage: &mut Stage<'_, Self>, own: &Own) -> anyhow::Result<()> {
        perform::perform(stage, own)
    }
}
