//! Borrowed state: what goes back, when, and what is left with a reason.

use liftlock_types::event::Event;
use liftlock_types::rules::Borrow;
use liftlock_types::{Exit, Planned, StepId};

use crate::pass::{Origin, Passing};
use crate::runner::{Halt, Runner};
use crate::state::GIVE_BACK;

impl Runner {
    /// Gives back what a step borrowed, if what is read now is ours.
    pub(crate) async fn give_back(&self, id: &StepId, borrower: &StepId) -> Result<(), Halt> {
        let state = self.state().step(borrower);
        let Some((attempt, borrowed)) = state.attempts.iter().rev().find_map(|attempt| {
            let intent = attempt.intent.as_ref()?;
            Some((attempt.clone(), (intent.clone(), intent.borrowed.clone()?)))
        }) else {
            return Ok(());
        };
        let (intent, borrowed) = borrowed;
        let capability = self.capability(&intent.binding)?;
        let now = capability
            .borrowed_now(&borrowed.key)
            .await
            .map_err(|error| self.unavailable("what was borrowed", &error).at(borrower))?;
        let planned = Planned {
            binding: intent.binding.clone(),
            change: intent.change.clone(),
            fills: Vec::new(),
        };
        let passing = Passing {
            id: borrower,
            planned: &planned,
            facts: None,
            rests_on: &[],
            origin: Origin::Plan,
        };
        let undo_of = self.attempt(&passing, attempt.number, &intent.change);
        let under_way = self.state().step(id).open().is_some();
        let (done, why) = if now == borrowed.old && !under_way {
            (true, "it was back already".to_owned())
        } else if now == borrowed.ours || under_way {
            for undo in capability
                .automatic_undo(&intent.change, &undo_of)
                .unwrap_or_default()
            {
                self.pass(&Passing {
                    id,
                    planned: &undo,
                    facts: None,
                    rests_on: &[],
                    origin: Origin::Undo(&planned),
                })
                .await?;
            }
            (true, format!("{} put back", borrowed.key))
        } else {
            (
                false,
                format!(
                    "{} is {now} now, neither the old value {} nor ours {}",
                    borrowed.key, borrowed.old, borrowed.ours
                ),
            )
        };
        let number = state.gave_back_number + 1;
        let event = Event::GaveBack {
            step: borrower.clone(),
            done,
            seen: now,
            why,
        };
        self.write_step(borrower, number, event).await
    }

    /// A give-back that a crash cut short is finished first; a step that needs the loan borrows it again.
    pub(crate) async fn finish_give_backs(&self) -> Result<(), Halt> {
        for borrower in self.state().borrowed(Borrow::Neutral) {
            let id = self.give_back_id(&borrower)?;
            if !self.state().step(&id).attempts.is_empty() {
                self.give_back(&id, &borrower).await?;
            }
        }
        Ok(())
    }

    /// The id under which a loan is given back where no step of the plan does it; a new one for each loan.
    pub(crate) fn give_back_id(&self, borrower: &StepId) -> Result<StepId, Halt> {
        let loans = self.state().step(borrower).ever().count();
        StepId::new(format!("{GIVE_BACK}{borrower}.{loans}"))
            .map_err(|error| Halt::new(Exit::Internal, error.to_string()))
    }

    /// Neutral state is given back at every end.
    pub(crate) async fn give_back_neutral(&self) -> Result<(), Halt> {
        for borrower in self.state().borrowed(Borrow::Neutral) {
            let id = self.give_back_id(&borrower)?;
            self.give_back(&id, &borrower).await?;
        }
        Ok(())
    }
}
