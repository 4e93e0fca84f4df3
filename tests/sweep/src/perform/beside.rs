//! Two processes at the same time: what is the same for each product.

use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use liftlock_gate::End;
use liftlock_types::Exit;

use super::Stage;
use crate::judge;
use crate::ledger::Place;
use crate::ledger::Seen;
use crate::life::Hold;
use crate::life::Life;
use crate::life::Orders;
use crate::life::Told;
use crate::life::Work;
use crate::site::Round;
use crate::site::Site;

/// The id of another run of the same plan.
pub(crate) const TWIN: &str = "r-twin";

/// A frozen runner is thawed only when its last reading of the targets is older than the gate lets one be (two
/// seconds), where it is frozen between that and what it sends.
const STALE: Duration = Duration::from_millis(2_050);

/// At such a point a runner has read what it is about to send by.
pub(crate) fn may_be_about_to_send(place: &Place) -> bool {
    let reads = ["observe", "facts", "journal.intent", "act"];
    reads.iter().any(|label| place.label.starts_with(label))
}

/// Waits until what was read before is too old to send by.
pub(crate) fn until_stale(since: Instant) {
    std::thread::sleep(STALE.saturating_sub(since.elapsed()));
}

impl<S: Site> Stage<'_, S> {
    /// A run that is held at this place.
    pub(crate) fn held_at(&mut self, round: &mut Round, place: &Place) -> anyhow::Result<Life> {
        let orders = Orders {
            hold: Some(Hold::At(place.clone())),
            ..self.orders()
        };
        let life = self.world.live(round, Work::Run, orders)?;
        if let Told::Ended(end) = life.wait()? {
            self.told(&end);
            bail!("the run ended before it got there");
        }
        Ok(life)
    }

    /// Steps that a process has given to its capabilities so far.
    pub(crate) fn sent_by(&self, round: &Round, life: u32) -> Vec<String> {
        let entries = round.ground.ledger.entries().into_iter();
        entries
            .filter(|entry| entry.life == life)
            .filter_map(|entry| match entry.seen {
                Seen::Act { step, .. } => Some(step),
                _ => None,
            })
            .collect()
    }

    /// Another run of the same plan is over, in which that was sent: the one that was held goes on to its end.
    pub(crate) fn ends_beside(
        &mut self,
        round: &mut Round,
        held: Life,
        other: &End,
        is_claimed: bool,
        sent: &[String],
    ) -> anyhow::Result<()> {
        if is_claimed && !sent.is_empty() {
            self.verdict.repeated.push(format!(
                "the other run met a claim and sent {}",
                sent.join(", ")
            ));
        }
        held.thaw();
        let first = held.end()?;
        self.told(&first);
        if !is_claimed {
            // Whoever claims first goes on; the other one sends nothing.
            let mine = self.sent_by(round, 1);
            if other.exit == Exit::Done && !mine.is_empty() && !sent.is_empty() {
                self.verdict
                    .repeated
                    .push(format!("both runs sent: {}", mine.join(", ")));
            }
            if other.exit != Exit::Done && first.exit != Exit::Done {
                self.verdict
                    .lost
                    .push("neither of two runs came to its end".into());
            }
        } else if first.exit != Exit::Done {
            let resumed = self
                .world
                .live(round, Work::Resume(Vec::new()), self.orders())?
                .end()?;
            self.told(&resumed);
        }
        let entries = round.ground.ledger.entries();
        self.verdict.guessed.extend(judge::guessed(&entries));
        Ok(())
    }

    /// What the books say of a runner that went on after another had taken over: `acts` it had sent before, `known` rows
    /// the books had then.
    pub(crate) fn judge_thawed(&mut self, round: &Round, acts: usize, known: usize) {
        let after = self.sent_by(round, 1).split_off(acts);
        if !after.is_empty() {
            self.verdict.repeated.push(format!(
                "the thawed runner sent {} after another had taken over",
                after.join(", ")
            ));
        }
        let entries = round.ground.ledger.entries();
        self.verdict.repeated.extend(judge::repeated(&entries));
        // The journal of the thawed runner is not the run's any more.
        self.verdict
            .guessed
            .extend(judge::guessed(&entries[..known]));
    }
}
