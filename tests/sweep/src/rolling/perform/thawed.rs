//! A runner freezes, another takes over and comes to the end, and the first goes on.

use std::time::Instant;

use liftlock_gate::End;
use liftlock_types::Exit;

use crate::judge;
use crate::ledger::Place;
use crate::life::Told;
use crate::life::Work;
use crate::perform::Finish;
use crate::perform::Stage;
use crate::perform::beside;
use crate::rolling::Fleet;
use crate::script::Script;
use crate::site::RUN;
use crate::site::Round;

impl<F: Fleet> Stage<'_, F> {
    /// A runner is frozen, another one takes over and comes to the end, then the first goes on.
    pub(super) fn thaws(&mut self, place: &Place) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        let frozen = self.held_at(&mut round, place)?;
        let since = Instant::now();
        let journal = round.ground.journal.clone();
        let mut other = self.world.bench_mut().elsewhere(&round, Some(&journal))?;
        let script = self.world.bench().script.clone();
        let take_over = Work::Takeover(Vec::new());
        let mut end = self.lives_there(&mut other, &script, take_over)?;
        // What the frozen one may have sent is a person's to look for.
        let decisions = self.decisions(&other, &end);
        if !decisions.is_empty() {
            end = self.lives_there(&mut other, &script, Work::Resume(decisions))?;
        }
        let finish = match &end.halt {
            None => Finish::Done,
            Some(halt) => Finish::Stopped(end.exit, halt.why.clone()),
        };
        if beside::may_be_about_to_send(place) {
            beside::until_stale(since);
        }
        let before = self.world.seen()?;
        let acts = self.sent_by(&round, 1).len();
        let known = round.ground.ledger.len();
        frozen.thaw();
        match frozen.wait_or_stall(&|| self.world.requests())? {
            Some(Told::Ended(end)) => self.told(&end),
            // It waits for something that its successor has long done, and sends nothing.
            _ => {
                frozen.kill();
                self.verdict.course.push("waited, and was killed".into());
            }
        }
        self.judge_thawed(&round, acts, known);
        let found = self.world.seen()?;
        let lines = judge::differences(&before, &found);
        self.verdict.lost.extend(lines);
        self.no_wrongs(&round)?;
        match finish {
            Finish::Done => self.same_as_after(&[])?,
            // Its plan did not fit any more when it held the claim: it ended before its first change.
            Finish::Stopped(Exit::Stale | Exit::Blocked, _) => self.same_as_before()?,
            Finish::Stopped(exit, why) => self.verdict.lost.push(format!(
                "who took over does not come to the end: exit {}, {why}",
                exit.code()
            )),
            Finish::RolledBack => {}
        }
        Ok(())
    }

    /// A process of the run on another host, to its end.
    fn lives_there(
        &mut self,
        round: &mut Round,
        script: &Script,
        work: Work,
    ) -> anyhow::Result<End> {
        let life =
            self.world
                .bench()
                .live_as(round, (RUN, "there", script), work, self.orders())?;
        let end = life.end()?;
        self.told(&end);
        Ok(end)
    }
}
