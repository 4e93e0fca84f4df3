//! `rollback`: take a run back.

use liftlock_types::{Exit, UnitName};

use crate::args;
use crate::code::Code;
use crate::connect::connect;
use crate::context::Context;
use crate::decisions;
use crate::failure::Failure;
use crate::output::{Answer, Ui};
use crate::running::{self, Over, Verb};
use crate::undoing;

pub(super) async fn rollback(context: &Context, args: args::Rollback) -> Result<Answer, Failure> {
    if args.preview {
        return preview(context, &args).await;
    }
    let decisions = decisions::read(&args.decided)?;
    let journal = context.state()?.journal().await?;
    let by = args.by.as_deref();
    let assembly = running::again(context, journal, &args.run, by, Over::FineUnlessBack).await?;
    assembly.check_unchanged()?;
    let data = undoing::look(
        &assembly.known,
        &assembly.file.plan,
        &assembly.earlier_plans(),
        args.unit.as_ref(),
        &assembly.targets,
    )
    .await;
    let ui = &context.ui;
    ui.show(undoing::text(&data, ui.paint_talk()).trim_end());
    let run = &assembly.run;
    if data.begun.is_some() {
        ui.say(&format!("goes on with the rollback of run {run}"));
    } else if !args.yes {
        agree(ui, run.as_str(), args.unit.as_ref())?;
    }
    let reason = args
        .decided
        .reason
        .clone()
        .filter(|reason| !reason.trim().is_empty())
        .unwrap_or_else(|| format!("asked for by {}", assembly.by));
    let verb = match args.unit {
        Some(unit) => Verb::RollbackUnit(unit, reason, decisions),
        None => Verb::Rollback(reason, decisions),
    };
    running::work(context, assembly, verb).await
}

/// A rollback cannot be turned round, so a person says yes to what they were shown.
fn agree(ui: &Ui, run: &str, unit: Option<&UnitName>) -> Result<(), Failure> {
    let of_unit = unit.map_or_else(String::new, |unit| format!(" --unit {unit}"));
    if !ui.can_ask() {
        return Err(Failure::new(
            Code::Arguments,
            "nobody is here to say yes to this rollback",
        )
        .untouched("nothing was sent; the run stands where it stood")
        .remedy("look at what is listed above; if that is meant, say so with `--yes`")
        .next(format!("liftlock rollback {run}{of_unit} --yes")));
    }
    let answer = ui.ask(&match unit {
        Some(unit) => format!("Take unit {unit} back? The rest of the run stands. [y]es, [n]o"),
        None => "Take the run back? It goes only backwards from here. [y]es, [n]o".to_owned(),
    });
    match answer.as_deref() {
        Some("y" | "Y" | "yes") => Ok(()),
        _ => Err(Failure::new(Code::Arguments, "the run was not taken back")
            .untouched("nothing was sent; the run stands where it stood")
            .remedy("go on with it, or take it back later")
            .next(format!("liftlock status {run}"))),
    }
}

/// Also while a process works on the run: nothing is written.
async fn preview(context: &Context, args: &args::Rollback) -> Result<Answer, Failure> {
    let state = context.state()?;
    let journal = state.journal_to_read().await?;
    let (run, kept) = running::found(&journal, &args.run, Over::FineUnlessBack).await?;
    let site = running::site_of(context, &kept.origin)?;
    let targets = connect(&site, &state).await?;
    let earlier: Vec<_> = kept.earlier.iter().map(|file| file.plan.clone()).collect();
    let unit = args.unit.as_ref();
    let data = undoing::look(&kept.state, &kept.plan.plan, &earlier, unit, &targets).await;
    let ui = &context.ui;
    let text = undoing::text(&data, ui.paint());
    ui.say("nothing was sent");
    let of_unit = unit.map_or_else(String::new, |unit| format!(" --unit {unit}"));
    let next = match data.doubts.first() {
        Some(step) => {
            format!(
                "rollback {run}{of_unit} --decide {step}=done --reason TEXT   (or {step}=not-done)"
            )
        }
        None => format!("rollback {run}{of_unit}"),
    };
    ui.say(&format!("next: {}", context.command(&next)));
    let answer = Answer::done(text, &data);
    Ok(match data.steps.iter().find(|undo| undo.is_impossible) {
        None if data.doubts.is_empty() => answer,
        _ => answer.exit(Exit::PersonNeeded),
    })
}
