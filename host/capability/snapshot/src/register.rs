//! Registering the repository, and taking it off again.

use liftlock_cluster::Call;
use liftlock_types::{
    Acted, Attempt, Binding, Change, Facts, Json, Observed, Planned, Probed, ReadError, contains,
};
use serde_json::{Value, json};

use crate::reads::verified;
use crate::repository::{Repository, refused, seen};

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

/// The old registration; where there was none, none.
pub(crate) fn undo(
    binding: &Binding,
    kind: &str,
    settings: &Json,
    kept: &Value,
) -> Option<Vec<Planned>> {
    if kept.is_null() {
        return Some(vec![planned(
            binding,
            Change::UnregisterRepository {
                kind: kind.to_owned(),
                settings: settings.clone(),
            },
        )]);
    }
    again(binding, kept)
}

/// The registration that was kept, again.
pub(crate) fn again(binding: &Binding, kept: &Value) -> Option<Vec<Planned>> {
    let kind = kept.get("type")?.as_str()?.to_owned();
    let settings = Json::of(kept.get("settings")?);
    Some(vec![planned(
        binding,
        Change::RegisterRepository { kind, settings },
    )])
}

fn planned(binding: &Binding, change: Change) -> Planned {
    Planned {
        binding: binding.clone(),
        change,
        fills: Vec::new(),
    }
}

pub(crate) async fn observe_unregister(repository: &Repository) -> Result<Observed, ReadError> {
    let found = repository.settings().await?.map(|found| plain(&found));
    Ok(seen(
        found.is_none(),
        json!({"repository": repository.name, "registered": found.is_some()}),
        json!(found),
    ))
}

pub(crate) async fn act_unregister(
    repository: &Repository,
    kind: &str,
    settings: &Json,
    attempt: &Attempt,
) -> Acted {
    match repository.settings().await {
        Err(error) => return Acted::NotSent(error.to_string()),
        // Whoever did it: the probe tells that it is gone, and not whose doing it is.
        Ok(None) => return Acted::Unanswered("it was not registered when it was sent".into()),
        Ok(Some(found)) => {
            let as_meant = contains(&as_text(&plain(&found)), &as_text(&asked(kind, settings)));
            if !as_meant {
                return refused(
                    "registered-otherwise",
                    format!(
                        "repository `{}` is registered otherwise than the plan says",
                        repository.name
                    ),
                );
            }
        }
    }
    let call = Call::delete(repository.path(&[])).token(&attempt.token);
    match repository.cluster.send(&call).await {
        Acted::Refused {
            status: 404, text, ..
        } => Acted::Unanswered(text),
        acted => acted,
    }
}

pub(crate) async fn probe_unregister(
    repository: &Repository,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let found = repository.settings().await?.map(|found| plain(&found));
    let evidence = json!({"repository": repository.name, "registered": found.is_some()});
    Ok(match found {
        None => Probed::Applied {
            evidence,
            ours: false,
        },
        Some(found) if found == attempt.kept => Probed::Absent(evidence),
        Some(_) => Probed::Indeterminate(evidence),
    })
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
