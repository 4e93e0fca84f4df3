//! Processes by id *and* start time, so that a reused id is never mistaken for ours.

use std::fs;
use std::process::Child;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Signal;
use serde::Deserialize;
use serde::Serialize;

use crate::error::LabError;

/// How often a wait looks again. Short against a server's stop of 1 to 3 s.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// One process of this boot: its id and when it started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process id.
    pub pid: u32,
    /// Clock ticks between boot and its start.
    pub start_ticks: u64,
    /// The kernel's id of this boot.
    pub boot_id: String,
}

impl ProcessId {
    /// The process that has this id now; none if there is none, or only its remains.
    pub fn of(pid: u32) -> Option<Self> {
        let seen = stat(pid)?;
        if matches!(seen.state, 'Z' | 'X') {
            return None;
        }
        Some(Self {
            pid,
            start_ticks: seen.start_ticks,
            boot_id: boot_id()?,
        })
    }

    /// All processes that have this among their arguments, the program's name left out.
    pub fn with_argument(argument: &str) -> Vec<Self> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid: &u32| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.split(|byte| *byte == 0)
                    .skip(1)
                    .any(|word| word == argument.as_bytes())
            })
            .filter_map(Self::of)
            .collect()
    }

    /// Whether that very process still runs; one that ended and waits to be reaped does not.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Asks it to end (SIGTERM). Nothing happens when it is gone.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it at once (SIGKILL). Nothing happens when it is gone.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Asks it to stop, as Ctrl-C does (SIGINT). Nothing happens when it is gone.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Holds it where it is (SIGSTOP): it does nothing, and does not know it.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// It is held where it is.
    pub fn is_frozen(&self) -> bool {
        self.is_alive() && stat(self.pid).is_some_and(|seen| seen.state == 'T')
    }

    /// Lets it go on after [`ProcessId::freeze`].
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends it a signal. Nothing happens when it is gone.
    pub(crate) fn signal(&self, signal: Signal) {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return;
        };
        // The descriptor holds on to one process: if the start time read after opening it is
        // ours, the signal cannot reach another one.
        let Ok(held) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
            return;
        };
        if self.is_alive() {
            // A process that ended in between is what was wanted.
            let _ = rustix::process::pidfd_send_signal(&held, signal);
        }
    }

    /// The processes that it started and that still run.
    pub fn children(&self) -> Vec<Self> {
        let Ok(all) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| stat(*pid).is_some_and(|seen| seen.parent == self.pid))
            .filter_map(Self::of)
            .collect()
    }

    /// Waits until it is gone; false when it still runs after `patience`.
    pub async fn wait_gone(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while self.is_alive() {
            if Instant::now() >= end {
                return false;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        true
    }
}

/// What `/proc/PID/stat` says.
struct Stat {
    state: char,
    parent: u32,
    start_ticks: u64,
}

/// Reads it from the last bracket on; the name in it may hold anything.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_whitespace();
    Some(Stat {
        // Field 3, then 4, then 22.
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
        start_ticks: fields.nth(17)?.parse().ok()?,
    })
}

fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

type Reply = mpsc::Sender<std::io::Result<Child>>;

/// Starts a child from a thread that lives as long as this process.
///
/// The kernel ties "end with the parent" to the *thread* that made the child. A test's own thread
/// ends with the test, and would take a server shared by several tests with it.
pub(crate) fn spawn_from_lasting_thread(command: Command) -> Result<Child, LabError> {
    static SPAWNER: OnceLock<mpsc::Sender<(Command, Reply)>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<(Command, Reply)>();
        std::thread::spawn(move || {
            for (mut command, reply) in orders {
                // Whoever asked may be gone; then the child ends as soon as it is dropped here.
                if let Err(mpsc::SendError(Ok(mut unwanted))) = reply.send(command.spawn()) {
                    let _ = unwanted.kill();
                    let _ = unwanted.wait();
                }
            }
        });
        sender
    });
    let program = command.get_program().to_string_lossy().into_owned();
    let (reply, answer) = mpsc::channel();
    let lost = || std::io::Error::other("the spawning thread is gone");
    spawner
        .send((command, reply))
        .map_err(|_| lost())
        .and_then(|()| answer.recv().map_err(|_| lost())?)
        .map_err(|source| LabError::io(format!("start `{program}`"), source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_process_by_an_argument_of_its_own() {
        let mut child = Command::new("sleep")
            .args(["600", "0.4711"])
            .spawn()
            .unwrap();
        // Its arguments are there a moment after it is.
        let end = Instant::now() + Duration::from_secs(10);
        let mut found = Vec::new();
        while found.is_empty() && Instant::now() < end {
            found = ProcessId::with_argument("0.4711");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pid, child.id());
    }

    #[tokio::test]
    async fn knows_its_child_and_ends_it() {
        let mut command = Command::new("sleep");
        command.arg("600");
        let mut child = spawn_from_lasting_thread(command).unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        assert!(id.is_alive());
        id.kill();
        assert!(id.wait_gone(Duration::from_secs(10)).await);
        child.wait().unwrap();
        assert_eq!(ProcessId::of(id.pid), None);
    }

    #[tokio::test]
    async fn names_its_children() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & wait"]);
        let mut child = spawn_from_lasting_thread(command).unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        while id.children().is_empty() && Instant::now() < end {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let [sleeper] = &id.children()[..] else {
            panic!("{:?}", id.children());
        };
        id.kill();
        sleeper.kill();
        assert!(sleeper.wait_gone(Duration::from_secs(10)).await);
        child.wait().unwrap();
    }

    #[test]
    fn leaves_a_process_alone_that_started_at_another_time() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let mut other = ProcessId::of(child.id()).unwrap();
        other.start_ticks -= 1;
        assert!(!other.is_alive());
        other.kill();
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
