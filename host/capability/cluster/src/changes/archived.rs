//! Settings that a server does not know and has put aside, under a key that begins with `archived.`: values that an
//! earlier version knew. Some versions refuse every change of a cluster setting while one of them is left.

use liftlock_types::{ARCHIVED, Acted, Attempt, Facts, IndexName, Observed, Probed, ReadError};
use serde_json::{Map, Value, json};

use super::cluster::{Held, held_in};
use super::{moved_on, observed, still_there, unread};
use crate::Cluster;
use crate::call::Call;
use crate::facts::index_settings;
use crate::reads::IndexState;

/// The facts of keys of the cluster: the value in each place, null where it has none.
pub(crate) async fn values(cluster: &Cluster, keys: &[String]) -> Result<Facts, ReadError> {
    let settings = cluster.settings().await?;
    let held = [Held::Persistent, Held::Transient];
    Ok(keys
        .iter()
        .flat_map(|key| held.map(|held| (held.key(key), held_in(&settings, held, key))))
        .collect())
}

fn are_gone(values: &Facts) -> bool {
    values.values().all(Value::is_null)
}

fn evidence(values: &Facts) -> Value {
    values.clone().into_iter().collect::<Map<_, _>>().into()
}

fn probed(values: &Facts, attempt: &Attempt) -> Probed {
    let evidence = evidence(values);
    if are_gone(values) {
        Probed::Applied {
            evidence,
            ours: false,
        }
    } else if values
        .iter()
        .all(|(key, value)| attempt.facts.get(key) == Some(value))
    {
        Probed::Absent(evidence)
    } else {
        Probed::Partial(evidence)
    }
}

pub(super) async fn observe(cluster: &Cluster, keys: &[String]) -> Result<Observed, ReadError> {
    let values = values(cluster, keys).await?;
    let evidence = evidence(&values);
    Ok(observed(are_gone(&values), evidence.clone(), evidence))
}

pub(super) async fn act(cluster: &Cluster, keys: &[String], attempt: &Attempt) -> Acted {
    // All at once: while one of them is left, a server may refuse to remove another.
    let none: Map<String, Value> = keys.iter().map(|key| (key.clone(), Value::Null)).collect();
    let call = Call::put(["_cluster", "settings"])
        .patient()
        .token(&attempt.token)
        .json(&json!({"persistent": none, "transient": none}));
    cluster.send(&call).await
}

pub(super) async fn probe(
    cluster: &Cluster,
    keys: &[String],
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    Ok(probed(&values(cluster, keys).await?, attempt))
}

pub(super) async fn observe_of_index(
    cluster: &Cluster,
    index: &IndexName,
    keys: &[String],
) -> Result<Observed, ReadError> {
    Ok(match cluster.index(index.as_str()).await? {
        Some(state) => {
            let values = index_settings(index, Some(&state), keys);
            let evidence = evidence(&values);
            observed(are_gone(&values), evidence.clone(), evidence)
        }
        None => observed(false, format!("no index `{index}`").into(), Value::Null),
    })
}

pub(super) async fn act_of_index(
    cluster: &Cluster,
    index: &IndexName,
    keys: &[String],
    attempt: &Attempt,
) -> Acted {
    if let Err(acted) = still_there(cluster, index.as_str(), attempt).await {
        return acted;
    }
    let others = match cluster.index(index.as_str()).await {
        Ok(state) => state.map(|state| others(&state, keys)).unwrap_or_default(),
        Err(error) => return unread(&error),
    };
    if let Some(other) = others.first() {
        return moved_on(
            "archived-settings",
            format!("`{index}` has `{other}` too, and its archived settings go all at once"),
        );
    }
    // One by one they cannot be named: Elasticsearch puts `index.` before every key that has no wildcard. OpenSearch
    // takes them for settings that only a closed index changes, and says so.
    let all = format!("{ARCHIVED}*");
    let call = Call::put([index.as_str(), "_settings"])
        .patient()
        .token(&attempt.token)
        .json(&json!({all: null}));
    cluster.send(&call).await
}

/// Archived settings of the index that are not among these.
fn others(state: &IndexState, keys: &[String]) -> Vec<String> {
    state
        .settings
        .keys()
        .filter(|key| key.starts_with(ARCHIVED) && !keys.contains(key))
        .cloned()
        .collect()
}

pub(super) async fn probe_of_index(
    cluster: &Cluster,
    index: &IndexName,
    keys: &[String],
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let Some(state) = cluster.index(index.as_str()).await? else {
        return Ok(Probed::Indeterminate(format!("no index `{index}`").into()));
    };
    Ok(probed(&index_settings(index, Some(&state), keys), attempt))
}
