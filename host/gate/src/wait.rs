//! Conditions: waited for with a bound, each wait with its reason.

use std::time::Duration;

use liftlock_types::event::Event;
use liftlock_types::{Condition, Evaluated, Exit, OnExpiry, Predicate, ReadError, StepId};

use crate::boot_time_ms;
use crate::clock::pause_ms;
use crate::observer::Happening;
use crate::planner::{Asked, PlannerFault};
use crate::runner::{Halt, Runner};

/// Shortest and longest pause between two looks at a condition, milliseconds. Most come true at once, and half a second
/// costs a server nothing.
const LOOK_MS: (u64, u64) = (20, 500);

/// So often the claim is looked at too, milliseconds: who lost it waits for nothing any more. A target that cannot be
/// read meanwhile is what many conditions wait for.
const CLAIM_EVERY_MS: u64 = 5_000;

impl Runner {
    /// Waits until the condition has held for as long as it must, or does what the plan says when patience ends.
    pub(crate) async fn wait_for(&self, step: &StepId, condition: &Condition) -> Result<(), Halt> {
        self.wait(step, condition, condition.patience_ms).await
    }

    /// The same of a guard, which is looked at once and not waited for: a target that cannot be read says nothing of it, and
    /// is asked again for as long as any other read of the run would be.
    pub(crate) async fn guard_holds(
        &self,
        step: &StepId,
        condition: &Condition,
    ) -> Result<(), Halt> {
        let unreadable_ms = self.timing.unreadable_ms.max(condition.patience_ms);
        self.wait(step, condition, unreadable_ms).await
    }

    /// `unreadable_ms`: patience with a target that gives no answer.
    async fn wait(
        &self,
        step: &StepId,
        condition: &Condition,
        unreadable_ms: u64,
    ) -> Result<(), Halt> {
        let begun = boot_time_ms();
        let mut held_since = None;
        let mut last = None;
        let mut told = String::new();
        let mut claim_seen = begun;
        loop {
            if boot_time_ms().saturating_sub(claim_seen) >= CLAIM_EVERY_MS {
                claim_seen = boot_time_ms();
                if let Err(halt) = self.check_claims().await
                    && halt.exit == Exit::ClaimLost
                {
                    return Err(halt);
                }
            }
            let looked = self.look_at(condition, last.as_ref()).await?;
            let patience_ms = match &looked {
                Err(ReadError::Unavailable(_)) => unreadable_ms,
                _ => condition.patience_ms,
            };
            let why = match looked {
                Ok(seen) => {
                    last = Some(seen.seen);
                    if seen.holds == condition.negated {
                        held_since = None;
                        if condition.negated {
                            format!("it still holds: {}", seen.why)
                        } else {
                            seen.why
                        }
                    } else {
                        let since = *held_since.get_or_insert_with(boot_time_ms);
                        let held = boot_time_ms().saturating_sub(since);
                        if held >= condition.stable_for_ms {
                            return Ok(());
                        }
                        format!(
                            "it must hold for {} s",
                            condition.stable_for_ms.div_ceil(1000)
                        )
                    }
                }
                Err(error) => {
                    held_since = None;
                    format!("cannot look: {error}")
                }
            };
            if why != told {
                told.clone_from(&why);
                self.tell(Happening::Waiting {
                    step: step.clone(),
                    label: condition.label.clone(),
                    why,
                });
            }
            if self.stop.is_set() {
                return Err(self.stopped_by_person());
            }
            if boot_time_ms().saturating_sub(begun) >= patience_ms {
                let within_s = patience_ms.div_ceil(1000);
                return self.expired(step, condition, within_s, &told, last).await;
            }
            tokio::time::sleep(Duration::from_millis(pause_ms(begun, LOOK_MS))).await;
        }
    }

    /// One look: at a target, or through the plugin's eyes. A target that gives no evidence is no failure here.
    async fn look_at(
        &self,
        condition: &Condition,
        last: Option<&serde_json::Value>,
    ) -> Result<Result<Evaluated, ReadError>, Halt> {
        let Predicate::Asked { name, input } = &condition.predicate else {
            let capability = self.capability(&condition.binding)?;
            let predicate = condition.predicate.filled(self.run.as_str());
            return Ok(capability.evaluate(&predicate, last).await);
        };
        let asked = Asked { name, input, last };
        match self.planner.observe(asked, &self.state()).await {
            Ok(seen) => Ok(Ok(seen)),
            Err(PlannerFault::Target { error, .. }) => Ok(Err(error)),
            Err(fault) => Err(self.fault(&fault)),
        }
    }

    async fn expired(
        &self,
        step: &StepId,
        condition: &Condition,
        within_s: u64,
        why: &str,
        seen: Option<serde_json::Value>,
    ) -> Result<(), Halt> {
        self.tell(Happening::Expired {
            step: step.clone(),
            label: condition.label.clone(),
            then: condition.on_expiry,
        });
        let text = format!(
            "`{}` did not come true within {within_s} s: {why}",
            condition.label,
        );
        match condition.on_expiry {
            // A guard is looked at before each step, and told once.
            OnExpiry::GoOnAndReport if self.state().expired.contains(&condition.label) => Ok(()),
            OnExpiry::GoOnAndReport => {
                let event = Event::ConditionPassed {
                    label: condition.label.clone(),
                    seen: seen.unwrap_or_default(),
                    expired: true,
                };
                self.write(event).await
            }
            OnExpiry::Ask => Err(Halt::new(Exit::PersonNeeded, text)
                .at(step)
                .remedy("bring it about, then resume")),
            OnExpiry::Fail => Err(Halt::new(self.failed(), text)
                .at(step)
                .remedy("bring it about, then resume")),
        }
    }
}
