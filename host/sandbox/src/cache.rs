//! Compiled components on disk, so that a plugin in Python or JavaScript is compiled once and not for 5 to 9
//! seconds at each start.
//!
//! An entry is native code, and loading it means running it. So it is used only when the directory and the file
//! belong to this user and nobody else may write to them; its name holds the digest of the component and the hash
//! of everything that the compiled form depends on (runtime version, CPU flags, configuration); and its content
//! begins with a SHA-256 over that name and the code, which finds a damaged disk and an entry under another's name,
//! but not an attacker who has this user's rights: such a one could replace the host itself.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use sha2::{Digest as _, Sha256};

use crate::limits::COMPILED_BYTES_MAX;

/// Bytes of the checksum before the compiled code.
pub(crate) const CHECKSUM_BYTES: usize = 32;

/// A cache that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// Somebody else could have put code there.
    #[error("`{}` is not safe to load compiled plugins from: {why}", path.display())]
    Unsafe {
        /// The directory or the entry.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file system said no.
    #[error("cannot {what} `{}`", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
}

/// A directory of compiled components.
#[derive(Debug)]
pub(crate) struct Cache {
    path: PathBuf,
    dir: OwnedFd,
}

impl Cache {
    /// Makes the directory where it lacks; refuses one that others may write to.
    pub(crate) fn open(path: &Path) -> Result<Self, CacheError> {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| io("make", path, source))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|source| io("open", path, source.into()))?;
        let stat = rustix::fs::fstat(&dir).map_err(|source| io("look at", path, source.into()))?;
        check_ours(path, &stat)?;
        Ok(Self {
            path: path.to_owned(),
            dir,
        })
    }

    /// The entry's bytes, where there is a good one.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Vec<u8>>, CacheError> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&self.dir, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(rustix::io::Errno::LOOP) => return Err(refuse(&path, "it is a symbolic link")),
            Err(source) => return Err(io("open", &path, source.into())),
        };
        let stat =
            rustix::fs::fstat(&file).map_err(|source| io("look at", &path, source.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(refuse(&path, "it is no regular file"));
        }
        check_ours(&path, &stat)?;
        let mut bytes = Vec::new();
        File::from(file)
            .take(COMPILED_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(|source| io("read", &path, source))?;
        match bytes.split_at_checked(CHECKSUM_BYTES) {
            Some((sum, code)) if sum == checksum(name, code) => {
                bytes.drain(..CHECKSUM_BYTES);
                Ok(Some(bytes))
            }
            _ => {
                tracing::warn!(entry = %path.display(), "damaged cache entry, compiling again");
                Ok(None)
            }
        }
    }

    /// Begins an entry: a new file beside the others, readable by its owner only and gone unless it is put.
    pub(crate) fn begin(&self, name: &str) -> Result<NewEntry<'_>, CacheError> {
        // Two threads can compile the same plugin at the same time.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = format!("{name}.{}-{next}.new", std::process::id());
        let path = self.path.join(name);
        // A process with our number that died here left it; no one else may write in this directory.
        match rustix::fs::unlinkat(&self.dir, &temporary, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(source) => return Err(io("clear", &path, source.into())),
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.dir, &temporary, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|source| io("write", &path, source.into()))?;
        Ok(NewEntry {
            cache: self,
            name: name.to_owned(),
            temporary,
            file: File::from(file),
            is_put: false,
        })
    }

    /// Puts an entry: whole or not at all.
    pub(crate) fn put(&self, name: &str, code: &[u8]) -> Result<(), CacheError> {
        let mut entry = self.begin(name)?;
        entry
            .file
            .write_all(&[0; CHECKSUM_BYTES])
            .and_then(|()| entry.file.write_all(code))
            .map_err(|source| io("write", &self.path.join(name), source))?;
        entry.put(code)
    }
}

/// An entry that is being written.
#[derive(Debug)]
pub(crate) struct NewEntry<'a> {
    cache: &'a Cache,
    name: String,
    temporary: String,
    file: File,
    is_put: bool,
}

impl NewEntry<'_> {
    /// Its file: [`CHECKSUM_BYTES`] of room, then the code.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Writes the checksum over what stands in the file as `code`, and gives the entry its name.
    pub(crate) fn put(mut self, code: &[u8]) -> Result<(), CacheError> {
        let path = self.cache.path.join(&self.name);
        let dir = &self.cache.dir;
        self.file
            .write_all_at(&checksum(&self.name, code), 0)
            .and_then(|()| self.file.sync_all())
            .map_err(|source| io("write", &path, source))?;
        rustix::fs::renameat(dir, &self.temporary, dir, &self.name)
            .and_then(|()| rustix::fs::fsync(dir))
            .map_err(|source| io("write", &path, source.into()))?;
        self.is_put = true;
        Ok(())
    }
}

impl Drop for NewEntry<'_> {
    fn drop(&mut self) {
        if !self.is_put {
            // What stays is never read: no entry has such a name.
            let _ = rustix::fs::unlinkat(&self.cache.dir, &self.temporary, AtFlags::empty());
        }
    }
}

/// Over the name too, so that one plugin's code is not taken for another's.
fn checksum(name: &str, code: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hash = Sha256::new();
    hash.update(name);
    hash.update([0]);
    hash.update(code);
    hash.finalize().into()
}

/// Ours, and nobody else may write there.
fn check_ours(path: &Path, stat: &Stat) -> Result<(), CacheError> {
    let me = rustix::process::geteuid().as_raw();
    if stat.st_uid != me {
        return Err(refuse(
            path,
            &format!("its owner is user {}, not {me}", stat.st_uid),
        ));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(refuse(
            path,
            &format!(
                "its mode is {:o}: others may write there; `chmod go-w` it, or remove it",
                stat.st_mode & 0o7777
            ),
        ));
    }
    Ok(())
}

fn refuse(path: &Path, why: &str) -> CacheError {
    CacheError::Unsafe {
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

fn io(what: &'static str, path: &Path, source: std::io::Error) -> CacheError {
    CacheError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn an_entry_comes_back_and_is_readable_by_its_owner_only() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/b");
        let cache = Cache::open(&path).unwrap();
        assert!(cache.get("x").unwrap().is_none());
        cache.put("x", b"code").unwrap();
        cache.put("x", b"code2").unwrap();
        assert_eq!(cache.get("x").unwrap().unwrap(), b"code2");
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("x")), 0o600);
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_entry_is_not_used() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::open(temp.path()).unwrap();
        cache.put("x", b"code").unwrap();
        let file = temp.path().join("x");
        let mut bytes = std::fs::read(&file).unwrap();
        bytes.pop();
        std::fs::write(&file, &bytes).unwrap();
        assert!(cache.get("x").unwrap().is_none());
        std::fs::write(&file, b"").unwrap();
        assert!(cache.get("x").unwrap().is_none());
    }

    #[test]
    fn an_entry_under_anothers_name_is_not_used() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::open(temp.path()).unwrap();
        cache.put("x", b"code").unwrap();
        std::fs::copy(temp.path().join("x"), temp.path().join("y")).unwrap();
        assert!(cache.get("y").unwrap().is_none());
    }

    #[test]
    fn an_entry_that_was_begun_and_not_put_leaves_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::open(temp.path()).unwrap();
        drop(cache.begin("x").unwrap());
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    }

    #[test]
    fn refuses_a_directory_and_an_entry_that_others_may_write() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("cache");
        let cache = Cache::open(&path).unwrap();
        cache.put("x", b"code").unwrap();
        chmod(&path.join("x"), 0o620);
        assert!(matches!(cache.get("x"), Err(CacheError::Unsafe { .. })));
        chmod(&path, 0o707);
        assert!(matches!(Cache::open(&path), Err(CacheError::Unsafe { .. })));
    }

    #[test]
    fn refuses_a_link_in_the_place_of_an_entry() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::open(temp.path()).unwrap();
        cache.put("x", b"code").unwrap();
        symlink(temp.path().join("x"), temp.path().join("y")).unwrap();
        assert!(matches!(cache.get("y"), Err(CacheError::Unsafe { .. })));
    }
}
