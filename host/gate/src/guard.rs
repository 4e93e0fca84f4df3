//! Guards: conditions that hold over a span of steps.

use liftlock_types::{Grant, Guard, Step, StepId};

use crate::FreezeError;
use crate::runner::{Halt, Runner};

/// Each guards steps that are there, in their order, by what the grant lets it read.
pub(crate) fn check(guards: &[Guard], steps: &[Step], grant: &Grant) -> Result<(), FreezeError> {
    for guard in guards {
        let error = |why: String| FreezeError::Guard {
            label: guard.condition.label.clone(),
            why,
        };
        let place = |id: &StepId| {
            let place = steps.iter().position(|step| step.id == *id);
            place.ok_or_else(|| error(format!("`{id}` is no step of the plan")))
        };
        if place(&guard.from)? > place(&guard.until)? {
            let why = format!("`{}` comes after `{}`", guard.from, guard.until);
            return Err(error(why));
        }
        grant
            .allow_condition(&guard.condition)
            .map_err(|denied| FreezeError::Denied {
                step: guard.from.clone(),
                denied,
            })?;
    }
    Ok(())
}

impl Runner {
    /// Every guard that spans the step at this place holds, or what it says for its violation is done.
    pub(crate) async fn guards_hold(&self, at: usize) -> Result<(), Halt> {
        let place = |id: &StepId| self.plan.steps.iter().position(|step| step.id == *id);
        for guard in &self.plan.guards {
            let (Some(from), Some(until)) = (place(&guard.from), place(&guard.until)) else {
                continue;
            };
            if (from..=until).contains(&at) {
                self.wait_for(&self.plan.steps[at].id, &guard.condition)
                    .await?;
            }
        }
        Ok(())
    }
}
