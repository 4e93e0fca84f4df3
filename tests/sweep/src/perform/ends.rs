//! What must hold at the end of a position: the books of all lives, and the state of the target.

use std::collections::BTreeMap;

use liftlock_types::Exit;

use super::Finish;
use super::Stage;
use crate::judge;
use crate::judge::Doubt;
use crate::ledger::Seen;
use crate::site::Round;
use crate::site::Site;
use crate::world::World;

impl<S: Site> Stage<'_, S> {
    /// What the books of all lives say, whatever the run came to.
    pub(crate) fn judge(&mut self, round: &Round) {
        let entries = round.ground.ledger.entries();
        self.verdict.repeated.extend(judge::repeated(&entries));
        self.verdict.guessed.extend(judge::guessed(&entries));
        let unrecorded = self.unrecorded(&[round]);
        for line in unrecorded {
            if !self.verdict.lost.contains(&line) {
                self.verdict.lost.push(line);
            }
        }
    }

    /// What was sent without a durable intent.
    pub(crate) fn unrecorded(&self, rounds: &[&Round]) -> Vec<String> {
        let rows: Vec<_> = rounds
            .iter()
            .flat_map(|round| self.world.rows(round))
            .collect();
        let entries = rounds.first().map(|round| round.ground.ledger.entries());
        let mut lines = Vec::new();
        let mut sent: BTreeMap<String, usize> = BTreeMap::new();
        for entry in entries.unwrap_or_default() {
            if let Seen::Act { step, .. } = entry.seen {
                *sent.entry(step).or_default() += 1;
            }
        }
        for (step, times) in sent {
            let intents = rows
                .iter()
                .filter(|row| row.kind == "intent" && row.step.as_deref() == Some(&step))
                .count();
            if intents < times {
                lines.push(format!(
                    "step `{step}` was sent {times} times, and the journal knows of {intents}"
                ));
            }
        }
        lines
    }

    /// Whether a run came to its end whose journal had lost its last rows. What was done last is not known any more, so
    /// that a person may have to look instead.
    pub(crate) fn ended_without_its_tail(&mut self, finish: Finish) -> bool {
        match finish {
            Finish::Done => return true,
            Finish::Stopped(exit, why) => {
                if self.verdict.doubts.is_empty() {
                    // Which row of which file is another one at each position.
                    let why = why.split(": r").next().unwrap_or_default();
                    self.verdict.doubts.push(Doubt {
                        step: String::new(),
                        why: format!("exit {}, {why}", exit.code()),
                    });
                }
            }
            Finish::RolledBack => self.verdict.lost.push("it was rolled back".into()),
        }
        false
    }
}

impl Stage<'_, World> {
    /// The end of the uninterrupted run, and nothing done more often.
    pub(super) fn must_be_done(&mut self, round: &Round, finish: &Finish) {
        self.judge(round);
        self.must_have_ended(round, finish);
    }

    pub(super) fn must_have_ended(&mut self, round: &Round, finish: &Finish) {
        match finish {
            Finish::Done => {
                self.same_as_after();
                self.nothing_twice(round);
            }
            Finish::RolledBack => self
                .verdict
                .lost
                .push("the run was rolled back, and nobody asked for that".into()),
            // Its plan did not fit any more when it held the claim: it ended before its first change.
            Finish::Stopped(Exit::Stale | Exit::Blocked, _) => self.same_as_before(),
            Finish::Stopped(exit, why) => self.verdict.lost.push(format!(
                "the run does not come to its end: exit {}, {why}",
                exit.code()
            )),
        }
    }

    /// Nothing had its effect more often than in the uninterrupted run.
    pub(super) fn nothing_twice(&mut self, round: &Round) {
        let entries = round.ground.ledger.entries();
        let records = judge::without_unfinished(self.world.records(round), &entries);
        let effects = judge::effects(&records);
        self.verdict
            .repeated
            .extend(judge::more_than(&effects, &self.reference.effects));
    }

    /// The target as it was before the run; the snapshot stays.
    pub(super) fn must_be_back(&mut self, round: &Round, finish: &Finish) {
        self.judge(round);
        match finish {
            Finish::RolledBack => self.same_as_before(),
            Finish::Done => self
                .verdict
                .lost
                .push("the run went on to its end instead of back".into()),
            Finish::Stopped(exit, why) => self.verdict.lost.push(format!(
                "the rollback does not come to its end: exit {}, {why}",
                exit.code()
            )),
        }
    }

    pub(super) fn same_as_after(&mut self) {
        let found = self.world.sim.state_json();
        let lines = judge::differences(&self.reference.after, &found);
        self.verdict
            .lost
            .extend(judge::unnamed(lines, &self.left_behind));
    }

    pub(super) fn same_as_before(&mut self) {
        let found = self.world.sim.state_json();
        let lines = judge::differences(&self.reference.before, &found);
        let lines = judge::unnamed(lines, &self.left_behind);
        self.verdict.lost.extend(
            lines
                .into_iter()
                .filter(|line| !line.contains("/snapshots")),
        );
        if !self.world.optimize.is_running() {
            self.verdict
                .lost
                .push("the service was not started again".into());
        }
    }
}
