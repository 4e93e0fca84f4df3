//! What a run came to, as data and as text.

use std::path::Path;

use liftlock_gate::{Approval, End, Halt};
use liftlock_journal::JournalState;
use liftlock_types::{Exit, Finding, Plan, PlanFile};
use schemars::JsonSchema;
use serde::Serialize;

use crate::claims::{self, ClaimData};
use crate::code::Code;
use crate::context::{Context, word};
use crate::escape;
use crate::failure::Failure;
use crate::output::{Answer, Paint, Style};
use crate::rehearsal::RehearsedData;
use crate::runs::{self, RunData, Standing};
use crate::view::waived::{self, WaivedData};
use crate::view::{self, findings, plan};
use crate::who;

/// How a run ended, or a command that went on with one.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EndData {
    /// Where the run stands now.
    run: RunData,
    /// Findings on the way and of the validation.
    findings: Vec<findings::FindingData>,
    /// Blockers that somebody took the responsibility for: finding, who, why.
    waived: Vec<WaivedData>,
    /// What the plan leaves undone.
    not_done: Vec<String>,
    /// What a person has to do outside.
    hand_overs: Vec<plan::HandOverData>,
    /// The step at which it stopped.
    stopped_at: Option<String>,
    /// After a rollback: how many answers that were kept before the first change were read again and are the same.
    compared: Option<usize>,
    /// Whether the clusters answered while this command worked.
    availability: Vec<WatchedData>,
    /// Claims that were in the way.
    claims: Vec<ClaimData>,
    /// Of a rehearsal: what was written down of it.
    rehearsed: Option<RehearsedData>,
    /// How long this command worked, milliseconds.
    took_ms: u64,
    /// How long each phase took, milliseconds, over all of the run.
    phases_ms: Vec<(String, u64)>,
    /// Commits of the journal by this command.
    durable_writes: u64,
    /// Most memory of this process.
    peak_memory_bytes: Option<u64>,
    /// The state directory.
    state_dir: String,
}

/// A cluster that was watched.
#[derive(Debug, Serialize, JsonSchema)]
struct WatchedData {
    /// Which.
    binding: String,
    /// How often it was asked.
    looks: u32,
    /// How often it gave no answer in time.
    failed: u32,
    /// The longest time without an answer, milliseconds.
    longest_gap_ms: u64,
}

impl WatchedData {
    fn line(&self) -> String {
        let answered = self.looks.saturating_sub(self.failed);
        let mut text = format!(
            "{}: {answered} of {} looks answered",
            self.binding, self.looks
        );
        if self.failed > 0 {
            text.push_str(&format!(
                ", away for {} at the longest",
                view::duration(self.longest_gap_ms)
            ));
        }
        text
    }
}

/// What there is to tell at the end.
pub(super) struct Ended<'a> {
    /// As the gate has it.
    pub(super) end: &'a End,
    /// The plans by which it went; the last one holds.
    pub(super) plans: &'a [PlanFile],
    /// Who agreed.
    pub(super) agreed: &'a [Approval],
    /// Where the plan file is.
    pub(super) plan_path: &'a Path,
    /// Where the journal is.
    pub(super) state_dir: String,
    /// Claims that were in the way.
    pub(super) claims: &'a [ClaimData],
    /// Where the plugin goes from the version that was reached.
    pub(super) hop: Option<String>,
    /// Of a rehearsal: what was written down of it.
    pub(super) rehearsed: Option<RehearsedData>,
}

/// As data and as text, with the failure where it is one.
pub(super) fn answer(context: &Context, ended: &Ended<'_>) -> Answer {
    let Ended {
        end, plans, agreed, ..
    } = ended;
    let Some(file) = plans.last() else {
        return Failure::new(Code::Internal, "a run without a plan").into();
    };
    let standing = match (&end.halt, end.state.rows) {
        // Refused before anything was written: the run does not exist.
        (Some(halt), 0) => Standing::Stopped(halt.exit, halt.why.clone()),
        _ => runs::standing(&end.state, &JournalState::Whole, None),
    };
    let mut run = runs::data(&end.state, plans, &standing);
    let mut left: Vec<String> = end
        .left_behind
        .iter()
        .map(|text| escape::line(text))
        .collect();
    left.retain(|text| !run.left_behind.contains(text));
    run.left_behind.extend(left);
    if end.state.rows == 0 {
        run.next = None;
    }
    match (&standing, &ended.hop) {
        (Standing::Done, _) if ended.rehearsed.is_some() => {
            run.next = Some(format!("liftlock plan {}", word(&file.plan.to)));
        }
        (Standing::Done, Some(hop)) => run.next = Some(format!("liftlock plan {}", word(hop))),
        (Standing::RolledBack, _) => {
            run.next = Some(format!("liftlock plan {}", word(&file.plan.to)));
        }
        _ => {}
    }
    let data = EndData {
        findings: findings::data(&end.findings),
        waived: waived::data(agreed),
        not_done: plan::not_done(&file.plan),
        hand_overs: plan::hand_overs(&file.plan),
        stopped_at: end
            .halt
            .as_ref()
            .and_then(|halt| halt.step.as_ref())
            .map(ToString::to_string),
        compared: (standing == Standing::RolledBack).then(|| compared(end)),
        availability: end
            .watched
            .iter()
            .map(|watched| WatchedData {
                binding: watched.binding.to_string(),
                looks: watched.looks,
                failed: watched.failed,
                longest_gap_ms: watched.longest_gap_ms,
            })
            .collect(),
        claims: ended.claims.to_vec(),
        rehearsed: ended.rehearsed.clone(),
        took_ms: end.took_ms,
        phases_ms: phases(end, &file.plan),
        durable_writes: end.durable_writes,
        peak_memory_bytes: who::peak_memory_bytes(),
        state_dir: ended.state_dir.clone(),
        run,
    };
    let text = if end.state.rows == 0 {
        String::new()
    } else {
        text(
            &data,
            &end.findings,
            &file.plan.findings,
            context.ui.paint(),
        )
    };
    let answer = Answer::done(text, &data);
    match &end.halt {
        None => {
            if let Some(next) = &data.run.next {
                // After a rehearsal it is about the real site.
                context.on_rehearsal(false).say_next(next);
            }
            answer
        }
        Some(_) => answer.failed(failure(end, &data, &file.plan.to, ended.plan_path)),
    }
}

/// Answers that were kept before the first change, which a rollback that came to its end compared.
fn compared(end: &End) -> usize {
    end.state
        .captured_before
        .iter()
        .filter_map(|name| end.state.captures.get(name))
        .flatten()
        .filter(|captured| captured.answer.is_ok())
        .count()
}

fn failure(end: &End, data: &EndData, to: &str, plan_path: &Path) -> Failure {
    let halt = end
        .halt
        .clone()
        .unwrap_or_else(|| Halt::new(end.exit, "it stopped"));
    let at = halt
        .step
        .as_ref()
        .map(|step| format!(" at step `{step}`"))
        .unwrap_or_default();
    let what = if end.state.rows == 0 {
        "the run did not begin".to_owned()
    } else {
        format!("run {} stopped{at}", end.state.run)
    };
    let untouched = if !end.state.has_sent() && end.state.claims.is_empty() {
        "nothing was sent to any target".to_owned()
    } else if !end.state.has_sent() {
        "nothing but the run's own claim was sent to any target".to_owned()
    } else if data.run.open.is_empty() && data.run.doubts.is_empty() {
        "the steps that follow were not begun; every change that was sent is concluded and in the journal".to_owned()
    } else {
        let mut unknown = data.run.doubts.clone();
        unknown.extend(
            data.run
                .open
                .iter()
                .filter(|step| !data.run.doubts.contains(step))
                .cloned(),
        );
        format!(
            "the steps that follow were not begun; what became of {} is not proved",
            unknown.join(", ")
        )
    };
    let plan = word(&plan_path.display().to_string());
    let claims: &[ClaimData] = match halt.exit {
        Exit::Claimed => &data.claims,
        _ => &[],
    };
    let mut next = match halt.exit {
        Exit::Stale => Some(format!("liftlock plan {}", word(to))),
        Exit::Blocked => Some(format!("liftlock check {}", word(to))),
        Exit::ApprovalMissing => Some(format!("liftlock approve {plan}")),
        Exit::StepApproval => halt.step.as_ref().map(|step| {
            format!(
                "liftlock approve {plan} --step {step} --reason TEXT && liftlock resume {}",
                end.state.run
            )
        }),
        Exit::Claimed if end.state.rows == 0 => None,
        _ if end.state.rows == 0 => None,
        _ => data.run.next.clone(),
    };
    let mut failure = Failure::new(Code::of_exit(halt.exit), what)
        .cause(halt.why.clone())
        .untouched(untouched)
        .remedy(remedy(&halt, end));
    let own = (end.state.rows > 0).then_some(end.state.run.as_str());
    for claim in claims {
        let (ways, command) = claims::ways_out(claim, own);
        failure = failure.cause(format!("{}: {}", claim.binding, claim.holder));
        failure = failure.remedy(ways.join("\n"));
        if command.is_some() {
            next = command;
        }
    }
    for left in data.run.left_behind.iter().chain(&data.run.borrowed) {
        failure = failure.cause(format!("left: {left}"));
    }
    match next {
        Some(next) => failure.next(next),
        None => failure,
    }
}

/// What to do, and that there is a way back where there is one.
fn remedy(halt: &Halt, end: &End) -> String {
    let may_go_back = end.state.has_sent()
        && !end.state.goes_back()
        && matches!(
            halt.exit,
            Exit::Frozen | Exit::Resumable | Exit::PersonNeeded | Exit::PluginFault
        );
    if !may_go_back {
        return halt.remedy.clone();
    }
    format!(
        "{}\nor take the run back: `liftlock rollback {} --preview` shows how",
        halt.remedy, end.state.run
    )
}

/// How long each phase took: from its first intent to its last outcome.
fn phases(end: &End, plan: &Plan) -> Vec<(String, u64)> {
    let mut out: Vec<(String, i64, i64)> = Vec::new();
    for step in &plan.steps {
        let state = end.state.step(&step.id);
        let begun = state.attempts.first().map(|attempt| attempt.intent_at_ms);
        let ended = state
            .last()
            .map(|attempt| attempt.outcome_at_ms)
            .filter(|at| *at > 0);
        let (Some(begun), Some(ended)) = (begun, ended) else {
            continue;
        };
        match out
            .last_mut()
            .filter(|(phase, ..)| phase == step.phase.as_str())
        {
            Some((_, _, last)) => *last = ended.max(*last),
            None => out.push((step.phase.as_str().to_owned(), begun, ended)),
        }
    }
    out.into_iter()
        .map(|(phase, begun, ended)| (phase, u64::try_from(ended - begun).unwrap_or_default()))
        .collect()
}

fn text(data: &EndData, found: &[Finding], planned: &[Finding], paint: Paint) -> String {
    let mut out = runs::text(&data.run);
    if !found.is_empty() {
        out.push_str(&format!("  findings     {}\n", findings::totals(found)));
    }
    for line in waived::lines(&data.waived, planned) {
        let text = format!("  WAIVED       {line}");
        out.push_str(&format!("{}\n", paint.text(Style::Bad, &text)));
    }
    if let Some(answers) = data.compared {
        let text = format!(
            "  as before    {} that were kept before the first change, read again: the same",
            view::count(answers, "answer", "answers")
        );
        out.push_str(&format!("{}\n", paint.text(Style::Good, &text)));
    }
    for watched in &data.availability {
        let text = format!("  available    {}", watched.line());
        let style = if watched.failed > 0 {
            Style::Bad
        } else {
            Style::Good
        };
        out.push_str(&format!("{}\n", paint.text(style, &text)));
    }
    if let Some(rehearsed) = &data.rehearsed {
        let (text, style) = rehearsed.end();
        let text = format!("  rehearsal    {text}");
        out.push_str(&format!("{}\n", paint.text(style, &text)));
    }
    let phases: Vec<String> = data
        .phases_ms
        .iter()
        .map(|(phase, ms)| format!("{phase} {}", view::duration(*ms)))
        .collect();
    if !phases.is_empty() {
        out.push_str(&format!("  phases       {}\n", phases.join(", ")));
    }
    let memory = data
        .peak_memory_bytes
        .map(|bytes| format!(", at most {} of memory", view::bytes(bytes)));
    out.push_str(&format!(
        "  took         {}, {}{}\n  journal      {}\n",
        view::duration(data.took_ms),
        view::count(
            usize::try_from(data.durable_writes).unwrap_or(usize::MAX),
            "durable write",
            "durable writes"
        ),
        memory.unwrap_or_default(),
        data.state_dir,
    ));
    if data.run.standing == Standing::Done.word() {
        out.push_str(&plan::leftovers(&data.not_done, &data.hand_overs));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_that_was_away_says_how_long() {
        let watched = |failed| WatchedData {
            binding: "cluster.database".into(),
            looks: 9,
            failed,
            longest_gap_ms: 4_200,
        };
        assert_eq!(watched(0).line(), "cluster.database: 9 of 9 looks answered");
        assert_eq!(
            watched(2).line(),
            "cluster.database: 7 of 9 looks answered, away for 4.2 s at the longest"
        );
    }
}
