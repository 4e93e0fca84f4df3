//! What the tables of each version are: facts, read off real servers that ran the vendor's own create scripts.
//!
//! One text for each family of scripts, `manifest/FAMILY.txt`, written by `cargo xtask camunda-manifest` and checked
//! by `cargo xtask camunda-manifest --check`. An object is a line; behind `@` stand the versions that have it.
//!
//! Not in it are collation, the order of columns and what a foreign key does on deletion.

mod compare;
mod difference;
#[cfg(test)]
pub(crate) mod fixture;
mod text;

use std::collections::BTreeMap;

pub use compare::Comparison;
pub use difference::Difference;
pub use difference::Fault;

use crate::catalog::Catalog;
use crate::catalog::Family;
use crate::catalog::Form;
use crate::catalog::Object;
use crate::version::Minor;

/// The tables of every version, as one family of scripts makes them.
#[derive(Debug)]
pub struct Manifest {
    family: Family,
    entries: Vec<Entry>,
}

/// One form of one object.
#[derive(Debug)]
struct Entry {
    object: Object,
    form: Form,
    minors: text::Minors,
    by_patch: bool,
}

/// What is expected of one object.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) form: &'a Form,
    /// No script to a minor version brings it: only a patch script does, or the scripts for a new schema.
    pub(crate) by_patch: bool,
}

impl Manifest {
    /// The facts of a family. Some milliseconds of work: once per call of the plugin.
    pub fn of(family: Family) -> Self {
        let mut entries = Vec::new();
        for line in text::read(text::of(family)) {
            for (object, form) in line.catalog.objects(family) {
                entries.push(Entry {
                    object,
                    form,
                    minors: line.minors.clone(),
                    by_patch: line.by_patch,
                });
            }
        }
        Self { family, entries }
    }

    /// Whose scripts.
    pub fn family(&self) -> Family {
        self.family
    }

    /// What a version has, by name.
    pub(crate) fn at(&self, minor: Minor) -> BTreeMap<&Object, Expected<'_>> {
        let of_it = self.entries.iter().filter(|entry| entry.minors.has(minor));
        of_it
            .map(|entry| {
                let expected = Expected {
                    form: &entry.form,
                    by_patch: entry.by_patch,
                };
                (&entry.object, expected)
            })
            .collect()
    }

    /// Whether a later version has the object in this form: a patch script may have been ahead.
    pub(crate) fn is_ahead(&self, minor: Minor, object: &Object, form: &Form) -> bool {
        self.entries.iter().any(|entry| {
            entry.object == *object && entry.form == *form && entry.minors.has_later(minor)
        })
    }

    /// Whether no version after this one has the object: a patch script took it away, and no later one brings it.
    pub(crate) fn is_given_up(&self, minor: Minor, object: &Object) -> bool {
        let mut of_object = self.entries.iter().filter(|entry| entry.object == *object);
        minor < Minor::NEWEST && !of_object.any(|entry| entry.minors.has_later(minor))
    }

    /// Whether an earlier version has the object in this form: a patch script may be missing.
    pub(crate) fn is_behind(&self, minor: Minor, object: &Object, form: &Form) -> bool {
        self.entries.iter().any(|entry| {
            entry.object == *object && entry.form == *form && entry.minors.has_earlier(minor)
        })
    }

    /// Objects that a version has and the one before it has not, or in another form: what a script has to do.
    /// Those that only patch scripts bring are left out.
    pub fn brought_by(&self, to: Minor) -> Vec<Object> {
        let Some(from) = to.previous() else {
            return Vec::new();
        };
        let before = self.at(from);
        let brought = self.at(to).into_iter().filter(|(object, expected)| {
            let is_same = |old: &Expected<'_>| old.form == expected.form;
            !expected.by_patch && !before.get(object).is_some_and(is_same)
        });
        brought.map(|(object, _)| object.clone()).collect()
    }

    /// What is there against what a version has.
    pub fn compare(&self, actual: &Catalog, minor: Minor) -> Comparison {
        compare::compare(self, actual, minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Sort;

    fn count(family: Family, minor: u32, sort: Sort) -> usize {
        let manifest = Manifest::of(family);
        let objects = manifest.at(Minor::new(minor));
        objects.keys().filter(|object| object.sort == sort).count()
    }

    #[test]
    fn holds_what_was_counted_on_servers_by_hand() {
        let of = |sort| count(Family::Postgres, 24, sort);
        assert_eq!(of(Sort::Table), 49);
        assert_eq!(of(Sort::Column), 681);
        assert_eq!(of(Sort::Index), 281);
        assert_eq!(of(Sort::Constraint), 98);
        assert_eq!(count(Family::Mysql, 24, Sort::Column), 682);
        // The `mysql` scripts alone give the log of external tasks a revision, which no engine reads.
        assert_eq!(count(Family::Mariadb, 24, Sort::Column), 681);
    }

    #[test]
    fn each_script_brings_what_its_notes_say() {
        let brought = |family, to| -> Vec<String> {
            let objects = Manifest::of(family).brought_by(Minor::new(to));
            objects.iter().map(Object::to_string).collect()
        };
        assert_eq!(
            brought(Family::Postgres, 22),
            [
                "column act_hi_job_log.batch_id_",
                "column act_hi_procinst.restarted_proc_inst_id_",
                "index act_idx_hi_pro_rst_pro_inst_id on act_hi_procinst",
                "column act_hi_taskinst.task_state_",
                "column act_ru_job.batch_id_",
                "column act_ru_task.task_state_",
            ]
        );
        for family in Family::ALL {
            for nothing in [19, 20, 24] {
                assert_eq!(brought(family, nothing), [""; 0]);
            }
            assert_eq!(brought(family, 23).len(), 2);
        }
    }

    #[test]
    fn a_mariadb_schema_goes_on_with_the_types_of_mysql() {
        let manifest = Manifest::of(Family::Mariadb);
        let kinds: Vec<String> = manifest
            .at(Minor::new(24))
            .into_iter()
            .filter(|(object, _)| object.table == "ACT_RU_TASK" && object.name.contains("CREATE"))
            .map(|(_, expected)| match expected.form {
                Form::Column { kind, .. } => kind.clone(),
                _ => String::new(),
            })
            .collect();
        assert!(kinds.contains(&"datetime(3)".to_owned()), "{kinds:?}");
    }
}
