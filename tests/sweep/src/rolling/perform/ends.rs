//! What must hold at the end of a position: the books of all lives, and the state of the targets.

use std::collections::BTreeMap;

use liftlock_types::Change;
use liftlock_types::Exit;
use serde_json::Value;

use crate::camunda::engines::Engines;
use crate::judge;
use crate::ledger::Seen;
use crate::perform::Finish;
use crate::perform::Stage;
use crate::site::Round;

/// What a rollback leaves, as the plan says: the schema, and the canaries' instances.
const STAYS: [&str; 4] = ["columns", "indexes", "log", "instances"];

/// The table with the marker of a transaction.
const MARKER: &str = "liftlock_marker";

impl Stage<'_, Engines> {
    /// The end of the uninterrupted run, and nothing done more often.
    pub(super) fn must_be_done(&mut self, round: &Round, finish: &Finish) -> anyhow::Result<()> {
        self.must_be_done_but(round, finish, &[])
    }

    /// The same, but for these members of what is seen.
    pub(super) fn must_be_done_but(
        &mut self,
        round: &Round,
        finish: &Finish,
        but: &[&str],
    ) -> anyhow::Result<()> {
        self.judge_engines(round)?;
        match finish {
            Finish::Done => self.same_as_after(but)?,
            Finish::RolledBack => self
                .verdict
                .lost
                .push("the run was rolled back, and nobody asked for that".into()),
            // Its plan did not fit any more when it held the claim: it ended before its first change.
            Finish::Stopped(Exit::Stale | Exit::Blocked, _) => self.same_as_before()?,
            Finish::Stopped(exit, why) => self.verdict.lost.push(format!(
                "the run does not come to its end: exit {}, {why}",
                exit.code()
            )),
        }
        Ok(())
    }

    /// Nodes and servers as before the run; the schema stays.
    pub(super) fn must_be_back(&mut self, round: &Round, finish: &Finish) -> anyhow::Result<()> {
        self.judge_engines(round)?;
        match finish {
            Finish::RolledBack => self.same_as_before()?,
            Finish::Done => self
                .verdict
                .lost
                .push("the run went on to its end instead of back".into()),
            Finish::Stopped(exit, why) => self.verdict.lost.push(format!(
                "the rollback does not come to its end: exit {}, {why}",
                exit.code()
            )),
        }
        Ok(())
    }

    /// The books of all lives, the schema as they say, and what clients had of it.
    pub(super) fn judge_engines(&mut self, round: &Round) -> anyhow::Result<()> {
        self.judge(round);
        self.schema_as_concluded(round);
        self.clients_were_served();
        self.one_instance_each()
    }

    pub(super) fn clients_were_served(&mut self) {
        if self.world.machines.least_serving() == 0 {
            self.verdict
                .lost
                .push("no server served at one moment".into());
        }
        let cut = self.world.machines.cut();
        if cut > 0 {
            self.verdict.lost.push(format!("{cut} requests were cut"));
        }
    }

    /// The last conclusion of each statement is what the catalog shows, and of one that was never sent nothing is there.
    fn schema_as_concluded(&mut self, round: &Round) {
        let mut last = BTreeMap::new();
        for entry in round.ground.ledger.entries() {
            if let Seen::Concluded { step, kind, .. } = entry.seen {
                last.insert(step, kind);
            }
        }
        for (step, change) in &self.reference.acts {
            if !matches!(
                change,
                Change::Execute { .. } | Change::ExecuteTogether { .. }
            ) {
                continue;
            }
            let is_there = (round.ground.truth)(step, change);
            match last.get(step) {
                Some(kind) if kind.is_done() && is_there == Some(false) => {
                    self.verdict.lost.push(format!(
                        "step `{step}` is recorded `{}`, and its effect is gone",
                        kind.as_str()
                    ));
                }
                None if is_there == Some(true) && !self.was_sent(round, step) => {
                    self.verdict.lost.push(format!(
                        "nobody sent step `{step}`, and its effect is there"
                    ));
                }
                _ => {}
            }
        }
    }

    fn was_sent(&self, round: &Round, id: &str) -> bool {
        let entries = round.ground.ledger.entries();
        entries
            .iter()
            .any(|entry| matches!(&entry.seen, Seen::Act { step, .. } if step == id))
    }

    /// No canary was started twice.
    fn one_instance_each(&mut self) -> anyhow::Result<()> {
        for (key, times) in self.world.store.seen()?.instances {
            if times > 1 && !self.names_a_request_for(&key) {
                self.verdict
                    .repeated
                    .push(format!("the instance `{key}` was started {times} times"));
            }
        }
        Ok(())
    }

    /// A person decided that the canary was not started, and the report says that it may land after all.
    fn names_a_request_for(&self, key: &str) -> bool {
        let node = key.rsplit('-').next().unwrap_or_default();
        let named = format!("a request of step {node}-canary was never answered");
        self.left_behind.iter().any(|line| line.contains(&named))
    }

    /// The marker of a step of unknown outcome stays, and a report names it.
    fn names_the_marker(&self) -> bool {
        self.left_behind.iter().any(|line| line.contains(MARKER))
    }

    /// What is to be seen, without what a report names.
    fn seen_and_not_named(&self) -> anyhow::Result<Value> {
        let mut seen = self.world.seen()?;
        if self.names_the_marker() {
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
            if self.names_a_request_for(key) {
                *times = 1.into();
            }
        }
        Ok(seen)
    }

    /// As after the uninterrupted run, but for these members.
    pub(super) fn same_as_after(&mut self, but: &[&str]) -> anyhow::Result<()> {
        let found = without(self.seen_and_not_named()?, but);
        let expected = without(self.reference.after.clone(), but);
        self.differ(&expected, &found);
        Ok(())
    }

    /// As before it, but for what stays.
    pub(super) fn same_as_before(&mut self) -> anyhow::Result<()> {
        let found = without(self.world.seen()?, &STAYS);
        let expected = without(self.reference.before.clone(), &STAYS);
        self.differ(&expected, &found);
        Ok(())
    }

    pub(super) fn differ(&mut self, expected: &Value, found: &Value) {
        let lines = judge::differences(expected, found);
        self.verdict.lost.extend(lines);
    }

    /// Nothing of ours is left in the database.
    pub(super) fn nothing_of_ours(&mut self) -> anyhow::Result<()> {
        let seen = self.world.store.seen()?;
        let named = self.names_the_marker();
        for table in seen.own_tables() {
            if named && table == MARKER {
                continue;
            }
            self.verdict
                .lost
                .push(format!("the table `{table}` was left behind"));
        }
        Ok(())
    }
}

fn without(mut seen: Value, members: &[&str]) -> Value {
    if let Some(all) = seen.as_object_mut() {
        for member in members {
            all.remove(*member);
        }
    }
    seen
}
