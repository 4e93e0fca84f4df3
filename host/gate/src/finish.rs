//! The end of a run: done, aborted or stopped.

use liftlock_types::event::{Event, OutcomeKind};
use liftlock_types::rules::Borrow;
use liftlock_types::{Change, Exit, Step, StepId};
use serde_json::Value;

use crate::boot_time_ms;
use crate::defect::Defect;
use crate::runner::{End, Halt, Runner};

impl Runner {
    /// Ends a run cleanly: neutral state back, protective state left and named, what stays half-done listed.
    pub async fn abort(self, reason: &str) -> End {
        let begun = boot_time_ms();
        let result = self.abort_inner(reason).await;
        self.end(result, begun).await
    }

    pub(crate) async fn abort_inner(&self, reason: &str) -> Result<(), Halt> {
        self.load().await?;
        if self.state().ended.is_some() {
            return self.release().await;
        }
        self.check_claims().await?;
        self.find_claims().await?;
        self.conclude_give_backs().await?;
        self.give_back_neutral().await?;
        self.clean_up_last().await?;
        self.clean_up_again().await?;
        for step in &self.plan.steps {
            let state = self.state().step(&step.id);
            if state.open().is_some() || state.needs_person() {
                self.leave(format!(
                    "step {} (`{}`): what became of it is not known{}",
                    step.id,
                    step.title,
                    trace_of(step),
                ));
            } else {
                let stays = match state.outcome().map(|outcome| outcome.kind) {
                    Some(OutcomeKind::AppliedOurs) => "done",
                    Some(OutcomeKind::Partial) if !state.is_done() => "half done",
                    _ => continue,
                };
                self.leave(format!("step {} (`{}`) stays {stays}", step.id, step.title));
            }
        }
        for step in self.state().borrowed(Borrow::Protective) {
            self.leave(match self.taken(&step) {
                Some(what) => format!(
                    "step {step} took {what}, and it stays taken: give it back by hand when that is right"
                ),
                None => format!(
                    "what step {step} stopped stays stopped: start it by hand when that is right"
                ),
            });
        }
        self.leave(format!("aborted by {}: {reason}", self.who.by));
        self.write(Event::RunEnded {
            how: "aborted".into(),
            left_behind: self.left_behind(),
        })
        .await?;
        self.write_head().await?;
        self.release().await
    }

    pub(crate) async fn finish(&self) -> Result<(), Halt> {
        self.read_unaccounted().await?;
        self.clean_up_again().await?;
        let findings = self
            .planner
            .validate(&self.state())
            .await
            .map_err(|fault| self.fault(&fault))?;
        self.judge(findings, Exit::Frozen)?;
        self.give_back_neutral().await?;
        for step in self.state().borrowed(Borrow::Protective) {
            self.leave(match self.taken(&step) {
                Some(what) => {
                    format!("step {step} set {what}, and it stays so, as the plan has it")
                }
                None => format!("what step {step} stopped stays stopped, as the plan has it"),
            });
        }
        self.leave_what_may_land();
        for label in &self.state().expired {
            self.leave(format!("passed over: {label}"));
        }
        let left_behind = self.left_behind();
        self.write(Event::RunEnded {
            how: "done".into(),
            left_behind,
        })
        .await?;
        self.write_head().await?;
        self.release().await
    }

    /// Requests that nobody has accounted for: what each would make, or set once more, should it land after all.
    fn leave_what_may_land(&self) {
        let state = self.state();
        for step in state.unrepeatable() {
            self.leave(format!(
                "a request of step {step} was never answered: should it land after all, what it makes is to be removed"
            ));
        }
        for (step, attempt) in state.unaccounted() {
            let borrowed = attempt.intent.and_then(|intent| intent.borrowed);
            let Some(borrowed) = borrowed.filter(|it| it.kind == Borrow::Neutral) else {
                continue;
            };
            let old = match borrowed.old {
                Value::Null => "not set".to_owned(),
                old => old.to_string(),
            };
            self.leave(format!(
                "a request of step {step} was never answered: should it land after all, {} is {} again, and was {old}",
                borrowed.key, borrowed.ours
            ));
        }
    }

    /// What a step took of a balancer; none: it stopped something.
    fn taken(&self, step: &StepId) -> Option<String> {
        let planned = self.plan.step(step).and_then(Step::change)?;
        match &planned.change {
            Change::SetServerState {
                backend, server, ..
            }
            | Change::SetServerWeight {
                backend, server, ..
            } => Some(format!("{backend}/{server} of `{}`", planned.binding)),
            _ => None,
        }
    }

    /// Requests that were sent and never answered can land late: where there is one, all that the run did and that
    /// no later step changed again is read once more at the end.
    pub(crate) async fn read_unaccounted(&self) -> Result<(), Halt> {
        if self.state().unaccounted().is_empty() || self.lacks(Defect::LateNotAwaited) {
            return Ok(());
        }
        self.still_true().await
    }

    /// Closes the books of this process: what stopped it is written down, what is neutral goes back.
    pub(crate) async fn end(self, result: Result<(), Halt>, begun: u64) -> End {
        let mut halt = result.err();
        // A journal that was copied here belongs to the holder of the claim until it is taken over.
        let is_ours = halt.as_ref().is_none_or(|halt| halt.exit != Exit::Claimed);
        if let (Some(stopped), true) = (
            &halt,
            is_ours && self.state().rows > 0 && self.state().ended.is_none(),
        ) {
            let mut stopped = stopped.clone();
            if stopped.exit != Exit::ClaimLost
                && let Err(second) = self.give_back_neutral().await
            {
                self.leave(format!("neutral state is not given back: {}", second.why));
            }
            let doubt = self.state().doubts().first().cloned();
            if let (Some(step), false) = (doubt, stopped.exit == Exit::PersonNeeded) {
                stopped.exit = Exit::PersonNeeded;
                stopped.step.get_or_insert(step);
            }
            let event = Event::Stopped {
                exit: stopped.exit,
                why: stopped.why.clone(),
            };
            let written = match self.write(event).await {
                Ok(()) => self.write_head().await,
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                self.leave(error.why);
            }
            halt = Some(stopped);
        }
        self.closed(halt, begun)
    }
}

/// Where what a step left can tell what became of it, and stays for that.
fn trace_of(step: &Step) -> String {
    match step.change().map(|planned| planned.change.rule().token) {
        None | Some("") => String::new(),
        Some(token) => format!("; its trace, which stays: {token}"),
    }
}
