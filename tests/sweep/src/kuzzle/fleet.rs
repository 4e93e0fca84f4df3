//! What is the same of every site that is upgraded part by part, said of this one; and what must be so at every end.

use liftlock_types::Change;
use serde_json::Value;
use serde_json::json;

use super::collections::ALLOCATION;
use super::collections::Collections;
use super::collections::REPOSITORY;
use super::machines::NEIGHBOUR;
use super::perform;
use super::position;
use super::position::Own;
use super::ways::TO;
use crate::perform::Stage;
use crate::rolling::Fleet;
use crate::rolling::Wrongs;
use crate::rolling::bench::Bench;
use crate::rolling::node::Machine;
use crate::rolling::reference::Reference;
use crate::site::Round;

/// What names of Liftlock's own things begin with.
const OURS: &str = "liftlock";

/// Looks at a service that starts, until it has.
const LOOKS_MAX: usize = 10;

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

    /// Things of Liftlock in the cluster.
    fn own_things(&self) -> Vec<String> {
        let state = self.sim.state_json();
        let of = |things: &Value| -> Vec<String> {
            let names = things.as_object().into_iter().flatten();
            names
                .map(|(name, _)| name.clone())
                .filter(|name| name.contains(OURS))
                .collect()
        };
        let templates = of(&state["templates"]["component"]);
        let indices = of(&state["indices"]);
        templates.into_iter().chain(indices).collect()
    }
}

impl Fleet for Collections {
    type Own = Own;

    /// A node that once ran the new version stays there, and so does the mode once it was told; the backup is kept.
    const STAYS: &'static [&'static str] = &[
        "versions",
        "restarts",
        "mode",
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
        seen["kept"] = json!(self.kept_texts());
        Ok(seen)
    }

    fn seen_but_named(&self, report: &[String]) -> anyhow::Result<Value> {
        let mut seen = self.seen()?;
        let is_named = |name: &str| is_named(report, name);
        for of in ["/cluster/indices", "/cluster/templates/component"] {
            if let Some(all) = seen.pointer_mut(of).and_then(Value::as_object_mut) {
                all.retain(|name, _| {
                    !((name.contains(OURS) || name == ".tasks") && is_named(name))
                });
            }
        }
        for (name, runs) in seen["running"].as_object_mut().into_iter().flatten() {
            // It stays stopped, and what starts it is told.
            let stays = format!("step {name}-stop (");
            if report
                .iter()
                .any(|line| line.starts_with(&stays) && line.contains("stays:"))
            {
                *runs = true.into();
            }
        }
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
        if seen["mode"] == "8" && nodes.into_iter().any(is_old) {
            wrongs
                .lost
                .push("Kuzzle runs in mode 8 on nodes of the old version".into());
        }
        Ok(wrongs)
    }

    fn ours(&self, report: &[String]) -> anyhow::Result<Vec<String>> {
        let things = self.own_things().into_iter();
        Ok(things
            .filter(|name| !is_named(report, name))
            .map(|name| format!("`{name}`"))
            .collect())
    }

    fn taken_and_not_named(&self, report: &str) -> anyhow::Result<Vec<String>> {
        let mut taken = Vec::new();
        for name in self.machines.names() {
            let is_named = report.contains(&format!("{name}-stop"))
                || report.contains(&format!("{name}-start"));
            if self.machines.of(&name).runs().is_none() && !is_named {
                taken.push(format!("service {name} stopped"));
            }
        }
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
            self.bench.server.block_on(service.start(""));
            for _ in 0..LOOKS_MAX {
                if service.look().is_some_and(|node| node.is_ready()) {
                    break;
                }
            }
        }
        let body = json!({"persistent": {ALLOCATION.0: ALLOCATION.1}});
        self.sim
            .call("PUT", "/_cluster/settings", &body.to_string());
        // Copies of a trial restore of which nobody knows the end.
        for name in self.own_things() {
            if name.contains(TRIAL) {
                let path = format!("/{}", name.replace('%', "%25").replace('&', "%26"));
                self.sim.call("DELETE", &path, "");
            }
        }
        Ok(())
    }

    fn is_claimed(&self) -> anyhow::Result<bool> {
        Ok(self.own_things().iter().any(|name| name.contains("claim")))
    }

    /// What is asked of a service manager or a file system on the same machine is done when it is read; a request over a
    /// network can land when nobody expects it.
    fn can_land_late(&self, change: &Change) -> bool {
        !matches!(
            change,
            Change::StopService {}
                | Change::StartService {}
                | Change::SwitchArtifact { .. }
                | Change::KeepFile { .. }
                | Change::EditFile { .. }
        )
    }

    fn own(&self, reference: &Reference) -> Vec<Own> {
        position::all(reference)
    }

    fn perform(stage: &mut Stage<'_, Self>, own: &Own) -> anyhow::Result<()> {
        perform::perform(stage, own)
    }
}
