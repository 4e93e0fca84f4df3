//! A restored copy against the database that was dumped, in plain values.
//!
//! A dump is taken while engines write, and how many rows its own moment had nobody can say afterwards. So the rows are
//! counted before the dump and after it, and a table to which rows are only added has in the copy a number between the
//! two. Of the other tables, whose rows come and go, only one thing can be said for certain enough: see `EMPTY_MIN`.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, Family};

/// Tables to which engines only add rows: definitions, and the history's rows of what began. What takes rows away there
/// is a person who deletes deployments or instances, and the clean-up of the history: then the counts fall, and the
/// comparison says that it proves nothing.
const GROWING: [&str; 8] = [
    "ACT_GE_SCHEMA_LOG",
    "ACT_RE_DEPLOYMENT",
    "ACT_RE_PROCDEF",
    "ACT_HI_PROCINST",
    "ACT_HI_ACTINST",
    "ACT_HI_TASKINST",
    "ACT_HI_JOB_LOG",
    "ACT_HI_OP_LOG",
];

/// A table that is not among those that only grow, and holds so many rows before and after the dump, is not empty in an
/// honest copy.
///
/// A hundred: jobs and variables are written and deleted in ones and twos, and nobody deletes a hundred rows and puts
/// them back while a dump runs. A smaller table may stand empty for a moment.
const EMPTY_MIN: u64 = 100;

/// Rows of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Before the dump began.
    pub before: u64,
    /// After it ended.
    pub after: u64,
    /// In the copy.
    pub copy: u64,
}

/// What speaks against a table's copy; none: nothing.
pub fn of_counts(table: &str, rows: Counts) -> Option<String> {
    let Counts {
        before,
        after,
        copy,
    } = rows;
    let is_growing = GROWING.iter().any(|name| name.eq_ignore_ascii_case(table));
    if is_growing && after < before {
        return Some(format!(
            "{table} had {before} rows before the dump and {after} after it: rows were deleted meanwhile, so that the \
             count of the copy, {copy}, proves nothing"
        ));
    }
    if is_growing && !(before..=after).contains(&copy) {
        return Some(format!(
            "{table} has {copy} rows in the copy; it had {before} before the dump and {after} after it"
        ));
    }
    if !is_growing && copy == 0 && before.min(after) >= EMPTY_MIN {
        return Some(format!(
            "{table} is empty in the copy; it had {before} rows before the dump and {after} after it"
        ));
    }
    None
}

/// Each object that the two do not have alike, in words.
pub fn of_catalogs(original: &Catalog, copy: &Catalog, family: Family) -> Vec<String> {
    let original: BTreeMap<_, _> = original.objects(family).collect();
    let copy: BTreeMap<_, _> = copy.objects(family).collect();
    let mut told = Vec::new();
    for (object, form) in &original {
        match copy.get(object) {
            Some(other) if other == form => {}
            Some(_) => told.push(format!("{object} is otherwise in the copy")),
            None => told.push(format!("{object} is missing in the copy")),
        }
    }
    for object in copy.keys().filter(|object| !original.contains_key(object)) {
        told.push(format!("{object} is in the copy alone"));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::fixture::catalog;
    use crate::version::Minor;

    fn told(table: &str, before: u64, after: u64, copy: u64) -> String {
        let rows = Counts {
            before,
            after,
            copy,
        };
        of_counts(table, rows).unwrap_or_default()
    }

    #[test]
    fn a_growing_table_has_a_number_between_before_and_after() {
        for copy in [10, 11, 12] {
            assert_eq!(told("act_hi_procinst", 10, 12, copy), "");
        }
        assert!(told("act_hi_procinst", 10, 12, 9).contains("has 9 rows in the copy"));
        assert!(told("ACT_HI_PROCINST", 10, 12, 13).contains("has 13 rows"));
        assert!(told("ACT_HI_PROCINST", 0, 0, 1).contains("has 1 rows"));
    }

    #[test]
    fn counts_that_fell_prove_nothing() {
        for copy in [8, 9, 10] {
            assert!(told("ACT_HI_ACTINST", 10, 8, copy).contains("proves nothing"));
        }
    }

    #[test]
    fn another_table_is_not_empty_where_it_held_rows_throughout() {
        assert_eq!(told("ACT_RU_JOB", 100, 400, 3), "");
        assert!(told("ACT_RU_JOB", 100, 400, 0).contains("is empty in the copy"));
        assert_eq!(told("ACT_RU_JOB", 99, 400, 0), "");
        assert_eq!(told("ACT_RU_JOB", 400, 0, 0), "");
    }

    #[test]
    fn every_object_that_differs_is_named() {
        let v7_22 = Minor::new(22);
        for family in Family::ALL {
            let original = catalog(family, v7_22);
            assert_eq!(of_catalogs(&original, &original, family), [""; 0]);
            let mut copy = original.clone();
            let index = copy.indexes.pop().unwrap();
            copy.columns[0].nullable = !copy.columns[0].nullable;
            copy.tables.push("ACT_X".into());
            let told = of_catalogs(&original, &copy, family);
            assert_eq!(told.len(), 3, "{told:?}");
            let has = |part: &str| told.iter().any(|line| line.contains(part));
            assert!(has("is missing in the copy") && has("is otherwise") && has("alone"));
            let name = family.folded(&index.name);
            assert!(told.iter().any(|line| line.contains(&name)), "{told:?}");
        }
    }
}
