//! The capability itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use liftlock_types::facts::disk::{Bytes, Content};
use liftlock_types::{
    Acted, Attempt, Binding, Capability, Change, Digest, Evaluated, Facts, FileName, Hunk,
    KEPT_BINDING, Observed, Planned, Predicate, Probed, Read, ReadError, TargetIdentity, path_of,
};
use serde_json::{Value, json};

use crate::config::{DiskConfig, DiskError};
use crate::hunks;
use crate::kept::Kept;
use crate::redact::Redactor;
use crate::root::{BYTES_UNBOUNDED, COPY_BYTES_MAX, Opened, Place, READ_BYTES_MAX, Root};
use crate::write::{self, Done, Looks, Temporary, changed, not_done};

/// Longest read: hashing [`crate::COPY_BYTES_MAX`] takes seconds, a disk that needs longer is not well. A dump of a
/// database that cannot be hashed within it is `unavailable`, with the reason.
const READ_DEADLINE: Duration = Duration::from_secs(60);

/// Longest change: reading, writing and syncing [`crate::COPY_BYTES_MAX`].
pub(crate) const ACT_DEADLINE: Duration = Duration::from_secs(120);

/// Mode of a file that a plan writes: its text stands in the plan, so it is no secret.
const WRITTEN_MODE: u32 = 0o644;

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

    fn read(&self, read: &Read, until: Instant) -> Result<Value, ReadError> {
        let json = |value: serde_json::Result<Value>| {
            value.map_err(|error| ReadError::Invalid(error.to_string()))
        };
        match read {
            Read::Entries { dir } => json(serde_json::to_value(self.root.entries(dir)?)),
            Read::FileRead {
                dir,
                name,
                offset,
                length,
            } => {
                if *length > READ_BYTES_MAX {
                    return Err(ReadError::Invalid(format!(
                        "{length} bytes asked, at most {READ_BYTES_MAX} a read"
                    )));
                }
                let shown = path_of(dir, name);
                let (bytes, _) = self.root.file(dir, name)?.bytes(&shown)?;
                // The whole text first: a part could begin in the middle of a secret.
                let text = self.redactor.redact(&String::from_utf8_lossy(&bytes));
                json(serde_json::to_value(Content {
                    text: part(&text, *offset, *length).to_owned(),
                }))
            }
            Read::FileBytes {
                dir,
                name,
                offset,
                length,
            } => {
                if *length > READ_BYTES_MAX {
                    return Err(ReadError::Invalid(format!(
                        "{length} bytes asked, at most {READ_BYTES_MAX} a read"
                    )));
                }
                let opened = self.root.file(dir, name)?;
                let part = opened.part(&path_of(dir, name), *offset, *length)?;
                json(serde_json::to_value(Bytes::of(&part)))
            }
            Read::FileSha256 { dir, name } => {
                match self.root.sha256(dir, name, BYTES_UNBOUNDED, until)? {
                    Some(sha256) => Ok(sha256.into()),
                    None => Err(ReadError::NotFound(format!("`{}`", path_of(dir, name)))),
                }
            }
            Read::Space { dir } => json(serde_json::to_value(self.root.space(dir)?)),
            _ => Err(ReadError::Invalid(format!(
                "`{}` is no read of a directory",
                read.verb()
            ))),
        }
    }

    fn evaluate(&self, predicate: &Predicate, until: Instant) -> Result<Evaluated, ReadError> {
        match predicate {
            Predicate::FileHas { dir, name, sha256 } => {
                let found = self.root.sha256(dir, name, BYTES_UNBOUNDED, until)?;
                let shown = path_of(dir, name);
                Ok(Evaluated {
                    holds: found.as_ref() == Some(sha256),
                    why: match &found {
                        None => format!("`{shown}` is not there"),
                        Some(found) => {
                            format!("`{shown}` has hash {found}, {sha256} is waited for")
                        }
                    },
                    seen: json!({ "sha256": found }),
                })
            }
            Predicate::FreeAtLeast { dir, bytes } => {
                let space = self.root.space(dir)?;
                Ok(Evaluated {
                    holds: space.free_bytes >= *bytes,
                    why: format!(
                        "{} bytes are free at `{}`, {bytes} are needed",
                        space.free_bytes,
                        self.root.path().display()
                    ),
                    seen: json!({ "free_bytes": space.free_bytes }),
                })
            }
            _ => Err(ReadError::Invalid(
                "not a condition of a directory".to_owned(),
            )),
        }
    }

    fn facts(&self, change: &Change, until: Instant) -> Result<Facts, ReadError> {
        self.may_change(change)?;
        match change {
            Change::KeepFile { dir, name } => {
                let dir = texts(dir);
                let sha256 = self
                    .root
                    .sha256(&dir, name.as_str(), COPY_BYTES_MAX, until)?;
                let shown = path_of(&dir, name.as_str());
                Ok(Facts::from([(fact(&shown), json!(sha256))]))
            }
            Change::CopyFile { .. } => {
                let place = self.place_of(change)?;
                let (key, source) = self.source_fact(change, until)?;
                Ok(Facts::from([
                    (key, json!(source)),
                    (fact(&place.shown), json!(place.sha256(until)?)),
                ]))
            }
            _ => {
                let place = self.place_of(change)?;
                let found = place.sha256(until)?;
                if let Change::EditFile { sha256, hunks, .. } = change
                    && found.as_ref() == Some(sha256)
                {
                    // Hunks that do not fit are refused when they are planned, not at night.
                    self.edited(&place, sha256, hunks)?;
                }
                Ok(Facts::from([(fact(&place.shown), json!(found))]))
            }
        }
    }

    fn observe(&self, change: &Change, until: Instant) -> Result<Observed, ReadError> {
        self.may_change(change)?;
        let seen = |already_true, evidence, kept| {
            Ok(Observed {
                already_true,
                evidence,
                kept,
                borrowed: None,
            })
        };
        match change {
            Change::KeepFile { dir, name } => {
                let dir = texts(dir);
                let shown = path_of(&dir, name.as_str());
                let sha256 = self
                    .root
                    .sha256(&dir, name.as_str(), COPY_BYTES_MAX, until)?
                    .ok_or_else(|| ReadError::NotFound(format!("`{shown}`")))?;
                let holds = self.kept.holds(&sha256, until)?;
                seen(holds, self.kept_evidence(&shown, &sha256), Value::Null)
            }
            Change::CopyFile { .. } => {
                let place = self.place_of(change)?;
                let (_, source) = self.source_fact(change, until)?;
                let found = place.sha256(until)?;
                seen(
                    found.is_some() && found == source,
                    json!({ "file": place.shown, "sha256": found }),
                    Value::Null,
                )
            }
            Change::WriteFile { text, .. } => {
                let place = self.place_of(change)?;
                let found = place.sha256(until)?;
                seen(
                    found.as_deref() == Some(Digest::of(text.as_bytes()).hex()),
                    json!({ "file": place.shown, "sha256": found }),
                    Value::Null,
                )
            }
            Change::EditFile { sha256, hunks, .. } => {
                let place = self.place_of(change)?;
                let found = place.sha256(until)?;
                let new = self.edited(&place, sha256, hunks)?;
                let already = found.is_some() && found == new.as_ref().map(|new| new.hash.clone());
                let mut kept = Value::Null;
                if found.as_deref() == Some(sha256.as_str()) && !already {
                    kept = self.keep(&place, sha256, until)?;
                    if let (Some(new), Some(kept)) = (new, kept.as_object_mut()) {
                        kept.insert("new_sha256".into(), new.hash.into());
                        kept.insert("reversible".into(), new.reversible.into());
                    }
                }
                seen(
                    already,
                    json!({ "file": place.shown, "sha256": found }),
                    kept,
                )
            }
            Change::RemoveFile { sha256, .. } => {
                let place = self.place_of(change)?;
                let found = place.sha256(until)?;
                let kept = match &found {
                    Some(found) if found == sha256 => self.keep(&place, sha256, until)?,
                    _ => Value::Null,
                };
                seen(
                    found.is_none(),
                    json!({ "file": place.shown, "sha256": found }),
                    kept,
                )
            }
            _ => Err(not_ours(change)),
        }
    }

    fn act(&self, change: &Change, attempt: &Attempt, until: Instant) -> Done {
        self.may_change(change).map_err(not_done)?;
        match change {
            Change::KeepFile { dir, name } => {
                let dir = texts(dir);
                let shown = path_of(&dir, name.as_str());
                let opened = self.root.file(&dir, name.as_str()).map_err(not_done)?;
                let label = self
                    .kept
                    .keep(opened, self.root.path(), &shown, until)
                    .map_err(not_done)?;
                match attempt.facts.get(&fact(&shown)) {
                    Some(Value::String(meant)) if *meant != label.sha256 => {
                        Err(changed(format!("`{shown}` changed while it was kept")))
                    }
                    _ => Ok(self.kept_evidence(&shown, &label.sha256)),
                }
            }
            Change::CopyFile { .. } => self.copy(change, attempt, until),
            Change::WriteFile { text, .. } => {
                let place = self.place_of(change).map_err(not_done)?;
                let sha256 = Digest::of(text.as_bytes()).hex().to_owned();
                let mut temporary = temporary(&place, attempt)?;
                temporary.write(text.as_bytes())?;
                rustix::fs::fchmod(
                    &temporary.file,
                    rustix::fs::Mode::from_raw_mode(WRITTEN_MODE),
                )
                .map_err(|error| write::not_sent(&place, &error.into()))?;
                temporary.sync(&self.kept, &attempt.token, &sha256)?;
                temporary.publish()?;
                Ok(written(&place, &sha256))
            }
            Change::EditFile { sha256, hunks, .. } => {
                let place = self.place_of(change).map_err(not_done)?;
                self.edit(&place, sha256, hunks, attempt, until)
            }
            Change::RemoveFile { sha256, .. } => {
                let place = self.place_of(change).map_err(not_done)?;
                let target = self.meant(&place)?;
                let inode = (target.device, target.inode);
                let label = self
                    .kept
                    .keep(target, self.root.path(), &place.shown, until)
                    .map_err(not_done)?;
                if label.sha256 != *sha256 {
                    return Err(changed(format!("`{}` has another hash", place.shown)));
                }
                write::still(&place, inode, sha256, until)?;
                write::remove(&place)?;
                Ok(json!({ "file": place.shown, "written": true }))
            }
            _ => Err(not_done(not_ours(change))),
        }
    }

    fn copy(&self, change: &Change, attempt: &Attempt, until: Instant) -> Done {
        let place = self.place_of(change).map_err(not_done)?;
        let (key, _) = source_key(&self.binding, change).map_err(not_done)?;
        let (source, looks) = self.source(change, &place).map_err(not_done)?;
        let mut temporary = temporary(&place, attempt)?;
        let (sha256, _) = source
            .stream(&key, until, |part| {
                use std::io::Write as _;
                temporary.file.write_all(part)
            })
            .map_err(not_done)?;
        match attempt.facts.get(&key) {
            Some(Value::String(meant)) if *meant != sha256 => {
                return Err(changed(format!("the source of `{}` changed", place.shown)));
            }
            _ => {}
        }
        temporary.look_like(&looks, None)?;
        temporary.sync(&self.kept, &attempt.token, &sha256)?;
        temporary.publish()?;
        Ok(written(&place, &sha256))
    }

    fn edit(
        &self,
        place: &Place,
        sha256: &str,
        hunks: &[Hunk],
        attempt: &Attempt,
        until: Instant,
    ) -> Done {
        let mut target = self.meant(place)?;
        write::has_one_name(&target, place)?;
        let inode = (target.device, target.inode);
        let looks = Looks {
            mode: target.mode,
            uid: target.uid,
            gid: target.gid,
            owner_is_must: true,
        };
        let (bytes, found) = target.bytes(&place.shown).map_err(not_done)?;
        if found != sha256 {
            return Err(changed(format!("`{}` has another hash", place.shown)));
        }
        let invalid =
            |why: String| not_done(ReadError::Invalid(format!("`{}`: {why}", place.shown)));
        let text = String::from_utf8(bytes)
            .map_err(|_| invalid("it is no UTF-8, and only text is edited".into()))?;
        let new = hunks::apply(&text, hunks).map_err(|error| invalid(error.to_string()))?;
        let new_sha256 = Digest::of(new.as_bytes()).hex().to_owned();
        if !self.kept.holds(sha256, until).map_err(not_done)? {
            self.keep(place, sha256, until).map_err(not_done)?;
        }
        let mut temporary = temporary(place, attempt)?;
        temporary.write(new.as_bytes())?;
        temporary.look_like(&looks, Some(&target.file))?;
        temporary.sync(&self.kept, &attempt.token, &new_sha256)?;
        write::still(place, inode, sha256, until)?;
        temporary.replace()?;
        Ok(written(place, &new_sha256))
    }

    fn probe(
        &self,
        change: &Change,
        attempt: &Attempt,
        until: Instant,
    ) -> Result<Probed, ReadError> {
        if let Change::KeepFile { dir, name } = change {
            let dir = texts(dir);
            let shown = path_of(&dir, name.as_str());
            let meant = match attempt.facts.get(&fact(&shown)) {
                Some(Value::String(meant)) => meant.clone(),
                _ => self
                    .root
                    .sha256(&dir, name.as_str(), COPY_BYTES_MAX, until)?
                    .ok_or_else(|| ReadError::NotFound(format!("`{shown}`")))?,
            };
            let evidence = self.kept_evidence(&shown, &meant);
            return Ok(if self.kept.holds(&meant, until)? {
                Probed::Applied {
                    evidence,
                    ours: true,
                }
            } else {
                Probed::Absent(evidence)
            });
        }
        let place = self.place_of(change)?;
        let target = place.target()?;
        let inode = target.as_ref().map(|target| (target.device, target.inode));
        let found = target
            .map(|target| target.sha256(&place.shown, COPY_BYTES_MAX, until))
            .transpose()?;
        let evidence = json!({ "file": place.shown, "sha256": found });
        // What must be there, and what was there before; none: no file.
        let (new, old) = match change {
            Change::CopyFile { .. } => {
                let (key, _) = source_key(&self.binding, change)?;
                let source = match attempt.facts.get(&key) {
                    Some(Value::String(source)) => Some(source.clone()),
                    _ => self.source_fact(change, until)?.1,
                };
                let Some(source) = source else {
                    return Ok(if found.is_none() {
                        Probed::Absent(evidence)
                    } else {
                        Probed::Indeterminate(evidence)
                    });
                };
                (Some(source), None)
            }
            Change::WriteFile { text, .. } => {
                (Some(Digest::of(text.as_bytes()).hex().to_owned()), None)
            }
            Change::EditFile { sha256, hunks, .. } => {
                let new = match attempt.kept.get("new_sha256").and_then(Value::as_str) {
                    Some(new) => Some(new.to_owned()),
                    None => self.edited(&place, sha256, hunks)?.map(|new| new.hash),
                };
                if new.is_none() && found.as_deref() != Some(sha256.as_str()) {
                    return Ok(Probed::Indeterminate(evidence));
                }
                (new, Some(sha256.clone()))
            }
            Change::RemoveFile { sha256, .. } => (None, Some(sha256.clone())),
            _ => return Err(not_ours(change)),
        };
        Ok(if found == new {
            let answered = attempt
                .answer
                .as_ref()
                .is_some_and(|answer| answer.get("written") == Some(&Value::Bool(true)));
            // After a crash: the inode that we were about to bring under the name is there.
            let marked = self.kept.mark(&attempt.token).is_some_and(|mark| {
                inode == Some((mark.device, mark.inode)) && Some(mark.sha256) == found
            });
            Probed::Applied {
                evidence,
                ours: answered || marked,
            }
        } else if found == old {
            Probed::Absent(evidence)
        } else {
            Probed::Indeterminate(evidence)
        })
    }

    fn clean_up(&self, change: &Change, attempt: &Attempt) -> Vec<String> {
        let mut left = Vec::new();
        if let Err(error) = self.kept.remove_mark(&attempt.token) {
            left.push(format!("a mark in the state directory: {error}"));
        }
        let name = temporary_name(attempt);
        match self.place_of(change) {
            Ok(place) => {
                if let Err(error) = write::remove_temporary(&place, &name) {
                    left.push(format!("`{name}` beside `{}`: {error}", place.shown));
                }
            }
            // Without its directory there is no temporary file either.
            Err(ReadError::NotFound(_)) => {}
            Err(error) => left.push(format!("`{name}`: {error}")),
        }
        left
    }

    fn automatic_undo(&self, change: &Change, attempt: &Attempt) -> Option<Vec<Planned>> {
        let planned = |change| Planned {
            binding: self.binding.clone(),
            change,
            fills: Vec::new(),
        };
        let from_kept = |dir: &[FileName], name: &FileName, sha256: &str| {
            Some(planned(Change::CopyFile {
                from: Binding::new(KEPT_BINDING).ok()?,
                from_dir: Vec::new(),
                name: FileName::new(sha256).ok()?,
                dir: dir.to_vec(),
                as_name: name.clone(),
            }))
        };
        match change {
            // Nothing of the site was changed.
            Change::KeepFile { .. } => Some(Vec::new()),
            Change::WriteFile { dir, name, text } => Some(vec![planned(Change::RemoveFile {
                dir: dir.clone(),
                name: name.clone(),
                sha256: Digest::of(text.as_bytes()).hex().to_owned(),
            })]),
            Change::CopyFile { dir, as_name, .. } => {
                let (key, _) = source_key(&self.binding, change).ok()?;
                let sha256 = attempt.facts.get(&key)?.as_str()?.to_owned();
                Some(vec![planned(Change::RemoveFile {
                    dir: dir.clone(),
                    name: as_name.clone(),
                    sha256,
                })])
            }
            Change::EditFile {
                dir,
                name,
                sha256,
                hunks,
            } => {
                let new = attempt.kept.get("new_sha256")?.as_str()?.to_owned();
                if attempt.kept.get("reversible") == Some(&Value::Bool(true)) {
                    return Some(vec![planned(Change::EditFile {
                        dir: dir.clone(),
                        name: name.clone(),
                        sha256: new,
                        hunks: hunks::reverse(hunks),
                    })]);
                }
                Some(vec![
                    planned(Change::RemoveFile {
                        dir: dir.clone(),
                        name: name.clone(),
                        sha256: new,
                    }),
                    from_kept(dir, name, sha256)?,
                ])
            }
            Change::RemoveFile { dir, name, sha256 } => {
                attempt.kept.get("kept")?;
                Some(vec![from_kept(dir, name, sha256)?])
            }
            _ => None,
        }
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

    /// The file that must be there.
    fn meant(&self, place: &Place) -> Result<Opened, Acted> {
        place
            .target()
            .map_err(not_done)?
            .ok_or_else(|| changed(format!("`{}` is not there", place.shown)))
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

    /// The source's fact: its key and its hash.
    fn source_fact(
        &self,
        change: &Change,
        until: Instant,
    ) -> Result<(String, Option<String>), ReadError> {
        let (key, source) = source_key(&self.binding, change)?;
        let sha256 = match source {
            Source::Kept(sha256) => self.kept.holds(sha256, until)?.then(|| sha256.to_owned()),
            Source::File { from, dir, name } => {
                self.sibling(from)?
                    .root
                    .sha256(&dir, name, COPY_BYTES_MAX, until)?
            }
        };
        Ok((key, sha256))
    }

    fn source(&self, change: &Change, place: &Place) -> Result<(Opened, Looks), ReadError> {
        let (_, source) = source_key(&self.binding, change)?;
        let opened = match source {
            Source::Kept(sha256) => {
                let opened = self.kept.opened(sha256)?;
                if let Some(label) = self.kept.label(self.root.path(), &place.shown, sha256) {
                    let looks = Looks {
                        mode: label.mode,
                        uid: label.uid,
                        gid: label.gid,
                        owner_is_must: false,
                    };
                    return Ok((opened, looks));
                }
                opened
            }
            Source::File { from, dir, name } => self.sibling(from)?.root.file(&dir, name)?,
        };
        let looks = Looks {
            mode: opened.mode,
            uid: opened.uid,
            gid: opened.gid,
            owner_is_must: false,
        };
        Ok((opened, looks))
    }

    fn sibling(&self, binding: &Binding) -> Result<Arc<Inner>, ReadError> {
        self.siblings
            .get()
            .and_then(|siblings| siblings.get(binding))
            .and_then(Weak::upgrade)
            .ok_or_else(|| ReadError::NotFound(format!("no directory is bound to `{binding}`")))
    }
}

struct Edited {
    hash: String,
    /// The reversed hunks take it back exactly.
    reversible: bool,
}

enum Source<'a> {
    Kept(&'a str),
    File {
        from: &'a Binding,
        dir: Vec<String>,
        name: &'a str,
    },
}

/// A source beneath the same binding has the key of any file there, so that what this run did to it is known.
fn source_key<'a>(
    binding: &Binding,
    change: &'a Change,
) -> Result<(String, Source<'a>), ReadError> {
    let Change::CopyFile {
        from,
        from_dir,
        name,
        ..
    } = change
    else {
        return Err(not_ours(change));
    };
    let dir = texts(from_dir);
    let shown = path_of(&dir, name.as_str());
    if from.as_str() == KEPT_BINDING {
        return Ok((
            format!("from/{from}/{shown}/sha256"),
            Source::Kept(name.as_str()),
        ));
    }
    let key = if from == binding {
        fact(&shown)
    } else {
        format!("from/{from}/{shown}/sha256")
    };
    Ok((
        key,
        Source::File {
            from,
            dir,
            name: name.as_str(),
        },
    ))
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

fn temporary<'a>(place: &'a Place, attempt: &Attempt) -> Result<Temporary<'a>, Acted> {
    Temporary::new(place, temporary_name(attempt))
}

fn written(place: &Place, sha256: &str) -> Value {
    json!({ "file": place.shown, "sha256": sha256, "written": true })
}

fn not_ours(change: &Change) -> ReadError {
    ReadError::Invalid(format!("`{}` is no change of a directory", change.verb()))
}

/// From the last beginning of a character at or before `offset` to the last at or before its end, so that parts
/// that follow each other make the whole.
fn part(text: &str, offset: u64, length: u32) -> &str {
    let at = |byte: u64| text.floor_char_boundary(usize::try_from(byte).unwrap_or(usize::MAX));
    text.get(at(offset)..at(offset.saturating_add(u64::from(length))))
        .unwrap_or_default()
}
