//! What the tests of the journal share.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs;
use std::path::Path;

use liftlock_journal::{Journal, NewRow, OpenOptions};

/// Tests run wherever a temporary directory is, so they accept what an operator would not.
pub(crate) const ANYWHERE: OpenOptions = OpenOptions {
    explicit: true,
    allow_volatile: true,
};

pub(crate) const RUN: &str = "run-1";

pub(crate) async fn open(dir: &Path) -> Journal {
    Journal::open(dir, ANYWHERE).await.unwrap()
}

pub(crate) fn row(step: &str, attempt: u32, kind: &str) -> NewRow {
    let body = format!(r#"{{"step":"{step}","attempt":{attempt},"kind":"{kind}"}}"#);
    NewRow {
        step: Some(step.into()),
        attempt,
        kind: kind.into(),
        body,
    }
}

pub(crate) fn first() -> NewRow {
    NewRow {
        step: None,
        attempt: 0,
        kind: "run-begun".into(),
        body: "{}".into(),
    }
}

/// A journal with one run of `rows` rows, closed.
pub(crate) async fn written(dir: &Path, rows: u32) {
    let journal = open(dir).await;
    journal.begin_run(RUN, first(), 1).await.unwrap();
    for n in 2..=rows {
        journal
            .append(RUN, &[row(&format!("step-{n}"), 1, "intent")], 1)
            .await
            .unwrap();
    }
    journal.close().await.unwrap();
}

/// Copies a state directory as a person would who does not know about `-wal`: all but `without`.
pub(crate) fn copy_dir(from: &Path, to: &Path, without: &[&str]) {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if without.iter().any(|w| name.to_str() == Some(w)) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to.join(name), without);
        } else {
            fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

/// Flips one bit in the last place where `marker` stands in a file.
pub(crate) fn flip_bit(file: &Path, marker: &str) {
    let mut bytes = fs::read(file).unwrap();
    let at = bytes
        .windows(marker.len())
        .rposition(|w| w == marker.as_bytes())
        .unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}
