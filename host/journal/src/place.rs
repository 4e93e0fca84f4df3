//! The journal's directory: where it may be, who may look in, and files that are durable.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::JournalError;

const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// What a caller accepts of the place a journal is opened in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// The operator named the directory (`--state`), so a file system that may be thrown away
    /// with the machine (overlay, FUSE, anything under `CI`) is their decision.
    pub explicit: bool,
    /// Tests and the demo: memory file systems too, and `explicit` with them. Network file
    /// systems stay refused, as SQLite's locks do not hold there.
    pub allow_volatile: bool,
}

/// What a file system means for a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    /// Gone at the next boot.
    Volatile(&'static str),
    /// Locks and flushes are promises of another machine.
    Network(&'static str),
    /// May be gone with a container, or not what it seems.
    ThrowAway(&'static str),
    /// A local disk, as far as can be seen.
    Disk,
}

/// Tells a file system by the magic number that `statfs` gives (Linux `magic.h` and the file
/// systems' own sources). One that is not listed counts as a disk: a new local file system must
/// not stop an upgrade, and the network ones in use are old.
fn keeps(magic: u64) -> Keeps {
    match magic {
        0x0102_1994 => Keeps::Volatile("tmpfs (memory)"),
        0x8584_58f6 => Keeps::Volatile("ramfs (memory)"),
        0x6969 => Keeps::Network("NFS"),
        0x517b | 0xfe53_4d42 => Keeps::Network("SMB"),
        0xff53_4d42 => Keeps::Network("CIFS"),
        0x00c3_6400 => Keeps::Network("CephFS"),
        0x5346_414f | 0x6b41_4653 => Keeps::Network("AFS"),
        0x7375_7245 => Keeps::Network("Coda"),
        0x0bd0_0bd0 => Keeps::Network("Lustre"),
        0x4750_4653 => Keeps::Network("GPFS"),
        0x1983_0326 => Keeps::Network("BeeGFS"),
        0x0102_1997 => Keeps::Network("9p"),
        0x786f_4256 => Keeps::Network("a VirtualBox shared folder"),
        0xbacb_acbc => Keeps::Network("a VMware shared folder"),
        0x794c_7630 => Keeps::ThrowAway("overlay (a container's own layer)"),
        0x6175_6673 => Keeps::ThrowAway("aufs (a container's own layer)"),
        0x6573_5546 => Keeps::ThrowAway("FUSE (of an unknown kind)"),
        _ => Keeps::Disk,
    }
}

/// Decides whether a journal may be here. Reads nothing but its arguments.
fn objection(
    kept: Keeps,
    ci: Option<&OsStr>,
    options: OpenOptions,
) -> Option<(String, &'static str)> {
    const DISK: &str = "name a directory on a local disk with `--state DIR`";
    const EXPLICIT: &str = "name a directory that outlives this machine with `--state DIR` \
                            (given there, this one is taken too)";
    let explicit = options.explicit || options.allow_volatile;
    let in_ci = ci.is_some_and(|value| !value.is_empty() && value != "false" && value != "0");
    match kept {
        Keeps::Network(name) => Some((format!("a network file system, {name}"), DISK)),
        Keeps::Volatile(name) if !options.allow_volatile => Some((name.to_owned(), DISK)),
        Keeps::ThrowAway(name) if !explicit => Some((name.to_owned(), EXPLICIT)),
        Keeps::Disk if in_ci && !explicit => Some((
            "a CI runner (`CI` is set), which may be thrown away".to_owned(),
            EXPLICIT,
        )),
        _ => None,
    }
}

/// The journal's directory and the names in it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
}

impl Place {
    /// Makes the directory if it is not there, and refuses one that would not keep a journal.
    ///
    /// Every directory made is durable when this returns, up to the first that existed.
    pub(crate) fn prepare(dir: &Path, options: OpenOptions) -> Result<Self, JournalError> {
        let absolute = std::path::absolute(dir)
            .map_err(|e| JournalError::io("find the absolute path of", dir, e))?;
        let existing = absolute
            .ancestors()
            .find(|a| a.exists())
            .unwrap_or(Path::new("/"));
        let stat = rustix::fs::statfs(existing)
            .map_err(|e| JournalError::io("ask for the file system of", existing, e.into()))?;
        // Sign-extended on some targets, and the numbers are 32 bits wide.
        let magic = stat.f_type as u64 & 0xffff_ffff;
        if let Some((kind, remedy)) =
            objection(keeps(magic), std::env::var_os("CI").as_deref(), options)
        {
            return Err(JournalError::UnsafeFileSystem {
                path: existing.into(),
                kind,
                remedy,
            });
        }
        make_dir(&absolute, existing)?;
        if is_empty(&absolute)? {
            close_to_others(&absolute)?;
        }
        check_private(&absolute, DIR_MODE)?;
        let place = Self { dir: absolute };
        for sub in [place.heads(), place.pins()] {
            make_dir(&sub, if sub.exists() { &sub } else { &place.dir })?;
        }
        Ok(place)
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.dir.join("journal.db")
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.dir.join("journal.db-wal")
    }

    /// Where a new database grows before it gets its name.
    pub(crate) fn new_db(&self) -> PathBuf {
        self.dir.join("new.db")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub(crate) fn reserve(&self) -> PathBuf {
        self.dir.join("reserve")
    }

    pub(crate) fn heads(&self) -> PathBuf {
        self.dir.join("heads")
    }

    pub(crate) fn head(&self, run: &str) -> PathBuf {
        self.heads().join(format!("{run}.head"))
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.dir.join("pins")
    }
}

/// Makes `dir` and what is missing above it, down from `existing`, each durable.
fn make_dir(dir: &Path, existing: &Path) -> Result<(), JournalError> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|a| *a != existing).collect();
    for made in missing.iter().rev() {
        match DirBuilder::new().mode(DIR_MODE).create(made) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(JournalError::io("make directory", made, e));
            }
            _ => {}
        }
    }
    for synced in missing
        .iter()
        .copied()
        .chain((!missing.is_empty()).then_some(existing))
    {
        sync_dir(synced)?;
    }
    Ok(())
}

fn is_empty(dir: &Path) -> Result<bool, JournalError> {
    let mut entries = fs::read_dir(dir).map_err(|e| JournalError::io("list", dir, e))?;
    Ok(entries.next().is_none())
}

/// Takes others' rights away from a directory that was made by hand for us a moment ago: there
/// is nothing in it yet that they could have been using. The owner's rights stay as they are.
fn close_to_others(dir: &Path) -> Result<(), JournalError> {
    let mode = fs::metadata(dir)
        .map_err(|e| JournalError::io("look at", dir, e))?
        .mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(mode & 0o7700))
        .map_err(|e| JournalError::io("set the mode of", dir, e))
}

/// Refuses a file or directory that others can reach.
pub(crate) fn check_private(path: &Path, want: u32) -> Result<(), JournalError> {
    let meta = fs::metadata(path).map_err(|e| JournalError::io("look at", path, e))?;
    check_mode(path, &meta, want)
}

fn check_mode(path: &Path, meta: &fs::Metadata, want: u32) -> Result<(), JournalError> {
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(JournalError::OpenToOthers {
            path: path.into(),
            mode,
            want,
        });
    }
    Ok(())
}

/// Refuses a file that others can reach; a file that is not there is fine.
///
/// One look only: the write-ahead log goes away when the process before closes the database.
pub(crate) fn check_private_file(path: &Path) -> Result<(), JournalError> {
    match fs::metadata(path) {
        Ok(meta) => check_mode(path, &meta, FILE_MODE),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(JournalError::io("look at", path, e)),
    }
}

/// Flushes a directory, so that names made or changed in it stay.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(|e| JournalError::io("flush directory", dir, e))
}

/// Opens a file of ours for reading and writing, made with mode 0600 if it is not there.
pub(crate) fn open_file(path: &Path) -> Result<File, JournalError> {
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
        .map_err(|e| JournalError::io("open", path, e))
}

/// Puts `bytes` at `path`: after this returns they are there, and a crash on the way leaves what
/// was there before.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), JournalError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|e| JournalError::io("write", path, e))?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

/// Runs file work where it may block. Durable writes take milliseconds, far too long for a
/// thread that also serves timers and sockets.
pub(crate) async fn blocking<T: Send + 'static>(
    dir: &Path,
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(JournalError::io("work in", dir, io::Error::other(e))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: OpenOptions = OpenOptions {
        explicit: false,
        allow_volatile: false,
    };
    const EXPLICIT: OpenOptions = OpenOptions {
        explicit: true,
        allow_volatile: false,
    };
    const VOLATILE: OpenOptions = OpenOptions {
        explicit: false,
        allow_volatile: true,
    };

    #[test]
    fn network_file_systems_are_refused_whatever_is_allowed() {
        for options in [PLAIN, EXPLICIT, VOLATILE] {
            let (kind, remedy) = objection(keeps(0x6969), None, options).unwrap();
            assert!(kind.contains("NFS") && remedy.contains("local disk"));
        }
    }

    #[test]
    fn memory_file_systems_need_the_permission_for_volatile_places() {
        assert!(
            objection(keeps(0x0102_1994), None, PLAIN)
                .unwrap()
                .0
                .contains("tmpfs")
        );
        assert!(objection(keeps(0x0102_1994), None, EXPLICIT).is_some());
        assert_eq!(objection(keeps(0x0102_1994), None, VOLATILE), None);
    }

    #[test]
    fn a_throw_away_place_is_taken_only_when_it_was_named() {
        let ci = Some(OsStr::new("true"));
        for (magic, ci) in [(0x794c_7630, None), (0x6573_5546, None), (0xef53, ci)] {
            assert!(objection(keeps(magic), ci, PLAIN).is_some(), "{magic:x}");
            assert_eq!(objection(keeps(magic), ci, EXPLICIT), None, "{magic:x}");
        }
        for off in [None, Some(OsStr::new("")), Some(OsStr::new("false"))] {
            assert_eq!(objection(keeps(0xef53), off, PLAIN), None);
        }
    }
}
