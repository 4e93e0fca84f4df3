//! The plan table, with the point of no return and what is stopped meanwhile.

use std::collections::BTreeMap;

use liftlock_types::{Body, Change, OnExpiry, Plan, PlanFile, Step, StepId, Undo, rules};
use schemars::JsonSchema;
use serde::Serialize;

use crate::escape;
use crate::output::{Paint, Style};
use crate::rates::Estimate;
use crate::rehearsal::{RehearsedData, Times};
use crate::view::waived::{self, WaivedData};
use crate::view::{SCREEN_COLUMNS, Table, change, count, findings};

/// Columns of the table: with gaps and indent they make a screen.
const COLUMNS: [usize; 6] = [4, 8, 26, 37, 12, 12];

/// A plan's facts.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PlanData {
    /// Where it is written; none: it was not.
    pub(crate) file: Option<String>,
    /// What an approval names.
    hash: String,
    /// When it was made, ISO-8601.
    made_at: String,
    /// Who made it.
    made_by: String,
    /// The site.
    site: String,
    /// The product.
    product: String,
    /// `name version sha256:...`.
    plugin: String,
    /// Version found.
    from: Option<String>,
    /// Version to reach.
    to: String,
    /// Who answers at each binding.
    targets: BTreeMap<String, String>,
    /// In the order in which they run.
    steps: Vec<StepData>,
    /// The first step after which only a restore goes back.
    point_of_no_return: Option<String>,
    /// What is stopped: service, from step number, to step number (none: to the end and beyond).
    stopped: Vec<StoppedData>,
    /// What must hold over spans of steps.
    guards: Vec<GuardData>,
    /// Of the plugin's check and of the host's own rules.
    findings: Vec<findings::FindingData>,
    /// Blockers that somebody took the responsibility for so far: finding, who, why.
    waived: Vec<WaivedData>,
    /// What stays undone.
    not_done: Vec<String>,
    /// What a person has to do outside.
    hand_overs: Vec<HandOverData>,
    /// How long it takes, as far as that was measured here.
    time: Option<Estimate>,
    /// The last rehearsal, and whether it fits.
    rehearsed: Option<RehearsedData>,
    /// How many steps change something.
    changes: usize,
    /// The whole plan, as it is hashed.
    plan: serde_json::Value,
}

/// One step.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StepData {
    /// From 1.
    number: usize,
    /// Its id.
    id: String,
    /// `prepare`, `protect`, `expand`, `switch`, `validate`, `contract`.
    phase: &'static str,
    /// One line.
    title: String,
    /// Why it is there.
    because: String,
    /// The part of the plan that goes back by itself, and that it belongs to.
    unit: Option<String>,
    /// `cluster.delete-index`; none: it changes nothing.
    verb: Option<String>,
    /// Where.
    binding: Option<String>,
    /// What it does, in a few words.
    does: String,
    /// It takes data away.
    destructive: bool,
    /// Nothing shows after a crash whether it happened.
    opaque: bool,
    /// How it is taken back.
    undo: String,
    /// How much there is to do.
    work: String,
    /// How long it takes by a rehearsal that fits, milliseconds.
    rehearsed_ms: Option<u64>,
    /// Why it wants an approval of its own.
    own_approval: Option<String>,
}

/// What is stopped, and how long.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StoppedData {
    /// The binding.
    binding: String,
    /// Number of the step that stops it.
    from_step: usize,
    /// Number of the step that starts it again; none: it stays stopped.
    to_step: Option<usize>,
}

/// What must hold from one step to another.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GuardData {
    /// What.
    label: String,
    /// Number of the first step.
    from_step: usize,
    /// Number of the last step.
    to_step: usize,
    /// How long the run waits for it where it does not hold, milliseconds.
    patience_ms: u64,
    /// What then: `fail`, `go-on-and-report`, `ask`.
    then: &'static str,
}

/// What a person does outside the plan.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HandOverData {
    title: String,
    text: String,
}

/// As data.
pub(crate) fn data(
    file: &PlanFile,
    path: Option<String>,
    times: &Times,
    waived: Vec<WaivedData>,
) -> PlanData {
    let plan = &file.plan;
    PlanData {
        file: path,
        hash: file.hash.to_string(),
        made_at: file.made_at.clone(),
        made_by: file.made_by.clone(),
        site: plan.site.clone(),
        product: escape::line(&plan.product),
        plugin: format!(
            "{} {} {}",
            escape::line(&plan.plugin.name),
            escape::line(&plan.plugin.version),
            plan.plugin.digest
        ),
        from: plan.from.as_deref().map(escape::line),
        to: escape::line(&plan.to),
        targets: plan
            .bindings
            .iter()
            .map(|(binding, identity)| (binding.to_string(), escape::line(&identity.product)))
            .collect(),
        steps: plan
            .steps
            .iter()
            .enumerate()
            .map(|(at, step)| step_data(at + 1, step, times))
            .collect(),
        point_of_no_return: plan.point_of_no_return.as_ref().map(ToString::to_string),
        stopped: stopped(plan),
        guards: guards(plan),
        findings: findings::data(&plan.findings),
        waived,
        not_done: not_done(plan),
        hand_overs: hand_overs(plan),
        time: times.measured.clone(),
        rehearsed: times.rehearsed.clone(),
        changes: changes(plan),
        plan: serde_json::to_value(plan).unwrap_or_default(),
    }
}

fn step_data(number: usize, step: &Step, times: &Times) -> StepData {
    let planned = step.change();
    StepData {
        number,
        id: step.id.to_string(),
        phase: step.phase.as_str(),
        title: escape::line(&step.title),
        because: escape::block(&step.because),
        unit: step.unit.as_ref().map(ToString::to_string),
        verb: planned.map(|planned| planned.change.verb().to_string()),
        binding: planned.map(|planned| planned.binding.to_string()),
        does: change::body(step),
        destructive: planned.is_some_and(|planned| planned.change.rule().destructive),
        opaque: planned.is_some_and(|planned| planned.change.class() == rules::Class::Opaque),
        undo: change::undo(step),
        work: change::work(step),
        rehearsed_ms: times.of_step(&step.id),
        own_approval: step.own_approval.as_deref().map(escape::line),
    }
}

/// How many steps change something.
pub(crate) fn changes(plan: &Plan) -> usize {
    plan.steps
        .iter()
        .filter(|step| step.change().is_some())
        .count()
}

/// Services that the plan stops, and where it starts them again.
pub(crate) fn stopped(plan: &Plan) -> Vec<StoppedData> {
    let mut out = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let Some(planned) = step.change() else {
            continue;
        };
        if !matches!(planned.change, Change::StopService {}) {
            continue;
        }
        let again = plan
            .steps
            .iter()
            .skip(at)
            .position(|later| match &later.body {
                Body::Change(other) => {
                    other.binding == planned.binding
                        && matches!(
                            other.change,
                            Change::StartService {} | Change::RestartService {}
                        )
                }
                Body::GiveBack { step: of } => *of == step.id,
                _ => false,
            });
        out.push(StoppedData {
            binding: planned.binding.to_string(),
            from_step: at + 1,
            to_step: again.map(|after| at + after + 1),
        });
    }
    out
}

/// In the author's order.
fn guards(plan: &Plan) -> Vec<GuardData> {
    let number = |id: &StepId| {
        let place = plan.steps.iter().position(|step| step.id == *id);
        place.map_or(0, |place| place + 1)
    };
    plan.guards
        .iter()
        .map(|guard| GuardData {
            label: escape::line(&guard.condition.label),
            from_step: number(&guard.from),
            to_step: number(&guard.until),
            patience_ms: guard.condition.patience_ms,
            then: match guard.condition.on_expiry {
                OnExpiry::Fail => "fail",
                OnExpiry::GoOnAndReport => "go-on-and-report",
                OnExpiry::Ask => "ask",
            },
        })
        .collect()
}

/// Units, each with the numbers of its first and last step.
fn units(plan: &Plan) -> Vec<(String, usize, usize)> {
    let mut out: Vec<(String, usize, usize)> = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let Some(unit) = &step.unit else { continue };
        match out.iter_mut().find(|(name, ..)| name == unit.as_str()) {
            Some((_, _, last)) => *last = at + 1,
            None => out.push((unit.to_string(), at + 1, at + 1)),
        }
    }
    out
}

/// One line: which plan, from where to where, how large.
pub(crate) fn headline(file: &PlanFile) -> String {
    let plan = &file.plan;
    format!(
        "Plan {}   {}   {} {} -> {}   {}, {}",
        file.hash.short(),
        plan.site,
        escape::line(&plan.product),
        escape::line(plan.from.as_deref().unwrap_or("?")),
        escape::line(&plan.to),
        count(plan.steps.len(), "step", "steps"),
        count(changes(plan), "change", "changes"),
    )
}

/// As text.
pub(crate) fn text(
    file: &PlanFile,
    mark: &str,
    times: &Times,
    waived: &[WaivedData],
    paint: Paint,
) -> String {
    let plan = &file.plan;
    let mut out = paint.text(Style::Strong, &headline(file));
    out.push('\n');
    let plugin = &plan.plugin;
    out.push_str(&format!(
        "  plugin {} {}, sha256 {}{mark}   made {} by {}\n",
        escape::line(&plugin.name),
        escape::line(&plugin.version),
        plugin.digest.short(),
        file.made_at,
        escape::line(&file.made_by),
    ));
    for (binding, identity) in &plan.bindings {
        out.push_str(&format!(
            "  {binding:<20} {}\n",
            escape::line(&identity.product)
        ));
    }
    for line in &plan.summary {
        out.push_str(&format!("  {}\n", escape::line(line)));
    }
    out.push('\n');
    out.push_str(&steps(plan, times, paint));
    for line in notes(plan) {
        out.push_str(&format!("{line}\n"));
    }
    out.push_str(&format!("{}\n", times.text()));
    if !plan.findings.is_empty() {
        out.push_str(&format!(
            "\nFindings: {}\n",
            findings::totals(&plan.findings)
        ));
        out.push_str(&findings::text(&plan.findings, paint));
    }
    if !waived.is_empty() {
        out.push('\n');
        out.push_str(&waived::text(waived, &plan.findings, paint));
    }
    out.push_str(&leftovers(&not_done(plan), &hand_overs(plan)));
    out
}

/// What stays undone, for people.
pub(crate) fn not_done(plan: &Plan) -> Vec<String> {
    plan.not_done
        .iter()
        .map(|text| escape::block(text))
        .collect()
}

/// What a person does outside the plan.
pub(crate) fn hand_overs(plan: &Plan) -> Vec<HandOverData> {
    plan.hand_overs
        .iter()
        .map(|hand| HandOverData {
            title: escape::line(&hand.title),
            text: escape::block(&hand.text),
        })
        .collect()
}

/// Both, as the end of a plan's or a run's screen.
pub(crate) fn leftovers(not_done: &[String], hand_overs: &[HandOverData]) -> String {
    let mut out = String::new();
    if !not_done.is_empty() {
        out.push_str("\nNot done by this plan:\n");
        for text in not_done {
            out.push_str(&format!("  - {}\n", text.replace('\n', "\n    ")));
        }
    }
    if !hand_overs.is_empty() {
        out.push_str("\nFor a person to do, outside the plan:\n");
        for hand in hand_overs {
            let text = hand.text.replace('\n', "\n    ");
            out.push_str(&format!("  - {}\n    {text}\n", hand.title));
        }
    }
    out
}

/// Lines on what is stopped and what the marks mean.
pub(crate) fn notes(plan: &Plan) -> Vec<String> {
    let mut out: Vec<String> = stopped(plan)
        .into_iter()
        .map(|stopped| match stopped.to_step {
            Some(to) => format!(
                "Stopped: {} from step {} to step {to}",
                stopped.binding, stopped.from_step
            ),
            None => format!(
                "Stopped: {} from step {} on; the plan does not start it again",
                stopped.binding, stopped.from_step
            ),
        })
        .collect();
    for (unit, from, to) in units(plan) {
        out.push(format!(
            "Unit {unit}: steps {from} to {to}, goes back by itself"
        ));
    }
    for guard in guards(plan) {
        let wait = match guard.patience_ms {
            0 => String::new(),
            ms => format!(" after {}", crate::view::duration(ms)),
        };
        out.push(format!(
            "Guard: {} from step {} to step {}, or {}{wait}",
            guard.label,
            guard.from_step,
            guard.to_step,
            match guard.then {
                "fail" => "the run stops",
                "ask" => "a person is asked",
                _ => "a warning",
            }
        ));
    }
    if plan.point_of_no_return.is_none() {
        let is_left = |step: &Step| matches!(step.undo, Undo::Stays { .. });
        let rest = if plan.steps.iter().any(is_left) {
            "; a rollback leaves what some steps did, and each says why"
        } else {
            ", every step can be taken back"
        };
        out.push(format!("Point of no return: none{rest}"));
    }
    let any = |test: fn(&liftlock_types::Planned) -> bool| {
        plan.steps.iter().filter_map(Step::change).any(test)
    };
    if any(|planned| change::takes_away(planned.change.rule().verb)) {
        out.push("! takes something away".into());
    }
    if any(|planned| planned.change.class() == rules::Class::Opaque) {
        out.push("? leaves no trace to read: a crash in it is for a person to decide".into());
    }
    out
}

fn steps(plan: &Plan, times: &Times, paint: Paint) -> String {
    let mut table = Table::new(&["#", "phase", "step", "does", "undo", "work"]).within(&COLUMNS);
    let host = |does: &str| ["-", "host", does, "", "", ""].map(str::to_owned);
    table.row(host("claim the targets"));
    for (at, step) in plan.steps.iter().enumerate() {
        table.row([
            (at + 1).to_string(),
            step.phase.as_str().to_owned(),
            escape::line(&step.title),
            change::body(step),
            change::undo(step),
            work(step, times),
        ]);
    }
    table.row(host("validate, give back, release the claim"));
    let mut blocks = table.blocks(1).into_iter();
    let mut out: String = blocks.by_ref().take(2).collect();
    for (step, block) in plan.steps.iter().zip(blocks.by_ref()) {
        if plan.point_of_no_return.as_ref() == Some(&step.id) {
            out.push_str(&paint.text(Style::Bad, &no_return_line()));
            out.push('\n');
        }
        let marked = step.change().is_some_and(|planned| {
            change::takes_away(planned.change.rule().verb)
                || planned.change.class() == rules::Class::Opaque
        });
        out.push_str(&if marked {
            paint.text(Style::Bad, block.trim_end_matches('\n')) + "\n"
        } else {
            block
        });
        if let Some(why) = &step.own_approval {
            out.push_str(&format!(
                "      wants an approval of its own: {}\n",
                escape::line(why)
            ));
        }
    }
    out.extend(blocks);
    out
}

/// How much there is to do, and how long that takes where it was rehearsed.
fn work(step: &Step, times: &Times) -> String {
    let work = change::work(step);
    match times.of_step(&step.id).map(crate::view::duration) {
        None => work,
        Some(time) if work == "-" => format!("~{time}"),
        Some(time) => format!("{work}, ~{time}"),
    }
}

fn no_return_line() -> String {
    const SAYS: &str = " POINT OF NO RETURN: from here only a restore goes back ";
    let side = (SCREEN_COLUMNS - SAYS.len()) / 2;
    format!("{}{SAYS}{}", "─".repeat(side), "─".repeat(side))
}

/// A step with everything that it is checked, waited and sent with.
pub(crate) fn full(plan: &Plan) -> String {
    let mut out = String::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let text = serde_json::to_string_pretty(step).unwrap_or_default();
        out.push_str(&format!(
            "\nStep {}  {}\n",
            at + 1,
            escape::line(&step.title)
        ));
        for line in text.lines() {
            out.push_str(&format!("  {}\n", escape::bounded(line, 2_000)));
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use liftlock_types::{
        Binding, Digest, IndexName, PLAN_FORMAT, Phase, Planned, PluginRef, StepId, TargetIdentity,
        Undo, Work,
    };

    use super::*;

    fn step(id: &str, phase: Phase, binding: &str, change: Change, undo: Undo) -> Step {
        Step {
            id: StepId::new(id).unwrap(),
            phase,
            title: format!("the {id} step"),
            because: String::new(),
            unit: None,
            after: vec![],
            body: Body::Change(Planned {
                binding: Binding::new(binding).unwrap(),
                change,
                fills: vec![],
            }),
            undo,
            opens_when: vec![],
            ends_when: vec![],
            rests_on: vec![],
            facts: BTreeMap::new(),
            work: vec![Work {
                unit: "documents".into(),
                amount: 61_200_000,
            }],
            peak_disk: BTreeMap::new(),
            own_approval: None,
            memo: None,
        }
    }

    pub(crate) fn sample() -> PlanFile {
        let delete = Change::DeleteIndex {
            name: IndexName::new("optimize-x_v2").unwrap(),
            uuid: "u".into(),
        };
        let plan = Plan {
            format: PLAN_FORMAT,
            site: "prod".into(),
            product: "optimize".into(),
            plugin: PluginRef {
                name: "camunda-optimize".into(),
                version: "0.1.0".into(),
                digest: Digest::of(b"p"),
            },
            from: Some("8.7.0".into()),
            to: "8.8.0".into(),
            bindings: BTreeMap::from([(
                Binding::new("cluster.database").unwrap(),
                TargetIdentity {
                    fingerprint: "uuid".into(),
                    product: "OpenSearch 2.19.1".into(),
                },
            )]),
            grant: Digest::of(b"g"),
            options: BTreeMap::new(),
            summary: vec![],
            steps: vec![
                step(
                    "stop",
                    Phase::Prepare,
                    "service.optimize",
                    Change::StopService {},
                    Undo::Automatic,
                ),
                step(
                    "delete",
                    Phase::Contract,
                    "cluster.database",
                    delete,
                    Undo::None {
                        because: "gone".into(),
                    },
                ),
            ],
            guards: vec![],
            point_of_no_return: Some(StepId::new("delete").unwrap()),
            findings: vec![],
            not_done: vec!["the mapping sync".into()],
            hand_overs: vec![],
        };
        PlanFile {
            hash: plan.hash(),
            made_at: "T".into(),
            made_by: "me".into(),
            plan,
            reads: vec![],
        }
    }

    #[test]
    fn a_plan_without_a_point_of_no_return_says_what_a_rollback_leaves() {
        let mut file = sample();
        file.plan.point_of_no_return = None;
        let said = |file: &PlanFile| {
            let text = text(file, "", &Times::default(), &[], Paint::plain());
            let line = text
                .lines()
                .find(|line| line.contains("of no return: none"));
            line.unwrap().to_owned()
        };
        assert!(said(&file).ends_with("none, every step can be taken back"));
        file.plan.steps[0].undo = Undo::Stays {
            because: "the old version runs on with it".into(),
        };
        assert!(
            said(&file).ends_with("none; a rollback leaves what some steps did, and each says why")
        );
    }

    #[test]
    fn the_table_draws_the_point_of_no_return_and_says_what_stays_stopped() {
        let text = text(&sample(), "", &Times::default(), &[], Paint::plain());
        let line = text
            .lines()
            .position(|line| line.contains("POINT OF NO RETURN"))
            .unwrap();
        let delete = text
            .lines()
            .position(|line| line.contains("! delete-index optimize-x_v2"))
            .unwrap();
        assert_eq!(line + 1, delete, "{text}");
        assert!(
            text.contains(
                "Stopped: service.optimize from step 1 on; the plan does not start it again"
            ),
            "{text}"
        );
        assert!(text.contains("61.2 M") && text.contains("the mapping sync"));
        for line in text.lines() {
            assert!(line.chars().count() <= SCREEN_COLUMNS, "{line}");
        }
    }
}
