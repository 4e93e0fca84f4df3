//! What is appended, when, and how often.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::future::Future;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use common::{ANYWHERE, RUN, first, open, row};
use liftlock_journal::{Hash, Journal, JournalError, JournalState, NewRow};
use sqlx::{Connection, SqliteConnection};

async fn raw(dir: &Path) -> SqliteConnection {
    let path = dir.join("journal.db");
    SqliteConnection::connect(&format!("sqlite://{}", path.display()))
        .await
        .unwrap()
}

#[tokio::test]
async fn rows_come_back_in_order_as_they_were_appended() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    let begun = journal.begin_run(RUN, first(), 5).await.unwrap();
    assert_eq!((begun.seq, begun.prev, begun.at_ms), (1, Hash::GENESIS, 5));
    let both = [row("a", 1, "outcome"), row("b", 1, "intent")];
    let appended = journal.append(RUN, &both, 6).await.unwrap();
    journal.begin_run("run-2", first(), 7).await.unwrap();

    let rows = journal.rows(RUN).await.unwrap();
    assert_eq!(rows.iter().map(|r| r.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(rows[1..], appended);
    assert_eq!(rows[1].body, both[0].body);
    assert_eq!(rows[2].prev, rows[1].hash);
    assert_eq!(journal.rows_after(RUN, 1).await.unwrap(), rows[1..]);
    assert_eq!(journal.rows_after(RUN, 0).await.unwrap(), rows);
    assert!(journal.rows_after(RUN, 3).await.unwrap().is_empty());
    assert!(journal.rows_after(RUN, 9).await.unwrap().is_empty());

    let verified = journal.verify(RUN).await.unwrap();
    assert_eq!((verified.rows, verified.head), (3, rows[2].hash));
    assert_eq!(journal.verify_all().await.unwrap().len(), 2);
    let runs = journal.runs().await.unwrap();
    assert_eq!(runs[0].run, RUN);
    assert_eq!(
        (runs[0].rows, runs[0].first_at_ms, runs[0].last_at_ms),
        (3, 5, 6)
    );
    assert_eq!(runs[1].run, "run-2");
}

#[tokio::test]
async fn an_outcome_and_the_next_intent_share_one_durable_write() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    journal.begin_run(RUN, first(), 1).await.unwrap();
    journal
        .append(RUN, &[row("a", 1, "intent")], 1)
        .await
        .unwrap();
    let before = journal.durable_writes();
    let both = [row("a", 1, "outcome"), row("b", 1, "intent")];
    journal.append(RUN, &both, 1).await.unwrap();
    assert_eq!(journal.durable_writes(), before + 1);
}

#[tokio::test]
async fn a_row_appended_again_is_looked_up_and_not_written_twice() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    let begun = journal.begin_run(RUN, first(), 1).await.unwrap();
    let rows = journal
        .append(RUN, &[row("a", 1, "intent")], 1)
        .await
        .unwrap();
    let writes = journal.durable_writes();

    assert_eq!(journal.begin_run(RUN, first(), 9).await.unwrap(), begun);
    assert_eq!(
        journal
            .append(RUN, &[row("a", 1, "intent")], 9)
            .await
            .unwrap(),
        rows
    );
    assert_eq!(journal.durable_writes(), writes);
    assert_eq!(journal.rows(RUN).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_same_key_with_another_content_is_refused_and_the_journal_stays_open() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    journal.begin_run(RUN, first(), 1).await.unwrap();
    journal
        .append(RUN, &[row("a", 1, "intent")], 1)
        .await
        .unwrap();

    let other = NewRow {
        body: "[]".into(),
        ..row("a", 1, "intent")
    };
    let error = journal
        .append(RUN, std::slice::from_ref(&other), 1)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            JournalError::Conflict {
                seq: 2,
                attempt: 1,
                ..
            }
        ),
        "{error}"
    );
    // Half of a batch that is there already was not written by that batch.
    let half = [row("a", 1, "intent"), row("b", 1, "intent")];
    let error = journal.append(RUN, &half, 1).await.unwrap_err();
    assert!(
        matches!(error, JournalError::Conflict { seq: 2, .. }),
        "{error}"
    );
    let error = journal
        .begin_run(
            RUN,
            NewRow {
                attempt: 1,
                ..first()
            },
            1,
        )
        .await
        .unwrap_err();
    assert!(matches!(error, JournalError::RunExists { .. }), "{error}");
    let error = journal
        .append("none", &[row("a", 1, "intent")], 1)
        .await
        .unwrap_err();
    assert!(matches!(error, JournalError::UnknownRun { .. }), "{error}");

    journal
        .append(RUN, &[row("b", 1, "intent")], 1)
        .await
        .unwrap();
    assert_eq!(journal.rows(RUN).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_from_many_tasks_make_one_chain() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(open(dir.path()).await);
    journal.begin_run(RUN, first(), 1).await.unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move {
                journal
                    .append(RUN, &[row(&format!("s{n}"), 1, "intent")], 1)
                    .await
                    .unwrap();
                journal.write_head(RUN).await.unwrap();
                journal.verify(RUN).await.unwrap()
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(journal.verify(RUN).await.unwrap().rows, 21);
    let head = fs::read_to_string(dir.path().join("heads/run-1.head")).unwrap();
    assert!(head.contains(r#""seq":21"#), "{head}");
}

/// Polls a future `polls` times at most; none if it was not done by then and was dropped.
async fn poll_at_most<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left <= 1 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn an_append_abandoned_anywhere_is_written_once_after_recovery() {
    const ROUNDS: usize = 60;
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    journal.begin_run(RUN, first(), 1).await.unwrap();
    let mut abandoned = 0;
    for round in 1..=ROUNDS {
        let rows = [
            row(&format!("s{round}"), 1, "outcome"),
            row(&format!("t{round}"), 1, "intent"),
        ];
        // Where the n-th poll finds an append depends on how fast the database was.
        match poll_at_most(journal.append(RUN, &rows, 1), round % 6 + 1).await {
            Some(done) => {
                done.unwrap();
            }
            None => {
                abandoned += 1;
                let error = journal.rows(RUN).await.unwrap_err();
                assert!(matches!(error, JournalError::Poisoned { .. }), "{error}");
                let error = journal.append(RUN, &rows, 1).await.unwrap_err();
                assert!(matches!(error, JournalError::Poisoned { .. }), "{error}");
                journal.recover().await.unwrap();
            }
        }
        let again = journal.append(RUN, &rows, 2).await.unwrap();
        let all = journal.rows(RUN).await.unwrap();
        assert_eq!(all.len(), 1 + 2 * round);
        assert_eq!(all[all.len() - 2..], again);
    }
    assert!(abandoned > 0, "no append was slow enough to be abandoned");
    journal.verify(RUN).await.unwrap();
}

#[tokio::test]
async fn rows_cannot_be_changed_deleted_replaced_or_put_out_of_order() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    journal.begin_run(RUN, first(), 1).await.unwrap();
    journal.pin(RUN, "plan", b"x").await.unwrap();
    let mut raw = raw(dir.path()).await;
    for statement in [
        "UPDATE row SET body = '[]'",
        "DELETE FROM row",
        "INSERT OR REPLACE INTO row SELECT run, seq, step, attempt, kind, at_ms, '[]', prev, hash FROM row",
        "INSERT INTO row SELECT run, 3, 's', 1, kind, at_ms, body, hash, hash FROM row",
        "INSERT INTO row SELECT run, 2, 's', 1, kind, at_ms, body, zeroblob(32), hash FROM row",
        "INSERT INTO row SELECT run, 2, step, attempt, kind, at_ms, body, hash, hash FROM row",
        "UPDATE pin SET sha256 = zeroblob(32)",
        "DELETE FROM pin",
        "INSERT OR REPLACE INTO pin SELECT run, name, zeroblob(32) FROM pin",
    ] {
        assert!(
            sqlx::raw_sql(statement).execute(&mut raw).await.is_err(),
            "{statement}"
        );
    }
    journal.verify(RUN).await.unwrap();
    assert_eq!(journal.pinned(RUN, "plan").await.unwrap(), b"x");
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    common::written(dir.path(), 2).await;
    let mut raw = raw(dir.path()).await;
    sqlx::raw_sql("PRAGMA user_version = 2")
        .execute(&mut raw)
        .await
        .unwrap();
    raw.close().await.unwrap();
    for error in [
        Journal::open(dir.path(), ANYWHERE).await.unwrap_err(),
        Journal::open_read_only(dir.path()).await.unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                JournalError::NewerSchema {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{error}"
        );
        assert!(error.to_string().contains("newer one"), "{error}");
    }
}

fn modes(dir: &Path, into: &mut Vec<(PathBuf, u32)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::metadata(&path).unwrap();
        into.push((path.clone(), meta.mode() & 0o7777));
        if meta.is_dir() {
            modes(&path, into);
        }
    }
}

#[tokio::test]
async fn every_file_is_0600_and_every_directory_made_is_0700() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("made").join("state");
    let journal = open(&dir).await;
    journal.begin_run(RUN, first(), 1).await.unwrap();
    journal.pin(RUN, "plan", b"bytes").await.unwrap();
    journal.write_head(RUN).await.unwrap();
    journal.reserve(1000).await.unwrap();
    journal
        .export(RUN, &dir.join("export.jsonl"))
        .await
        .unwrap();
    let mut found = Vec::new();
    modes(outer.path(), &mut found);
    let name = |p: &Path| {
        p.strip_prefix(&dir)
            .unwrap_or(Path::new(""))
            .display()
            .to_string()
    };
    let mut names = found.iter().map(|(p, _)| name(p)).collect::<Vec<_>>();
    names.retain(|n| !n.is_empty() && !n.starts_with("pins/"));
    names.sort();
    let want = [
        "export.jsonl",
        "heads",
        "heads/run-1.head",
        "journal.db",
        "journal.db-shm",
        "journal.db-wal",
        "lock",
        "pins",
        "reserve",
    ];
    assert_eq!(names, want);
    for (path, mode) in found {
        let want = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, want, "{}", path.display());
    }
}

#[tokio::test]
async fn a_directory_that_others_can_enter_is_closed_if_it_is_empty_and_else_refused() {
    let dir = tempfile::tempdir().unwrap();
    let set = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
    let mode = || fs::metadata(dir.path()).unwrap().mode() & 0o7777;
    set(0o755);
    fs::write(dir.path().join("of-another"), "").unwrap();
    let error = Journal::open(dir.path(), ANYWHERE).await.unwrap_err();
    assert!(
        matches!(error, JournalError::OpenToOthers { mode: 0o755, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("chmod 0700"), "{error}");
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "something was made before"
    );
    assert_eq!(mode(), 0o755, "a directory in use was closed");

    fs::remove_file(dir.path().join("of-another")).unwrap();
    open(dir.path()).await.close().await.unwrap();
    assert_eq!(mode(), 0o700);
    set(0o750);
    let error = Journal::open(dir.path(), ANYWHERE).await.unwrap_err();
    assert!(
        matches!(error, JournalError::OpenToOthers { mode: 0o750, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_reader_sees_what_is_durable_while_the_writer_goes_on_and_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let error = Journal::open_read_only(dir.path()).await.unwrap_err();
    assert!(matches!(error, JournalError::NoJournal { .. }), "{error}");

    let writer = open(dir.path()).await;
    writer.begin_run(RUN, first(), 1).await.unwrap();
    let reader = Journal::open_read_only(dir.path()).await.unwrap();
    writer
        .append(RUN, &[row("a", 1, "intent")], 1)
        .await
        .unwrap();
    writer.write_head(RUN).await.unwrap();
    assert_eq!(reader.verify(RUN).await.unwrap().rows, 2);
    assert_eq!(reader.state(RUN).await.unwrap(), JournalState::Whole);
    for error in [
        reader
            .append(RUN, &[row("b", 1, "intent")], 1)
            .await
            .unwrap_err(),
        reader.begin_run("run-2", first(), 1).await.unwrap_err(),
        reader.write_head(RUN).await.unwrap_err(),
        reader.reserve(1).await.unwrap_err(),
        reader.recover().await.unwrap_err(),
        reader.pin(RUN, "plan", b"x").await.unwrap_err(),
    ] {
        assert!(matches!(error, JournalError::ReadOnly { .. }), "{error}");
    }
}

#[tokio::test]
async fn pins_are_kept_by_content_and_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    let hash = journal.pin(RUN, "plugin", b"wasm").await.unwrap();
    assert_eq!(hash, Hash::of(b"wasm"));
    assert_eq!(journal.pin(RUN, "plugin", b"wasm").await.unwrap(), hash);
    assert_eq!(journal.pin("run-2", "plugin", b"wasm").await.unwrap(), hash);
    assert_eq!(fs::read_dir(dir.path().join("pins")).unwrap().count(), 1);
    let error = journal.pin(RUN, "plugin", b"other").await.unwrap_err();
    assert!(
        matches!(error, JournalError::PinConflict { pinned, .. } if pinned == hash),
        "{error}"
    );
    assert_eq!(journal.pinned(RUN, "plugin").await.unwrap(), b"wasm");
    let error = journal.pinned(RUN, "plan").await.unwrap_err();
    assert!(matches!(error, JournalError::NoPin { .. }), "{error}");

    fs::write(dir.path().join("pins").join(hash.to_string()), b"wasn").unwrap();
    let error = journal.pinned(RUN, "plugin").await.unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    journal.pin(RUN, "plugin", b"wasm").await.unwrap();
    assert_eq!(journal.pinned(RUN, "plugin").await.unwrap(), b"wasm");
}

#[tokio::test]
async fn room_kept_in_reserve_is_real_blocks_and_grows_but_never_shrinks_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    let file = dir.path().join("reserve");
    journal.reserve(1_000_000).await.unwrap();
    let meta = fs::metadata(&file).unwrap();
    assert!(
        meta.len() >= 2_000_000 && meta.blocks() * 512 >= meta.len(),
        "{meta:?}"
    );
    journal.reserve(10).await.unwrap();
    assert_eq!(fs::metadata(&file).unwrap().len(), meta.len());
    let error = journal.reserve(u64::MAX / 4).await.unwrap_err();
    assert!(!error.to_string().is_empty());
    assert_eq!(
        fs::metadata(&file).unwrap().len(),
        meta.len(),
        "the room kept was lost"
    );
    journal.reserve(0).await.unwrap();
    assert!(!file.exists());
    journal.reserve(0).await.unwrap();
}
