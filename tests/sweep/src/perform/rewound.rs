//! The target was put back to an earlier moment, and the journal was not.

use super::Finish;
use super::Stage;
use crate::image::Image;
use crate::judge;
use crate::ledger::Place;
use crate::ledger::Seen;
use crate::site::Round;
use crate::world::World;

impl Stage<'_, World> {
    /// The journal knows of more than the target does: nothing that is recorded done is done again.
    pub(super) fn rewound(&mut self, place: &Place, with_claim: bool) -> anyhow::Result<()> {
        let image = self.reference.image(place)?;
        let claimed = self
            .reference
            .places
            .iter()
            .find(|place| place.label == "claim.after");
        let target = match (with_claim, claimed) {
            (true, Some(place)) => self.reference.image(place)?.target.clone(),
            _ => self.world.base(),
        };
        let mut round = self.world.load(image)?;
        self.world.rewind(&target, image.running);
        let before = self.world.sim.state_json();
        if image
            .entries
            .iter()
            .any(|entry| entry.is_of("journal.run-ended"))
        {
            // A run that is over is not looked at again.
            return Ok(());
        }
        let done = done_steps(image);
        let finish = self.drive(&mut round, None)?;
        self.judge(&round);
        let again: Vec<String> = sent_again(&round, &done, image.entries.len());
        self.verdict.repeated.extend(again);
        match finish {
            Finish::Done if done.is_empty() || is_only_reads(self, &done) => {
                let found = self.world.sim.state_json();
                self.verdict
                    .lost
                    .extend(judge::differences(&self.reference.after, &found));
            }
            Finish::Done => self.verdict.lost.push(format!(
                "the run ended well, though the target had lost what it had done: {}",
                done.join(", ")
            )),
            Finish::Stopped(..) => {
                let found = self.world.sim.state_json();
                self.verdict
                    .lost
                    .extend(judge::differences(&before, &found));
            }
            Finish::RolledBack => self.verdict.lost.push("it was rolled back".into()),
        }
        Ok(())
    }
}

/// Steps whose change is concluded as done in an image.
fn done_steps(image: &Image) -> Vec<String> {
    image
        .entries
        .iter()
        .filter_map(|entry| match &entry.seen {
            Seen::Concluded { step, kind, .. } if kind.is_done() => Some(step.clone()),
            _ => None,
        })
        .collect()
}

/// Which of these steps were given to their capability again after so many entries.
fn sent_again(round: &Round, done: &[String], after: usize) -> Vec<String> {
    round
        .ground
        .ledger
        .entries()
        .iter()
        .skip(after)
        .filter_map(|entry| match &entry.seen {
            Seen::Act { step, .. } if done.contains(step) => Some(format!(
                "step `{step}` was recorded done, and was sent again"
            )),
            _ => None,
        })
        .collect()
}

/// None of these steps left something in the cluster: stopping a service and keeping a file do not.
fn is_only_reads(stage: &Stage<'_, World>, done: &[String]) -> bool {
    done.iter().all(|id| {
        stage
            .world
            .script
            .plan
            .steps
            .iter()
            .find(|step| step.id.as_str() == id)
            .and_then(|step| step.change())
            .is_some_and(|planned| !matches!(planned.binding.capability(), "cluster" | "snapshot"))
    })
}
