//! Two runs of one plan at the same time, each with a journal of its own.

use crate::ledger::Place;
use crate::life::Work;
use crate::perform::Stage;
use crate::perform::beside::TWIN;
use crate::rolling::Fleet;

impl<F: Fleet> Stage<'_, F> {
    /// Another run of the same plan begins while this one is held.
    pub(super) fn twin_runs(&mut self, place: &Place) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        let one = self.held_at(&mut round, place)?;
        let claimed = self.world.is_claimed()?;
        let mut other = self.world.bench_mut().elsewhere(&round, None)?;
        let script = self.world.bench().script.clone();
        let end = self
            .world
            .bench()
            .live_as(
                &mut other,
                (TWIN, "there", &script),
                Work::Run,
                self.orders(),
            )?
            .end()?;
        self.told(&end);
        let theirs = self.sent_by(&round, other.lives);
        self.ends_beside(&mut round, one, &end, claimed, &theirs)?;
        self.no_wrongs(&round)?;
        self.same_as_after(F::OF_RUNS)
    }
}
