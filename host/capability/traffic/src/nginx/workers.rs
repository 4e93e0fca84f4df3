//! nginx's processes: its master, the workers that take requests, and those that only finish what they have.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

/// Ticks of a process's start time in a second: what Linux shows to all programs (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// One worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Worker {
    pid: u32,
    /// Clock ticks since boot.
    start: u64,
    /// It takes no new request: it only finishes what it has.
    pub(crate) is_old: bool,
}

impl Worker {
    /// The same process, whatever it does now.
    pub(crate) fn is(self, other: Self) -> bool {
        (self.pid, self.start) == (other.pid, other.start)
    }

    /// It was started after this file was written, and so with it: by then the master had read it.
    pub(crate) fn knows(self, written: SystemTime) -> bool {
        ticks_of(written).is_some_and(|ticks| self.start >= ticks)
    }
}

/// A running master.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Master {
    pid: u32,
}

impl Master {
    /// The process that the file names, where it is nginx's master.
    pub(crate) fn find(pid_file: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(pid_file)?;
        let pid: u32 = text
            .trim()
            .parse()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it holds no process id"))?;
        if title(pid).starts_with("nginx: master process") {
            Ok(Self { pid })
        } else {
            Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("process {pid} is no master of nginx"),
            ))
        }
    }

    /// Its workers. A process that ends meanwhile is none.
    pub(crate) fn workers(self) -> io::Result<Vec<Worker>> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let Some((parent, start)) = parent_and_start(pid) else {
                continue;
            };
            let title = title(pid);
            if parent == self.pid && title.starts_with("nginx: worker process") {
                found.push(Worker {
                    pid,
                    start,
                    is_old: title.contains("shutting down"),
                });
            }
        }
        Ok(found)
    }

    /// Asks it to load its files again.
    pub(crate) fn reload(self) -> io::Result<()> {
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(kill_process(pid, Signal::HUP)?)
    }
}

fn title(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// From `/proc/PID/stat`; a dead process that nobody has asked about is none.
fn parent_and_start(pid: u32) -> Option<(u32, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold blanks and brackets.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if matches!(fields.first(), Some(&"Z" | &"X")) {
        return None;
    }
    // Fields 4 and 22 of proc(5), which counts from 1 and the first of these is its third.
    Some((fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?))
}

/// An instant as ticks since boot. A step of the wall clock moves it; nothing else dates a file.
fn ticks_of(instant: SystemTime) -> Option<u64> {
    let age = SystemTime::now()
        .duration_since(instant)
        .unwrap_or_default();
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(
        u64::try_from(now.tv_sec).ok()?,
        u32::try_from(now.tv_nsec).ok()?,
    );
    let since_boot = now.saturating_sub(age);
    let ticks = since_boot.as_millis() * u128::from(TICKS_PER_SECOND) / 1_000;
    u64::try_from(ticks).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_no_master_and_has_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        fs::write(&file, format!("{}\n", std::process::id())).unwrap();
        let error = Master::find(&file).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        fs::write(&file, "x").unwrap();
        assert!(Master::find(&file).is_err());
        let (parent, start) = parent_and_start(std::process::id()).unwrap();
        assert!(parent > 0 && start > 0);
    }

    #[test]
    fn a_worker_knows_the_files_that_were_there_when_it_started() {
        let now = SystemTime::now();
        let start = ticks_of(now).unwrap();
        let worker = Worker {
            pid: 1,
            start,
            is_old: false,
        };
        assert!(worker.knows(now - Duration::from_secs(1)));
        let earlier = Worker {
            start: start - TICKS_PER_SECOND,
            ..worker
        };
        assert!(!earlier.knows(now));
        assert!(earlier.is(earlier) && !earlier.is(worker));
    }
}
