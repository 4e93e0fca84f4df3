//! What a database's own catalog says of its tables.
//!
//! Types are in the server's words (PostgreSQL's `format_type`, MariaDB's `COLUMN_TYPE`), and whole numbers
//! are without a display width, which means nothing and which newer servers do not show.

use std::collections::BTreeMap;

use super::DatabaseAddress;
use super::DatabaseKind;
use crate::error::LabError;

/// Everything that is in one database, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// By table and name.
    pub columns: BTreeMap<(String, String), Column>,
    /// By table and name.
    pub indexes: BTreeMap<(String, String), Index>,
    /// By table and name.
    pub constraints: BTreeMap<(String, String), Constraint>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Column {
    /// Its type.
    pub kind: String,
    /// It may be null.
    pub nullable: bool,
    /// As the catalog shows it.
    pub default: Option<String>,
}

/// One index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Index {
    /// In order, with the length of a prefix behind the name.
    pub columns: Vec<String>,
    /// No two rows alike.
    pub unique: bool,
}

/// One constraint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Constraint {
    /// `primary-key`, `foreign-key`, `unique`, `check`.
    pub kind: String,
    /// Of the table, in order.
    pub columns: Vec<String>,
    /// The other table of a foreign key.
    pub references: Option<String>,
}

// A client's answer loses blanks at its end, so the last value is never empty.

const PG_COLUMNS: &str = "select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), \
    coalesce(pg_get_expr(d.adbin, d.adrelid), ''), not a.attnotnull from pg_attribute a \
    join pg_class c on c.oid = a.attrelid \
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum \
    where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p') \
    and a.attnum > 0 and not a.attisdropped order by 1, a.attnum";

const PG_INDEXES: &str = "select t.relname, i.relname, pg_get_indexdef(x.indexrelid, k, true), \
    x.indisunique from pg_index x join pg_class i on i.oid = x.indexrelid \
    join pg_class t on t.oid = x.indrelid cross join generate_series(1, x.indnkeyatts) k \
    where t.relnamespace = current_schema()::regnamespace order by 1, 2, k";

const PG_CONSTRAINTS: &str = "select t.relname, k.conname, coalesce(a.attname, ''), \
    coalesce(r.relname, ''), case k.contype when 'p' then 'primary-key' when 'f' then 'foreign-key' \
    when 'u' then 'unique' else 'check' end from pg_constraint k join pg_class t on t.oid = k.conrelid \
    left join pg_class r on r.oid = k.confrelid \
    left join lateral unnest(k.conkey) with ordinality u(num, pos) on true \
    left join pg_attribute a on a.attrelid = t.oid and a.attnum = u.num \
    where t.relnamespace = current_schema()::regnamespace and k.contype in ('p', 'f', 'u', 'c') \
    order by 1, 2, u.pos";

const MY_COLUMNS: &str = "select TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, \
    coalesce(COLUMN_DEFAULT, ''), IS_NULLABLE = 'YES' from information_schema.COLUMNS where TABLE_SCHEMA = database() \
    order by 1, ORDINAL_POSITION";

const MY_INDEXES: &str = "select TABLE_NAME, INDEX_NAME, \
    if(SUB_PART is null, COLUMN_NAME, concat(COLUMN_NAME, '(', SUB_PART, ')')), NON_UNIQUE = 0 \
    from information_schema.STATISTICS where TABLE_SCHEMA = database() \
    order by 1, 2, SEQ_IN_INDEX";

const MY_CONSTRAINTS: &str = "select c.TABLE_NAME, c.CONSTRAINT_NAME, \
    coalesce(k.COLUMN_NAME, ''), coalesce(k.REFERENCED_TABLE_NAME, ''), case c.CONSTRAINT_TYPE \
    when 'PRIMARY KEY' then 'primary-key' when 'FOREIGN KEY' then 'foreign-key' \
    when 'UNIQUE' then 'unique' else 'check' end \
    from information_schema.TABLE_CONSTRAINTS c left join information_schema.KEY_COLUMN_USAGE k \
    on k.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA and k.CONSTRAINT_NAME = c.CONSTRAINT_NAME \
    and k.TABLE_NAME = c.TABLE_NAME where c.TABLE_SCHEMA = database() \
    order by 1, 2, k.ORDINAL_POSITION";

/// Types whose width in parentheses is only for showing.
const WHOLE_NUMBERS: [&str; 5] = ["tinyint", "smallint", "mediumint", "int", "bigint"];

impl DatabaseAddress {
    /// Reads the catalog of a database as its owner.
    pub async fn catalog(&self, database: &str) -> Result<Catalog, LabError> {
        let [columns, indexes, constraints] = match self.kind {
            DatabaseKind::PostgreSql => [PG_COLUMNS, PG_INDEXES, PG_CONSTRAINTS],
            DatabaseKind::MariaDb => [MY_COLUMNS, MY_INDEXES, MY_CONSTRAINTS],
        };
        let mut catalog = Catalog::default();
        for [table, name, kind, default, nullable] in self.rows(database, columns).await? {
            let column = Column {
                kind: without_width(&kind).to_owned(),
                nullable: is_true(&nullable),
                // MariaDB writes the word where there is none, PostgreSQL where a script says so.
                default: Some(default)
                    .filter(|text| !text.is_empty() && text.split("::").next() != Some("NULL")),
            };
            catalog.columns.insert((table, name), column);
        }
        for [table, name, column, unique] in self.rows(database, indexes).await? {
            let index = catalog.indexes.entry((table, name)).or_insert(Index {
                columns: Vec::new(),
                unique: is_true(&unique),
            });
            index.columns.push(column);
        }
        for [table, name, column, references, kind] in self.rows(database, constraints).await? {
            let key = (table, name);
            let constraint = catalog.constraints.entry(key).or_insert(Constraint {
                kind,
                columns: Vec::new(),
                references: Some(references).filter(|table| !table.is_empty()),
            });
            constraint
                .columns
                .extend(Some(column).filter(|name| !name.is_empty()));
        }
        Ok(catalog)
    }

    /// Rows of so many values each.
    async fn rows<const WIDTH: usize>(
        &self,
        database: &str,
        sql: &str,
    ) -> Result<Vec<[String; WIDTH]>, LabError> {
        let text = self.sql(database, sql).await?;
        let row = |line: &str| {
            let values: Vec<String> = line.split('\t').map(str::to_owned).collect();
            values
                .try_into()
                .map_err(|_| LabError::malformed("the catalog", format!("a line `{line}`")))
        };
        text.lines().map(row).collect()
    }
}

fn is_true(text: &str) -> bool {
    matches!(text, "t" | "1")
}

fn without_width(kind: &str) -> &str {
    match kind.split_once('(') {
        Some((base, _)) if WHOLE_NUMBERS.contains(&base) => base,
        _ => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_width_means_nothing_on_a_whole_number_only() {
        assert_eq!(without_width("int(11)"), "int");
        assert_eq!(without_width("tinyint(1)"), "tinyint");
        assert_eq!(without_width("varchar(64)"), "varchar(64)");
        assert_eq!(without_width("datetime(3)"), "datetime(3)");
    }
}
