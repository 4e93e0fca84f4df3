//! A runner freezes, another takes over and comes to the end, and the first goes on.

use std::time::Instant;

use liftlock_types::Exit;

use super::Finish;
use super::Stage;
use super::beside;
use crate::judge;
use crate::ledger::Place;
use crate::life::Hold;
use crate::life::Orders;
use crate::life::Told;
use crate::life::Work;
use crate::site::RUN;
use crate::site::Site;
use crate::world::World;

impl Stage<'_, World> {
    /// A runner is frozen, another one takes over and comes to the end, then the first goes on.
    pub(super) fn thawed(&mut self, place: &Place) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        let camera = self.world.camera(&round);
        let orders = Orders {
            hold: Some(Hold::At(place.clone())),
            ..self.orders()
        };
        let frozen = self.world.live(&mut round, Work::Run, orders)?;
        frozen.wait()?;
        let since = Instant::now();
        if !self.world.way.stands_still() {
            self.world.until_quiet(&round)?;
        }
        let image = camera.shoot()?;
        let mut other = self.world.elsewhere(&round, &image)?;
        let has_rows = !self.world.rows(&other).is_empty();
        let mut finish = Finish::Stopped(Exit::Usage, "there was nothing to take over".into());
        if has_rows {
            let work = Work::Takeover(Vec::new());
            let end = self
                .world
                .live_as(&mut other, RUN, "there", work, self.orders())?
                .end()?;
            self.told(&end);
            finish = match &end.halt {
                None => Finish::Done,
                Some(halt) => Finish::Stopped(end.exit, halt.why.clone()),
            };
        }
        if !self.world.way.stands_still() || beside::may_be_about_to_send(place) {
            beside::until_stale(since);
        }
        let before = self.world.sim.state_json();
        let acts = self.sent_by(&round, 1).len();
        let known = round.ground.ledger.len();
        frozen.thaw();
        let sim = self.world.sim.clone();
        let end = match frozen.wait_or_stall(&|| sim.records().len())? {
            Some(Told::Ended(end)) => {
                self.told(&end);
                end.exit
            }
            // It waits for something that its successor has long done, and sends nothing.
            _ => {
                frozen.kill();
                self.verdict.course.push("waited, and was killed".into());
                Exit::Resumable
            }
        };
        if has_rows {
            self.judge_thawed(&round, acts, known);
            let found = self.world.sim.state_json();
            self.verdict
                .lost
                .extend(judge::differences(&before, &found));
            let unrecorded = self.unrecorded(&[&round, &other]);
            self.verdict.lost.extend(unrecorded);
            self.must_have_ended(&round, &finish);
            // The second epoch's claim is made and removed by who took over.
            self.verdict
                .repeated
                .retain(|line| !line.contains("/_component_template/liftlock-claim."));
        } else {
            let finish = if end == Exit::Done {
                Finish::Done
            } else {
                Finish::Stopped(end, String::new())
            };
            self.must_be_done(&round, &finish);
        }
        Ok(())
    }
}
