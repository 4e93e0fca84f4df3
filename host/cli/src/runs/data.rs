//! A run's facts, as data and as text.

use liftlock_gate::{RunState, StepState, iso};
use liftlock_types::event::OutcomeKind;
use liftlock_types::{Binding, Change, PlanFile, rules};
use schemars::JsonSchema;
use serde::Serialize;

use crate::escape;
use crate::runs::standing::{Standing, next};

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
    /// `done`, `aborted`, `rolled back`, `stopped (20)`, `running`, `interrupted`, `journal damaged`.
    pub(crate) standing: String,
    /// Why it stopped.
    why: Option<String>,
    /// Why it goes back, or went.
    pub(crate) going_back: Option<String>,
    /// The unit that goes back by itself, and why.
    unit_going_back: Option<String>,
    /// Steps that a rollback took back so far.
    taken_back: usize,
    /// Steps that it has to take back.
    to_take_back: usize,
    /// How many plans it went by: more than one after a replan.
    plans: usize,
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
///
/// `plans`: those that it went by, in order; none where they cannot be read.
pub(crate) fn data(state: &RunState, plans: &[PlanFile], standing: &Standing) -> RunData {
    let plan = plans.last();
    let (taken_back, to_take_back) = back(state, plans);
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
        going_back: state.rolling_back.as_deref().map(escape::block),
        unit_going_back: state
            .unit_back
            .as_ref()
            .map(|(unit, reason)| format!("{unit}; because: {}", escape::block(reason))),
        taken_back,
        to_take_back,
        plans: plans.len(),
        steps_done: steps
            .iter()
            .filter(|step| state.step(&step.id).is_done())
            .count(),
        steps: steps.len(),
        at_step: steps
            .iter()
            .find(|step| !state.step(&step.id).is_done())
            .filter(|_| state.ended.is_none() && !state.goes_back())
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

/// How many steps a rollback took back, of how many; both 0 where none began.
fn back(state: &RunState, plans: &[PlanFile]) -> (usize, usize) {
    let (Some((plan, earlier)), true) = (plans.split_last(), state.rolling_back.is_some()) else {
        return (0, 0);
    };
    let earlier: Vec<_> = earlier.iter().map(|file| file.plan.clone()).collect();
    let all = liftlock_gate::rollback_plan(state, &plan.plan, &earlier);
    let done = all.iter().filter(|undo| {
        let wanted = state.step(&undo.of).undo.map(|changes| changes.len());
        let prefix = format!("undo.{}.", undo.of);
        let passed = state
            .steps
            .iter()
            .filter(|(id, step)| id.as_str().starts_with(&prefix) && step.is_done());
        wanted == Some(passed.count()) || state.step(&undo.of).gave_back == Some(true)
    });
    (done.count(), all.len())
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
pub(crate) fn kept(state: &RunState) -> Vec<String> {
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

/// Names of files that can lie in `kept/` of the state directory for this run: copies by their hash, and inventories
/// of its snapshots. The run needs them to go on and to go back.
pub(crate) fn copies(state: &RunState) -> Vec<String> {
    let mut names = std::collections::BTreeSet::new();
    for attempt in state.steps.values().flat_map(StepState::ever) {
        if let Some(intent) = &attempt.intent {
            copy_names(&intent.kept, &mut names);
        }
        if let Some(outcome) = &attempt.outcome {
            copy_names(&outcome.evidence, &mut names);
        }
    }
    names.into_iter().collect()
}

/// A path's last name, or a hash: what files in `kept/` are called.
fn copy_names(value: &serde_json::Value, names: &mut std::collections::BTreeSet<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let Some(text) = value.as_str() else { continue };
        if matches!(key.as_str(), "kept" | "inventory" | "sha256" | "new_sha256") {
            let name = text.rsplit('/').next().unwrap_or_default();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            // What was imported is not ours to trust: a name that could lead elsewhere is none.
            if !name.is_empty() && !name.starts_with('.') && name.chars().all(plain) {
                names.insert(name.to_owned());
            }
        }
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
    if let Some(reason) = &data.going_back {
        row(
            "goes back",
            &format!(
                "{} of {} steps taken back; because: {reason}",
                data.taken_back, data.to_take_back
            ),
        );
    }
    if let Some(unit) = &data.unit_going_back {
        row("goes back", &format!("unit {unit}"));
    }
    if data.plans > 1 {
        row("plans", &format!("{}, the last one holds", data.plans));
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
