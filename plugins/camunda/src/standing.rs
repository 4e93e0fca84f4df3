//! Which version a schema is of, and how far a script got: the log's word confirmed by the catalog.
//!
//! A script writes its row into the log first and knows no way back, so that after a crash there are rows without
//! columns; somebody who ran parts by hand leaves columns without a row. The catalog is believed, the row is not.

use crate::catalog::Catalog;
use crate::catalog::Object;
use crate::manifest::Comparison;
use crate::manifest::Difference;
use crate::manifest::Fault;
use crate::manifest::Manifest;
use crate::version::Minor;

/// What a schema is, as far as one run is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// All that the version has is there, and nothing that the next script would bring.
    Settled(Settled),
    /// A script began and did not end, or parts of it were run without its row.
    Between(Between),
    /// Something of the version itself lacks or is otherwise, and no script would bring it.
    Damaged {
        /// What the log says.
        minor: Minor,
        /// All of it.
        found: Comparison,
    },
}

/// A schema that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Its version.
    pub minor: Minor,
    /// What only patch scripts bring, and lacks.
    pub patches: Vec<Difference>,
    /// What is not the vendor's.
    pub extra: Vec<Object>,
}

/// A schema between two versions. What is there is skipped, what lacks is done; both in the script's own order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Between {
    /// The version that is whole.
    pub from: Minor,
    /// The version that the script leads to.
    pub to: Minor,
    /// The row of `to` is in the log.
    pub logged: bool,
    /// Objects of the script that are there.
    pub present: Vec<Object>,
    /// Objects of the script that are not.
    pub missing: Vec<Object>,
    /// Objects of the script that are there in another form, of which an index may be invalid: to be looked at by a
    /// person, but for that index.
    pub wrong: Vec<Difference>,
}

impl Standing {
    /// The finding that explains it; none for a schema as it should be.
    pub fn id(&self) -> Option<&'static str> {
        match self {
            Self::Settled(settled) if settled.patches.is_empty() => None,
            Self::Settled(_) => Some("camunda.patch-scripts-missing"),
            Self::Between(between) if between.logged => Some("camunda.half-a-script"),
            Self::Between(_) => Some("camunda.columns-without-row"),
            Self::Damaged { .. } => Some("camunda.schema-damaged"),
        }
    }
}

/// Judges a schema of which the log says `said`.
pub fn standing(manifest: &Manifest, said: Minor, actual: &Catalog) -> Standing {
    let found = manifest.compare(actual, said);
    let ahead = said
        .next()
        .and_then(|to| between(manifest, to, actual))
        .filter(|between| !between.present.is_empty() || !between.wrong.is_empty());
    if found.lacks_patches_only() {
        return match ahead {
            Some(between) => Standing::Between(Between {
                logged: false,
                ..between
            }),
            None => Standing::Settled(Settled {
                minor: said,
                patches: found.differences,
                extra: found.extra,
            }),
        };
    }
    let behind = said.previous().filter(|from| {
        let before = manifest.compare(actual, *from);
        before.lacks_patches_only()
    });
    match behind.and_then(|_| between(manifest, said, actual)) {
        Some(between) => Standing::Between(between),
        None => Standing::Damaged { minor: said, found },
    }
}

/// How much of a script's work is there. None for a script that only writes its row.
fn between(manifest: &Manifest, to: Minor, actual: &Catalog) -> Option<Between> {
    let brought = manifest.brought_by(to);
    if brought.is_empty() {
        return None;
    }
    let found = manifest.compare(actual, to);
    let mut result = Between {
        from: to.previous()?,
        to,
        logged: true,
        present: Vec::new(),
        missing: Vec::new(),
        wrong: Vec::new(),
    };
    for object in brought {
        // Of a table that lacks only the table is a difference.
        let difference = found.differences.iter().find(|difference| {
            let of_its_table = difference.object.sort == crate::catalog::Sort::Table
                && difference.object.table == object.table;
            difference.object == object || of_its_table
        });
        match difference {
            None => result.present.push(object),
            Some(difference) if difference.fault == Fault::Missing => result.missing.push(object),
            Some(difference) if is_old_form(manifest, actual, difference, result.from) => {
                result.missing.push(object);
            }
            Some(difference) => result.wrong.push(difference.clone()),
        }
    }
    Some(result)
}

/// A column that the script would alter is still as the version before has it.
fn is_old_form(
    manifest: &Manifest,
    actual: &Catalog,
    difference: &Difference,
    from: Minor,
) -> bool {
    let is_in = |list: &[Difference]| list.iter().any(|other| other.object == difference.object);
    manifest.at(from).contains_key(&difference.object)
        && !is_in(&manifest.compare(actual, from).differences)
}

/// Every version whose tables are all there, oldest first, whatever the log says; what only patch scripts bring may
/// lack. Versions that differ by a row only are all named, and an older one holds where a newer one does.
pub fn versions_of(manifest: &Manifest, actual: &Catalog) -> Vec<Minor> {
    Minor::all()
        .filter(|minor| manifest.compare(actual, *minor).lacks_patches_only())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Family;
    use crate::manifest::fixture::catalog;

    const V7_21: Minor = Minor::new(21);
    const V7_22: Minor = Minor::new(22);

    fn names(objects: &[Object]) -> Vec<String> {
        objects.iter().map(Object::to_string).collect()
    }

    /// 7.22 without the objects that are named so, and which of them the script had to bring.
    fn half_done(without: &[&str]) -> Catalog {
        let mut actual = catalog(Family::Postgres, V7_22);
        let at = |table: &str, name: &str| !without.contains(&format!("{table}.{name}").as_str());
        actual
            .columns
            .retain(|column| at(&column.table, &column.name));
        actual.indexes.retain(|index| at(&index.table, &index.name));
        actual
    }

    const LAST_OF_7_22: [&str; 3] = [
        "act_hi_job_log.batch_id_",
        "act_hi_procinst.restarted_proc_inst_id_",
        "act_hi_procinst.act_idx_hi_pro_rst_pro_inst_id",
    ];

    #[test]
    fn every_version_is_settled_as_it_is_made() {
        for family in Family::ALL {
            let manifest = Manifest::of(family);
            for minor in Minor::all() {
                let found = standing(&manifest, minor, &catalog(family, minor));
                let Standing::Settled(settled) = found else {
                    panic!("{family} {minor}: {found:?}");
                };
                assert_eq!((settled.minor, settled.patches.len()), (minor, 0));
            }
        }
    }

    #[test]
    fn every_version_without_the_row_of_its_script_is_columns_without_a_row() {
        for family in Family::ALL {
            let manifest = Manifest::of(family);
            for to in Minor::all().skip(1) {
                let brought = manifest.brought_by(to);
                if brought.is_empty() {
                    continue;
                }
                let from = to.previous().unwrap();
                let found = standing(&manifest, from, &catalog(family, to));
                let Standing::Between(between) = found else {
                    panic!("{family} {to}: {found:?}");
                };
                assert_eq!(
                    (between.from, between.to, between.logged),
                    (from, to, false)
                );
                assert_eq!(between.present, brought, "{family} {to}");
                assert!(between.missing.is_empty() && between.wrong.is_empty());
            }
        }
    }

    #[test]
    fn every_row_without_its_columns_is_between() {
        for family in Family::ALL {
            let manifest = Manifest::of(family);
            for to in Minor::all().skip(1) {
                let brought = manifest.brought_by(to);
                if brought.is_empty() {
                    continue;
                }
                let from = to.previous().unwrap();
                let found = standing(&manifest, to, &catalog(family, from));
                let Standing::Between(between) = found else {
                    panic!("{family} {to}: {found:?}");
                };
                assert_eq!((between.from, between.to, between.logged), (from, to, true));
                assert_eq!(between.missing, brought, "{family} {to}");
                assert!(between.present.is_empty() && between.wrong.is_empty());
            }
        }
    }

    #[test]
    fn a_script_that_broke_off_says_what_is_there_and_what_lacks() {
        let manifest = Manifest::of(Family::Postgres);
        let actual = half_done(&LAST_OF_7_22);
        for (said, logged) in [(V7_22, true), (V7_21, false)] {
            let Standing::Between(between) = standing(&manifest, said, &actual) else {
                panic!("{said}");
            };
            assert_eq!((between.to, between.logged), (V7_22, logged));
            assert_eq!(between.present.len(), 3);
            assert_eq!(
                names(&between.missing),
                [
                    "column act_hi_job_log.batch_id_",
                    "column act_hi_procinst.restarted_proc_inst_id_",
                    "index act_idx_hi_pro_rst_pro_inst_id on act_hi_procinst",
                ]
            );
        }
    }

    #[test]
    fn an_invalid_index_of_the_script_is_wrong_and_not_there() {
        let manifest = Manifest::of(Family::Postgres);
        let mut actual = catalog(Family::Postgres, V7_22);
        for index in &mut actual.indexes {
            if index.name == "act_idx_hi_pro_rst_pro_inst_id" {
                index.valid = false;
            }
        }
        let Standing::Between(between) = standing(&manifest, V7_22, &actual) else {
            panic!();
        };
        assert_eq!(between.present.len(), 5);
        assert_eq!(between.wrong[0].fault, Fault::Invalid);
    }

    #[test]
    fn what_no_script_would_bring_is_damage() {
        let manifest = Manifest::of(Family::Postgres);
        let actual = half_done(&["act_ru_task.assignee_"]);
        let Standing::Damaged { found, .. } = standing(&manifest, V7_22, &actual) else {
            panic!();
        };
        assert_eq!(
            found.differences[0].to_string(),
            "column act_ru_task.assignee_ is missing"
        );
        // Two versions behind the log is more than one script.
        let old = catalog(Family::Postgres, Minor::new(20));
        let found = standing(&manifest, V7_22, &old);
        assert!(matches!(found, Standing::Damaged { .. }));
    }

    #[test]
    fn missing_patch_scripts_leave_it_settled_and_are_said() {
        let manifest = Manifest::of(Family::Postgres);
        let actual = half_done(&["act_ru_task.act_idx_task_owner"]);
        let Standing::Settled(settled) = standing(&manifest, V7_22, &actual) else {
            panic!();
        };
        assert_eq!(settled.patches.len(), 1);
    }

    #[test]
    fn versions_that_differ_by_a_row_only_are_all_named() {
        let manifest = Manifest::of(Family::Mysql);
        let of = |minor| versions_of(&manifest, &catalog(Family::Mysql, Minor::new(minor)));
        let last = |minor: u32| of(minor).last().copied();
        assert_eq!(last(18), Some(Minor::new(20)));
        assert_eq!(last(22), Some(V7_22));
        assert_eq!(last(24), Some(Minor::new(24)));
    }
}
