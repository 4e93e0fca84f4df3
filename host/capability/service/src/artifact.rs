//! Which of several installed versions a service runs: a symbolic link to one directory beneath one other.
//!
//! A switch makes a new link beside the old one and renames it over it, so that a reader finds the old or the new
//! directory and never none. The old directory stays: it is the way back.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use liftlock_types::facts::service::Artifact;
use liftlock_types::{Digest, FileName, ReadError};

/// Most directories that are told apart; a machine keeps a handful of versions.
pub(crate) const VERSIONS_MAX: usize = 1_000;

/// Between the link's own name and the attempt's in the name of a link that is not yet in its place.
const BESIDE: &str = ".liftlock-";

/// Why a link cannot be read or moved.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It is not what the operator said it is.
    Wrong(String),
    /// The file system said no. Nothing was changed.
    Io(String, io::Error),
    /// The link is in its place, and it is not sure that it stays there over a crash of the machine.
    Unsynced(io::Error),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wrong(why) => f.write_str(why),
            Self::Io(what, error) => write!(f, "{what}: {error}"),
            Self::Unsynced(error) => write!(f, "its directory cannot be synced: {error}"),
        }
    }
}

impl From<Trouble> for ReadError {
    fn from(trouble: Trouble) -> Self {
        match &trouble {
            Trouble::Wrong(_) => Self::Invalid(trouble.to_string()),
            Trouble::Io(..) | Trouble::Unsynced(_) => Self::Unavailable(trouble.to_string()),
        }
    }
}

/// The link of one service.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// The link itself.
    pub(crate) link: PathBuf,
    /// The directory of all that it may name.
    pub(crate) versions: PathBuf,
}

impl Link {
    /// What it names and what it could name.
    pub(crate) fn read(&self) -> Result<Artifact, Trouble> {
        Ok(Artifact {
            current: self.current()?.map(|name| name.to_string()),
            available: self.available()?,
        })
    }

    /// The directory that the link names; none: there is no link.
    pub(crate) fn current(&self) -> Result<Option<FileName>, Trouble> {
        let shown = self.link.display();
        match fs::symlink_metadata(&self.link) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Trouble::Io(format!("`{shown}` cannot be looked at"), error)),
            Ok(meta) if !meta.is_symlink() => {
                return Err(Trouble::Wrong(format!(
                    "`{shown}` is no symbolic link: what it is cannot be switched"
                )));
            }
            Ok(_) => {}
        }
        let target = fs::read_link(&self.link)
            .map_err(|error| Trouble::Io(format!("`{shown}` cannot be read"), error))?;
        let outside = || {
            Trouble::Wrong(format!(
                "`{shown}` points to `{}`, which is no directory right beneath `{}`",
                target.display(),
                self.versions.display()
            ))
        };
        let name = target.file_name().ok_or_else(outside)?;
        let parent = self.beside().join(target.parent().ok_or_else(outside)?);
        if fs::canonicalize(parent).ok() != Some(self.all()?) {
            return Err(outside());
        }
        let name = file_name(name).ok_or_else(outside)?;
        self.check_there(&name)?;
        Ok(Some(name))
    }

    /// Directories, no links to some, in order; hidden ones are nobody's versions.
    fn available(&self) -> Result<Vec<String>, Trouble> {
        let unread = |error| {
            Trouble::Io(
                format!("`{}` cannot be read", self.versions.display()),
                error,
            )
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.versions).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            if !entry.file_type().map_err(unread)?.is_dir() {
                continue;
            }
            match file_name(&entry.file_name()) {
                Some(name) if !name.as_str().starts_with('.') => names.push(name.to_string()),
                _ => {}
            }
            if names.len() > VERSIONS_MAX {
                return Err(Trouble::Wrong(format!(
                    "`{}` has more than {VERSIONS_MAX} directories",
                    self.versions.display()
                )));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Is this directory there to be named?
    pub(crate) fn check_there(&self, name: &FileName) -> Result<(), Trouble> {
        let path = self.versions.join(name.as_str());
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => Ok(()),
            Ok(_) => Err(Trouble::Wrong(format!(
                "`{}` is no directory",
                path.display()
            ))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Trouble::Wrong(format!("`{}` is not there", path.display())))
            }
            Err(error) => Err(Trouble::Io(
                format!("`{}` cannot be looked at", path.display()),
                error,
            )),
        }
    }

    /// Lets the link name `to`, while it names `from`. Safe to repeat with the same token.
    pub(crate) fn switch(
        &self,
        from: &FileName,
        to: &FileName,
        token: &str,
    ) -> Result<(), Trouble> {
        self.check_there(to)?;
        match self.current()? {
            Some(now) if now == *from => {}
            now => {
                let now = now.map_or_else(|| "nothing".to_owned(), |name| format!("`{name}`"));
                return Err(Trouble::Wrong(format!(
                    "`{}` names {now} by now, and not `{from}`",
                    self.link.display()
                )));
            }
        }
        // As its owner wrote it: whole or relative, through whatever links lead there.
        let target = fs::read_link(&self.link)
            .map_err(|error| Trouble::Io("the link cannot be read".into(), error))?
            .with_file_name(to.as_str());
        self.tidy()?;
        let new = self.beside().join(self.name_beside(token));
        let failed = |what: &str| {
            let what = format!("{what} `{}`", new.display());
            move |error| Trouble::Io(what, error)
        };
        symlink(&target, &new).map_err(failed("cannot make"))?;
        fs::rename(&new, &self.link).map_err(failed("cannot put into its place"))?;
        File::open(self.beside())
            .and_then(|dir| dir.sync_all())
            .map_err(Trouble::Unsynced)
    }

    /// Removes links that an attempt made beside and could not put into their place.
    pub(crate) fn tidy(&self) -> Result<(), Trouble> {
        let unread = |error| {
            Trouble::Io(
                format!("`{}` cannot be read", self.beside().display()),
                error,
            )
        };
        let prefix = self.name_beside("");
        let prefix = &prefix.as_encoded_bytes()[..prefix.len() - HASH_CHARS];
        for entry in fs::read_dir(self.beside()).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let is_ours = entry.file_name().as_encoded_bytes().starts_with(prefix)
                && entry.file_type().map_err(unread)?.is_symlink();
            if is_ours {
                fs::remove_file(entry.path()).map_err(|error| {
                    Trouble::Io(format!("cannot remove `{}`", entry.path().display()), error)
                })?;
            }
        }
        Ok(())
    }

    fn name_beside(&self, token: &str) -> OsString {
        let mut name = OsString::from(".");
        name.push(self.link.file_name().unwrap_or_default());
        name.push(BESIDE);
        name.push(&Digest::of(token.as_bytes()).hex()[..HASH_CHARS]);
        name
    }

    fn beside(&self) -> PathBuf {
        match self.link.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
            _ => Path::new(".").to_owned(),
        }
    }

    fn all(&self) -> Result<PathBuf, Trouble> {
        fs::canonicalize(&self.versions).map_err(|error| {
            Trouble::Io(
                format!("`{}` cannot be looked at", self.versions.display()),
                error,
            )
        })
    }
}

/// Characters of an attempt's hash in the name of its link: enough that two attempts have two.
const HASH_CHARS: usize = 16;

fn file_name(name: &OsStr) -> Option<FileName> {
    FileName::new(name.to_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        temp: tempfile::TempDir,
        link: Link,
    }

    /// Two versions beside a link to the first.
    fn place(target: impl AsRef<Path>) -> Place {
        let temp = tempfile::tempdir().unwrap();
        let versions = temp.path().join("camunda");
        for name in ["7.22.0", "7.23.0", ".half"] {
            fs::create_dir_all(versions.join(name)).unwrap();
        }
        fs::write(versions.join("readme"), "x").unwrap();
        fs::create_dir(temp.path().join("n1")).unwrap();
        let link = temp.path().join("n1/current");
        symlink(target, &link).unwrap();
        Place {
            link: Link { link, versions },
            temp,
        }
    }

    fn name(text: &str) -> FileName {
        FileName::new(text).unwrap()
    }

    fn wrong(result: Result<impl std::fmt::Debug, Trouble>, part: &str) {
        match result {
            Err(Trouble::Wrong(why)) => assert!(why.contains(part), "{why}"),
            other => panic!("{part}: {other:?}"),
        }
    }

    #[test]
    fn a_switch_changes_the_name_and_nothing_else_of_the_link() {
        let place = place("../camunda/7.22.0");
        let found = place.link.read().unwrap();
        assert_eq!(found.current.as_deref(), Some("7.22.0"));
        assert_eq!(found.available, ["7.22.0", "7.23.0"]);
        place
            .link
            .switch(&name("7.22.0"), &name("7.23.0"), "t")
            .unwrap();
        assert_eq!(
            fs::read_link(&place.link.link).unwrap(),
            Path::new("../camunda/7.23.0")
        );
        assert!(place.link.versions.join("7.22.0").is_dir());
        // And a whole path stays one.
        fs::remove_file(&place.link.link).unwrap();
        symlink(place.link.versions.join("7.22.0"), &place.link.link).unwrap();
        place
            .link
            .switch(&name("7.22.0"), &name("7.23.0"), "t")
            .unwrap();
        assert!(fs::read_link(&place.link.link).unwrap().is_absolute());
        assert_eq!(place.link.current().unwrap(), Some(name("7.23.0")));
    }

    #[test]
    fn what_a_crash_left_beside_goes_with_the_next_attempt() {
        let place = place("../camunda/7.22.0");
        let dir = place.temp.path().join("n1");
        // As it is between the new link and its rename, of this attempt and of an earlier one.
        for token in ["t", "other"] {
            symlink("../camunda/7.23.0", dir.join(place.link.name_beside(token))).unwrap();
        }
        fs::write(dir.join(".current.liftlock-notes"), "a person's own").unwrap();
        assert_eq!(place.link.current().unwrap(), Some(name("7.22.0")));
        place
            .link
            .switch(&name("7.22.0"), &name("7.23.0"), "t")
            .unwrap();
        let mut left: Vec<_> = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [".current.liftlock-notes", "current"]);
    }

    #[test]
    fn a_link_that_is_not_what_the_operator_said_is_refused() {
        let gone = place("../camunda/7.21.0");
        wrong(gone.link.read(), "is not there");
        wrong(gone.link.current(), "7.21.0");
        for outside in [
            "../other/7.22.0",
            "../camunda/7.22.0/..",
            "/",
            "..",
            "7.22.0",
        ] {
            let place = place(outside);
            wrong(place.link.current(), "right beneath");
        }
        let file = place("../camunda/readme");
        wrong(file.link.current(), "no directory");
        let none = place("x");
        fs::remove_file(&none.link.link).unwrap();
        assert_eq!(none.link.current().unwrap(), None);
        wrong(
            none.link.switch(&name("7.22.0"), &name("7.23.0"), "t"),
            "names nothing",
        );
        fs::create_dir(&none.link.link).unwrap();
        wrong(none.link.read(), "no symbolic link");
    }

    #[test]
    fn a_switch_goes_only_to_what_is_there_and_from_what_was_seen() {
        let place = place("../camunda/7.22.0");
        let switch = |from: &str, to: &str| place.link.switch(&name(from), &name(to), "t");
        wrong(switch("7.22.0", "7.24.0"), "is not there");
        wrong(switch("7.22.0", "readme"), "no directory");
        wrong(switch("7.21.0", "7.23.0"), "by now");
        symlink("7.23.0", place.link.versions.join("latest")).unwrap();
        wrong(switch("7.22.0", "latest"), "no directory");
        assert_eq!(place.link.current().unwrap(), Some(name("7.22.0")));
    }

    #[test]
    fn no_list_of_versions_is_cut() {
        let place = place("../camunda/7.22.0");
        for n in 0..VERSIONS_MAX {
            fs::create_dir(place.link.versions.join(format!("v{n}"))).unwrap();
        }
        wrong(place.link.read(), "more than 1000");
    }
}
