//! One writing process at a time, and who it is.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::JournalError;
use crate::place::{Place, check_private_file, open_file};

/// Longest content of a lock file that is read. Ours has some 200 bytes; a host's name may be 64.
const HOLDER_BYTES_MAX: u64 = 4096;

/// The process that writes a journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id, 0 where it is not known (the holder has the lock but has not signed yet).
    pub pid: u32,
    /// When the process started, in clock ticks since boot: a pid alone can be another process.
    pub start_ticks: u64,
    /// The boot that `start_ticks` counts from.
    pub boot_id: String,
    /// Host name.
    pub host: String,
    /// When it took the journal, in milliseconds since 1970.
    pub since_ms: i64,
}

impl Holder {
    /// This process. What `/proc` does not tell is left empty: it informs people, the lock
    /// itself is the kernel's.
    pub fn this_process() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name in parentheses can hold anything; the start time is the 20th field after it.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        Self {
            pid: std::process::id(),
            start_ticks: after_name
                .split_whitespace()
                .nth(19)
                .and_then(|ticks| ticks.parse().ok())
                .unwrap_or_default(),
            boot_id: fs::read_to_string("/proc/sys/kernel/random/boot_id")
                .map(|id| id.trim().to_owned())
                .unwrap_or_default(),
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            since_ms: jiff::Timestamp::now().as_millisecond(),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return f.write_str("a process that has not signed the lock file yet");
        }
        write!(f, "process {} on `{}`", self.pid, self.host.escape_debug())?;
        match jiff::Timestamp::from_millisecond(self.since_ms) {
            Ok(since) => write!(f, " since {since:.0}"),
            Err(_) => Ok(()),
        }
    }
}

/// The right to write, for as long as this lives. The kernel takes it back when the process ends,
/// however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the right to write, or says who has it.
    pub(crate) fn take(place: &Place) -> Result<Self, JournalError> {
        let path = place.lock();
        check_private_file(&path)?;
        let mut file = open_file(&path)?;
        if let Err(e) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if e != rustix::io::Errno::WOULDBLOCK {
                return Err(JournalError::io("lock", &path, e.into()));
            }
            let mut text = String::new();
            let holder = file
                .take(HOLDER_BYTES_MAX)
                .read_to_string(&mut text)
                .ok()
                .and_then(|_| serde_json::from_str(&text).ok())
                .unwrap_or_default();
            return Err(JournalError::Busy {
                path: place.dir.clone(),
                holder: Box::new(holder),
            });
        }
        let mut sign = || -> io::Result<()> {
            let signed = serde_json::to_vec(&Holder::this_process())?;
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(&signed)
        };
        sign().map_err(|e| JournalError::io("sign", &path, e))?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    /// Given back in words, not by closing the file: a process that another thread is just
    /// starting has a copy of the descriptor until it runs its program, and would hold the lock
    /// that long.
    fn drop(&mut self) {
        if let Err(error) = flock(&self.file, FlockOperation::Unlock) {
            tracing::warn!(%error, "the journal's lock goes only when its file is closed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::OpenOptions;

    #[test]
    fn the_lock_is_free_at_once_though_a_copy_of_its_descriptor_lives() {
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions {
            explicit: true,
            allow_volatile: true,
        };
        let place = Place::prepare(dir.path(), options).unwrap();
        let lock = Lock::take(&place).unwrap();
        let inherited = lock.file.try_clone().unwrap();
        assert!(matches!(Lock::take(&place), Err(JournalError::Busy { .. })));
        drop(lock);
        Lock::take(&place).unwrap();
        drop(inherited);
    }
}
