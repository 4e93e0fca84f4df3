//! An undo takes back what its step did, and nothing else.
//!
//! A plan shows a step with its undo in small print behind it. A plugin that proposes a harmless change with an undo
//! that deletes something would have its way as soon as the run is rolled back, when people are least likely to look.

use liftlock_types::{Change, Denied, Grant, Planned, Step, Undo};

use crate::FreezeError;

/// Refuses an undo that names what its change does not, that takes away what its change did not make, or that is
/// more of a verb than was granted.
pub(crate) fn check(steps: &[Step], grant: &Grant) -> Result<(), FreezeError> {
    for step in steps {
        let (Some(done), Undo::Changes(undos)) = (step.change(), &step.undo) else {
            continue;
        };
        for undo in undos {
            takes_back(done, undo).map_err(|why| FreezeError::Undo {
                step: step.id.clone(),
                why,
            })?;
        }
    }
    let undos = steps.iter().flat_map(|step| match &step.undo {
        Undo::Changes(undos) => undos.as_slice(),
        _ => &[],
    });
    grant.allow_amount(undos).map_err(|denied| {
        FreezeError::TooMuch(Denied {
            rule: format!("its undos: {}", denied.rule),
            ..denied
        })
    })
}

fn takes_back(done: &Planned, undo: &Planned) -> Result<(), String> {
    let verb = undo.change.verb();
    if undo.binding != done.binding {
        return Err(format!(
            "its undo `{verb}` is on `{}`, its change on `{}`",
            undo.binding, done.binding
        ));
    }
    let names = done.change.names();
    if let Some(other) = undo
        .change
        .names()
        .iter()
        .find(|name| !names.contains(name))
    {
        return Err(format!(
            "its undo `{verb}` names `{}`, which its change does not",
            other.escape_debug()
        ));
    }
    let takes_away =
        undo.change.rule().destructive || matches!(undo.change, Change::DeleteDocument { .. });
    if takes_away && !makes(&done.change, &undo.change) {
        return Err(format!(
            "its undo `{verb}` takes away what its change did not make"
        ));
    }
    Ok(())
}

/// The one makes exactly the thing that the other takes away.
fn makes(done: &Change, undo: &Change) -> bool {
    match (done, undo) {
        (
            Change::CreateDocument { index, id, .. },
            Change::DeleteDocument {
                index: in_index,
                id: with_id,
                ..
            },
        ) => index == in_index && id == with_id,
        (Change::WriteFile { .. } | Change::CopyFile { .. }, Change::RemoveFile { .. })
        | (Change::CreateIndex { .. }, Change::DeleteIndex { .. })
        | (Change::TakeSnapshot { .. }, Change::DeleteSnapshot { .. }) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use liftlock_types::{Binding, DocumentId, FileName, IndexName, Json};

    use super::*;

    fn planned(binding: &str, change: Change) -> Planned {
        Planned {
            binding: Binding::new(binding).unwrap(),
            change,
            fills: vec![],
        }
    }

    fn settings(binding: &str, index: &str) -> Planned {
        let change = Change::PutSettings {
            index: IndexName::new(index).unwrap(),
            settings: Json::new("{}").unwrap(),
        };
        planned(binding, change)
    }

    fn create(id: &str) -> Planned {
        let change = Change::CreateDocument {
            index: IndexName::new("a").unwrap(),
            id: DocumentId::new(id).unwrap(),
            document: Json::new("{}").unwrap(),
        };
        planned("cluster.database", change)
    }

    fn delete(id: &str) -> Planned {
        let change = Change::DeleteDocument {
            index: IndexName::new("a").unwrap(),
            id: DocumentId::new(id).unwrap(),
            while_it_contains: Json::new("{}").unwrap(),
        };
        planned("cluster.database", change)
    }

    fn delete_index(index: &str) -> Planned {
        let change = Change::DeleteIndex {
            name: IndexName::new(index).unwrap(),
            uuid: "u".into(),
        };
        planned("cluster.database", change)
    }

    #[test]
    fn an_undo_stays_with_what_its_change_names() {
        let done = settings("cluster.database", "a");
        assert!(takes_back(&done, &settings("cluster.database", "a")).is_ok());
        let why = takes_back(&done, &settings("cluster.database", "b")).unwrap_err();
        assert!(why.contains("`b`"), "{why}");
        let why = takes_back(&done, &settings("cluster.other", "a")).unwrap_err();
        assert!(why.contains("cluster.other"), "{why}");
    }

    #[test]
    fn an_undo_takes_away_only_what_its_change_made() {
        assert!(takes_back(&create("1"), &delete("1")).is_ok());
        assert!(takes_back(&create("1"), &delete("2")).is_err());
        let done = settings("cluster.database", "a");
        assert!(takes_back(&done, &delete_index("a")).is_err());
        let name = FileName::new("f").unwrap();
        let write = Change::WriteFile {
            dir: vec![],
            name: name.clone(),
            text: String::new(),
        };
        let remove = Change::RemoveFile {
            dir: vec![],
            name,
            sha256: "0".repeat(64),
        };
        assert!(
            takes_back(
                &planned("disk.config", write),
                &planned("disk.config", remove)
            )
            .is_ok()
        );
    }
}
