//! What is there against what a version has.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Manifest;
use super::difference::Difference;
use super::difference::Fault;
use crate::catalog::Catalog;
use crate::catalog::Family;
use crate::catalog::Form;
use crate::catalog::Object;
use crate::catalog::Sort;
use crate::version::Minor;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What lacks or is otherwise, table by table. Of a table that lacks, only the table.
    pub differences: Vec<Difference>,
    /// Objects in the form of a later version: brought by a patch script, or by a script that began.
    pub ahead: Vec<Object>,
    /// On the engine's tables, and not the vendor's: an operator's own index, a column of an extension. The
    /// engine takes no notice of them.
    pub extra: Vec<Object>,
}

impl Comparison {
    /// Nothing lacks and nothing is otherwise.
    pub fn is_whole(&self) -> bool {
        self.differences.is_empty()
    }

    /// All that lacks is what only patch scripts bring: slower queries and shorter texts, which the engine of the
    /// first release of the version could do with.
    pub fn lacks_patches_only(&self) -> bool {
        self.differences
            .iter()
            .all(|difference| difference.by_patch)
    }
}

pub(super) fn compare(manifest: &Manifest, actual: &Catalog, minor: Minor) -> Comparison {
    let found: BTreeMap<Object, Form> = actual.objects(manifest.family).collect();
    let expected = manifest.at(minor);
    let mut result = Comparison::default();
    let mut lacking = BTreeSet::new();
    for (object, wanted) in &expected {
        // Tables come before what is on them.
        if lacking.contains(object.table.as_str()) {
            continue;
        }
        let Some(form) = found.get(object) else {
            if object.sort == Sort::Table {
                lacking.insert(object.table.as_str());
            }
            result.differences.push(Difference {
                object: (*object).clone(),
                fault: Fault::Missing,
                by_patch: wanted.by_patch || manifest.is_given_up(minor, object),
            });
            continue;
        };
        let Some(fault) = fault(wanted.form, form) else {
            continue;
        };
        if manifest.is_ahead(minor, object, form) {
            result.ahead.push((*object).clone());
        } else {
            result.differences.push(Difference {
                object: (*object).clone(),
                fault,
                by_patch: wanted.by_patch && manifest.is_behind(minor, object, form),
            });
        }
    }
    for (object, form) in &found {
        if expected.contains_key(object) {
            continue;
        }
        if manifest.is_ahead(minor, object, form) {
            result.ahead.push(object.clone());
        } else if is_on_the_engines(manifest.family, object, &expected) {
            result.extra.push(object.clone());
        }
    }
    result
}

/// Whether an object is on a table of the engine's, or is a table that is named like one.
fn is_on_the_engines<T>(family: Family, object: &Object, expected: &BTreeMap<&Object, T>) -> bool {
    let prefix = match family {
        Family::Postgres => "act_",
        Family::Mysql | Family::Mariadb => "ACT_",
    };
    match object.sort {
        Sort::Table => object.table.starts_with(prefix),
        _ => expected.keys().any(|other| other.table == object.table),
    }
}

fn fault(expected: &Form, found: &Form) -> Option<Fault> {
    match (expected, found) {
        (
            Form::Column {
                kind: kind_expected,
                nullable: nullable_expected,
                default: default_expected,
            },
            Form::Column {
                kind,
                nullable,
                default,
            },
        ) => {
            if kind != kind_expected {
                Some(Fault::Type {
                    expected: kind_expected.clone(),
                    found: kind.clone(),
                })
            } else if nullable != nullable_expected {
                Some(Fault::Nullable { found: *nullable })
            } else if default != default_expected {
                Some(Fault::Default {
                    expected: default_expected.clone(),
                    found: default.clone(),
                })
            } else {
                None
            }
        }
        (
            Form::Index {
                columns: columns_expected,
                unique: unique_expected,
                ..
            },
            Form::Index {
                columns,
                unique,
                valid,
            },
        ) => {
            if columns != columns_expected {
                Some(Fault::Columns {
                    expected: columns_expected.clone(),
                    found: columns.clone(),
                })
            } else if unique != unique_expected {
                Some(Fault::Unique { found: *unique })
            } else if !valid {
                Some(Fault::Invalid)
            } else {
                None
            }
        }
        (
            Form::Constraint {
                kind: kind_expected,
                columns: columns_expected,
                references: references_expected,
            },
            Form::Constraint {
                kind,
                columns,
                references,
            },
        ) => {
            if (kind, references) != (kind_expected, references_expected) {
                Some(Fault::Kind {
                    expected: constraint(kind_expected, references_expected.as_deref()),
                    found: constraint(kind, references.as_deref()),
                })
            } else if columns != columns_expected {
                Some(Fault::Columns {
                    expected: columns_expected.clone(),
                    found: columns.clone(),
                })
            } else {
                None
            }
        }
        // An object's key says of which sort it is, so that two forms are of one.
        _ => None,
    }
}

fn constraint(kind: &str, references: Option<&str>) -> String {
    match references {
        Some(table) => format!("{kind} to {table}"),
        None => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::fixture::catalog;

    const V7_22: Minor = Minor::new(22);

    fn told(actual: &Catalog) -> Vec<String> {
        let manifest = Manifest::of(Family::Postgres);
        let found = manifest.compare(actual, V7_22).differences;
        found.iter().map(Difference::to_string).collect()
    }

    #[test]
    fn a_schema_as_the_vendor_makes_it_is_whole_in_every_version_and_family() {
        for family in Family::ALL {
            let manifest = Manifest::of(family);
            for minor in Minor::all() {
                let found = manifest.compare(&catalog(family, minor), minor);
                assert_eq!(found, Comparison::default(), "{family} {minor}");
            }
        }
    }

    #[test]
    fn says_what_lacks_and_what_is_otherwise() {
        let mut actual = catalog(Family::Postgres, V7_22);
        actual
            .columns
            .retain(|column| column.name != "batch_id_" || column.table != "act_ru_job");
        actual
            .indexes
            .retain(|index| index.name != "act_idx_hi_pro_rst_pro_inst_id");
        for column in &mut actual.columns {
            match (column.table.as_str(), column.name.as_str()) {
                ("act_ru_task", "task_state_") => column.kind = "text".into(),
                ("act_hi_taskinst", "task_state_") => column.nullable = false,
                ("act_ru_job", "repeat_offset_") => column.default = None,
                _ => {}
            }
        }
        for index in &mut actual.indexes {
            match index.name.as_str() {
                "act_idx_job_root_procinst" => index.valid = false,
                "act_idx_job_handler" => index.columns.reverse(),
                "act_idx_job_procinst" => index.unique = true,
                _ => {}
            }
        }
        for constraint in &mut actual.constraints {
            if constraint.name == "act_fk_job_exception" {
                constraint.references = Some("act_ru_job".into());
            }
        }
        assert_eq!(
            told(&actual),
            [
                "index act_idx_hi_pro_rst_pro_inst_id on act_hi_procinst is missing",
                "column act_hi_taskinst.task_state_ may not be null, and should",
                "column act_ru_job.batch_id_ is missing",
                "column act_ru_job.repeat_offset_ has the default none, expected `0`",
                "index act_idx_job_handler on act_ru_job is of (handler_cfg_, handler_type_), \
                 expected (handler_type_, handler_cfg_)",
                "index act_idx_job_procinst on act_ru_job is unique, and should not be",
                "index act_idx_job_root_procinst on act_ru_job is invalid: its concurrent build broke off or goes on",
                "constraint act_fk_job_exception of act_ru_job is a foreign-key to act_ru_job, \
                 expected a foreign-key to act_ge_bytearray",
                "column act_ru_task.task_state_ is `text`, expected `character varying(64)`",
            ]
        );
    }

    #[test]
    fn of_a_table_that_lacks_only_the_table_is_said() {
        let mut actual = catalog(Family::Postgres, V7_22);
        actual.tables.retain(|table| table != "act_re_camformdef");
        actual
            .columns
            .retain(|column| column.table != "act_re_camformdef");
        actual
            .indexes
            .retain(|index| index.table != "act_re_camformdef");
        actual
            .constraints
            .retain(|constraint| constraint.table != "act_re_camformdef");
        assert_eq!(told(&actual), ["table act_re_camformdef is missing"]);
    }

    #[test]
    fn what_is_the_operators_own_is_listed_and_no_difference() {
        let manifest = Manifest::of(Family::Postgres);
        let mut actual = catalog(Family::Postgres, V7_22);
        actual.tables.push("orders".into());
        let mut own = actual.indexes[0].clone();
        own.name = "my_index".into();
        let table = own.table.clone();
        actual.indexes.push(own);
        let found = manifest.compare(&actual, V7_22);
        assert!(found.is_whole());
        let extra: Vec<String> = found.extra.iter().map(Object::to_string).collect();
        assert_eq!(extra, [format!("index my_index on {table}")]);
    }

    #[test]
    fn what_a_patch_script_brings_is_told_from_what_is_broken() {
        let manifest = Manifest::of(Family::Postgres);
        let mut actual = catalog(Family::Postgres, V7_22);
        actual
            .indexes
            .retain(|index| index.name != "act_idx_task_owner");
        for column in &mut actual.columns {
            if (column.table.as_str(), column.name.as_str()) == ("act_hi_actinst", "assignee_") {
                column.kind = "character varying(64)".into();
            }
        }
        let found = manifest.compare(&actual, V7_22);
        assert_eq!(found.differences.len(), 2);
        assert!(found.lacks_patches_only());
        for column in &mut actual.columns {
            if (column.table.as_str(), column.name.as_str()) == ("act_hi_actinst", "assignee_") {
                column.kind = "text".into();
            }
        }
        assert!(!manifest.compare(&actual, V7_22).lacks_patches_only());
    }

    #[test]
    fn the_form_of_a_later_version_is_ahead_and_no_difference() {
        let manifest = Manifest::of(Family::Postgres);
        let later = catalog(Family::Postgres, Minor::new(23));
        let found = manifest.compare(&later, V7_22);
        assert!(found.is_whole());
        let ahead: Vec<String> = found.ahead.iter().map(Object::to_string).collect();
        assert_eq!(
            ahead,
            [
                "column act_hi_comment.rev_",
                "column act_ru_execution.proc_def_key_"
            ]
        );
    }

    #[test]
    fn mysql_may_show_the_same_in_other_words() {
        let manifest = Manifest::of(Family::Mysql);
        let mut actual = catalog(Family::Mysql, V7_22);
        for column in &mut actual.columns {
            column.table = column.table.to_lowercase();
            if column.kind == "int" {
                column.kind = "int(11)".into();
            }
            if column.kind == "timestamp" {
                column.nullable = false;
                column.default = Some("current_timestamp()".into());
            }
        }
        for table in &mut actual.tables {
            *table = table.to_lowercase();
        }
        assert!(manifest.compare(&actual, V7_22).is_whole());
    }
}
