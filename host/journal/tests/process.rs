//! Other processes, killed processes, and places that do not take a write.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::print_stdout,
    reason = "the other process answers on its standard output"
)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use common::{ANYWHERE, RUN, first, open, row};
use liftlock_journal::{Journal, JournalError, NewRow, OpenOptions};

const TASK: &str = "LIFTLOCK_JOURNAL_TEST_TASK";
const DIR: &str = "LIFTLOCK_JOURNAL_TEST_DIR";

/// A user id that owns nothing.
const NOBODY: u32 = 65534;

/// This test binary again, to run `task` on `dir` in another process.
fn command(task: &str, dir: &Path) -> Command {
    // The path of the binary may lie where another user cannot go; this link does not.
    let mut command = Command::new("/proc/self/exe");
    command.args(["--exact", "runs_the_task_of_another_test", "--nocapture"]);
    command
        .env(TASK, task)
        .env(DIR, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// The other end of the tests below: does nothing unless one of them asks for it.
#[tokio::test]
async fn runs_the_task_of_another_test() {
    let (Some(task), Some(dir)) = (std::env::var_os(TASK), std::env::var_os(DIR)) else {
        return;
    };
    let dir = Path::new(&dir);
    match task.to_str().unwrap() {
        "hold" => {
            let _journal = open(dir).await;
            println!("\nHOLDING");
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
        "append" => {
            let journal = open(dir).await;
            let mut last = match journal.rows(RUN).await.unwrap().last() {
                Some(row) => row.seq,
                None => journal.begin_run(RUN, first(), 1).await.unwrap().seq,
            };
            println!("\nACK {last}");
            loop {
                let pair = [step(last + 1), step(last + 2)];
                last = journal.append(RUN, &pair, 1).await.unwrap()[1].seq;
                println!("ACK {last}");
            }
        }
        "cannot-write" => {
            let error = Journal::open(dir, ANYWHERE).await.unwrap_err();
            assert!(matches!(error, JournalError::NotWritable { .. }), "{error}");
            assert!(
                error.to_string().contains("writable by this user"),
                "{error}"
            );
            println!("\nREFUSED");
        }
        "read-archive" => {
            let journal = Journal::open_read_only(dir).await.unwrap();
            assert_eq!(journal.verify(RUN).await.unwrap().rows, 4);
            println!("\nREAD");
        }
        "fail-commit" => {
            let journal = open(dir).await;
            journal.begin_run(RUN, first(), 1).await.unwrap();
            for seq in 2.. {
                let Err(error) = journal.append(RUN, &[large(seq)], 1).await else {
                    continue;
                };
                assert!(
                    matches!(error, JournalError::UnknownOutcome { .. }),
                    "{error}"
                );
                let error = journal.append(RUN, &[large(seq)], 1).await.unwrap_err();
                assert!(matches!(error, JournalError::Poisoned { .. }), "{error}");
                println!("\nUNKNOWN {seq}");
                break;
            }
        }
        "fill-disk" => {
            fill_disk(dir).await;
            println!("\nCONCLUDED");
        }
        other => panic!("no task {other}"),
    }
}

/// A row that brings a file soon to its limit.
fn large(seq: u64) -> NewRow {
    NewRow {
        body: format!("\"{}\"", "x".repeat(100_000)),
        ..step(seq)
    }
}

fn step(seq: u64) -> NewRow {
    row(&format!("step-{seq}"), 1, "intent")
}

/// The next line that starts with `word`, and what follows it.
fn line(lines: &mut impl Iterator<Item = std::io::Result<String>>, word: &str) -> String {
    for line in lines {
        if let Some((_, rest)) = line.unwrap().split_once(word) {
            return rest.trim().to_owned();
        }
    }
    panic!("the other process ended without `{word}`")
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn said(output: &Output, word: &str) {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains(word),
        "{text}\n{errors}"
    );
}

#[tokio::test]
async fn a_second_process_is_told_who_holds_the_journal_until_the_holder_dies() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command("hold", dir.path()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    line(&mut lines, "HOLDING");

    let error = Journal::open(dir.path(), ANYWHERE).await.unwrap_err();
    let JournalError::Busy { holder, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(holder.pid, child.id());
    assert!(holder.start_ticks > 0 && !holder.boot_id.is_empty() && holder.since_ms > 0);
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", child.id())),
        "{error}"
    );
    Journal::open_read_only(dir.path()).await.unwrap();

    kill(&mut child);
    let journal = open(dir.path()).await;
    let error = Journal::open(dir.path(), ANYWHERE).await.unwrap_err();
    assert!(
        matches!(&error, JournalError::Busy { holder, .. } if holder.pid == std::process::id()),
        "{error}"
    );
    journal.close().await.unwrap();
    open(dir.path()).await;
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_writer_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut known = 0;
    for round in 0..8 {
        let mut child = command("append", dir.path()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        for _ in 0..=round * 3 {
            acknowledged = line(&mut lines, "ACK").parse().unwrap();
        }
        kill(&mut child);

        let journal = open(dir.path()).await;
        let verified = journal.verify(RUN).await.unwrap();
        assert!(
            verified.rows >= acknowledged && verified.rows >= known,
            "round {round}"
        );
        let rows = journal.rows(RUN).await.unwrap();
        for row in &rows[1..] {
            assert_eq!(row.body, step(row.seq).body, "round {round}");
        }
        assert_eq!(
            rows.len() % 2,
            1,
            "half of an append was kept in round {round}"
        );
        known = verified.rows;
        journal.close().await.unwrap();
    }
    assert!(known > 40, "only {known} rows were written");
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_refused_in_words() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("state");
    fs::create_dir(&dir).unwrap();
    let mut child = command("cannot-write", &dir);
    // The superuser is not stopped by modes, so the other process gives that up.
    if fs::metadata(&dir).unwrap().uid() == 0 {
        chown(outer.path(), Some(NOBODY), None).unwrap();
        chown(&dir, Some(NOBODY), None).unwrap();
        child.uid(NOBODY);
    }
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o500)).unwrap();
    let output = child.output();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    said(&output.unwrap(), "REFUSED");
}

#[tokio::test]
async fn an_archived_journal_can_be_read_where_nothing_can_be_written() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("state");
    common::written(&dir, 4).await;
    let mut child = command("read-archive", &dir);
    if fs::metadata(&dir).unwrap().uid() == 0 {
        for path in [
            outer.path(),
            &dir,
            &dir.join("journal.db"),
            &dir.join("heads"),
        ] {
            chown(path, Some(NOBODY), None).unwrap();
        }
        child.uid(NOBODY);
    }
    for (path, mode) in [(dir.join("journal.db"), 0o400), (dir.clone(), 0o500)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let output = child.output();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    said(&output.unwrap(), "READ");
}

/// A commit that fails for a reason other than a full disk: no file may grow past 1 MiB.
#[tokio::test]
async fn a_failed_commit_ends_writing_and_its_row_is_written_once_after_reopening() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("state");
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 2048; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "runs_the_task_of_another_test", "--nocapture"])
        .env(TASK, "fail-commit")
        .env(DIR, &dir)
        .output()
        .unwrap();
    said(&output, "UNKNOWN");
    let text = String::from_utf8(output.stdout).unwrap();
    let seq: u64 = line(&mut text.lines().map(|l| Ok(l.to_owned())), "UNKNOWN")
        .parse()
        .unwrap();

    let journal = open(&dir).await;
    let rows = journal.rows(RUN).await.unwrap();
    assert!(
        rows.len() as u64 == seq - 1 || rows.len() as u64 == seq,
        "{} of {seq}",
        rows.len()
    );
    let again = journal.append(RUN, &[large(seq)], 1).await.unwrap();
    assert_eq!(again[0].seq, seq);
    assert_eq!(journal.verify(RUN).await.unwrap().rows, seq);
}

/// A real full disk: a memory file system of 3 MiB in a mount namespace of the child's own.
/// Where the kernel does not give such a namespace this says so, and the same promise rests on
/// `a_full_database_closes_the_journal_and_lets_the_reserve_go`, which limits SQLite's pages.
#[test]
fn what_is_in_flight_is_concluded_on_a_full_disk_and_nothing_new_begins() {
    let mount = "mount -t tmpfs -o size=3m,mode=0700 liftlock-test \"$0\"";
    let in_namespace = |script: &str, dir: &Path| {
        let mut unshare = Command::new("unshare");
        unshare
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
            .arg(dir);
        unshare
    };
    let outer = tempfile::tempdir().unwrap();
    let trial = in_namespace(mount, outer.path()).output();
    if !trial.is_ok_and(|output| output.status.success()) {
        eprintln!("no mount namespace here: the full disk is only simulated");
        return;
    }
    let output = in_namespace(&format!("{mount} && exec \"$@\""), outer.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "runs_the_task_of_another_test", "--nocapture"])
        .env(TASK, "fill-disk")
        .env(DIR, outer.path())
        .output()
        .unwrap();
    said(&output, "CONCLUDED");
}

async fn fill_disk(dir: &Path) {
    let named = OpenOptions {
        explicit: true,
        allow_volatile: false,
    };
    let error = Journal::open(dir, named).await.unwrap_err();
    assert!(
        matches!(error, JournalError::UnsafeFileSystem { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("tmpfs"), "{error}");

    let journal = open(dir).await;
    journal.begin_run(RUN, first(), 1).await.unwrap();
    journal.reserve(64 * 1024).await.unwrap();
    journal
        .append(RUN, &[row("a", 1, "intent")], 1)
        .await
        .unwrap();
    let mut filler = fs::File::create(dir.join("filler")).unwrap();
    let full = std::io::copy(&mut std::io::repeat(0), &mut filler).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);

    let error = journal.reserve(128 * 1024).await.unwrap_err();
    assert!(
        matches!(
            error,
            JournalError::DiskFull {
                bytes_needed: Some(_),
                ..
            }
        ),
        "{error}"
    );

    let large = format!("\"{}\"", "x".repeat(60_000));
    let outcome = NewRow {
        body: large,
        ..row("a", 1, "outcome")
    };
    let error = journal
        .append(RUN, std::slice::from_ref(&outcome), 1)
        .await
        .unwrap_err();
    assert!(matches!(error, JournalError::DiskFull { .. }), "{error}");
    assert!(error.to_string().contains("free space"), "{error}");
    let error = journal
        .append(RUN, std::slice::from_ref(&outcome), 1)
        .await
        .unwrap_err();
    assert!(matches!(error, JournalError::Poisoned { .. }), "{error}");

    journal.recover().await.unwrap();
    assert_eq!(journal.rows(RUN).await.unwrap().len(), 2);
    assert_eq!(journal.append(RUN, &[outcome], 1).await.unwrap()[0].seq, 3);
    journal
        .append(RUN, &[row("a", 1, "give-back")], 1)
        .await
        .unwrap();
    let error = journal.reserve(64 * 1024).await.unwrap_err();
    assert!(matches!(error, JournalError::DiskFull { .. }), "{error}");
    journal.write_head(RUN).await.unwrap();
    journal.close().await.unwrap();
    assert_eq!(open(dir).await.verify(RUN).await.unwrap().rows, 4);
}
