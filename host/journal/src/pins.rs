//! Bytes that a run rests on, kept beside it: the plugin, the plan, the approval.
//!
//! A run that is resumed next week must meet the plugin it began with, whatever is installed by
//! then. Files are named by their digest, so equal bytes are kept once for all runs.

use std::fs;
use std::io;

use crate::chain::{Hash, check_file_name};
use crate::error::JournalError;
use crate::journal::Journal;
use crate::place::{Place, blocking, check_private_file, write_durably};
use crate::sql::{fetch_pin, insert_pin};
use crate::write::{Writing, Written};

/// Most bytes of one pin. A component that carries its own Python interpreter has some 40 MB.
pub const PIN_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Journal {
    /// Keeps `bytes` for `run` under `name`, durable when this returns. The run need not have
    /// begun. The same bytes again change nothing; other bytes are refused.
    pub async fn pin(&self, run: &str, name: &str, bytes: &[u8]) -> Result<Hash, JournalError> {
        check_file_name("run", run)?;
        check_file_name("pin", name)?;
        let hash = self.store(bytes.to_vec()).await?;
        let mut writing = self.begin().await?;
        let result = self.compose_pin(&mut writing, run, name, hash).await;
        self.finish(writing, result).await
    }

    async fn compose_pin(
        &self,
        writing: &mut Writing,
        run: &str,
        name: &str,
        hash: Hash,
    ) -> Result<Written<Hash>, JournalError> {
        let path = self.place.db();
        let conn = writing.conn()?;
        match fetch_pin(&path, conn, run, name).await? {
            Some(pinned) if pinned == hash => Ok(Written::Already(hash)),
            Some(pinned) => Err(JournalError::PinConflict {
                run: run.into(),
                name: name.into(),
                pinned,
            }),
            None => {
                insert_pin(&path, conn, run, name, hash).await?;
                Ok(Written::New(hash))
            }
        }
    }

    /// The bytes that `run` keeps under `name`, checked against their digest.
    pub async fn pinned(&self, run: &str, name: &str) -> Result<Vec<u8>, JournalError> {
        let Some(hash) = self.pin_hash(run, name).await? else {
            return Err(JournalError::NoPin {
                run: run.into(),
                name: name.into(),
            });
        };
        let place = self.place.clone();
        blocking(&self.place.dir, move || load(&place, hash)).await
    }

    /// Makes a file of `bytes` durable under its digest.
    pub(crate) async fn store(&self, bytes: Vec<u8>) -> Result<Hash, JournalError> {
        if bytes.len() > PIN_BYTES_MAX {
            return Err(JournalError::Refused {
                what: format!("a pin of {} bytes", bytes.len()),
                want: format!("at most {PIN_BYTES_MAX} bytes"),
            });
        }
        let place = self.place.clone();
        blocking(&self.place.dir, move || {
            let hash = Hash::of(&bytes);
            match load(&place, hash) {
                Ok(_) => Ok(hash),
                // Missing or damaged: these are the right bytes either way.
                Err(JournalError::Damaged { path, .. }) => {
                    write_durably(&path, &bytes).map(|()| hash)
                }
                Err(other) => Err(other),
            }
        })
        .await
    }
}

fn load(place: &Place, hash: Hash) -> Result<Vec<u8>, JournalError> {
    let path = place.pins().join(hash.to_string());
    check_private_file(&path)?;
    match fs::read(&path) {
        Ok(bytes) if Hash::of(&bytes) == hash => Ok(bytes),
        Ok(_) => {
            let reason = "its bytes are not those of its name, a SHA-256".into();
            Err(JournalError::Damaged { path, reason })
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(JournalError::Damaged {
            path,
            reason: "it is missing".into(),
        }),
        Err(e) => Err(JournalError::io("read", &path, e)),
    }
}
