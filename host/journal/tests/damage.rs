//! Damage is named, and never read as history.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;

use common::{ANYWHERE, RUN, copy_dir, first, flip_bit, open, row, written};
use liftlock_journal::{BreakReason, Journal, JournalError, JournalState, NewRow};

async fn both_opens_refuse(dir: &Path, what: &str) {
    for error in [
        Journal::open(dir, ANYWHERE).await.unwrap_err(),
        Journal::open_read_only(dir).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, JournalError::Damaged { .. }),
            "{what}: {error}"
        );
        assert!(error.to_string().contains("journal.db"), "{what}: {error}");
    }
}

#[tokio::test]
async fn a_torn_database_file_is_refused_and_left_as_it_is() {
    let outer = tempfile::tempdir().unwrap();
    let whole = outer.path().join("whole");
    written(&whole, 60).await;
    let bytes = fs::read(whole.join("journal.db")).unwrap();
    let pages = bytes.len() / 4096;
    assert!(pages > 6, "{pages} pages are too few to be torn");

    let mut header = bytes.clone();
    header[..16].fill(b'x');
    let mut middle = bytes.clone();
    middle[4096 * (pages / 2)..4096 * (pages / 2 + 1)].fill(0);
    let cut = |to: usize| bytes[..to].to_vec();
    for (name, torn) in [
        ("header", header),
        ("middle-page-zeroed", middle),
        ("half", cut(4096 * (pages / 2))),
        ("last-page-gone", cut(bytes.len() - 4096)),
        ("within-the-first-page", cut(1000)),
        ("empty", Vec::new()),
    ] {
        let dir = outer.path().join(name);
        copy_dir(&whole, &dir, &[]);
        fs::write(dir.join("journal.db"), &torn).unwrap();
        both_opens_refuse(&dir, name).await;
        assert_eq!(
            fs::read(dir.join("journal.db")).unwrap(),
            torn,
            "{name} was written to"
        );
    }
}

#[tokio::test]
async fn a_database_that_is_gone_beside_its_heads_is_never_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3).await;
    let journal = open(dir.path()).await;
    journal.write_head(RUN).await.unwrap();
    journal.close().await.unwrap();
    fs::remove_file(dir.path().join("journal.db")).unwrap();
    let error = Journal::open(dir.path(), ANYWHERE).await.unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    assert!(!dir.path().join("journal.db").exists());
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    use sqlx::{Connection, SqliteConnection};
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).await.close().await.unwrap();
    let file = dir.path().join("journal.db");
    fs::write(&file, b"").unwrap();
    let mut raw = SqliteConnection::connect(&format!("sqlite://{}", file.display()))
        .await
        .unwrap();
    sqlx::raw_sql("CREATE TABLE t (x)")
        .execute(&mut raw)
        .await
        .unwrap();
    raw.close().await.unwrap();
    both_opens_refuse(dir.path(), "another program's").await;
}

#[tokio::test]
async fn a_flipped_bit_in_a_body_is_named_by_its_row() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    journal.begin_run(RUN, first(), 1).await.unwrap();
    for n in 2..=9 {
        let body = format!(r#"{{"say":"marker-{n}"}}"#);
        let new = NewRow {
            body,
            ..row(&format!("s{n}"), 1, "intent")
        };
        journal.append(RUN, &[new], 1).await.unwrap();
    }
    journal.close().await.unwrap();
    flip_bit(&dir.path().join("journal.db"), "marker-5");

    let journal = open(dir.path()).await;
    let is_row_5 = |e: &JournalError| {
        matches!(
            e,
            JournalError::Broken {
                seq: 5,
                reason: BreakReason::HashDiffers,
                ..
            }
        )
    };
    for error in [
        journal.verify(RUN).await.unwrap_err(),
        journal.verify_all().await.unwrap_err(),
        journal.rows(RUN).await.unwrap_err(),
        journal.rows_after(RUN, 4).await.unwrap_err(),
        journal.rows_after(RUN, 5).await.unwrap_err(),
        journal
            .export(RUN, &dir.path().join("out"))
            .await
            .unwrap_err(),
    ] {
        assert!(is_row_5(&error), "{error}");
    }
    assert!(!dir.path().join("out").exists());
    assert_eq!(journal.rows_after(RUN, 6).await.unwrap().len(), 3);
}

#[tokio::test]
async fn nothing_is_chained_to_a_last_row_that_is_broken() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    journal
        .begin_run(
            RUN,
            NewRow {
                body: r#""marker""#.into(),
                ..first()
            },
            1,
        )
        .await
        .unwrap();
    journal.close().await.unwrap();
    flip_bit(&dir.path().join("journal.db"), "\"marker\"");
    let journal = open(dir.path()).await;
    let error = journal
        .append(RUN, &[row("a", 1, "intent")], 1)
        .await
        .unwrap_err();
    assert!(
        matches!(error, JournalError::Broken { seq: 1, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn text_that_is_no_longer_text_is_named_by_its_row() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3).await;
    let file = dir.path().join("journal.db");
    let mut bytes = fs::read(&file).unwrap();
    let marker = br#"{"step":"step-2""#;
    let at = bytes
        .windows(marker.len())
        .rposition(|w| w == marker)
        .unwrap();
    bytes[at + 3] = 0xff;
    fs::write(&file, bytes).unwrap();
    let error = open(dir.path()).await.verify(RUN).await.unwrap_err();
    assert!(
        matches!(
            error,
            JournalError::Broken {
                seq: 2,
                reason: BreakReason::Unreadable,
                ..
            }
        ),
        "{error}"
    );
}

/// A journal with two rows in the database and two more, with the head, in the log.
async fn with_tail_in_log(dir: &Path) -> Journal {
    written(dir, 2).await;
    let journal = open(dir).await;
    journal
        .append(RUN, &[row("a", 1, "intent")], 1)
        .await
        .unwrap();
    journal
        .append(RUN, &[row("a", 1, "outcome")], 1)
        .await
        .unwrap();
    journal.write_head(RUN).await.unwrap();
    journal
}

async fn is_read_only_behind_its_head(dir: &Path, journal_seq: u64) {
    let journal = open(dir).await;
    let state = JournalState::BehindHead {
        head_seq: 4,
        journal_seq,
    };
    assert_eq!(journal.state(RUN).await.unwrap(), state);
    assert_eq!(journal.runs().await.unwrap()[0].state, state);
    for error in [
        journal
            .append(RUN, &[row("b", 1, "intent")], 1)
            .await
            .unwrap_err(),
        journal
            .begin_run(
                RUN,
                NewRow {
                    attempt: 7,
                    ..first()
                },
                1,
            )
            .await
            .unwrap_err(),
        journal.verify(RUN).await.unwrap_err(),
        journal.write_head(RUN).await.unwrap_err(),
        journal.export(RUN, &dir.join("out")).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, JournalError::BehindHead { head_seq: 4, .. }),
            "{error}"
        );
    }
    assert_eq!(journal.rows(RUN).await.unwrap().len() as u64, journal_seq);
    // Other runs are not concerned.
    journal.begin_run("run-2", first(), 1).await.unwrap();
}

#[tokio::test]
async fn a_tail_lost_with_the_log_is_seen_by_the_head() {
    let outer = tempfile::tempdir().unwrap();
    let journal = with_tail_in_log(&outer.path().join("a")).await;
    let copy = outer.path().join("b");
    copy_dir(journal.dir(), &copy, &["journal.db-wal", "journal.db-shm"]);
    is_read_only_behind_its_head(&copy, 2).await;
    journal.verify(RUN).await.unwrap();
}

#[tokio::test]
async fn a_tail_lost_by_a_flipped_bit_in_the_log_is_seen_by_the_head() {
    let outer = tempfile::tempdir().unwrap();
    let journal = with_tail_in_log(&outer.path().join("a")).await;
    let copy = outer.path().join("b");
    copy_dir(journal.dir(), &copy, &["journal.db-shm"]);
    flip_bit(&copy.join("journal.db-wal"), r#""kind":"outcome""#);
    is_read_only_behind_its_head(&copy, 3).await;
}

#[tokio::test]
async fn a_run_of_which_only_the_head_is_left_is_listed_and_cannot_begin_again() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("a");
    open(&dir).await.close().await.unwrap();
    let journal = open(&dir).await;
    journal.begin_run(RUN, first(), 1).await.unwrap();
    journal.write_head(RUN).await.unwrap();
    let copy = outer.path().join("b");
    copy_dir(&dir, &copy, &["journal.db-wal", "journal.db-shm"]);
    let copied = open(&copy).await;
    let runs = copied.runs().await.unwrap();
    assert_eq!((runs[0].run.as_str(), runs[0].rows), (RUN, 0));
    assert_eq!(
        runs[0].state,
        JournalState::BehindHead {
            head_seq: 1,
            journal_seq: 0
        }
    );
    let error = copied.begin_run(RUN, first(), 1).await.unwrap_err();
    assert!(matches!(error, JournalError::BehindHead { .. }), "{error}");

    // The way out: the run's export, which reaches the head.
    let file = outer.path().join("run.jsonl");
    journal.export(RUN, &file).await.unwrap();
    copied.import(&file).await.unwrap();
    assert_eq!(copied.state(RUN).await.unwrap(), JournalState::Whole);
}

#[tokio::test]
async fn another_history_of_the_run_is_not_taken_for_this_one() {
    let outer = tempfile::tempdir().unwrap();
    let (one, two) = (outer.path().join("a"), outer.path().join("b"));
    for (dir, at_ms) in [(&one, 1), (&two, 2)] {
        let journal = open(dir).await;
        journal.begin_run(RUN, first(), at_ms).await.unwrap();
        journal.write_head(RUN).await.unwrap();
        journal.close().await.unwrap();
    }
    fs::copy(one.join("heads/run-1.head"), two.join("heads/run-1.head")).unwrap();
    let journal = open(&two).await;
    assert_eq!(
        journal.state(RUN).await.unwrap(),
        JournalState::HeadDiffers { seq: 1 }
    );
    let error = journal
        .append(RUN, &[row("a", 1, "intent")], 1)
        .await
        .unwrap_err();
    assert!(matches!(error, JournalError::HeadDiffers { .. }), "{error}");
}

#[tokio::test]
async fn a_head_file_that_cannot_be_read_stops_appends() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 2).await;
    fs::write(dir.path().join("heads/run-1.head"), "{").unwrap();
    let journal = open(dir.path()).await;
    let error = journal
        .append(RUN, &[row("a", 1, "intent")], 1)
        .await
        .unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("run-1.head"), "{error}");
}

#[tokio::test]
async fn a_run_moves_to_another_journal_whole_with_its_pins() {
    let outer = tempfile::tempdir().unwrap();
    let (here, there) = (outer.path().join("a"), outer.path().join("b"));
    let file = outer.path().join("run.jsonl");
    written(&here, 5).await;
    let journal = open(&here).await;
    let plugin = [0, 159, 146, 150, b'\n'];
    journal.pin(RUN, "plugin", &plugin).await.unwrap();
    let verified = journal.export(RUN, &file).await.unwrap();

    let other = open(&there).await;
    assert_eq!(other.import(&file).await.unwrap(), verified);
    assert_eq!(
        other.rows(RUN).await.unwrap(),
        journal.rows(RUN).await.unwrap()
    );
    assert_eq!(other.pinned(RUN, "plugin").await.unwrap(), plugin);
    assert!(there.join("heads/run-1.head").exists());
    let appended = other
        .append(RUN, &[row("next", 1, "intent")], 1)
        .await
        .unwrap();
    assert_eq!(appended[0].seq, 6);
    let error = other.import(&file).await.unwrap_err();
    assert!(matches!(error, JournalError::RunExists { .. }), "{error}");
}

#[tokio::test]
async fn an_export_that_was_cut_or_edited_is_refused_and_nothing_of_it_is_taken() {
    let outer = tempfile::tempdir().unwrap();
    let file = outer.path().join("run.jsonl");
    written(&outer.path().join("a"), 4).await;
    let journal = open(&outer.path().join("a")).await;
    journal.pin(RUN, "plan", b"p").await.unwrap();
    journal.export(RUN, &file).await.unwrap();
    let whole = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!(lines.len(), 7);

    let mut bad: Vec<String> = (0..lines.len()).map(|n| lines[..n].join("\n")).collect();
    bad.extend((0..lines.len()).map(|n| {
        let rest = lines.iter().enumerate().filter(|(m, _)| *m != n || n == 5);
        let kept = rest.map(|(_, line)| *line).collect::<Vec<_>>().join("\n");
        // A pin that is missing is not seen by the chain, so that line is edited instead.
        if n == 5 {
            kept.replace(r#""base64":"cA==""#, r#""base64":"cQ==""#)
        } else {
            kept
        }
    }));
    bad.push(whole.replace("step-3", "step-x"));
    bad.push(format!("{whole}{}", lines[4]));
    bad.push(whole.replacen("\"format\":1", "\"format\":2", 1));
    bad.push(whole.replacen(RUN, "../up", 1));

    let other = open(&outer.path().join("b")).await;
    for text in bad {
        fs::write(&file, &text).unwrap();
        let error = other.import(&file).await.unwrap_err();
        assert!(
            matches!(
                error,
                JournalError::BadExport { .. }
                    | JournalError::Broken { .. }
                    | JournalError::Refused { .. }
            ),
            "{error}: {text}"
        );
        assert!(other.runs().await.unwrap().is_empty(), "{text}");
    }
    fs::write(&file, &whole).unwrap();
    other.import(&file).await.unwrap();
}
