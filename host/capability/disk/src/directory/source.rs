//! Where a copy comes from: this directory, another one of the site, or the copies that were kept.

use std::sync::{Arc, Weak};
use std::time::Instant;

use liftlock_types::{Binding, Change, KEPT_BINDING, ReadError, path_of};

use super::{Inner, fact, not_ours, texts};
use crate::root::{COPY_BYTES_MAX, Opened, Place};
use crate::write::Looks;

impl Inner {
    /// The source's fact: its key and its hash.
    pub(super) fn source_fact(
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

    pub(super) fn source(
        &self,
        change: &Change,
        place: &Place,
    ) -> Result<(Opened, Looks), ReadError> {
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

pub(super) enum Source<'a> {
    Kept(&'a str),
    File {
        from: &'a Binding,
        dir: Vec<String>,
        name: &'a str,
    },
}

/// A source beneath the same binding has the key of any file there, so that what this run did to it is known.
pub(super) fn source_key<'a>(
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
