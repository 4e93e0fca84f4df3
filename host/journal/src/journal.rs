//! The journal: open, append, read, verify, recover.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row as _};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::chain::{Chain, Hash, Row, check_file_name};
use crate::error::JournalError;
use crate::head::Head;
use crate::lock::Lock;
use crate::place::{OpenOptions, Place, blocking};
use crate::reserve;
use crate::schema::{decode, open_reader, open_writer, select_rows};
use crate::sql::{as_i64, fetch_last, fetch_pin, fetch_row, measure, pin_of};
use crate::write::ABANDONED;

/// What a run's rows are, measured against its head file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalState {
    /// The rows reach the head (or no head was written yet): the run can go on.
    Whole,
    /// The end is lost: the run is read-only here, and every step past the end is a doubt.
    BehindHead {
        /// Last row that was recorded as written.
        head_seq: u64,
        /// Last row that is there.
        journal_seq: u64,
    },
    /// The row at the head is another one: this is a different history of the run.
    HeadDiffers {
        /// The row.
        seq: u64,
    },
}

/// One run in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// The run.
    pub run: String,
    /// How many rows it has; 0 if only its head file is left.
    pub rows: u64,
    /// When the first row was appended, in milliseconds since 1970.
    pub first_at_ms: i64,
    /// When the last row was appended.
    pub last_at_ms: i64,
    /// Whether the run can go on.
    pub state: JournalState,
}

/// A run whose every row was found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The run.
    pub run: String,
    /// How many rows it has.
    pub rows: u64,
    /// Hash of the last one.
    pub head: Hash,
}

/// The record of every run in one directory.
///
/// All calls on one journal go one after another. A call that writes and is dropped before it
/// returned leaves the journal closed until [`recover`](Self::recover), as a failed commit does.
#[derive(Debug)]
pub struct Journal {
    pub(crate) place: Place,
    /// Shared with file work that outlives a dropped call, which then still holds it.
    pub(crate) inner: Arc<Mutex<Inner>>,
    pub(crate) durable_writes: AtomicU64,
    is_writer: bool,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) conn: Option<SqliteConnection>,
    pub(crate) poisoned: Option<String>,
    /// Last, so that the right to write goes after the connection. None for a reader.
    _lock: Option<Lock>,
}

impl Journal {
    /// Opens the journal in `dir` for writing, making it if the place is new.
    ///
    /// Takes the right to write for as long as the journal lives. Every page's form is checked;
    /// the rows are checked as they are read.
    pub async fn open(dir: &Path, options: OpenOptions) -> Result<Self, JournalError> {
        let asked = dir.to_owned();
        let (place, lock) = blocking(dir, move || {
            let place = Place::prepare(&asked, options)?;
            let lock = Lock::take(&place)?;
            Ok((place, lock))
        })
        .await?;
        let conn = open_writer(&place).await?;
        Ok(Self::with(place, conn, Some(lock)))
    }

    /// Opens the journal in `dir` for reading, also while another process writes it.
    pub async fn open_read_only(dir: &Path) -> Result<Self, JournalError> {
        let dir = std::path::absolute(dir)
            .map_err(|e| JournalError::io("find the absolute path of", dir, e))?;
        let place = Place { dir };
        let conn = open_reader(&place).await?;
        Ok(Self::with(place, conn, None))
    }

    fn with(place: Place, conn: SqliteConnection, lock: Option<Lock>) -> Self {
        Self {
            place,
            is_writer: lock.is_some(),
            inner: Arc::new(Mutex::new(Inner {
                conn: Some(conn),
                poisoned: None,
                _lock: lock,
            })),
            durable_writes: AtomicU64::new(0),
        }
    }

    /// The journal's directory.
    pub fn dir(&self) -> &Path {
        &self.place.dir
    }

    /// Ends the use of the journal: the connection first, then the right to write.
    pub async fn close(self) -> Result<(), JournalError> {
        match self.inner.lock().await.conn.take() {
            Some(conn) => conn
                .close()
                .await
                .map_err(|e| JournalError::database("close", &self.place.db(), e)),
            None => Ok(()),
        }
    }

    /// Opens the database again after a failed or abandoned write, keeping the right to write.
    ///
    /// Nothing is appended: look up with [`rows`](Self::rows) or append the same rows again,
    /// which gives those that are there instead of writing them twice.
    pub async fn recover(&self) -> Result<(), JournalError> {
        let mut inner = self.inner.lock().await;
        self.must_be_writer()?;
        inner.poisoned.get_or_insert_with(|| ABANDONED.to_owned());
        if let Some(conn) = inner.conn.take() {
            // Waits for what the connection still has in hand; a failure to close changes
            // nothing about what the new connection will find.
            if let Err(error) = conn.close().await {
                tracing::warn!(%error, "closing the journal before recovery");
            }
        }
        inner.conn = Some(open_writer(&self.place).await?);
        inner.poisoned = None;
        Ok(())
    }

    /// How many commits this journal made since it was opened. A call that found its rows there
    /// already made none; head files are not commits.
    pub fn durable_writes(&self) -> u64 {
        self.durable_writes.load(Ordering::Relaxed)
    }

    /// All rows of a run, each checked against the one before. Empty if there is no such run.
    pub async fn rows(&self, run: &str) -> Result<Vec<Row>, JournalError> {
        let mut inner = self.reading().await?;
        let path = self.place.db();
        self.fetch(&mut inner, run, &mut Chain::new(&path, run))
            .await
    }

    /// The rows of a run after row `seq`, each checked against the one before, the first of them
    /// against row `seq`.
    pub async fn rows_after(&self, run: &str, seq: u64) -> Result<Vec<Row>, JournalError> {
        if seq == 0 {
            return self.rows(run).await;
        }
        let mut inner = self.reading().await?;
        let path = self.place.db();
        let conn = usable(&mut inner, &self.place)?;
        let Some(row) = fetch_row(&path, conn, run, seq).await? else {
            return Ok(Vec::new());
        };
        self.fetch(&mut inner, run, &mut Chain::from_row(&path, &row)?)
            .await
    }

    /// The runs in this journal, oldest first, with those of which only the head file is left.
    pub async fn runs(&self) -> Result<Vec<RunSummary>, JournalError> {
        let path = self.place.db();
        let failed = |e| JournalError::database("list the runs", &path, e);
        let heads = Head::runs(&self.place)?;
        let found = {
            let mut inner = self.reading().await?;
            sqlx::query("SELECT run, count(*) AS rows, min(at_ms) AS first, max(at_ms) AS last FROM row GROUP BY run ORDER BY min(rowid)")
                .fetch_all(usable(&mut inner, &self.place)?)
                .await
                .map_err(failed)?
        };
        let mut runs = Vec::with_capacity(found.len());
        for row in &found {
            let run: String = row.try_get("run").map_err(failed)?;
            runs.push(RunSummary {
                rows: row
                    .try_get::<i64, _>("rows")
                    .map_err(failed)?
                    .unsigned_abs(),
                first_at_ms: row.try_get("first").map_err(failed)?,
                last_at_ms: row.try_get("last").map_err(failed)?,
                state: self.state(&run).await?,
                run,
            });
        }
        for run in heads {
            if !runs.iter().any(|r| r.run == run) {
                let state = self.state(&run).await?;
                runs.push(RunSummary {
                    run,
                    rows: 0,
                    first_at_ms: 0,
                    last_at_ms: 0,
                    state,
                });
            }
        }
        Ok(runs)
    }

    /// Measures a run against its head file.
    pub async fn state(&self, run: &str) -> Result<JournalState, JournalError> {
        check_file_name("run", run)?;
        // The head first: it is written after its row, so rows read later must reach it.
        let head = Head::read(&self.place, run)?;
        let mut inner = self.reading().await?;
        measure(
            &self.place.db(),
            usable(&mut inner, &self.place)?,
            run,
            head.as_ref(),
        )
        .await
    }

    /// Checks every row of a run, and that they reach the head file.
    ///
    /// The first broken row is named by [`Broken`](JournalError::Broken); a lost end is
    /// [`BehindHead`](JournalError::BehindHead).
    pub async fn verify(&self, run: &str) -> Result<Verified, JournalError> {
        let state = self.state(run).await?;
        let mut inner = self.reading().await?;
        let path = self.place.db();
        let mut chain = Chain::new(&path, run);
        self.fetch(&mut inner, run, &mut chain).await?;
        self.must_be_whole(run, state)?;
        if chain.seq == 0 {
            return Err(JournalError::UnknownRun {
                run: run.into(),
                path,
            });
        }
        Ok(Verified {
            run: run.into(),
            rows: chain.seq,
            head: chain.hash,
        })
    }

    /// Checks every run, and stops at the first that is not whole.
    pub async fn verify_all(&self) -> Result<Vec<Verified>, JournalError> {
        let mut verified = Vec::new();
        for summary in self.runs().await? {
            verified.push(self.verify(&summary.run).await?);
        }
        Ok(verified)
    }

    /// Records how far the run reaches, durable when this returns.
    ///
    /// To be called before what cannot be undone by looking again, at phase ends and at exit.
    pub async fn write_head(&self, run: &str) -> Result<(), JournalError> {
        self.must_be_writer()?;
        let state = self.state(run).await?;
        self.must_be_whole(run, state)?;
        let path = self.place.db();
        // Held until the file is written, so that no later head can be overtaken by this one.
        let mut inner = self.reading().await?;
        let conn = usable(&mut inner, &self.place)?;
        let Some(last) = fetch_last(&path, conn, run).await? else {
            return Err(JournalError::UnknownRun {
                run: run.into(),
                path,
            });
        };
        let head = Head {
            run: run.into(),
            seq: last.seq,
            hash: last.hash,
        };
        let place = self.place.clone();
        blocking(&self.place.dir, move || {
            let _held = inner;
            head.write(&place)
        })
        .await
    }

    /// Keeps room on the disk for `body_bytes` of rows; 0 gives it back.
    ///
    /// `body_bytes` is the sum over all steps in flight, not what is added. Fails with
    /// [`DiskFull`](JournalError::DiskFull) while there is still nothing to be concluded.
    pub async fn reserve(&self, body_bytes: u64) -> Result<(), JournalError> {
        self.must_be_writer()?;
        let place = self.place.clone();
        blocking(&self.place.dir, move || reserve::keep(&place, body_bytes)).await
    }

    /// The connection, unless an earlier write ended in the unknown: then even a read could show
    /// rows that are not durable.
    pub(crate) async fn reading(&self) -> Result<OwnedMutexGuard<Inner>, JournalError> {
        let inner = Arc::clone(&self.inner).lock_owned().await;
        match &inner.poisoned {
            Some(reason) => Err(JournalError::Poisoned {
                path: self.place.dir.clone(),
                reason: reason.clone(),
            }),
            None => Ok(inner),
        }
    }

    /// Refuses what a journal opened for reading cannot do.
    pub(crate) fn must_be_writer(&self) -> Result<(), JournalError> {
        if self.is_writer {
            return Ok(());
        }
        Err(JournalError::ReadOnly {
            path: self.place.dir.clone(),
        })
    }

    /// Refuses a run that is not whole here.
    pub(crate) fn must_be_whole(&self, run: &str, state: JournalState) -> Result<(), JournalError> {
        let (run, path) = (run.to_owned(), self.place.head(run));
        match state {
            JournalState::Whole => Ok(()),
            JournalState::BehindHead {
                head_seq,
                journal_seq,
            } => Err(JournalError::BehindHead {
                run,
                head_seq,
                journal_seq,
                path,
            }),
            JournalState::HeadDiffers { seq } => Err(JournalError::HeadDiffers { run, seq, path }),
        }
    }

    /// All rows after the chain's last one.
    async fn fetch(
        &self,
        inner: &mut Inner,
        run: &str,
        chain: &mut Chain<'_>,
    ) -> Result<Vec<Row>, JournalError> {
        let path = self.place.db();
        let found: Vec<SqliteRow> =
            sqlx::query(select_rows!("WHERE run = ? AND seq > ? ORDER BY seq"))
                .bind(run)
                .bind(as_i64(chain.seq))
                .fetch_all(usable(inner, &self.place)?)
                .await
                .map_err(|e| JournalError::database("read the rows", &path, e))?;
        let mut rows = Vec::with_capacity(found.len());
        for row in &found {
            let row = decode(run, chain, row)?;
            chain.follow(&row)?;
            rows.push(row);
        }
        Ok(rows)
    }

    /// The digest pinned under a name.
    pub(crate) async fn pin_hash(
        &self,
        run: &str,
        name: &str,
    ) -> Result<Option<Hash>, JournalError> {
        let mut inner = self.reading().await?;
        fetch_pin(
            &self.place.db(),
            usable(&mut inner, &self.place)?,
            run,
            name,
        )
        .await
    }

    /// All names pinned by a run, with their digests.
    pub(crate) async fn pin_hashes(
        &self,
        run: &str,
    ) -> Result<BTreeMap<String, Hash>, JournalError> {
        let path = self.place.db();
        let mut inner = self.reading().await?;
        sqlx::query("SELECT name, sha256 FROM pin WHERE run = ?")
            .bind(run)
            .fetch_all(usable(&mut inner, &self.place)?)
            .await
            .and_then(|rows| {
                rows.iter()
                    .map(|r| Ok((r.try_get("name")?, pin_of(r)?)))
                    .collect()
            })
            .map_err(|e| JournalError::database("read the pins", &path, e))
    }
}

fn usable<'a>(
    inner: &'a mut Inner,
    place: &Place,
) -> Result<&'a mut SqliteConnection, JournalError> {
    inner.conn.as_mut().ok_or_else(|| JournalError::Poisoned {
        path: place.dir.clone(),
        reason: "it was not opened again after a failure".into(),
    })
}
