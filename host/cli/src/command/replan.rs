//! `replan`: a new plan in the middle of a run.

use std::path::PathBuf;

use liftlock_gate::{RunState, carried};
use liftlock_types::{Plan, PlanFile, Step, StepId, Target};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args;
use crate::code::Code;
use crate::connect::connect;
use crate::context::{Context, word};
use crate::escape;
use crate::failure::Failure;
use crate::granting;
use crate::guest::{self, Guest};
use crate::output::{Answer, Paint, Style};
use crate::planner::SitePlanner;
use crate::planning::{self, Planned, Ready};
use crate::plans;
use crate::rehearsal::Times;
use crate::running::{self, Over};
use crate::runs::Kept;
use crate::site::Site;
use crate::store::UNSIGNED;
use crate::view::plan::{self as screen, PlanData};
use crate::view::{count, findings};

/// A plan that can take the place of a run's.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ReplanData {
    /// The run.
    run: String,
    /// The hash of the plan that it goes by.
    instead_of: String,
    /// The new plan.
    plan: PlanData,
    /// What became of each step.
    steps: Changes,
    /// The command to type next.
    next: Option<String>,
}

/// The new plan beside what was done and what was planned before.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
struct Changes {
    /// Done before, not done again: step and evidence.
    carried: Vec<(String, String)>,
    /// Done before, and not in the new plan: it stays done.
    done_and_gone: Vec<String>,
    /// Only in the new plan.
    new: Vec<String>,
    /// Not done, and not in the new plan any more.
    gone: Vec<String>,
    /// In both, and not the same.
    changed: Vec<String>,
}

pub(super) async fn replan(context: &Context, args: args::Replan) -> Result<Answer, Failure> {
    let state = context.state()?;
    // For writing, though nothing is written: no process may work on the run meanwhile.
    let journal = state.journal().await?;
    let (run, kept) = running::found(&journal, &args.run, Over::Refused).await?;
    running::check_settled(&run, &kept)?;
    let site = running::site_of(context, &kept.origin)?;
    let guest = plugin(context, &site, &args, &kept).await?;
    granting::options(&site, &guest)?;
    let targets = connect(&site, &state).await?;
    let grant = granting::ensure_beside(context, &site, &guest, &targets, args.with.yes).await?;
    let target = Target {
        from: None,
        to: kept.plan.plan.to.clone(),
    };
    let planner = SitePlanner::new(context.ui, &guest, &targets, &grant, target)
        .of_run(&kept.plan.plan, &kept.state);
    let ready = Ready {
        site,
        guest,
        targets,
        grant,
        planner,
    };
    let (ready, _, target) = planning::aim(ready, Some(&kept.plan.plan.to)).await?;
    let file = match planning::make(&ready, &target, args.with_blockers).await? {
        Planned::Made(file) => *file,
        Planned::Blocked(found) => {
            let ui = &context.ui;
            ui.show(findings::text(&found, ui.paint_talk()).trim_end());
            return Err(planning::blocked(&found, &target.to)
                .next(format!("liftlock replan {run} --with-blockers")));
        }
    };
    finish(context, &args, &run, &kept, &ready, file).await
}

/// The plugin that was named, else the one that made the run's plan.
async fn plugin(
    context: &Context,
    site: &Site,
    args: &args::Replan,
    kept: &Kept,
) -> Result<Guest, Failure> {
    if args.with.plugin.is_some() {
        return guest::of_site(context, site, &args.with).await;
    }
    let state = context.state()?;
    let bytes = kept.plugin.clone();
    let guest = guest::from_bytes(&state, bytes, kept.origin.plugin.clone()).await?;
    guest::announce(&context.ui, &guest.installed);
    Ok(guest)
}

async fn finish(
    context: &Context,
    args: &args::Replan,
    run: &str,
    kept: &Kept,
    ready: &Ready,
    file: PlanFile,
) -> Result<Answer, Failure> {
    let ui = &context.ui;
    let mut plans: Vec<Plan> = kept.earlier.iter().map(|file| file.plan.clone()).collect();
    plans.push(kept.plan.plan.clone());
    let steps = changes(&kept.state, &file.plan, &plans)?;
    if file.hash == kept.plan.hash {
        ui.say("the new plan is the one that the run goes by; it is not written again");
        ui.say(&format!(
            "next: {}",
            context.command(&format!("resume {run}"))
        ));
        let data = ReplanData {
            run: run.to_owned(),
            instead_of: kept.plan.hash.to_string(),
            plan: screen::data(&file, None, &Times::default(), Vec::new()),
            steps,
            next: Some(format!("liftlock resume {run}")),
        };
        return Ok(Answer::done(screen::headline(&file), &data));
    }
    let path = written(args, ready, &file)?;
    let shown = word(&path.display().to_string());
    let times = Times::of(context, &file.plan).await?;
    let mark = if ready.guest.installed.unsigned {
        format!(" ({UNSIGNED})")
    } else {
        String::new()
    };
    let mut text = screen::text(&file, &mark, &times, &[], ui.paint());
    if let Some(step) = passed(&kept.state, &plans) {
        let line = format!("Point of no return: passed already, with step {step}");
        text.push_str(&format!("{}\n", ui.paint().text(Style::Bad, &line)));
    }
    text.push_str(&format!(
        "\nIn the place of plan {} of run {run}:\n{}",
        kept.plan.hash.short(),
        steps_text(&steps, ui.paint())
    ));
    let waive: String = findings::blockers(&file.plan.findings)
        .map(|finding| format!(" --waive {}", word(&finding.id)))
        .collect();
    let reason = if waive.is_empty() {
        ""
    } else {
        " --reason TEXT"
    };
    let next =
        format!("liftlock approve {shown}{waive}{reason} && liftlock resume {run} --plan {shown}");
    ui.say(&format!("plan written to {}", path.display()));
    context.say_next(&next);
    let data = ReplanData {
        run: run.to_owned(),
        instead_of: kept.plan.hash.to_string(),
        plan: screen::data(&file, Some(path.display().to_string()), &times, Vec::new()),
        steps,
        next: Some(next),
    };
    Ok(Answer::done(text, &data))
}

/// The step with which the run passed the point of no return of one of its plans.
fn passed(state: &RunState, plans: &[Plan]) -> Option<StepId> {
    plans
        .iter()
        .filter_map(|plan| plan.point_of_no_return.as_ref())
        .find(|id| state.step(id).is_done())
        .cloned()
}

fn written(args: &args::Replan, ready: &Ready, file: &PlanFile) -> Result<PathBuf, Failure> {
    match &args.out {
        Some(out) => plans::write_to(out, file),
        None => plans::write(&ready.site.home(), file),
    }
}

/// The new plan beside the run; refused where a step that was done would be done otherwise.
fn changes(state: &RunState, plan: &Plan, earlier: &[Plan]) -> Result<Changes, Failure> {
    let (kept, other) = carried(state, plan, earlier);
    if let Some(step) = other.first() {
        return Err(Failure::new(
            Code::PlanRefused,
            format!("step `{step}` was done, and the new plan has something else under its id"),
        )
        .untouched("no plan was written; nothing was sent to any target")
        .remedy("the plugin must give another id to what is to be done now; tell its vendor, or take the run back")
        .next(format!("liftlock rollback {} --preview", state.run)));
    }
    let before = |id: &StepId| earlier.iter().rev().find_map(|plan| plan.step(id));
    let name = |step: &Step| format!("{} ({})", step.id, escape::line(&step.title));
    let mut out = Changes {
        carried: kept
            .iter()
            .map(|id| (id.to_string(), evidence(state, id)))
            .collect(),
        ..Changes::default()
    };
    for step in plan.steps.iter().filter(|step| !kept.contains(&step.id)) {
        match before(&step.id) {
            None => out.new.push(name(step)),
            Some(old) if !is_same(old, step) => out.changed.push(name(step)),
            Some(_) => {}
        }
    }
    for old in earlier.last().into_iter().flat_map(|plan| &plan.steps) {
        if plan.step(&old.id).is_none() {
            if state.step(&old.id).is_done() {
                out.done_and_gone.push(name(old));
            } else {
                out.gone.push(name(old));
            }
        }
    }
    Ok(out)
}

/// What a step is, without what was read when it was planned.
fn is_same(old: &Step, new: &Step) -> bool {
    let bare = |step: &Step| Step {
        facts: liftlock_types::Facts::new(),
        work: Vec::new(),
        ..step.clone()
    };
    bare(old) == bare(new)
}

fn evidence(state: &RunState, id: &StepId) -> String {
    let step = state.step(id);
    let text = match step.outcome() {
        Some(outcome) => format!("{}, {}", outcome.kind.as_str(), outcome.evidence),
        None if step.captured => "captured".into(),
        None => step
            .decided
            .last()
            .map_or_else(String::new, |(answer, reason)| {
                format!("{answer}: {reason}")
            }),
    };
    escape::bounded(&text, 120)
}

fn steps_text(steps: &Changes, paint: Paint) -> String {
    let mut out = String::new();
    let mut part = |label: &str, style: Style, lines: &[String]| {
        for line in lines {
            let label = paint.text(style, &format!("{label:<9}"));
            out.push_str(&format!("  {label} {line}\n"));
        }
    };
    let kept: Vec<String> = steps
        .carried
        .iter()
        .map(|(step, evidence)| format!("{step}: {evidence}"))
        .collect();
    part("carried", Style::Good, &kept);
    part("stays", Style::Faint, &steps.done_and_gone);
    part("new", Style::Strong, &steps.new);
    part("changed", Style::Warn, &steps.changed);
    part("gone", Style::Warn, &steps.gone);
    out.push_str(&format!(
        "  {} carried over and not done again, {} new, {} changed, {} gone\n",
        count(steps.carried.len(), "step", "steps"),
        steps.new.len(),
        steps.changed.len(),
        steps.gone.len()
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_gone_and_changed_is_told_apart() {
        let old = screen::tests::sample().plan;
        let mut new = old.clone();
        let mut added = old.steps[0].clone();
        added.id = StepId::new("more").unwrap();
        new.steps[0].title = "another title".into();
        new.steps[0].facts.insert("x".into(), 1.into());
        new.steps.pop();
        new.steps.push(added);
        let told = changes(&RunState::new("r"), &new, &[old]).unwrap();
        assert_eq!(told.new, ["more (the stop step)"]);
        assert_eq!(told.changed, ["stop (another title)"]);
        assert_eq!(told.gone, ["delete (the delete step)"]);
        assert!(told.carried.is_empty() && told.done_and_gone.is_empty());
    }
}
