//! The statements on rows and pins.

use std::path::Path;

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::chain::{Chain, Hash, NewRow, Row};
use crate::error::JournalError;
use crate::head::Head;
use crate::journal::JournalState;
use crate::schema::{decode, select_rows};

/// SQLite's integers are signed; a number past them is past every row.
pub(crate) fn as_i64(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

pub(crate) async fn measure(
    path: &Path,
    conn: &mut SqliteConnection,
    run: &str,
    head: Option<&Head>,
) -> Result<JournalState, JournalError> {
    let Some(head) = head else {
        return Ok(JournalState::Whole);
    };
    match fetch_row(path, conn, run, head.seq).await? {
        Some(row) if row.hash == head.hash => Ok(JournalState::Whole),
        Some(_) => Ok(JournalState::HeadDiffers { seq: head.seq }),
        None => {
            let last = fetch_last(path, conn, run).await?;
            let journal_seq = last.map_or(0, |row| row.seq);
            Ok(JournalState::BehindHead {
                head_seq: head.seq,
                journal_seq,
            })
        }
    }
}

pub(crate) async fn fetch_row(
    path: &Path,
    conn: &mut SqliteConnection,
    run: &str,
    seq: u64,
) -> Result<Option<Row>, JournalError> {
    let query = sqlx::query(select_rows!("WHERE run = ? AND seq = ?"))
        .bind(run)
        .bind(as_i64(seq));
    one(path, run, query.fetch_optional(conn).await)
}

pub(crate) async fn fetch_last(
    path: &Path,
    conn: &mut SqliteConnection,
    run: &str,
) -> Result<Option<Row>, JournalError> {
    let query = sqlx::query(select_rows!("WHERE run = ? ORDER BY seq DESC LIMIT 1")).bind(run);
    one(path, run, query.fetch_optional(conn).await)
}

pub(crate) async fn fetch_keyed(
    path: &Path,
    conn: &mut SqliteConnection,
    run: &str,
    key: &NewRow,
) -> Result<Option<Row>, JournalError> {
    let query = sqlx::query(select_rows!(
        "WHERE run = ? AND ifnull(step, '') = ? AND attempt = ? AND kind = ?"
    ))
    .bind(run)
    .bind(key.step.as_deref().unwrap_or_default())
    .bind(i64::from(key.attempt))
    .bind(&key.kind);
    one(path, run, query.fetch_optional(conn).await)
}

pub(crate) fn one(
    path: &Path,
    run: &str,
    found: Result<Option<SqliteRow>, sqlx::Error>,
) -> Result<Option<Row>, JournalError> {
    let Some(found) = found.map_err(|e| JournalError::database("read a row", path, e))? else {
        return Ok(None);
    };
    let seq: i64 = found
        .try_get("seq")
        .map_err(|e| JournalError::database("read a row", path, e))?;
    let mut before = Chain::new(path, run);
    before.seq = seq.unsigned_abs().saturating_sub(1);
    decode(run, &before, &found).map(Some)
}

pub(crate) async fn insert(
    path: &Path,
    conn: &mut SqliteConnection,
    row: &Row,
) -> Result<(), JournalError> {
    sqlx::query(
        "INSERT INTO row (run, seq, step, attempt, kind, at_ms, body, prev, hash) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&row.run)
    .bind(as_i64(row.seq))
    .bind(&row.step)
    .bind(i64::from(row.attempt))
    .bind(&row.kind)
    .bind(row.at_ms)
    .bind(&row.body)
    .bind(row.prev.as_bytes().as_slice())
    .bind(row.hash.as_bytes().as_slice())
    .execute(conn)
    .await
    .map(|_| ())
    .map_err(|e| JournalError::database("append a row", path, e))
}

pub(crate) async fn insert_pin(
    path: &Path,
    conn: &mut SqliteConnection,
    run: &str,
    name: &str,
    hash: Hash,
) -> Result<(), JournalError> {
    sqlx::query("INSERT INTO pin (run, name, sha256) VALUES (?, ?, ?)")
        .bind(run)
        .bind(name)
        .bind(hash.as_bytes().as_slice())
        .execute(conn)
        .await
        .map(|_| ())
        .map_err(|e| JournalError::database("record a pin", path, e))
}

pub(crate) async fn fetch_pin(
    path: &Path,
    conn: &mut SqliteConnection,
    run: &str,
    name: &str,
) -> Result<Option<Hash>, JournalError> {
    sqlx::query("SELECT sha256 FROM pin WHERE run = ? AND name = ?")
        .bind(run)
        .bind(name)
        .fetch_optional(conn)
        .await
        .and_then(|row| row.as_ref().map(pin_of).transpose())
        .map_err(|e| JournalError::database("read a pin", path, e))
}

pub(crate) fn pin_of(row: &SqliteRow) -> Result<Hash, sqlx::Error> {
    let bytes: &[u8] = row.try_get("sha256")?;
    let bytes = <[u8; 32]>::try_from(bytes).map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
    Ok(bytes.into())
}
