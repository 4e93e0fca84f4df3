//! `approve`: agree to a plan, with your name.

use liftlock_types::StepId;
use schemars::JsonSchema;
use serde::Serialize;

use crate::approvals::{self, Word};
use crate::args;
use crate::code::Code;
use crate::context::{Context, word};
use crate::failure::Failure;
use crate::output::Answer;
use crate::view::{findings, plan as screen};
use crate::{escape, plans, who};

/// What was approved.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ApproveData {
    file: String,
    /// The plan's hash.
    plan: String,
    by: String,
    at: String,
    /// Finding and reason.
    waives: Vec<(String, String)>,
    /// Step and reason.
    steps: Vec<(String, String)>,
    /// What the plan still lacks before it may run, as far as the site file tells.
    missing: Vec<String>,
}

pub(super) fn approve(context: &Context, args: &args::Approve) -> Result<Answer, Failure> {
    let (path, file) = plans::find(&args.plan, &context.home())?;
    let unknown = |what: &str, name: &str, there: String| {
        Failure::new(
            Code::Arguments,
            format!("the plan has no {what} `{}`", name.escape_debug()),
        )
        .cause(format!("it has: {there}"))
        .untouched("no approval was written")
        .remedy("name one of those")
    };
    for id in &args.waive {
        if !file.plan.findings.iter().any(|finding| finding.id == *id) {
            let there: Vec<&str> = file
                .plan
                .findings
                .iter()
                .map(|finding| finding.id.as_str())
                .collect();
            return Err(unknown("finding", id, there.join(", ")));
        }
    }
    let steps: Vec<StepId> = args
        .step
        .iter()
        .map(|id| {
            file.plan
                .steps
                .iter()
                .find(|step| step.id.as_str() == id)
                .map(|step| step.id.clone())
                .ok_or_else(|| unknown("step", id, "see `liftlock show`".into()))
        })
        .collect::<Result<_, _>>()?;
    let said = Word {
        by: who::by(args.by.as_deref()),
        waive: args.waive.clone(),
        steps,
        reason: args.reason.clone().unwrap_or_default(),
    };
    if (!said.waive.is_empty() || !said.steps.is_empty()) && said.reason.trim().is_empty() {
        return Err(Failure::new(
            Code::Arguments,
            "a waiver or a step approval needs a reason",
        )
        .untouched("no approval was written")
        .remedy("say why with `--reason TEXT`: plan and report show it"));
    }
    let (written, approval) = approvals::write(&path, &file.hash, &said)?;
    let ui = &context.ui;
    ui.say(&screen::headline(&file));
    ui.say(&format!(
        "approved by {}; written to {}",
        escape::line(&approval.by),
        written.display()
    ));
    let missing = missing(context, &path, &file)?;
    for line in &missing {
        ui.warn(&format!("still missing: {line}"));
    }
    if missing.is_empty() {
        ui.say(&format!(
            "next: {}",
            context.command(&format!("run {}", word(&path.display().to_string())))
        ));
    }
    let waived: Vec<&str> = approval
        .waives
        .iter()
        .map(|waiver| waiver.finding.as_str())
        .collect();
    for finding in findings::blockers(&file.plan.findings)
        .filter(|finding| waived.contains(&finding.id.as_str()))
    {
        ui.warn(&format!(
            "waived: {}: {}",
            escape::line(&finding.id),
            escape::line(&finding.what)
        ));
    }
    let data = ApproveData {
        file: written.display().to_string(),
        plan: approval.plan.to_string(),
        by: approval.by.clone(),
        at: approval.at.clone(),
        waives: approval
            .waives
            .iter()
            .map(|waiver| (waiver.finding.clone(), waiver.reason.clone()))
            .collect(),
        steps: approval
            .steps
            .iter()
            .map(|step| (step.step.to_string(), step.reason.clone()))
            .collect(),
        missing,
    };
    Ok(Answer::done("", &data))
}

/// What the plan still lacks.
fn missing(
    context: &Context,
    path: &std::path::Path,
    file: &liftlock_types::PlanFile,
) -> Result<Vec<String>, Failure> {
    // A plan can be approved where its site file is not; then `run` tells.
    let wanted = context.site().map_or(1, |site| site.approvals);
    let (good, refused) = approvals::usable(approvals::load(path)?, &file.hash, None);
    let mut lines = refused;
    lines.extend(
        liftlock_gate::missing(&file.plan, &file.made_by, &good, wanted)
            .iter()
            .map(ToString::to_string),
    );
    Ok(lines)
}
