//! What each kind of change rests on, by key.
//!
//! Kinds share keys, so that what one step leaves is what a later one finds: a step that makes an index leaves
//! `index/NAME/uuid`, and the documents that are put into it rest on that. Nothing that moves by itself (counts,
//! sequence numbers) is a key.
//!
//! | key | value |
//! |---|---|
//! | `index/NAME/uuid` | the uuid; null: no index has the name |
//! | `index/NAME/aliases` | alias to its properties, our own markers left out; null: no index |
//! | `made/index/NAME` | as `index/NAME/uuid`, and only of kinds that make an index: so a run knows its own |
//! | `alias/NAME` | the indices behind it; null: no alias has the name |
//! | `mapping/NAME` | SHA-256 of the mapping; null: no index |
//! | `settings/NAME/KEY` | the value; null: not set |
//! | `template/KIND/NAME` | SHA-256 of the body; null: there is none |
//! | `document/INDEX/ID/exists` | true or false |
//! | `setting/KEY` | the persistent value; null: not set |
//! | `transient-setting/KEY` | the transient value; null: not set |

use liftlock_types::facts::cluster::TemplateKind;
use liftlock_types::{Change, Facts, IndexName, ReadError};
use serde_json::{Map, Value};

use crate::Cluster;
use crate::changes::{Held, archived, cluster_settings};
use crate::checksum::hash_of;
use crate::normal::{flat_settings, index_key};
use crate::reads::{IndexState, alias_properties};

/// Settings that every index has of its own and nobody sets.
const BORN_WITH: [&str; 6] = [
    "index.uuid",
    "index.creation_date",
    "index.provided_name",
    "index.version.created",
    "index.version.upgraded",
    "index.replication.type",
];

/// Aliases with this prefix are markers of ours, not the site's.
pub(crate) const MARKER: &str = "liftlock-";

pub(crate) fn uuid_key(index: &str) -> String {
    format!("index/{index}/uuid")
}

pub(crate) fn made_key(index: &str) -> String {
    format!("made/index/{index}")
}

pub(crate) fn mapping_key(index: &str) -> String {
    format!("mapping/{index}")
}

pub(crate) fn template_key(kind: TemplateKind, name: &str) -> String {
    let kind = match kind {
        TemplateKind::Legacy => "legacy",
        TemplateKind::Composable => "composable",
        TemplateKind::Component => "component",
    };
    format!("template/{kind}/{name}")
}

pub(crate) fn setting_key(key: &str) -> String {
    format!("setting/{key}")
}

pub(crate) fn transient_key(key: &str) -> String {
    format!("transient-setting/{key}")
}

pub(crate) fn index_setting_key(index: &str, key: &str) -> String {
    format!("settings/{index}/{key}")
}

/// The facts of a change, read now.
pub(crate) async fn facts(cluster: &Cluster, change: &Change) -> Result<Facts, ReadError> {
    let mut facts = Facts::new();
    match change {
        Change::CreateIndex { name, .. } => {
            let name = name.as_str();
            let state = cluster.index(name).await?;
            add_index(&mut facts, name, state.as_ref());
            add_aliases(&mut facts, name, state.as_ref());
            facts.insert(made_key(name), uuid(state.as_ref()));
            facts.insert(mapping_key(name), mapping(state.as_ref()));
            if let Some(state) = &state {
                for (key, value) in &state.settings {
                    if !BORN_WITH.contains(&key.as_str()) {
                        facts.insert(index_setting_key(name, key), value.clone());
                    }
                }
            }
            let alias = match state {
                // One name is an index or an alias, never both.
                Some(_) => None,
                None => cluster.alias(name).await?,
            };
            facts.insert(
                format!("alias/{name}"),
                alias.map_or(Value::Null, Value::from),
            );
        }
        Change::DeleteIndex { name, .. } => {
            let state = cluster.index(name.as_str()).await?;
            add_index(&mut facts, name.as_str(), state.as_ref());
            add_aliases(&mut facts, name.as_str(), state.as_ref());
        }
        Change::PutTemplate { kind, name, .. } | Change::DeleteTemplate { kind, name } => {
            let body = cluster.template(*kind, name.as_str()).await?;
            facts.insert(
                template_key(*kind, name.as_str()),
                body.map_or(Value::Null, |body| hash_of(&body.0).into()),
            );
        }
        Change::UpdateAliases { actions } => {
            for action in actions {
                let (index, _) = action.names();
                if facts.contains_key(&uuid_key(index.as_str())) {
                    continue;
                }
                let state = cluster.index(index.as_str()).await?;
                add_index(&mut facts, index.as_str(), state.as_ref());
                add_aliases(&mut facts, index.as_str(), state.as_ref());
            }
        }
        Change::PutSettings { index, settings } => {
            let state = cluster.index(index.as_str()).await?;
            add_index(&mut facts, index.as_str(), state.as_ref());
            let keys: Vec<String> = flat_settings(&settings.value())
                .keys()
                .map(|key| index_key(key))
                .collect();
            facts.extend(index_settings(index, state.as_ref(), &keys));
        }
        Change::PutMapping { index, .. } => {
            let state = cluster.index(index.as_str()).await?;
            add_index(&mut facts, index.as_str(), state.as_ref());
            facts.insert(mapping_key(index.as_str()), mapping(state.as_ref()));
        }
        Change::Reindex {
            source,
            destination,
            ..
        }
        | Change::Transform {
            source,
            destination,
            ..
        } => {
            let from = cluster.index(source.as_str()).await?;
            let to = cluster.index(destination.as_str()).await?;
            add_index(&mut facts, source.as_str(), from.as_ref());
            add_index(&mut facts, destination.as_str(), to.as_ref());
            // Documents can add to a dynamic mapping; a later step on the mapping finds what this one left. Of a transform
            // there is none when it is planned, so that an attempt that goes on does not rest on what the one before it
            // left half-done.
            if to.is_some() || matches!(change, Change::Reindex { .. }) {
                facts.insert(mapping_key(destination.as_str()), mapping(to.as_ref()));
            }
        }
        Change::UpdateByQuery { index, .. } | Change::DeleteByQuery { index, .. } => {
            let state = cluster.index(index.as_str()).await?;
            add_index(&mut facts, index.as_str(), state.as_ref());
        }
        Change::CreateDocument { index, id, .. }
        | Change::ReplaceDocument { index, id, .. }
        | Change::DeleteDocument { index, id, .. } => {
            let state = cluster.index(index.as_str()).await?;
            add_index(&mut facts, index.as_str(), state.as_ref());
            let exists = state.is_some()
                && cluster
                    .document(index.as_str(), id.as_str())
                    .await?
                    .is_some();
            facts.insert(format!("document/{index}/{id}/exists"), exists.into());
        }
        Change::SetClusterSetting { key, .. } => {
            let value = cluster.setting(Held::Persistent, key).await?;
            facts.insert(setting_key(key), value);
        }
        Change::SetTransientSetting { key, .. } => {
            let value = cluster.setting(Held::Transient, key).await?;
            facts.insert(transient_key(key), value);
        }
        // Resolved when it is sent.
        Change::Flush { .. } => {}
        Change::RemoveArchivedSettings { keys } => {
            facts.extend(archived::values(cluster, keys).await?);
        }
        Change::RemoveArchivedIndexSettings { index, keys } => {
            let state = cluster.index(index.as_str()).await?;
            add_index(&mut facts, index.as_str(), state.as_ref());
            facts.extend(index_settings(index, state.as_ref(), keys));
        }
        Change::PutClusterSettings { scope, settings } => {
            facts.extend(cluster_settings::facts(cluster, *scope, settings).await?);
        }
        Change::CancelTask { .. } => {}
        Change::RawChange(request) => {
            // What it touches can be another thing than an index; such a name has none.
            for name in request.touches() {
                let state = match IndexName::new(name.as_str()) {
                    Ok(index) => cluster.index(index.as_str()).await?,
                    Err(_) => None,
                };
                add_index(&mut facts, name.as_str(), state.as_ref());
            }
        }
        other => return Err(crate::capability::not_ours(&other.verb())),
    }
    Ok(facts)
}

/// The values of keys of an index, as its settings have them; null where it has none of the name.
pub(crate) fn index_settings(
    index: &IndexName,
    state: Option<&IndexState>,
    keys: &[String],
) -> Facts {
    keys.iter()
        .map(|key| {
            let value = state.and_then(|state| state.settings.get(key));
            (
                index_setting_key(index.as_str(), key),
                value.cloned().unwrap_or(Value::Null),
            )
        })
        .collect()
}

fn uuid(state: Option<&IndexState>) -> Value {
    state.map_or(Value::Null, |state| state.uuid.as_str().into())
}

fn mapping(state: Option<&IndexState>) -> Value {
    state.map_or(Value::Null, |state| hash_of(&state.mapping).into())
}

fn add_index(facts: &mut Facts, name: &str, state: Option<&IndexState>) {
    facts.insert(uuid_key(name), uuid(state));
}

fn add_aliases(facts: &mut Facts, name: &str, state: Option<&IndexState>) {
    let aliases = state.map_or(Value::Null, |state| Value::Object(site_aliases(state)));
    facts.insert(format!("index/{name}/aliases"), aliases);
}

/// The aliases of an index without our markers.
pub(crate) fn site_aliases(state: &IndexState) -> Map<String, Value> {
    state
        .aliases
        .iter()
        .filter(|(alias, _)| !alias.starts_with(MARKER))
        .map(|(alias, raw)| (alias.clone(), alias_properties(raw)))
        .collect()
}
