//! Settings and mapping of an index.

use liftlock_types::{Acted, Attempt, Change, IndexName, Json, Observed, Probed, ReadError};
use serde_json::{Map, Value, json};

use super::{observed, still_there};
use crate::Cluster;
use crate::call::Call;
use crate::checksum::hash_of;
use crate::facts::mapping_key;
use crate::normal::{flat_settings, index_key, mapping_has};

/// Settings whose default the server writes down when they are reset.
const WRITTEN_DEFAULTS: [(&str, &str); 1] = [("index.number_of_replicas", "1")];

/// Key to value as the server shows it; null: not set.
fn wanted(settings: &Json) -> Map<String, Value> {
    flat_settings(&settings.value())
        .into_iter()
        .map(|(key, value)| (index_key(&key), value))
        .collect()
}

fn is_as_asked(key: &str, asked: &Value, now: &Value) -> bool {
    asked == now
        || (asked.is_null()
            && WRITTEN_DEFAULTS
                .iter()
                .any(|(name, default)| *name == key && now == default))
}

/// The named keys as they are now. `None`: no index has the name.
async fn now(
    cluster: &Cluster,
    index: &IndexName,
    wanted: &Map<String, Value>,
) -> Result<Option<Map<String, Value>>, ReadError> {
    let Some(state) = cluster.index(index.as_str()).await? else {
        return Ok(None);
    };
    Ok(Some(
        wanted
            .keys()
            .map(|key| {
                (
                    key.clone(),
                    state.settings.get(key).cloned().unwrap_or(Value::Null),
                )
            })
            .collect(),
    ))
}

fn all_as_asked(wanted: &Map<String, Value>, found: &Map<String, Value>) -> bool {
    wanted
        .iter()
        .all(|(key, asked)| is_as_asked(key, asked, found.get(key).unwrap_or(&Value::Null)))
}

pub(super) async fn observe(
    cluster: &Cluster,
    index: &IndexName,
    settings: &Json,
) -> Result<Observed, ReadError> {
    let wanted = wanted(settings);
    Ok(match now(cluster, index, &wanted).await? {
        Some(found) => {
            let is_there = all_as_asked(&wanted, &found);
            observed(is_there, Value::Object(found.clone()), Value::Object(found))
        }
        None => observed(false, format!("no index `{index}`").into(), Value::Null),
    })
}

pub(super) async fn act(
    cluster: &Cluster,
    index: &IndexName,
    settings: &Json,
    attempt: &Attempt,
) -> Acted {
    if let Err(acted) = still_there(cluster, index.as_str(), attempt).await {
        return acted;
    }
    let call = Call::put([index.as_str(), "_settings"])
        .patient()
        .token(&attempt.token)
        .text(settings.as_str());
    cluster.send(&call).await
}

pub(super) async fn probe(
    cluster: &Cluster,
    index: &IndexName,
    settings: &Json,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let wanted = wanted(settings);
    let Some(found) = now(cluster, index, &wanted).await? else {
        return Ok(Probed::Indeterminate(format!("no index `{index}`").into()));
    };
    let evidence = json!({"index": index.as_str(), "settings": found});
    Ok(if all_as_asked(&wanted, &found) {
        Probed::Applied {
            evidence,
            ours: false,
        }
    } else if attempt.kept.as_object() == Some(&found) {
        Probed::Absent(evidence)
    } else {
        Probed::Partial(evidence)
    })
}

pub(super) fn undo(index: &IndexName, attempt: &Attempt) -> Option<Vec<Change>> {
    attempt.kept.as_object()?;
    Some(vec![Change::PutSettings {
        index: index.clone(),
        settings: Json::of(&attempt.kept),
    }])
}

pub(super) async fn observe_mapping(
    cluster: &Cluster,
    index: &IndexName,
    mapping: &Json,
) -> Result<Observed, ReadError> {
    Ok(match cluster.index(index.as_str()).await? {
        Some(state) => observed(
            mapping_has(&state.mapping, &mapping.value()),
            json!({mapping_key(index.as_str()): hash_of(&state.mapping)}),
            state.mapping,
        ),
        None => observed(false, format!("no index `{index}`").into(), Value::Null),
    })
}

pub(super) async fn act_mapping(
    cluster: &Cluster,
    index: &IndexName,
    mapping: &Json,
    attempt: &Attempt,
) -> Acted {
    if let Err(acted) = still_there(cluster, index.as_str(), attempt).await {
        return acted;
    }
    let call = Call::put([index.as_str(), "_mapping"])
        .patient()
        .token(&attempt.token)
        .text(mapping.as_str());
    cluster.send(&call).await
}

pub(super) async fn probe_mapping(
    cluster: &Cluster,
    index: &IndexName,
    mapping: &Json,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let Some(state) = cluster.index(index.as_str()).await? else {
        return Ok(Probed::Indeterminate(format!("no index `{index}`").into()));
    };
    let hash = Value::from(hash_of(&state.mapping));
    let evidence = json!({mapping_key(index.as_str()): hash});
    Ok(if mapping_has(&state.mapping, &mapping.value()) {
        Probed::Applied {
            evidence,
            ours: false,
        }
    } else if attempt.facts.get(&mapping_key(index.as_str())) == Some(&hash) {
        Probed::Absent(evidence)
    } else {
        Probed::Partial(evidence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_setting_is_gone_or_at_the_default_that_the_server_writes_down() {
        let reset = Value::Null;
        assert!(is_as_asked("index.refresh_interval", &reset, &Value::Null));
        assert!(is_as_asked("index.number_of_replicas", &reset, &json!("1")));
        assert!(!is_as_asked(
            "index.number_of_replicas",
            &reset,
            &json!("2")
        ));
        assert!(!is_as_asked("index.refresh_interval", &reset, &json!("1s")));
    }

    #[test]
    fn settings_are_looked_for_as_the_server_shows_them() {
        let wanted = wanted(
            &Json::new(r#"{"number_of_replicas":0,"index":{"blocks.write":true}}"#).unwrap(),
        );
        assert_eq!(
            Value::Object(wanted),
            json!({"index.number_of_replicas": "0", "index.blocks.write": "true"})
        );
    }
}
