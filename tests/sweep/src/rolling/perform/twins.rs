//! Two runs of one plan at the same time, each with a journal of its own.

use crate::camunda::engines::Engines;
use crate::ledger::Place;
use crate::life::Work;
use crate::perform::Stage;
use crate::perform::beside::TWIN;
use crate::site::Site;

impl Stage<'_, Engines> {
    /// Another run of the same plan begins while this one is held.
    pub(super) fn twin_runs(&mut self, place: &Place) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        let one = self.held_at(&mut round, place)?;
        let claimed = !self.world.store.seen()?.own_tables().is_empty();
        let mut other = self.world.elsewhere(&round, None)?;
        let script = self.world.script.clone();
        let end = self
            .world
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
        self.clients_were_served();
        // The keys of canaries tell the run.
        self.same_as_after(&["instances"])
    }
}
