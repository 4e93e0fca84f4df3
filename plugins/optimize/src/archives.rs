//! Telling an archive of process instances from a process whose key begins with `archive-`.
//!
//! Both have the index name `process-instance-archive-KEY_v8`, and both can have the same aliases. The vendor's
//! plan to 8.6 goes by the name alone, and so deletes the live data of such a process. Here an index is an archive
//! only where something says so and nothing speaks against it:
//!
//! - a process: a definition with the key `archive-KEY` is there, or a document of a process with that key;
//! - an archive: nothing of that, and the process `KEY`, whose archive it is, is there or was: as an index, a
//!   definition, or by the documents in the archive itself, which name it.
//!
//! What is neither is for a person to decide.

use std::collections::{BTreeMap, BTreeSet};

use liftlock_sdk::prelude::*;

use crate::names::{Kind, Names};
use crate::step::ARCHIVE;

/// What an index of that name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Archive {
    /// An archive: why.
    Yes(String),
    /// A process of its own: why.
    Process(String),
    /// Nothing says which.
    Unsure,
}

/// What was counted about one of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Signs {
    /// All documents in it.
    pub(crate) documents: u64,
    /// Definitions with the key `archive-KEY`.
    pub(crate) own_definitions: u64,
    /// Its documents of a process with the key `archive-KEY`.
    pub(crate) own_documents: u64,
    /// Definitions with the key `KEY`.
    pub(crate) archived_definitions: u64,
    /// Its documents of the process with the key `KEY`.
    pub(crate) archived_documents: u64,
    /// The index of the process `KEY` is there.
    pub(crate) archived_index: bool,
}

impl Signs {
    /// What they come to.
    pub(crate) fn verdict(self, key: &str) -> Archive {
        if self.own_definitions > 0 {
            Archive::Process(format!("a process definition has the key `archive-{key}`"))
        } else if self.own_documents > 0 {
            Archive::Process(format!(
                "{} of its documents are of a process `archive-{key}`",
                self.own_documents
            ))
        } else if self.documents > self.archived_documents {
            Archive::Unsure
        } else if self.archived_documents > 0 {
            Archive::Yes(format!(
                "all of its {} documents are of the process `{key}`",
                self.archived_documents
            ))
        } else if self.archived_index || self.archived_definitions > 0 {
            Archive::Yes(format!(
                "the process `{key}` is there, and no process `archive-{key}`"
            ))
        } else {
            Archive::Unsure
        }
    }
}

/// The key of the process whose archive an index would be, from its name.
pub(crate) fn archived_key(names: &Names, index: &str) -> Option<String> {
    match names.kind(index) {
        Kind::ProcessInstance(key) => key.strip_prefix("archive-").map(ToOwned::to_owned),
        _ => None,
    }
}

/// The step's name of the archive of a process.
pub(crate) fn step_name(key: &str) -> String {
    format!("{ARCHIVE}{key}")
}

/// Looks at each index of that name.
pub(crate) fn read(
    database: &Cluster,
    names: &Names,
    indices: &[Index],
) -> Result<BTreeMap<String, Archive>> {
    let definitions = indices
        .iter()
        .find(|index| index.open && names.kind(&index.name) == Kind::Fixed("process-definition"));
    let mut processes = BTreeSet::new();
    for index in indices {
        if let Kind::ProcessInstance(key) = names.kind(&index.name) {
            processes.insert(key);
        }
    }
    let mut found = BTreeMap::new();
    for index in indices.iter().filter(|index| index.open) {
        let Some(key) = archived_key(names, &index.name) else {
            continue;
        };
        // An index name is the key in lower case.
        let of = |field: &str, key: &str| json!({ "term": { field: { "value": key, "case_insensitive": true } } });
        let counted = |on: &str, field: &str, key: &str| {
            let query = of(field, key).to_string();
            Ok::<_, Error>(
                database
                    .count(on, Some(&query))
                    .found()?
                    .unwrap_or_default(),
            )
        };
        let own = format!("archive-{key}");
        let mut signs = Signs {
            documents: database
                .count(&index.name, None)
                .found()?
                .unwrap_or_default(),
            own_documents: counted(&index.name, "processDefinitionKey", &own)?,
            archived_documents: counted(&index.name, "processDefinitionKey", &key)?,
            archived_index: processes.contains(&key),
            ..Signs::default()
        };
        if let Some(definitions) = definitions {
            signs.own_definitions = counted(&definitions.name, "key", &own)?;
            signs.archived_definitions = counted(&definitions.name, "key", &key)?;
        }
        found.insert(index.name.clone(), signs.verdict(&key));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_one_only_where_something_says_so_and_nothing_speaks_against_it() {
        let verdict = |signs: Signs| signs.verdict("invoice");
        let none = Signs::default();
        assert_eq!(verdict(none), Archive::Unsure);
        for archive in [
            Signs {
                archived_index: true,
                ..none
            },
            Signs {
                archived_definitions: 1,
                ..none
            },
            Signs {
                documents: 3,
                archived_documents: 3,
                ..none
            },
        ] {
            assert!(matches!(verdict(archive), Archive::Yes(_)), "{archive:?}");
            for process in [
                Signs {
                    own_definitions: 1,
                    ..archive
                },
                Signs {
                    own_documents: 1,
                    ..archive
                },
            ] {
                assert!(
                    matches!(verdict(process), Archive::Process(_)),
                    "{process:?}"
                );
            }
        }
    }

    #[test]
    fn documents_that_name_no_process_are_for_a_person() {
        let signs = Signs {
            documents: 4,
            archived_documents: 3,
            archived_index: true,
            ..Signs::default()
        };
        assert_eq!(signs.verdict("invoice"), Archive::Unsure);
    }

    #[test]
    fn only_a_key_that_begins_so_could_be_an_archive() {
        let names = Names::new("acme");
        let key = |index: &str| archived_key(&names, index);
        assert_eq!(
            key("acme-process-instance-archive-a_v8").as_deref(),
            Some("a")
        );
        assert_eq!(key("acme-process-instance-archive_v8"), None);
        assert_eq!(key("acme-process-instance-a_v8"), None);
        assert_eq!(key("acme-decision-instance-archive-a_v5"), None);
    }
}
