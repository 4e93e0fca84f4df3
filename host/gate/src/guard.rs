//! Guards: conditions that hold over a span of steps.

use std::ops::RangeInclusive;

use liftlock_types::{Condition, Grant, Guard, Step, StepId};

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

/// A guard, with the places of the first and the last step that it spans.
pub(crate) type Span<'a> = (RangeInclusive<usize>, &'a Condition);

impl Runner {
    /// The plan's guards by the places of their steps: worked out once, and looked at before each step.
    pub(crate) fn guards(&self) -> Vec<Span<'_>> {
        let place = |id: &StepId| self.plan.steps.iter().position(|step| step.id == *id);
        let guards = self.plan.guards.iter();
        guards
            .filter_map(|guard| {
                Some((place(&guard.from)?..=place(&guard.until)?, &guard.condition))
            })
            .collect()
    }

    /// Every guard that spans the step at this place holds, or what it says for its violation is done.
    pub(crate) async fn guards_hold(&self, guards: &[Span<'_>], at: usize) -> Result<(), Halt> {
        for (span, condition) in guards {
            if span.contains(&at) {
                self.guard_holds(&self.plan.steps[at].id, condition).await?;
            }
        }
        Ok(())
    }
}
