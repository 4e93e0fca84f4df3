//! Puts a new included file in the old one's place, and the old one back.
//!
//! The old file itself goes aside and comes back, not a copy of it: owner, mode and time stay. By its time it is told
//! whether nginx has loaded it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{Gid, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid};

/// Largest included file: one of 10,000 servers has less than 1 MiB.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A file's text and when it was written.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) text: String,
    pub(crate) written: SystemTime,
}

/// The included file and its two companions, whose names no `include *.conf` matches.
#[derive(Debug, Clone)]
pub(crate) struct Include {
    pub(crate) path: PathBuf,
    aside: PathBuf,
    new: PathBuf,
}

impl Include {
    pub(crate) fn new(path: PathBuf) -> Self {
        let beside = |what: &str| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.with_file_name(format!(".{name}.liftlock-{what}"))
        };
        Self {
            aside: beside("old"),
            new: beside("new"),
            path,
        }
    }

    /// The file as it lies there.
    pub(crate) fn read(&self) -> io::Result<Read> {
        read(&self.path)
    }

    /// The one that was put aside, where a change was cut short.
    pub(crate) fn read_aside(&self) -> io::Result<Option<Read>> {
        match read(&self.aside) {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts the old file aside, the text in its place. When this fails, the old file lies where it lay.
    pub(crate) fn put(&self, text: &str) -> io::Result<()> {
        let old = fs::symlink_metadata(&self.path)?;
        if !old.is_file() || old.nlink() > 1 {
            return Err(io::Error::other(
                "it is no regular file of one name, so another may be meant",
            ));
        }
        remove(&self.new)?;
        let mut new = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.new)?;
        new.write_all(text.as_bytes())?;
        rustix::fs::fchown(
            &new,
            Some(Uid::from_raw(old.uid())),
            Some(Gid::from_raw(old.gid())),
        )?;
        new.set_permissions(old.permissions())?;
        new.sync_all()?;
        remove(&self.aside)?;
        // Two names for a moment, so that at no time there is no file.
        fs::hard_link(&self.path, &self.aside)?;
        fs::rename(&self.new, &self.path)?;
        // Its time is that of its coming here: a reload before it cannot have loaded it.
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let keep = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        };
        rustix::fs::futimens(
            &new,
            &Timestamps {
                last_access: keep,
                last_modification: now,
            },
        )?;
        self.sync()
    }

    /// Puts the old file back where it lay. Without one aside nothing happens.
    pub(crate) fn put_back(&self) -> io::Result<()> {
        match fs::rename(&self.aside, &self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.sync(),
        }
    }

    /// Removes the companions. Gone already is fine.
    pub(crate) fn tidy(&self) -> io::Result<()> {
        remove(&self.new)?;
        remove(&self.aside)
    }

    fn sync(&self) -> io::Result<()> {
        let parent = self.path.parent().filter(|dir| !dir.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn read(path: &Path) -> io::Result<Read> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if meta.len() > FILE_BYTES_MAX {
        return Err(io::Error::other(format!(
            "it has {} bytes, at most {FILE_BYTES_MAX} are read",
            meta.len()
        )));
    }
    Ok(Read {
        text: io::read_to_string(file)?,
        written: meta.modified()?,
    })
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_old_file_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("up.conf");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let before = fs::metadata(&path).unwrap();
        let include = Include::new(path.clone());
        include.put("new").unwrap();
        let there = include.read().unwrap();
        assert_eq!(there.text, "new");
        assert!(there.written >= before.modified().unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert_eq!(include.read_aside().unwrap().unwrap().text, "old");
        include.put_back().unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!(
            (after.ino(), after.modified().unwrap()),
            (before.ino(), before.modified().unwrap())
        );
        assert!(include.read_aside().unwrap().is_none());
        include.put_back().unwrap();
        include.put("new").unwrap();
        include.tidy().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_and_a_file_of_two_names_are_refused_and_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("up.conf");
        fs::write(&path, "old").unwrap();
        let link = dir.path().join("link.conf");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Include::new(link.clone()).put("new").is_err());
        fs::remove_file(&link).unwrap();
        fs::hard_link(&path, &link).unwrap();
        assert!(Include::new(path.clone()).put("new").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
