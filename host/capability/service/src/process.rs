//! Processes of this machine, told apart by id and start time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::process::{Pid, PidfdFlags, Signal};
use serde::{Deserialize, Serialize};

/// Clock ticks a second in what the kernel shows to programs: a constant of its interface on every architecture
/// that runs search servers, whatever its timer does.
const TICKS_PER_SECOND: u64 = 100;

/// Largest environment or command line that is looked into: the kernel's own bound for one is 6 MiB.
const ENVIRON_BYTES_MAX: u64 = 6 << 20;

/// The variable that carries an attempt's token.
pub(crate) const TOKEN_VARIABLE: &str = "LIFTLOCK_TOKEN";

/// The variable that carries the directory of a launch: by it we know what comes from a start script that has
/// ended. A token could be another state directory's too.
pub(crate) const LAUNCH_VARIABLE: &str = "LIFTLOCK_LAUNCH";

/// A process: ids are given out again, an id with its start time is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Clock ticks between boot and its start.
    pub(crate) start: u64,
}

/// What the kernel says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) process: Process,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    /// It ended, and nobody asked for its status yet.
    ended: bool,
}

/// The boot that process ids and start times belong to.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// None: no such process, or one that ended.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &text).filter(|stat| !stat.ended)
}

fn parse(pid: u32, text: &str) -> Option<Stat> {
    // The name stands in brackets and can hold brackets.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // The 22nd field of the line.
    let start = fields.nth(16)?.parse().ok()?;
    Some(Stat {
        process: Process { pid, start },
        parent,
        group,
        ended: matches!(state, "Z" | "X" | "x"),
    })
}

impl Process {
    pub(crate) fn of(pid: u32) -> Option<Self> {
        stat(pid).map(|stat| stat.process)
    }

    pub(crate) fn lives(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    /// How long it has lived.
    pub(crate) fn age_ms(&self) -> u64 {
        boot_ms().saturating_sub(self.start.saturating_mul(1000 / TICKS_PER_SECOND))
    }

    /// False: it is gone.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<bool> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(false);
        };
        // The handle stays with this process even if its id is given out again while we look.
        let handle = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            handle => handle?,
        };
        if !self.lives() {
            return Ok(false);
        }
        match rustix::process::pidfd_send_signal(&handle, signal) {
            Err(rustix::io::Errno::SRCH) => Ok(false),
            sent => Ok(sent.map(|()| true)?),
        }
    }

    /// When it began, milliseconds since 1970, right to a second: the same at every look, until the machine's clock is set.
    ///
    /// Taken from the age and the time of a look it would be another one by a millisecond now and then, which a person is
    /// told as a change since the plan.
    pub(crate) fn since_ms(&self) -> Option<u64> {
        let booted_s = booted_s()?;
        Some(booted_s * 1_000 + self.start.saturating_mul(1_000 / TICKS_PER_SECOND))
    }
}

/// When the machine was started, seconds since 1970. Asked for once: what it is read from tells of every processor.
fn booted_s() -> Option<u64> {
    static BOOTED_S: OnceLock<Option<u64>> = OnceLock::new();
    *BOOTED_S.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/stat").ok()?;
        let booted = text.lines().find_map(|line| line.strip_prefix("btime "))?;
        booted.trim().parse().ok()
    })
}

fn boot_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000
        + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

/// Every process that lives.
pub(crate) fn all() -> io::Result<Vec<Stat>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let pid = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        found.extend(pid.and_then(stat));
    }
    Ok(found)
}

/// The launch that it comes from, directly or not. What we may not read is none of ours.
pub(crate) fn launch_of(pid: u32) -> Option<PathBuf> {
    let environ = read_bounded(&proc_file(pid, "environ"))?;
    environ.split(|byte| *byte == 0).find_map(|variable| {
        let (name, value) = std::str::from_utf8(variable).ok()?.split_once('=')?;
        (name == LAUNCH_VARIABLE).then(|| PathBuf::from(value))
    })
}

/// Its arguments, joined by spaces.
pub(crate) fn command_line(pid: u32) -> Option<String> {
    let bytes = read_bounded(&proc_file(pid, "cmdline"))?;
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    Some(text.trim_end().to_owned())
}

/// This process and those it comes from.
pub(crate) fn own_line() -> Vec<u32> {
    let mut line = vec![std::process::id()];
    while let Some(stat) = line.last().and_then(|pid| stat(*pid)) {
        if stat.parent == 0 || line.contains(&stat.parent) {
            break;
        }
        line.push(stat.parent);
    }
    line
}

fn proc_file(pid: u32, name: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(name)
}

fn read_bounded(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .ok()?
        .take(ENVIRON_BYTES_MAX)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_began_at_one_moment_however_often_it_is_looked_at() {
        let own = Process::of(std::process::id()).unwrap();
        let since = own.since_ms().unwrap();
        for _ in 0..1_000 {
            assert_eq!(own.since_ms().unwrap(), since);
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = u64::try_from(now.unwrap().as_millis()).unwrap();
        let by_age = now - own.age_ms();
        assert!(since.abs_diff(by_age) < 2_000, "{since} {by_age}");
    }

    #[test]
    fn a_name_with_brackets_does_not_move_the_fields() {
        let text = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        let stat = parse(7, text).unwrap();
        assert_eq!((stat.parent, stat.group, stat.process.start), (1, 7, 4711));
        assert!(parse(7, &text.replace(" S ", " Z ")).unwrap().ended);
    }

    #[test]
    fn a_process_is_itself_only_with_its_start_time() {
        let me = Process::of(std::process::id()).unwrap();
        assert!(me.lives() && me.age_ms() < 3_600_000);
        let other = Process {
            start: me.start + 1,
            ..me
        };
        assert!(!other.lives());
        assert!(!other.signal(Signal::KILL).unwrap());
        // Nothing where the parent lives outside of this pid namespace.
        let parent = stat(me.pid).map(|stat| stat.parent).filter(|pid| *pid != 0);
        assert_eq!(own_line().get(1).copied(), parent);
    }

    #[test]
    fn an_ended_child_that_nobody_asked_for_does_not_live() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while Process::of(child.id()).is_some() {
            assert!(std::time::Instant::now() < until);
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
