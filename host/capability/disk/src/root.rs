//! The directory: reads, and where a change may go.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, UNIX_EPOCH};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use liftlock_types::facts::disk::{Entry, EntryKind, Space};
use liftlock_types::{Digest, FileName, ReadError, path_of};
use rustix::fs::{AtFlags, Mode, OFlags, StatxAttributes, StatxFlags};

/// Most entries of one listing: a directory with more is data, not configuration. The contract's bound.
pub const ENTRIES_MAX: usize = 10_000;

/// Most bytes of one read. The contract's bound.
pub const READ_BYTES_MAX: u32 = 1 << 20;

/// Largest file that is read as text or edited.
///
/// 16 MiB: redaction needs the whole text in memory; configuration files are below 1 MiB.
pub const TEXT_BYTES_MAX: u64 = 16 << 20;

/// Largest file that is kept, copied or changed.
///
/// 256 MiB: programs and their archives fit, and hashing one takes about a second, which the gate's bound of 2 s
/// between looking and sending leaves room for. Data is protected by snapshots, not by copies.
pub const COPY_BYTES_MAX: u64 = 256 << 20;

/// No bound by size, for reads and conditions: a dump is larger than what is copied, and nothing is sent right after it.
pub(crate) const BYTES_UNBOUNDED: u64 = u64::MAX;

const CHUNK: usize = 1 << 17;

/// A regular file that was opened, and what it was then.
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The directory of a binding, held open.
pub(crate) struct Root {
    dir: Dir,
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Root {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let path = std::fs::canonicalize(path)?;
        let dir = Dir::open_ambient_dir(&path, ambient_authority())?;
        let meta = rustix::fs::fstat(dir.as_fd())?;
        Ok(Self {
            dir,
            path,
            device: meta.st_dev,
            inode: meta.st_ino,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What stands at the path now: another directory there is another target.
    pub(crate) fn fingerprint(&self) -> Result<String, ReadError> {
        let meta = std::fs::metadata(&self.path).map_err(|error| read_error(&error, "."))?;
        Ok(format!("{}:{}", meta.dev(), meta.ino()))
    }

    /// The directory that was opened is still the one that the operator named.
    fn still(&self) -> Result<(), ReadError> {
        if self.fingerprint()? == format!("{}:{}", self.device, self.inode) {
            Ok(())
        } else {
            Err(ReadError::Unavailable(format!(
                "another directory stands at `{}` since it was opened",
                self.path.display()
            )))
        }
    }

    /// The directory beneath; links on the way are resolved beneath the binding's directory and nowhere else.
    pub(crate) fn directory(&self, names: &[String]) -> Result<Dir, ReadError> {
        self.still()?;
        for name in names {
            file_name(name)?;
        }
        if names.is_empty() {
            return self
                .dir
                .try_clone()
                .map_err(|error| read_error(&error, "."));
        }
        let path = names.join("/");
        self.dir
            .open_dir(&path)
            .map_err(|error| read_error(&error, &path))
    }

    /// A file for reading; a link to a file beneath is followed.
    pub(crate) fn file(&self, dir: &[String], name: &str) -> Result<Opened, ReadError> {
        use cap_std::fs::OpenOptionsExt as _;
        file_name(name)?;
        let path = path_of(dir, name);
        self.directory(dir)?;
        let mut options = cap_std::fs::OpenOptions::new();
        // Never waits for the other end of a pipe.
        options
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let file = self
            .dir
            .open_with(&path, &options)
            .map_err(|error| read_error(&error, &path))?;
        opened(file.into_std(), &path)
    }

    pub(crate) fn entries(&self, dir: &[String]) -> Result<Vec<Entry>, ReadError> {
        let at = dir.join("/");
        let failed = |error: io::Error| read_error(&error, if at.is_empty() { "." } else { &at });
        let mut entries = Vec::new();
        for entry in self.directory(dir)?.entries().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entries.len() == ENTRIES_MAX {
                return Err(ReadError::Invalid(format!(
                    "more than {ENTRIES_MAX} entries in `{at}`"
                )));
            }
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                // It went while we looked.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            let kind = meta.file_type();
            entries.push(Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                kind: if kind.is_file() {
                    EntryKind::File
                } else if kind.is_dir() {
                    EntryKind::Directory
                } else if kind.is_symlink() {
                    EntryKind::Link
                } else {
                    EntryKind::Other
                },
                bytes: meta.len(),
                modified_ms: meta
                    .modified()
                    .ok()
                    .and_then(|time| time.into_std().duration_since(UNIX_EPOCH).ok())
                    .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0)),
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    pub(crate) fn space(&self, dir: &[String]) -> Result<Space, ReadError> {
        let at = dir.join("/");
        let dir = self.directory(dir)?;
        let stat =
            rustix::fs::fstatvfs(dir.as_fd()).map_err(|error| read_error(&error.into(), &at))?;
        Ok(Space {
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    /// The lower-case hash of a file of at most `bytes_max` bytes as it is; none: it is not there.
    pub(crate) fn sha256(
        &self,
        dir: &[String],
        name: &str,
        bytes_max: u64,
        until: Instant,
    ) -> Result<Option<String>, ReadError> {
        match self.file(dir, name) {
            Ok(opened) => opened
                .sha256(&path_of(dir, name), bytes_max, until)
                .map(Some),
            Err(ReadError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where a change may go.
    pub(crate) fn place(&self, dir: &[FileName], name: &FileName) -> Result<Place, ReadError> {
        let names: Vec<String> = dir.iter().map(ToString::to_string).collect();
        let shown = path_of(&names, name.as_str());
        let parent = self.directory(&names)?;
        // A handle that can be synced; the one above is a path only.
        let parent = rustix::fs::openat(
            parent.as_fd(),
            ".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|error| read_error(&error.into(), &shown))?;
        Ok(Place {
            parent,
            name: name.clone(),
            shown,
        })
    }
}

/// One name in one open directory: the target of a change. The name holds no separator, so nothing that is done
/// with it can reach elsewhere.
pub(crate) struct Place {
    pub(crate) parent: OwnedFd,
    pub(crate) name: FileName,
    /// `a/b/name`, for people and facts.
    pub(crate) shown: String,
}

impl Place {
    /// The regular file that stands there, links not followed; none: nothing does.
    ///
    /// Refuses a link, a mount point and everything that is no regular file.
    pub(crate) fn target(&self) -> Result<Option<Opened>, ReadError> {
        let name = self.name.as_str();
        let stat = match rustix::fs::statx(
            &self.parent,
            name,
            AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT,
            StatxFlags::BASIC_STATS,
        ) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(read_error(&error.into(), &self.shown)),
        };
        let kind = rustix::fs::FileType::from_raw_mode(u32::from(stat.stx_mode));
        if kind == rustix::fs::FileType::Symlink {
            return Err(ReadError::Invalid(format!(
                "`{}` is a link; a link is never the target of a change",
                self.shown
            )));
        }
        if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
            return Err(ReadError::Invalid(format!(
                "`{}` is a mount point; a mount point is never the target of a change",
                self.shown
            )));
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.parent, name, flags, Mode::empty()) {
            Ok(fd) => opened(File::from(fd), &self.shown).map(Some),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(read_error(&error.into(), &self.shown)),
        }
    }

    /// The hash of what stands there; none: nothing does. At most [`COPY_BYTES_MAX`].
    pub(crate) fn sha256(&self, until: Instant) -> Result<Option<String>, ReadError> {
        self.target()?
            .map(|opened| opened.sha256(&self.shown, COPY_BYTES_MAX, until))
            .transpose()
    }
}

impl Opened {
    /// Streams the file through `sink` and answers with its hash. At most [`COPY_BYTES_MAX`].
    pub(crate) fn stream(
        self,
        shown: &str,
        until: Instant,
        sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(String, u64), ReadError> {
        self.stream_within(COPY_BYTES_MAX, shown, until, sink)
    }

    fn stream_within(
        mut self,
        bytes_max: u64,
        shown: &str,
        until: Instant,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(String, u64), ReadError> {
        use sha2::Digest as _;
        let length = self.file.metadata().map_or(0, |meta| meta.len());
        if length > bytes_max {
            return Err(too_large(shown, bytes_max));
        }
        let mut hash = sha2::Sha256::new();
        let mut chunk = vec![0; CHUNK];
        let mut bytes = 0_u64;
        loop {
            let n = self
                .file
                .read(&mut chunk)
                .map_err(|error| read_error(&error, shown))?;
            let part = chunk.get(..n).unwrap_or_default();
            if part.is_empty() {
                return Ok((liftlock_types::hex(&hash.finalize()), bytes));
            }
            bytes += n as u64;
            if bytes > bytes_max {
                return Err(too_large(shown, bytes_max));
            }
            if Instant::now() > until {
                return Err(ReadError::Unavailable(format!(
                    "`{shown}` could not be read in time"
                )));
            }
            hash.update(part);
            sink(part).map_err(|error| read_error(&error, shown))?;
        }
    }

    /// The lower-case hash of all of it; refuses more than `bytes_max`.
    pub(crate) fn sha256(
        self,
        shown: &str,
        bytes_max: u64,
        until: Instant,
    ) -> Result<String, ReadError> {
        self.stream_within(bytes_max, shown, until, |_| Ok(()))
            .map(|(hash, _)| hash)
    }

    /// From `offset` on, at most `length` bytes; fewer where the file ends.
    pub(crate) fn part(
        mut self,
        shown: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.file.take(u64::from(length)).read_to_end(&mut bytes))
            .map_err(|error| read_error(&error, shown))?;
        Ok(bytes)
    }

    /// All of it, with its hash. At most [`TEXT_BYTES_MAX`].
    pub(crate) fn bytes(&mut self, shown: &str) -> Result<(Vec<u8>, String), ReadError> {
        let mut bytes = Vec::new();
        (&mut self.file)
            .take(TEXT_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| read_error(&error, shown))?;
        if bytes.len() as u64 > TEXT_BYTES_MAX {
            return Err(too_large(shown, TEXT_BYTES_MAX));
        }
        let hash = Digest::of(&bytes).hex().to_owned();
        Ok((bytes, hash))
    }
}

fn opened(file: File, shown: &str) -> Result<Opened, ReadError> {
    let meta = file.metadata().map_err(|error| read_error(&error, shown))?;
    if !meta.is_file() {
        return Err(ReadError::Invalid(format!("`{shown}` is no regular file")));
    }
    Ok(Opened {
        device: meta.dev(),
        inode: meta.ino(),
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        file,
    })
}

fn too_large(shown: &str, bytes_max: u64) -> ReadError {
    ReadError::Invalid(format!(
        "`{shown}` is larger than {bytes_max} bytes, the most that is taken"
    ))
}

pub(crate) fn file_name(name: &str) -> Result<FileName, ReadError> {
    FileName::new(name).map_err(|error| ReadError::Invalid(error.to_string()))
}

/// One case per reaction.
pub(crate) fn read_error(error: &io::Error, shown: &str) -> ReadError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            ReadError::NotFound(format!("`{shown}`"))
        }
        // `cap-std` says it without a number of the system's.
        io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => ReadError::Denied {
            rule: format!("`{shown}` leads out of the binding's directory"),
            allowed_by: "nothing: a binding is one directory; name the other one in site.toml"
                .into(),
        },
        io::ErrorKind::PermissionDenied => ReadError::Rejected {
            status: 403,
            kind: "permission-denied".into(),
            text: format!("the system does not let us at `{shown}`: {error}"),
        },
        _ => ReadError::Unavailable(format!("`{shown}`: {error}")),
    }
}

/// A file of our own, by its full path.
pub(crate) fn open_absolute(path: &Path, shown: &str) -> Result<Opened, ReadError> {
    let file = File::open(path).map_err(|error| read_error(&error, shown))?;
    opened(file, shown)
}
