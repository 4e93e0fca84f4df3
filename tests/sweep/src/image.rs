//! What a crash leaves at one moment: the target, the journal's files, the kept copies; and the books so far.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use liftlock_testkit::Record;
use liftlock_testkit::SavedState;
use liftlock_testkit::SimCluster;

use crate::ledger::Entry;
use crate::ledger::Ledger;
use crate::service::Switch;

/// Files of a journal that a copy leaves out: the lock and the index of the log belong to a process, the reserve is
/// made anew.
const LEFT_OUT: [&str; 3] = ["lock", "reserve", "journal.db-shm"];

/// Everything that outlives a process, at one moment.
#[derive(Debug, Clone)]
pub struct Image {
    /// The cluster.
    pub target: SavedState,
    /// Whether the service ran.
    pub running: bool,
    /// A copy of the journal's directory.
    pub journal: PathBuf,
    /// A copy of the folder for kept copies.
    pub kept: PathBuf,
    /// Requests that the target saw up to there.
    pub records: Vec<Record>,
    /// What happened up to there.
    pub entries: Vec<Entry>,
}

/// Takes images of a round. Clones count on.
#[derive(Clone)]
pub struct Camera {
    /// The cluster.
    pub sim: Arc<SimCluster>,
    /// The service.
    pub optimize: Switch,
    /// The journal's directory.
    pub journal: PathBuf,
    /// The folder for kept copies.
    pub kept: PathBuf,
    /// The books.
    pub ledger: Ledger,
    /// Requests before this round.
    pub earlier: Arc<Vec<Record>>,
    /// Where copies are put.
    pub shelf: PathBuf,
    /// How many were taken.
    pub taken: Arc<Mutex<usize>>,
}

impl Camera {
    /// Takes one. To be called where no process writes: at a point of its run.
    pub fn shoot(&self) -> io::Result<Image> {
        let number = {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            *taken += 1;
            *taken
        };
        let folder = self.shelf.join(number.to_string());
        let (journal, kept) = (folder.join("journal"), folder.join("kept"));
        fs::create_dir_all(&folder)?;
        copy_folder(&self.journal, &journal)?;
        copy_folder(&self.kept, &kept)?;
        let mut records = Vec::clone(&self.earlier);
        records.extend(self.sim.records());
        Ok(Image {
            target: self.sim.snapshot_state(),
            running: self.optimize.is_running(),
            journal,
            kept,
            records,
            entries: self.ledger.entries(),
        })
    }
}

/// Copies a folder with its modes. One that is not there becomes one that is not there.
pub fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to.join(name))?;
        } else {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}
