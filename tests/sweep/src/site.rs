//! The seam between what is swept and how: what a simulated site gives to whoever disturbs runs on it.
//!
//! Processes, the books, the person who decides and the three questions are the same for each product; targets, their
//! troubles and what must be true of them in the end are its own.

use std::path::Path;
use std::sync::Arc;

use liftlock_journal::Journal;
use liftlock_journal::Row;
use liftlock_testkit::Record;
use tokio::runtime::Runtime;

use crate::ledger::Ledger;
use crate::life::Ground;
use crate::life::Life;
use crate::life::Orders;
use crate::life::Work;

/// Every run of the sweep has this id: what names it in the target is then the same in each.
pub const RUN: &str = "r-sweep";

/// The host that runs are on.
pub const HERE: &str = "here";

/// Where a journal lies in memory: the sweep ends processes and never the machine, so that what a commit would wait
/// for on a disk shows nothing more.
const MEMORY: &str = "/dev/shm";

/// A simulated site that is put back to its beginning for each position.
pub trait Site {
    /// What an uninterrupted run on it is like.
    type Reference;

    /// Everything as at the beginning, with new folders.
    fn fresh(&mut self) -> anyhow::Result<Round>;

    /// Lets a process live.
    fn live(&self, round: &mut Round, work: Work, orders: Orders) -> anyhow::Result<Life>;

    /// What the journal of a round holds; nothing where there is none yet.
    fn rows(&self, round: &Round) -> Vec<Row>;

    /// Mends what a fault broke.
    fn repair(&self) -> anyhow::Result<()>;

    /// How many requests the targets have seen; asked while a process is waited for.
    fn requests(&self) -> usize;

    /// The books of the round that was begun last.
    fn books(&self) -> &Ledger;
}

/// Folders and books of one position.
pub struct Round {
    /// What lives stand on.
    pub ground: Ground,
    /// Requests before this round.
    pub earlier: Arc<Vec<Record>>,
    /// How many processes there were.
    pub(crate) lives: u32,
}

/// The rows of a run in a journal; nothing where there is none yet.
pub(crate) fn rows(runtime: &Runtime, dir: &Path, run: &str) -> Vec<Row> {
    let rows = runtime.block_on(async {
        let journal = Journal::open_read_only(dir).await.ok()?;
        let rows = journal.rows(run).await.ok();
        // A reader has nothing to make durable.
        let _ = journal.close().await;
        rows
    });
    rows.unwrap_or_default()
}

/// A folder in memory, where there is such a thing.
pub(crate) fn folder() -> anyhow::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("liftlock-sweep-");
    if Path::new(MEMORY).is_dir()
        && let Ok(folder) = builder.tempdir_in(MEMORY)
    {
        return Ok(folder);
    }
    Ok(builder.tempdir()?)
}
