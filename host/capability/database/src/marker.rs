//! The marker of a transaction: a row that is there if and only if the transaction was committed.
//!
//! PostgreSQL only. The table comes and goes with its rows.

use liftlock_types::sql::OWN_TABLES;

use crate::connection::Session;
use crate::literal;
use crate::trouble::Trouble;

/// Its table, in the schema of the binding.
pub(crate) const MARKER: &str = OWN_TABLES[1];

/// Writes it, as the first part of a transaction. False: it is there, so the same transaction was committed before.
pub(crate) async fn write(session: &mut Session, token: &str) -> Result<bool, Trouble> {
    let table = format!(
        "CREATE TABLE IF NOT EXISTS {MARKER} (token text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
    );
    session.run(&table).await.map_err(or_again)?;
    let row = format!(
        "INSERT INTO {MARKER} (token) VALUES ({}) ON CONFLICT DO NOTHING RETURNING token",
        literal::text(token)
    );
    let written = session.rows(&row).await.map_err(or_again)?;
    Ok(!written.rows.is_empty())
}

/// Another transaction of ours makes or drops the table at this moment: all of this one is tried again.
fn or_again(trouble: Trouble) -> Trouble {
    if trouble.is_made_at_once() || trouble.is(&["42P01"]) {
        return Trouble::Refused {
            code: "40001".into(),
            text: format!("`{MARKER}` comes and goes: {trouble:?}"),
        };
    }
    trouble
}

/// Is it there?
pub(crate) async fn is_there(session: &mut Session, token: &str) -> Result<bool, Trouble> {
    let text = format!(
        "SELECT token FROM {MARKER} WHERE token = {}",
        literal::text(token)
    );
    match session.rows(&text).await {
        Ok(table) => Ok(!table.rows.is_empty()),
        Err(trouble) if trouble.is(&["42P01"]) => Ok(false),
        Err(trouble) => Err(trouble),
    }
}

/// Takes it off, and the table with the last one. Gone already is fine.
pub(crate) async fn remove(session: &mut Session, token: &str) -> Result<(), Trouble> {
    let condition = format!("token = {}", literal::text(token));
    remove_last(session, MARKER, &condition).await
}

/// Removes rows of a table of ours, and the table when it is empty then. Whoever writes a row meanwhile waits, and
/// makes the table again.
pub(crate) async fn remove_last(
    session: &mut Session,
    table: &str,
    condition: &str,
) -> Result<(), Trouble> {
    let text = format!(
        "BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; DELETE FROM {table} WHERE {condition}"
    );
    let removed = async {
        session.run(&text).await?;
        if session
            .one(&format!("SELECT count(*) FROM {table}"))
            .await?
            == "0"
        {
            session.run(&format!("DROP TABLE {table}")).await?;
        }
        session.run("COMMIT").await
    }
    .await;
    match removed {
        Err(trouble) if trouble.is(&["42P01"]) => Ok(()),
        other => other,
    }
}
