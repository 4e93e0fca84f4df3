//! Room for the script's indexes: what they take at the most, and what the database's file system has.

use liftlock_sdk::prelude::*;

use crate::check::found;
use crate::descriptor::DATA;
use crate::estimate::TableSize;
use crate::goal::Goal;
use crate::plan;
use crate::schema::Schema;
use crate::script::Statement;

/// Bytes that a row takes in an index beside its columns: the entry's head, on MariaDB and MySQL the primary key too
/// (36 characters), and the room that pages leave free.
const ROW_BYTES: u64 = 60;

/// Bytes of one column of an index: ids and names of the engine, 36 characters as a rule. A column that is new is null in
/// every row and takes next to nothing; it fills up later.
const COLUMN_BYTES: u64 = 50;

/// An index and the files that its rows are sorted in are on the disk at the same time.
const SORTED: u64 = 2;

/// What an index may take when it is built, on the high side: 110 bytes a row for one column. Of 200,000 ids 59 bytes a
/// row were seen on PostgreSQL 15 and 98 on MariaDB 10.11; of a column without a value 7 and 55.
pub fn index_bytes(statement: &Statement, rows: u64) -> u64 {
    let columns = statement
        .text
        .rsplit_once('(')
        .map_or(1, |(_, list)| list.matches(',').count() as u64 + 1);
    rows.saturating_mul(ROW_BYTES + columns * COLUMN_BYTES)
}

/// Whether the room is enough for all indexes that are still to be made.
pub(crate) fn findings(
    site: &Site,
    schema: &Schema,
    goal: Option<&Goal>,
) -> Result<Option<Finding>> {
    let Some(script) = goal.and_then(|goal| goal.script.as_ref()) else {
        return Ok(None);
    };
    let parts = script.parts();
    let open: Vec<&Statement> = parts
        .indexes
        .iter()
        .filter(|statement| plan::is_open(statement, schema))
        .collect();
    let Some(first) = open.first() else {
        return Ok(None);
    };
    let bytes = open
        .iter()
        .map(|statement| index_bytes(statement, rows(schema, &statement.table)))
        .sum();
    let free = if site.has(DATA) {
        Some(Directory::open(site, DATA)?.space()?.free_bytes)
    } else {
        None
    };
    Ok(judged(&first.name, bytes, free))
}

/// As many rows as the statistics have, or as the table's length speaks for.
fn rows(schema: &Schema, table: &str) -> u64 {
    let is_it = |name: &str| name.eq_ignore_ascii_case(table);
    let found = schema.tables.iter().find(|found| is_it(&found.name));
    found.map_or(0, |found| {
        TableSize {
            name: String::new(),
            rows: found.rows_estimate,
            bytes: found.bytes,
        }
        .rows()
    })
}

/// The indexes' bytes against those that are free; none: nobody can say.
fn judged(index: &str, bytes: u64, free: Option<u64>) -> Option<Finding> {
    let Some(free) = free else {
        return Some(found(
            "camunda.disk-not-checked",
            Severity::Info,
            "database",
            format!(
                "`{index}` and what else the script indexes may take {}, and as much while it is sorted; `{DATA}` is not \
                 bound, and nothing else says what is free",
                mebibytes(bytes)
            ),
        ));
    };
    let severity = match free {
        free if free < bytes => Severity::Blocker,
        free if free < bytes.saturating_mul(SORTED) => Severity::Warning,
        _ => return None,
    };
    Some(found(
        "camunda.disk-short",
        severity,
        DATA,
        format!(
            "{} are free; `{index}` and what else the script indexes may take {}, and as much while it is sorted",
            mebibytes(free),
            mebibytes(bytes)
        ),
    ))
}

/// Rounded up: what is a little is not nothing.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::split;

    #[test]
    fn an_index_takes_more_for_each_column() {
        let of = |sql: &str| index_bytes(&split(sql)[0], 1_000_000);
        assert_eq!(of("create index I on T(A_);\n"), 110_000_000);
        assert_eq!(of("create index I on T(A_, B_);\n"), 160_000_000);
    }

    #[test]
    fn too_little_room_for_the_index_blocks_and_for_its_sorting_warns() {
        let severity = |bytes, free| judged("I", bytes, free).map(|found| found.severity);
        assert_eq!(severity(100, Some(99)), Some(Severity::Blocker));
        assert_eq!(severity(100, Some(199)), Some(Severity::Warning));
        assert_eq!(severity(100, Some(200)), None);
        assert_eq!(severity(0, Some(0)), None);
    }

    #[test]
    fn what_nobody_can_say_is_said_so_and_never_clean() {
        let found = judged("I", 3 << 20, None).unwrap();
        assert_eq!(found.id, "camunda.disk-not-checked");
        assert!(
            found.what.contains("`I`") && found.what.contains("3 MiB"),
            "{}",
            found.what
        );
    }
}
