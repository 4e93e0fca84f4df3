//! `show`: a plan, as a table or as Markdown.

use crate::args;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Answer;
use crate::rehearsal::Times;
use crate::store::{Store, UNSIGNED};
use crate::view::{markdown, plan as screen, waived};
use crate::{approvals, plans};

pub(super) async fn show(context: &Context, args: &args::Show) -> Result<Answer, Failure> {
    let (path, file) = plans::find(&args.plan, &context.home())?;
    let mark = mark(context, &file)?;
    let times = Times::of(context, &file.plan).await?;
    let waived = waived::data(&approvals::of_plan(&path, &file.hash)?);
    let mut text = if args.markdown {
        markdown::text(&file, &mark, &waived)
    } else {
        screen::text(&file, &mark, &times, &waived, context.ui.paint())
    };
    if args.full {
        text.push_str(&screen::full(&file.plan));
    }
    Ok(Answer::done(
        text,
        &screen::data(&file, Some(path.display().to_string()), &times, waived),
    ))
}

/// What the screen says of the signature of the plan's plugin. One that is not installed here is not known to be
/// signed by anybody.
fn mark(context: &Context, file: &liftlock_types::PlanFile) -> Result<String, Failure> {
    let state = context.state()?;
    let signed = state.shared().join("plugins").exists()
        && Store::open(&state)?
            .list()?
            .iter()
            .any(|known| known.digest == file.plan.plugin.digest && !known.unsigned);
    Ok(if signed {
        String::new()
    } else {
        format!(" ({UNSIGNED})")
    })
}
