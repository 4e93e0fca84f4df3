//! Indices, made and deleted.

use indexmap::IndexMap;
use liftlock_types::{
    Acted, Attempt, Change, IndexName, Json, Observed, Probed, Progress, ReadError,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{moved_on, observed, unread};
use crate::Cluster;
use crate::call::Call;
use crate::facts::{made_key, site_aliases};
use crate::reads::IndexState;
use crate::token::{alias_of, is_marker};

/// How long the server may look for an index that went between two reads; for one that is there it answers at once.
const HEALTH_WAIT: &str = "2s";

/// Is it ours by its marker, or by what this run wrote down of it?
fn is_ours(state: &IndexState, name: &str, attempt: &Attempt) -> bool {
    state.aliases.keys().any(|alias| is_marker(alias, attempt))
        || attempt
            .made_by_run
            .get(&made_key(name))
            .and_then(Value::as_str)
            == Some(state.uuid.as_str())
}

/// The aliases that the body asks for and the index lacks.
fn missing_aliases(state: &IndexState, body: &Json) -> Vec<String> {
    crate::reads::members(body.value().get("aliases"))
        .map(|(alias, _)| alias.clone())
        .filter(|alias| !state.aliases.contains_key(alias))
        .collect()
}

fn evidence(name: &IndexName, state: &IndexState) -> Value {
    json!({
        "index": name.as_str(),
        "uuid": state.uuid,
        "aliases": site_aliases(state),
    })
}

pub(super) async fn observe_create(
    cluster: &Cluster,
    change: &Change,
    attempt: &Attempt,
) -> Result<Observed, ReadError> {
    Ok(match super::probe(cluster, change, attempt).await? {
        Probed::Applied { evidence, .. } => observed(true, evidence, Value::Null),
        Probed::Absent(seen) | Probed::Partial(seen) | Probed::Indeterminate(seen) => {
            observed(false, seen, Value::Null)
        }
        Probed::InProgress(progress) => observed(false, progress.note.into(), Value::Null),
    })
}

/// The body with the marker alias in it; all else stays the text that was approved.
fn marked(body: &Json, token: &str) -> Result<String, String> {
    let wrong = |error: serde_json::Error| format!("the body is no index body: {error}");
    let marker = alias_of(token);
    let mut members: IndexMap<String, Box<RawValue>> =
        serde_json::from_str(body.as_str()).map_err(wrong)?;
    let mut aliases: IndexMap<String, Box<RawValue>> = match members.get("aliases") {
        Some(aliases) => serde_json::from_str(aliases.get()).map_err(wrong)?,
        None => IndexMap::new(),
    };
    let empty = RawValue::from_string("{}".into()).map_err(wrong)?;
    aliases.insert(marker, empty);
    let aliases = serde_json::value::to_raw_value(&aliases).map_err(wrong)?;
    members.insert("aliases".into(), aliases);
    serde_json::to_string(&members).map_err(wrong)
}

pub(super) async fn act_create(
    cluster: &Cluster,
    name: &IndexName,
    body: &Json,
    attempt: &Attempt,
) -> Acted {
    let body = match marked(body, &attempt.token) {
        Ok(body) => body,
        Err(text) => return Acted::NotSent(text),
    };
    let call = Call::put([name.as_str()])
        .patient()
        .token(&attempt.token)
        .text(body);
    match cluster.send(&call).await {
        Acted::Refused {
            kind,
            text,
            status,
            later,
        } if kind == "resource_already_exists_exception" => {
            // An earlier attempt of ours may have landed after all.
            match cluster.index(name.as_str()).await {
                Ok(Some(state)) if is_ours(&state, name.as_str(), attempt) => {
                    Acted::Answered(json!({"already": state.uuid}))
                }
                Ok(_) => Acted::Refused {
                    status,
                    kind,
                    text,
                    later,
                },
                Err(error) => Acted::Unanswered(error.to_string()),
            }
        }
        acted => acted,
    }
}

pub(super) async fn probe_create(
    cluster: &Cluster,
    name: &IndexName,
    body: &Json,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let Some(state) = cluster.index(name.as_str()).await? else {
        return Ok(Probed::Absent(
            json!({"index": name.as_str(), "uuid": null}),
        ));
    };
    let seen = evidence(name, &state);
    if !is_ours(&state, name.as_str(), attempt) {
        return Ok(Probed::Indeterminate(json!({"index of another": seen})));
    }
    let missing = missing_aliases(&state, body);
    if !missing.is_empty() && state.aliases.keys().any(|alias| is_marker(alias, attempt)) {
        return Ok(Probed::Partial(
            json!({"index": seen, "missing aliases": missing}),
        ));
    }
    let health = Call::get(["_cluster", "health", name.as_str()]).param("timeout", HEALTH_WAIT);
    let health = cluster.ask(&health).await?;
    if health.get("status").and_then(Value::as_str) == Some("red") {
        return Ok(Probed::InProgress(Progress {
            done: 0,
            total: 0,
            unit: "shards".into(),
            note: format!("primaries of `{name}` are starting"),
        }));
    }
    Ok(Probed::Applied {
        evidence: seen,
        ours: true,
    })
}

/// Takes the markers off.
pub(super) async fn clean_up(
    cluster: &Cluster,
    name: &IndexName,
    attempt: &Attempt,
) -> Result<Vec<String>, ReadError> {
    let markers = |state: &IndexState| -> Vec<String> {
        state
            .aliases
            .keys()
            .filter(|alias| is_marker(alias, attempt))
            .cloned()
            .collect()
    };
    let Some(state) = cluster.index(name.as_str()).await? else {
        return Ok(Vec::new());
    };
    let found = markers(&state);
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let actions: Vec<Value> = found
        .iter()
        .map(|alias| json!({"remove": {"index": name.as_str(), "alias": alias}}))
        .collect();
    let call = Call::post(["_aliases"])
        .patient()
        .token(&attempt.token)
        .json(&json!({"actions": actions}));
    let acted = cluster.send(&call).await;
    tracing::debug!(index = %name, ?acted, "took the marker off");
    let left = match cluster.index(name.as_str()).await? {
        Some(state) => markers(&state),
        None => Vec::new(),
    };
    Ok(left
        .into_iter()
        .map(|alias| format!("alias `{alias}` on index `{name}`"))
        .collect())
}

pub(super) fn undo_create(name: &IndexName, attempt: &Attempt) -> Option<Vec<Change>> {
    let uuid = attempt
        .made_by_run
        .get(&made_key(name.as_str()))?
        .as_str()?;
    Some(vec![Change::DeleteIndex {
        name: name.clone(),
        uuid: uuid.to_owned(),
    }])
}

pub(super) async fn observe_delete(
    cluster: &Cluster,
    name: &IndexName,
    uuid: &str,
) -> Result<Observed, ReadError> {
    Ok(match probe_delete(cluster, name, uuid).await? {
        Probed::Applied { evidence, .. } => observed(true, evidence, Value::Null),
        Probed::Absent(seen) => observed(false, seen, Value::Null),
        other => observed(false, format!("{other:?}").into(), Value::Null),
    })
}

pub(super) async fn act_delete(
    cluster: &Cluster,
    name: &IndexName,
    uuid: &str,
    attempt: &Attempt,
) -> Acted {
    match cluster.index(name.as_str()).await {
        Err(error) => return unread(&error),
        Ok(Some(state)) if state.uuid == uuid => {}
        Ok(Some(state)) => {
            return moved_on(
                "uuid-changed",
                format!(
                    "index `{name}` has the uuid `{}` now; the one with `{uuid}` is meant",
                    state.uuid
                ),
            );
        }
        // Whoever did it: the probe tells that it is gone, and not whose doing it is.
        Ok(None) => {
            return Acted::Unanswered(format!("index `{name}` was gone before it was sent"));
        }
    }
    let call = Call::delete([name.as_str()])
        .patient()
        .token(&attempt.token);
    match cluster.send(&call).await {
        Acted::Refused { kind, .. } if kind == "index_not_found_exception" => {
            Acted::Unanswered(format!("index `{name}` was gone when it arrived"))
        }
        acted => acted,
    }
}

pub(super) async fn probe_delete(
    cluster: &Cluster,
    name: &IndexName,
    uuid: &str,
) -> Result<Probed, ReadError> {
    Ok(match cluster.index(name.as_str()).await? {
        Some(state) if state.uuid == uuid => {
            Probed::Absent(json!({"index": name.as_str(), "uuid": uuid}))
        }
        // A uuid belongs to one index for ever: another one under the name is another index.
        Some(state) => Probed::Applied {
            evidence: json!({
                "index": name.as_str(), "gone": uuid,
                "finding": format!("another index has the name now, with the uuid `{}`", state.uuid),
            }),
            ours: false,
        },
        None => Probed::Applied {
            evidence: json!({"index": name.as_str(), "gone": uuid}),
            ours: false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_goes_into_the_body_and_nothing_else_changes() {
        let body = Json::new(r#"{"settings":{"x":1.50},"aliases":{"a":{"is_write_index":true}},"mappings":{"n":12345678901234567890123}}"#).unwrap();
        assert_eq!(
            marked(&body, "liftlock-r-s-1").unwrap(),
            r#"{"settings":{"x":1.50},"aliases":{"a":{"is_write_index":true},"liftlock-r-s-1":{}},"mappings":{"n":12345678901234567890123}}"#
        );
        assert_eq!(
            marked(&Json::new("{}").unwrap(), "t").unwrap(),
            r#"{"aliases":{"liftlock-t":{}}}"#
        );
        assert!(marked(&Json::new("[]").unwrap(), "t").is_err());
    }
}
