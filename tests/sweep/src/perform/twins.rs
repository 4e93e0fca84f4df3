//! Two runs of one plan at the same time, each with a journal of its own.

use super::Stage;
use super::beside::TWIN;
use crate::image::Image;
use crate::judge;
use crate::ledger::Place;
use crate::life::Work;
use crate::site::Site;
use crate::world::World;

impl Stage<'_, World> {
    /// Another run of the same plan, with a journal of its own, begins while this one is held.
    pub(super) fn twins(&mut self, place: &Place) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        let one = self.held_at(&mut round, place)?;
        let claimed = self.world.sim.state_json()["templates"]["component"]
            .as_object()
            .is_some_and(|templates| templates.keys().any(|name| name.starts_with("liftlock")));
        let seen = self.world.sim.records().len();
        let nothing = Image {
            journal: "nowhere".into(),
            kept: "nowhere".into(),
            ..self.reference.end.clone()
        };
        let mut other = self.world.elsewhere(&round, &nothing)?;
        let end = self
            .world
            .live_as(&mut other, TWIN, "there", Work::Run, self.orders())?
            .end()?;
        self.told(&end);
        let sent: Vec<String> = self
            .world
            .sim
            .records()
            .iter()
            .skip(seen)
            .filter(|record| judge::may_change(record))
            .map(liftlock_testkit::Record::line)
            .collect();
        self.ends_beside(&mut round, one, &end, claimed, &sent)?;
        let found = self.world.sim.state_json();
        // The snapshot's name tells the run.
        let lines = judge::differences(&self.reference.after, &found);
        self.verdict.lost.extend(
            lines
                .into_iter()
                .filter(|line| !line.contains("/snapshots")),
        );
        Ok(())
    }
}
