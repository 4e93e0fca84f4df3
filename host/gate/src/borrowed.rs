//! Borrowed state: what goes back, when, and what is left with a reason.

use liftlock_types::event::Event;
use liftlock_types::rules::Borrow;
use liftlock_types::{Body, Exit, Step, StepId};

use crate::pass::{Origin, Passing};
use crate::runner::{Halt, Runner};
use crate::settle::Settled;
use crate::state::GIVE_BACK;

impl Runner {
    /// Gives back what a step borrowed, if what is read now is ours.
    pub(crate) async fn give_back(&self, id: &StepId, borrower: &StepId) -> Result<(), Halt> {
        let state = self.state().step(borrower);
        let Some((number, sent, borrowed)) = state.attempts.iter().rev().find_map(|attempt| {
            let borrowed = attempt.intent.as_ref()?.borrowed.as_ref()?;
            Some((attempt.number, attempt.sent()?, borrowed))
        }) else {
            return Ok(());
        };
        let capability = self.capability(&sent.binding)?;
        let now = capability
            .borrowed_now(&borrowed.key)
            .await
            .map_err(|error| self.unavailable("what was borrowed", &error).at(borrower))?;
        let passing = Passing::without_facts(borrower, &sent, Origin::Plan);
        let undo_of = self.attempt(&passing, number, &sent.change);
        let under_way = self.state().step(id).open().is_some();
        let (done, why) = if now == borrowed.old && !under_way {
            (true, "it was back already".to_owned())
        } else if now == borrowed.ours || under_way {
            for undo in capability
                .automatic_undo(&sent.change, &undo_of)
                .unwrap_or_default()
            {
                self.pass(&Passing::without_facts(id, &undo, Origin::Undo(&sent)))
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

    /// A loan whose give-back is concluded is over, also where a crash cut off the row that says so: else it would count
    /// as taken for good, and as given back for nothing.
    pub(crate) async fn conclude_give_backs(&self) -> Result<(), Halt> {
        for step in &self.plan.steps {
            let Body::GiveBack { step: borrower } = &step.body else {
                continue;
            };
            let state = self.state();
            let (given, loan) = (state.step(&step.id), state.step(borrower));
            let Some(outcome) = given.outcome().filter(|_| given.is_done()) else {
                continue;
            };
            if !loan.is_done() || loan.gave_back.is_some() {
                continue;
            }
            let event = Event::GaveBack {
                step: borrower.clone(),
                done: true,
                seen: outcome.evidence.clone(),
                why: format!("put back by step {}", step.id),
            };
            self.write_step(borrower, loan.gave_back_number + 1, event)
                .await?;
        }
        Ok(())
    }

    /// Before a way back begins, every step that was giving something back has come to its end, one way or the other:
    /// what is back is borrowed again on the way, what is not stays borrowed. Sends nothing.
    pub(crate) async fn settle_give_backs(&self) -> Result<(), Halt> {
        let gives_back = |step: &&Step| matches!(step.body, Body::GiveBack { .. });
        for step in self.plan.steps.iter().filter(gives_back) {
            let state = self.state().step(&step.id);
            let Some((number, sent)) = state
                .open()
                .and_then(|open| Some((open.number, open.sent()?)))
            else {
                continue;
            };
            let passing = Passing::without_facts(&step.id, &sent, Origin::Plan);
            if matches!(self.settle(&passing).await?, Settled::MayRepeat) {
                self.conclude_without_effect(&passing, &sent.change, number)
                    .await?;
            }
        }
        self.conclude_give_backs().await
    }

    /// A give-back that a crash cut short is finished first; a step that needs the loan borrows it again.
    pub(crate) async fn finish_give_backs(&self) -> Result<(), Halt> {
        self.conclude_give_backs().await?;
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
