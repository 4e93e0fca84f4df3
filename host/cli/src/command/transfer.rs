//! `export`, `import`: move a run's record to another state directory.

use std::fs;

use liftlock_gate::RunState;
use liftlock_journal::{Journal, JournalError};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args;
use crate::context::{Context, word};
use crate::failure::{self, Failure};
use crate::output::Answer;
use crate::runs::{self, RunData};
use crate::state::{State, journal_failure, write_private};
use crate::view::count;

/// Before the name of a kept copy, among what a run keeps in the journal.
const PIN: &str = "kept.";

/// A run's record as a file.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ExportData {
    run: String,
    file: String,
    rows: u64,
    /// Hash of the last row.
    head: String,
    /// Copies that the run kept and needs; the file holds them.
    copies: usize,
}

/// A run that was taken in.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ImportData {
    rows: u64,
    /// Hash of the last row.
    head: String,
    run: RunData,
}

/// The whole record with plans, plugin and kept copies, verified, in one file.
pub(super) async fn export(context: &Context, args: args::Export) -> Result<Answer, Failure> {
    let state = context.state()?;
    // For writing: while a process works on the run, its record has no end yet.
    let journal = state.journal().await?;
    let run = runs::find(&journal, Some(&args.run)).await?;
    let known = runs::state_of(&journal, &run).await?;
    let file =
        std::path::absolute(&args.file).map_err(|e| failure::file("find", &args.file, &e))?;
    let copies = pack(&journal, &run, &known, &state).await?;
    let verified = journal
        .export(&run, &file)
        .await
        .map_err(|e| journal_failure(&e))?;
    let ui = &context.ui;
    let shown = file.display().to_string();
    let rows = usize::try_from(verified.rows).unwrap_or(usize::MAX);
    ui.say(&format!(
        "run {run}: {} and {} written to {shown}, readable by you only",
        count(rows, "row", "rows"),
        count(copies, "kept copy", "kept copies"),
    ));
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
        },
    ))
}

/// The whole run, or nothing of it.
pub(super) async fn import(context: &Context, args: args::Import) -> Result<Answer, Failure> {
    let state = context.state()?;
    let journal = state.journal().await?;
    let verified = journal.import(&args.file).await.map_err(|e| {
        journal_failure(&e)
            .untouched("nothing of the file was taken in; nothing was sent to any target")
    })?;
    let known = runs::state_of(&journal, &verified.run).await?;
    unpack(&journal, &verified.run, &known, &state).await?;
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

/// Puts the copies that the run kept into the journal, so that they travel with it.
async fn pack(
    journal: &Journal,
    run: &str,
    known: &RunState,
    state: &State,
) -> Result<usize, Failure> {
    let dir = state.dir().join("kept");
    let mut packed = 0;
    for name in runs::copies(known) {
        let path = dir.join(&name);
        if !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path).map_err(|e| failure::file("read", &path, &e))?;
        runs::keep(journal, run, &format!("{PIN}{name}"), &bytes).await?;
        packed += 1;
    }
    Ok(packed)
}

/// Lays them where the run looks for them.
async fn unpack(
    journal: &Journal,
    run: &str,
    known: &RunState,
    state: &State,
) -> Result<(), Failure> {
    let dir = state.sub("kept")?;
    for name in runs::copies(known) {
        match journal.pinned(run, &format!("{PIN}{name}")).await {
            Ok(bytes) => write_private(&dir.join(&name), &bytes)?,
            // Not every hash in the rows is one of a copy.
            Err(JournalError::NoPin { .. }) => {}
            Err(error) => return Err(journal_failure(&error)),
        }
    }
    Ok(())
}
