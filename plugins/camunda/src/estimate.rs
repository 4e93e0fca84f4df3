//! How much work a statement is, and whom it keeps waiting.
//!
//! Work is rows of the database's own statistics: the host turns it into time with what it measured. Where nothing
//! was measured, [`Rate`] is what is assumed, and is shown as that.

use crate::catalog::Family;
use crate::script::Kind;
use crate::script::Script;
use crate::script::Statement;

/// From so many rows on the operator is asked: an index over them keeps writers waiting for about a second.
pub const ROWS_BIG: u64 = 1_000_000;

/// Bytes of a row of the history, at the least, for a table whose rows nobody counted yet: rather too many rows
/// than too few.
const ROW_BYTES_MIN: u64 = 100;

/// What the database's statistics say of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSize {
    /// Its name in the catalog.
    pub name: String,
    /// How many rows; 0 also where they were never counted.
    pub rows: u64,
    /// How long it is without its indexes.
    pub bytes: u64,
}

impl TableSize {
    /// Rows, guessed from the length where they were never counted.
    pub fn rows(&self) -> u64 {
        match self.rows {
            0 => self.bytes / ROW_BYTES_MIN,
            rows => rows,
        }
    }
}

/// What a statement has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// An entry of the catalog, whatever is in the table.
    Moment,
    /// Reads so many rows.
    Reads(u64),
    /// Writes so many rows anew, and needs the room for them.
    Rewrites(u64),
}

/// Whom a statement keeps waiting while it works. Each of them also waits for, and then holds, the table for a
/// moment: behind a statement that waits for a long transaction everybody waits, so that it must give up soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holds {
    /// Nobody.
    Nobody,
    /// Who writes to the table.
    Writers,
    /// Who reads it too.
    Everybody,
}

/// What one statement is expected to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// Its table, as the script writes it.
    pub table: String,
    /// Its object: the index, the column.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// How much.
    pub work: Work,
    /// For whom.
    pub holds: Holds,
}

impl Estimate {
    /// Whether the operator should know it before: much work that keeps somebody waiting, or writes tables anew.
    pub fn is_big(&self) -> bool {
        match self.work {
            Work::Moment => false,
            Work::Reads(rows) => rows >= ROWS_BIG && self.holds != Holds::Nobody,
            Work::Rewrites(rows) => rows >= ROWS_BIG,
        }
    }
}

/// What each statement of a script is expected to be, in the script's order.
pub fn estimate(script: &Script, schema: Family, sizes: &[TableSize]) -> Vec<Estimate> {
    let statements = script.statements.iter();
    statements
        .map(|statement| of_statement(statement, schema, sizes))
        .collect()
}

fn of_statement(statement: &Statement, schema: Family, sizes: &[TableSize]) -> Estimate {
    let rows = rows_of(&statement.table, schema, sizes);
    let (work, holds) = match (statement.kind, schema) {
        // Without a value in each row that is there: none of the vendor's columns is given one that is not constant.
        (Kind::Table | Kind::Column | Kind::DropIndex, _) => (Work::Moment, Holds::Nobody),
        (Kind::LogRow | Kind::Row, _) => (Work::Moment, Holds::Nobody),
        (Kind::Index, Family::Postgres) => (Work::Reads(rows), Holds::Writers),
        (Kind::Index, Family::Mysql | Family::Mariadb) => (Work::Reads(rows), Holds::Nobody),
        (Kind::Constraint, Family::Postgres) => (Work::Reads(rows), Holds::Writers),
        (Kind::AlterColumn, Family::Postgres) => (Work::Moment, Holds::Nobody),
        // InnoDB copies the table to add a foreign key that it is to check, or to change a type.
        (Kind::Constraint | Kind::AlterColumn, Family::Mysql | Family::Mariadb) => {
            (Work::Rewrites(rows), Holds::Writers)
        }
        (Kind::Rows, _) => (Work::Rewrites(rows), Holds::Writers),
        (Kind::Other, _) => (Work::Rewrites(rows), Holds::Everybody),
    };
    Estimate {
        table: statement.table.clone(),
        name: statement.name.clone(),
        kind: statement.kind,
        work,
        holds,
    }
}

/// Names in scripts are upper case; PostgreSQL keeps them in lower case.
fn rows_of(table: &str, schema: Family, sizes: &[TableSize]) -> u64 {
    let name = match schema {
        Family::Postgres => table.to_lowercase(),
        Family::Mysql | Family::Mariadb => schema.folded(table),
    };
    sizes
        .iter()
        .find(|size| schema.folded(&size.name) == name)
        .map_or(0, TableSize::rows)
}

/// How long work takes, where nothing was measured on the site.
#[derive(Debug, PartialEq)]
pub struct Rate {
    /// For a million rows.
    pub seconds_per_million_rows: f64,
    /// Where that is known from.
    pub source: &'static str,
}

/// Building an index; none where nobody ever measured it.
pub fn index_rate(schema: Family) -> Option<Rate> {
    match schema {
        Family::Postgres => Some(Rate {
            seconds_per_million_rows: 0.9,
            source: "measured by the vendor's engineers on PostgreSQL 16 (camunda/camunda#58035), where 100 million rows \
                     took 89 s; 0.36 s a million were seen on PostgreSQL 15 for a new, empty column",
        }),
        Family::Mysql | Family::Mariadb => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::split;
    use crate::version::Minor;

    const SCRIPT: &str = "insert into ACT_GE_SCHEMA_LOG values ('1100', CURRENT_TIMESTAMP, '7.22.0');\n\
        alter table ACT_HI_PROCINST add X_ varchar(64);\n\
        create index I on ACT_HI_PROCINST(X_);\n\
        alter table ACT_RU_VARIABLE add constraint F foreign key (B_) references ACT_RU_BATCH(ID_);\n\
        alter table ACT_RU_JOB modify column DUEDATE_ datetime(3);\n";

    fn estimates(schema: Family, names: fn(&str) -> String) -> Vec<(Work, Holds)> {
        let script = Script {
            to: Minor::new(22),
            sha256: "",
            statements: split(SCRIPT),
        };
        let size = |name: &str, rows, bytes| TableSize {
            name: names(name),
            rows,
            bytes,
        };
        let sizes = [
            size("ACT_HI_PROCINST", 5_000_000, 1),
            size("ACT_RU_VARIABLE", 0, 30_000),
        ];
        let found = estimate(&script, schema, &sizes);
        let big: Vec<&str> = found
            .iter()
            .filter(|one| one.is_big())
            .map(|one| one.name.as_str())
            .collect();
        let expected: &[&str] = match schema {
            Family::Postgres => &["I"],
            Family::Mysql | Family::Mariadb => &[],
        };
        assert_eq!(big, expected);
        found.iter().map(|one| (one.work, one.holds)).collect()
    }

    #[test]
    fn an_index_keeps_writers_of_postgresql_waiting_for_as_long_as_its_table() {
        assert_eq!(
            estimates(Family::Postgres, str::to_lowercase),
            [
                (Work::Moment, Holds::Nobody),
                (Work::Moment, Holds::Nobody),
                (Work::Reads(5_000_000), Holds::Writers),
                (Work::Reads(300), Holds::Writers),
                (Work::Moment, Holds::Nobody),
            ]
        );
    }

    #[test]
    fn mariadb_builds_an_index_beside_its_writers_and_copies_for_a_type() {
        for names in [str::to_lowercase, str::to_uppercase] {
            assert_eq!(
                estimates(Family::Mariadb, names),
                [
                    (Work::Moment, Holds::Nobody),
                    (Work::Moment, Holds::Nobody),
                    (Work::Reads(5_000_000), Holds::Nobody),
                    (Work::Rewrites(300), Holds::Writers),
                    (Work::Rewrites(0), Holds::Writers),
                ]
            );
        }
    }

    #[test]
    fn a_rate_is_only_given_where_somebody_measured_it() {
        assert!(
            index_rate(Family::Postgres).is_some_and(|rate| rate.seconds_per_million_rows > 0.0)
        );
        assert_eq!(index_rate(Family::Mariadb), None);
    }
}
