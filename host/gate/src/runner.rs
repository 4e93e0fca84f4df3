//! A run: from its first step to its end, resumed after any crash, or aborted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use liftlock_journal::{Journal, JournalError, NewRow};
use liftlock_types::event::{Captured, Event, OutcomeKind};
use liftlock_types::rules::Borrow;
use liftlock_types::{
    Binding, Body, Capability, Change, Digest, Exit, Finding, Grant, Moment, Plan, Planned,
    Predicate, Probed, ReadError, RecordedRead, RunId, Severity, Step, StepId,
};

use crate::freeze::{PlanContext, differences, freeze};
use crate::observer::{Happening, Observer, StopSignal};
use crate::pass::Passing;
use crate::planner::{Planner, Replanned};
use crate::state::{RunState, recover};
use crate::{Approval, Bindings, boot_time_ms, missing, now_ms};

/// Most recorded reads whose difference is told one by one; the rest is counted.
const DRIFT_LINES_MAX: usize = 20;

/// Why a run stopped, with the way on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// How.
    pub exit: Exit,
    /// What happened.
    pub why: String,
    /// Where.
    pub step: Option<StepId>,
    /// What to do.
    pub remedy: String,
}

impl Halt {
    /// Stops with this reason.
    pub fn new(exit: Exit, why: impl Into<String>) -> Self {
        Self {
            exit,
            why: why.into(),
            step: None,
            remedy: String::new(),
        }
    }

    /// At this step.
    pub fn at(mut self, step: &StepId) -> Self {
        self.step = Some(step.clone());
        self
    }

    /// With this way on.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The journal failed: nothing more is sent.
    pub(crate) fn journal(error: &JournalError) -> Self {
        Self::new(
            Exit::Resumable,
            format!("the journal cannot be written: {error}"),
        )
        .remedy("mend what it names, then resume; nothing is sent without a journal")
    }
}

/// Who runs it, and where.
#[derive(Debug, Clone)]
pub struct Who {
    /// The person or account.
    pub by: String,
    /// The host.
    pub host: String,
    /// Where the journal lies.
    pub state_dir: String,
}

/// A person's word on a doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The step.
    pub step: StepId,
    /// The change is there as the plan has it; false: nothing of it is.
    pub done: bool,
    /// Why the person says so.
    pub reason: String,
}

/// How a run, a resume or an abort ended.
#[derive(Debug, Clone)]
pub struct End {
    /// The exit code.
    pub exit: Exit,
    /// Why it stopped; none when it is done.
    pub halt: Option<Halt>,
    /// What the journal says now.
    pub state: RunState,
    /// Findings on the way and of the validation.
    pub findings: Vec<Finding>,
    /// What it left behind, named.
    pub left_behind: Vec<String>,
    /// How long it took.
    pub took_ms: u64,
    /// Durable writes of the journal by this process.
    pub durable_writes: u64,
}

/// One run of one plan.
pub struct Runner {
    pub(crate) journal: Journal,
    pub(crate) run: RunId,
    pub(crate) plan: Plan,
    pub(crate) reads: Vec<RecordedRead>,
    pub(crate) made_by: String,
    pub(crate) grant: Grant,
    pub(crate) bindings: Bindings,
    pub(crate) planner: Arc<dyn Planner>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) stop: StopSignal,
    pub(crate) approvals: Vec<Approval>,
    pub(crate) approvals_wanted: usize,
    pub(crate) who: Who,
    pub(crate) state: RunState,
    pub(crate) findings: Vec<Finding>,
    pub(crate) left_behind: Vec<String>,
}

/// What a runner needs.
pub struct Parts {
    /// Opened, ours alone.
    pub journal: Journal,
    /// The run's id.
    pub run: RunId,
    /// What was approved.
    pub plan: Plan,
    /// What it was made from.
    pub reads: Vec<RecordedRead>,
    /// Who made it.
    pub made_by: String,
    /// The grant as it is now.
    pub grant: Grant,
    /// The targets.
    pub bindings: Bindings,
    /// The plugin.
    pub planner: Arc<dyn Planner>,
    /// Hears what happens.
    pub observer: Arc<dyn Observer>,
    /// Stops the run.
    pub stop: StopSignal,
    /// Who agreed.
    pub approvals: Vec<Approval>,
    /// How many must.
    pub approvals_wanted: usize,
    /// Who runs it.
    pub who: Who,
}

impl Runner {
    /// Puts a runner together; reads and sends nothing.
    pub fn new(parts: Parts) -> Self {
        Self {
            state: RunState::new(parts.run.as_str()),
            journal: parts.journal,
            run: parts.run,
            plan: parts.plan,
            reads: parts.reads,
            made_by: parts.made_by,
            grant: parts.grant,
            bindings: parts.bindings,
            planner: parts.planner,
            observer: parts.observer,
            stop: parts.stop,
            approvals: parts.approvals,
            approvals_wanted: parts.approvals_wanted,
            who: parts.who,
            findings: Vec::new(),
            left_behind: Vec::new(),
        }
    }

    /// Runs the plan from its first step.
    ///
    /// Before anything is sent: approvals, grant, targets, claims of others, the plugin's check, and the plan
    /// made again and compared. After that only the gate sends, and each end but `Done` and `aborted` can be
    /// resumed.
    pub async fn run(mut self) -> End {
        let begun = boot_time_ms();
        let result = self.run_inner().await;
        self.end(result, begun).await
    }

    async fn run_inner(&mut self) -> Result<(), Halt> {
        self.check_approved()?;
        self.check_unchanged().await?;
        self.check_unclaimed().await?;
        self.check_findings(Moment::BeforeRun).await?;
        self.plan_again().await?;
        if self.stop.is_set() {
            return Err(self.stopped_by_person());
        }
        let begun = Event::RunBegun {
            plan: self.plan.hash(),
            plugin: self.plan.plugin.digest.clone(),
            site: self.plan.site.clone(),
            from: self.plan.from.clone(),
            to: self.plan.to.clone(),
            by: self.who.by.clone(),
            host: self.who.host.clone(),
            bindings: self.plan.bindings.clone(),
            approvals: self
                .approvals
                .iter()
                .map(|approval| serde_json::to_value(approval).unwrap_or_default())
                .collect(),
        };
        self.write(begun).await?;
        self.claim().await?;
        self.steps().await?;
        self.finish().await
    }

    /// Goes on where the journal ends.
    ///
    /// First every open attempt is settled and every recorded outcome read again; nothing recorded or proved
    /// done is sent again. Decisions settle doubts; without them a doubt stops the run at once with 21.
    pub async fn resume(mut self, decisions: Vec<Decision>) -> End {
        let begun = boot_time_ms();
        let result = self.resume_inner(decisions).await;
        self.end(result, begun).await
    }

    async fn resume_inner(&mut self, decisions: Vec<Decision>) -> Result<(), Halt> {
        self.load().await?;
        if self.state.ended.is_some() {
            return self.release().await;
        }
        if self.state.plan.as_ref() != Some(&self.plan.hash()) {
            return Err(Halt::new(
                Exit::Stale,
                "the plan beside the journal is not the one that was run",
            ));
        }
        self.check_approved()?;
        self.check_unchanged().await?;
        if self.state.claims.is_empty() {
            self.check_unclaimed().await?;
        } else {
            self.check_claims().await?;
        }
        for decision in decisions {
            self.decide(decision).await?;
        }
        if let Some(step) = self.state.doubts().first() {
            return Err(Halt::new(Exit::PersonNeeded, format!("what became of step `{step}` is not decided"))
                .at(step)
                .remedy(format!(
                    "look at the target, then `liftlock resume {} --decide {step}=done|not-done --reason ...`",
                    self.run
                )));
        }
        let event = Event::Resumed {
            by: self.who.by.clone(),
            host: self.who.host.clone(),
        };
        self.write(event).await?;
        self.claim().await?;
        self.settle_open().await?;
        self.still_true().await?;
        self.check_findings(Moment::OnResume).await?;
        self.last_conditions().await?;
        self.steps().await?;
        self.finish().await
    }

    /// Ends a run cleanly: neutral state back, protective state left and named, what stays half-done listed.
    pub async fn abort(mut self, reason: &str) -> End {
        let begun = boot_time_ms();
        let result = self.abort_inner(reason).await;
        self.end(result, begun).await
    }

    async fn abort_inner(&mut self, reason: &str) -> Result<(), Halt> {
        self.load().await?;
        if self.state.ended.is_some() {
            return self.release().await;
        }
        self.check_claims().await?;
        self.give_back_neutral().await?;
        let mut left = std::mem::take(&mut self.left_behind);
        for step in &self.plan.steps {
            let state = self.state.step(&step.id);
            if state.open().is_some() || state.needs_person() {
                left.push(format!(
                    "step {} (`{}`): what became of it is not known",
                    step.id, step.title
                ));
            } else if state
                .outcome()
                .is_some_and(|outcome| outcome.kind == OutcomeKind::AppliedOurs)
            {
                left.push(format!("step {} (`{}`) stays done", step.id, step.title));
            }
        }
        for step in self.state.borrowed(Borrow::Protective) {
            left.push(format!(
                "what step {step} stopped stays stopped: start it by hand when that is right"
            ));
        }
        left.push(format!("aborted by {}: {reason}", self.who.by));
        self.left_behind.clone_from(&left);
        self.write(Event::RunEnded {
            how: "aborted".into(),
            left_behind: left,
        })
        .await?;
        self.write_head().await?;
        self.release().await
    }

    // ---- before anything is sent

    fn check_approved(&self) -> Result<(), Halt> {
        let missing = missing(
            &self.plan,
            &self.made_by,
            &self.approvals,
            self.approvals_wanted,
        );
        if missing.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = missing.iter().map(ToString::to_string).collect();
        Err(Halt::new(Exit::ApprovalMissing, lines.join("; "))
            .remedy("`liftlock approve PLAN` (with `--waive FINDING --reason ...` for a blocker); nothing was sent"))
    }

    /// Grant and targets are those of the plan.
    async fn check_unchanged(&self) -> Result<(), Halt> {
        if self.grant.hash() != self.plan.grant {
            return Err(
                Halt::new(Exit::Stale, "the grant changed since the plan was made")
                    .remedy("plan again, or put grants.toml back; nothing was sent"),
            );
        }
        if self.grant.digest != self.plan.plugin.digest {
            return Err(Halt::new(
                Exit::Stale,
                "the grant is bound to another plugin than the plan",
            ));
        }
        for binding in self.plan.bindings.keys() {
            self.check_identity(binding).await?;
        }
        Ok(())
    }

    /// The binding leads to the target that was planned on.
    pub(crate) async fn check_identity(&self, binding: &Binding) -> Result<(), Halt> {
        let planned = self
            .plan
            .bindings
            .get(binding)
            .ok_or_else(|| Halt::new(Exit::Stale, format!("`{binding}` is not in the plan")))?;
        let now = self
            .capability(binding)?
            .identity()
            .await
            .map_err(|error| self.unreachable(binding, &error))?;
        if now.fingerprint != planned.fingerprint {
            return Err(Halt::new(
                Exit::Stale,
                format!(
                    "`{binding}` leads to another target: planned on {} ({}), now {} ({})",
                    planned.product, planned.fingerprint, now.product, now.fingerprint
                ),
            )
            .remedy(
                "put the address right, or plan again on the new target; nothing was sent to it",
            ));
        }
        Ok(())
    }

    async fn check_findings(&mut self, moment: Moment) -> Result<(), Halt> {
        let findings = self
            .planner
            .check(moment, &self.state)
            .await
            .map_err(|fault| Halt::new(Exit::PluginFault, fault.to_string()))?;
        self.judge(
            findings,
            if moment == Moment::BeforeRun {
                Exit::Blocked
            } else {
                self.failed()
            },
        )
    }

    /// Tells findings; a blocker that nobody waived stops the run.
    fn judge(&mut self, findings: Vec<Finding>, exit: Exit) -> Result<(), Halt> {
        let waived: Vec<String> = self
            .approvals
            .iter()
            .flat_map(|approval| &approval.waives)
            .map(|waiver| waiver.finding.clone())
            .collect();
        let blocker = findings
            .iter()
            .find(|finding| finding.severity == Severity::Blocker && !waived.contains(&finding.id))
            .cloned();
        for finding in findings {
            self.tell(Happening::Found(finding.clone()));
            self.findings.push(finding);
        }
        match blocker {
            None => Ok(()),
            Some(finding) => Err(Halt::new(
                exit,
                format!("{} ({}): {}", finding.what, finding.id, finding.why),
            )
            .remedy(finding.remedy)),
        }
    }

    /// The plan as it would be made now has the same steps; other differences are told as drift.
    async fn plan_again(&mut self) -> Result<(), Halt> {
        let Replanned { proposal, reads } = self
            .planner
            .plan(&self.state)
            .await
            .map_err(|fault| Halt::new(Exit::PluginFault, fault.to_string()))?;
        let context = PlanContext {
            site: self.plan.site.clone(),
            product: self.plan.product.clone(),
            plugin: self.plan.plugin.clone(),
            from: self.plan.from.clone(),
            to: self.plan.to.clone(),
            options: self.plan.options.clone(),
            findings: Vec::new(),
        };
        let now = freeze(proposal, context, &self.grant, &self.bindings)
            .await
            .map_err(|error| {
                let mut text = error.to_string();
                let mut source = std::error::Error::source(&error);
                while let Some(cause) = source {
                    text.push_str(&format!(": {cause}"));
                    source = cause.source();
                }
                Halt::new(
                    Exit::Stale,
                    format!("the plan cannot be made again: {text}"),
                )
                .remedy("plan again")
            })?;
        let lines = differences(&self.plan, &now);
        if !lines.is_empty() {
            return Err(Halt::new(
                Exit::Stale,
                format!("the plan no longer fits: {}", lines.join("; ")),
            )
            .remedy("look at the difference, plan again and have it approved; nothing was sent"));
        }
        let before: BTreeMap<String, &str> = self
            .reads
            .iter()
            .map(|read| (key(read), read.answer.as_str()))
            .collect();
        let mut drift = 0;
        for read in &reads {
            match before.get(&key(read)) {
                Some(then) if *then != read.answer => {
                    drift += 1;
                    if drift <= DRIFT_LINES_MAX {
                        self.tell(Happening::Drift {
                            what: format!("{} {}", read.reading.binding, key_of_read(read)),
                            then: (*then).to_owned(),
                            now: read.answer.clone(),
                        });
                    }
                }
                _ => {}
            }
        }
        if drift > DRIFT_LINES_MAX {
            self.tell(Happening::Note(format!(
                "and {} more reads that differ",
                drift - DRIFT_LINES_MAX
            )));
        }
        Ok(())
    }

    // ---- on resume

    async fn load(&mut self) -> Result<(), Halt> {
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
        self.state = recover(self.run.as_str(), &rows).map_err(|error| {
            Halt::new(
                Exit::PersonNeeded,
                format!("the journal makes no run: {error}"),
            )
        })?;
        Ok(())
    }

    async fn decide(&mut self, decision: Decision) -> Result<(), Halt> {
        if !self.state.step(&decision.step).needs_person() {
            return Err(Halt::new(
                Exit::Usage,
                format!("step `{}` has nothing to decide", decision.step),
            )
            .at(&decision.step));
        }
        let number =
            u32::try_from(self.state.step(&decision.step).decided.len()).unwrap_or(u32::MAX) + 1;
        let event = Event::Decided {
            question: "what became of it".into(),
            answer: if decision.done { "done" } else { "not-done" }.into(),
            by: self.who.by.clone(),
            reason: decision.reason,
        };
        self.write_step(&decision.step, number, event).await
    }

    /// Settles the one attempt that a crash left open, wherever it stands in the plan.
    async fn settle_open(&mut self) -> Result<(), Halt> {
        let open: Vec<Step> = self
            .plan
            .steps
            .iter()
            .filter(|step| self.state.step(&step.id).open().is_some())
            .cloned()
            .collect();
        for step in open {
            if let Some(planned) = step.change() {
                let passing = Passing {
                    id: &step.id,
                    planned,
                    facts: Some(&step.facts),
                    rests_on: &step.rests_on,
                };
                self.settle(&passing).await?;
            }
        }
        Ok(())
    }

    /// Recorded done means not sent again, not still true: what no later step consumed is read again.
    async fn still_true(&mut self) -> Result<(), Halt> {
        let steps = self.plan.steps.clone();
        for (at, step) in steps.iter().enumerate() {
            let Some(planned) = step.change() else {
                continue;
            };
            let state = self.state.step(&step.id);
            let done = state
                .outcome()
                .is_some_and(|outcome| outcome.kind.is_done());
            let consumed = steps[at + 1..].iter().any(|later| {
                let touched = self
                    .state
                    .step(&later.id)
                    .attempts
                    .iter()
                    .any(|attempt| attempt.intent.is_some());
                touched && consumes(later, step)
            });
            if !done || consumed || !planned.change.lasts() || state.gave_back == Some(true) {
                continue;
            }
            let Some(last) = state.last() else { continue };
            let change = last
                .intent
                .as_ref()
                .map_or_else(|| planned.change.clone(), |intent| intent.change.clone());
            let passing = Passing {
                id: &step.id,
                planned,
                facts: None,
                rests_on: &[],
            };
            let mut attempt = self.attempt(&passing, last.number, &change);
            if let Some(intent) = &last.intent {
                attempt.intent_at_ms = last.intent_at_ms;
                attempt.kept = intent.kept.clone();
                attempt.facts = intent.facts.clone();
            }
            let probed = self
                .capability(&planned.binding)?
                .probe(&change, &attempt)
                .await
                .map_err(|error| {
                    self.unavailable("whether what is done still holds", &error)
                        .at(&step.id)
                })?;
            let seen = match probed {
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
                "find out whether the target was restored or somebody changed it; then bring it back to what the \
                 plan had and resume, or `liftlock abort` and plan again",
            ));
        }
        Ok(())
    }

    /// The conditions after the step that was concluded last may not have been waited for.
    async fn last_conditions(&mut self) -> Result<(), Halt> {
        let last = self
            .plan
            .steps
            .iter()
            .rev()
            .find(|step| self.state.step(&step.id).is_done())
            .cloned();
        if let Some(step) = last {
            for condition in &step.ends_when {
                self.wait_for(&step.id, condition).await?;
            }
        }
        Ok(())
    }

    // ---- the steps

    async fn steps(&mut self) -> Result<(), Halt> {
        let steps = self.plan.steps.clone();
        let of = steps.len();
        for (at, step) in steps.iter().enumerate() {
            if self.state.step(&step.id).is_done() {
                let state = self.state.step(&step.id);
                let why = state
                    .outcome()
                    .map_or("recorded", |outcome| outcome.kind.as_str());
                self.tell(Happening::StepSkipped {
                    step: step.id.clone(),
                    why: why.into(),
                });
                continue;
            }
            if self.stop.is_set() {
                return Err(self.stopped_by_person());
            }
            self.tell(Happening::StepBegun {
                step: step.id.clone(),
                title: step.title.clone(),
                number: at + 1,
                of,
            });
            self.approved_by_itself(step)?;
            for condition in &step.opens_when {
                self.wait_for(&step.id, condition).await?;
            }
            self.body(step).await?;
            for condition in &step.ends_when {
                self.wait_for(&step.id, condition).await?;
            }
            if steps
                .get(at + 1)
                .is_none_or(|next| next.phase != step.phase)
            {
                self.write_head().await?;
            }
        }
        Ok(())
    }

    fn step_approval(&self, step: &StepId) -> Option<(String, String)> {
        self.approvals.iter().find_map(|approval| {
            let given = approval.steps.iter().find(|given| given.step == *step)?;
            Some((approval.by.clone(), given.reason.clone()))
        })
    }

    fn approved_by_itself(&self, step: &Step) -> Result<(), Halt> {
        match &step.own_approval {
            Some(reason) if self.step_approval(&step.id).is_none() => Err(Halt::new(
                Exit::StepApproval,
                format!("step `{}` wants an approval of its own: {reason}", step.id),
            )
            .at(&step.id)
            .remedy(format!(
                "`liftlock approve PLAN --step {} --reason ...`, then resume",
                step.id
            ))),
            _ => Ok(()),
        }
    }

    async fn body(&mut self, step: &Step) -> Result<(), Halt> {
        match &step.body {
            Body::Change(planned) => {
                let passing = Passing {
                    id: &step.id,
                    planned,
                    facts: Some(&step.facts),
                    rests_on: &step.rests_on,
                };
                self.pass(&passing).await
            }
            Body::Capture { name, reads } => {
                let mut answers = Vec::with_capacity(reads.len());
                for reading in reads {
                    let answer = self.capability(&reading.binding)?.read(&reading.read).await;
                    if let Err(error @ ReadError::Unavailable(_)) = &answer {
                        return Err(self.unavailable("what the step keeps", error).at(&step.id));
                    }
                    answers.push(Captured {
                        reading: reading.clone(),
                        answer,
                    });
                }
                self.write_step(
                    &step.id,
                    1,
                    Event::Captured {
                        name: name.clone(),
                        answers,
                    },
                )
                .await
            }
            Body::HandOver { text } => match self.step_approval(&step.id) {
                Some((by, reason)) => {
                    let event = Event::Decided {
                        question: text.clone(),
                        answer: "attested".into(),
                        by,
                        reason,
                    };
                    self.write_step(&step.id, 1, event).await
                }
                None => Err(Halt::new(
                    Exit::StepApproval,
                    format!("a person has to do or attest: {text}"),
                )
                .at(&step.id)
                .remedy(format!(
                    "do it, then `liftlock approve PLAN --step {} --reason ...` and resume",
                    step.id
                ))),
            },
            Body::GiveBack { step: borrower } => self.give_back(&step.id, borrower).await,
        }
    }

    /// Services that this run stopped are stopped still: asked before each change.
    pub(crate) async fn check_standing(&self, at: &StepId) -> Result<(), Halt> {
        for id in self.state.borrowed(Borrow::Protective) {
            let Some(planned) = self.plan.step(&id).and_then(Step::change) else {
                continue;
            };
            if id == *at || !matches!(planned.change, Change::StopService {}) {
                continue;
            }
            let seen = self
                .capability(&planned.binding)?
                .evaluate(&Predicate::Stopped, None)
                .await
                .map_err(|error| {
                    self.unavailable("whether the writers are still stopped", &error)
                        .at(at)
                })?;
            if !seen.holds {
                return Err(Halt::new(
                    self.failed(),
                    format!("`{}` runs again: {}", planned.binding, seen.why),
                )
                .at(at)
                .remedy("stop it, and find out who started it; then resume"));
            }
        }
        Ok(())
    }

    // ---- borrowed state

    /// Gives back what a step borrowed, if what is read now is ours.
    async fn give_back(&mut self, id: &StepId, borrower: &StepId) -> Result<(), Halt> {
        let state = self.state.step(borrower);
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
        };
        let mut undo_of = self.attempt(&passing, attempt.number, &intent.change);
        undo_of.kept = intent.kept.clone();
        undo_of.facts = intent.facts.clone();
        let (done, why) = if now == borrowed.old {
            (true, "it was back already".to_owned())
        } else if now == borrowed.ours {
            for undo in capability
                .automatic_undo(&intent.change, &undo_of)
                .unwrap_or_default()
            {
                self.pass(&Passing {
                    id,
                    planned: &undo,
                    facts: None,
                    rests_on: &[],
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
        let number = u32::try_from(state.attempts.len()).unwrap_or(u32::MAX);
        let event = Event::GaveBack {
            step: borrower.clone(),
            done,
            seen: now,
            why,
        };
        self.write_step(borrower, number, event).await
    }

    /// Neutral state is given back at every end.
    pub(crate) async fn give_back_neutral(&mut self) -> Result<(), Halt> {
        for borrower in self.state.borrowed(Borrow::Neutral) {
            let id = StepId::new(format!("give-back.{borrower}"))
                .map_err(|error| Halt::new(Exit::Internal, error.to_string()))?;
            self.give_back(&id, &borrower).await?;
        }
        Ok(())
    }

    // ---- the end

    async fn finish(&mut self) -> Result<(), Halt> {
        self.read_unaccounted().await?;
        let findings = self
            .planner
            .validate(&self.state)
            .await
            .map_err(|fault| Halt::new(Exit::PluginFault, fault.to_string()))?;
        self.judge(findings, Exit::Frozen)?;
        self.give_back_neutral().await?;
        for step in self.state.borrowed(Borrow::Protective) {
            self.left_behind.push(format!(
                "what step {step} stopped stays stopped, as the plan has it"
            ));
        }
        self.left_behind.extend(
            self.state
                .expired
                .iter()
                .map(|label| format!("passed over: {label}")),
        );
        let left_behind = self.left_behind.clone();
        self.write(Event::RunEnded {
            how: "done".into(),
            left_behind,
        })
        .await?;
        self.write_head().await?;
        self.release().await
    }

    /// Requests that were sent and never answered can land late: their objects are read once more at the end.
    async fn read_unaccounted(&mut self) -> Result<(), Halt> {
        for (id, attempt) in self.state.unaccounted() {
            let (Some(step), Some(intent)) =
                (self.plan.step(&id).cloned(), attempt.intent.as_ref())
            else {
                continue;
            };
            let Some(planned) = step.change() else {
                continue;
            };
            if !planned.change.lasts() {
                continue;
            }
            let passing = Passing {
                id: &id,
                planned,
                facts: None,
                rests_on: &[],
            };
            let mut again = self.attempt(&passing, attempt.number, &intent.change);
            again.kept = intent.kept.clone();
            again.facts = intent.facts.clone();
            let probed = self
                .capability(&planned.binding)?
                .probe(&intent.change, &again)
                .await
                .map_err(|error| {
                    self.unavailable("a request that was never answered", &error)
                        .at(&id)
                })?;
            if !matches!(probed, Probed::Applied { .. }) {
                return Err(Halt::new(Exit::PersonNeeded, format!("step `{id}` sent a request that was never answered, and its effect does not hold"))
                    .at(&id)
                    .remedy("look at the target: the request may have landed late"));
            }
        }
        Ok(())
    }

    /// Closes the books of this process: what stopped it is written down, what is neutral goes back.
    async fn end(mut self, result: Result<(), Halt>, begun: u64) -> End {
        let mut halt = result.err();
        if let (Some(stopped), true) = (&halt, self.state.rows > 0 && self.state.ended.is_none()) {
            let mut stopped = stopped.clone();
            if stopped.exit != Exit::ClaimLost {
                if let Err(second) = self.give_back_neutral().await {
                    self.left_behind
                        .push(format!("neutral state is not given back: {}", second.why));
                }
            }
            let doubt = self.state.doubts().first().cloned();
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
                self.left_behind.push(error.why);
            }
            halt = Some(stopped);
        }
        let durable_writes = self.journal.durable_writes();
        End {
            exit: halt.as_ref().map_or(Exit::Done, |halt| halt.exit),
            halt,
            state: self.state,
            findings: self.findings,
            left_behind: self.left_behind,
            took_ms: boot_time_ms().saturating_sub(begun),
            durable_writes,
        }
    }

    // ---- shared

    pub(crate) fn capability(&self, binding: &Binding) -> Result<Arc<dyn Capability>, Halt> {
        self.bindings
            .get(binding)
            .cloned()
            .ok_or_else(|| Halt::new(Exit::Stale, format!("the site has no `{binding}` any more")))
    }

    pub(crate) fn tell(&self, happening: Happening) {
        self.observer.on(happening);
    }

    /// How a failure ends: resumable before the first schema write, frozen after it.
    pub(crate) fn failed(&self) -> Exit {
        if self.state.has_written_schema() {
            Exit::Frozen
        } else {
            Exit::Resumable
        }
    }

    /// A read that gave no evidence; nothing was sent for it.
    pub(crate) fn unavailable(&self, what: &str, error: &ReadError) -> Halt {
        let exit = if self.state.has_sent() || self.state.rows > 0 {
            Exit::Resumable
        } else {
            Exit::Unreachable
        };
        Halt::new(exit, format!("cannot read {what}: {error}"))
            .remedy("bring the target back, then resume")
    }

    pub(crate) fn unreachable(&self, binding: &Binding, error: &ReadError) -> Halt {
        self.unavailable(&format!("`{binding}`"), error)
    }

    /// What a change rests on is not what it was: refused before anything was sent, frozen after.
    pub(crate) fn stale(&self, step: &StepId, what: &str) -> Halt {
        let exit = if self.state.has_sent() {
            Exit::Frozen
        } else {
            Exit::Stale
        };
        Halt::new(
            exit,
            format!("what step `{step}` rests on has changed: {what}"),
        )
        .at(step)
        .remedy("find out who changed it; `liftlock abort` and plan again if the change is right")
    }

    pub(crate) fn stopped_by_person(&self) -> Halt {
        self.tell(Happening::Stopping);
        Halt::new(Exit::Resumable, "stopped by a person at a safe point")
            .remedy(format!("`liftlock resume {}` goes on", self.run))
    }

    pub(crate) async fn pause(&self, how_long: Duration) -> Result<(), Halt> {
        let begun = boot_time_ms();
        let whole = u64::try_from(how_long.as_millis()).unwrap_or(u64::MAX);
        while boot_time_ms().saturating_sub(begun) < whole {
            if self.stop.is_set() {
                return Err(self.stopped_by_person());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    pub(crate) async fn write_head(&self) -> Result<(), Halt> {
        self.journal
            .write_head(self.run.as_str())
            .await
            .map_err(|error| Halt::journal(&error))
    }

    /// A row of the whole run; rows of one kind are numbered.
    pub(crate) async fn write(&mut self, event: Event) -> Result<(), Halt> {
        let attempt = self.state.kinds.get(event.kind()).copied().unwrap_or(0) + 1;
        self.append(None, attempt, &event).await
    }

    /// A row of one attempt of one step.
    pub(crate) async fn write_step(
        &mut self,
        step: &StepId,
        attempt: u32,
        event: Event,
    ) -> Result<(), Halt> {
        self.append(Some(step), attempt, &event).await
    }

    async fn append(
        &mut self,
        step: Option<&StepId>,
        attempt: u32,
        event: &Event,
    ) -> Result<(), Halt> {
        let body = serde_json::to_string(event)
            .map_err(|error| Halt::new(Exit::Internal, error.to_string()))?;
        let row = NewRow {
            step: step.map(ToString::to_string),
            attempt,
            kind: event.kind().into(),
            body,
        };
        let begun = matches!(event, Event::RunBegun { .. });
        let rows = if begun {
            vec![
                self.journal
                    .begin_run(self.run.as_str(), row, now_ms())
                    .await
                    .map_err(|error| Halt::journal(&error))?,
            ]
        } else {
            self.journal
                .append(self.run.as_str(), &[row], now_ms())
                .await
                .map_err(|error| Halt::journal(&error))?
        };
        for row in &rows {
            self.state
                .apply(row)
                .map_err(|error| Halt::new(Exit::Internal, error.to_string()))?;
        }
        Ok(())
    }

    /// The plan's hash, for messages.
    pub fn plan_hash(&self) -> Digest {
        self.plan.hash()
    }
}

fn key(read: &RecordedRead) -> String {
    serde_json::to_string(&read.reading).unwrap_or_default()
}

fn key_of_read(read: &RecordedRead) -> String {
    serde_json::to_string(&read.reading.read).unwrap_or_default()
}

/// Does the later step change an object of the earlier one, so that the earlier's post-condition need not hold?
/// Facts say which objects a change is about; an index's uuid is shared by everything in it.
fn consumes(later: &Step, earlier: &Step) -> bool {
    let Some((change, earlier_change)) = later.change().zip(earlier.change()) else {
        return false;
    };
    if change.binding != earlier_change.binding {
        return false;
    }
    match (&change.change, &earlier_change.change) {
        (Change::DeleteIndex { name, .. }, other) => {
            other.names().iter().any(|other| other == name.as_str())
        }
        (Change::StartService {} | Change::RestartService {}, Change::StopService {}) => true,
        (Change::StopService {} | Change::RestartService {}, Change::StartService {}) => true,
        (later_change, other) => {
            later_change.names() == other.names()
                && later
                    .facts
                    .keys()
                    .any(|key| !key.ends_with("/uuid") && earlier.facts.contains_key(key))
        }
    }
}
