//! The run is ended where it is; a person gives back what it names; and all of it is planned anew.

use liftlock_types::Exit;

use crate::ledger::Place;
use crate::life::Work;
use crate::perform::Stage;
use crate::rolling::Fleet;
use crate::site::HERE;
use crate::site::Round;

/// The run after the one that was aborted.
const AGAIN: &str = "r-again";

impl<F: Fleet> Stage<'_, F> {
    /// What an abort leaves is named, and the next plan does the rest, whatever was done.
    pub(super) fn aborted(&mut self, place: &Place) -> anyhow::Result<()> {
        let mut round = self.killed_at(place)?;
        self.abort_cleanly(&mut round)?;
        self.judge_all(&round)?;
        let named = self.left_behind.clone();
        self.world.give_back_by_hand()?;
        let script = match self.world.bench().plan_anew() {
            Ok(script) => script,
            Err(error) => {
                self.verdict
                    .lost
                    .push(format!("after the abort it cannot be planned: {error:#}"));
                return Ok(());
            }
        };
        let mut again = self.world.bench_mut().elsewhere(&round, None)?;
        let end = self
            .world
            .bench()
            .live_as(&mut again, (AGAIN, HERE, &script), Work::Run, self.orders())?
            .end()?;
        self.told(&end);
        self.left_behind.extend(named);
        if end.exit != Exit::Done {
            let why = end.halt.map(|halt| halt.why).unwrap_or_default();
            self.verdict.lost.push(format!(
                "the run after the abort ends with {}: {why}",
                end.exit.code()
            ));
            return Ok(());
        }
        self.no_wrongs(&round)?;
        self.same_as_after(F::OF_RUNS)
    }

    /// Ends the run; nothing of ours is left, and all that stays taken is named.
    pub(super) fn abort_cleanly(&mut self, round: &mut Round) -> anyhow::Result<()> {
        self.abort(round)?;
        let report = self.left_behind.join("; ");
        for taken in self.world.taken_and_not_named(&report)? {
            let line = format!("the abort left {taken}, and does not name it");
            self.verdict.lost.push(line);
        }
        Ok(())
    }

    /// Ends the run; nothing of ours is left.
    pub(super) fn abort(&mut self, round: &mut Round) -> anyhow::Result<()> {
        let end = self.world.live(round, Work::Abort, self.orders())?.end()?;
        self.told(&end);
        if end.exit != Exit::Done {
            let why = end.halt.map(|halt| halt.why).unwrap_or_default();
            self.verdict.lost.push(format!(
                "it cannot be aborted: exit {}, {why}",
                end.exit.code()
            ));
        }
        for ours in self.world.ours(&self.left_behind)? {
            self.verdict.lost.push(format!("{ours} was left behind"));
        }
        Ok(())
    }
}
