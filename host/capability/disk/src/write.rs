//! Temporary file, sync, rename, sync of the directory.

use std::fs::File;
use std::io::{self, Write as _};

use liftlock_types::{Acted, Digest, ReadError};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Uid, XattrFlags};
use serde_json::Value;

use crate::kept::{Kept, Mark};
use crate::root::{COPY_BYTES_MAX, Opened, Place};

/// Longest list of extended attributes and longest value that are carried over: the kernel's own bound.
const XATTR_BYTES_MAX: usize = 1 << 16;

/// A change that was not made, or whose end is unknown.
pub(crate) type Done = Result<Value, Acted>;

/// Before the rename every failure is one of nothing happened.
pub(crate) fn not_done(error: ReadError) -> Acted {
    let refused = |status, kind: &str, text: String| Acted::Refused {
        status,
        kind: kind.into(),
        text,
        later: false,
    };
    match error {
        ReadError::Unavailable(why) => Acted::NotSent(why),
        ReadError::NotFound(what) => refused(404, "not-found", what),
        ReadError::Rejected { status, kind, text } => refused(status, &kind, text),
        ReadError::Denied { rule, .. } => refused(403, "denied", rule),
        ReadError::Invalid(why) | ReadError::Absent(why) => refused(400, "invalid", why),
    }
}

/// The target is not as it was when the change was planned.
pub(crate) fn changed(text: String) -> Acted {
    Acted::Refused {
        status: 409,
        kind: "changed".into(),
        text,
        later: false,
    }
}

/// How the new file stands.
pub(crate) struct Looks {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Else it is given to that owner only where the system lets us.
    pub(crate) owner_is_must: bool,
}

/// The new content, under a name of ours beside the target. A crash leaves at most this one file; the next attempt
/// of the step and the clean-up remove it.
pub(crate) struct Temporary<'a> {
    place: &'a Place,
    name: String,
    pub(crate) file: File,
    placed: bool,
}

/// One name for one step of one run, so that attempts never pile up.
pub(crate) fn temporary_name(run: &str, step: &str) -> String {
    let digest = Digest::of(format!("{run}\0{step}").as_bytes());
    format!(
        ".liftlock-{}.tmp",
        digest.hex().get(..16).unwrap_or_default()
    )
}

impl<'a> Temporary<'a> {
    pub(crate) fn new(place: &'a Place, name: String) -> Result<Self, Acted> {
        remove_temporary(place, &name).map_err(|error| not_sent(place, &error))?;
        let fd = rustix::fs::openat(
            &place.parent,
            &name,
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        )
        .map_err(|error| not_sent(place, &error.into()))?;
        Ok(Self {
            place,
            name,
            file: File::from(fd),
            placed: false,
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Acted> {
        self.file
            .write_all(bytes)
            .map_err(|error| not_sent(self.place, &error))
    }

    /// Owner, mode and, of the file that it replaces, access lists and attributes.
    pub(crate) fn look_like(&self, looks: &Looks, replaced: Option<&File>) -> Result<(), Acted> {
        let failed = |error: io::Error| not_sent(self.place, &error);
        let now = rustix::fs::fstat(&self.file).map_err(|error| failed(error.into()))?;
        if (now.st_uid, now.st_gid) != (looks.uid, looks.gid) {
            let given = rustix::fs::fchown(
                &self.file,
                Some(Uid::from_raw(looks.uid)),
                Some(Gid::from_raw(looks.gid)),
            );
            match given {
                Err(error) if looks.owner_is_must => {
                    return Err(Acted::Refused {
                        status: 403,
                        kind: "owner".into(),
                        text: format!(
                            "`{}` belongs to {}:{}, and we may not make a file that does: {error}",
                            self.place.shown, looks.uid, looks.gid
                        ),
                        later: false,
                    });
                }
                _ => {}
            }
        }
        if let Some(replaced) = replaced {
            copy_attributes(replaced, &self.file).map_err(failed)?;
        }
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(looks.mode))
            .map_err(|error| failed(error.into()))
    }

    /// Makes it durable, and notes which inode comes under the name.
    pub(crate) fn sync(&self, kept: &Kept, token: &str, sha256: &str) -> Result<(), Acted> {
        let failed = |error: io::Error| not_sent(self.place, &error);
        self.file.sync_all().map_err(failed)?;
        let stat = rustix::fs::fstat(&self.file).map_err(|error| failed(error.into()))?;
        kept.set_mark(
            token,
            &Mark {
                device: stat.st_dev,
                inode: stat.st_ino,
                sha256: sha256.to_owned(),
            },
        )
        .map_err(failed)
    }

    /// Takes the target's place.
    pub(crate) fn replace(mut self) -> Result<(), Acted> {
        let (parent, name) = (&self.place.parent, self.place.name.as_str());
        rustix::fs::renameat(parent, &self.name, parent, name)
            .map_err(|error| not_sent(self.place, &error.into()))?;
        self.placed = true;
        sync_directory(self.place)
    }

    /// Takes the name, if nothing has it: one call of the system, so nothing can come between.
    pub(crate) fn publish(mut self) -> Result<(), Acted> {
        use rustix::io::Errno;
        let (parent, name) = (&self.place.parent, self.place.name.as_str());
        let placed =
            rustix::fs::renameat_with(parent, &self.name, parent, name, RenameFlags::NOREPLACE);
        let placed = match placed {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                // The file system has no such rename; a second name refuses to replace as well.
                rustix::fs::linkat(parent, &self.name, parent, name, AtFlags::empty())
            }
            placed => {
                self.placed = placed.is_ok();
                placed
            }
        };
        match placed {
            Ok(()) => sync_directory(self.place),
            Err(Errno::EXIST) => Err(changed(format!(
                "`{}` is there; a file is never replaced",
                self.place.shown
            ))),
            Err(error) => Err(not_sent(self.place, &error.into())),
        }
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.placed {
            // Left behind, it is harmless, and the clean-up names it.
            let _ = remove_temporary(self.place, &self.name);
        }
    }
}

/// Gone already is fine.
pub(crate) fn remove_temporary(place: &Place, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(&place.parent, name, AtFlags::empty()) {
        Err(rustix::io::Errno::NOENT) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes the target itself.
pub(crate) fn remove(place: &Place) -> Result<(), Acted> {
    rustix::fs::unlinkat(&place.parent, place.name.as_str(), AtFlags::empty())
        .map_err(|error| not_sent(place, &error.into()))?;
    sync_directory(place)
}

/// The target is still this file with this hash: asked last, right before it is replaced or removed.
///
/// Between this look and the rename a writer that does not know us can still come; no file system has a
/// conditional rename. The hash of what was replaced is in the kept copy.
pub(crate) fn still(
    place: &Place,
    inode: (u64, u64),
    sha256: &str,
    until: std::time::Instant,
) -> Result<(), Acted> {
    let now = place.target().map_err(not_done)?;
    match now {
        Some(now) if (now.device, now.inode) == inode => {
            let found = now
                .sha256(&place.shown, COPY_BYTES_MAX, until)
                .map_err(not_done)?;
            if found == sha256 {
                Ok(())
            } else {
                Err(changed(format!("`{}` has another hash now", place.shown)))
            }
        }
        _ => Err(changed(format!(
            "`{}` was replaced or removed",
            place.shown
        ))),
    }
}

/// A file with a second name is not edited: the other name would go on to hold the old text.
pub(crate) fn has_one_name(target: &Opened, place: &Place) -> Result<(), Acted> {
    use std::os::unix::fs::MetadataExt as _;
    let meta = target
        .file
        .metadata()
        .map_err(|error| not_sent(place, &error))?;
    if meta.nlink() > 1 {
        return Err(not_done(ReadError::Invalid(format!(
            "`{}` has {} names (hard links); an edit would reach only one",
            place.shown,
            meta.nlink()
        ))));
    }
    Ok(())
}

fn copy_attributes(from: &File, to: &File) -> io::Result<()> {
    let mut list = vec![0; XATTR_BYTES_MAX];
    let length = match rustix::fs::flistxattr(from, &mut list[..]) {
        Ok(length) => length,
        // The file system has none.
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let names = list.get(..length).unwrap_or_default();
    for name in names.split(|byte| *byte == 0) {
        // Labels of security modules are the kernel's: a new file gets those of its directory.
        if !name.starts_with(b"user.") && name != b"system.posix_acl_access" {
            continue;
        }
        let mut value = vec![0; XATTR_BYTES_MAX];
        let length = rustix::fs::fgetxattr(from, name, &mut value[..])?;
        let value = value.get(..length).unwrap_or_default();
        rustix::fs::fsetxattr(to, name, value, XattrFlags::empty())?;
    }
    Ok(())
}

fn sync_directory(place: &Place) -> Result<(), Acted> {
    rustix::fs::fsync(&place.parent).map_err(|error| {
        Acted::Unanswered(format!(
            "`{}` has its new state, and its directory could not be synced: {error}",
            place.shown
        ))
    })
}

pub(crate) fn not_sent(place: &Place, error: &io::Error) -> Acted {
    not_done(crate::root::read_error(error, &place.shown))
}
