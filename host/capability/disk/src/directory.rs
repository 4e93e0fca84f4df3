//! The capability itself.
//!
//! | module | what |
//! |---|---|
//! | `look` | reads and conditions |
//! | `before` | what a change rests on, and what is there before it |
//! | `source` | where a copy comes from |
//! | `act` | the changes themselves |
//! | `after` | what became of a change, and what takes it back |

mod act;
mod after;
mod before;
mod look;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use liftlock_types::{
    Acted, Attempt, Binding, Capability, Change, Digest, Evaluated, Facts, FileName, Hunk,
    KEPT_BINDING, Observed, Planned, Predicate, Probed, Read, ReadError, TargetIdentity,
};
use serde_json::{Value, json};

use crate::config::{DiskConfig, DiskError};
use crate::hunks;
use crate::kept::Kept;
use crate::redact::Redactor;
use crate::root::{Place, Root};
use crate::write;

/// Longest read: hashing [`crate::COPY_BYTES_MAX`] takes seconds, a disk that needs longer is not well. A dump of a
/// database that cannot be hashed within it is `unavailable`, with the reason.
const READ_DEADLINE: Duration = Duration::from_secs(60);

/// Longest change: reading, writing and syncing [`crate::COPY_BYTES_MAX`].
pub(crate) const ACT_DEADLINE: Duration = Duration::from_secs(120);

/// One directory of the site.
#[derive(Clone)]
pub struct Directory {
    inner: Arc<Inner>,
}

struct Inner {
    binding: Binding,
    root: Root,
    kept: Kept,
    redactor: Redactor,
    read_only: bool,
    siblings: OnceLock<BTreeMap<Binding, Weak<Inner>>>,
    /// Tokens of changes that a thread of this process works on, also after their deadline.
    working: Mutex<BTreeSet<String>>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory")
            .field("binding", &self.inner.binding)
            .field("path", &self.inner.root.path())
            .finish_non_exhaustive()
    }
}

impl Directory {
    /// Opens the directory; `kept_dir` is `kept/` of the state directory and is made where it lacks.
    pub fn open(binding: Binding, config: &DiskConfig, kept_dir: &Path) -> Result<Self, DiskError> {
        if binding.as_str() == KEPT_BINDING {
            return Err(DiskError::Reserved(binding.to_string()));
        }
        let root = Root::open(&config.path).map_err(|source| DiskError::Directory {
            path: config.path.clone(),
            source,
        })?;
        let kept = Kept::open(kept_dir).map_err(|source| DiskError::Kept {
            path: kept_dir.to_owned(),
            source,
        })?;
        let redactor = Redactor::new(&config.redact, &config.redact_keys).map_err(|source| {
            DiskError::Redact {
                binding: binding.to_string(),
                source,
            }
        })?;
        Ok(Self {
            inner: Arc::new(Inner {
                binding,
                root,
                kept,
                redactor,
                read_only: config.read_only,
                siblings: OnceLock::new(),
                working: Mutex::default(),
            }),
        })
    }

    /// Lets a copy take its source from another directory of the site. Once, after all are open; a second call
    /// changes nothing.
    pub fn introduce<'a>(all: impl Iterator<Item = &'a Directory> + Clone) {
        for one in all.clone() {
            let siblings = all
                .clone()
                .map(|other| (other.inner.binding.clone(), Arc::downgrade(&other.inner)))
                .collect();
            let _ = one.inner.siblings.set(siblings);
        }
    }

    async fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, Instant) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let inner = Arc::clone(&self.inner);
        let until = Instant::now() + READ_DEADLINE;
        let task = tokio::task::spawn_blocking(move || work(&inner, until));
        match tokio::time::timeout(READ_DEADLINE, task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Err(ReadError::Unavailable(error.to_string())),
            Err(_) => Err(ReadError::Unavailable(format!(
                "the directory did not answer within {} s",
                READ_DEADLINE.as_secs()
            ))),
        }
    }
}

#[async_trait]
impl Capability for Directory {
    async fn identity(&self) -> Result<TargetIdentity, ReadError> {
        self.reading(|inner, _| {
            Ok(TargetIdentity {
                fingerprint: inner.root.fingerprint()?,
                product: format!("directory {}", inner.root.path().display()),
            })
        })
        .await
    }

    async fn read(&self, read: &Read) -> Result<Value, ReadError> {
        let read = read.clone();
        self.reading(move |inner, until| inner.read(&read, until))
            .await
    }

    async fn evaluate(
        &self,
        predicate: &Predicate,
        _last: Option<&Value>,
    ) -> Result<Evaluated, ReadError> {
        let predicate = predicate.clone();
        self.reading(move |inner, until| inner.evaluate(&predicate, until))
            .await
    }

    async fn facts(&self, change: &Change) -> Result<Facts, ReadError> {
        let change = change.clone();
        self.reading(move |inner, until| inner.facts(&change, until))
            .await
    }

    async fn observe(&self, change: &Change, _attempt: &Attempt) -> Result<Observed, ReadError> {
        let change = change.clone();
        self.reading(move |inner, until| inner.observe(&change, until))
            .await
    }

    async fn act(&self, change: &Change, attempt: &Attempt) -> Acted {
        let inner = Arc::clone(&self.inner);
        let (change, attempt) = (change.clone(), attempt.clone());
        let until = Instant::now() + ACT_DEADLINE;
        inner.set_working(&attempt.token, true);
        let task = tokio::task::spawn_blocking(move || {
            let acted = inner.act(&change, &attempt, until);
            inner.set_working(&attempt.token, false);
            acted
        });
        match tokio::time::timeout(ACT_DEADLINE, task).await {
            Ok(Ok(Ok(answer))) => Acted::Answered(answer),
            Ok(Ok(Err(acted))) => acted,
            Ok(Err(error)) => Acted::Unanswered(error.to_string()),
            Err(_) => Acted::Unanswered(format!(
                "the directory did not answer within {} s",
                ACT_DEADLINE.as_secs()
            )),
        }
    }

    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError> {
        let (change, attempt) = (change.clone(), attempt.clone());
        self.reading(move |inner, until| inner.probe(&change, &attempt, until))
            .await
    }

    async fn in_flight(&self, _change: &Change, attempt: &Attempt) -> Result<bool, ReadError> {
        // A process that died took its calls with it: a rename is done or it is not.
        Ok(self.inner.is_working(&attempt.token))
    }

    async fn clean_up(&self, change: &Change, attempt: &Attempt) -> Result<Vec<String>, ReadError> {
        let (change, attempt) = (change.clone(), attempt.clone());
        self.reading(move |inner, _| Ok(inner.clean_up(&change, &attempt)))
            .await
    }

    fn automatic_undo(&self, change: &Change, attempt: &Attempt) -> Option<Vec<Planned>> {
        self.inner.automatic_undo(change, attempt)
    }

    async fn borrowed_now(&self, key: &str) -> Result<Value, ReadError> {
        Err(ReadError::Absent(format!(
            "`{key}`: nothing of a directory is borrowed"
        )))
    }
}

impl Inner {
    fn set_working(&self, token: &str, works: bool) {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        if works {
            working.insert(token.to_owned());
        } else {
            working.remove(token);
        }
    }

    fn is_working(&self, token: &str) -> bool {
        self.working
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(token)
    }

    fn may_change(&self, change: &Change) -> Result<(), ReadError> {
        if self.read_only && !matches!(change, Change::KeepFile { .. }) {
            return Err(ReadError::Denied {
                rule: format!("`{}` is read-only", self.binding),
                allowed_by: format!("read-only = false for `{}` in site.toml", self.binding),
            });
        }
        Ok(())
    }

    fn place_of(&self, change: &Change) -> Result<Place, ReadError> {
        match change {
            Change::CopyFile { dir, as_name, .. } => self.root.place(dir, as_name),
            Change::KeepFile { dir, name }
            | Change::WriteFile { dir, name, .. }
            | Change::EditFile { dir, name, .. }
            | Change::RemoveFile { dir, name, .. } => self.root.place(dir, name),
            _ => Err(not_ours(change)),
        }
    }

    /// Copies what is about to go; answers with what an undo needs, and with no byte of the file.
    fn keep(&self, place: &Place, sha256: &str, until: Instant) -> Result<Value, ReadError> {
        let target = place
            .target()?
            .ok_or_else(|| ReadError::NotFound(format!("`{}`", place.shown)))?;
        let label = self
            .kept
            .keep(target, self.root.path(), &place.shown, until)?;
        if label.sha256 != sha256 {
            return Err(ReadError::Unavailable(format!(
                "`{}` changed while it was kept",
                place.shown
            )));
        }
        let mut kept = self.kept_evidence(&place.shown, sha256);
        if let Some(kept) = kept.as_object_mut() {
            kept.insert("bytes".into(), label.bytes.into());
        }
        Ok(kept)
    }

    fn kept_evidence(&self, shown: &str, sha256: &str) -> Value {
        json!({
            "file": shown,
            "sha256": sha256,
            "kept": self.kept.path_of(sha256).display().to_string(),
        })
    }

    /// What an edit makes of the file, from the file itself, its kept copy, or backwards from what is there now.
    fn edited(
        &self,
        place: &Place,
        sha256: &str,
        hunks: &[Hunk],
    ) -> Result<Option<Edited>, ReadError> {
        let now = match place.target()? {
            Some(mut target) => Some(target.bytes(&place.shown)?),
            None => None,
        };
        let kept = match self.kept.opened(sha256) {
            Ok(mut kept) => Some(kept.bytes("kept copy")?),
            Err(ReadError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
        let old = [&now, &kept]
            .into_iter()
            .flatten()
            .find(|(_, hash)| hash == sha256);
        if let Some(old) = old.and_then(|(bytes, _)| text(bytes)) {
            let new = match hunks::apply(&old, hunks) {
                Ok(new) => new,
                Err(error) => {
                    return Err(ReadError::Invalid(format!("`{}`: {error}", place.shown)));
                }
            };
            return Ok(Some(Edited {
                reversible: hunks::apply(&new, &hunks::reverse(hunks)).as_ref() == Ok(&old),
                hash: Digest::of(new.as_bytes()).hex().to_owned(),
            }));
        }
        Ok(now.and_then(|(bytes, hash)| {
            let before = hunks::apply(&text(&bytes)?, &hunks::reverse(hunks)).ok()?;
            (Digest::of(before.as_bytes()).hex() == sha256).then_some(Edited {
                hash,
                reversible: true,
            })
        }))
    }
}

struct Edited {
    hash: String,
    /// The reversed hunks take it back exactly.
    reversible: bool,
}

fn fact(shown: &str) -> String {
    format!("file/{shown}/sha256")
}

fn texts(dir: &[FileName]) -> Vec<String> {
    dir.iter().map(ToString::to_string).collect()
}

fn temporary_name(attempt: &Attempt) -> String {
    write::temporary_name(attempt.run.as_str(), attempt.step.as_str())
}

fn not_ours(change: &Change) -> ReadError {
    ReadError::Invalid(format!("`{}` is no change of a directory", change.verb()))
}
