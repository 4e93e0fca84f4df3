//! `audit`: everything a run did, and whether the record is whole.

use liftlock_gate::iso;
use liftlock_types::event::Event;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Answer;
use crate::runs;
use crate::state::journal_failure;

/// A run's record.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AuditData {
    run: String,
    rows: Vec<RowData>,
    /// The chain was checked and is whole; none: it was not asked for.
    verified: Option<VerifiedData>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct RowData {
    seq: u64,
    /// ISO-8601.
    at: String,
    step: Option<String>,
    attempt: u32,
    kind: String,
    /// For people.
    text: String,
    /// SHA-256 of the row and of the one before.
    hash: String,
    /// The event as it is recorded.
    event: serde_json::Value,
}

#[derive(Debug, Serialize, JsonSchema)]
struct VerifiedData {
    rows: u64,
    /// Hash of the last row.
    head: String,
}

pub(super) async fn audit(context: &Context, args: args::Audit) -> Result<Answer, Failure> {
    let journal = context.state()?.journal_to_read().await?;
    let run = runs::find(&journal, Some(&args.run)).await?;
    // First: a row that is broken is named, and nothing after it is shown as history.
    let verified = if args.verify {
        let found = journal
            .verify(&run)
            .await
            .map_err(|e| journal_failure(&e))?;
        Some(VerifiedData {
            rows: found.rows,
            head: found.head.to_string(),
        })
    } else {
        None
    };
    let rows = journal.rows(&run).await.map_err(|e| journal_failure(&e))?;
    let rows: Vec<RowData> = rows
        .iter()
        .map(|row| {
            let text =
                serde_json::from_str::<Event>(&row.body).map(|event| runs::event_line(&event));
            RowData {
                seq: row.seq,
                at: iso(row.at_ms),
                step: row.step.clone(),
                attempt: row.attempt,
                kind: row.kind.clone(),
                text: text.unwrap_or_default(),
                hash: row.hash.to_string(),
                event: serde_json::from_str(&row.body).unwrap_or_default(),
            }
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        let step = match &row.step {
            Some(step) if row.attempt > 1 => format!("{step}#{}", row.attempt),
            Some(step) => step.clone(),
            None => "-".into(),
        };
        text.push_str(&format!(
            "{:>5}  {}  {:<17} {step:<28} {}\n",
            row.seq, row.at, row.kind, row.text
        ));
    }
    if let Some(verified) = &verified {
        text.push_str(&format!(
            "\nwhole: {} rows, head {}\n",
            verified.rows, verified.head
        ));
    }
    Ok(Answer::done(
        text,
        &AuditData {
            run,
            rows,
            verified,
        },
    ))
}
