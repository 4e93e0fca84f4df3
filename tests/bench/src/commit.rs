//! A commit of the journal against the least that durability costs: one write and one fsync of the same bytes.
//!
//! Both sides begin each round with a new file that grows, as the journal's log does in a run of some thirty commits:
//! a file that grows costs the file system more than one that is written over, which is shown as well.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use liftlock_journal::{Journal, NewRow, OpenOptions};
use tokio::runtime::Runtime;

use crate::row::{Goal, Row};
use crate::stats::{Rounds, Side, factor, time};

/// Commits of one measurement: what an upgrade makes.
const COMMITS: u32 = 30;

const ROUNDS: usize = 25;

/// What a commit may cost over the bare write.
const OVER_MAX: f64 = 1.2;

/// Bytes of a row's body: an intent of an upgrade has 1 to 2 KiB.
const BODY_BYTES: usize = 1_500;

const RUN: &str = "bench";

pub(crate) fn run(runtime: &Runtime, folder: &Path) -> anyhow::Result<Row> {
    let body = format!("{{\"x\":\"{}\"}}", "x".repeat(BODY_BYTES));
    let rounds = Rounds::take(
        ROUNDS,
        vec![
            Box::new(|| runtime.block_on(commits(folder, &body))) as Side<'_>,
            Box::new(|| bare(folder, &body, false)),
            Box::new(|| bare(folder, &body, true)),
        ],
    )?;
    let ratio = rounds.ratio(0, 1)?;
    let note = format!(
        "{} against {} for {BODY_BYTES} bytes, {} times; {} against the same written over a file that is there already",
        time(rounds.side(0)?.median()),
        time(rounds.side(1)?.median()),
        ratio.told(factor),
        factor(rounds.ratio(0, 2)?.median()),
    );
    Ok(Row::new(
        "journal-commit",
        ratio.median(),
        Goal::AtMost(OVER_MAX),
        "one write and one fsync of the same bytes at the end of a file, same file system",
        note,
    ))
}

/// Seconds of one commit of a new journal.
async fn commits(folder: &Path, body: &str) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir_in(folder)?;
    let options = OpenOptions {
        explicit: true,
        allow_volatile: false,
    };
    let journal = Journal::open(&folder.path().join("journal"), options).await?;
    let row = |attempt: u32| NewRow {
        step: Some("step".into()),
        attempt,
        kind: "intent".into(),
        body: body.to_owned(),
    };
    journal.begin_run(RUN, row(0), 1).await?;
    let begun = Instant::now();
    for attempt in 1..=COMMITS {
        journal.append(RUN, &[row(attempt)], 1).await?;
    }
    let took = begun.elapsed().as_secs_f64();
    journal.close().await?;
    Ok(took / f64::from(COMMITS))
}

/// Seconds of one bare write: at the end of a new file, or over one whose blocks and size are there already.
fn bare(folder: &Path, body: &str, is_over: bool) -> anyhow::Result<f64> {
    let mut file: File = tempfile::tempfile_in(folder)?;
    file.write_all(body.as_bytes())?;
    if is_over {
        file.write_all(body.repeat(COMMITS as usize).as_bytes())?;
    }
    file.sync_all()?;
    let begun = Instant::now();
    for n in 1..=COMMITS {
        file.write_all_at(body.as_bytes(), u64::from(n) * body.len() as u64)?;
        file.sync_all()?;
    }
    Ok(begun.elapsed().as_secs_f64() / f64::from(COMMITS))
}
