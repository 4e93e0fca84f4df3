//! The way back: what is open is settled, then every step that this run did is taken back, last one first, each
//! change through the gate; then what is there is compared with what was kept before.

use liftlock_types::event::{Event, OutcomeKind};
use liftlock_types::rules::Borrow;
use liftlock_types::{Change, Exit, Plan, Planned, Step, StepId, Undo, UnitName};
use serde_json::Value;

use crate::boot_time_ms;
use crate::observer::Happening;
use crate::pass::{Origin, Passing};
use crate::runner::{Decision, End, Halt, Runner};
use crate::settle::Settled;
use crate::state::{CANCEL, ROLLED_BACK, RunState, StepState, UNDO};
use crate::unit::parts;

/// One step that a rollback takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoStep {
    /// The step.
    pub of: StepId,
    /// Its title.
    pub title: String,
    /// How it is taken back, for people.
    pub how: String,
    /// It cannot be taken back; `how` says why.
    pub impossible: bool,
}

/// What a rollback of this run would take back, in its order. Reads nothing, sends nothing.
///
/// `earlier`: plans of the run that were replaced by `plan`.
pub fn rollback_plan(state: &RunState, plan: &Plan, earlier: &[Plan]) -> Vec<UndoStep> {
    let step_of = |id: &StepId| {
        std::iter::once(plan)
            .chain(earlier.iter().rev())
            .find_map(|plan| plan.step(id))
    };
    let made = made_by_run(state, &step_of);
    parts(&state.completed, &step_of)
        .into_iter()
        .flat_map(|part| {
            let of_unit = part.unit.is_some();
            let undone: Vec<(&Step, UndoStep)> = part
                .steps
                .into_iter()
                .filter_map(|step| {
                    let (how, impossible) = how(step, &state.step(&step.id), &made)?;
                    let undo = UndoStep {
                        of: step.id.clone(),
                        title: step.title.clone(),
                        how,
                        impossible,
                    };
                    Some((step, undo))
                })
                .collect();
            // What a unit gave back is borrowed again for what is taken back of it, and not for nothing: a flush altered
            // nothing.
            let alters_nothing = |(step, _): &(&Step, UndoStep)| {
                let is_back = state.step(&step.id).gave_back == Some(true);
                step.change().is_some_and(|planned| {
                    matches!(planned.change, Change::Flush { .. })
                        || (planned.change.rule().borrows.is_some() && is_back)
                })
            };
            let is_needless = of_unit && undone.iter().all(alters_nothing);
            let undone = if is_needless { Vec::new() } else { undone };
            undone.into_iter().map(|(_, undo)| undo)
        })
        .collect()
}

/// How this step is taken back; none: there is nothing to take back.
fn how(step: &Step, state: &StepState, made: &[String]) -> Option<(String, bool)> {
    let change = &step.change()?.change;
    if let Some(borrow) = change.rule().borrows {
        if matches!(step.undo, Undo::Stays { .. }) {
            return None;
        }
        return matches!(state.gave_back, None | Some(true) if borrow == Borrow::Protective && state.is_done())
            .then(|| ("given back at the end, when all else is as before".into(), false));
    }
    match state.outcome()?.kind {
        OutcomeKind::AppliedOurs => {}
        // Decision 0007: a request of ours went out, and what it asks for is there.
        OutcomeKind::TrueUnknownWhose if state.was_sent() => {}
        // A part of it was seen: whatever a person decided, that part is taken back.
        OutcomeKind::Partial => {}
        OutcomeKind::Doubt if state.decision() != Some(false) => {}
        _ => return None,
    }
    Some(match &step.undo {
        Undo::Automatic => (change.rule().automatic_undo.to_owned(), false),
        Undo::Changes(changes) => (
            changes
                .iter()
                .map(|planned| {
                    let names = planned.change.names().join(", ");
                    format!("{} {names}", planned.change.verb())
                })
                .collect::<Vec<_>>()
                .join("; "),
            false,
        ),
        Undo::ByRestore(taken_by) => (
            format!("restored from the snapshot of step `{taken_by}`"),
            false,
        ),
        // The report names it: see `stays`.
        Undo::Stays { .. } => return None,
        Undo::None { because } if !change.rule().writes_schema && !change.rule().destructive => {
            let _ = because;
            return None;
        }
        Undo::None { because } => {
            let covered = is_within(change, made);
            (
                if covered {
                    "it goes with the index that this run made".into()
                } else {
                    format!("it cannot be taken back: {because}")
                },
                !covered,
            )
        }
    })
}

/// Indices that this run made, and that its rollback removes.
fn made_by_run<'a>(
    state: &RunState,
    step_of: &impl Fn(&StepId) -> Option<&'a Step>,
) -> Vec<String> {
    state
        .completed
        .iter()
        .filter_map(|id| Some((step_of(id)?, state.step(id))))
        .filter(|(_, state)| {
            state.outcome().is_some_and(|outcome| match outcome.kind {
                OutcomeKind::AppliedOurs => true,
                OutcomeKind::TrueUnknownWhose => state.was_sent(),
                _ => false,
            })
        })
        .filter_map(|(step, _)| match &step.change()?.change {
            Change::CreateIndex { name, .. } if !matches!(step.undo, Undo::None { .. }) => {
                Some(name.to_string())
            }
            _ => None,
        })
        .collect()
}

/// All that the change writes is within indices of this list.
fn is_within(change: &Change, made: &[String]) -> bool {
    let written = match change {
        Change::Reindex { destination, .. } | Change::Transform { destination, .. } => destination,
        Change::UpdateByQuery { index, .. }
        | Change::DeleteByQuery { index, .. }
        | Change::CreateDocument { index, .. }
        | Change::ReplaceDocument { index, .. }
        | Change::DeleteDocument { index, .. }
        | Change::PutSettings { index, .. }
        | Change::PutMapping { index, .. } => index,
        _ => return false,
    };
    made.iter().any(|name| name == written.as_str())
}

impl Runner {
    /// Takes back what this run did: 0 when all of it is as it was, 21 where a person must decide first, 24 where
    /// it failed.
    ///
    /// Once it has begun nothing goes forward any more, and `resume` continues it. A run that ended can be taken
    /// back as well, once.
    pub async fn rollback(self, reason: &str, decisions: Vec<Decision>) -> End {
        let begun = boot_time_ms();
        self.watch();
        let result = self.rollback_inner(reason, decisions).await;
        self.end(result, begun).await
    }

    async fn rollback_inner(&self, reason: &str, decisions: Vec<Decision>) -> Result<(), Halt> {
        self.load().await?;
        if self.state().ended.as_deref() == Some(ROLLED_BACK) {
            return self.release().await;
        }
        if self.state().ended.is_some() {
            // A crash may have kept it from giving up its claims; it takes new ones.
            self.release().await?;
        }
        self.prepare_to_go_back(decisions).await?;
        self.check_way_back(None)?;
        if self.state().rolling_back.is_none() {
            let event = Event::RollbackBegun {
                by: self.who.by.clone(),
                reason: reason.to_owned(),
            };
            self.write(event).await?;
            self.write_head().await?;
        }
        self.go_back().await
    }

    /// Grant and targets are as they were, the claim is ours or nobody's, and what a person decided is written down.
    pub(crate) async fn prepare_to_go_back(&self, decisions: Vec<Decision>) -> Result<(), Halt> {
        self.check_unchanged().await?;
        if self.state().claims.is_empty() {
            self.check_unclaimed().await?;
        } else {
            self.check_claims().await?;
            self.check_holder().await?;
        }
        for decision in decisions {
            self.decide(decision).await?;
        }
        if self.state().goes_back() {
            return Ok(());
        }
        self.settle_give_backs().await
    }

    /// Doubts are decided, and every step (of this unit) can be taken back: asked before the first is.
    pub(crate) fn check_way_back(&self, unit: Option<&UnitName>) -> Result<(), Halt> {
        let state = self.state();
        let made = made_by_run(&state, &|id| self.step_of(id));
        for id in state.doubts() {
            if !self.is_of(&id, unit) {
                continue;
            }
            let partial = state
                .step(&id)
                .outcome()
                .is_some_and(|outcome| outcome.kind == OutcomeKind::Partial);
            if partial && self.is_covered(&id, &made) {
                continue;
            }
            return Err(Halt::new(
                Exit::PersonNeeded,
                format!("what became of step `{id}` is not decided"),
            )
            .at(&id)
            .remedy(format!(
                "look at the target, then `liftlock rollback {} --decide {id}=done|not-done --reason ...`",
                self.run
            )));
        }
        let stuck = self.undoing(unit).into_iter().find(|undo| undo.impossible);
        match stuck {
            None => Ok(()),
            Some(undo) => Err(Halt::new(
                Exit::PersonNeeded,
                format!("step `{}`: {}", undo.of, undo.how),
            )
            .at(&undo.of)
            .remedy("restore by hand from the snapshot that the report names, then `liftlock abort`; nothing was sent")),
        }
    }

    /// A half-done effect of this step goes with an index of this run, or with a restore.
    fn is_covered(&self, id: &StepId, made: &[String]) -> bool {
        self.step_of(id).is_some_and(|step| {
            step.undo.restores()
                || step
                    .change()
                    .is_some_and(|planned| is_within(&planned.change, made))
        })
    }

    /// From `RollbackBegun` to the end; safe to begin again after any crash.
    pub(crate) async fn go_back(&self) -> Result<(), Halt> {
        self.claim().await?;
        if !self.gives_back_last(&self.protective(None))? {
            self.take_all_back().await?;
        }
        // One whose outcome was open has come to it meanwhile.
        self.give_back_last(&self.protective(None)).await?;
        self.leave_what_stays();
        let left_behind = self.left_behind();
        self.write(Event::RunEnded {
            how: ROLLED_BACK.into(),
            left_behind,
        })
        .await?;
        self.write_head().await?;
        self.release().await
    }

    /// All but what is given back in the end: protective loans go back when everything else is as it was.
    async fn take_all_back(&self) -> Result<(), Halt> {
        self.settle_to_go_back(None).await?;
        self.check_way_back(None)?;
        self.clean_up_last().await?;
        self.quiesce().await?;
        self.borrow_again(&self.protective(None)).await?;
        let order: Vec<StepId> = self.undoing(None).into_iter().map(|undo| undo.of).collect();
        let mut at = 0;
        // Steps of one unit stand side by side.
        for part in order.chunk_by(|one, other| self.unit_of(one) == self.unit_of(other)) {
            match self.unit_of(&part[0]) {
                Some(unit) => self.take_unit_back(&unit, part, at, order.len()).await?,
                None => {
                    for (place, id) in part.iter().enumerate() {
                        if self.stop.is_set() {
                            return Err(self.stopped_by_person());
                        }
                        self.take_back(id, at + place + 1, order.len()).await?;
                    }
                }
            }
            at += part.len();
        }
        self.give_back_neutral().await?;
        self.clean_up_again().await?;
        self.still_taken_back(&order).await?;
        self.compare_with_before().await
    }

    /// The unit that a step belongs to.
    fn unit_of(&self, id: &StepId) -> Option<UnitName> {
        self.step_of(id)?.unit.clone()
    }

    /// It belongs to this unit, or all is asked for.
    fn is_of(&self, id: &StepId, unit: Option<&UnitName>) -> bool {
        unit.is_none() || self.unit_of(id).as_ref() == unit
    }

    /// Names what a way back leaves: as the plan says, or because it has become somebody else's.
    fn leave_what_stays(&self) {
        for step in &self.plan.steps {
            if let Undo::Stays { because } = &step.undo
                && self.state().step(&step.id).was_sent()
            {
                self.leave(format!(
                    "step {} (`{}`) stays: {because}",
                    step.id, step.title
                ));
            }
            let state = self.state().step(&step.id);
            if let Some(Change::RestoreInto { .. }) = step.change().map(|planned| &planned.change)
                && matches!(step.undo, Undo::Automatic)
                && state.undo.as_ref().is_some_and(Vec::is_empty)
            {
                let names: Vec<&str> = state.indices().collect();
                self.leave(format!(
                    "what step {} (`{}`) restored stays, since it was written to meanwhile: delete it by hand once nobody \
                     needs it ({})",
                    step.id,
                    step.title,
                    names.join(", ")
                ));
            }
        }
    }

    /// Open attempts (of this unit) are settled, not repeated: what runs is cancelled, what had no effect stays without
    /// one.
    pub(crate) async fn settle_to_go_back(&self, unit: Option<&UnitName>) -> Result<(), Halt> {
        let open: Vec<StepId> = self
            .state()
            .steps
            .iter()
            .filter(|(id, step)| step.open().is_some() && self.is_of(id, unit))
            .map(|(id, _)| id.clone())
            .collect();
        for id in open {
            let Some(step) = self.step_of(&id).cloned() else {
                continue;
            };
            let Some(planned) = step.change() else {
                continue;
            };
            let passing = Passing::without_facts(&id, planned, Origin::Plan);
            let state = self.state().step(&id);
            let Some((open, intent)) = state
                .open()
                .and_then(|open| Some((open, open.intent.as_ref()?)))
            else {
                continue;
            };
            self.cancel(&passing, &intent.change, open.number).await?;
            match self.settle(&passing).await {
                Ok(Settled::Done | Settled::RunAgain) => {}
                Ok(Settled::MayRepeat) => {
                    self.conclude_without_effect(&passing, &intent.change, open.number)
                        .await?;
                }
                // What is half done is judged with all else, by `check_way_back`.
                Err(halt) if halt.exit == Exit::PersonNeeded => {}
                Err(halt) => return Err(halt),
            }
        }
        Ok(())
    }

    /// An open attempt that was seen to have no effect is not sent again, since the run goes back.
    pub(crate) async fn conclude_without_effect(
        &self,
        passing: &Passing<'_>,
        change: &Change,
        number: u32,
    ) -> Result<(), Halt> {
        let kind = OutcomeKind::Absent;
        let why = "it had no effect, and the run goes back instead of sending it again";
        self.conclude(passing, change, number, kind, Value::Null, false, why)
            .await
    }

    /// Ends what is in progress of an attempt.
    async fn cancel(
        &self,
        passing: &Passing<'_>,
        change: &Change,
        number: u32,
    ) -> Result<(), Halt> {
        let attempt = self.attempt(passing, number, change);
        let changes = self
            .capability(&passing.planned.binding)?
            .cancellation(change, &attempt)
            .await
            .map_err(|error| {
                self.unavailable("what is in progress", &error)
                    .at(passing.id)
            })?;
        for planned in &changes {
            // Another task can have taken the place of one that a crash kept us from cancelling.
            let begun = format!("{CANCEL}{}.", passing.id);
            let earlier = self.state();
            let number = earlier
                .steps
                .keys()
                .filter(|id| id.as_str().starts_with(&begun))
                .count();
            let id = host_id(format!("{begun}{}", number + 1))?;
            self.pass_own(&id, planned, Origin::Cancel).await?;
        }
        Ok(())
    }

    /// Requests without an answer can land late: nothing is touched before their time has passed and no token of
    /// ours is to be seen.
    pub(crate) async fn quiesce(&self) -> Result<(), Halt> {
        let unaccounted = self.state().unaccounted();
        if unaccounted.is_empty() {
            return Ok(());
        }
        self.tell(Happening::Note(format!(
            "{} requests had no answer: waiting {} s, so that none lands after it was taken back",
            unaccounted.len(),
            self.timing.settle_ms.div_ceil(1000)
        )));
        let begun = boot_time_ms();
        loop {
            let mut in_flight = false;
            for (id, attempt) in &unaccounted {
                let Some(sent) = attempt.sent() else {
                    continue;
                };
                let passing = Passing::without_facts(id, &sent, Origin::Plan);
                let of_it = self.attempt(&passing, attempt.number, &sent.change);
                in_flight |= self
                    .capability(&sent.binding)?
                    .in_flight(&sent.change, &of_it)
                    .await
                    .map_err(|error| self.unavailable("what is in flight", &error).at(id))?;
            }
            if !in_flight && boot_time_ms().saturating_sub(begun) >= self.timing.settle_ms {
                return Ok(());
            }
            let pause = self.timing.settle_ms.clamp(50, 1_000);
            self.pause(std::time::Duration::from_millis(pause)).await?;
        }
    }

    /// What the plan had given back is borrowed again, in its order, before anything is taken back under it; each waits
    /// for what its step waited for.
    pub(crate) async fn borrow_again(&self, loans: &[StepId]) -> Result<(), Halt> {
        for id in loans {
            if self.state().step(id).gave_back != Some(true) {
                continue;
            }
            let Some(step) = self.step_of(id).cloned() else {
                continue;
            };
            let Some(planned) = step.change().cloned() else {
                continue;
            };
            let undo = self.undo_id(id, 0)?;
            self.undo_planned(id, vec![planned.clone()]).await?;
            // One that a crash left open is looked at first: what is taken already would be waited for in vain.
            if self.state().step(&undo).open().is_some() {
                let passing = Passing::without_facts(&undo, &planned, Origin::Plan);
                self.settle(&passing).await?;
            }
            if self.state().step(&undo).is_done() {
                continue;
            }
            self.tell(Happening::Note(format!(
                "once more what step {id} had done: {}",
                step.title
            )));
            for condition in &step.opens_when {
                self.wait_for(id, condition).await?;
            }
            self.undo_all(id, Origin::Plan).await?;
        }
        Ok(())
    }

    /// Loans are on their way back, so all else is taken back, and what was borrowed for that does not have to hold any
    /// more. Known by the first attempt: a crash can cut off the row that says that it was given back.
    fn gives_back_last(&self, loans: &[StepId]) -> Result<bool, Halt> {
        let state = self.state();
        for id in loans {
            let way = self.give_back_id(id)?;
            if state.step(id).gave_back_last || !state.step(&way).attempts.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Loans go back when all else is as it was, last one first.
    pub(crate) async fn give_back_last(&self, loans: &[StepId]) -> Result<(), Halt> {
        for borrower in loans.iter().rev() {
            if !self.state().step(borrower).gave_back_last {
                let id = self.give_back_id(borrower)?;
                self.give_back(&id, borrower).await?;
            }
        }
        Ok(())
    }

    /// Takes one step back.
    pub(crate) async fn take_back(
        &self,
        id: &StepId,
        number: usize,
        of: usize,
    ) -> Result<(), Halt> {
        let Some(step) = self.step_of(id).cloned() else {
            return Ok(());
        };
        if step
            .change()
            .is_some_and(|planned| planned.change.rule().borrows.is_some())
        {
            return Ok(());
        }
        let take = match &step.undo {
            Undo::ByRestore(taken_by) => self.step_of(taken_by).and_then(Step::change).cloned(),
            _ => None,
        };
        let origin = match (&step.undo, &take, step.change()) {
            (Undo::Automatic, _, Some(planned)) => Origin::Undo(planned),
            (Undo::ByRestore(_), Some(take), _) => Origin::GoingBack(take),
            _ => Origin::Plan,
        };
        self.tell(Happening::StepBegun {
            step: host_id(format!("{UNDO}{id}"))?,
            title: format!("take back: {}", step.title),
            number,
            of,
        });
        if self.state().step(id).undo.is_none() {
            let changes = self.way_back(&step).await?;
            self.undo_planned(id, changes).await?;
        }
        self.undo_all(id, origin).await
    }

    /// The changes that take a step back.
    async fn way_back(&self, step: &Step) -> Result<Vec<Planned>, Halt> {
        let state = self.state().step(&step.id);
        let (Some(planned), Some(last)) = (step.change(), state.last()) else {
            return Ok(Vec::new());
        };
        let change = last
            .intent
            .as_ref()
            .map_or_else(|| planned.change.clone(), |intent| intent.change.clone());
        match &step.undo {
            Undo::Changes(changes) => Ok(changes.clone()),
            Undo::Stays { .. } | Undo::None { .. } => Ok(Vec::new()),
            Undo::Automatic => {
                let passing = Passing::without_facts(&step.id, planned, Origin::Plan);
                let attempt = self.attempt(&passing, last.number, &change);
                self.capability(&planned.binding)?
                    .undo_now(&change, &attempt)
                    .await
                    .map_err(|error| self.unavailable("what is there of it", &error).at(&step.id))?
                    .ok_or_else(|| {
                        Halt::new(
                            Exit::RollbackFailed,
                            format!("nothing of what was kept takes step `{}` back", step.id),
                        )
                        .at(&step.id)
                        .remedy("take it back by hand, then `liftlock abort` ends the run")
                    })
            }
            Undo::ByRestore(taken_by) => {
                let take = self.step_of(taken_by).and_then(Step::change);
                let evidence = self.state().step(taken_by);
                let (Some(take), Some(outcome)) = (take, evidence.outcome()) else {
                    return Err(Halt::new(
                        Exit::RollbackFailed,
                        format!(
                            "step `{taken_by}` took no snapshot, and `{}` can only be restored",
                            step.id
                        ),
                    )
                    .at(&step.id)
                    .remedy("restore it from a backup of your own, then `liftlock abort`"));
                };
                self.capability(&take.binding)?
                    .going_back(taken_by, &take.change, &outcome.evidence, &change)
                    .await
                    .map_err(|error| {
                        self.unavailable("what has to be restored", &error)
                            .at(&step.id)
                    })
            }
        }
    }

    async fn undo_planned(&self, id: &StepId, changes: Vec<Planned>) -> Result<(), Halt> {
        if self.state().step(id).undo.is_some() {
            return Ok(());
        }
        let number = self.state().step(id).taken_back + 1;
        self.write_step(id, number, Event::UndoPlanned { changes })
            .await
    }

    /// Passes the undo changes of a step, those that were not yet.
    async fn undo_all(&self, id: &StepId, origin: Origin<'_>) -> Result<(), Halt> {
        let changes = self.state().step(id).undo.unwrap_or_default();
        for (at, planned) in changes.iter().enumerate() {
            let undo = self.undo_id(id, at)?;
            if !self.state().step(&undo).is_done() {
                self.pass_own(&undo, planned, origin).await?;
            }
        }
        Ok(())
    }

    async fn pass_own(
        &self,
        id: &StepId,
        planned: &Planned,
        origin: Origin<'_>,
    ) -> Result<(), Halt> {
        self.pass(&Passing::without_facts(id, planned, origin))
            .await
    }

    /// The id of a change that takes a step back; others where it was done anew in between.
    fn undo_id(&self, id: &StepId, at: usize) -> Result<StepId, Halt> {
        let at = at + 1;
        match self.state().step(id).taken_back {
            0 => host_id(format!("{UNDO}{id}.{at}")),
            times => host_id(format!("{UNDO}{id}.again-{times}.{at}")),
        }
    }

    /// What was taken back stays so: a late request, or someone else, may have come between.
    pub(crate) async fn still_taken_back(&self, order: &[StepId]) -> Result<(), Halt> {
        let mut touched: Vec<Vec<String>> = Vec::new();
        let mut gone: Vec<String> = Vec::new();
        // Backwards: what a later undo changed again is that one's to hold.
        for id in order.iter().rev() {
            // What a unit had borrowed again is given back with it.
            if self.state().step(id).gave_back_last {
                continue;
            }
            let changes = self.state().step(id).undo.unwrap_or_default();
            for (at, planned) in changes.iter().enumerate().rev() {
                let names = planned.change.names();
                let is_gone = names.iter().any(|name| gone.contains(name));
                if is_gone || touched.contains(&names) || !planned.change.lasts() {
                    continue;
                }
                if let Change::DeleteIndex { name, .. } = &planned.change {
                    // What was done to its aliases before went with it.
                    gone.push(name.to_string());
                }
                touched.push(names);
                let undo = self.undo_id(id, at)?;
                let state = self.state().step(&undo);
                let Some((number, intent)) = state
                    .last()
                    .and_then(|last| Some((last.number, last.intent.as_ref()?)))
                else {
                    continue;
                };
                let passing = Passing::without_facts(&undo, planned, Origin::Plan);
                match self.look_again(&passing, &intent.change, number).await? {
                    liftlock_types::Probed::Applied { .. } => {}
                    seen => {
                        return Err(Halt::new(
                            Exit::PersonNeeded,
                            format!("step `{id}` was taken back, and that does not hold any more: {seen:?}"),
                        )
                        .at(id)
                        .remedy("a request may have landed late, or somebody changed it: look at the target, mend it, then resume"));
                    }
                }
            }
        }
        Ok(())
    }
}

fn host_id(text: String) -> Result<StepId, Halt> {
    StepId::new(text).map_err(|error| Halt::new(Exit::Internal, error.to_string()))
}
