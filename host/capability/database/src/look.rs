//! What is looked up for a statement: before it is sent, after it, and as the facts that it rests on.

use liftlock_types::sql::{Dialect, Literal, Shape, Statement};
use liftlock_types::{Digest, Facts};
use serde::Serialize;
use serde_json::{Value, json};

use crate::catalog;
use crate::connection::Session;
use crate::judge::{Found, Rows, Verdict, judge};
use crate::literal;
use crate::trouble::Trouble;

/// A statement that cannot be looked for here.
fn cannot(text: String) -> Trouble {
    Trouble::Refused {
        code: "not-understood".into(),
        text,
    }
}

/// What the catalog has of what a statement makes.
pub(crate) async fn find(session: &mut Session, statement: &Statement) -> Result<Found, Trouble> {
    let mut found = Found::default();
    match statement.shape() {
        Shape::AddColumns { table, .. } => found.columns = catalog::columns(session, table).await?,
        Shape::CreateTable { table, .. } => {
            found.columns = catalog::columns(session, table).await?;
            found.constraints = catalog::constraints(session, table).await?;
        }
        Shape::CreateIndex { table, .. } => {
            found.columns = catalog::columns(session, table).await?;
            found.indexes = indexes(session, Some(table)).await?;
        }
        Shape::DropIndex { table, .. } => {
            found.indexes = indexes(session, table.as_deref()).await?
        }
        Shape::AddConstraint { table, .. } => {
            found.columns = catalog::columns(session, table).await?;
            found.constraints = catalog::constraints(session, table).await?;
        }
        Shape::InsertRow {
            table,
            columns,
            values,
        } => {
            found.columns = catalog::columns(session, table).await?;
            if !found.columns.is_empty() {
                found.constraints = catalog::constraints(session, table).await?;
                found.rows = rows(session, table, columns, values, &found).await?;
            }
        }
    }
    Ok(found)
}

/// On PostgreSQL one name is one index of the schema, whatever table it is of.
async fn indexes(
    session: &mut Session,
    table: Option<&str>,
) -> Result<Vec<liftlock_types::facts::database::Index>, Trouble> {
    let pattern = match (session.dialect(), table) {
        (Dialect::Mysql, Some(table)) => table,
        _ => "*",
    };
    catalog::indexes(session, pattern).await
}

/// How many rows have these values.
async fn rows(
    session: &mut Session,
    table: &str,
    columns: &[String],
    values: &[Literal],
    found: &Found,
) -> Result<Rows, Trouble> {
    let names: Vec<&str> = if columns.is_empty() {
        found
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect()
    } else {
        columns.iter().map(String::as_str).collect()
    };
    // A column that is not there yet, since a statement before it adds it: so there is no such row.
    let is_there = |name: &&str| {
        let mut columns = found.columns.iter();
        columns.any(|column| column.name.eq_ignore_ascii_case(name))
    };
    if values.len() > names.len() || !names.iter().all(is_there) {
        return Ok(Rows::default());
    }
    let dialect = session.dialect();
    let pairs: Vec<(&str, &Literal)> = names
        .into_iter()
        .zip(values)
        .filter(|(_, value)| **value != Literal::Now)
        .collect();
    if pairs.is_empty() {
        return Err(cannot(format!(
            "no value of the row for `{table}` can be looked for"
        )));
    }
    let key = found.constraints.iter().find(|it| it.kind == "primary-key");
    let of_key: Vec<(&str, &Literal)> = key
        .into_iter()
        .flat_map(|key| &key.columns)
        .filter_map(|name| {
            pairs
                .iter()
                .find(|(column, _)| column.eq_ignore_ascii_case(name))
                .copied()
        })
        .collect();
    let has_key = key.is_some_and(|key| key.columns.len() == of_key.len());
    let same = count(session, dialect, table, &pairs).await?;
    let same_key = if has_key {
        count(session, dialect, table, &of_key).await?
    } else {
        same
    };
    Ok(Rows { same, same_key })
}

async fn count(
    session: &mut Session,
    dialect: Dialect,
    table: &str,
    pairs: &[(&str, &Literal)],
) -> Result<u64, Trouble> {
    let conditions: Vec<String> = pairs
        .iter()
        .map(|(column, value)| literal::equals(dialect, &dialect.quoted(column), value))
        .collect();
    let text = format!(
        "SELECT count(*) FROM {} WHERE {}",
        dialect.quoted(table),
        conditions.join(" AND ")
    );
    let number = session.one(&text).await?;
    number
        .parse()
        .map_err(|_| cannot(format!("`{number}` is no count")))
}

/// How far the effect of a statement is there.
pub(crate) async fn verdict(
    session: &mut Session,
    statement: &Statement,
) -> Result<Verdict, Trouble> {
    let found = find(session, statement).await?;
    Ok(judge(statement.dialect(), statement.shape(), &found))
}

/// The table that a statement alters, if it is not there.
pub(crate) fn missing_table<'a>(statement: &'a Statement, found: &Found) -> Option<&'a str> {
    match statement.shape() {
        Shape::AddColumns { table, .. }
        | Shape::CreateIndex { table, .. }
        | Shape::AddConstraint { table, .. }
        | Shape::InsertRow { table, .. } => found.columns.is_empty().then_some(table),
        Shape::CreateTable { .. } | Shape::DropIndex { .. } => None,
    }
}

/// What the statement rests on: what is where its effect goes, or null.
pub(crate) async fn facts(session: &mut Session, statement: &Statement) -> Result<Facts, Trouble> {
    let found = find(session, statement).await?;
    let is_unfinished =
        judge(statement.dialect(), statement.shape(), &found) == Verdict::Unfinished;
    let (key, value) = match statement.shape() {
        Shape::AddColumns { table, .. } => (format!("columns/{table}"), hashed(&found.columns)),
        Shape::CreateTable { table, .. } => (format!("table/{table}"), hashed(&found.columns)),
        Shape::CreateIndex { table, name, .. } => (
            index_key(statement.dialect(), Some(table), name),
            index(&found, name, is_unfinished),
        ),
        Shape::DropIndex { table, name } => (
            index_key(statement.dialect(), table.as_deref(), name),
            index(&found, name, false),
        ),
        Shape::AddConstraint { table, name, .. } => {
            let it = found
                .constraints
                .iter()
                .find(|it| it.name.eq_ignore_ascii_case(name));
            (format!("constraint/{table}/{name}"), json!(it))
        }
        Shape::InsertRow { table, .. } => {
            let hash = Digest::of(statement.text().as_bytes()).to_string();
            (format!("row/{table}/{hash}"), json!(found.rows.same))
        }
    };
    Ok(Facts::from([(key, value)]))
}

/// Null for nothing, so that a fact fits in a line.
fn hashed<T: Serialize>(list: &[T]) -> Value {
    if list.is_empty() {
        return Value::Null;
    }
    Digest::of(json!(list).to_string().as_bytes())
        .to_string()
        .into()
}

fn index_key(dialect: Dialect, table: Option<&str>, name: &str) -> String {
    match (dialect, table) {
        (Dialect::Mysql, Some(table)) => format!("index/{table}/{name}"),
        _ => format!("index/{name}"),
    }
}

/// An unfinished one of our definition serves nobody: it counts as none.
fn index(found: &Found, name: &str, is_unfinished: bool) -> Value {
    match found
        .indexes
        .iter()
        .find(|it| it.name.eq_ignore_ascii_case(name))
    {
        Some(index) if !is_unfinished => json!(index),
        _ => Value::Null,
    }
}
