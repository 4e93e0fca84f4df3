//! Two runs of one plan at the same time, each with a journal of its own.

use anyhow::bail;
use liftlock_types::Exit;

use super::Stage;
use crate::image::Image;
use crate::judge;
use crate::ledger::Place;
use crate::life::Hold;
use crate::life::Orders;
use crate::life::Told;
use crate::life::Work;
use crate::site::Site;
use crate::world::World;

impl Stage<'_, World> {
    /// Another run of the same plan, with a journal of its own, begins while this one is held.
    pub(super) fn twins(&mut self, place: &Place) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        let orders = Orders {
            hold: Some(Hold::At(place.clone())),
            ..self.orders()
        };
        let one = self.world.live(&mut round, Work::Run, orders)?;
        if let Told::Ended(end) = one.wait()? {
            self.told(&end);
            bail!("the run ended before it got there");
        }
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
            .live_as(&mut other, "r-twin", "there", Work::Run, self.orders())?
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
        if claimed && !sent.is_empty() {
            self.verdict.repeated.push(format!(
                "the other run met a claim and sent {}",
                sent.join(", ")
            ));
        }
        one.thaw();
        let mut first = one.end()?;
        self.told(&first);
        if !claimed {
            // Whoever claims first goes on; the other one sends nothing.
            let mine: Vec<String> = self.acts_of(&round, 1);
            if end.exit == Exit::Done && !mine.is_empty() {
                self.verdict
                    .repeated
                    .push(format!("both runs sent: {}", mine.join(", ")));
            }
            if end.exit != Exit::Done && first.exit != Exit::Done {
                self.verdict
                    .lost
                    .push("neither of two runs came to its end".into());
            }
        } else if first.exit != Exit::Done {
            first = self
                .world
                .live(&mut round, Work::Resume(Vec::new()), self.orders())?
                .end()?;
            self.told(&first);
        }
        let entries = round.ground.ledger.entries();
        self.verdict.guessed.extend(judge::guessed(&entries));
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
