//! A run as one file of JSON lines, out and in.
//!
//! The first line names format and run, then come the rows in order, then the pins, and the last
//! line repeats where the rows end: a file that was cut anywhere is seen.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::chain::{BreakReason, Chain, Hash, NewRow, Row, check_file_name, check_rows};
use crate::error::JournalError;
use crate::journal::{Journal, Verified};
use crate::place::{blocking, write_durably};

/// Version of the file format.
const FORMAT: u32 = 1;

/// Largest export that is read: 512 MiB, as the file is held in memory. A run of 10,000 rows of
/// 4 KiB with a pinned plugin of 64 MiB has some 130 MB.
pub const EXPORT_BYTES_MAX: u64 = 512 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Line {
    LiftlockRun {
        format: u32,
        run: String,
    },
    Row(ExportedRow),
    Pin {
        name: String,
        sha256: Hash,
        base64: String,
    },
    End {
        rows: u64,
        head: Hash,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportedRow {
    seq: u64,
    step: Option<String>,
    attempt: u32,
    kind: String,
    at_ms: i64,
    body: String,
    prev: Hash,
    hash: Hash,
}

/// What an export holds.
struct Exported {
    run: String,
    rows: Vec<Row>,
    pins: Vec<Vec<u8>>,
    pin_hashes: BTreeMap<String, Hash>,
}

impl Journal {
    /// Writes a whole run, verified, with its pins into the file `to` (mode 0600), durable when
    /// this returns. The run stays here too: it is for the caller to see that only one goes on.
    pub async fn export(&self, run: &str, to: &Path) -> Result<Verified, JournalError> {
        let verified = self.verify(run).await?;
        let mut text = Vec::new();
        let mut put = |line: &Line| -> Result<(), JournalError> {
            serde_json::to_writer(&mut text, line)
                .map_err(|e| JournalError::io("write", to, e.into()))?;
            text.push(b'\n');
            Ok(())
        };
        put(&Line::LiftlockRun {
            format: FORMAT,
            run: run.to_owned(),
        })?;
        for row in self
            .rows(run)
            .await?
            .into_iter()
            .filter(|r| r.seq <= verified.rows)
        {
            put(&Line::Row(ExportedRow {
                seq: row.seq,
                step: row.step,
                attempt: row.attempt,
                kind: row.kind,
                at_ms: row.at_ms,
                body: row.body,
                prev: row.prev,
                hash: row.hash,
            }))?;
        }
        for (name, sha256) in self.pin_hashes(run).await? {
            let base64 = BASE64.encode(self.pinned(run, &name).await?);
            put(&Line::Pin {
                name,
                sha256,
                base64,
            })?;
        }
        put(&Line::End {
            rows: verified.rows,
            head: verified.head,
        })?;
        let to = to.to_owned();
        blocking(&self.place.dir, move || write_durably(&to, &text)).await?;
        Ok(verified)
    }

    /// Takes a run in from the file `from`: the whole run, or nothing of it.
    ///
    /// The chain and its end are checked before anything is written; a run that is here already
    /// is refused. Its head file is durable when this returns.
    pub async fn import(&self, from: &Path) -> Result<Verified, JournalError> {
        let path = from.to_owned();
        let exported = blocking(&self.place.dir, move || read(&path)).await?;
        for bytes in exported.pins {
            self.store(bytes).await?;
        }
        self.insert_run(&exported.run, &exported.rows, &exported.pin_hashes)
            .await?;
        self.write_head(&exported.run).await?;
        self.verify(&exported.run).await
    }
}

fn read(path: &Path) -> Result<Exported, JournalError> {
    let failed = |e| JournalError::io("read", path, e);
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > EXPORT_BYTES_MAX {
        return Err(JournalError::Refused {
            what: format!("an export of {bytes} bytes"),
            want: format!("at most {EXPORT_BYTES_MAX} bytes"),
        });
    }
    let content = fs::read(path).map_err(failed)?;
    let bad = |line: usize, reason: String| JournalError::BadExport {
        path: path.to_owned(),
        line: line as u64 + 1,
        reason,
    };
    let content = content.strip_suffix(b"\n").unwrap_or(&content);
    let mut lines = content
        .split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(n, text)| {
            serde_json::from_slice::<Line>(text)
                .map(|line| (n, line))
                .map_err(|e| bad(n, e.to_string()))
        });

    let run = match lines.next().transpose()? {
        Some((
            _,
            Line::LiftlockRun {
                format: FORMAT,
                run,
            },
        )) => run,
        Some((n, Line::LiftlockRun { format, .. })) => {
            return Err(bad(
                n,
                format!("it has format {format}, this program knows {FORMAT}"),
            ));
        }
        _ => return Err(bad(0, "it does not name a run".into())),
    };
    check_file_name("run", &run)?;

    let mut chain = Chain::new(path, &run);
    let mut exported = Exported {
        run: run.clone(),
        rows: Vec::new(),
        pins: Vec::new(),
        pin_hashes: BTreeMap::new(),
    };
    while let Some((n, line)) = lines.next().transpose()? {
        match line {
            Line::Row(row) => {
                let row = row.into_row(&run);
                let bounds = NewRow {
                    step: row.step.clone(),
                    attempt: row.attempt,
                    kind: row.kind.clone(),
                    body: row.body.clone(),
                };
                check_rows(&[bounds]).map_err(|e| bad(n, e.to_string()))?;
                chain.follow(&row)?;
                exported.rows.push(row);
            }
            Line::Pin {
                name,
                sha256,
                base64,
            } => {
                check_file_name("pin", &name)?;
                let bytes = BASE64.decode(base64).map_err(|e| bad(n, e.to_string()))?;
                if Hash::of(&bytes) != sha256 {
                    return Err(bad(
                        n,
                        format!("the bytes of pin `{name}` are not those hashed"),
                    ));
                }
                exported.pin_hashes.insert(name, sha256);
                exported.pins.push(bytes);
            }
            Line::End { rows, head } => {
                if let Some(after) = lines.next() {
                    let n = after.map_or(n + 1, |(n, _)| n);
                    return Err(bad(n, "it stands after the end".into()));
                }
                if rows == 0 || rows > chain.seq {
                    return Err(chain.broken(BreakReason::Missing));
                }
                if (rows, head) != (chain.seq, chain.hash) {
                    return Err(bad(n, "the rows do not end where it says".into()));
                }
                return Ok(exported);
            }
            Line::LiftlockRun { .. } => return Err(bad(n, "it names a second run".into())),
        }
    }
    Err(bad(
        content.split(|byte| *byte == b'\n').count(),
        "the end is missing".into(),
    ))
}

impl ExportedRow {
    fn into_row(self, run: &str) -> Row {
        Row {
            seq: self.seq,
            run: run.to_owned(),
            step: self.step,
            attempt: self.attempt,
            kind: self.kind,
            body: self.body,
            at_ms: self.at_ms,
            prev: self.prev,
            hash: self.hash,
        }
    }
}
