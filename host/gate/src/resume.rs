//! After a crash or a stop: the run goes on where its journal ends.

use liftlock_types::event::{Event, OutcomeKind};
use liftlock_types::{Body, Change, Exit, Moment, Probed, Step};

use crate::beside::frontier;
use crate::boot_time_ms;
use crate::defect::Defect;
use crate::pass::{Origin, Passing, is_cleaned_after};
use crate::runner::{Decision, End, Halt, Runner};
use crate::state::recover;

impl Runner {
    /// Goes on where the journal ends.
    ///
    /// First every open attempt is settled and every recorded outcome read again; nothing recorded or proved
    /// done is sent again. Decisions settle doubts; without them a doubt stops the run at once with 21.
    pub async fn resume(self, decisions: Vec<Decision>) -> End {
        let begun = boot_time_ms();
        self.watch();
        let result = self.resume_inner(decisions).await;
        self.end(result, begun).await
    }

    pub(crate) async fn resume_inner(&self, decisions: Vec<Decision>) -> Result<(), Halt> {
        self.load().await?;
        if self.state().ended.is_some() {
            return self.release().await;
        }
        self.check_unchanged().await?;
        if self.state().claims.is_empty() {
            self.check_unclaimed().await?;
        } else {
            self.check_claims().await?;
            self.check_holder().await?;
        }
        self.go_on(decisions).await
    }

    /// Goes on, the claim being ours: forward, or back where a rollback had begun.
    pub(crate) async fn go_on(&self, decisions: Vec<Decision>) -> Result<(), Halt> {
        let back = self.state().goes_back() && !self.lacks(Defect::RollbackNotTerminal);
        if !back {
            self.check_plan()?;
            self.check_approved()?;
        }
        for decision in decisions {
            self.decide(decision).await?;
        }
        if back {
            let event = Event::Resumed {
                by: self.who.by.clone(),
                host: self.who.host.clone(),
            };
            self.write(event).await?;
            let unit = self.state().unit_back.clone();
            return match unit {
                Some((unit, _)) => self.go_back_in_unit(&unit).await,
                None => self.go_back().await,
            };
        }
        if let Some(step) = self.state().doubts().first() {
            return Err(Halt::new(Exit::PersonNeeded, format!("what became of step `{step}` is not decided"))
                .at(step)
                .remedy(format!(
                    "look at the target, then `liftlock resume {} --decide {step}=done|not-done --reason ...`",
                    self.run
                )));
        }
        if self.state().plan.as_ref() != Some(&self.plan.hash()) {
            self.replan().await?;
        }
        let event = Event::Resumed {
            by: self.who.by.clone(),
            host: self.who.host.clone(),
        };
        self.write(event).await?;
        self.claim().await?;
        if self.state().steps.is_empty() {
            self.plan_again_claimed().await?;
        }
        self.settle_open().await?;
        self.clean_up_last().await?;
        self.finish_give_backs().await?;
        self.still_true().await?;
        self.check_findings(Moment::OnResume).await?;
        self.last_conditions().await?;
        self.steps().await?;
        self.finish().await
    }

    pub(crate) async fn load(&self) -> Result<(), Halt> {
        let rows = self
            .journal
            .rows(self.run.as_str())
            .await
            .map_err(|error| Halt::journal(&error))?;
        if rows.is_empty() {
            return Err(Halt::new(
                Exit::Usage,
                format!("there is no run `{}` in this journal", self.run),
            )
            .remedy("`liftlock history` lists the runs; `--state DIR` names another journal"));
        }
        self.journal.verify(self.run.as_str()).await.map_err(|error| {
            Halt::new(Exit::PersonNeeded, format!("the journal is not whole: {error}"))
                .remedy("restore the state directory from a copy; nothing is sent from a damaged journal")
        })?;
        if let liftlock_journal::JournalState::Whole = self
            .journal
            .state(self.run.as_str())
            .await
            .map_err(|error| Halt::journal(&error))?
        {
        } else {
            return Err(Halt::new(Exit::PersonNeeded, "the journal lost its end: what the run did last is not in it")
                .remedy("restore the whole state directory from a copy; nothing is sent from a journal with a lost end"));
        }
        let state = recover(self.run.as_str(), &rows).map_err(|error| {
            Halt::new(
                Exit::PersonNeeded,
                format!("the journal makes no run: {error}"),
            )
        })?;
        self.recovered(state);
        Ok(())
    }

    pub(crate) async fn decide(&self, decision: Decision) -> Result<(), Halt> {
        if !self.state().step(&decision.step).needs_person() {
            return Err(Halt::new(
                Exit::Usage,
                format!("step `{}` has nothing to decide", decision.step),
            )
            .at(&decision.step));
        }
        let number =
            u32::try_from(self.state().step(&decision.step).decided.len()).unwrap_or(u32::MAX) + 1;
        let event = Event::Decided {
            question: "what became of it".into(),
            answer: if decision.done { "done" } else { "not-done" }.into(),
            by: self.who.by.clone(),
            reason: decision.reason,
        };
        self.write_step(&decision.step, number, event).await
    }

    /// Settles the one attempt that a crash left open, wherever it stands in the plan.
    pub(crate) async fn settle_open(&self) -> Result<(), Halt> {
        let open: Vec<Step> = self
            .plan
            .steps
            .iter()
            .filter(|step| self.state().step(&step.id).open().is_some())
            .cloned()
            .collect();
        for step in open {
            if let Some(planned) = step.change() {
                let passing = Passing {
                    id: &step.id,
                    planned,
                    facts: Some(&step.facts),
                    rests_on: &step.rests_on,
                    origin: Origin::Plan,
                };
                self.settle(&passing).await?;
            }
        }
        Ok(())
    }

    /// Done steps that nothing which has begun waits for: a crash may have cut short what comes after their outcome.
    fn last_done(&self) -> Vec<Step> {
        let state = self.state();
        frontier(
            &self.plan.steps,
            |id| state.step(id).is_done(),
            |id| state.steps.contains_key(id),
        )
        .into_iter()
        .cloned()
        .collect()
    }

    /// Steps of which an attempt ended and only a part of its effect was seen.
    fn half_done_steps(&self) -> Vec<Step> {
        let is_half_done = |step: &&Step| {
            let state = self.state();
            let step = state.step(&step.id);
            !step.is_done()
                && step
                    .outcome()
                    .is_some_and(|outcome| outcome.kind == OutcomeKind::Partial)
        };
        let steps = self.plan.steps.iter();
        steps.filter(is_half_done).cloned().collect()
    }

    /// A crash between an outcome and its clean-up leaves beside the effect what the attempt put there.
    pub(crate) async fn clean_up_last(&self) -> Result<(), Halt> {
        for step in self.last_done().into_iter().chain(self.half_done_steps()) {
            if let (Some(planned), Some(last)) =
                (step.change(), self.state().step(&step.id).last().cloned())
                && let (Some(intent), Some(outcome)) = (&last.intent, &last.outcome)
                && is_cleaned_after(&intent.change, outcome.kind)
            {
                let passing = Passing::without_facts(&step.id, planned, Origin::Plan);
                self.clean_up(&passing, &intent.change, last.number).await?;
            }
        }
        Ok(())
    }

    /// Recorded done means not sent again, not still true: what no later step consumed is read again.
    pub(crate) async fn still_true(&self) -> Result<(), Halt> {
        if self.lacks(Defect::RecordBelieved) {
            return Ok(());
        }
        let steps = self.plan.steps.clone();
        for (at, step) in steps.iter().enumerate() {
            let Some(planned) = step.change() else {
                continue;
            };
            let state = self.state().step(&step.id);
            let done = state
                .outcome()
                .is_some_and(|outcome| outcome.kind.is_done());
            let consumed = steps[at + 1..].iter().any(|later| {
                let touched = self
                    .state()
                    .step(&later.id)
                    .attempts
                    .iter()
                    .any(|attempt| attempt.intent.is_some());
                touched && (consumes(later, step) || gives_back(later, step))
            });
            if !done || consumed || !planned.change.lasts() || state.gave_back == Some(true) {
                continue;
            }
            let Some(last) = state.last() else { continue };
            let change = last
                .intent
                .as_ref()
                .map_or_else(|| planned.change.clone(), |intent| intent.change.clone());
            let passing = Passing::without_facts(&step.id, planned, Origin::Plan);
            let seen = match self.look_again(&passing, &change, last.number).await? {
                Probed::Applied { .. } => continue,
                Probed::InProgress(progress) => progress.note,
                Probed::Absent(seen) | Probed::Partial(seen) | Probed::Indeterminate(seen) => {
                    seen.to_string()
                }
            };
            return Err(Halt::new(
                Exit::PersonNeeded,
                format!("step `{}` is recorded as done, and it does not hold any more: {seen}", step.id),
            )
            .at(&step.id)
            .remedy(
                "find out whether the target was restored, somebody changed it, or a request without an answer \
                 landed late; then bring it back to what the plan had and resume, or `liftlock abort` and plan again",
            ));
        }
        Ok(())
    }

    /// The conditions after the steps that were concluded last may not have been waited for.
    pub(crate) async fn last_conditions(&self) -> Result<(), Halt> {
        for step in self.last_done() {
            for condition in &step.ends_when {
                self.wait_for(&step.id, condition).await?;
            }
        }
        Ok(())
    }
}

/// Is the later step there to give back what the earlier one borrowed? Once it has begun, what was borrowed may be back
/// already, whether or not the journal says so.
fn gives_back(later: &Step, earlier: &Step) -> bool {
    matches!(&later.body, Body::GiveBack { step } if *step == earlier.id)
}

/// Does the later step change an object of the earlier one, so that the earlier's post-condition need not hold?
/// Facts say which objects a change is about; an index's uuid is shared by everything in it.
fn consumes(later: &Step, earlier: &Step) -> bool {
    let Some((change, earlier_change)) = later.change().zip(earlier.change()) else {
        return false;
    };
    // A task may change any content, and its own conditions say what must hold after it; what it cannot take back
    // (a snapshot, a kept file, a stopped writer) must hold as before.
    if matches!(change.change, Change::RunTask { .. }) {
        return earlier_change.binding.capability() == "cluster";
    }
    if change.binding != earlier_change.binding {
        return false;
    }
    match (&change.change, &earlier_change.change) {
        (Change::DeleteIndex { name, .. }, other) => {
            other.names().iter().any(|other| other == name.as_str())
        }
        (Change::StartService {} | Change::RestartService {}, Change::StopService {}) => true,
        (Change::StopService {} | Change::RestartService {}, Change::StartService {}) => true,
        (Change::SwitchArtifact { .. }, Change::SwitchArtifact { .. }) => true,
        (later_change, other) => {
            later_change.names() == other.names()
                && later
                    .facts
                    .keys()
                    .any(|key| !key.ends_with("/uuid") && earlier.facts.contains_key(key))
        }
    }
}
