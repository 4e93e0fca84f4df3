//! What the catalog says: tables, columns, indexes, constraints, each of one schema and complete.
//!
//! `{tables}` stands for the condition on the table's name. Tables of ours are left out: they come and go with a run.

use std::collections::BTreeMap;

use liftlock_types::facts::database::{Column, Constraint, Index, Table};
use liftlock_types::sql::{Dialect, OWN_TABLES};

use crate::connection::Session;
use crate::literal;
use crate::trouble::Trouble;

const PG_TABLES: &str = "SELECT c.relname, greatest(c.reltuples, 0)::bigint, pg_table_size(c.oid), \
    pg_indexes_size(c.oid), pg_has_role(c.relowner, 'USAGE') \
    FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') \
    AND {tables} ORDER BY 1";

const PG_COLUMNS: &str = "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, \
    pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 \
    AND NOT a.attisdropped AND {tables} ORDER BY 1, a.attnum";

const PG_INDEXES: &str = "SELECT t.relname, i.relname, pg_get_indexdef(x.indexrelid, k, true), x.indisunique, \
    x.indisprimary, x.indisvalid AND x.indisready, x.indpred IS NOT NULL FROM pg_index x \
    JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
    CROSS JOIN generate_series(1, x.indnkeyatts) k \
    WHERE t.relnamespace = current_schema()::regnamespace AND {tables} ORDER BY 1, 2, k";

const PG_CONSTRAINTS: &str = "SELECT t.relname, k.conname, k.contype, a.attname, r.relname, b.attname FROM pg_constraint k \
    JOIN pg_class t ON t.oid = k.conrelid LEFT JOIN pg_class r ON r.oid = k.confrelid \
    LEFT JOIN LATERAL unnest(k.conkey) WITH ORDINALITY u(num, pos) ON true \
    LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = u.num \
    LEFT JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[u.pos] \
    WHERE t.relnamespace = current_schema()::regnamespace AND k.contype IN ('p', 'f', 'u', 'c') \
    AND {tables} ORDER BY 1, 2, u.pos";

const MY_TABLES: &str = "SELECT t.TABLE_NAME, COALESCE(t.TABLE_ROWS, 0), COALESCE(t.DATA_LENGTH, 0), \
    COALESCE(t.INDEX_LENGTH, 0), \
    EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES p WHERE p.PRIVILEGE_TYPE = 'ALTER' \
        AND p.GRANTEE = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')) \
    OR EXISTS (SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES p WHERE p.PRIVILEGE_TYPE = 'ALTER' \
        AND DATABASE() LIKE p.TABLE_SCHEMA \
        AND p.GRANTEE = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')) \
    OR EXISTS (SELECT 1 FROM information_schema.TABLE_PRIVILEGES p WHERE p.PRIVILEGE_TYPE = 'ALTER' \
        AND p.TABLE_SCHEMA = t.TABLE_SCHEMA AND p.TABLE_NAME = t.TABLE_NAME \
        AND p.GRANTEE = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')) \
    FROM information_schema.TABLES t WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_TYPE = 'BASE TABLE' \
    AND {tables} ORDER BY 1";

const MY_COLUMNS: &str = "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE = 'YES', COLUMN_DEFAULT \
    FROM information_schema.COLUMNS c WHERE c.TABLE_SCHEMA = DATABASE() AND {tables} \
    ORDER BY 1, ORDINAL_POSITION";

const MY_INDEXES: &str = "SELECT TABLE_NAME, INDEX_NAME, \
    IF(SUB_PART IS NULL, COLUMN_NAME, CONCAT(COLUMN_NAME, '(', SUB_PART, ')')), NON_UNIQUE = 0, \
    INDEX_NAME = 'PRIMARY', 1, 0 FROM information_schema.STATISTICS t WHERE t.TABLE_SCHEMA = DATABASE() \
    AND {tables} ORDER BY 1, 2, SEQ_IN_INDEX";

const MY_CONSTRAINTS: &str = "SELECT c.TABLE_NAME, c.CONSTRAINT_NAME, \
    CASE c.CONSTRAINT_TYPE WHEN 'PRIMARY KEY' THEN 'p' WHEN 'FOREIGN KEY' THEN 'f' WHEN 'UNIQUE' THEN 'u' ELSE 'c' END, \
    k.COLUMN_NAME, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME FROM information_schema.TABLE_CONSTRAINTS c \
    LEFT JOIN information_schema.KEY_COLUMN_USAGE k ON k.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA \
    AND k.CONSTRAINT_NAME = c.CONSTRAINT_NAME AND k.TABLE_NAME = c.TABLE_NAME \
    WHERE c.TABLE_SCHEMA = DATABASE() AND {tables} ORDER BY 1, 2, k.ORDINAL_POSITION";

/// Is the name meant by a literal, or by one with a trailing `*`?
fn means(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

/// One row of an answer, value by value.
struct Values(std::vec::IntoIter<Option<String>>);

impl Values {
    fn optional(&mut self) -> Option<String> {
        self.0.next().flatten()
    }

    fn text(&mut self) -> String {
        self.optional().unwrap_or_default()
    }

    fn number(&mut self) -> u64 {
        self.text().parse().unwrap_or(0)
    }

    /// `t` or `1`.
    fn flag(&mut self) -> bool {
        matches!(self.text().as_str(), "t" | "1")
    }
}

impl Session {
    async fn values(
        &mut self,
        postgresql: (&str, &str),
        mysql: (&str, &str),
        pattern: &str,
    ) -> Result<Vec<Values>, Trouble> {
        let (text, column) = match self.dialect() {
            Dialect::Postgresql => postgresql,
            Dialect::Mysql => mysql,
        };
        let text = text.replace("{tables}", &literal::like(column, pattern));
        let rows = self.rows(&text).await?.rows;
        // MySQL and MariaDB compare these names without case.
        Ok(rows
            .into_iter()
            .filter(|row| {
                let table = row.first().and_then(Option::as_deref).unwrap_or_default();
                means(pattern, table) && !OWN_TABLES.contains(&table)
            })
            .map(|row| Values(row.into_iter()))
            .collect())
    }
}

pub(crate) async fn tables(session: &mut Session, pattern: &str) -> Result<Vec<Table>, Trouble> {
    let rows = session
        .values(
            (PG_TABLES, "c.relname"),
            (MY_TABLES, "t.TABLE_NAME"),
            pattern,
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|mut row| Table {
            name: row.text(),
            rows_estimate: row.number(),
            bytes: row.number(),
            index_bytes: row.number(),
            alterable: row.flag(),
        })
        .collect())
}

pub(crate) async fn columns(session: &mut Session, pattern: &str) -> Result<Vec<Column>, Trouble> {
    let is_mysql = session.dialect() == Dialect::Mysql;
    let rows = session
        .values(
            (PG_COLUMNS, "c.relname"),
            (MY_COLUMNS, "c.TABLE_NAME"),
            pattern,
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|mut row| Column {
            table: row.text(),
            name: row.text(),
            kind: without_width(row.text(), is_mysql),
            nullable: row.flag(),
            // MariaDB writes the word where there is none.
            default: row.optional().filter(|text| !(is_mysql && text == "NULL")),
        })
        .collect())
}

/// Display widths of whole numbers mean nothing, and newer servers do not show them.
fn without_width(kind: String, is_mysql: bool) -> String {
    match kind.split_once('(') {
        Some((base, rest)) if is_mysql && base.ends_with("int") => {
            format!(
                "{base}{}",
                rest.split_once(')').map_or("", |(_, after)| after)
            )
        }
        _ => kind,
    }
}

pub(crate) async fn indexes(session: &mut Session, pattern: &str) -> Result<Vec<Index>, Trouble> {
    let mut found: BTreeMap<(String, String), Index> = BTreeMap::new();
    for mut row in session
        .values(
            (PG_INDEXES, "t.relname"),
            (MY_INDEXES, "t.TABLE_NAME"),
            pattern,
        )
        .await?
    {
        let (table, name, column) = (row.text(), row.text(), row.text());
        let index = found
            .entry((table.clone(), name.clone()))
            .or_insert_with(|| Index {
                table,
                name,
                columns: Vec::new(),
                unique: row.flag(),
                primary: row.flag(),
                valid: row.flag(),
                partial: row.flag(),
            });
        index.columns.push(column);
    }
    Ok(found.into_values().collect())
}

pub(crate) async fn constraints(
    session: &mut Session,
    pattern: &str,
) -> Result<Vec<Constraint>, Trouble> {
    let mut found: BTreeMap<(String, String), Constraint> = BTreeMap::new();
    for mut row in session
        .values(
            (PG_CONSTRAINTS, "t.relname"),
            (MY_CONSTRAINTS, "c.TABLE_NAME"),
            pattern,
        )
        .await?
    {
        let (table, name) = (row.text(), row.text());
        let kind = match row.text().as_str() {
            "p" => "primary-key",
            "f" => "foreign-key",
            "u" => "unique",
            _ => "check",
        };
        let (column, references, referred) = (row.optional(), row.optional(), row.optional());
        let constraint = found
            .entry((table.clone(), name.clone()))
            .or_insert_with(|| Constraint {
                table,
                name,
                kind: kind.to_owned(),
                columns: Vec::new(),
                references,
                referred: Vec::new(),
            });
        constraint.columns.extend(column);
        constraint.referred.extend(referred);
    }
    Ok(found.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_width_is_left_out_and_nothing_else() {
        let of = |kind: &str| without_width(kind.to_owned(), true);
        assert_eq!(of("int(11)"), "int");
        assert_eq!(of("bigint(20) unsigned"), "bigint unsigned");
        assert_eq!(of("varchar(64)"), "varchar(64)");
        assert_eq!(of("datetime(3)"), "datetime(3)");
        assert_eq!(without_width("int(11)".into(), false), "int(11)");
    }
}
