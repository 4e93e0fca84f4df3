//! The supervisor's files: what was launched, which process it is, and how it ended.
//!
//! `processes/BINDING/TOKEN/` holds one launch. Each file is written whole, synced and renamed, so what can be read
//! is complete.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use liftlock_types::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::process::{self, Process};

/// Ended launches that are kept for people; older ones go when a new one comes. Each is bounded by its output.
const ENDED_KEPT: usize = 20;

/// Longest name of a directory that is a token as it is.
const NAME_BYTES_MAX: usize = 200;

/// What is launched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Kind {
    Service,
    Task { name: String },
}

impl Kind {
    /// While one lives no second one of the same lock begins.
    fn lock_name(&self) -> String {
        match self {
            Self::Service => "service.lock".into(),
            Self::Task { name } => format!("task-{name}.lock"),
        }
    }
}

/// A user to run as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: Option<PathBuf>,
    pub(crate) name: Option<String>,
}

/// All that a supervisor needs, but no secret: those come in its environment, here are their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) token: String,
    pub(crate) kind: Kind,
    pub(crate) argv: Vec<String>,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) user: Option<User>,
    /// None: a service, which lives as long as it likes.
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) grace_ms: u64,
    pub(crate) redact: Vec<String>,
    pub(crate) redact_keys: Vec<String>,
    pub(crate) secret_variables: Vec<String>,
    /// Size of the service's own log when it was launched: what is behind it is new.
    pub(crate) log_from: u64,
    pub(crate) launched_at_ms: u64,
}

/// A process of a launch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) process: Process,
    pub(crate) boot_id: String,
}

impl Started {
    fn lives(&self) -> bool {
        process::boot_id().is_ok_and(|boot_id| boot_id == self.boot_id) && self.process.lives()
    }
}

/// How a launch ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub(crate) enum Ended {
    /// The process ended by itself.
    Exited { code: i32 },
    /// By a signal.
    Killed { signal: i32 },
    /// It took longer than it may and was ended.
    TimedOut,
    /// No process was made.
    NotStarted { why: String },
}

/// The launches of one binding.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    path: PathBuf,
}

/// One launch.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) dir: PathBuf,
}

impl Home {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)?;
        // One name for one place: processes carry it.
        let path = std::fs::canonicalize(path)?;
        Ok(Self { path })
    }

    pub(crate) fn launch(&self, token: &str) -> Launch {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let name = if !token.is_empty()
            && token.len() <= NAME_BYTES_MAX
            && !token.starts_with('.')
            && !token.ends_with(".lock")
            && token.bytes().all(good)
        {
            token.to_owned()
        } else {
            Digest::of(token.as_bytes()).hex().to_owned()
        };
        Launch {
            dir: self.path.join(name),
        }
    }

    /// Writes down that an attempt kills, before it does: whoever looks later, in whatever process, can say so.
    pub(crate) fn set_killing(&self, token: &str) -> io::Result<()> {
        File::create(self.killing(token))?.sync_all()?;
        File::open(&self.path)?.sync_all()
    }

    /// Did this attempt kill?
    pub(crate) fn has_killed(&self, token: &str) -> io::Result<bool> {
        self.killing(token).try_exists()
    }

    /// Forgets it, once it stands in an outcome.
    pub(crate) fn forget_killing(&self, token: &str) -> io::Result<()> {
        match std::fs::remove_file(self.killing(token)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn killing(&self, token: &str) -> PathBuf {
        self.launch(token).dir.with_added_extension("killed")
    }

    /// All launches with their spec, newest first.
    pub(crate) fn launches(&self) -> io::Result<Vec<(Launch, Spec)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                let launch = Launch { dir: entry.path() };
                if let Some(spec) = launch.spec()? {
                    found.push((launch, spec));
                }
            }
        }
        found.sort_by_key(|(_, spec)| std::cmp::Reverse(spec.launched_at_ms));
        Ok(found)
    }

    /// Makes room: old launches of which nothing lives.
    pub(crate) fn prune(&self) -> io::Result<()> {
        for (launch, _) in self.launches()?.into_iter().skip(ENDED_KEPT) {
            if launch.ended()?.is_some() && !launch.lives()? {
                std::fs::remove_dir_all(&launch.dir)?;
            }
        }
        Ok(())
    }
}

impl Launch {
    /// Makes the directory with its spec. Fails where there is one: an attempt is launched once.
    pub(crate) fn create(&self, spec: &Spec) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(&self.dir)?;
        self.write("spec.json", spec)?;
        match self.dir.parent() {
            Some(home) => File::open(home)?.sync_all(),
            None => Ok(()),
        }
    }

    pub(crate) fn spec_path(&self) -> PathBuf {
        self.dir.join("spec.json")
    }

    /// None: nothing was launched.
    pub(crate) fn spec(&self) -> io::Result<Option<Spec>> {
        self.read("spec.json")
    }

    pub(crate) fn supervisor(&self) -> io::Result<Option<Started>> {
        self.read("supervisor.json")
    }

    pub(crate) fn set_supervisor(&self, started: &Started) -> io::Result<()> {
        self.write("supervisor.json", started)
    }

    pub(crate) fn child(&self) -> io::Result<Option<Started>> {
        self.read("child.json")
    }

    pub(crate) fn set_child(&self, started: &Started) -> io::Result<()> {
        self.write("child.json", started)
    }

    pub(crate) fn ended(&self) -> io::Result<Option<Ended>> {
        self.read("ended.json")
    }

    pub(crate) fn set_ended(&self, ended: &Ended) -> io::Result<()> {
        self.write("ended.json", ended)
    }

    pub(crate) fn supervisor_lives(&self) -> io::Result<bool> {
        Ok(self.supervisor()?.is_some_and(|started| started.lives()))
    }

    /// The process that was launched, while it lives.
    pub(crate) fn living_child(&self) -> io::Result<Option<Process>> {
        Ok(self
            .child()?
            .filter(Started::lives)
            .map(|started| started.process))
    }

    /// Its process lives, or the supervisor is not through with it.
    pub(crate) fn lives(&self) -> io::Result<bool> {
        Ok(self.living_child()?.is_some()
            || (self.ended()?.is_none() && self.supervisor_lives()?))
    }

    /// Holds the lock of the kind until the file is closed; none: another process holds it.
    pub(crate) fn lock(&self, kind: &Kind) -> io::Result<Option<File>> {
        let home = self.dir.parent().unwrap_or(&self.dir);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(home.join(kind.lock_name()))?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn stdout(&self) -> PathBuf {
        self.dir.join("stdout.log")
    }

    pub(crate) fn stderr(&self) -> PathBuf {
        self.dir.join("stderr.log")
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        match std::fs::read(self.dir.join(name)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let temporary = self.dir.join(format!(".{name}.{}", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        file.sync_all()?;
        std::fs::rename(&temporary, self.dir.join(name))?;
        File::open(&self.dir)?.sync_all()
    }
}

/// The user file of this machine, or `uid:gid`.
pub(crate) fn user_of(text: &str, passwd: &Path) -> Option<User> {
    if let Some((uid, gid)) = text.split_once(':') {
        return Some(User {
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            home: None,
            name: None,
        });
    }
    std::fs::read_to_string(passwd)
        .ok()?
        .lines()
        .find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields.as_slice() {
                [name, _, uid, gid, _, home, ..] if *name == text => Some(User {
                    uid: uid.parse().ok()?,
                    gid: gid.parse().ok()?,
                    home: Some(PathBuf::from(home)),
                    name: Some((*name).to_owned()),
                }),
                _ => None,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(token: &str, at: u64) -> Spec {
        Spec {
            token: token.into(),
            kind: Kind::Service,
            argv: vec!["x".into()],
            directory: None,
            user: None,
            timeout_ms: None,
            grace_ms: 0,
            redact: vec![],
            redact_keys: vec![],
            secret_variables: vec![],
            log_from: 0,
            launched_at_ms: at,
        }
    }

    #[test]
    fn an_attempt_is_launched_once() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::open(temp.path().join("b")).unwrap();
        let launch = home.launch("t");
        launch.create(&spec("t", 1)).unwrap();
        assert!(launch.create(&spec("t", 2)).is_err());
        assert_eq!(launch.spec().unwrap(), Some(spec("t", 1)));
        assert_eq!(home.launch("u").spec().unwrap(), None);
    }

    #[test]
    fn no_token_names_a_place_elsewhere() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::open(temp.path().join("b")).unwrap();
        for token in ["..", "a/b", "", ".x", "service.lock", &"x".repeat(300)] {
            let dir = home.launch(token).dir;
            assert_eq!(dir.parent().unwrap(), temp.path().join("b"), "{token}");
            assert_eq!(dir.file_name().unwrap().len(), 64, "{token}");
        }
    }

    #[test]
    fn only_old_launches_of_which_nothing_lives_are_removed() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::open(temp.path().join("b")).unwrap();
        for n in 0..ENDED_KEPT as u64 + 3 {
            let launch = home.launch(&format!("t{n}"));
            launch.create(&spec("t", n)).unwrap();
            if n != 1 {
                launch.set_ended(&Ended::Exited { code: 0 }).unwrap();
            }
        }
        home.prune().unwrap();
        let left: Vec<u64> = home
            .launches()
            .unwrap()
            .iter()
            .map(|(_, spec)| spec.launched_at_ms)
            .collect();
        assert_eq!(left.len(), ENDED_KEPT + 1);
        assert!(left.contains(&1) && !left.contains(&0) && !left.contains(&2));
    }

    #[test]
    fn one_holder_has_the_lock() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::open(temp.path().join("b")).unwrap();
        let held = home.launch("t").lock(&Kind::Service).unwrap();
        assert!(held.is_some());
        assert!(home.launch("u").lock(&Kind::Service).unwrap().is_none());
        let task = Kind::Task { name: "x".into() };
        assert!(home.launch("u").lock(&task).unwrap().is_some());
        drop(held);
        assert!(home.launch("u").lock(&Kind::Service).unwrap().is_some());
    }

    #[test]
    fn a_user_is_a_name_of_the_user_file_or_two_numbers() {
        let temp = tempfile::tempdir().unwrap();
        let passwd = temp.path().join("passwd");
        std::fs::write(
            &passwd,
            "root:x:0:0::/root:/bin/sh\nopt:x:1001:1002:O:/opt/o:/bin/sh\n",
        )
        .unwrap();
        let user = user_of("opt", &passwd).unwrap();
        assert_eq!((user.uid, user.gid), (1001, 1002));
        assert_eq!(user.home.unwrap(), Path::new("/opt/o"));
        let user = user_of("7:8", &passwd).unwrap();
        assert_eq!((user.uid, user.gid), (7, 8));
        assert!(user_of("nobody-here", &passwd).is_none());
        assert!(user_of("7:x", &passwd).is_none());
    }
}
