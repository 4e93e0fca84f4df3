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
mod tests {
    use liftlock_types::sql::Statement;

    use super::*;

    fn column(name: &str, kind: &str, nullable: bool, default: Option<&str>) -> Column {
        Column {
            table: "t".into(),
            name: name.into(),
            kind: kind.into(),
            nullable,
            default: default.map(str::to_owned),
        }
    }

    fn of(dialect: Dialect, text: &str, found: &Found) -> Verdict {
        judge(
            dialect,
            Statement::parse(dialect, text).unwrap().shape(),
            found,
        )
    }

    fn with_columns(columns: Vec<Column>) -> Found {
        Found {
            columns,
            ..Found::default()
        }
    }

    #[test]
    fn a_column_is_the_one_that_is_wanted_in_type_null_and_default() {
        let pg = Dialect::Postgresql;
        let text = "alter table t add column a integer not null default 1, add column b varchar(9) default 'x'";
        let a = || column("a", "integer", false, Some("1"));
        let b = || {
            column(
                "b",
                "character varying(9)",
                true,
                Some("'x'::character varying"),
            )
        };
        assert_eq!(
            of(pg, text, &with_columns(vec![a(), b()])),
            Verdict::Applied
        );
        assert_eq!(of(pg, text, &with_columns(vec![])), Verdict::Absent);
        assert!(
            matches!(of(pg, text, &with_columns(vec![a()])), Verdict::Part(why) if why.contains("`a`"))
        );
        for other in [
            column("a", "bigint", false, Some("1")),
            column("a", "integer", true, Some("1")),
            column("a", "integer", false, Some("2")),
            column("a", "integer", false, None),
        ] {
            let found = with_columns(vec![other, b()]);
            assert!(
                matches!(of(pg, text, &found), Verdict::Other(_)),
                "{found:?}"
            );
        }
    }

    #[test]
    fn defaults_read_as_each_server_writes_them() {
        let pg = Dialect::Postgresql;
        let my = Dialect::Mysql;
        let text = |text: &str| Literal::Text(text.into());
        let number = |text: &str| Literal::Number(text.into());
        for (dialect, wanted, seen) in [
            (pg, Some(Literal::Flag(true)), Some("true")),
            (my, Some(Literal::Flag(true)), Some("1")),
            (pg, Some(Literal::Null), Some("NULL::character varying")),
            (pg, Some(number("-1")), Some("'-1'::integer")),
            (my, Some(number("-1")), Some("-1")),
            (my, Some(text("it's")), Some("'it''s'")),
            (my, Some(text("it's")), Some("'it\\'s'")),
            (my, Some(text("x")), Some("x")),
            (pg, Some(Literal::Now), Some("CURRENT_TIMESTAMP")),
            (my, Some(Literal::Now), Some("current_timestamp()")),
            (my, None, None),
        ] {
            assert!(
                is_default(dialect, wanted.as_ref(), seen),
                "{wanted:?} {seen:?}"
            );
        }
        for (wanted, seen) in [
            (Some(Literal::Flag(true)), Some("false")),
            (Some(text("x")), Some("'y'::character varying")),
            (Some(text("x")), None),
            (None, Some("1")),
            (Some(Literal::Now), Some("random()")),
        ] {
            assert!(
                !is_default(pg, wanted.as_ref(), seen),
                "{wanted:?} {seen:?}"
            );
        }
    }

    #[test]
    fn an_index_is_the_one_that_is_wanted_in_table_columns_order_and_kind() {
        let index = || Index {
            table: "t".into(),
            name: "i".into(),
            columns: vec!["a".into(), "b".into()],
            unique: false,
            primary: false,
            valid: true,
            partial: false,
        };
        let judged = |change: fn(&mut Index)| {
            let mut index = index();
            change(&mut index);
            let found = Found {
                indexes: vec![index],
                ..Found::default()
            };
            of(Dialect::Postgresql, "create index i on t (a, b)", &found)
        };
        assert_eq!(judged(|_| ()), Verdict::Applied);
        assert_eq!(judged(|it| it.valid = false), Verdict::Unfinished);
        assert_eq!(judged(|it| it.name = "j".into()), Verdict::Absent);
        for other in [
            judged(|it| it.table = "u".into()),
            judged(|it| it.columns.reverse()),
            judged(|it| it.unique = true),
            judged(|it| it.partial = true),
        ] {
            assert!(matches!(other, Verdict::Other(_)), "{other:?}");
        }
        let found = Found {
            indexes: vec![index()],
            ..Found::default()
        };
        assert_eq!(
            of(Dialect::Postgresql, "drop index i", &found),
            Verdict::Absent
        );
        assert_eq!(
            of(Dialect::Postgresql, "drop index j", &found),
            Verdict::Applied
        );
        assert_eq!(
            of(Dialect::Mysql, "create index I on t (A, B)", &found),
            Verdict::Applied
        );
    }

    #[test]
    fn a_constraint_and_a_table_are_compared_in_every_part() {
        let pg = Dialect::Postgresql;
        let constraint = Constraint {
            table: "t".into(),
            name: "c".into(),
            kind: "foreign-key".into(),
            columns: vec!["a".into()],
            references: Some("o".into()),
            referred: vec!["b".into()],
        };
        let found = Found {
            constraints: vec![constraint],
            ..Found::default()
        };
        let fk = |rest: &str| {
            of(
                pg,
                &format!("alter table t add constraint c {rest}"),
                &found,
            )
        };
        assert_eq!(fk("foreign key (a) references o (b)"), Verdict::Applied);
        for other in [
            "foreign key (x) references o (b)",
            "foreign key (a) references p (b)",
            "unique (a)",
        ] {
            assert!(matches!(fk(other), Verdict::Other(_)), "{other}");
        }
        let key = |columns: &[&str]| Constraint {
            table: "t".into(),
            name: "t_pkey".into(),
            kind: "primary-key".into(),
            columns: columns.iter().map(ToString::to_string).collect(),
            references: None,
            referred: vec![],
        };
        let table = |columns: Vec<Column>, key: Constraint| Found {
            columns,
            constraints: vec![key],
            ..Found::default()
        };
        let a = || column("a", "integer", false, None);
        let b = || column("b", "text", true, None);
        let text = "create table t (a integer, b text, primary key (a))";
        assert_eq!(
            of(pg, text, &table(vec![a(), b()], key(&["a"]))),
            Verdict::Applied
        );
        for other in [
            table(vec![a()], key(&["a"])),
            table(vec![b(), a()], key(&["a"])),
            table(vec![a(), b()], key(&["b"])),
        ] {
            assert!(
                matches!(of(pg, text, &other), Verdict::Other(_)),
                "{other:?}"
            );
        }
    }

    #[test]
    fn a_row_with_the_key_and_other_values_is_another_row() {
        let with = |same, same_key| Found {
            rows: Rows { same, same_key },
            ..Found::default()
        };
        let judged = |found: &Found| of(Dialect::Postgresql, "insert into t values ('1')", found);
        assert_eq!(judged(&with(1, 1)), Verdict::Applied);
        assert_eq!(judged(&with(0, 0)), Verdict::Absent);
        assert!(matches!(judged(&with(0, 1)), Verdict::Other(_)));
    }
}
