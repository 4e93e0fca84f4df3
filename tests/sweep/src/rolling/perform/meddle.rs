//! Somebody else changes something between two lives of a run.

use std::fmt::Debug;

use serde_json::Value;

use crate::ledger::Place;
use crate::perform::Finish;
use crate::perform::Stage;
use crate::rolling::Fleet;

/// What somebody else does, in between.
pub(crate) trait Meddles<F>: Debug {
    /// Does it; false: there is nothing of that sort to be changed here.
    fn does(&self, fleet: &mut F, place: &Place) -> anyhow::Result<bool>;

    /// What is there of theirs, and what should be.
    fn theirs(&self, fleet: &F, place: &Place) -> anyhow::Result<(Value, Value)>;

    /// The claim is what they removed.
    fn is_of_the_claim(&self) -> bool;
}

impl<F: Fleet> Stage<'_, F> {
    /// What is somebody else's is there at the end, whatever becomes of the run.
    pub(crate) fn meddled_with(
        &mut self,
        place: &Place,
        meddling: &impl Meddles<F>,
    ) -> anyhow::Result<()> {
        let mut round = self.killed_at(place)?;
        if !meddling.does(self.world, place)? {
            return Ok(());
        }
        let finish = self.drive(&mut round, None)?;
        self.judge(&round);
        let theirs = meddling.theirs(self.world, place)?;
        if theirs.0 != theirs.1 {
            self.verdict.lost.push(format!(
                "{meddling:?} was somebody else's, and is {} now, not {}",
                theirs.0, theirs.1
            ));
        }
        let is_over = self
            .world
            .rows(&round)
            .iter()
            .any(|row| row.kind == "run-ended");
        match finish {
            Finish::RolledBack => self.verdict.lost.push("it was rolled back".into()),
            // A claim that somebody removed is a lost one: nothing of that run is sent any more (gate, rule 5).
            Finish::Stopped(..) if is_over || meddling.is_of_the_claim() => {}
            Finish::Stopped(..) if !self.world.rows(&round).is_empty() => {
                // What is out or stopped now may be theirs.
                self.abort(&mut round)?;
            }
            _ => {}
        }
        Ok(())
    }
}
