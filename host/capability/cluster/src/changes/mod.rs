//! Changes: for each kind how it is observed, sent, probed, cleaned up after and undone.
//!
//! | module | kinds |
//! |---|---|
//! | `index` | create and delete an index |
//! | `template` | put and delete a template |
//! | `alias` | one atomic list of alias actions |
//! | `settings` | settings and mapping of an index |
//! | `document` | create, replace and delete a document |
//! | `by_query` | reindex, update by query, delete by query |
//! | `cluster` | a cluster setting, persistent or transient; a task's end |
//! | `cluster_settings` | settings of the cluster that are changed for good |
//! | `archived` | settings that the server has put aside, of the cluster and of an index |
//! | `flush` | what a shard's log alone holds is written to disk |
//! | `transform` | a copy through a plugin's own function |
//! | `raw` | a request that no other kind covers |

mod alias;
pub(crate) mod archived;
mod by_query;
mod cluster;
pub(crate) mod cluster_settings;
mod document;
mod flush;
mod index;
mod raw;
mod settings;
mod template;
mod transform;

use liftlock_types::{Acted, Attempt, Change, Observed, Planned, Probed, ReadError};
use serde_json::Value;

use crate::Cluster;
use crate::capability::not_ours;

pub(crate) use cluster::Held;

/// Is the post-condition true before anything is sent, and what is the old value?
pub(crate) async fn observe(
    cluster: &Cluster,
    change: &Change,
    attempt: &Attempt,
) -> Result<Observed, ReadError> {
    match change {
        Change::CreateIndex { .. } => index::observe_create(cluster, change, attempt).await,
        Change::DeleteIndex { name, uuid } => index::observe_delete(cluster, name, uuid).await,
        Change::PutTemplate { kind, name, body } => {
            template::observe_put(cluster, *kind, name, body).await
        }
        Change::DeleteTemplate { kind, name } => {
            template::observe_delete(cluster, *kind, name).await
        }
        Change::UpdateAliases { actions } => alias::observe(cluster, actions).await,
        Change::PutSettings { index, settings } => {
            settings::observe(cluster, index, settings).await
        }
        Change::PutMapping { index, mapping } => {
            settings::observe_mapping(cluster, index, mapping).await
        }
        Change::Reindex { .. } | Change::UpdateByQuery { .. } | Change::DeleteByQuery { .. } => {
            by_query::observe(cluster, change).await
        }
        Change::CreateDocument {
            index,
            id,
            document,
        } => document::observe_create(cluster, index, id, document).await,
        Change::ReplaceDocument {
            index,
            id,
            document,
            ..
        } => document::observe_replace(cluster, index, id, document).await,
        Change::DeleteDocument { index, id, .. } => {
            document::observe_delete(cluster, index, id).await
        }
        Change::SetClusterSetting { key, value } => {
            cluster::observe_setting(cluster, Held::Persistent, key, value.as_deref()).await
        }
        Change::SetTransientSetting { key, value } => {
            cluster::observe_setting(cluster, Held::Transient, key, value.as_deref()).await
        }
        Change::Flush { indices, except } => flush::observe(cluster, indices, except).await,
        Change::RemoveArchivedSettings { keys } => archived::observe(cluster, keys).await,
        Change::RemoveArchivedIndexSettings { index, keys } => {
            archived::observe_of_index(cluster, index, keys).await
        }
        Change::PutClusterSettings { scope, settings } => {
            cluster_settings::observe(cluster, *scope, settings).await
        }
        Change::Transform { source, query, .. } => {
            transform::observe(cluster, source, query.as_ref()).await
        }
        Change::CancelTask { id } => cluster::observe_cancel(cluster, id).await,
        Change::RawChange(request) => raw::observe(cluster, request).await,
        other => Err(not_ours(&other.verb())),
    }
}

/// Sends it.
pub(crate) async fn act(cluster: &Cluster, change: &Change, attempt: &Attempt) -> Acted {
    match change {
        Change::CreateIndex { name, body } => index::act_create(cluster, name, body, attempt).await,
        Change::DeleteIndex { name, uuid } => index::act_delete(cluster, name, uuid, attempt).await,
        Change::PutTemplate { kind, name, body } => {
            template::act_put(cluster, *kind, name, body, attempt).await
        }
        Change::DeleteTemplate { kind, name } => {
            template::act_delete(cluster, *kind, name, attempt).await
        }
        Change::UpdateAliases { actions } => alias::act(cluster, actions, attempt).await,
        Change::PutSettings { index, settings } => {
            settings::act(cluster, index, settings, attempt).await
        }
        Change::PutMapping { index, mapping } => {
            settings::act_mapping(cluster, index, mapping, attempt).await
        }
        Change::Reindex { .. } | Change::UpdateByQuery { .. } | Change::DeleteByQuery { .. } => {
            by_query::act(cluster, change, attempt).await
        }
        Change::CreateDocument {
            index,
            id,
            document,
        } => document::act_create(cluster, index, id, document, attempt).await,
        Change::ReplaceDocument {
            index,
            id,
            while_it_contains,
            document,
        } => document::act_replace(cluster, index, id, while_it_contains, document, attempt).await,
        Change::DeleteDocument {
            index,
            id,
            while_it_contains,
        } => document::act_delete(cluster, index, id, while_it_contains, attempt).await,
        Change::SetClusterSetting { key, value } => {
            cluster::act_setting(cluster, Held::Persistent, key, value.as_deref(), attempt).await
        }
        Change::SetTransientSetting { key, value } => {
            cluster::act_setting(cluster, Held::Transient, key, value.as_deref(), attempt).await
        }
        Change::Flush { indices, except } => flush::act(cluster, indices, except, attempt).await,
        Change::RemoveArchivedSettings { keys } => archived::act(cluster, keys, attempt).await,
        Change::RemoveArchivedIndexSettings { index, keys } => {
            archived::act_of_index(cluster, index, keys, attempt).await
        }
        Change::PutClusterSettings { scope, settings } => {
            cluster_settings::act(cluster, *scope, settings, attempt).await
        }
        Change::Transform { .. } => transform::act(cluster, change, attempt).await,
        Change::CancelTask { id } => cluster::act_cancel(cluster, id, attempt).await,
        Change::RawChange(request) => raw::act(cluster, request, attempt).await,
        other => Acted::NotSent(not_ours(&other.verb()).to_string()),
    }
}

/// What can be seen of it.
pub(crate) async fn probe(
    cluster: &Cluster,
    change: &Change,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    match change {
        Change::CreateIndex { name, body } => {
            index::probe_create(cluster, name, body, attempt).await
        }
        Change::DeleteIndex { name, uuid } => index::probe_delete(cluster, name, uuid).await,
        Change::PutTemplate { kind, name, body } => {
            template::probe_put(cluster, *kind, name, body, attempt).await
        }
        Change::DeleteTemplate { kind, name } => {
            template::probe_delete(cluster, *kind, name, attempt).await
        }
        Change::UpdateAliases { actions } => alias::probe(cluster, actions, attempt).await,
        Change::PutSettings { index, settings } => {
            settings::probe(cluster, index, settings, attempt).await
        }
        Change::PutMapping { index, mapping } => {
            settings::probe_mapping(cluster, index, mapping, attempt).await
        }
        Change::Reindex { .. } | Change::UpdateByQuery { .. } | Change::DeleteByQuery { .. } => {
            by_query::probe(cluster, change, attempt).await
        }
        Change::CreateDocument {
            index,
            id,
            document,
        } => document::probe_create(cluster, index, id, document).await,
        Change::ReplaceDocument {
            index,
            id,
            document,
            ..
        } => document::probe_replace(cluster, index, id, document, attempt).await,
        Change::DeleteDocument { index, id, .. } => {
            document::probe_delete(cluster, index, id, attempt).await
        }
        Change::SetClusterSetting { key, value } => {
            cluster::probe_setting(cluster, Held::Persistent, key, value.as_deref(), attempt).await
        }
        Change::SetTransientSetting { key, value } => {
            cluster::probe_setting(cluster, Held::Transient, key, value.as_deref(), attempt).await
        }
        Change::Flush { indices, .. } => flush::probe(cluster, indices, attempt).await,
        Change::RemoveArchivedSettings { keys } => archived::probe(cluster, keys, attempt).await,
        Change::RemoveArchivedIndexSettings { index, keys } => {
            archived::probe_of_index(cluster, index, keys, attempt).await
        }
        Change::PutClusterSettings { scope, settings } => {
            cluster_settings::probe(cluster, *scope, settings, attempt).await
        }
        Change::Transform { .. } => transform::probe(cluster, change, attempt).await,
        Change::CancelTask { id } => cluster::probe_cancel(cluster, id).await,
        Change::RawChange(request) => raw::probe(cluster, request, attempt).await,
        other => Err(not_ours(&other.verb())),
    }
}

/// Takes off what is beside the effect; names what is left.
pub(crate) async fn clean_up(
    cluster: &Cluster,
    change: &Change,
    attempt: &Attempt,
) -> Result<Vec<String>, ReadError> {
    match change {
        Change::CreateIndex { name, .. } => index::clean_up(cluster, name, attempt).await,
        Change::Reindex { .. } | Change::UpdateByQuery { .. } | Change::DeleteByQuery { .. } => {
            by_query::clean_up(cluster, attempt).await
        }
        Change::Transform { .. } => {
            // What is asked from now on is the target, and no memory of this process.
            cluster.transforms.forget(&attempt.token);
            Ok(Vec::new())
        }
        _ => Ok(Vec::new()),
    }
}

/// The changes that put back what it changed, where its kind allows that.
pub(crate) fn undo(cluster: &Cluster, change: &Change, attempt: &Attempt) -> Option<Vec<Planned>> {
    let changes = match change {
        Change::CreateIndex { name, .. } => index::undo_create(name, attempt),
        Change::PutTemplate { kind, name, .. } => template::undo_put(*kind, name, attempt),
        Change::DeleteTemplate { kind, name } => template::undo_delete(*kind, name, attempt),
        Change::UpdateAliases { actions } => alias::undo(actions, attempt),
        Change::PutSettings { index, .. } => settings::undo(index, attempt),
        Change::CreateDocument {
            index,
            id,
            document,
        } => document::undo_create(index, id, document),
        Change::DeleteDocument { index, id, .. } => document::undo_delete(index, id, attempt),
        Change::ReplaceDocument {
            index,
            id,
            document,
            ..
        } => document::undo_replace(index, id, document, attempt),
        Change::SetClusterSetting { key, .. } => {
            cluster::undo_setting(Held::Persistent, key, attempt)
        }
        Change::SetTransientSetting { key, .. } => {
            cluster::undo_setting(Held::Transient, key, attempt)
        }
        Change::PutClusterSettings { scope, .. } => cluster_settings::undo(*scope, attempt),
        // Nothing was altered.
        Change::Flush { .. } => Some(Vec::new()),
        // The destination is this run's own: the undo of its creation takes the copies with it.
        Change::Reindex { .. } | Change::Transform { .. } => Some(Vec::new()),
        _ => None,
    }?;
    let binding = cluster.binding();
    Some(
        changes
            .into_iter()
            .map(|change| Planned {
                binding: binding.clone(),
                change,
                fills: Vec::new(),
            })
            .collect(),
    )
}

/// Observed, with nothing borrowed.
fn observed(already_true: bool, evidence: Value, kept: Value) -> Observed {
    Observed {
        already_true,
        evidence,
        kept,
        borrowed: None,
    }
}

/// A change that was not sent because what it rests on is another thing now.
fn moved_on(kind: &str, text: impl Into<String>) -> Acted {
    Acted::Refused {
        status: 409,
        kind: kind.into(),
        text: text.into(),
        later: false,
    }
}

/// A read before the send that did not come: nothing left this process.
fn unread(error: &ReadError) -> Acted {
    Acted::NotSent(error.to_string())
}

/// The uuid that the attempt rests on, read right before its intent.
fn uuid_in<'a>(attempt: &'a Attempt, index: &str) -> Option<&'a str> {
    attempt
        .facts
        .get(&crate::facts::uuid_key(index))
        .and_then(Value::as_str)
}

/// Is the index still the one that the intent names? Asked right before a send that could hit, or even make,
/// another index under the name.
async fn still_there(cluster: &Cluster, index: &str, attempt: &Attempt) -> Result<(), Acted> {
    let found = cluster.index(index).await.map_err(|error| unread(&error))?;
    match (found, uuid_in(attempt, index)) {
        (None, _) => Err(moved_on(
            "index-gone",
            format!("there is no index `{index}`"),
        )),
        (Some(found), Some(meant)) if found.uuid != meant => Err(moved_on(
            "uuid-changed",
            format!(
                "index `{index}` has the uuid `{}` now, `{meant}` is meant",
                found.uuid
            ),
        )),
        (Some(_), _) => Ok(()),
    }
}
