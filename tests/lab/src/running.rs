//! One server's process, with a record beside its data from which another program can end it.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ExitStatus;
use std::time::Duration;
use std::time::Instant;

use serde::Deserialize;
use serde::Serialize;

use crate::cache::last_lines;
use crate::error::IoContext;
use crate::error::LabError;
use crate::launch;
use crate::launch::Launch;
use crate::launch::Lifetime;
use crate::process::ProcessId;

/// The record's file, in the server's folder.
const RECORD: &str = "process.json";

/// The file with all that the server printed, in its folder.
const LOG: &str = "server.log";

/// Lines of a server's log that an error shows.
const LOG_LINES_SHOWN: usize = 30;

/// Time for a process to vanish after SIGKILL; the kernel needs none, a busy machine some.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// How often a kill looks again; it takes the kernel a few milliseconds.
const KILL_LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How a server is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StopBy {
    /// SIGINT: PostgreSQL's fast way, which does not wait for its clients.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

/// Which process a server is, and how it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) process: ProcessId,
    stop_by: StopBy,
    patience_s: u64,
}

impl Record {
    /// The record in a server's folder, if its process still runs.
    pub(crate) fn read(dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(dir.join(RECORD)).ok()?;
        let record: Self = serde_json::from_str(&text).ok()?;
        record.process.is_alive().then_some(record)
    }

    /// Asks the server to end, waits, then kills what is left of it and of its children.
    pub(crate) async fn stop(&self) {
        let children = self.process.children();
        match self.stop_by {
            StopBy::Interrupt => self.process.interrupt(),
            StopBy::Terminate => self.process.terminate(),
        }
        self.process
            .wait_gone(Duration::from_secs(self.patience_s))
            .await;
        // Children that it started while it ended are not among them, and end with it.
        self.kill_with(&children);
        for process in children.iter().chain([&self.process]) {
            process.wait_gone(KILL_PATIENCE).await;
        }
    }

    /// Kills the server and its children as a power cut would, and waits until they are gone.
    ///
    /// What a child still holds, such as PostgreSQL's shared memory, would refuse the next start.
    pub(crate) fn kill(&self) {
        // Held while it is looked at, so that it starts no further child; and looked at before it
        // is killed, since whoever loses its parent gets another one.
        self.process.freeze();
        let children = self.process.children();
        self.kill_with(&children);
        let end = Instant::now() + KILL_PATIENCE;
        while children.iter().any(ProcessId::is_alive) && Instant::now() < end {
            std::thread::sleep(KILL_LOOK_AGAIN);
        }
    }

    fn kill_with(&self, children: &[ProcessId]) {
        // The server first: it would start a child of its own again.
        for process in [&self.process].into_iter().chain(children) {
            process.kill();
        }
    }
}

/// A server's process. Dropping it kills it, unless it was left running.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    dir: PathBuf,
    record: Record,
    child: Option<Child>,
}

impl Running {
    /// Starts it, with its log and its record in `dir`; `name` is for errors.
    ///
    /// Before SIGKILL it gets `patience_s` seconds to end.
    pub(crate) fn start(
        name: impl Into<String>,
        launch: &Launch,
        dir: &Path,
        lifetime: Lifetime,
        stop_by: StopBy,
        patience_s: u64,
    ) -> Result<Self, LabError> {
        let name = name.into();
        let log = log_file(dir);
        let mut child = launch::spawn(launch, &log, lifetime)?;
        let Some(process) = ProcessId::of(child.id()) else {
            let ended = child.wait().doing("wait for", &launch.program)?;
            return Err(not_started(&name, dir, format!("it ended with {ended}")));
        };
        let running = Self {
            name,
            dir: dir.to_owned(),
            record: Record {
                process,
                stop_by,
                patience_s,
            },
            child: Some(child),
        };
        let text = serde_json::to_string(&running.record)
            .map_err(|error| LabError::malformed("the process id", error.to_string()))?;
        let file = dir.join(RECORD);
        fs::write(&file, text).doing("write", &file)?;
        Ok(running)
    }

    pub(crate) fn process(&self) -> &ProcessId {
        &self.record.process
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        log_file(&self.dir)
    }

    /// An error when the process has ended: it was not to.
    pub(crate) fn check_alive(&mut self) -> Result<(), LabError> {
        match self.ended() {
            Some(ended) => Err(self.not_started(format!("its process ended with {ended}"))),
            None => Ok(()),
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok()?
    }

    pub(crate) fn not_started(&self, why: String) -> LabError {
        not_started(&self.name, &self.dir, why)
    }

    pub(crate) async fn stop(&mut self) {
        self.record.stop().await;
        self.reap();
    }

    pub(crate) fn kill(&mut self) {
        self.record.kill();
        self.reap();
    }

    /// Lets it live on; whoever reads the record ends it.
    pub(crate) fn leave(&mut self) {
        self.child = None;
    }

    /// Leaves it to somebody who ends it; it must not stay a zombie of ours then.
    pub(crate) fn leave_to_others(&mut self) {
        if let Some(child) = self.child.take() {
            crate::launch::reap_in_background(child);
        }
    }

    fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It was killed or has ended; waiting only clears its entry. An error means that
            // there is nothing to clear.
            let _ = child.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

/// Where a server in `dir` logs.
pub(crate) fn log_file(dir: &Path) -> PathBuf {
    dir.join(LOG)
}

fn not_started(name: &str, dir: &Path, why: String) -> LabError {
    let log = log_file(dir);
    let text = fs::read(&log).unwrap_or_default();
    LabError::NotStarted {
        server: name.to_owned(),
        why,
        tail: last_lines(&String::from_utf8_lossy(&text), LOG_LINES_SHOWN),
        log,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Launch {
        Launch {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            folder: "/".into(),
            user: None,
            at_our_end: "KILL",
        }
    }

    fn start(dir: &Path, script: &str) -> Running {
        let launch = shell(script);
        Running::start("it", &launch, dir, Lifetime::WithUs, StopBy::Terminate, 1).unwrap()
    }

    #[tokio::test]
    async fn a_record_ends_the_process_and_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let mut running = start(
            dir.path(),
            "trap '' TERM; sleep 600 & echo on; wait; sleep 600",
        );
        while fs::read(running.log_file()).unwrap().is_empty() {
            tokio::time::sleep(crate::process::LOOK_AGAIN).await;
        }
        let children = running.process().children();
        assert_eq!(children.len(), 1);
        let record = Record::read(dir.path()).unwrap();
        assert_eq!(record, running.record);
        // Nobody waits for the child here; without that the shell would stay a zombie.
        let ended = tokio::join!(record.stop(), async { running.stop().await });
        let ((), ()) = ended;
        assert!(!children.iter().any(ProcessId::is_alive));
        assert_eq!(Record::read(dir.path()), None);
    }

    #[tokio::test]
    async fn says_what_a_process_printed_that_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mut running = start(dir.path(), "sleep 0.1; echo no such thing; exit 3");
        let error = loop {
            match running.check_alive() {
                Ok(()) => tokio::time::sleep(crate::process::LOOK_AGAIN).await,
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("no such thing"), "{error}");
    }
}
