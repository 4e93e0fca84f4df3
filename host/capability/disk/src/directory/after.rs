//! What became of a change, what it left beside, and what takes it back.

use std::time::Instant;

use liftlock_types::{
    Attempt, Binding, Change, Digest, FileName, KEPT_BINDING, Planned, Probed, ReadError, path_of,
};
use serde_json::{Value, json};

use super::source::source_key;
use super::{Inner, fact, not_ours, temporary_name, texts};
use crate::hunks;
use crate::root::COPY_BYTES_MAX;
use crate::write;

impl Inner {
    pub(super) fn probe(
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

    pub(super) fn clean_up(&self, change: &Change, attempt: &Attempt) -> Vec<String> {
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

    pub(super) fn automatic_undo(
        &self,
        change: &Change,
        attempt: &Attempt,
    ) -> Option<Vec<Planned>> {
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
}
