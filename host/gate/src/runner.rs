//! A run: from its first step to its end, resumed after any crash, or aborted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use liftlock_journal::{Journal, JournalError, NewRow, Row};
use liftlock_types::event::Event;
use liftlock_types::{
    Binding, Capability, Change, Exit, Finding, Grant, Moment, Phase, Plan, Planned, ReadError,
    RecordedRead, RunId, Step, StepId,
};

use crate::defect::Defect;
use crate::observer::{Happening, Observer, StopSignal};
use crate::planner::{Planner, PlannerFault};
use crate::settle::Timing;
use crate::state::RunState;
use crate::watch::{Watch, Watched};
use crate::{Approval, Bindings, boot_time_ms, now_ms};

/// How soon a wait sees that a person wants to stop.
const STOP_SEEN_MS: u64 = 100;

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

    /// The stronger of two (gate, section 11); the other is told.
    pub(crate) fn or_stronger(self, other: Self, tell: impl FnOnce(Self)) -> Self {
        let strength = |halt: &Self| match halt.exit {
            Exit::PersonNeeded => 6,
            Exit::RollbackFailed => 5,
            Exit::ClaimLost => 4,
            Exit::Frozen => 3,
            Exit::Resumable => 2,
            _ => 1,
        };
        let (stronger, weaker) = if strength(&other) > strength(&self) {
            (other, self)
        } else {
            (self, other)
        };
        tell(weaker);
        stronger
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
    /// Whether the clusters could be reached meanwhile.
    pub watched: Vec<Watched>,
}

/// One run of one plan.
pub struct Runner {
    pub(crate) journal: Journal,
    pub(crate) run: RunId,
    pub(crate) plan: Plan,
    pub(crate) earlier: Vec<Plan>,
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
    pub(crate) timing: Timing,
    pub(crate) side_by_side: usize,
    watch: Mutex<Option<Watch>>,
    state: Mutex<Arc<RunState>>,
    findings: Mutex<Vec<Finding>>,
    left_behind: Mutex<Vec<String>>,
    /// Rows are written and taken in one after another, also by steps that go side by side.
    writing: tokio::sync::Mutex<()>,
    #[cfg(feature = "test-points")]
    pub(crate) hooks: crate::points::Hooks,
}

/// What a runner needs.
pub struct Parts {
    /// Opened, ours alone.
    pub journal: Journal,
    /// The run's id.
    pub run: RunId,
    /// What was approved, and runs.
    pub plan: Plan,
    /// Plans of this run that were replaced by a later one, in order.
    pub earlier: Vec<Plan>,
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
    /// How long it waits before it concludes.
    pub timing: Timing,
    /// Most steps at once, from 1.
    pub side_by_side: usize,
}

impl Runner {
    /// Puts a runner together; reads and sends nothing.
    pub fn new(parts: Parts) -> Self {
        Self {
            state: Mutex::new(Arc::new(RunState::new(parts.run.as_str()))),
            journal: parts.journal,
            run: parts.run,
            plan: parts.plan,
            earlier: parts.earlier,
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
            timing: parts.timing,
            side_by_side: parts.side_by_side.max(1),
            watch: Mutex::new(None),
            findings: Mutex::new(Vec::new()),
            left_behind: Mutex::new(Vec::new()),
            writing: tokio::sync::Mutex::new(()),
            #[cfg(feature = "test-points")]
            hooks: crate::points::Hooks::default(),
        }
    }

    /// What the journal says now.
    pub(crate) fn state(&self) -> Arc<RunState> {
        Arc::clone(&held(&self.state))
    }

    /// Takes what the journal said of the run.
    pub(crate) fn recovered(&self, state: RunState) {
        *held(&self.state) = Arc::new(state);
    }

    /// From here on the clusters are looked at until the run is over.
    pub(crate) fn watch(&self) {
        *held(&self.watch) = Some(Watch::begin(&self.bindings, self.timing.watch_every_ms));
    }

    /// Keeps a finding for the report.
    pub(crate) fn keep_finding(&self, finding: Finding) {
        held(&self.findings).push(finding);
    }

    /// Names what stays behind, for the report.
    pub(crate) fn leave(&self, what: impl Into<String>) {
        held(&self.left_behind).push(what.into());
    }

    /// What was named as left behind until now.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let mut left = held(&self.left_behind).clone();
        for step in self.state().steps.values() {
            left.extend(step.left.iter().cloned());
        }
        left
    }

    /// What the books of this process come to.
    pub(crate) fn closed(self, halt: Option<Halt>, begun: u64) -> End {
        End {
            exit: halt.as_ref().map_or(Exit::Done, |halt| halt.exit),
            halt,
            state: Arc::unwrap_or_clone(self.state()),
            findings: held(&self.findings).clone(),
            left_behind: self.left_behind(),
            took_ms: boot_time_ms().saturating_sub(begun),
            durable_writes: self.journal.durable_writes(),
            watched: held(&self.watch)
                .as_ref()
                .map(Watch::seen)
                .unwrap_or_default(),
        }
    }

    /// Runs the plan from its first step.
    ///
    /// Before anything is sent: approvals, grant, targets, claims of others, the plugin's check, and the plan
    /// made again and compared. After that only the gate sends, and each end but `Done` and `aborted` can be
    /// resumed.
    pub async fn run(self) -> End {
        let begun = boot_time_ms();
        self.watch();
        let result = self.run_inner().await;
        self.end(result, begun).await
    }

    pub(crate) async fn run_inner(&self) -> Result<(), Halt> {
        self.check_approved()?;
        self.check_unchanged().await?;
        self.check_unclaimed().await?;
        self.check_findings(Moment::BeforeRun).await?;
        let reads = self.plan_again().await?;
        self.tell_drift(&reads);
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
        self.plan_again_claimed().await?;
        self.steps().await?;
        self.finish().await
    }

    /// A labelled point, where a test can end the run.
    #[cfg(not(feature = "test-points"))]
    pub(crate) fn reach(
        &self,
        _label: &[&str],
        _step: Option<&StepId>,
        _attempt: u32,
    ) -> std::future::Ready<()> {
        std::future::ready(())
    }

    pub(crate) fn capability(&self, binding: &Binding) -> Result<Arc<dyn Capability>, Halt> {
        self.bindings
            .get(binding)
            .cloned()
            .ok_or_else(|| Halt::new(Exit::Stale, format!("the site has no `{binding}` any more")))
    }

    /// A step of the plan, or of one that it replaced.
    pub(crate) fn step_of(&self, id: &StepId) -> Option<&Step> {
        std::iter::once(&self.plan)
            .chain(self.earlier.iter().rev())
            .find_map(|plan| plan.step(id))
    }

    pub(crate) fn tell(&self, happening: Happening) {
        self.observer.on(happening);
    }

    /// A task of the protect phase takes a backup or tries one: what the old version reads is as it was.
    fn is_backup(&self, id: &StepId) -> bool {
        self.step_of(id).is_some_and(|step| {
            let is_task = |planned: &Planned| matches!(planned.change, Change::RunTask { .. });
            step.phase == Phase::Protect && step.change().is_some_and(is_task)
        })
    }

    /// How a failure ends: resumable before the first schema write, frozen after it.
    pub(crate) fn failed(&self) -> Exit {
        if self.state().goes_back() {
            Exit::RollbackFailed
        } else if self.state().has_written_schema_by(|id| !self.is_backup(id)) {
            Exit::Frozen
        } else {
            Exit::Resumable
        }
    }

    /// A read that gave no evidence; nothing was sent for it.
    pub(crate) fn unavailable(&self, what: &str, error: &ReadError) -> Halt {
        let exit = if self.state().has_sent() || self.state().rows > 0 {
            Exit::Resumable
        } else {
            Exit::Unreachable
        };
        Halt::new(exit, format!("cannot read {what}: {error}"))
            .remedy("bring the target back, then resume")
    }

    /// The plugin gave no answer: its own fault, or a target's.
    pub(crate) fn fault(&self, fault: &PlannerFault) -> Halt {
        match fault {
            PlannerFault::Target {
                doing,
                error: error @ (ReadError::Unavailable(_) | ReadError::Rejected { .. }),
            } => self.unavailable(&format!("what the plugin needs to {doing}"), error),
            PlannerFault::Refused(_) if !self.state().has_sent() => {
                Halt::new(Exit::Blocked, fault.to_string())
                    .remedy("do what it names, or plan again; nothing was sent")
            }
            PlannerFault::Target { error, .. } => {
                Halt::new(Exit::PluginFault, format!("{fault}: {error}"))
            }
            PlannerFault::Plugin(_) | PlannerFault::Refused(_) => {
                Halt::new(Exit::PluginFault, fault.to_string())
            }
        }
    }

    pub(crate) fn unreachable(&self, binding: &Binding, error: &ReadError) -> Halt {
        self.unavailable(&format!("`{binding}`"), error)
    }

    /// What a change rests on is not what it was: refused before anything was sent, frozen after.
    pub(crate) fn stale(&self, step: &StepId, what: &str) -> Halt {
        let state = self.state();
        let exit = match (state.has_sent(), state.goes_back()) {
            (_, true) => Exit::RollbackFailed,
            (true, false) => Exit::Frozen,
            (false, false) => Exit::Stale,
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
        loop {
            let left = whole.saturating_sub(boot_time_ms().saturating_sub(begun));
            if left == 0 {
                return Ok(());
            }
            if self.stop.is_set() {
                return Err(self.stopped_by_person());
            }
            tokio::time::sleep(Duration::from_millis(left.min(STOP_SEEN_MS))).await;
        }
    }

    pub(crate) async fn write_head(&self) -> Result<(), Halt> {
        if self.lacks(Defect::HeadNotWritten) {
            return Ok(());
        }
        self.journal
            .write_head(self.run.as_str())
            .await
            .map_err(|error| Halt::journal(&error))
    }

    /// A row of the whole run; rows of one kind are numbered.
    pub(crate) async fn write(&self, event: Event) -> Result<(), Halt> {
        self.append(None, None, &event).await
    }

    /// A row of one attempt of one step.
    pub(crate) async fn write_step(
        &self,
        step: &StepId,
        attempt: u32,
        event: Event,
    ) -> Result<(), Halt> {
        self.append(Some(step), Some(attempt), &event).await
    }

    async fn append(
        &self,
        step: Option<&StepId>,
        attempt: Option<u32>,
        event: &Event,
    ) -> Result<(), Halt> {
        let body = serde_json::to_string(event)
            .map_err(|error| Halt::new(Exit::Internal, error.to_string()))?;
        let _writing = self.writing.lock().await;
        // Rows of the whole run are numbered by kind.
        let attempt = attempt
            .unwrap_or_else(|| self.state().kinds.get(event.kind()).copied().unwrap_or(0) + 1);
        self.reach(&["journal", event.kind(), "before"], step, attempt)
            .await;
        let row = NewRow {
            step: step.map(ToString::to_string),
            attempt,
            kind: event.kind().into(),
            body,
        };
        for row in &self.store(row, event).await? {
            Arc::make_mut(&mut held(&self.state))
                .apply(row)
                .map_err(|error| Halt::new(Exit::Internal, error.to_string()))?;
        }
        self.reach(&["journal", event.kind(), "after"], step, attempt)
            .await;
        Ok(())
    }

    async fn store(&self, row: NewRow, event: &Event) -> Result<Vec<Row>, Halt> {
        #[cfg(feature = "test-points")]
        if self.lacks(Defect::IntentNotDurable) && matches!(event, Event::Intent(_)) {
            return Ok(vec![crate::points::not_durable(self.run.as_str(), row)]);
        }
        if matches!(event, Event::RunBegun { .. }) {
            let row = self
                .journal
                .begin_run(self.run.as_str(), row, now_ms())
                .await
                .map_err(|error| Halt::journal(&error))?;
            return Ok(vec![row]);
        }
        self.journal
            .append(self.run.as_str(), &[row], now_ms())
            .await
            .map_err(|error| Halt::journal(&error))
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
