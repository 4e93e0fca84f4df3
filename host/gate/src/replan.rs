//! Going on by another plan: what was done is carried over, and nothing of it is done again.

use liftlock_types::event::Event;
use liftlock_types::{Exit, Plan, StepId};

use crate::runner::{Halt, Runner};
use crate::state::RunState;

/// Why a run cannot go on by another plan now: an attempt is open, or a person has to decide something first.
pub fn replan_refused(state: &RunState) -> Option<(StepId, String)> {
    let open = state
        .steps
        .iter()
        .find(|(_, step)| step.open().is_some())
        .map(|(id, _)| (id.clone(), "was under way when the run stopped".to_owned()));
    let doubt = || {
        let id = state.doubts().into_iter().next()?;
        Some((id, "waits for a person's decision".to_owned()))
    };
    open.or_else(doubt)
}

/// Steps of the new plan that were done before and are not done again; and those that were done as something else
/// than the new plan has under their id.
pub fn carried(state: &RunState, plan: &Plan, earlier: &[Plan]) -> (Vec<StepId>, Vec<StepId>) {
    plan.steps
        .iter()
        .filter(|step| state.step(&step.id).is_done())
        .map(|step| {
            let same = earlier
                .iter()
                .rev()
                .find_map(|earlier| earlier.step(&step.id))
                .is_some_and(|done| done.body == step.body);
            (step.id.clone(), same)
        })
        .fold(
            (Vec::new(), Vec::new()),
            |(mut carried, mut other), (id, same)| {
                if same { &mut carried } else { &mut other }.push(id);
                (carried, other)
            },
        )
}

impl Runner {
    /// The plan is the run's, or one that may replace it.
    pub(crate) fn check_plan(&self) -> Result<(), Halt> {
        let state = self.state();
        if state.plan.as_ref() == Some(&self.plan.hash()) {
            return Ok(());
        }
        let known = self
            .earlier
            .iter()
            .any(|earlier| state.plan.as_ref() == Some(&earlier.hash()));
        if !known {
            return Err(Halt::new(
                Exit::Stale,
                "the plan beside the journal is not the one that was run",
            )
            .remedy(format!(
                "put it back, or `liftlock replan {}` makes one that goes on from here; nothing was sent",
                self.run
            )));
        }
        Ok(())
    }

    /// From here on the run goes by the new plan.
    pub(crate) async fn replan(&self) -> Result<(), Halt> {
        let state = self.state();
        if let Some((step, why)) = replan_refused(&state) {
            return Err(Halt::new(
                Exit::PersonNeeded,
                format!("step `{step}` {why}: the plan cannot be replaced now"),
            )
            .at(&step)
            .remedy(format!(
                "`liftlock resume {}` with the old plan settles it; then replace the plan",
                self.run
            )));
        }
        let (carried, other) = carried(&state, &self.plan, &self.earlier);
        if let Some(step) = other.first() {
            return Err(Halt::new(
                Exit::Stale,
                format!("step `{step}` was done, and the new plan has something else under its id"),
            )
            .at(step)
            .remedy("the plugin must give another id to what is to be done now"));
        }
        self.write(Event::Replanned {
            plan: self.plan.hash(),
            plugin: self.plan.plugin.digest.clone(),
            carried,
            approvals: self
                .approvals
                .iter()
                .map(|approval| serde_json::to_value(approval).unwrap_or_default())
                .collect(),
            by: self.who.by.clone(),
        })
        .await
    }
}
