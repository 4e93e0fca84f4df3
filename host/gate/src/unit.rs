//! Units: the smallest parts of a plan that go back by themselves, such as one node of several.
//!
//! Where all steps of one unit are taken back before those of the next, what serves goes on serving: a node is taken out,
//! stopped, put back to what it ran, started and let in again, and only then comes the next one.

use liftlock_types::event::Event;
use liftlock_types::rules::Borrow;
use liftlock_types::{Body, Exit, Plan, Step, StepId, Undo, UnitName};

use crate::FreezeError;
use crate::boot_time_ms;
use crate::rollback::UndoStep;
use crate::runner::{Decision, End, Halt, Runner};
use crate::state::RunState;

/// Steps that go back together, last one first.
pub(crate) struct Part<'a> {
    /// None: steps that belong to no unit.
    pub(crate) unit: Option<&'a UnitName>,
    pub(crate) steps: Vec<&'a Step>,
}

/// What was done, in the order in which it goes back: what came after the first unit, the units, what came before.
pub(crate) fn parts<'a>(
    completed: &[StepId],
    step_of: &impl Fn(&StepId) -> Option<&'a Step>,
) -> Vec<Part<'a>> {
    let mut after = Vec::new();
    let mut before = Vec::new();
    let mut units: Vec<Part<'a>> = Vec::new();
    let first = completed
        .iter()
        .position(|id| step_of(id).is_some_and(|step| step.unit.is_some()));
    for (at, id) in completed.iter().enumerate().rev() {
        let Some(step) = step_of(id) else { continue };
        let Some(unit) = &step.unit else {
            let is_after = first.is_some_and(|first| at > first);
            if is_after { &mut after } else { &mut before }.push(step);
            continue;
        };
        match units.iter_mut().find(|part| part.unit == Some(unit)) {
            Some(part) => part.steps.push(step),
            None => units.push(Part {
                unit: Some(unit),
                steps: vec![step],
            }),
        }
    }
    let of_none = |steps| Part { unit: None, steps };
    let mut parts = vec![of_none(after)];
    parts.extend(units);
    parts.push(of_none(before));
    parts
}

/// A loan of a unit goes back within it, or the unit could not go back by itself.
pub(crate) fn check(steps: &[Step]) -> Result<(), FreezeError> {
    for step in steps {
        let Body::GiveBack { step: names } = &step.body else {
            continue;
        };
        let borrower = steps.iter().find(|other| other.id == *names);
        if borrower.is_some_and(|borrower| borrower.unit != step.unit) {
            return Err(FreezeError::BadReference {
                step: step.id.clone(),
                names: names.clone(),
                why: "belongs to another unit",
            });
        }
    }
    Ok(())
}

/// Names of the plan's units, in the order in which they begin.
fn units(plan: &Plan) -> Vec<&UnitName> {
    let mut names = Vec::new();
    for unit in plan.steps.iter().filter_map(|step| step.unit.as_ref()) {
        if !names.contains(&unit) {
            names.push(unit);
        }
    }
    names
}

fn usage(why: String, remedy: &str) -> Halt {
    Halt::new(Exit::Usage, why).remedy(remedy)
}

impl Runner {
    /// Takes back what this run did in one unit: 0 when the unit is as it was. The run stands, and can go on: `resume`
    /// does the unit anew.
    pub async fn rollback_unit(
        self,
        unit: UnitName,
        reason: &str,
        decisions: Vec<Decision>,
    ) -> End {
        let begun = boot_time_ms();
        self.watch();
        let result = self.rollback_unit_inner(unit, reason, decisions).await;
        self.end(result, begun).await
    }

    async fn rollback_unit_inner(
        &self,
        unit: UnitName,
        reason: &str,
        decisions: Vec<Decision>,
    ) -> Result<(), Halt> {
        self.load().await?;
        self.check_unit(&unit)?;
        self.prepare_to_go_back(decisions).await?;
        self.check_way_back(Some(&unit))?;
        if self.state().unit_back.is_none() {
            self.can_borrow_again(&unit).await?;
            let event = Event::UnitRollbackBegun {
                unit: unit.clone(),
                by: self.who.by.clone(),
                reason: reason.to_owned(),
            };
            self.write(event).await?;
            self.write_head().await?;
        }
        self.go_back_in_unit(&unit).await
    }

    /// What the unit had given back can be borrowed again: enough others serve, say. Asked before the way back begins,
    /// since once it has begun nothing else can be done until it has ended. Of the first loan alone: what the others wait
    /// for may be what the first one brings about.
    async fn can_borrow_again(&self, unit: &UnitName) -> Result<(), Halt> {
        let loans = self.protective(Some(unit));
        let first = {
            let state = self.state();
            let is_back = |id: &&StepId| state.step(id).gave_back == Some(true);
            loans.iter().find(is_back).and_then(|id| self.step_of(id))
        };
        let Some(first) = first else {
            return Ok(());
        };
        for condition in &first.opens_when {
            self.wait_for(&first.id, condition).await?;
        }
        Ok(())
    }

    /// The run stands, and this unit can go back without the rest.
    fn check_unit(&self, unit: &UnitName) -> Result<(), Halt> {
        let state = self.state();
        let known = units(&self.plan);
        if !known.contains(&unit) {
            let known: Vec<String> = known.iter().map(|unit| format!("`{unit}`")).collect();
            let remedy = if known.is_empty() {
                "this plan has no units: `liftlock rollback` without `--unit` takes the whole run back".to_owned()
            } else {
                format!("its units are {}", known.join(", "))
            };
            return Err(usage(format!("the plan has no unit `{unit}`"), &remedy));
        }
        if let Some(how) = &state.ended {
            return Err(usage(
                format!("the run is over: {how}"),
                "`liftlock rollback` without `--unit` takes the whole run back",
            ));
        }
        if state.rolling_back.is_some() {
            return Err(usage(
                "the whole run goes back already".into(),
                "`liftlock resume` goes on with that",
            ));
        }
        if let Some((other, _)) = &state.unit_back
            && other != unit
        {
            return Err(usage(
                format!("unit `{other}` goes back already"),
                "`liftlock resume` goes on with that; then come back to this one",
            ));
        }
        let place = |step: &Step| state.completed.iter().position(|id| *id == step.id);
        let of_unit = || {
            self.plan
                .steps
                .iter()
                .filter(|step| step.unit.as_ref() == Some(unit))
        };
        let Some(first) = of_unit().filter_map(place).min() else {
            let begun = of_unit().any(|step| state.step(&step.id).was_sent());
            return if begun {
                Ok(())
            } else {
                Err(usage(
                    format!("nothing of unit `{unit}` was done"),
                    "there is nothing to take back",
                ))
            };
        };
        let phase = of_unit().map(|step| step.phase).max();
        let later = self.plan.steps.iter().find(|step| {
            step.unit.is_none()
                && step.change().is_some()
                && Some(step.phase) > phase
                && place(step).is_some_and(|place| place > first)
        });
        match later {
            None => Ok(()),
            Some(step) => Err(usage(
                format!(
                    "step `{}` was done after unit `{unit}` and may rest on it",
                    step.id
                ),
                "`liftlock rollback` without `--unit` takes the whole run back",
            )),
        }
    }

    /// From `UnitRollbackBegun` until the unit is back; safe to begin again after any crash.
    pub(crate) async fn go_back_in_unit(&self, unit: &UnitName) -> Result<(), Halt> {
        self.claim().await?;
        let loans = self.protective(Some(unit));
        let state = self.state();
        if !loans.iter().any(|id| state.step(id).gave_back_last) {
            self.settle_to_go_back(Some(unit)).await?;
            self.check_way_back(Some(unit))?;
            self.clean_up_last().await?;
            self.quiesce().await?;
        }
        let order: Vec<StepId> = self
            .undoing(Some(unit))
            .into_iter()
            .map(|undo| undo.of)
            .collect();
        self.take_unit_back(unit, &order, 0, order.len()).await?;
        self.clean_up_again().await?;
        self.still_taken_back(&order).await?;
        let steps = self
            .plan
            .steps
            .iter()
            .filter(|step| step.unit.as_ref() == Some(unit))
            .map(|step| step.id.clone())
            .collect();
        self.write(Event::UnitRolledBack {
            unit: unit.clone(),
            steps,
        })
        .await?;
        self.write(Event::Stopped {
            exit: Exit::Resumable,
            why: format!("unit `{unit}` was taken back"),
        })
        .await?;
        self.write_head().await
    }

    /// Borrows again what the unit had given back, takes its steps back, gives the loans back, last one first.
    pub(crate) async fn take_unit_back(
        &self,
        unit: &UnitName,
        order: &[StepId],
        before: usize,
        of: usize,
    ) -> Result<(), Halt> {
        let loans = self.protective(Some(unit));
        let state = self.state();
        if !loans.iter().any(|id| state.step(id).gave_back_last) {
            self.borrow_again(&loans).await?;
            for (at, id) in order.iter().enumerate() {
                if self.stop.is_set() {
                    return Err(self.stopped_by_person());
                }
                self.take_back(id, before + at + 1, of).await?;
            }
        }
        self.give_back_last(&loans).await
    }

    /// What would be taken back: of this unit, or all.
    pub(crate) fn undoing(&self, unit: Option<&UnitName>) -> Vec<UndoStep> {
        crate::rollback_plan(&self.state(), &self.plan, &self.earlier)
            .into_iter()
            .filter(|undo| {
                unit.is_none()
                    || self
                        .step_of(&undo.of)
                        .is_some_and(|step| step.unit.as_ref() == unit)
            })
            .collect()
    }

    /// Steps that took out or stopped something: of this unit, or of none; given back by the run or not. Without those
    /// that stay.
    pub(crate) fn protective(&self, unit: Option<&UnitName>) -> Vec<StepId> {
        let state = self.state();
        let borrows = |step: &Step| {
            step.change()
                .is_some_and(|planned| planned.change.rule().borrows == Some(Borrow::Protective))
                && !matches!(step.undo, Undo::Stays { .. })
        };
        state
            .completed
            .iter()
            .filter(|id| {
                self.step_of(id)
                    .is_some_and(|step| step.unit.as_ref() == unit && borrows(step))
            })
            .filter(|id| is_ours(&state, id))
            .cloned()
            .collect()
    }
}

fn is_ours(state: &RunState, id: &StepId) -> bool {
    let step = state.step(id);
    step.is_done() && step.was_sent()
}
