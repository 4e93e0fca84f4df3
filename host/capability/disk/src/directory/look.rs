//! Reads and conditions.

use std::time::Instant;

use liftlock_types::facts::disk::{Bytes, Content};
use liftlock_types::{Evaluated, Predicate, Read, ReadError, path_of};
use serde_json::{Value, json};

use super::Inner;
use crate::root::{BYTES_UNBOUNDED, READ_BYTES_MAX};

impl Inner {
    pub(super) fn read(&self, read: &Read, until: Instant) -> Result<Value, ReadError> {
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
                bounded(*length)?;
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
                bounded(*length)?;
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

    pub(super) fn evaluate(
        &self,
        predicate: &Predicate,
        until: Instant,
    ) -> Result<Evaluated, ReadError> {
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
}

fn bounded(length: u32) -> Result<(), ReadError> {
    if length > READ_BYTES_MAX {
        return Err(ReadError::Invalid(format!(
            "{length} bytes asked, at most {READ_BYTES_MAX} a read"
        )));
    }
    Ok(())
}

/// From the last beginning of a character at or before `offset` to the last at or before its end, so that parts
/// that follow each other make the whole.
fn part(text: &str, offset: u64, length: u32) -> &str {
    let at = |byte: u64| text.floor_char_boundary(usize::try_from(byte).unwrap_or(usize::MAX));
    text.get(at(offset)..at(offset.saturating_add(u64::from(length))))
        .unwrap_or_default()
}
