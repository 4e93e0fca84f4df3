//! A runner freezes, another takes over and comes to the end, and the first goes on.

use std::time::Duration;
use std::time::Instant;

use liftlock_types::Exit;

use super::Finish;
use super::Stage;
use crate::judge;
use crate::ledger::Place;
use crate::ledger::Seen;
use crate::life::Hold;
use crate::life::Orders;
use crate::life::Told;
use crate::life::Work;
use crate::site::RUN;
use crate::site::Round;
use crate::site::Site;
use crate::world::World;

/// A frozen runner is thawed only when its last reading of the target is older than the gate lets one be (two
/// seconds), where it is frozen between that and what it sends.
const STALE: Duration = Duration::from_millis(2_050);

impl Stage<'_, World> {
    pub(super) fn acts_of(&self, round: &Round, life: u32) -> Vec<String> {
        round
            .ground
            .ledger
            .entries()
            .into_iter()
            .filter(|entry| entry.life == life)
            .filter_map(|entry| match entry.seen {
                Seen::Act { step, .. } => Some(step),
                _ => None,
            })
            .collect()
    }

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
        let reads = ["observe", "facts", "journal.intent", "act"];
        let may_be_about_to_send = !self.world.way.stands_still()
            || reads.iter().any(|label| place.label.starts_with(label));
        if may_be_about_to_send {
            std::thread::sleep(STALE.saturating_sub(since.elapsed()));
        }
        let before = self.world.sim.state_json();
        let acts = self.acts_of(&round, 1).len();
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
            let after: Vec<String> = self.acts_of(&round, 1).split_off(acts);
            if !after.is_empty() {
                self.verdict.repeated.push(format!(
                    "the thawed runner sent {} after another had taken over",
                    after.join(", ")
                ));
            }
            let found = self.world.sim.state_json();
            self.verdict
                .lost
                .extend(judge::differences(&before, &found));
            let entries = round.ground.ledger.entries();
            self.verdict.repeated.extend(judge::repeated(&entries));
            // The journal of the thawed runner is not the run's any more.
            self.verdict
                .guessed
                .extend(judge::guessed(&entries[..known]));
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
