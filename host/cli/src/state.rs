//! The state directory: journal, plugins, kept files. It outlives every command and is never in git.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use liftlock_journal::{Journal, JournalError, OpenOptions};

use crate::code::Code;
use crate::failure::{self, Failure};

/// The part of the state directory that the rehearsals have.
const REHEARSALS_DIR: &str = "rehearsals";

/// Where the state is, and whether the operator said so.
#[derive(Debug, Clone)]
pub(crate) struct State {
    dir: PathBuf,
    /// Where plugins and compiled code are: the same for the runs of a site and for its rehearsals.
    shared: PathBuf,
    options: OpenOptions,
}

impl State {
    /// The directory that was named, else the user's own state folder.
    pub(crate) fn locate(named: Option<&Path>, volatile: bool) -> Result<Self, Failure> {
        let var = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let default = || {
            var("XDG_STATE_HOME")
                .or_else(|| var("HOME").map(|home| home.join(".local/state")))
                .map(|base| base.join("liftlock"))
        };
        let dir = named.map(Path::to_owned).or_else(default).ok_or_else(|| {
            Failure::new(
                Code::StatePlace,
                "there is no place for the state: HOME is not set",
            )
            .remedy("name a directory with `--state DIR`")
        })?;
        let dir = std::path::absolute(&dir).map_err(|e| failure::file("find", &dir, &e))?;
        Ok(Self {
            shared: dir.clone(),
            dir,
            options: OpenOptions {
                explicit: named.is_some(),
                allow_volatile: volatile,
            },
        })
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The part of it that the rehearsals have: a journal, kept files and processes of their own, so that no rehearsal
    /// stands in the history of the site or in the way of its runs.
    pub(crate) fn of_rehearsals(self) -> Self {
        Self {
            dir: self.dir.join(REHEARSALS_DIR),
            ..self
        }
    }

    /// Where plugins and compiled code are.
    pub(crate) fn shared(&self) -> &Path {
        &self.shared
    }

    /// A directory of ours in it, made if it is not there.
    pub(crate) fn sub(&self, name: &str) -> Result<PathBuf, Failure> {
        make(self.dir.join(name))
    }

    /// A directory that runs and rehearsals share, made if it is not there.
    pub(crate) fn shared_sub(&self, name: &str) -> Result<PathBuf, Failure> {
        make(self.shared.join(name))
    }

    /// The journal, for writing; refuses a place where it would not survive.
    pub(crate) async fn journal(&self) -> Result<Journal, Failure> {
        Journal::open(&self.dir, self.options)
            .await
            .map_err(|e| journal_failure(&e))
    }

    /// The journal, for reading; also while another process writes it.
    pub(crate) async fn journal_to_read(&self) -> Result<Journal, Failure> {
        Journal::open_read_only(&self.dir)
            .await
            .map_err(|e| journal_failure(&e))
    }

    /// A journal is here.
    pub(crate) fn has_journal(&self) -> bool {
        self.dir.join("journal.db").exists()
    }

    /// The process that writes the journal now.
    pub(crate) async fn holder(&self) -> Option<String> {
        match Journal::open(&self.dir, self.options).await {
            Err(JournalError::Busy { holder, .. }) => Some(holder.to_string()),
            _ => None,
        }
    }

    /// Would a journal survive here? Makes the directory, and nothing else that a run would not make.
    pub(crate) async fn check_place(&self) -> Result<(), Failure> {
        match Journal::open(&self.dir, self.options).await {
            Ok(journal) => journal.close().await.map_err(|e| journal_failure(&e)),
            // Somebody writes it right now: then the place was found good.
            Err(JournalError::Busy { .. }) => Ok(()),
            Err(error) => Err(journal_failure(&error)),
        }
    }
}

fn make(dir: PathBuf) -> Result<PathBuf, Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(|e| failure::file("make", &dir, &e))?;
    Ok(dir)
}

/// Writes a file of ours whole or not at all, readable by its owner only.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_whole(path, bytes, 0o600)
}

/// Writes a file for git whole or not at all.
pub(crate) fn write_shared(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_whole(path, bytes, 0o644)
}

fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".new.{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        match path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            Some(parent) => fs::File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|e| {
        // The old file stands; a leftover of ours beside it helps nobody.
        let _ = fs::remove_file(&temporary);
        failure::file("write", path, &e)
    })
}

/// What a journal's error means to a person.
pub(crate) fn journal_failure(error: &JournalError) -> Failure {
    let (code, remedy) = match error {
        JournalError::Busy { .. } => (
            Code::JournalBusy,
            "wait for that run, or look at it with `liftlock status`",
        ),
        JournalError::UnsafeFileSystem { .. }
        | JournalError::OpenToOthers { .. }
        | JournalError::NotWritable { .. } => (
            Code::StatePlace,
            "name a directory on a local disk with `--state DIR`, or mend what the message says",
        ),
        JournalError::NoJournal { .. }
        | JournalError::UnknownRun { .. }
        | JournalError::NoPin { .. } => (
            Code::NoRun,
            "look with `liftlock history`, or name the run's state directory with `--state DIR`",
        ),
        JournalError::RunExists { .. } => (
            Code::RunState,
            "it is here already: go on with it, or look with `liftlock status`",
        ),
        JournalError::Damaged { .. }
        | JournalError::BehindHead { .. }
        | JournalError::HeadDiffers { .. }
        | JournalError::Broken { .. }
        | JournalError::Conflict { .. } => (
            Code::JournalDamaged,
            "keep the directory as it is, and restore the whole of it from a copy",
        ),
        JournalError::DiskFull { .. }
        | JournalError::UnknownOutcome { .. }
        | JournalError::Poisoned { .. } => (Code::Stopped, "mend the disk, then resume the run"),
        _ => (Code::File, "see what the message says"),
    };
    Failure::new(code, "the journal cannot be used")
        .because(error)
        .remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        write_shared(&path, b"one").unwrap();
        write_shared(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
