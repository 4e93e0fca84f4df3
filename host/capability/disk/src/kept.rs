//! Copies in the state directory, by hash: what an edit or a removal takes away, and what a plan asks to keep.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use liftlock_types::{Digest, ReadError};
use serde::{Deserialize, Serialize};

use crate::root::{COPY_BYTES_MAX, Opened, read_error};

/// The place for kept copies: `kept/` of the state directory, open to its owner only.
pub(crate) struct Kept {
    path: PathBuf,
}

/// Whose copy it is and how the file stood, so that a person finds it and an undo gives owner and mode back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Label {
    /// The binding's directory.
    pub(crate) directory: String,
    /// The path beneath it.
    pub(crate) file: String,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The inode that a write brought under a name: tells after a crash that it was ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) sha256: String,
}

static TEMPORARY: AtomicU64 = AtomicU64::new(0);

impl Kept {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        // It can be older than this program, and `recursive` leaves what is there as it is.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
        let path = std::fs::canonicalize(path)?;
        if let Some(parent) = path.parent() {
            File::open(parent)?.sync_all()?;
        }
        let kept = Self { path };
        kept.sweep()?;
        Ok(kept)
    }

    /// Removes what processes that are gone left half-written.
    fn sweep(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let process = name
                .strip_prefix('.')
                .and_then(|rest| rest.strip_suffix(".tmp"))
                .and_then(|rest| rest.split_once('-'))
                .and_then(|(process, _)| process.parse::<u32>().ok());
            if let Some(process) = process
                && !Path::new("/proc").join(process.to_string()).exists()
            {
                std::fs::remove_file(self.path.join(name.as_ref()))?;
            }
        }
        Ok(())
    }

    /// Where the copy with this hash lies.
    pub(crate) fn path_of(&self, sha256: &str) -> PathBuf {
        self.path.join(sha256)
    }

    /// Copies a file, durable when this returns. Safe to repeat.
    pub(crate) fn keep(
        &self,
        from: Opened,
        directory: &Path,
        shown: &str,
        until: Instant,
    ) -> Result<Label, ReadError> {
        let (mode, uid, gid) = (from.mode, from.uid, from.gid);
        let (temporary, mut file) = self.temporary().map_err(|error| failed(&error))?;
        let streamed = from.stream(shown, until, |part| file.write_all(part));
        let placed = streamed.and_then(|(sha256, bytes)| {
            file.sync_all()
                .and_then(|()| std::fs::rename(&temporary, self.path_of(&sha256)))
                .map_err(|error| failed(&error))?;
            Ok((sha256, bytes))
        });
        let (sha256, bytes) = placed.inspect_err(|_| {
            // What is left is named as temporary and never read.
            let _ = std::fs::remove_file(&temporary);
        })?;
        let label = Label {
            directory: directory.display().to_string(),
            file: shown.to_owned(),
            sha256,
            bytes,
            mode,
            uid,
            gid,
        };
        self.write_json(
            &self.label_path(&label.directory, shown, &label.sha256),
            &label,
        )
        .map_err(|error| failed(&error))?;
        Ok(label)
    }

    /// The copy with this hash, after its bytes were hashed again.
    pub(crate) fn holds(&self, sha256: &str, until: Instant) -> Result<bool, ReadError> {
        match self.opened(sha256) {
            Ok(opened) => Ok(opened.sha256(sha256, COPY_BYTES_MAX, until)? == sha256),
            Err(ReadError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The copy, for reading.
    pub(crate) fn opened(&self, sha256: &str) -> Result<Opened, ReadError> {
        let digest = Digest::new(format!("sha256:{sha256}"))
            .map_err(|error| ReadError::Invalid(error.to_string()))?;
        crate::root::open_absolute(&self.path_of(digest.hex()), "kept copy")
    }

    /// How the file stood when it was kept from this place.
    pub(crate) fn label(&self, directory: &Path, shown: &str, sha256: &str) -> Option<Label> {
        let directory = directory.display().to_string();
        let bytes = std::fs::read(self.label_path(&directory, shown, sha256)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Notes what a write is about to bring under a name.
    pub(crate) fn set_mark(&self, token: &str, mark: &Mark) -> io::Result<()> {
        self.write_json(&self.mark_path(token), mark)
    }

    pub(crate) fn mark(&self, token: &str) -> Option<Mark> {
        let bytes = std::fs::read(self.mark_path(token)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    pub(crate) fn remove_mark(&self, token: &str) -> io::Result<()> {
        match std::fs::remove_file(self.mark_path(token)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn label_path(&self, directory: &str, shown: &str, sha256: &str) -> PathBuf {
        let place = Digest::of(format!("{directory}\0{shown}").as_bytes());
        self.path.join(format!("{sha256}.{}.json", place.short()))
    }

    fn mark_path(&self, token: &str) -> PathBuf {
        // A token is any text; its hash is a name.
        let name = Digest::of(token.as_bytes());
        self.path.join(format!("{}.mark", name.hex()))
    }

    fn temporary(&self) -> io::Result<(PathBuf, File)> {
        let n = TEMPORARY.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(format!(".{}-{n}.tmp", std::process::id()));
        // Left by a process that had our id.
        let _ = std::fs::remove_file(&path);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok((path, file))
    }

    fn write_json(&self, path: &Path, value: &impl Serialize) -> io::Result<()> {
        let (temporary, mut file) = self.temporary()?;
        file.write_all(&serde_json::to_vec(value)?)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(&self.path)?.sync_all()
    }
}

fn failed(error: &io::Error) -> ReadError {
    read_error(error, "the place for kept copies")
}
