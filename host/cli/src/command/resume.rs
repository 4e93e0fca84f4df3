//! `resume`: go on with a run that stopped.

use crate::args;
use crate::context::Context;
use crate::decisions;
use crate::failure::Failure;
use crate::output::Answer;
use crate::running::{self, Over, Verb};

pub(super) async fn resume(context: &Context, args: args::Resume) -> Result<Answer, Failure> {
    let decisions = decisions::read(&args.decided)?;
    let journal = context.state()?.journal().await?;
    let by = args.by.as_deref();
    let assembly = match &args.plan {
        Some(plan) => running::by_other_plan(context, journal, &args.run, by, plan).await?,
        None => running::again(context, journal, &args.run, by, Over::FineIfDone).await?,
    };
    assembly.check_unchanged()?;
    let ui = &context.ui;
    let run = &assembly.run;
    if let Some((unit, reason)) = &assembly.known.unit_back {
        ui.warn(&format!(
            "unit {unit} of run {run} goes back first: that had begun ({})",
            crate::escape::line(reason)
        ));
    }
    match (&assembly.known.rolling_back, &assembly.known.plan) {
        (Some(reason), _) => ui.warn(&format!(
            "run {run} goes back, and only back: its rollback had begun ({})",
            crate::escape::line(reason)
        )),
        (None, Some(old)) if *old != assembly.file.hash => ui.say(&format!(
            "run {run} goes on by plan {} in the place of {}",
            assembly.file.hash.short(),
            old.short()
        )),
        _ => ui.say(&format!("resumes run {run}")),
    }
    running::work(
        context,
        assembly.at_pace(args.pace),
        Verb::Resume(decisions),
    )
    .await
}
