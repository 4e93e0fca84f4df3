//! `audit`: everything a run did, and whether the record is whole.

use liftlock_gate::iso;
use liftlock_journal::{Journal, Row};
use liftlock_types::event::Event;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args;
use crate::context::Context;
use crate::escape;
use crate::failure::Failure;
use crate::output::{Answer, Paint, Style};
use crate::runs;
use crate::state::journal_failure;
use crate::view::count;
use crate::view::waived::{self, WaivedData};

/// A run's record.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AuditData {
    run: String,
    /// The plans by which it went, in order.
    plans: Vec<WentData>,
    rows: Vec<RowData>,
    /// The chain was checked and is whole; none: it was not asked for.
    verified: Option<VerifiedData>,
}

/// A plan by which the run went.
#[derive(Debug, Serialize, JsonSchema)]
struct WentData {
    /// From this row on.
    since_row: u64,
    /// Its hash.
    plan: String,
    /// The digest of the plugin that made it.
    plugin: String,
    /// From which version.
    from: Option<String>,
    /// To which.
    to: String,
    /// How many steps it has.
    steps: usize,
    /// Steps that were done before and were not done again.
    carried: Vec<String>,
    /// Who agreed.
    approved_by: Vec<String>,
    /// Blockers that somebody took the responsibility for: finding, who, why.
    waived: Vec<WaivedData>,
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
    let plans = plans(&journal, &run, &rows).await;
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
    for plan in &plans {
        text.push_str(&plan_line(plan, context.ui.paint()));
    }
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
            plans,
            rows,
            verified,
        },
    ))
}

/// A plan whose pin cannot be read is listed all the same: its hash stands in the rows.
async fn plans(journal: &Journal, run: &str, rows: &[Row]) -> Vec<WentData> {
    let files = runs::plans_of(journal, run).await.unwrap_or_default();
    runs::went(rows)
        .iter()
        .map(|went| {
            let file = files.iter().find(|file| file.hash == went.plan);
            WentData {
                since_row: went.since_row,
                plan: went.plan.to_string(),
                plugin: went.plugin.to_string(),
                from: file
                    .and_then(|file| file.plan.from.as_deref())
                    .map(escape::line),
                to: file
                    .map(|file| escape::line(&file.plan.to))
                    .unwrap_or_default(),
                steps: file.map_or(0, |file| file.plan.steps.len()),
                carried: went.carried.clone(),
                approved_by: went
                    .approvals
                    .iter()
                    .map(|approval| escape::line(&approval.by))
                    .collect(),
                waived: waived::data(&went.approvals),
            }
        })
        .collect()
}

fn plan_line(plan: &WentData, paint: Paint) -> String {
    let short = |digest: &str| {
        let hex = digest.trim_start_matches("sha256:");
        hex.get(..8).unwrap_or(hex).to_owned()
    };
    let mut out = format!(
        "plan {} from row {}: {} -> {}, {}, plugin {}, approved by {}",
        short(&plan.plan),
        plan.since_row,
        plan.from.as_deref().unwrap_or("?"),
        plan.to,
        count(plan.steps, "step", "steps"),
        short(&plan.plugin),
        plan.approved_by.join(", "),
    );
    if !plan.carried.is_empty() {
        out.push_str(&format!("; carried over: {}", plan.carried.join(", ")));
    }
    out.push('\n');
    for line in waived::lines(&plan.waived, &[]) {
        out.push_str(&format!(
            "{}\n",
            paint.text(Style::Bad, &format!("  WAIVED {line}"))
        ));
    }
    out
}
