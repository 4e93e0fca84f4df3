//! A change in a few words: verb and object.

use liftlock_types::facts::cluster::SettingScope;
use liftlock_types::{Body, Change, FileName, OnRejected, Planned, Step, Undo, path_of, rules};

use crate::escape;
use crate::view::{amount, bytes, count};

/// What it is done to, short: names, and how much where names say too little.
pub(crate) fn object(change: &Change) -> String {
    let text = match change {
        Change::PutTemplate { kind, name, .. } | Change::DeleteTemplate { kind, name } => {
            format!("{name} ({})", format!("{kind:?}").to_lowercase())
        }
        Change::UpdateAliases { actions } => {
            let mut names: Vec<&str> = actions
                .iter()
                .map(|action| action.names().1.as_str())
                .collect();
            names.dedup();
            format!(
                "{}: {}",
                count(actions.len(), "action", "actions"),
                names.join(", ")
            )
        }
        Change::PutSettings { index, settings } => format!("{index}: {}", keys(&settings.value())),
        Change::PutMapping { index, mapping } => match mapping.value().get("properties") {
            Some(properties) => format!("{index}: {}", keys(properties)),
            None => index.to_string(),
        },
        Change::Reindex {
            source,
            destination,
            script,
            ..
        } => {
            let scripted = if script.is_some() { ", scripted" } else { "" };
            format!("{source} -> {destination}{scripted}")
        }
        Change::Transform {
            source,
            destination,
            name,
            on_rejected,
            ..
        } => {
            let rejected = match on_rejected {
                OnRejected::Stop => "stops",
                OnRejected::GoOn => "goes on",
            };
            format!(
                "{source} -> {destination}, by the plugin's `{name}`; {rejected} at a document that is rejected"
            )
        }
        Change::CreateDocument { index, id, .. }
        | Change::ReplaceDocument { index, id, .. }
        | Change::DeleteDocument { index, id, .. } => format!("{index}/{id}"),
        Change::SetClusterSetting { key, value } => match value {
            Some(value) => format!("{key} = {value}"),
            None => format!("{key} unset"),
        },
        Change::SetTransientSetting { key, value } => match value {
            Some(value) => format!("{key} = {value} (transient)"),
            None => format!("{key} unset (transient)"),
        },
        Change::Flush { indices, except } if except.is_empty() => indices.join(", "),
        Change::Flush { indices, except } => {
            format!("{} except {}", indices.join(", "), except.join(", "))
        }
        Change::RemoveArchivedIndexSettings { index, keys } => {
            format!("{index}: {}", keys.join(", "))
        }
        Change::PutClusterSettings { scope, settings } => {
            let of = |(key, value): (&String, &serde_json::Value)| match value {
                serde_json::Value::Null => format!("{key} unset for good"),
                serde_json::Value::String(text) => format!("{key} = {text} for good"),
                other => format!("{key} = {other} for good"),
            };
            let settings = settings.value();
            let all: Vec<String> = settings.as_object().into_iter().flatten().map(of).collect();
            match scope {
                SettingScope::Transient => format!("{} (transient)", all.join(", ")),
                SettingScope::Persistent | SettingScope::Defaults => all.join(", "),
            }
        }
        Change::TakeSnapshot {
            name,
            indices,
            except,
        } if except.is_empty() => {
            format!("{name}: {}", indices.join(", "))
        }
        Change::TakeSnapshot {
            name,
            indices,
            except,
        } => {
            format!(
                "{name}: {} except {}",
                indices.join(", "),
                except.join(", ")
            )
        }
        Change::ProveSnapshot { taken_by } => format!("what step {taken_by} took"),
        Change::RestoreSnapshot { taken_by, indices } => {
            format!(
                "{} of step {taken_by}",
                count(indices.len(), "index", "indices")
            )
        }
        Change::RestoreInto {
            taken_by,
            indices,
            except,
            replicas,
        } => {
            let mut text = format!("{} of step {taken_by}", indices.join(", "));
            if !except.is_empty() {
                text.push_str(&format!(" except {}", except.join(", ")));
            }
            if let Some(replicas) = replicas {
                text.push_str(&format!(
                    ", {}",
                    count(*replicas as usize, "replica", "replicas")
                ));
            }
            text
        }
        Change::RegisterRepository { kind, .. } | Change::UnregisterRepository { kind, .. } => {
            kind.clone()
        }
        Change::CancelTask { id } => id.clone(),
        Change::CopyFile {
            from,
            from_dir,
            name,
            dir,
            as_name,
        } => {
            format!("{from}/{} -> {}", path(from_dir, name), path(dir, as_name))
        }
        Change::WriteFile { dir, name, text } => {
            format!("{}, {}", path(dir, name), bytes(text.len() as u64))
        }
        Change::EditFile {
            dir, name, hunks, ..
        } => {
            format!(
                "{}, {}",
                path(dir, name),
                count(hunks.len(), "edit", "edits")
            )
        }
        Change::SetServerState {
            backend,
            server,
            to,
        } => format!("{backend}/{server} to {}", to.as_str()),
        Change::SetServerWeight {
            backend,
            server,
            weight,
        } => format!("{backend}/{server} to weight {weight}"),
        Change::Execute { statement, .. } => statement.text().to_owned(),
        Change::ExecuteTogether { statements, .. } => {
            let statements = statements.statements();
            let texts: Vec<&str> = statements.iter().map(|it| it.text()).collect();
            format!(
                "{}: {}",
                count(statements.len(), "statement", "statements"),
                texts.join("; ")
            )
        }
        Change::EndSession {
            id, application, ..
        } => format!("{id} of {application}"),
        _ => change.names().join(", "),
    };
    escape::line(&text)
}

fn path(dir: &[FileName], name: &FileName) -> String {
    let dir: Vec<String> = dir.iter().map(ToString::to_string).collect();
    path_of(&dir, name.as_str())
}

fn keys(value: &serde_json::Value) -> String {
    match value.as_object() {
        Some(object) => object
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", "),
        None => value.to_string(),
    }
}

/// `cluster.delete-index cluster.database optimize-x_v2`, or what else a step does.
pub(crate) fn body(step: &Step) -> String {
    match &step.body {
        Body::Change(planned) => one(planned),
        Body::Capture { name, reads } => {
            format!(
                "capture {}: {}",
                escape::line(name),
                count(reads.len(), "read", "reads")
            )
        }
        Body::HandOver { .. } => "a person does it, and attests it".into(),
        Body::GiveBack { step } => format!("give back what step {step} borrowed"),
    }
}

/// A change with its mark: `!` takes data away, `?` cannot be proved after a crash.
pub(crate) fn one(planned: &Planned) -> String {
    let change = &planned.change;
    let mark = if takes_away(change.rule().verb) {
        "! "
    } else if change.class() == rules::Class::Opaque {
        "? "
    } else {
        ""
    };
    let verb = change.verb();
    let verb = verb.as_str();
    let verb = verb.split_once('.').map_or(verb, |(_, verb)| verb);
    let object = object(change);
    if object.is_empty() {
        format!("{mark}{verb} {}", planned.binding)
    } else {
        format!("{mark}{verb} {object}")
    }
}

/// The verb takes something away: marked with `!` wherever it is shown.
pub(crate) fn takes_away(verb: &str) -> bool {
    let name = verb.split_once('.').map_or(verb, |(_, name)| name);
    rules::rule_of(verb).is_some_and(|rule| rule.destructive)
        || name.starts_with("delete-")
        || name.starts_with("remove")
}

/// How a step is taken back.
pub(crate) fn undo(step: &Step) -> String {
    match &step.undo {
        _ if step.change().is_none() => "-".into(),
        Undo::Automatic => "automatic".into(),
        Undo::Changes(changes) => count(changes.len(), "change", "changes"),
        Undo::ByRestore(of) => format!("restore {of}"),
        Undo::Stays { because } => format!("stays: {}", escape::bounded(because, 60)),
        Undo::None { because } => format!("none: {}", escape::bounded(because, 60)),
    }
}

/// How much there is to do.
pub(crate) fn work(step: &Step) -> String {
    let parts: Vec<String> = step
        .work
        .iter()
        .map(|work| {
            if work.unit == "bytes" {
                bytes(work.amount)
            } else {
                format!(
                    "{} {}",
                    amount(work.amount),
                    escape::bounded(&work.unit, 20)
                )
            }
        })
        .collect();
    if parts.is_empty() {
        "-".into()
    } else {
        parts.join(", ")
    }
}
