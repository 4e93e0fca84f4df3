//! What the journal says of a run: a pure function of its rows.

use std::collections::{BTreeMap, BTreeSet};

use liftlock_journal::Row;
use liftlock_types::event::{Captured, Event, Intent, Outcome, OutcomeKind};
use liftlock_types::rules::Class;
use liftlock_types::{Binding, Change, Digest, Exit, Planned, StepId, TargetIdentity, UnitName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One attempt of a step's change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptState {
    /// From 1.
    pub number: u32,
    /// What was about to be sent; none where nothing was.
    pub intent: Option<Intent>,
    /// When, milliseconds since 1970.
    pub intent_at_ms: i64,
    /// What became of it; none: open.
    pub outcome: Option<Outcome>,
    /// When, milliseconds since 1970.
    pub outcome_at_ms: i64,
}

impl AttemptState {
    /// The change as it went out, or was about to: nothing is left to fill in.
    pub(crate) fn sent(&self) -> Option<Planned> {
        let intent = self.intent.as_ref()?;
        Some(Planned {
            binding: intent.binding.clone(),
            change: intent.change.clone(),
            fills: Vec::new(),
        })
    }

    fn is_unaccounted(&self) -> bool {
        self.intent.is_some()
            && self
                .outcome
                .as_ref()
                .is_none_or(|outcome| !outcome.accounted)
    }
}

/// One step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepState {
    /// In order.
    pub attempts: Vec<AttemptState>,
    /// Attempts before it was last taken back with its unit. They count for nothing but what may still land.
    #[serde(default)]
    pub history: Vec<AttemptState>,
    /// How often it was taken back with its unit.
    #[serde(default)]
    pub taken_back: u32,
    /// It was a capture, and its answers are kept.
    pub captured: bool,
    /// A person attested, approved or decided: answer and reason, last one first.
    pub decided: Vec<(String, String)>,
    /// What it borrowed was given back (true) or left (false).
    pub gave_back: Option<bool>,
    /// A rollback gave it back, which is the last that one does.
    #[serde(default)]
    pub gave_back_last: bool,
    /// The number of the last row that says so.
    #[serde(default)]
    pub gave_back_number: u32,
    /// What its attempts left beside their effect, named.
    #[serde(default)]
    pub left: Vec<String>,
    /// How often that was written down.
    #[serde(default)]
    pub left_rows: u32,
    /// How a rollback takes it back; none: no rollback came to it.
    #[serde(default)]
    pub undo: Option<Vec<Planned>>,
}

impl StepState {
    /// Every attempt there ever was, in order.
    pub fn ever(&self) -> impl Iterator<Item = &AttemptState> {
        self.history.iter().chain(&self.attempts)
    }

    /// The number of the next attempt: none is used twice.
    pub(crate) fn next_number(&self) -> u32 {
        self.ever().last().map_or(1, |attempt| attempt.number + 1)
    }

    /// The last attempt.
    pub fn last(&self) -> Option<&AttemptState> {
        self.attempts.last()
    }

    /// The outcome that counts.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.last().and_then(|attempt| attempt.outcome.as_ref())
    }

    /// An attempt was sent, or may have been, and has no outcome.
    pub fn open(&self) -> Option<&AttemptState> {
        self.last()
            .filter(|attempt| attempt.intent.is_some() && attempt.outcome.is_none())
    }

    /// The indices that it is known to have made or changed, by the facts that were read when it was done.
    pub(crate) fn indices(&self) -> impl Iterator<Item = &str> {
        let facts = self.outcome().map(|outcome| &outcome.facts_after);
        let keys = facts.into_iter().flat_map(|facts| facts.keys());
        keys.filter_map(|key| key.strip_prefix("index/")?.strip_suffix("/uuid"))
    }

    /// A request of ours went out for it, or may have.
    pub fn was_sent(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.intent.is_some())
    }

    /// An attempt before the last one was sent, and what became of it is not known.
    pub fn has_unaccounted(&self) -> bool {
        let earlier = self.attempts.len().saturating_sub(1);
        self.attempts
            .iter()
            .take(earlier)
            .any(AttemptState::is_unaccounted)
    }

    /// Its outcome is a doubt, or partial and no repeat is safe; and no person has decided it.
    pub fn needs_person(&self) -> bool {
        let may_go_on = self
            .last()
            .and_then(|last| last.intent.as_ref())
            .is_some_and(|intent| intent.change.may_go_on());
        self.outcome().is_some_and(|outcome| {
            outcome.kind == OutcomeKind::Doubt || outcome.kind == OutcomeKind::Partial && !may_go_on
        }) && self.decision().is_none()
            && self.undo.is_none()
    }

    /// What a person decided about its doubt: it is done, or it is not.
    pub fn decision(&self) -> Option<bool> {
        match self.decided.last().map(|(answer, _)| answer.as_str()) {
            Some("done") => Some(true),
            Some("not-done") => Some(false),
            _ => None,
        }
    }

    /// It needs no more work.
    pub fn is_done(&self) -> bool {
        if self.captured {
            return true;
        }
        match self.outcome() {
            Some(outcome) if outcome.kind.is_done() => true,
            Some(_) => self.decision() == Some(true),
            None => {
                self.attempts.is_empty()
                    && self.decided.iter().any(|(answer, _)| answer == "attested")
            }
        }
    }
}

/// What is known of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Its id.
    pub run: String,
    /// The plan's hash.
    pub plan: Option<Digest>,
    /// The plugin's digest.
    pub plugin: Option<Digest>,
    /// The site.
    pub site: String,
    /// From which version.
    pub from: Option<String>,
    /// To which.
    pub to: String,
    /// Who began it.
    pub by: String,
    /// On which host.
    pub host: String,
    /// When, milliseconds since 1970.
    pub begun_at_ms: i64,
    /// When the last row was written.
    pub last_at_ms: i64,
    /// Targets as they were.
    pub bindings: BTreeMap<Binding, TargetIdentity>,
    /// Claims that are ours: epoch and nonce.
    pub claims: BTreeMap<Binding, (u64, String)>,
    /// Steps that something was written of.
    pub steps: BTreeMap<StepId, StepState>,
    /// Captures by name.
    pub captures: BTreeMap<String, Vec<Captured>>,
    /// Steps in the order in which they came to their last outcome.
    pub completed: Vec<StepId>,
    /// Captures made before this run wrote anything that the old version reads, or filled another cluster.
    pub captured_before: Vec<String>,
    /// Why the run goes back; none: it does not.
    pub rolling_back: Option<String>,
    /// The unit that goes back by itself, and why.
    #[serde(default)]
    pub unit_back: Option<(UnitName, String)>,
    /// Claims of dead runners of this run that were taken over, still to be removed.
    pub superseded: Vec<(Binding, u64)>,
    /// The highest epoch that this run ever claimed: the name of a claim is never used again.
    pub epochs: BTreeMap<Binding, u64>,
    /// Facts after changes of this run, by binding and key.
    pub facts: BTreeMap<Binding, BTreeMap<String, Value>>,
    /// Conditions that were passed over.
    pub expired: Vec<String>,
    /// How it stopped last, if it did not go on since.
    pub stopped: Option<(Exit, String)>,
    /// `done`, `aborted`: it is over.
    pub ended: Option<String>,
    /// What it left behind, named.
    pub left_behind: Vec<String>,
    /// How many rows it has.
    pub rows: u64,
    /// How many rows of each kind that belong to the whole run.
    pub kinds: BTreeMap<String, u32>,
}

/// How a run ended that was taken back.
pub(crate) const ROLLED_BACK: &str = "rolled-back";

/// What the host puts before the id of a step for changes of its own.
pub(crate) const UNDO: &str = "undo.";
/// Likewise, for what gives a loan back.
pub(crate) const GIVE_BACK: &str = "give-back.";
/// Likewise, for what ends a task.
pub(crate) const CANCEL: &str = "cancel.";

/// A change of the host's own, not a step of a plan.
pub(crate) fn is_of_host(id: &StepId) -> bool {
    [UNDO, GIVE_BACK, CANCEL]
        .iter()
        .any(|prefix| id.as_str().starts_with(prefix))
}

/// Rows that make no run.
#[derive(Debug, thiserror::Error)]
#[error("row {seq} (`{kind}`) of run `{run}`: {why}")]
pub struct RecoverError {
    /// The run.
    pub run: String,
    /// The row.
    pub seq: u64,
    /// Its kind.
    pub kind: String,
    /// What is wrong.
    pub why: String,
}

/// What rows say of a run. Transitions that the gate never makes are an error.
pub fn recover(run: &str, rows: &[Row]) -> Result<RunState, RecoverError> {
    let mut state = RunState::new(run);
    for row in rows {
        state.apply(row)?;
    }
    Ok(state)
}

impl RunState {
    /// A run of which nothing is written yet.
    pub fn new(run: &str) -> Self {
        Self {
            run: run.into(),
            plan: None,
            plugin: None,
            site: String::new(),
            from: None,
            to: String::new(),
            by: String::new(),
            host: String::new(),
            begun_at_ms: 0,
            last_at_ms: 0,
            bindings: BTreeMap::new(),
            claims: BTreeMap::new(),
            steps: BTreeMap::new(),
            captures: BTreeMap::new(),
            completed: Vec::new(),
            captured_before: Vec::new(),
            rolling_back: None,
            unit_back: None,
            superseded: Vec::new(),
            epochs: BTreeMap::new(),
            facts: BTreeMap::new(),
            expired: Vec::new(),
            stopped: None,
            ended: None,
            left_behind: Vec::new(),
            rows: 0,
            kinds: BTreeMap::new(),
        }
    }

    /// Takes one more row in.
    pub fn apply(&mut self, row: &Row) -> Result<(), RecoverError> {
        let error = |why: &str| RecoverError {
            run: row.run.clone(),
            seq: row.seq,
            kind: row.kind.clone(),
            why: why.into(),
        };
        let event: Event = serde_json::from_str(&row.body)
            .map_err(|source| error(&format!("its body is no event: {source}")))?;
        if event.kind() != row.kind {
            return Err(error("its body is another event"));
        }
        // A run that is over can still be taken back, once.
        let goes_back = matches!(event, Event::RollbackBegun { .. })
            && self.ended.as_deref() != Some(ROLLED_BACK);
        if self.ended.is_some() && !matches!(event, Event::Released { .. }) && !goes_back {
            return Err(error("the run had ended"));
        }
        if (self.rows == 0) != matches!(event, Event::RunBegun { .. }) {
            return Err(error("a run begins once, with its first row"));
        }
        let step_id = || -> Result<StepId, RecoverError> {
            row.step
                .as_deref()
                .and_then(|id| StepId::new(id).ok())
                .ok_or_else(|| error("it names no step"))
        };
        if !matches!(event, Event::Stopped { .. }) {
            self.stopped = None;
        }
        match event {
            Event::RunBegun {
                plan,
                plugin,
                site,
                from,
                to,
                by,
                host,
                bindings,
                ..
            } => {
                self.plan = Some(plan);
                self.plugin = Some(plugin);
                self.site = site;
                self.from = from;
                self.to = to;
                self.by = by;
                self.host = host;
                self.bindings = bindings;
                self.begun_at_ms = row.at_ms;
            }
            Event::Resumed { .. } => {}
            Event::Claimed {
                binding,
                epoch,
                nonce,
            } => {
                let highest = self.epochs.entry(binding.clone()).or_default();
                *highest = epoch.max(*highest);
                if let Some((older, _)) = self.claims.insert(binding.clone(), (epoch, nonce))
                    && older != epoch
                {
                    self.supersede(binding, older);
                }
            }
            Event::Released { binding, epoch } => {
                self.superseded
                    .retain(|superseded| *superseded != (binding.clone(), epoch));
                if self
                    .claims
                    .get(&binding)
                    .is_some_and(|(held, _)| *held == epoch)
                {
                    self.claims.remove(&binding);
                }
            }
            Event::Intent(intent) => {
                let id = step_id()?;
                if self.goes_back() && !is_of_host(&id) {
                    return Err(error("a forward intent after the rollback began"));
                }
                let step = self.steps.entry(id).or_default();
                if step.ever().any(|attempt| attempt.number >= row.attempt) {
                    return Err(error("its attempt is not the next one"));
                }
                if step.outcome().is_some_and(|outcome| outcome.kind.is_done())
                    && step.gave_back.is_none()
                {
                    return Err(error("the step was done"));
                }
                if let Some(open) = step.open().and_then(|attempt| attempt.intent.as_ref())
                    && open.change_hash != intent.change_hash
                {
                    return Err(error("another change while an attempt is open"));
                }
                step.gave_back = None;
                step.attempts.push(AttemptState {
                    number: row.attempt,
                    intent: Some(intent),
                    intent_at_ms: row.at_ms,
                    outcome: None,
                    outcome_at_ms: 0,
                });
            }
            Event::Outcome(outcome) => {
                let id = step_id()?;
                self.completed.retain(|completed| *completed != id);
                self.completed.push(id.clone());
                let step = self.steps.entry(id).or_default();
                let facts = self.facts.entry(outcome.binding.clone()).or_default();
                facts.extend(outcome.facts_after.clone());
                match step.attempts.last_mut() {
                    Some(last) if last.number == row.attempt && last.outcome.is_none() => {
                        last.outcome = Some(outcome);
                        last.outcome_at_ms = row.at_ms;
                    }
                    last => {
                        let earlier = last.map(|last| last.number);
                        let earlier = earlier.or(step.history.last().map(|last| last.number));
                        if earlier.is_some_and(|number| number >= row.attempt) {
                            return Err(error("its attempt has an outcome"));
                        }
                        if !matches!(
                            outcome.kind,
                            OutcomeKind::TrueNotOurs | OutcomeKind::TrueUnknownWhose
                        ) {
                            return Err(error("it has no intent"));
                        }
                        step.attempts.push(AttemptState {
                            number: row.attempt,
                            intent: None,
                            intent_at_ms: row.at_ms,
                            outcome: Some(outcome),
                            outcome_at_ms: row.at_ms,
                        });
                    }
                }
            }
            Event::Captured { name, answers } => {
                let id = step_id()?;
                self.steps.entry(id.clone()).or_default().captured = true;
                self.completed.push(id);
                if !self.has_written_schema() && !self.has_restored_into() {
                    self.captured_before.push(name.clone());
                }
                self.captures.insert(name, answers);
            }
            Event::LeftBeside { what } => {
                let step = self.steps.entry(step_id()?).or_default();
                step.left = what;
                step.left_rows += 1;
            }
            Event::ConditionPassed { label, expired, .. } => {
                if expired {
                    self.expired.push(label);
                }
            }
            Event::Decided { answer, reason, .. } => {
                self.steps
                    .entry(step_id()?)
                    .or_default()
                    .decided
                    .push((answer, reason));
            }
            Event::GaveBack {
                step, done, why, ..
            } => {
                let goes_back = self.goes_back();
                let borrower = self.steps.entry(step.clone()).or_default();
                borrower.gave_back = Some(done);
                borrower.gave_back_last = goes_back;
                borrower.gave_back_number = row.attempt;
                if !done {
                    self.left_behind
                        .push(format!("what step {step} borrowed: {why}"));
                }
            }
            Event::RollbackBegun { reason, .. } => {
                self.rolling_back = Some(reason);
                self.unit_back = None;
                self.ended = None;
                self.left_behind.clear();
            }
            Event::UnitRollbackBegun { unit, reason, .. } => {
                if self.goes_back() {
                    return Err(error("the run goes back already"));
                }
                self.unit_back = Some((unit, reason));
            }
            Event::UnitRolledBack { unit, steps } => {
                if self.unit_back.take().is_none_or(|(goes, _)| goes != unit) {
                    return Err(error("this unit did not go back"));
                }
                for id in &steps {
                    self.begin_anew(id);
                }
            }
            Event::UndoPlanned { changes } => {
                if !self.goes_back() {
                    return Err(error("no rollback had begun"));
                }
                self.steps.entry(step_id()?).or_default().undo = Some(changes);
            }
            Event::Replanned { plan, plugin, .. } => {
                self.plan = Some(plan);
                self.plugin = Some(plugin);
            }
            // Its claim may stand in the target though its row was never written.
            Event::TookOver { binding, epoch, .. } => self.supersede(binding, epoch),
            Event::Stopped { exit, why } => self.stopped = Some((exit, why)),
            Event::RunEnded { how, left_behind } => {
                self.ended = Some(how);
                self.left_behind = left_behind;
            }
        }
        if row.step.is_none() {
            *self.kinds.entry(row.kind.clone()).or_default() += 1;
        }
        self.last_at_ms = row.at_ms;
        self.rows += 1;
        Ok(())
    }

    /// Its unit was taken back: what was done of it is history.
    fn begin_anew(&mut self, id: &StepId) {
        self.completed.retain(|completed| completed != id);
        if let Some(step) = self.steps.get_mut(id) {
            for outcome in step
                .attempts
                .iter()
                .filter_map(|attempt| attempt.outcome.as_ref())
            {
                let Some(facts) = self.facts.get_mut(&outcome.binding) else {
                    continue;
                };
                // What its way back did not read again is as the plan has it.
                facts.retain(|key, value| outcome.facts_after.get(key) != Some(value));
            }
            step.history.append(&mut step.attempts);
            step.taken_back += 1;
            step.undo = None;
            step.gave_back = None;
            step.gave_back_last = false;
        }
    }

    /// The run, or one unit of it, goes back: nothing goes forward meanwhile.
    pub fn goes_back(&self) -> bool {
        self.rolling_back.is_some() || self.unit_back.is_some()
    }

    fn supersede(&mut self, binding: Binding, epoch: u64) {
        if !self.superseded.contains(&(binding.clone(), epoch)) {
            self.superseded.push((binding, epoch));
        }
    }

    /// A step, also one of which nothing is written.
    pub fn step(&self, id: &StepId) -> StepState {
        self.steps.get(id).cloned().unwrap_or_default()
    }

    /// Something left this process in this run.
    pub fn has_sent(&self) -> bool {
        self.steps
            .values()
            .flat_map(StepState::ever)
            .any(|attempt| {
                attempt.intent.is_some()
                    && attempt
                        .outcome
                        .as_ref()
                        .is_none_or(|outcome| outcome.kind != OutcomeKind::NotSent)
            })
    }

    /// A change that the old version would read was applied, or may have been.
    pub fn has_written_schema(&self) -> bool {
        self.has_written_schema_by(|_| true)
    }

    /// A restore into another cluster was asked for: what is kept of that one from then on is no state of before.
    fn has_restored_into(&self) -> bool {
        let mut attempts = self.steps.values().flat_map(StepState::ever);
        attempts.any(|attempt| {
            let intent = attempt.intent.as_ref();
            intent.is_some_and(|intent| matches!(intent.change, Change::RestoreInto { .. }))
        })
    }

    /// As [`Self::has_written_schema`], by a step that counts.
    pub(crate) fn has_written_schema_by(&self, counts: impl Fn(&StepId) -> bool) -> bool {
        self.steps
            .iter()
            .filter(|(id, _)| counts(id))
            .flat_map(|(_, step)| step.ever())
            .any(|attempt| {
                attempt
                    .intent
                    .as_ref()
                    .is_some_and(|intent| intent.change.rule().writes_schema)
                    && attempt.outcome.as_ref().is_none_or(|outcome| {
                        !matches!(
                            outcome.kind,
                            OutcomeKind::NotSent | OutcomeKind::Refused | OutcomeKind::TrueNotOurs
                        )
                    })
            })
    }

    /// Steps whose outcome a person must decide.
    pub fn doubts(&self) -> Vec<StepId> {
        self.steps
            .iter()
            .filter(|(_, step)| step.needs_person())
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Attempts that were sent and never accounted for, though their step went on.
    pub fn unaccounted(&self) -> Vec<(StepId, AttemptState)> {
        self.steps
            .iter()
            .flat_map(|(id, step)| step.ever().map(move |attempt| (id, attempt)))
            .filter(|(_, attempt)| attempt.is_unaccounted())
            .map(|(id, attempt)| (id.clone(), attempt.clone()))
            .collect()
    }

    /// Steps with an unaccounted attempt that would make something once more: each of its requests makes another one.
    pub fn unrepeatable(&self) -> BTreeSet<StepId> {
        self.unaccounted()
            .into_iter()
            .filter(|(_, attempt)| {
                attempt
                    .intent
                    .as_ref()
                    .is_some_and(|intent| matches!(intent.class, Class::Opaque | Class::Tokened))
            })
            .map(|(step, _)| step)
            .collect()
    }

    /// Steps that hold something borrowed of this kind.
    pub fn borrowed(&self, kind: liftlock_types::rules::Borrow) -> Vec<StepId> {
        self.steps
            .iter()
            .filter(|(_, step)| step.gave_back.is_none())
            .filter(|(_, step)| {
                step.attempts.iter().any(|attempt| {
                    let borrows = attempt
                        .intent
                        .as_ref()
                        .and_then(|intent| intent.borrowed.as_ref());
                    borrows.is_some_and(|borrowed| borrowed.kind == kind)
                        && attempt
                            .outcome
                            .as_ref()
                            .is_some_and(|outcome| outcome.kind.is_done())
                })
            })
            .map(|(id, _)| id.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests;
