//! What a database says of its tables, in plain values and in one form for all servers.

use std::fmt;

/// Whose scripts made a schema. It stays with them: types differ, also between the two that run on MariaDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// PostgreSQL.
    Postgres,
    /// MySQL; also on MariaDB, where the engine's database type is set to `mysql`.
    Mysql,
    /// MariaDB, whose times have milliseconds. The vendor gave it up with 7.23: a schema of it goes on with the
    /// scripts of [`Family::Mysql`].
    Mariadb,
}

impl Family {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Mysql, Self::Mariadb];

    /// The vendor's word for it, in names of files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Mariadb => "mariadb",
        }
    }

    /// A name as it is compared. MySQL and MariaDB may be set to keep names of tables in lower case, and take no
    /// notice of case in those of columns and indexes; PostgreSQL's are what they are.
    pub(crate) fn folded(self, name: &str) -> String {
        match self {
            Self::Postgres => name.to_owned(),
            Self::Mysql | Self::Mariadb => name.to_uppercase(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Its type in the catalog's words: `character varying(64)`, `datetime(3)`.
    pub kind: String,
    /// It may be null.
    pub nullable: bool,
    /// As the catalog shows it.
    pub default: Option<String>,
}

/// One index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// In order; a prefix with its length, `NAME_(100)`.
    pub columns: Vec<String>,
    /// No two rows alike.
    pub unique: bool,
    /// It is the primary key's.
    pub primary: bool,
    /// Complete and used by queries.
    pub valid: bool,
}

/// One constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// `primary-key`, `foreign-key`, `unique`, `check`.
    pub kind: String,
    /// Of the table, in order.
    pub columns: Vec<String>,
    /// The other table of a foreign key.
    pub references: Option<String>,
}

/// Everything that was read, or that is expected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Names of tables.
    pub tables: Vec<String>,
    /// Columns of them.
    pub columns: Vec<Column>,
    /// Indexes on them.
    pub indexes: Vec<Index>,
    /// Constraints on them.
    pub constraints: Vec<Constraint>,
}

impl Catalog {
    /// On MySQL and MariaDB, whose scripts made the schema: those of MariaDB give times milliseconds. None where the
    /// engine's tables are not there.
    pub fn family_by_types(&self) -> Option<Family> {
        let is_time = |column: &&Column| {
            column.table.eq_ignore_ascii_case("ACT_RE_DEPLOYMENT")
                && column.name.eq_ignore_ascii_case("DEPLOY_TIME_")
        };
        let time = self.columns.iter().find(is_time)?;
        Some(if time.kind.ends_with("(3)") {
            Family::Mariadb
        } else {
            Family::Mysql
        })
    }
}

/// What a catalog holds, by name. Ordered as it should be read: a table before what is on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// Its table.
    pub table: String,
    /// What it is.
    pub sort: Sort,
    /// Its name; of a table none.
    pub name: String,
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// A table itself.
    Table,
    /// A column.
    Column,
    /// An index.
    Index,
    /// A constraint.
    Constraint,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, sort, name } = self;
        match sort {
            Sort::Table => write!(f, "table {table}"),
            Sort::Column => write!(f, "column {table}.{name}"),
            Sort::Index => write!(f, "index {name} on {table}"),
            Sort::Constraint => write!(f, "constraint {name} of {table}"),
        }
    }
}

/// How an object is made, in one form for all servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    Table,
    Column {
        kind: String,
        nullable: bool,
        default: Option<String>,
    },
    Index {
        columns: Vec<String>,
        unique: bool,
        valid: bool,
    },
    Constraint {
        kind: String,
        columns: Vec<String>,
        references: Option<String>,
    },
}

impl Catalog {
    /// Every object with its form; names and values as the family compares them.
    pub(crate) fn objects(&self, family: Family) -> impl Iterator<Item = (Object, Form)> {
        let object = move |table: &str, sort, name: &str| Object {
            table: family.folded(table),
            sort,
            name: family.folded(name),
        };
        let folded = move |names: &[String]| -> Vec<String> {
            names.iter().map(|name| family.folded(name)).collect()
        };
        let tables = self
            .tables
            .iter()
            .map(move |table| (object(table, Sort::Table, ""), Form::Table));
        let columns = self.columns.iter().map(move |column| {
            let form = column_form(family, column);
            (object(&column.table, Sort::Column, &column.name), form)
        });
        let indexes = self.indexes.iter().map(move |index| {
            let form = Form::Index {
                columns: folded(&index.columns),
                unique: index.unique,
                valid: index.valid,
            };
            (object(&index.table, Sort::Index, &index.name), form)
        });
        let constraints = self.constraints.iter().map(move |constraint| {
            let form = Form::Constraint {
                kind: constraint.kind.clone(),
                columns: folded(&constraint.columns),
                references: constraint
                    .references
                    .as_deref()
                    .map(|table| family.folded(table)),
            };
            let key = object(&constraint.table, Sort::Constraint, &constraint.name);
            (key, form)
        });
        tables.chain(columns).chain(indexes).chain(constraints)
    }
}

/// Types of MySQL and MariaDB whose width in parentheses is only for showing; MySQL 8 shows none.
const WHOLE_NUMBERS: [&str; 5] = ["tinyint", "smallint", "mediumint", "int", "bigint"];

fn column_form(family: Family, column: &Column) -> Form {
    let kind = without_width(family, &column.kind).to_lowercase();
    // Whether such a column can be null and what it begins with was decided by a setting of the server when the
    // table was made, `explicit_defaults_for_timestamp`, where the script is silent.
    let is_servers_own = family != Family::Postgres && kind.starts_with("timestamp");
    Form::Column {
        kind,
        nullable: is_servers_own || column.nullable,
        default: column
            .default
            .as_deref()
            .filter(|_| !is_servers_own)
            .and_then(plain_default),
    }
}

fn without_width(family: Family, kind: &str) -> &str {
    match kind.split_once('(') {
        Some((base, _)) if family != Family::Postgres && WHOLE_NUMBERS.contains(&base) => base,
        _ => kind,
    }
}

/// A default without what only one server writes around it: quotes, `::bigint`, and `NULL` for none, which
/// PostgreSQL keeps where a script says `default null`.
fn plain_default(text: &str) -> Option<String> {
    let value = text.split("::").next().unwrap_or(text);
    let value = value
        .strip_prefix('\'')
        .and_then(|value| value.strip_suffix('\''))
        .unwrap_or(value);
    Some(value.to_lowercase()).filter(|value| value != "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_width_of_a_whole_number_means_nothing_on_mysql() {
        assert_eq!(without_width(Family::Mysql, "int(11)"), "int");
        assert_eq!(without_width(Family::Mariadb, "datetime(3)"), "datetime(3)");
        assert_eq!(without_width(Family::Postgres, "bit(1)"), "bit(1)");
    }

    #[test]
    fn a_default_is_the_same_however_a_server_writes_it() {
        assert_eq!(plain_default("'0'::bigint").as_deref(), Some("0"));
        assert_eq!(plain_default("0").as_deref(), Some("0"));
        assert_eq!(plain_default("TRUE").as_deref(), Some("true"));
        assert_eq!(plain_default("NULL::character varying"), None);
        assert_eq!(plain_default("NULL"), None);
    }

    #[test]
    fn the_family_is_told_by_the_types_of_every_version() {
        use crate::manifest::fixture::catalog;
        use crate::version::Minor;
        for minor in Minor::all() {
            for family in [Family::Mysql, Family::Mariadb] {
                assert_eq!(
                    catalog(family, minor).family_by_types(),
                    Some(family),
                    "{minor}"
                );
            }
        }
        assert_eq!(Catalog::default().family_by_types(), None);
    }

    #[test]
    fn case_counts_on_postgresql_only() {
        assert_eq!(
            Family::Mysql.folded("act_ru_job"),
            Family::Mysql.folded("ACT_RU_JOB")
        );
        assert_ne!(
            Family::Postgres.folded("act_ru_job"),
            Family::Postgres.folded("ACT_RU_JOB")
        );
    }
}
