//! What a statement makes against what the catalog shows: pure.

use liftlock_types::facts::database::{Column, Constraint, Index};
use liftlock_types::sql::{Dialect, Literal, NewColumn, NewConstraint, Shape};

/// What was looked up for one statement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// Of the table; empty: there is no such table.
    pub(crate) columns: Vec<Column>,
    /// Those that could be meant: of the schema on PostgreSQL, where a name is one for all tables; else of the table.
    pub(crate) indexes: Vec<Index>,
    /// Of the table.
    pub(crate) constraints: Vec<Constraint>,
    /// Rows like the one that is inserted.
    pub(crate) rows: Rows,
}

/// Rows like the one that is inserted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rows {
    /// Equal in every value that the statement says.
    pub(crate) same: u64,
    /// Equal in the primary key at least.
    pub(crate) same_key: u64,
}

/// How far a statement's effect is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing of it.
    Absent,
    /// All of it.
    Applied,
    /// An index of exactly its definition that is not valid: a build beside writers that failed, or goes on.
    Unfinished,
    /// Some of it: what is there.
    Part(String),
    /// Something else stands in its place: what.
    Other(String),
}

/// One name of the catalog: MySQL and MariaDB tell columns and indexes apart without case.
fn is_same(dialect: Dialect, a: &str, b: &str) -> bool {
    match dialect {
        Dialect::Postgresql => a == b,
        Dialect::Mysql => a.eq_ignore_ascii_case(b),
    }
}

fn are_same(dialect: Dialect, a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(dialect, a, b))
}

/// How far the effect of a statement of this shape is there.
pub(crate) fn judge(dialect: Dialect, shape: &Shape, found: &Found) -> Verdict {
    match shape {
        Shape::AddColumns { columns, .. } => added_columns(dialect, columns, found),
        Shape::CreateIndex { .. } => created_index(dialect, shape, found),
        Shape::DropIndex { name, .. } => {
            let is_there = found
                .indexes
                .iter()
                .any(|index| is_same(dialect, &index.name, name));
            if is_there {
                Verdict::Absent
            } else {
                Verdict::Applied
            }
        }
        Shape::AddConstraint { table, name, what } => {
            added_constraint(dialect, table, name, what, found)
        }
        Shape::CreateTable {
            table,
            columns,
            primary_key,
        } => created_table(dialect, table, columns, primary_key, found),
        Shape::InsertRow { table, .. } => match found.rows {
            Rows { same: 1.., .. } => Verdict::Applied,
            Rows { same_key: 1.., .. } => Verdict::Other(format!(
                "`{table}` has another row under the key of this one"
            )),
            _ => Verdict::Absent,
        },
    }
}

fn added_columns(dialect: Dialect, wanted: &[NewColumn], found: &Found) -> Verdict {
    let mut there = Vec::new();
    for column in wanted {
        let Some(seen) = found
            .columns
            .iter()
            .find(|it| is_same(dialect, &it.name, &column.name))
        else {
            continue;
        };
        if let Some(difference) = difference(dialect, column, column.nullable, seen) {
            return Verdict::Other(difference);
        }
        there.push(format!("`{}`", seen.name));
    }
    match there.len() {
        0 => Verdict::Absent,
        all if all == wanted.len() => Verdict::Applied,
        _ => Verdict::Part(format!("of its columns there is {} only", there.join(", "))),
    }
}

/// In what a column is another than the one that is wanted.
fn difference(
    dialect: Dialect,
    wanted: &NewColumn,
    nullable: bool,
    seen: &Column,
) -> Option<String> {
    let name = format!("`{}.{}`", seen.table, seen.name);
    if seen.kind != wanted.kind {
        return Some(format!("{name} is `{}`, not `{}`", seen.kind, wanted.kind));
    }
    if seen.nullable != nullable {
        let may = if seen.nullable {
            "may be null"
        } else {
            "may not be null"
        };
        return Some(format!("{name} {may}, against the statement"));
    }
    if !is_default(dialect, wanted.default.as_ref(), seen.default.as_deref()) {
        let default = seen.default.as_deref().unwrap_or("none");
        return Some(format!(
            "{name} has the default `{default}`, against the statement"
        ));
    }
    None
}

/// Is the catalog's text of a default this one?
fn is_default(dialect: Dialect, wanted: Option<&Literal>, seen: Option<&str>) -> bool {
    let Some(seen) = seen else {
        return matches!(wanted, None | Some(Literal::Null));
    };
    // `'x'::character varying`, `NULL::character varying`.
    let bare = match (dialect, seen.rsplit_once("::")) {
        (Dialect::Postgresql, Some((before, _))) => before,
        _ => seen,
    };
    let unquoted = bare
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .map_or_else(
            || bare.to_owned(),
            // MariaDB shows a quote with a backslash before it; no text of ours holds one of its own.
            |text| text.replace("''", "'").replace("\\'", "'"),
        );
    match wanted {
        None | Some(Literal::Null) => bare.eq_ignore_ascii_case("null"),
        Some(Literal::Text(text)) => *text == unquoted,
        Some(Literal::Number(number)) => *number == unquoted || format!("({number})") == unquoted,
        Some(Literal::Flag(flag)) => match dialect {
            Dialect::Postgresql => bare == if *flag { "true" } else { "false" },
            Dialect::Mysql => unquoted == if *flag { "1" } else { "0" },
        },
        Some(Literal::Now) => {
            let bare = bare.to_ascii_lowercase();
            bare.starts_with("current_timestamp") || bare == "now()"
        }
    }
}

fn created_index(dialect: Dialect, shape: &Shape, found: &Found) -> Verdict {
    let Shape::CreateIndex {
        table,
        name,
        columns,
        unique,
        ..
    } = shape
    else {
        return Verdict::Absent;
    };
    let Some(seen) = found
        .indexes
        .iter()
        .find(|index| is_same(dialect, &index.name, name))
    else {
        return Verdict::Absent;
    };
    if seen.table != *table {
        return Verdict::Other(format!("`{name}` is an index of `{}`", seen.table));
    }
    if !are_same(dialect, &seen.columns, columns) || seen.unique != *unique || seen.partial {
        let kind = match (seen.unique, seen.partial) {
            (true, true) => "unique, of some rows only, ",
            (true, false) => "unique, ",
            (false, true) => "of some rows only, ",
            (false, false) => "",
        };
        return Verdict::Other(format!(
            "`{name}` is there as {kind}({})",
            seen.columns.join(", ")
        ));
    }
    if seen.valid {
        Verdict::Applied
    } else {
        Verdict::Unfinished
    }
}

fn added_constraint(
    dialect: Dialect,
    table: &str,
    name: &str,
    what: &NewConstraint,
    found: &Found,
) -> Verdict {
    let Some(seen) = found
        .constraints
        .iter()
        .find(|it| is_same(dialect, &it.name, name))
    else {
        return Verdict::Absent;
    };
    let is_it = match what {
        NewConstraint::ForeignKey {
            columns,
            references,
            referred,
        } => {
            seen.kind == "foreign-key"
                && are_same(dialect, &seen.columns, columns)
                && seen.references.as_ref() == Some(references)
                && are_same(dialect, &seen.referred, referred)
        }
        NewConstraint::Unique { columns } => {
            seen.kind == "unique" && are_same(dialect, &seen.columns, columns)
        }
    };
    if is_it {
        return Verdict::Applied;
    }
    let columns = seen.columns.join(", ");
    Verdict::Other(format!(
        "`{name}` of `{table}` is there as {} ({columns})",
        seen.kind
    ))
}

fn created_table(
    dialect: Dialect,
    table: &str,
    columns: &[NewColumn],
    primary_key: &[String],
    found: &Found,
) -> Verdict {
    if found.columns.is_empty() {
        return Verdict::Absent;
    }
    if found.columns.len() != columns.len() {
        return Verdict::Other(format!(
            "`{table}` is there with {} columns, not {}",
            found.columns.len(),
            columns.len()
        ));
    }
    for (wanted, seen) in columns.iter().zip(&found.columns) {
        if !is_same(dialect, &wanted.name, &seen.name) {
            return Verdict::Other(format!(
                "`{table}` is there with `{}` for `{}`",
                seen.name, wanted.name
            ));
        }
        // What is part of the key is never null.
        let nullable = wanted.nullable && !primary_key.contains(&wanted.name);
        if let Some(difference) = difference(dialect, wanted, nullable, seen) {
            return Verdict::Other(difference);
        }
    }
    let none = Vec::new();
    let key = found
        .constraints
        .iter()
        .find(|it| it.kind == "primary-key")
        .map_or(&none, |it| &it.columns);
    if !are_same(dialect, key, primary_key) {
        return Verdict::Other(format!(
            "`{table}` is there with the primary key ({})",
            key.join(", ")
        ));
    }
    Verdict::Applied
}

#[cfg(test)]
mod tests;
