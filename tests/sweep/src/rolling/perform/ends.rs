//! What must hold at the end of a position: the books of all lives, and the state of the targets.

use liftlock_types::Exit;
use serde_json::Value;

use crate::judge;
use crate::perform::Finish;
use crate::perform::Stage;
use crate::rolling::Fleet;
use crate::site::Round;

impl<F: Fleet> Stage<'_, F> {
    /// The end of the uninterrupted run, and nothing done more often.
    pub(crate) fn must_be_done(&mut self, round: &Round, finish: &Finish) -> anyhow::Result<()> {
        self.must_be_done_but(round, finish, &[])
    }

    /// The same, but for these members of what is seen.
    pub(crate) fn must_be_done_but(
        &mut self,
        round: &Round,
        finish: &Finish,
        but: &[&str],
    ) -> anyhow::Result<()> {
        self.judge_all(round)?;
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

    /// As before the run, but for what stays.
    pub(crate) fn must_be_back(&mut self, round: &Round, finish: &Finish) -> anyhow::Result<()> {
        self.judge_all(round)?;
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

    /// The books of all lives, and what may be at no end.
    pub(crate) fn judge_all(&mut self, round: &Round) -> anyhow::Result<()> {
        self.judge(round);
        self.no_wrongs(round)
    }

    /// What may be at no end.
    pub(crate) fn no_wrongs(&mut self, round: &Round) -> anyhow::Result<()> {
        let wrongs = self
            .world
            .wrongs(round, self.reference, &self.left_behind)?;
        self.verdict.lost.extend(wrongs.lost);
        self.verdict.repeated.extend(wrongs.repeated);
        Ok(())
    }

    /// As after the uninterrupted run, but for these members.
    pub(crate) fn same_as_after(&mut self, but: &[&str]) -> anyhow::Result<()> {
        let found = without(self.world.seen_but_named(&self.left_behind)?, but);
        let expected = without(self.reference.after.clone(), but);
        self.differ(&expected, &found);
        Ok(())
    }

    /// As before it, but for what stays.
    pub(crate) fn same_as_before(&mut self) -> anyhow::Result<()> {
        let found = without(self.world.seen_but_named(&self.left_behind)?, F::STAYS);
        let expected = without(self.reference.before.clone(), F::STAYS);
        self.differ(&expected, &found);
        Ok(())
    }

    pub(crate) fn differ(&mut self, expected: &Value, found: &Value) {
        let lines = judge::differences(expected, found);
        self.verdict.lost.extend(lines);
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
