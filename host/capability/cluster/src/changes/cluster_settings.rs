//! Settings of the cluster that are changed for good.

use liftlock_types::facts::cluster::SettingScope;
use liftlock_types::{Acted, Attempt, Change, Facts, Json, Observed, Probed, ReadError};
use serde_json::{Map, Value, json};

use super::cluster::{Held, held_in};
use super::observed;
use crate::Cluster;
use crate::call::Call;
use crate::normal::flat_settings;

/// Nothing sets a default: the sandbox takes none, and the server is not asked for one.
fn held(scope: SettingScope) -> Result<Held, ReadError> {
    match scope {
        SettingScope::Persistent => Ok(Held::Persistent),
        SettingScope::Transient => Ok(Held::Transient),
        SettingScope::Defaults => Err(ReadError::Invalid("defaults cannot be set".into())),
    }
}

/// Each key with its value now; null: not set.
async fn now(
    cluster: &Cluster,
    scope: SettingScope,
    wanted: &Map<String, Value>,
) -> Result<Map<String, Value>, ReadError> {
    let (held, settings) = (held(scope)?, cluster.settings().await?);
    let value = |key: &String| (key.clone(), held_in(&settings, held, key));
    Ok(wanted.keys().map(value).collect())
}

/// What a plan rests on: the value of each key in this scope.
pub(crate) async fn facts(
    cluster: &Cluster,
    scope: SettingScope,
    settings: &Json,
) -> Result<Facts, ReadError> {
    let held = held(scope)?;
    let found = now(cluster, scope, &flat_settings(&settings.value())).await?;
    let fact = |(key, value): (String, Value)| (held.key(&key), value);
    Ok(found.into_iter().map(fact).collect())
}

pub(super) async fn observe(
    cluster: &Cluster,
    scope: SettingScope,
    settings: &Json,
) -> Result<Observed, ReadError> {
    let wanted = flat_settings(&settings.value());
    let found = Value::Object(now(cluster, scope, &wanted).await?);
    Ok(observed(
        found == Value::Object(wanted),
        found.clone(),
        found,
    ))
}

pub(super) async fn act(
    cluster: &Cluster,
    scope: SettingScope,
    settings: &Json,
    attempt: &Attempt,
) -> Acted {
    let held = match held(scope) {
        Ok(held) => held,
        Err(error) => return super::unread(&error),
    };
    let call = Call::put(["_cluster", "settings"])
        .patient()
        .token(&attempt.token)
        .json(&json!({held.as_str(): settings.value()}));
    cluster.send(&call).await
}

pub(super) async fn probe(
    cluster: &Cluster,
    scope: SettingScope,
    settings: &Json,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let wanted = flat_settings(&settings.value());
    let found = now(cluster, scope, &wanted).await?;
    let evidence = json!({"scope": scope, "settings": found});
    Ok(if found == wanted {
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

pub(super) fn undo(scope: SettingScope, attempt: &Attempt) -> Option<Vec<Change>> {
    attempt.kept.as_object()?;
    Some(vec![Change::PutClusterSettings {
        scope,
        settings: Json::of(&attempt.kept),
    }])
}
