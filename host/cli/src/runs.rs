//! Runs in the journal: found, told, and put together to go on.

use liftlock_gate::{Approval, RunState, iso, recover};
use liftlock_journal::{Journal, JournalState};
use liftlock_types::event::{Event, OutcomeKind};
use liftlock_types::{Binding, Change, Exit, PlanFile, rules};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::escape;
use crate::failure::Failure;
use crate::state::journal_failure;
use crate::store::Installed;

/// Names of what a run keeps beside its rows.
pub(crate) mod pin {
    /// The component's bytes.
    pub(crate) const PLUGIN: &str = "plugin.wasm";
    /// The plan file.
    pub(crate) const PLAN: &str = "plan.json";
    /// The approvals that it began with.
    pub(crate) const APPROVALS: &str = "approvals.json";
    /// [`super::Origin`].
    pub(crate) const ORIGIN: &str = "origin.json";
}

/// Where a run was begun from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// The site file, absolute.
    pub(crate) site: String,
    /// The plan file, absolute.
    pub(crate) plan: String,
    /// The plugin, as the store had it.
    pub(crate) plugin: Installed,
}

/// A run with what it keeps.
pub(crate) struct Kept {
    /// What the journal says.
    pub(crate) state: RunState,
    /// What was approved.
    pub(crate) plan: PlanFile,
    /// Who agreed before it began.
    pub(crate) approvals: Vec<Approval>,
    /// From where.
    pub(crate) origin: Origin,
}

/// The run that is meant: an id, its beginning or its end; without a word the last one.
pub(crate) async fn find(journal: &Journal, named: Option<&str>) -> Result<String, Failure> {
    let runs = journal.runs().await.map_err(|e| journal_failure(&e))?;
    let Some(named) = named else {
        return runs.last().map(|run| run.run.clone()).ok_or_else(|| {
            Failure::new(Code::NoRun, "there is no run in this state directory yet")
                .remedy("make a plan, approve it and run it")
                .next("liftlock plan VERSION")
        });
    };
    let hits: Vec<&str> = runs
        .iter()
        .map(|run| run.run.as_str())
        .filter(|run| {
            *run == named || (named.len() >= 4 && (run.starts_with(named) || run.ends_with(named)))
        })
        .collect();
    match hits.as_slice() {
        [one] => Ok((*one).to_owned()),
        several => {
            let what = if several.is_empty() {
                "no run"
            } else {
                "several runs"
            };
            Err(Failure::new(
                Code::NoRun,
                format!(
                    "`{}` means {what} of this state directory",
                    named.escape_debug()
                ),
            )
            .remedy("name one that `history` lists; `--state DIR` names another state directory")
            .next("liftlock history"))
        }
    }
}

/// What the journal says of a run.
pub(crate) async fn state_of(journal: &Journal, run: &str) -> Result<RunState, Failure> {
    let rows = journal.rows(run).await.map_err(|e| journal_failure(&e))?;
    recover(run, &rows).map_err(|e| {
        Failure::new(
            Code::JournalDamaged,
            format!("the rows of run `{run}` make no run"),
        )
        .because(&e)
        .remedy("keep the directory as it is, and restore the whole of it from a copy")
        .next(format!("liftlock audit {run} --verify"))
    })
}

/// A run with its pins.
pub(crate) async fn load(journal: &Journal, run: &str) -> Result<Kept, Failure> {
    let state = state_of(journal, run).await?;
    let plan = plan_of(journal, run).await?;
    let approvals = serde_json::from_slice(&pinned(journal, run, pin::APPROVALS).await?)
        .map_err(|e| not_ours(run, pin::APPROVALS).because(&e))?;
    let origin = serde_json::from_slice(&pinned(journal, run, pin::ORIGIN).await?)
        .map_err(|e| not_ours(run, pin::ORIGIN).because(&e))?;
    Ok(Kept {
        state,
        plan,
        approvals,
        origin,
    })
}

/// The plan that a run keeps.
pub(crate) async fn plan_of(journal: &Journal, run: &str) -> Result<PlanFile, Failure> {
    let bytes = pinned(journal, run, pin::PLAN).await?;
    PlanFile::parse(&String::from_utf8_lossy(&bytes))
        .map_err(|e| not_ours(run, pin::PLAN).because(&e))
}

/// Bytes that a run keeps.
pub(crate) async fn pinned(journal: &Journal, run: &str, name: &str) -> Result<Vec<u8>, Failure> {
    journal
        .pinned(run, name)
        .await
        .map_err(|e| journal_failure(&e))
}

fn not_ours(run: &str, name: &str) -> Failure {
    Failure::new(
        Code::JournalDamaged,
        format!("run `{run}` keeps a `{name}` that is none"),
    )
    .remedy("restore the whole state directory from a copy")
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Over, as it should be.
    Done,
    /// Ended by a person.
    Aborted,
    /// Stopped, with its exit code and why.
    Stopped(Exit, String),
    /// A process works on it.
    Running(String),
    /// Its process is gone without a word: a crash.
    Interrupted,
    /// Its rows end before they were recorded to end.
    Damaged,
}

/// Where a run stands. `busy` names the process that writes the journal now.
pub(crate) fn standing(state: &RunState, journal: &JournalState, busy: Option<&str>) -> Standing {
    if *journal != JournalState::Whole {
        return Standing::Damaged;
    }
    match (state.ended.as_deref(), &state.stopped, busy) {
        (Some("done"), ..) => Standing::Done,
        (Some(_), ..) => Standing::Aborted,
        (None, Some((exit, why)), _) => Standing::Stopped(*exit, why.clone()),
        (None, None, Some(holder)) => Standing::Running(holder.to_owned()),
        (None, None, None) => Standing::Interrupted,
    }
}

impl Standing {
    /// In a word or two.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Done => "done".into(),
            Self::Aborted => "aborted".into(),
            Self::Stopped(exit, _) => format!("stopped ({})", exit.code()),
            Self::Running(_) => "running".into(),
            Self::Interrupted => "interrupted".into(),
            Self::Damaged => "journal damaged".into(),
        }
    }
}

/// A run's facts, for `status` and at the end of a run.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RunData {
    /// Its id.
    pub(crate) run: String,
    site: String,
    from: Option<String>,
    to: String,
    /// The plan's hash.
    plan: String,
    /// Who began it.
    by: String,
    host: String,
    /// ISO-8601.
    begun_at: String,
    /// ISO-8601.
    last_at: String,
    /// `done`, `aborted`, `stopped (20)`, `running`, `interrupted`, `journal damaged`.
    pub(crate) standing: String,
    /// Why it stopped.
    why: Option<String>,
    steps_done: usize,
    steps: usize,
    /// The step it stands at.
    at_step: Option<String>,
    /// Steps whose outcome a person must decide.
    pub(crate) doubts: Vec<String>,
    /// Sent and not yet known what became of it.
    pub(crate) open: Vec<String>,
    /// Sent, never answered: could still land.
    unaccounted: Vec<String>,
    /// Borrowed and not given back: step and what.
    pub(crate) borrowed: Vec<String>,
    /// Claims that stand: binding and epoch.
    claims: Vec<String>,
    /// Conditions that were passed over.
    passed_over: Vec<String>,
    /// What it leaves behind.
    pub(crate) left_behind: Vec<String>,
    /// Copies that it kept, each restorable.
    kept: Vec<String>,
    /// How many changes came to what.
    outcomes: std::collections::BTreeMap<String, usize>,
    /// How long the steps took together, milliseconds.
    pub(crate) took_ms: u64,
    /// How many rows its record has.
    rows: u64,
    /// The command to type next.
    pub(crate) next: Option<String>,
}

/// As data.
pub(crate) fn data(state: &RunState, plan: Option<&PlanFile>, standing: &Standing) -> RunData {
    let steps: Vec<_> = plan
        .map(|file| file.plan.steps.iter().collect())
        .unwrap_or_default();
    let mut outcomes = std::collections::BTreeMap::new();
    for outcome in state.steps.values().filter_map(|step| step.outcome()) {
        *outcomes
            .entry(outcome.kind.as_str().to_owned())
            .or_default() += 1;
    }
    let why = match standing {
        Standing::Stopped(_, why) => Some(escape::block(why)),
        Standing::Running(holder) => Some(format!("{holder} works on it")),
        Standing::Interrupted => Some("its process ended without a word".into()),
        _ => None,
    };
    RunData {
        run: state.run.clone(),
        site: state.site.clone(),
        from: state.from.as_deref().map(escape::line),
        to: escape::line(&state.to),
        plan: state
            .plan
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        by: escape::line(&state.by),
        host: escape::line(&state.host),
        begun_at: iso(state.begun_at_ms),
        last_at: iso(state.last_at_ms),
        standing: standing.word(),
        why,
        steps_done: steps
            .iter()
            .filter(|step| state.step(&step.id).is_done())
            .count(),
        steps: steps.len(),
        at_step: steps
            .iter()
            .find(|step| !state.step(&step.id).is_done())
            .filter(|_| state.ended.is_none())
            .map(|step| format!("{} ({})", step.id, escape::line(&step.title))),
        doubts: state.doubts().iter().map(ToString::to_string).collect(),
        open: state
            .steps
            .iter()
            .filter(|(_, step)| step.open().is_some())
            .map(|(id, _)| id.to_string())
            .collect(),
        unaccounted: state
            .unaccounted()
            .iter()
            .map(|(id, _)| id.to_string())
            .collect(),
        borrowed: borrowed(state),
        claims: state
            .claims
            .iter()
            .map(|(binding, (epoch, _)): (&Binding, &(u64, String))| {
                format!("{binding}, epoch {epoch}")
            })
            .collect(),
        passed_over: state
            .expired
            .iter()
            .map(|label| escape::line(label))
            .collect(),
        left_behind: state
            .left_behind
            .iter()
            .map(|text| escape::line(text))
            .collect(),
        kept: kept(state),
        outcomes,
        took_ms: u64::try_from(state.last_at_ms - state.begun_at_ms).unwrap_or_default(),
        rows: state.rows,
        next: next(state, plan, standing),
    }
}

fn borrowed(state: &RunState) -> Vec<String> {
    let of = |kind, word: &str| -> Vec<String> {
        state
            .borrowed(kind)
            .iter()
            .map(|id| {
                let what = state
                    .step(id)
                    .attempts
                    .iter()
                    .filter_map(|attempt| attempt.intent.as_ref())
                    .find_map(|intent| {
                        Some(format!(
                            "{} on {}",
                            intent.borrowed.as_ref()?.key,
                            intent.binding
                        ))
                    });
                format!(
                    "step {id}: {} ({word})",
                    escape::line(&what.unwrap_or_default())
                )
            })
            .collect()
    };
    let mut all = of(rules::Borrow::Neutral, "neutral");
    all.extend(of(rules::Borrow::Protective, "protective"));
    all
}

/// Snapshots taken and files kept, by name.
fn kept(state: &RunState) -> Vec<String> {
    let mut out = Vec::new();
    for (id, step) in &state.steps {
        for attempt in &step.attempts {
            let (Some(intent), Some(outcome)) = (&attempt.intent, &attempt.outcome) else {
                continue;
            };
            if outcome.kind != OutcomeKind::AppliedOurs {
                continue;
            }
            match &intent.change {
                Change::TakeSnapshot { name, .. } => {
                    let name = outcome
                        .evidence
                        .get("snapshot")
                        .and_then(|found| found.as_str())
                        .map_or_else(|| name.to_string(), escape::line);
                    out.push(format!("snapshot {name} in {} (step {id})", intent.binding));
                }
                Change::KeepFile { .. } | Change::EditFile { .. } | Change::RemoveFile { .. } => {
                    let names = intent.change.names().join(", ");
                    out.push(format!(
                        "copy of {names} of {} in the state directory, kept/ (step {id})",
                        intent.binding
                    ));
                }
                _ => {}
            }
        }
    }
    out
}

/// What of a run lies in `kept/` of the state directory and is needed to take it back.
pub(crate) fn copies(state: &RunState) -> Vec<String> {
    let attempts = state.steps.values().flat_map(|step| &step.attempts);
    attempts
        .filter(|attempt| {
            attempt
                .outcome
                .as_ref()
                .is_some_and(|outcome| outcome.kind == OutcomeKind::AppliedOurs)
        })
        .filter_map(|attempt| attempt.intent.as_ref())
        .filter_map(|intent| match &intent.change {
            Change::TakeSnapshot { name, .. } => Some(format!("the inventory of snapshot {name}")),
            Change::KeepFile { .. } | Change::EditFile { .. } | Change::RemoveFile { .. } => {
                Some(escape::line(&intent.change.names().join(", ")))
            }
            _ => None,
        })
        .collect()
}

fn next(state: &RunState, plan: Option<&PlanFile>, standing: &Standing) -> Option<String> {
    match standing {
        Standing::Stopped(Exit::StepApproval, _) => {
            let file = plan?;
            let waits = file
                .plan
                .steps
                .iter()
                .find(|step| !state.step(&step.id).is_done())?;
            Some(format!(
                "liftlock approve {} --step {} --reason TEXT && liftlock resume {}",
                file.hash.short(),
                waits.id,
                state.run
            ))
        }
        Standing::Done | Standing::Aborted => {
            Some(format!("liftlock audit {} --verify", state.run))
        }
        Standing::Stopped(Exit::PersonNeeded, _) => Some(match state.doubts().first() {
            Some(step) => {
                format!(
                    "liftlock resume {} --decide {step}=done --reason TEXT   (or {step}=not-done)",
                    state.run
                )
            }
            None => format!("liftlock audit {}", state.run),
        }),
        Standing::Stopped(..) | Standing::Interrupted => {
            Some(format!("liftlock resume {}", state.run))
        }
        Standing::Running(_) => None,
        Standing::Damaged => Some(format!("liftlock audit {} --verify", state.run)),
    }
}

impl RunData {
    /// As a row of `history`.
    pub(crate) fn cells(&self) -> [String; 8] {
        [
            self.run.clone(),
            self.site.clone(),
            format!("{} -> {}", self.from.as_deref().unwrap_or("?"), self.to),
            self.standing.clone(),
            format!("{}/{}", self.steps_done, self.steps),
            self.doubts.len().to_string(),
            crate::view::duration(self.took_ms),
            self.by.clone(),
        ]
    }
}

/// As text.
pub(crate) fn text(data: &RunData) -> String {
    let mut out = format!(
        "Run {}   {}   {} -> {}   {}   {} of {} steps\n",
        data.run,
        data.site,
        data.from.as_deref().unwrap_or("?"),
        data.to,
        data.standing,
        data.steps_done,
        data.steps
    );
    let mut row = |label: &str, text: &str| {
        out.push_str(&format!(
            "  {label:<12} {}\n",
            text.replace('\n', "\n               ")
        ))
    };
    row(
        "begun",
        &format!(
            "{} by {} on {}, {} to its last row",
            data.begun_at,
            data.by,
            data.host,
            crate::view::duration(data.took_ms)
        ),
    );
    if let Some(why) = &data.why {
        row("why", why);
    }
    if let Some(at) = &data.at_step {
        row("stands at", at);
    }
    for (label, list) in [
        ("in doubt", &data.doubts),
        ("open", &data.open),
        ("unaccounted", &data.unaccounted),
        ("borrowed", &data.borrowed),
        ("claim", &data.claims),
        ("passed over", &data.passed_over),
        ("left behind", &data.left_behind),
        ("kept", &data.kept),
    ] {
        for text in list {
            row(label, text);
        }
    }
    let outcomes: Vec<String> = data
        .outcomes
        .iter()
        .map(|(kind, n)| format!("{n} {kind}"))
        .collect();
    if !outcomes.is_empty() {
        row("changes", &outcomes.join(", "));
    }
    out
}

/// An event in one line.
pub(crate) fn event_line(event: &Event) -> String {
    let text = match event {
        Event::RunBegun {
            site,
            from,
            to,
            by,
            host,
            ..
        } => {
            format!(
                "{site} {} -> {to}, by {by} on {host}",
                from.as_deref().unwrap_or("?")
            )
        }
        Event::Resumed { by, host } => format!("by {by} on {host}"),
        Event::Claimed { binding, epoch, .. } => format!("{binding}, epoch {epoch}"),
        Event::Released { binding, epoch } => format!("{binding}, epoch {epoch}"),
        Event::Intent(intent) => format!(
            "{} {} on {}, {:?}, change {}",
            intent.change.verb(),
            crate::view::change::object(&intent.change),
            intent.binding,
            intent.class,
            intent.change_hash.short()
        ),
        Event::Outcome(outcome) => {
            let accounted = if outcome.accounted {
                ""
            } else {
                ", unaccounted"
            };
            format!(
                "{}{accounted} {} {}",
                outcome.kind.as_str(),
                outcome.why,
                outcome.evidence
            )
        }
        Event::Captured { name, answers } => format!(
            "{name}: {}",
            crate::view::count(answers.len(), "read", "reads")
        ),
        Event::ConditionPassed { label, expired, .. } => {
            format!(
                "{label}{}",
                if *expired {
                    ": did not hold, passed over"
                } else {
                    ""
                }
            )
        }
        Event::Decided {
            question,
            answer,
            by,
            reason,
        } => format!("{question}: {answer}, by {by}: {reason}"),
        Event::GaveBack {
            step, done, why, ..
        } => {
            format!(
                "what {step} borrowed: {}{why}",
                if *done { "" } else { "left: " }
            )
        }
        Event::Stopped { exit, why } => format!("exit {}: {why}", exit.code()),
        Event::RunEnded { how, left_behind } => {
            format!("{how}; left behind: {}", left_behind.len())
        }
    };
    escape::bounded(text.trim(), 300)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_stands_where_the_journal_says() {
        let mut state = RunState::new("r-1");
        let whole = JournalState::Whole;
        assert_eq!(standing(&state, &whole, None), Standing::Interrupted);
        assert!(matches!(
            standing(&state, &whole, Some("pid 1")),
            Standing::Running(_)
        ));
        state.stopped = Some((Exit::Frozen, "x".into()));
        assert_eq!(
            standing(&state, &whole, Some("pid 1")).word(),
            "stopped (22)"
        );
        state.ended = Some("done".into());
        assert_eq!(standing(&state, &whole, None), Standing::Done);
        let behind = JournalState::BehindHead {
            head_seq: 3,
            journal_seq: 2,
        };
        assert_eq!(standing(&state, &behind, None), Standing::Damaged);
    }

    #[test]
    fn the_next_command_of_a_doubt_names_its_step_and_the_answers() {
        let state = RunState::new("r-1");
        let stopped = Standing::Stopped(Exit::Resumable, String::new());
        assert_eq!(next(&state, None, &stopped).unwrap(), "liftlock resume r-1");
        assert_eq!(
            data(&state, None, &stopped).next.unwrap(),
            "liftlock resume r-1"
        );
    }
}
