//! Why the journal did not do what was asked.

use std::io;
use std::path::{Path, PathBuf};

use crate::chain::{BreakReason, Hash};
use crate::lock::Holder;

/// Primary result codes of SQLite that mean something else to a caller than "it failed".
const SQLITE_READONLY: i32 = 8;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_NOTADB: i32 = 26;
/// Extended: the shared-memory file could not grow, which is a full disk too.
const SQLITE_IOERR_SHMSIZE: i32 = 4874;

/// Why the journal refused, or could not do, what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process writes this journal; it may go on, we may not.
    #[error("journal `{}` is in use by {holder}; wait for it, or stop it and try again", path.display())]
    Busy {
        /// The journal's directory.
        path: PathBuf,
        /// Who holds it.
        holder: Box<Holder>,
    },
    /// The directory is where a journal would not survive.
    #[error("journal directory `{}` is on {kind}; {remedy}", path.display())]
    UnsafeFileSystem {
        /// The directory asked for, or the nearest one above it that exists.
        path: PathBuf,
        /// What was found, in words.
        kind: String,
        /// What to do instead.
        remedy: &'static str,
    },
    /// Other users can reach the journal.
    #[error("`{}` has mode {mode:04o}, which lets other users in; run `chmod {want:04o} {}`", path.display(), path.display())]
    OpenToOthers {
        /// The file or directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that is right.
        want: u32,
    },
    /// The directory cannot be written.
    #[error("cannot write in `{}`; the journal needs a directory of its own, writable by this user, on a file system mounted read-write", path.display())]
    NotWritable {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The operating system refused a file operation.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// There is no journal to read here.
    #[error("no journal in `{}`; name the state directory of the run", path.display())]
    NoJournal {
        /// The file that is missing.
        path: PathBuf,
    },
    /// A file of the journal is not what was written.
    #[error("`{}` is damaged: {reason}; keep the directory as it is, and restore the whole of it from a copy or import an export of the run", path.display())]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// How it shows.
        reason: String,
    },
    /// A newer liftlock wrote this journal.
    #[error("`{}` has schema {found}, this program knows up to {known}; use the liftlock version that wrote it, or a newer one", path.display())]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// Schema version found.
        found: i64,
        /// Newest schema version known here.
        known: i64,
    },
    /// The SQLite library linked into this program has a known corruption defect.
    #[error(
        "SQLite {found} is linked, {want} or newer is needed: older ones can corrupt a journal in WAL mode; build with the bundled SQLite"
    )]
    OldSqlite {
        /// Version linked.
        found: String,
        /// Oldest version allowed.
        want: &'static str,
    },
    /// SQLite failed before a commit was tried: nothing of this call is durable.
    #[error("cannot {action} in `{}`", path.display())]
    Database {
        /// What was tried.
        action: &'static str,
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// A commit failed: the rows may or may not be durable. Recover, then look them up.
    #[error("commit to `{}` failed, so its rows may or may not be there; recover the journal and read them before anything is sent", path.display())]
    UnknownOutcome {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// An earlier write failed; nothing is read or written until [`Journal::recover`](crate::Journal::recover).
    #[error("journal `{}` was closed by an earlier failure ({reason}); recover it before anything is read or sent", path.display())]
    Poisoned {
        /// The journal's directory.
        path: PathBuf,
        /// The failure that ended writing.
        reason: String,
    },
    /// No space left.
    #[error("no space left for the journal in `{}`{}; free space there and resume", path.display(), needed(*bytes_needed))]
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
        /// How many bytes were asked for, where it is known.
        bytes_needed: Option<u64>,
    },
    /// This journal was opened for reading.
    #[error("journal `{}` was opened for reading only", path.display())]
    ReadOnly {
        /// The journal's directory.
        path: PathBuf,
    },
    /// The end of this run's record is lost.
    #[error("run `{run}` in `{}` ends at row {journal_seq}, but row {head_seq} was recorded as written: its end is lost, so every step past row {journal_seq} is in doubt; restore the whole directory with its `-wal` file", path.display())]
    BehindHead {
        /// The run.
        run: String,
        /// Last row the head file names.
        head_seq: u64,
        /// Last row the journal holds.
        journal_seq: u64,
        /// The head file.
        path: PathBuf,
    },
    /// The row that the head file names is another one here.
    #[error("row {seq} of run `{run}` is not the one that `{}` names: this is another history of the run; restore the directory that this run was written in", path.display())]
    HeadDiffers {
        /// The run.
        run: String,
        /// The row.
        seq: u64,
        /// The head file.
        path: PathBuf,
    },
    /// The chain breaks at this row; nothing from it on is history.
    #[error("row {seq} of run `{run}` in `{}` is broken: {reason}; rows before it are whole", path.display())]
    Broken {
        /// The database or export file.
        path: PathBuf,
        /// The run.
        run: String,
        /// The first broken row.
        seq: u64,
        /// How it is broken.
        reason: BreakReason,
    },
    /// A row with this key is there already, and it says something else.
    #[error(
        "row {seq} of run `{run}` already records `{kind}`, step `{step}`, attempt {attempt}, with another content"
    )]
    Conflict {
        /// The run.
        run: String,
        /// Where the recorded row is.
        seq: u64,
        /// Step of the row, empty for a row of the whole run.
        step: String,
        /// Attempt of the row.
        attempt: u32,
        /// Kind of the row.
        kind: String,
    },
    /// The run is there already.
    #[error("run `{run}` is already in `{}`", path.display())]
    RunExists {
        /// The run.
        run: String,
        /// The database file.
        path: PathBuf,
    },
    /// There is no such run.
    #[error("no run `{run}` in `{}`; `history` lists the runs that are there", path.display())]
    UnknownRun {
        /// The run.
        run: String,
        /// The database file.
        path: PathBuf,
    },
    /// What was given lies outside a bound.
    #[error("{what} is not what the journal takes: {want}")]
    Refused {
        /// The value, named.
        what: String,
        /// What would be right.
        want: String,
    },
    /// Nothing is pinned under this name.
    #[error("run `{run}` has no pinned `{name}`")]
    NoPin {
        /// The run.
        run: String,
        /// The name asked for.
        name: String,
    },
    /// Other bytes are pinned under this name already.
    #[error("run `{run}` already pins other bytes as `{name}` (sha256 {pinned})")]
    PinConflict {
        /// The run.
        run: String,
        /// The name.
        name: String,
        /// Digest of the bytes that are pinned.
        pinned: Hash,
    },
    /// An export file is torn, edited or none of ours.
    #[error("line {line} of `{}` is not part of a whole export: {reason}; export the run again", path.display())]
    BadExport {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}

fn needed(bytes: Option<u64>) -> String {
    bytes
        .map(|n| format!(" ({n} bytes needed)"))
        .unwrap_or_default()
}

impl JournalError {
    /// Whether the state of the connection is unknown after this, so that writing must end.
    ///
    /// The rest are refusals: nothing was written, and the next call stands on its own.
    pub(crate) fn ends_writing(&self) -> bool {
        matches!(
            self,
            Self::Database { .. }
                | Self::UnknownOutcome { .. }
                | Self::DiskFull { .. }
                | Self::Damaged { .. }
                | Self::NotWritable { .. }
        )
    }

    /// Names an I/O failure by what the person can do about it.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull {
                path,
                bytes_needed: None,
            },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path, source }
            }
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }

    /// Names a failure of SQLite by what the person can do about it.
    pub(crate) fn database(action: &'static str, path: &Path, source: sqlx::Error) -> Self {
        let code = result_code(&source);
        let path = path.to_owned();
        match code {
            Some(SQLITE_IOERR_SHMSIZE) => Self::DiskFull {
                path,
                bytes_needed: None,
            },
            Some(code) => match code & 0xff {
                SQLITE_FULL => Self::DiskFull {
                    path,
                    bytes_needed: None,
                },
                SQLITE_CORRUPT | SQLITE_NOTADB => Self::Damaged {
                    path,
                    reason: source.to_string(),
                },
                SQLITE_READONLY | SQLITE_CANTOPEN => Self::NotWritable {
                    path,
                    source: io::Error::other(source),
                },
                _ => Self::Database {
                    action,
                    path,
                    source,
                },
            },
            None => Self::Database {
                action,
                path,
                source,
            },
        }
    }

    /// Names a failure of a commit: unknown, except where SQLite says there was no room.
    pub(crate) fn commit(path: &Path, source: sqlx::Error) -> Self {
        match Self::database("commit", path, source) {
            Self::Database { path, source, .. } => Self::UnknownOutcome { path, source },
            other => other,
        }
    }
}

fn result_code(error: &sqlx::Error) -> Option<i32> {
    match error {
        sqlx::Error::Database(e) => e.code()?.parse().ok(),
        _ => None,
    }
}
