//! Registering the repository.

use liftlock_cluster::Call;
use liftlock_types::{
    Acted, Attempt, Binding, Change, Facts, Json, Observed, Planned, Probed, ReadError, contains,
};
use serde_json::{Value, json};

use crate::reads::verified;
use crate::repository::{Repository, seen};

pub(crate) async fn facts(repository: &Repository) -> Result<Facts, ReadError> {
    let settings = repository
        .settings()
        .await?
        .map(|settings| plain(&settings));
    Ok(Facts::from([(
        format!("repository/{}", repository.name),
        json!(settings),
    )]))
}

/// Type and settings alone: the server adds a uuid of its own.
fn plain(found: &Value) -> Value {
    json!({"type": found.get("type"), "settings": found.get("settings")})
}

fn asked(kind: &str, settings: &Json) -> Value {
    json!({"type": kind, "settings": settings.value()})
}

/// The servers show every setting as text.
fn as_text(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), as_text(value)))
            .collect(),
        Value::String(_) | Value::Null | Value::Array(_) => value.clone(),
        other => Value::String(other.to_string()),
    }
}

async fn is_so(
    repository: &Repository,
    kind: &str,
    settings: &Json,
) -> Result<(bool, Value), ReadError> {
    let found = repository
        .settings()
        .await?
        .map_or(Value::Null, |found| plain(&found));
    let registered = contains(&as_text(&found), &as_text(&asked(kind, settings)));
    Ok((registered && !verified(repository).await?.is_empty(), found))
}

pub(crate) async fn observe(
    repository: &Repository,
    kind: &str,
    settings: &Json,
) -> Result<Observed, ReadError> {
    let old = repository.settings().await?.map(|found| plain(&found));
    let already = old.is_some() && is_so(repository, kind, settings).await?.0;
    Ok(seen(
        already,
        json!({"repository": repository.name}),
        json!(old),
    ))
}

pub(crate) async fn act(
    repository: &Repository,
    kind: &str,
    settings: &Json,
    attempt: &Attempt,
) -> Acted {
    let call = Call::put(repository.path(&[]))
        .json(&asked(kind, settings))
        .token(&attempt.token);
    repository.cluster.send(&call).await
}

pub(crate) async fn probe(
    repository: &Repository,
    kind: &str,
    settings: &Json,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    if repository.settings().await?.is_none() {
        return Ok(Probed::Absent(Value::Null));
    }
    let (is_so, found) = is_so(repository, kind, settings).await?;
    Ok(if is_so {
        Probed::Applied {
            evidence: json!({"repository": repository.name, "verified": true}),
            ours: false,
        }
    } else if found == attempt.kept {
        Probed::Absent(Value::Null)
    } else {
        Probed::Indeterminate(json!({"repository": repository.name}))
    })
}

/// The old registration; where there was none it stays, and is named by the plan.
pub(crate) fn undo(binding: &Binding, kept: &Value) -> Option<Vec<Planned>> {
    let kind = kept.get("type")?.as_str()?.to_owned();
    let settings = Json::of(kept.get("settings")?);
    Some(vec![Planned {
        binding: binding.clone(),
        change: Change::RegisterRepository { kind, settings },
        fills: Vec::new(),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_compared_as_the_server_shows_them() {
        let found = json!({"type": "fs", "settings": {"location": "/backups", "compress": "true"}});
        let asked = asked(
            "fs",
            &Json::new(r#"{"location":"/backups","compress":true}"#).unwrap(),
        );
        assert!(contains(&as_text(&found), &as_text(&asked)));
    }
}
