//! Which processes are the service's.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use regex_lite::Regex;

use crate::process::{self, Process};
use crate::record::{Home, Kind};

/// A process that is so much younger than a pid file was not meant by it: its id was given out again.
const PID_FILE_SLACK_MS: u64 = 10_000;

/// Processes of the service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// In order.
    pub(crate) processes: Vec<Process>,
    /// Directories of launches of which something lives.
    pub(crate) living: BTreeSet<PathBuf>,
}

/// Looks through all processes of this machine: those of our launches, the one that the pid file means, those that
/// the pattern matches; never a supervisor, never this process and those it comes from.
pub(crate) fn find(
    home: &Home,
    pid_file: Option<&Path>,
    pattern: Option<&Regex>,
) -> io::Result<Found> {
    let mut not_it = process::own_line();
    let mut children = BTreeMap::new();
    let mut launches = BTreeSet::new();
    for (launch, spec) in home.launches()? {
        if let Some(supervisor) = launch.supervisor()?
            && launch.supervisor_lives()?
        {
            not_it.push(supervisor.process.pid);
        }
        if spec.kind == Kind::Service {
            if let Some(child) = launch.living_child()? {
                children.insert(child.pid, launch.dir.clone());
            }
            launches.insert(launch.dir);
        }
    }
    let mut found = Found::default();
    let of_file = pid_file.and_then(of_pid_file);
    for stat in process::all()? {
        let pid = stat.process.pid;
        if not_it.contains(&pid) {
            continue;
        }
        let by_group = children.get(&stat.group).cloned();
        let launch = by_group.or_else(|| {
            // Read only where there is something to find.
            (!launches.is_empty())
                .then(|| process::launch_of(pid))
                .flatten()
                .filter(|launch| launches.contains(launch))
        });
        let matches = || {
            pattern.is_some_and(|pattern| {
                process::command_line(pid).is_some_and(|line| pattern.is_match(&line))
            })
        };
        if launch.is_some() || of_file == Some(stat.process) || matches() {
            found.processes.push(stat.process);
        }
        found.living.extend(launch);
    }
    found.processes.sort();
    Ok(found)
}

/// The process that a pid file means; none: there is no such file, or what it means is gone.
fn of_pid_file(path: &Path) -> Option<Process> {
    let pid = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    let process = Process::of(pid)?;
    let written = std::fs::metadata(path)
        .and_then(|meta| meta.modified())
        .ok()?;
    let file_age_ms = SystemTime::now()
        .duration_since(written)
        .map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    (process.age_ms().saturating_add(PID_FILE_SLACK_MS) >= file_age_ms).then_some(process)
}
