//! The tables, the connection and its switches.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Row as _};

use crate::chain::{BreakReason, Chain, Hash, Row};
use crate::error::JournalError;
use crate::place::{Place, blocking, check_private_file, open_file, sync_dir};

/// Version of the tables below, kept in the database.
pub const SCHEMA_VERSION: i64 = 1;

/// Oldest SQLite that may write a journal: the releases before it can corrupt a database in WAL
/// mode when one connection restarts the log while another carries it over.
pub const SQLITE_VERSION_MIN: &str = "3.51.3";

/// Marks a database as a journal ("LLJ1").
const APPLICATION_ID: i64 = 0x4c4c_4a31;

/// How long a lock held by another connection is waited for. Only a reader that recovers the log
/// or a person with a database shell holds one; both are done in far less than 10 s.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The rules of the chain stand in the database too, so that no other tool appends out of order,
/// and `INSERT OR REPLACE` finds nothing to replace.
const TABLES: &str = "
CREATE TABLE row (
    run     TEXT    NOT NULL,
    seq     INTEGER NOT NULL CHECK (seq > 0),
    step    TEXT    CHECK (step <> ''),
    attempt INTEGER NOT NULL CHECK (attempt >= 0),
    kind    TEXT    NOT NULL,
    at_ms   INTEGER NOT NULL,
    body    TEXT    NOT NULL,
    prev    BLOB    NOT NULL CHECK (length(prev) = 32),
    hash    BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (run, seq)
) STRICT;
CREATE UNIQUE INDEX row_once ON row (run, ifnull(step, ''), attempt, kind);
CREATE TRIGGER row_follows BEFORE INSERT ON row
WHEN NEW.seq <> (SELECT ifnull(max(seq), 0) + 1 FROM row WHERE run = NEW.run)
  OR NEW.prev <> ifnull((SELECT hash FROM row WHERE run = NEW.run AND seq = NEW.seq - 1), zeroblob(32))
BEGIN SELECT raise(ABORT, 'a journal row must follow the last one'); END;
CREATE TRIGGER row_stays BEFORE UPDATE ON row
BEGIN SELECT raise(ABORT, 'journal rows are never changed'); END;
CREATE TRIGGER row_remains BEFORE DELETE ON row
BEGIN SELECT raise(ABORT, 'journal rows are never deleted'); END;
CREATE TABLE pin (
    run    TEXT NOT NULL,
    name   TEXT NOT NULL,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    PRIMARY KEY (run, name)
) STRICT;
CREATE TRIGGER pin_once BEFORE INSERT ON pin
WHEN EXISTS (SELECT 1 FROM pin WHERE run = NEW.run AND name = NEW.name)
BEGIN SELECT raise(ABORT, 'a pin is made once'); END;
CREATE TRIGGER pin_stays BEFORE UPDATE ON pin
BEGIN SELECT raise(ABORT, 'pins are never changed'); END;
CREATE TRIGGER pin_remains BEFORE DELETE ON pin
BEGIN SELECT raise(ABORT, 'pins are never deleted'); END;
PRAGMA application_id = 0x4c4c4a31;
PRAGMA user_version = 1;
";

/// The columns of a [`Row`], text as bytes: a damaged text must be named, not refused by a driver.
macro_rules! select_rows {
    ($rest:literal) => {
        concat!(
            "SELECT seq, CAST(step AS BLOB) AS step, attempt, CAST(kind AS BLOB) AS kind, at_ms, \
             CAST(body AS BLOB) AS body, prev, hash FROM row ",
            $rest
        )
    };
}
pub(crate) use select_rows;

/// Opens the only connection that writes, making the database if the place is new.
///
/// A database gets its name only once its tables are durable, so one that is empty or missing
/// beside a run's head or log is damage and never taken for a new journal.
pub(crate) async fn open_writer(place: &Place) -> Result<SqliteConnection, JournalError> {
    let path = place.db();
    if !path.exists() {
        let left = [place.wal(), place.heads()].into_iter().find(|left| {
            left.is_file() || fs::read_dir(left).is_ok_and(|mut entries| entries.next().is_some())
        });
        if let Some(left) = left {
            let reason = format!("it is missing, but `{}` of it is there", left.display());
            return Err(JournalError::Damaged { path, reason });
        }
        create(place).await?;
    }
    for file in [path.clone(), place.wal()] {
        check_private_file(&file)?;
    }
    check_not_empty(&path)?;
    let mut conn = connect_checked(&path, writer_options(&path)).await?;
    // A commit that an abandoned connection still has in its hands is done after this: it held
    // the write lock that is taken here.
    execute(&path, &mut conn, "BEGIN IMMEDIATE").await?;
    execute(&path, &mut conn, "ROLLBACK").await?;
    let dir = place.dir.clone();
    blocking(&place.dir, move || sync_dir(&dir)).await?;
    Ok(conn)
}

/// Opens a connection that only reads.
pub(crate) async fn open_reader(place: &Place) -> Result<SqliteConnection, JournalError> {
    let path = place.db();
    if !path.exists() {
        return Err(JournalError::NoJournal { path });
    }
    check_not_empty(&path)?;
    let options = SqliteConnectOptions::new().filename(&path).read_only(true);
    match connect_checked(&path, options.clone()).await {
        // Not even the shared-memory file can be made: an archive on a read-only medium. Without
        // a log nobody can be writing, and the database file alone is the journal.
        Err(JournalError::NotWritable { .. })
            if fs::metadata(place.wal()).map_or(true, |wal| wal.len() == 0) =>
        {
            connect_checked(&path, options.immutable(true)).await
        }
        other => other,
    }
}

async fn create(place: &Place) -> Result<(), JournalError> {
    let (path, fresh) = (place.db(), place.new_db());
    for suffix in ["", "-wal", "-shm"] {
        let mut left = fresh.clone().into_os_string();
        left.push(suffix);
        match fs::remove_file(&left) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(JournalError::io("remove", Path::new(&left), e));
            }
            _ => {}
        }
    }
    // Made by us first: SQLite gives its log the mode of the database file.
    drop(open_file(&fresh)?);
    let mut conn = connect(&fresh, writer_options(&fresh)).await?;
    execute(&fresh, &mut conn, "BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(TABLES)
        .execute(&mut conn)
        .await
        .map_err(|e| JournalError::database("make the tables", &fresh, e))?;
    execute(&fresh, &mut conn, "COMMIT").await?;
    // Closing carries the log over and removes it; only then is the one file the whole database.
    conn.close()
        .await
        .map_err(|e| JournalError::database("close", &fresh, e))?;
    let dir = place.dir.clone();
    blocking(&place.dir, move || {
        open_file(&fresh)?
            .sync_all()
            .map_err(|e| JournalError::io("flush", &fresh, e))?;
        fs::rename(&fresh, &path).map_err(|e| JournalError::io("name", &path, e))?;
        sync_dir(&dir)
    })
    .await
}

fn writer_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
}

async fn connect_checked(
    path: &Path,
    options: SqliteConnectOptions,
) -> Result<SqliteConnection, JournalError> {
    let mut conn = connect(path, options).await?;
    check(path, &mut conn).await?;
    Ok(conn)
}

async fn connect(
    path: &Path,
    options: SqliteConnectOptions,
) -> Result<SqliteConnection, JournalError> {
    options
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging()
        .connect()
        .await
        .map_err(|e| JournalError::database("open", path, e))
}

fn check_not_empty(path: &Path) -> Result<(), JournalError> {
    let meta = fs::metadata(path).map_err(|e| JournalError::io("look at", path, e))?;
    if meta.len() == 0 {
        return Err(JournalError::Damaged {
            path: path.into(),
            reason: "it is empty".into(),
        });
    }
    Ok(())
}

/// Refuses a library, a schema or a file that is not what this code was written for.
async fn check(path: &Path, conn: &mut SqliteConnection) -> Result<(), JournalError> {
    let failed = |e| JournalError::database("check", path, e);
    let damaged = |reason| JournalError::Damaged {
        path: path.into(),
        reason,
    };
    let found: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&mut *conn)
        .await
        .map_err(failed)?;
    if version(&found) < version(SQLITE_VERSION_MIN) {
        return Err(JournalError::OldSqlite {
            found,
            want: SQLITE_VERSION_MIN,
        });
    }
    let mark: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *conn)
        .await
        .map_err(failed)?;
    if mark != APPLICATION_ID {
        return Err(damaged("it is a database, but not a journal".into()));
    }
    let schema: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *conn)
        .await
        .map_err(failed)?;
    if schema > SCHEMA_VERSION {
        let known = SCHEMA_VERSION;
        return Err(JournalError::NewerSchema {
            path: path.into(),
            found: schema,
            known,
        });
    }
    if schema != SCHEMA_VERSION {
        return Err(damaged(format!(
            "it has schema {schema}, which never existed"
        )));
    }
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(conn)
        .await
        .map_err(failed)?;
    if verdict != "ok" {
        return Err(damaged(verdict));
    }
    Ok(())
}

/// `3.51.3` as numbers that compare; what is no number counts as 0.
fn version(text: &str) -> Vec<u32> {
    text.split('.')
        .map(|part| part.parse().unwrap_or_default())
        .collect()
}

/// Runs a statement without parameters or rows.
pub(crate) async fn execute(
    path: &Path,
    conn: &mut SqliteConnection,
    statement: &'static str,
) -> Result<(), JournalError> {
    match sqlx::raw_sql(statement).execute(conn).await {
        Ok(_) => Ok(()),
        Err(e) => Err(JournalError::database(statement, path, e)),
    }
}

/// A database row as a [`Row`]; what cannot be read as one is `Broken` after `chain`'s last row.
pub(crate) fn decode(run: &str, chain: &Chain<'_>, row: &SqliteRow) -> Result<Row, JournalError> {
    let broken = || chain.broken(BreakReason::Unreadable);
    let text = |column| -> Option<String> { String::from_utf8(row.try_get(column).ok()?).ok() };
    let hash = |column| -> Option<Hash> {
        Some(
            <[u8; 32]>::try_from(row.try_get::<&[u8], _>(column).ok()?)
                .ok()?
                .into(),
        )
    };
    let decoded = || -> Option<Row> {
        Some(Row {
            seq: row.try_get::<i64, _>("seq").ok()?.try_into().ok()?,
            run: run.to_owned(),
            step: match row.try_get::<Option<Vec<u8>>, _>("step").ok()? {
                Some(bytes) => Some(String::from_utf8(bytes).ok()?),
                None => None,
            },
            attempt: row.try_get::<i64, _>("attempt").ok()?.try_into().ok()?,
            kind: text("kind")?,
            body: text("body")?,
            at_ms: row.try_get("at_ms").ok()?,
            prev: hash("prev")?,
            hash: hash("hash")?,
        })
    };
    decoded().ok_or_else(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(version("3.51.2") < version(SQLITE_VERSION_MIN));
        assert!(version("3.9.9") < version(SQLITE_VERSION_MIN));
        assert!(version("3.51.10") > version(SQLITE_VERSION_MIN));
        assert!(version("3.53") > version(SQLITE_VERSION_MIN));
    }
}
