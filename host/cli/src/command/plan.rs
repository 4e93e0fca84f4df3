//! `plan`: make, show and write the plan to a version.

use liftlock_types::Exit;

use crate::args;
use crate::context::{Context, word};
use crate::failure::Failure;
use crate::output::Answer;
use crate::planning::{self, Planned};
use crate::rehearsal::Times;
use crate::store::UNSIGNED;
use crate::view::{findings, plan as screen, waived};
use crate::{approvals, plans};

pub(super) async fn plan(context: &Context, args: args::Plan) -> Result<Answer, Failure> {
    let ready = planning::ready(context, &args.with).await?;
    let (ready, _, target) = planning::aim(ready, Some(&args.version)).await?;
    let file = match planning::make(&ready, &target, args.with_blockers).await? {
        Planned::Made(file) => *file,
        Planned::Blocked(found) => {
            context
                .ui
                .show(findings::text(&found, context.ui.paint_talk()).trim_end());
            return Err(planning::blocked(&found, &args.version));
        }
    };
    let ui = &context.ui;
    let mark = if ready.guest.installed.unsigned {
        format!(" ({UNSIGNED})")
    } else {
        String::new()
    };
    if file.plan.steps.is_empty() {
        ui.say("nothing to do: the plan has no steps, and is not written");
        return Ok(Answer::done(
            screen::headline(&file),
            &screen::data(&file, None, &Times::default(), Vec::new()),
        ));
    }
    let path = plans::write(&ready.site.home(), &file)?;
    let shown = path.display().to_string();
    let times = Times::of(context, &file.plan).await?;
    // The same plan may have been made before, and approved.
    let waived = waived::data(&approvals::of_plan(&path, &file.hash)?);
    let text = screen::text(&file, &mark, &times, &waived, ui.paint());
    ui.say(&format!("plan written to {shown}"));
    let blockers: Vec<&str> = findings::blockers(&file.plan.findings)
        .map(|finding| finding.id.as_str())
        .collect();
    let next = if context.is_rehearsal() {
        // Only that holds the plan against the one of the real site.
        let command = format!("rehearse {}", word(&args.version));
        context.on_rehearsal(false).command(&command)
    } else if blockers.is_empty() && ready.site.approvals <= 1 {
        context.command(&format!("run {}", word(&shown)))
    } else {
        let waive: String = blockers
            .iter()
            .map(|id| format!(" --waive {}", word(id)))
            .collect();
        let reason = if blockers.is_empty() {
            ""
        } else {
            " --reason TEXT"
        };
        context.command(&format!("approve {}{waive}{reason}", word(&shown)))
    };
    ui.say(&format!("next: {next}"));
    let exit = if args.detailed_exitcode && screen::changes(&file.plan) > 0 {
        Exit::Changes
    } else {
        Exit::Done
    };
    Ok(Answer::done(text, &screen::data(&file, Some(shown), &times, waived)).exit(exit))
}
