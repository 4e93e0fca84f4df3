//! One `SELECT` over granted tables, with bounds on rows, bytes and time.

use liftlock_types::ReadError;
use liftlock_types::facts::database::Rows;
use liftlock_types::sql::{Dialect, Query};

use crate::connection::Session;
use crate::literal;
use crate::trouble::Trouble;

/// Most rows that a plugin is given.
pub(crate) const ROWS_MAX: usize = 10_000;

/// Most bytes that a plugin is given.
pub(crate) const BYTES_MAX: usize = 4 << 20;

/// A query that this server can be asked, with so many values.
pub(crate) fn check(
    dialect: Dialect,
    query: &Query,
    parameters: &[Option<String>],
) -> Result<(), ReadError> {
    if query.dialect() != dialect {
        return Err(ReadError::Invalid(
            "the query is written for another server".into(),
        ));
    }
    if parameters.len() != query.parameters() {
        return Err(ReadError::Invalid(format!(
            "the query takes {} values, {} were given",
            query.parameters(),
            parameters.len()
        )));
    }
    Ok(())
}

/// Its rows; names of the columns also where there is none.
pub(crate) async fn rows(
    session: &mut Session,
    query: &Query,
    parameters: &[Option<String>],
) -> Result<Rows, Trouble> {
    let numbered = query.dialect() == Dialect::Postgresql;
    let text = literal::filled(query.text(), parameters, numbered);
    let table = session.rows_within(&text, ROWS_MAX, BYTES_MAX).await?;
    let columns = if table.rows.is_empty() {
        session.columns_of(&text).await?
    } else {
        table.columns
    };
    Ok(Rows {
        columns,
        rows: table.rows,
    })
}
