//! `export`, `import`: move a run's record to another state directory.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use crate::args;
use crate::context::{Context, word};
use crate::failure::Failure;
use crate::output::Answer;
use crate::runs::{self, RunData};
use crate::state::journal_failure;

/// A run's record as a file.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ExportData {
    run: String,
    file: String,
    rows: u64,
    /// Hash of the last row.
    head: String,
    /// What a rollback of the run needs and the file does not hold.
    copies: Vec<String>,
    /// Where that lies.
    copies_dir: String,
}

/// A run that was taken in.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ImportData {
    rows: u64,
    /// Hash of the last row.
    head: String,
    run: RunData,
}

/// The whole record with plan, plugin and approvals, verified, in one file.
pub(super) async fn export(context: &Context, args: args::Export) -> Result<Answer, Failure> {
    let state = context.state()?;
    // For writing: while a process works on the run, its record has no end yet.
    let journal = state.journal().await?;
    let run = runs::find(&journal, Some(&args.run)).await?;
    let known = runs::state_of(&journal, &run).await?;
    let file = std::path::absolute(&args.file)
        .map_err(|e| crate::failure::file("find", &args.file, &e))?;
    let verified = journal
        .export(&run, &file)
        .await
        .map_err(|e| journal_failure(&e))?;
    let copies: Vec<String> = runs::copies(&known);
    let copies_dir = state.dir().join("kept");
    let ui = &context.ui;
    let shown = file.display().to_string();
    ui.say(&format!(
        "run {run}: {} written to {shown}, readable by you only",
        crate::view::count(
            usize::try_from(verified.rows).unwrap_or(usize::MAX),
            "row",
            "rows"
        )
    ));
    if !copies.is_empty() {
        ui.warn(&format!(
            "not in it, and needed to take the run back: {}; carry {} along",
            copies.join(", "),
            copies_dir.display()
        ));
    }
    if known.ended.is_none() {
        ui.warn(
            "the run stays here too: only one of the two may go on, and the other loses its claim",
        );
        ui.say(&format!(
            "next, on the other machine: liftlock import {} && liftlock takeover {run}",
            word(&shown)
        ));
    }
    Ok(Answer::done(
        "",
        &ExportData {
            run,
            file: shown,
            rows: verified.rows,
            head: verified.head.to_string(),
            copies,
            copies_dir: copies_dir.display().to_string(),
        },
    ))
}

/// The whole run, or nothing of it.
pub(super) async fn import(context: &Context, args: args::Import) -> Result<Answer, Failure> {
    let state = context.state()?;
    let journal = state.journal().await?;
    let path: PathBuf = args.file;
    let verified = journal.import(&path).await.map_err(|e| {
        journal_failure(&e)
            .untouched("nothing of the file was taken in; nothing was sent to any target")
    })?;
    let known = runs::state_of(&journal, &verified.run).await?;
    let plans = runs::plans_of(&journal, &verified.run).await?;
    let whole = journal
        .state(&verified.run)
        .await
        .map_err(|e| journal_failure(&e))?;
    let standing = runs::standing(&known, &whole, None);
    let mut data = runs::data(&known, &plans, &standing);
    if known.ended.is_none() {
        data.next = Some(format!("liftlock takeover {}", verified.run));
    }
    context.ui.say(&format!(
        "taken in: {} rows, head {}",
        verified.rows, verified.head
    ));
    if let Some(next) = &data.next {
        context.say_next(next);
    }
    Ok(Answer::done(
        runs::text(&data),
        &ImportData {
            rows: verified.rows,
            head: verified.head.to_string(),
            run: data,
        },
    ))
}
