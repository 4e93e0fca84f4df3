//! The changes themselves.

use std::time::Instant;

use liftlock_types::{Acted, Attempt, Change, Digest, Hunk, ReadError, path_of};
use serde_json::{Value, json};

use super::source::source_key;
use super::{Inner, fact, not_ours, temporary_name, texts};
use crate::hunks;
use crate::root::{Opened, Place};
use crate::write::{self, Done, Looks, Temporary, changed, not_done};

/// Mode of a file that a plan writes: its text stands in the plan, so it is no secret.
const WRITTEN_MODE: u32 = 0o644;

impl Inner {
    pub(super) fn act(&self, change: &Change, attempt: &Attempt, until: Instant) -> Done {
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

    /// The file that must be there.
    fn meant(&self, place: &Place) -> Result<Opened, Acted> {
        place
            .target()
            .map_err(not_done)?
            .ok_or_else(|| changed(format!("`{}` is not there", place.shown)))
    }
}

fn temporary<'a>(place: &'a Place, attempt: &Attempt) -> Result<Temporary<'a>, Acted> {
    Temporary::new(place, temporary_name(attempt))
}

fn written(place: &Place, sha256: &str) -> Value {
    json!({ "file": place.shown, "sha256": sha256, "written": true })
}
