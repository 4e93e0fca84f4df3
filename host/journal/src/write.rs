//! The one path of every write: begin, compose, commit, and what an unknown outcome does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use sqlx::sqlite::SqliteConnection;
use tokio::sync::OwnedMutexGuard;

use crate::chain::{Chain, Hash, NewRow, Row, check_file_name, check_rows};
use crate::error::JournalError;
use crate::head::Head;
use crate::journal::{Inner, Journal};
use crate::reserve;
use crate::schema::execute;
use crate::sql::{fetch_keyed, fetch_last, fetch_row, insert, insert_pin, measure};

/// What a writer's state is called while a write is on its way: if the caller drops the future,
/// this stays, and the write's outcome is as unknown as after a failed commit.
pub(crate) const ABANDONED: &str = "a write was abandoned before its outcome was known";

/// A write on its way. Dropped without [`Journal::finish`], it leaves the journal poisoned.
pub(crate) struct Writing {
    inner: OwnedMutexGuard<Inner>,
    path: PathBuf,
}

impl Writing {
    pub(crate) fn conn(&mut self) -> Result<&mut SqliteConnection, JournalError> {
        self.inner
            .conn
            .as_mut()
            .ok_or_else(|| JournalError::Poisoned {
                path: self.path.clone(),
                reason: ABANDONED.to_owned(),
            })
    }
}

/// What a write came to, before its commit.
pub(crate) enum Written<T> {
    /// Something is to be committed.
    New(T),
    /// All of it was there already, from an attempt whose outcome was not known.
    Already(T),
}

impl Journal {
    /// Appends the first row of a new run. The same row again gives the one that is there.
    pub async fn begin_run(
        &self,
        run: &str,
        first: NewRow,
        at_ms: i64,
    ) -> Result<Row, JournalError> {
        check_file_name("run", run)?;
        check_rows(std::slice::from_ref(&first))?;
        let mut writing = self.begin().await?;
        let result = self.compose_first(&mut writing, run, &first, at_ms).await;
        self.finish(writing, result).await
    }

    /// Appends `rows` to a run in one transaction, durable when this returns.
    ///
    /// Either all rows are there afterwards or none. Rows that are there already, all of them and
    /// with the same content, are returned as they were recorded and not written again. After an
    /// error that is no refusal ([`UnknownOutcome`](JournalError::UnknownOutcome),
    /// [`DiskFull`](JournalError::DiskFull), ...) the journal is closed until
    /// [`recover`](Self::recover).
    ///
    /// On a full disk the room kept by [`reserve`](Self::reserve) is let go first: after
    /// `recover` there is room for the rows that conclude what is in flight, and `reserve` says
    /// `DiskFull` before anything new is begun.
    pub async fn append(
        &self,
        run: &str,
        rows: &[NewRow],
        at_ms: i64,
    ) -> Result<Vec<Row>, JournalError> {
        check_file_name("run", run)?;
        check_rows(rows)?;
        let mut writing = self.begin().await?;
        let result = self.compose(&mut writing, run, rows, at_ms).await;
        self.finish(writing, result).await
    }

    /// Starts a write: takes the connection and the database's write lock.
    pub(crate) async fn begin(&self) -> Result<Writing, JournalError> {
        self.must_be_writer()?;
        let mut inner = self.reading().await?;
        let path = self.place.db();
        inner.poisoned = Some(ABANDONED.to_owned());
        let mut writing = Writing { inner, path };
        let path = writing.path.clone();
        match execute(&path, writing.conn()?, "BEGIN IMMEDIATE").await {
            Ok(()) => Ok(writing),
            Err(error) => Err(self.poison(writing, error)),
        }
    }

    /// Ends a write: commits what is new, rolls back what was refused or there already.
    pub(crate) async fn finish<T>(
        &self,
        mut writing: Writing,
        result: Result<Written<T>, JournalError>,
    ) -> Result<T, JournalError> {
        let path = writing.path.clone();
        let result = match result {
            Ok(Written::New(done)) => {
                match sqlx::raw_sql("COMMIT").execute(writing.conn()?).await {
                    Ok(_) => {
                        self.durable_writes.fetch_add(1, Ordering::Relaxed);
                        Ok(done)
                    }
                    Err(e) => Err(JournalError::commit(&path, e)),
                }
            }
            Ok(Written::Already(done)) => execute(&path, writing.conn()?, "ROLLBACK")
                .await
                .map(|()| done),
            Err(error) if error.ends_writing() => Err(error),
            Err(refusal) => match execute(&path, writing.conn()?, "ROLLBACK").await {
                Ok(()) => Err(refusal),
                Err(error) => Err(error),
            },
        };
        match result {
            Err(error) if error.ends_writing() => Err(self.poison(writing, error)),
            other => {
                writing.inner.poisoned = None;
                other
            }
        }
    }

    /// Ends all writing because of `error`; a full disk gets the reserve back.
    fn poison(&self, mut writing: Writing, error: JournalError) -> JournalError {
        tracing::warn!(%error, "the journal is closed until it is recovered");
        writing.inner.poisoned = Some(error.to_string());
        if matches!(error, JournalError::DiskFull { .. })
            && let Err(error) = reserve::release(&self.place)
        {
            tracing::warn!(%error, "the journal's reserve could not be let go");
        }
        error
    }

    async fn compose_first(
        &self,
        writing: &mut Writing,
        run: &str,
        first: &NewRow,
        at_ms: i64,
    ) -> Result<Written<Row>, JournalError> {
        let path = self.place.db();
        let head = Head::read(&self.place, run)?;
        let conn = writing.conn()?;
        let state = measure(&path, conn, run, head.as_ref()).await?;
        self.must_be_whole(run, state)?;
        match fetch_row(&path, conn, run, 1).await? {
            Some(row) if same(&row, first) => {
                Chain::new(&path, run).follow(&row)?;
                Ok(Written::Already(row))
            }
            Some(_) => Err(JournalError::RunExists {
                run: run.into(),
                path,
            }),
            None => {
                let row = next_row(&Chain::new(&path, run), run, first, at_ms);
                insert(&path, conn, &row).await?;
                Ok(Written::New(row))
            }
        }
    }

    async fn compose(
        &self,
        writing: &mut Writing,
        run: &str,
        rows: &[NewRow],
        at_ms: i64,
    ) -> Result<Written<Vec<Row>>, JournalError> {
        let path = self.place.db();
        let head = Head::read(&self.place, run)?;
        let conn = writing.conn()?;
        let state = measure(&path, conn, run, head.as_ref()).await?;
        self.must_be_whole(run, state)?;
        let Some(last) = fetch_last(&path, conn, run).await? else {
            return Err(JournalError::UnknownRun {
                run: run.into(),
                path,
            });
        };
        let mut chain = Chain::from_row(&path, &last)?;

        let mut there = Vec::new();
        for row in rows {
            if let Some(found) = fetch_keyed(&path, conn, run, row).await? {
                there.push((row, found));
            }
        }
        // One transaction wrote them, so an earlier attempt left all or none: anything else is
        // another caller's row, or a caller that changed its mind.
        if there.len() == rows.len() && there.iter().all(|(new, found)| same(found, new)) {
            let found: Vec<Row> = there.into_iter().map(|(_, found)| found).collect();
            for row in &found {
                Chain::from_row(&path, row)?;
            }
            return Ok(Written::Already(found));
        }
        let different = there
            .iter()
            .position(|(new, found)| !same(found, new))
            .unwrap_or(0);
        if let Some((_, found)) = there.into_iter().nth(different) {
            return Err(JournalError::Conflict {
                run: run.into(),
                seq: found.seq,
                step: found.step.unwrap_or_default(),
                attempt: found.attempt,
                kind: found.kind,
            });
        }

        let mut written = Vec::with_capacity(rows.len());
        for row in rows {
            let row = next_row(&chain, run, row, at_ms);
            chain.follow(&row)?;
            insert(&path, conn, &row).await?;
            written.push(row);
        }
        Ok(Written::New(written))
    }

    /// Writes the rows of a whole run that another journal exported, its pins with it.
    pub(crate) async fn insert_run(
        &self,
        run: &str,
        rows: &[Row],
        pins: &BTreeMap<String, Hash>,
    ) -> Result<(), JournalError> {
        let mut writing = self.begin().await?;
        let result = self.compose_run(&mut writing, run, rows, pins).await;
        self.finish(writing, result).await
    }

    async fn compose_run(
        &self,
        writing: &mut Writing,
        run: &str,
        rows: &[Row],
        pins: &BTreeMap<String, Hash>,
    ) -> Result<Written<()>, JournalError> {
        let path = self.place.db();
        let head = Head::read(&self.place, run)?;
        let conn = writing.conn()?;
        if fetch_last(&path, conn, run).await?.is_some() {
            return Err(JournalError::RunExists {
                run: run.into(),
                path,
            });
        }
        for row in rows {
            insert(&path, conn, row).await?;
        }
        // A run whose rows were lost here may come back by an import, if it reaches the head.
        let state = measure(&path, conn, run, head.as_ref()).await?;
        self.must_be_whole(run, state)?;
        for (name, hash) in pins {
            insert_pin(&path, conn, run, name, *hash).await?;
        }
        Ok(Written::New(()))
    }
}

/// Whether `row` records what `new` says. The time does not count: it is when it was recorded.
fn same(row: &Row, new: &NewRow) -> bool {
    (&row.step, row.attempt, &row.kind, &row.body) == (&new.step, new.attempt, &new.kind, &new.body)
}

fn next_row(chain: &Chain<'_>, run: &str, new: &NewRow, at_ms: i64) -> Row {
    let mut row = Row {
        seq: chain.seq + 1,
        run: run.to_owned(),
        step: new.step.clone(),
        attempt: new.attempt,
        kind: new.kind.clone(),
        body: new.body.clone(),
        at_ms,
        prev: chain.hash,
        hash: Hash::GENESIS,
    };
    row.hash = row.expected_hash();
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::OpenOptions;

    #[tokio::test]
    async fn a_commit_is_flushed_to_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions {
            explicit: true,
            allow_volatile: true,
        };
        let journal = Journal::open(dir.path(), options).await.unwrap();
        let mut inner = journal.inner.lock().await;
        let conn = inner.conn.as_mut().unwrap();
        const FULL: i64 = 2;
        let flush: i64 = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(conn)
            .await
            .unwrap();
        assert_eq!((flush, mode.as_str()), (FULL, "wal"));
    }

    /// Stands for a full disk: SQLite gives the same error when the database may not grow.
    #[tokio::test]
    async fn a_full_database_closes_the_journal_and_lets_the_reserve_go() {
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions {
            explicit: true,
            allow_volatile: true,
        };
        let journal = Journal::open(dir.path(), options).await.unwrap();
        let row = |attempt, body: String| NewRow {
            step: None,
            attempt,
            kind: "k".into(),
            body,
        };
        journal
            .begin_run("r", row(0, "{}".into()), 1)
            .await
            .unwrap();
        journal.reserve(1000).await.unwrap();
        {
            let mut inner = journal.inner.lock().await;
            let conn = inner.conn.as_mut().unwrap();
            sqlx::raw_sql("PRAGMA max_page_count = 1")
                .execute(conn)
                .await
                .unwrap();
        }

        let large = row(1, format!("\"{}\"", "x".repeat(100_000)));
        let append = async || journal.append("r", std::slice::from_ref(&large), 1).await;
        let error = append().await.unwrap_err();
        assert!(matches!(error, JournalError::DiskFull { .. }), "{error}");
        let error = append().await.unwrap_err();
        assert!(matches!(error, JournalError::Poisoned { .. }), "{error}");
        let error = journal.rows("r").await.unwrap_err();
        assert!(matches!(error, JournalError::Poisoned { .. }), "{error}");
        assert!(!journal.place.reserve().exists());

        journal.recover().await.unwrap();
        assert_eq!(journal.rows("r").await.unwrap().len(), 1);
        assert_eq!(append().await.unwrap()[0].seq, 2);
        assert_eq!(journal.verify("r").await.unwrap().rows, 2);
    }
}
