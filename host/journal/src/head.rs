//! The head file of a run: how far its rows must reach.
//!
//! A chain of hashes shows what was changed, not what was cut off at the end: a database copied
//! without its write-ahead log opens clean and valid. So the last row's number and hash are kept
//! in a file of their own, made durable before what could not be undone by looking again.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::chain::Hash;
use crate::error::JournalError;
use crate::place::{Place, write_durably};

/// How far a run's rows must reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) run: String,
    pub(crate) seq: u64,
    pub(crate) hash: Hash,
}

impl Head {
    /// The head file of `run`; none if none was ever written.
    pub(crate) fn read(place: &Place, run: &str) -> Result<Option<Self>, JournalError> {
        let path = place.head(run);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                return Err(JournalError::Damaged {
                    path,
                    reason: e.to_string(),
                });
            }
            Err(e) => return Err(JournalError::io("read", &path, e)),
        };
        match serde_json::from_str::<Self>(&text) {
            Ok(head) if head.run == run => Ok(Some(head)),
            Ok(head) => {
                let reason = format!("it is of run `{}`", head.run.escape_debug());
                Err(JournalError::Damaged { path, reason })
            }
            Err(e) => Err(JournalError::Damaged {
                path,
                reason: e.to_string(),
            }),
        }
    }

    /// The runs that have a head file, whether or not they have rows.
    pub(crate) fn runs(place: &Place) -> Result<Vec<String>, JournalError> {
        let dir = place.heads();
        let names = match fs::read_dir(&dir) {
            Ok(entries) => entries
                .map(|e| Ok(e?.file_name()))
                .collect::<io::Result<Vec<_>>>(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => Err(e),
        }
        .map_err(|e| JournalError::io("list", &dir, e))?;
        Ok(names
            .iter()
            .filter_map(|n| Some(n.to_str()?.strip_suffix(".head")?.into()))
            .collect())
    }

    /// Makes this the head of its run. Durable when it returns.
    pub(crate) fn write(&self, place: &Place) -> Result<(), JournalError> {
        let path = place.head(&self.run);
        let text = serde_json::to_vec(self)
            .map_err(|e| JournalError::io("write", &path, io::Error::other(e)))?;
        write_durably(&path, &text)
    }
}
