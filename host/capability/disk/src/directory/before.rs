//! What a change rests on, and what is there before it.

use std::time::Instant;

use liftlock_types::{Change, Digest, Facts, Observed, ReadError, path_of};
use serde_json::{Value, json};

use super::{Inner, fact, not_ours, texts};
use crate::root::COPY_BYTES_MAX;

impl Inner {
    pub(super) fn facts(&self, change: &Change, until: Instant) -> Result<Facts, ReadError> {
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

    pub(super) fn observe(&self, change: &Change, until: Instant) -> Result<Observed, ReadError> {
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
}
