//! A cluster's state as JSON, for comparing ends.

use serde_json::{Map, Value, json};

use crate::settings;
use crate::state::State;
use crate::task::TASKS_INDEX;

/// Prints the state; without `full`, what differs from run to run is left out.
pub(crate) fn dump(state: &State, full: bool) -> Value {
    let mut indices = Map::new();
    for index in state.indices.values() {
        let mut docs = Map::new();
        for (id, doc) in index.live() {
            let entry = if full {
                json!({"_source": *doc.source, "_version": doc.version, "_seq_no": doc.seq_no})
            } else {
                (*doc.source).clone()
            };
            docs.insert(id, entry);
        }
        let mut entry = json!({
            "settings": settings::nest(index.settings()),
            "mappings": *index.mapping,
            "aliases": index.aliases_json(),
            "is_open": index.is_open,
            "created_version": index.created_version,
        });
        if index.name == TASKS_INDEX && !full {
            entry["doc_count"] = json!(docs.len());
        } else {
            entry["docs"] = Value::Object(docs);
        }
        if full {
            entry["uuid"] = json!(index.uuid);
            entry["creation_date"] = json!(index.created_ms);
            entry["max_seq_no"] = json!(index.max_seq_no());
        }
        indices.insert(index.name.clone(), entry);
    }
    let folders = state.folders.held();
    let repositories: Map<String, Value> = state
        .repositories
        .iter()
        .map(|(name, repository)| {
            let snapshots: Vec<Value> = folders
                .get(&repository.location)
                .into_iter()
                .flat_map(|s| &s.snapshots)
                .map(|s| if full { s.to_json(state.product, name) } else { json!({"snapshot": s.name, "indices": s.indices().collect::<Vec<_>>()}) })
                .collect();
            (name.clone(), json!({"type": repository.kind, "settings": repository.settings, "snapshots": snapshots}))
        })
        .collect();
    let mut out = json!({
        "cluster_uuid": state.cluster_uuid,
        "indices": indices,
        "templates": {
            "legacy": state.templates.legacy,
            "composable": state.templates.composable,
            "component": state.templates.component,
        },
        "pipelines": state.pipelines,
        "cluster_settings": {"persistent": settings::nest(&state.persistent), "transient": settings::nest(&state.transient)},
        "repositories": repositories,
        "running_tasks": state.tasks.len(),
        "open_points_in_time": state.pits.len(),
    });
    if full {
        out["now_ms"] = json!(state.now_ms());
        out["state_version"] = json!(state.version);
    }
    out
}
