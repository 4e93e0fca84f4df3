//! Two runs of one plan at the same time, each with a journal of its own.

use anyhow::bail;
use liftlock_types::Exit;

use crate::camunda::engines::Engines;
use crate::judge;
use crate::ledger::Place;
use crate::ledger::Seen;
use crate::life::Hold;
use crate::life::Orders;
use crate::life::Told;
use crate::life::Work;
use crate::perform::Stage;
use crate::site::Round;
use crate::site::Site;

/// The other run.
const TWIN: &str = "r-twin";

impl Stage<'_, Engines> {
    /// What a process has given to its capabilities so far.
    pub(super) fn sent_by(&self, round: &Round, life: u32) -> Vec<String> {
        let entries = round.ground.ledger.entries().into_iter();
        entries
            .filter(|entry| entry.life == life)
            .filter_map(|entry| match entry.seen {
                Seen::Act { step, .. } => Some(step),
                _ => None,
            })
            .collect()
    }

    /// Another run of the same plan begins while this one is held.
    pub(super) fn twin_runs(&mut self, place: &Place) -> anyhow::Result<()> {
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
        if claimed && !theirs.is_empty() {
            self.verdict.repeated.push(format!(
                "the other run met a claim and sent {}",
                theirs.join(", ")
            ));
        }
        one.thaw();
        let mut first = one.end()?;
        self.told(&first);
        if !claimed {
            // Whoever claims first goes on; the other one sends nothing.
            let mine = self.sent_by(&round, 1);
            if end.exit == Exit::Done && !mine.is_empty() && !theirs.is_empty() {
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
        self.clients_were_served();
        // The keys of canaries tell the run.
        self.same_as_after(&["instances"])
    }
}
