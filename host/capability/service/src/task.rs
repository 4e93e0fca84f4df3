//! What is to be seen of a task.

use std::io;

use regex_lite::Regex;

use crate::output;
use crate::process;
use crate::record::{Ended, Launch};

/// How much of a task's output is looked through for progress.
const PROGRESS_BYTES_MAX: u64 = 64 << 10;

/// What is to be seen of a task.
pub(crate) enum Seen {
    Nothing,
    Lives { done: u64, total: u64, line: String },
    Ended(Ended),
    Gone,
}

/// Reads the supervisor's files and looks for the process.
pub(crate) fn seen_of(launch: &Launch, progress: Option<&Regex>) -> io::Result<Seen> {
    // Looked for before the status is read: one that ends in between has written it.
    let lives = launch.lives()?;
    if let Some(ended) = launch.ended()? {
        return Ok(Seen::Ended(ended));
    }
    if lives {
        return of_output(launch, progress);
    }
    if launch.supervisor()?.is_none() {
        return Ok(Seen::Nothing);
    }
    // The supervisor died between making the process and writing which it is.
    if launch.child()?.is_none()
        && process::all()?
            .iter()
            .any(|stat| process::launch_of(stat.process.pid).as_ref() == Some(&launch.dir))
    {
        return of_output(launch, progress);
    }
    Ok(Seen::Gone)
}

fn of_output(launch: &Launch, progress: Option<&Regex>) -> io::Result<Seen> {
    let text = output::launch_tail(&launch.stdout(), PROGRESS_BYTES_MAX)?;
    let lines = || {
        text.split(['\n', '\r'])
            .filter(|line| !line.trim().is_empty())
    };
    let found = progress.and_then(|progress| {
        lines()
            .filter_map(|line| progress.captures(line))
            .last()
            .map(|captures| {
                let number = |name| {
                    captures
                        .name(name)
                        .and_then(|group| group.as_str().parse().ok())
                        .unwrap_or(0)
                };
                (number("done"), number("total"))
            })
    });
    let (done, total) = found.unwrap_or_default();
    Ok(Seen::Lives {
        done,
        total,
        line: lines().next_back().unwrap_or_default().to_owned(),
    })
}
