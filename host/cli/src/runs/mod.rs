//! Runs in the journal: found, told, and put together to go on.
//!
//! | module | what |
//! |---|---|
//! | `standing` | where a run stands, and the command to type next |
//! | `data` | its facts, as data and as text |
//! | `line` | an event in one line |

mod data;
mod line;
mod standing;

use liftlock_gate::{Approval, RunState, recover};
use liftlock_journal::{Journal, JournalError, Row};
use liftlock_types::event::Event;
use liftlock_types::{Digest, PlanFile};
use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::failure::Failure;
use crate::state::journal_failure;
use crate::store::Installed;

pub(crate) use data::{RunData, copies, data, kept, text};
pub(crate) use line::event_line;
pub(crate) use standing::{Standing, standing};

/// Names of what a run keeps beside its rows. What belongs to a later plan has that plan's hash in its name.
pub(crate) mod pin {
    use liftlock_types::Digest;

    /// The component's bytes.
    pub(crate) const PLUGIN: &str = "plugin.wasm";
    /// The plan file.
    pub(crate) const PLAN: &str = "plan.json";
    /// The approvals that it began with.
    pub(crate) const APPROVALS: &str = "approvals.json";
    /// [`super::Origin`].
    pub(crate) const ORIGIN: &str = "origin.json";

    /// `plan.json` of the first plan, `plan-HASH.json` of one that replaced it.
    pub(crate) fn of(name: &str, replaced_by: Option<&Digest>) -> String {
        match (replaced_by, name.rsplit_once('.')) {
            (Some(hash), Some((stem, ext))) => format!("{stem}-{}.{ext}", hash.hex()),
            _ => name.to_owned(),
        }
    }
}

/// Where a run was begun from, or where its later plan came from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// The site file, absolute.
    pub(crate) site: String,
    /// The plan file, absolute.
    pub(crate) plan: String,
    /// The plugin, as the store had it.
    pub(crate) plugin: Installed,
}

/// A run with what it keeps.
pub(crate) struct Kept {
    /// What the journal says.
    pub(crate) state: RunState,
    /// The plan that it goes by.
    pub(crate) plan: PlanFile,
    /// Plans that this one replaced, in order.
    pub(crate) earlier: Vec<PlanFile>,
    /// Who agreed to the plan before the run went by it.
    pub(crate) approvals: Vec<Approval>,
    /// From where.
    pub(crate) origin: Origin,
    /// The plugin that made the plan.
    pub(crate) plugin: Vec<u8>,
}

/// One plan of a run, as its rows have it.
#[derive(Debug, Clone)]
pub(crate) struct Went {
    /// From which row on.
    pub(crate) since_row: u64,
    /// Its hash.
    pub(crate) plan: Digest,
    /// The plugin that made it.
    pub(crate) plugin: Digest,
    /// Steps done before and not done again.
    pub(crate) carried: Vec<String>,
    /// Who agreed, and to what.
    pub(crate) approvals: Vec<Approval>,
}

/// The plans by which a run went, in order.
pub(crate) fn went(rows: &[Row]) -> Vec<Went> {
    let agreed = |approvals: Vec<serde_json::Value>| -> Vec<Approval> {
        approvals
            .into_iter()
            .filter_map(|approval| serde_json::from_value(approval).ok())
            .collect()
    };
    rows.iter()
        .filter_map(|row| {
            let event: Event = serde_json::from_str(&row.body).ok()?;
            match event {
                Event::RunBegun {
                    plan,
                    plugin,
                    approvals,
                    ..
                } => Some(Went {
                    since_row: row.seq,
                    plan,
                    plugin,
                    carried: Vec::new(),
                    approvals: agreed(approvals),
                }),
                Event::Replanned {
                    plan,
                    plugin,
                    carried,
                    approvals,
                    ..
                } => Some(Went {
                    since_row: row.seq,
                    plan,
                    plugin,
                    carried: carried.iter().map(ToString::to_string).collect(),
                    approvals: agreed(approvals),
                }),
                _ => None,
            }
        })
        .collect()
}

/// The run that is meant: an id, its beginning or its end; without a word the last one.
pub(crate) async fn find(journal: &Journal, named: Option<&str>) -> Result<String, Failure> {
    let runs = journal.runs().await.map_err(|e| journal_failure(&e))?;
    let Some(named) = named else {
        return runs.last().map(|run| run.run.clone()).ok_or_else(|| {
            Failure::new(Code::NoRun, "there is no run in this state directory yet")
                .remedy("make a plan, approve it and run it")
                .next("liftlock plan VERSION")
        });
    };
    let hits: Vec<&str> = runs
        .iter()
        .map(|run| run.run.as_str())
        .filter(|run| {
            *run == named || (named.len() >= 4 && (run.starts_with(named) || run.ends_with(named)))
        })
        .collect();
    match hits.as_slice() {
        [one] => Ok((*one).to_owned()),
        several => {
            let what = if several.is_empty() {
                "no run"
            } else {
                "several runs"
            };
            Err(Failure::new(
                Code::NoRun,
                format!(
                    "`{}` means {what} of this state directory",
                    named.escape_debug()
                ),
            )
            .remedy("name one that `history` lists; `--state DIR` names another state directory")
            .next("liftlock history"))
        }
    }
}

/// What the journal says of a run.
pub(crate) async fn state_of(journal: &Journal, run: &str) -> Result<RunState, Failure> {
    let rows = journal.rows(run).await.map_err(|e| journal_failure(&e))?;
    recover(run, &rows).map_err(|e| {
        Failure::new(
            Code::JournalDamaged,
            format!("the rows of run `{run}` make no run"),
        )
        .because(&e)
        .remedy("keep the directory as it is, and restore the whole of it from a copy")
        .next(format!("liftlock audit {run} --verify"))
    })
}

/// A run with its pins.
pub(crate) async fn load(journal: &Journal, run: &str) -> Result<Kept, Failure> {
    let state = state_of(journal, run).await?;
    let rows = journal.rows(run).await.map_err(|e| journal_failure(&e))?;
    let went = went(&rows);
    let mut earlier = plans_of(journal, run).await?;
    let (Some(plan), Some(last)) = (earlier.pop(), went.last()) else {
        return Err(not_ours(run, pin::PLAN));
    };
    let later = (went.len() > 1).then_some(&last.plan);
    let origin = pinned(journal, run, &pin::of(pin::ORIGIN, later)).await?;
    Ok(Kept {
        plan,
        earlier,
        approvals: last.approvals.clone(),
        origin: serde_json::from_slice(&origin)
            .map_err(|e| not_ours(run, pin::ORIGIN).because(&e))?,
        plugin: pinned(journal, run, &pin::of(pin::PLUGIN, later)).await?,
        state,
    })
}

/// The plans by which a run went, in order; the last is the one it goes by.
pub(crate) async fn plans_of(journal: &Journal, run: &str) -> Result<Vec<PlanFile>, Failure> {
    let rows = journal.rows(run).await.map_err(|e| journal_failure(&e))?;
    let mut plans = Vec::new();
    for (at, went) in went(&rows).iter().enumerate() {
        let name = pin::of(pin::PLAN, (at > 0).then_some(&went.plan));
        let bytes = pinned(journal, run, &name).await?;
        plans.push(
            PlanFile::parse(&String::from_utf8_lossy(&bytes))
                .map_err(|e| not_ours(run, &name).because(&e))?,
        );
    }
    Ok(plans)
}

/// Keeps bytes beside a run. A name that is taken keeps what it has: of a later plan it is the same plan, read or
/// approved at another moment.
pub(crate) async fn keep(
    journal: &Journal,
    run: &str,
    name: &str,
    bytes: &[u8],
) -> Result<(), Failure> {
    match journal.pin(run, name, bytes).await {
        Ok(_) | Err(JournalError::PinConflict { .. }) => Ok(()),
        Err(error) => Err(journal_failure(&error)),
    }
}

/// Bytes that a run keeps.
pub(crate) async fn pinned(journal: &Journal, run: &str, name: &str) -> Result<Vec<u8>, Failure> {
    journal
        .pinned(run, name)
        .await
        .map_err(|e| journal_failure(&e))
}

fn not_ours(run: &str, name: &str) -> Failure {
    Failure::new(
        Code::JournalDamaged,
        format!("run `{run}` keeps a `{name}` that is none"),
    )
    .remedy("restore the whole state directory from a copy")
}
