//! The cluster's own settings, and the end of a task.

use liftlock_types::event::Borrowed;
use liftlock_types::rules::Borrow;
use liftlock_types::{Acted, Attempt, Change, Observed, Probed, Progress, ReadError};
use serde_json::{Value, json};

use super::{moved_on, observed, unread};
use crate::Cluster;
use crate::call::Call;
use crate::dialect::is_cancelled;
use crate::facts::{setting_key, transient_key};

/// The two places that a cluster setting can be set in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// Kept over a restart.
    Persistent,
    /// Gone with a restart of the whole cluster; hides the persistent value.
    Transient,
}

impl Held {
    /// The server's word.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Persistent => "persistent",
            Self::Transient => "transient",
        }
    }

    /// Of the value: as a fact, and as a thing to borrow.
    pub(crate) fn key(self, key: &str) -> String {
        match self {
            Self::Persistent => setting_key(key),
            Self::Transient => transient_key(key),
        }
    }
}

impl Cluster {
    /// The value of a cluster setting; null: not set.
    pub(crate) async fn setting(&self, held: Held, key: &str) -> Result<Value, ReadError> {
        Ok(held_in(&self.settings().await?, held, key))
    }

    /// Flat, in both places.
    pub(super) async fn settings(&self) -> Result<Value, ReadError> {
        let call = Call::get(["_cluster", "settings"]).param("flat_settings", "true");
        self.ask(&call).await
    }
}

/// The value of one key of [`Cluster::settings`]; null: not set.
pub(super) fn held_in(settings: &Value, held: Held, key: &str) -> Value {
    settings
        .get(held.as_str())
        .and_then(|settings| settings.get(key))
        .cloned()
        .unwrap_or(Value::Null)
}

fn asked(value: Option<&str>) -> Value {
    value.map_or(Value::Null, Value::from)
}

pub(super) async fn observe_setting(
    cluster: &Cluster,
    held: Held,
    key: &str,
    value: Option<&str>,
) -> Result<Observed, ReadError> {
    let old = cluster.setting(held, key).await?;
    let ours = asked(value);
    Ok(Observed {
        already_true: old == ours,
        evidence: json!({held.key(key): old}),
        borrowed: Some(Borrowed {
            kind: Borrow::Neutral,
            key: held.key(key),
            old: old.clone(),
            ours,
        }),
        kept: old,
    })
}

pub(super) async fn act_setting(
    cluster: &Cluster,
    held: Held,
    key: &str,
    value: Option<&str>,
    attempt: &Attempt,
) -> Acted {
    let settings = match cluster.settings().await {
        Ok(settings) => settings,
        Err(error) => return unread(&error),
    };
    let hiding = held_in(&settings, Held::Transient, key);
    if held == Held::Persistent && !hiding.is_null() {
        return moved_on(
            "transient-setting",
            format!("`{key}` is set transiently to {hiding}, which hides what we would set"),
        );
    }
    let old = held_in(&settings, held, key);
    if !old.is_null() && !old.is_string() {
        return moved_on(
            "list-setting",
            format!("`{key}` is set to {old}: one text cannot give that back"),
        );
    }
    let call = Call::put(["_cluster", "settings"])
        .patient()
        .token(&attempt.token)
        .json(&json!({held.as_str(): {key: asked(value)}}));
    cluster.send(&call).await
}

pub(super) async fn probe_setting(
    cluster: &Cluster,
    held: Held,
    key: &str,
    value: Option<&str>,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let now = cluster.setting(held, key).await?;
    let evidence = json!({held.key(key): now});
    Ok(if now == asked(value) {
        Probed::Applied {
            evidence,
            ours: false,
        }
    } else if attempt.facts.get(&held.key(key)) == Some(&now) {
        Probed::Absent(evidence)
    } else {
        Probed::Indeterminate(evidence)
    })
}

pub(super) fn undo_setting(held: Held, key: &str, attempt: &Attempt) -> Option<Vec<Change>> {
    let value = match &attempt.kept {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        // A list setting has no form as one text.
        _ => return None,
    };
    let key = key.to_owned();
    Some(vec![match held {
        Held::Persistent => Change::SetClusterSetting { key, value },
        Held::Transient => Change::SetTransientSetting { key, value },
    }])
}

enum TaskState {
    Gone,
    Ended,
    Cancelled,
    Runs,
}

async fn task_state(cluster: &Cluster, id: &str) -> Result<TaskState, ReadError> {
    let Some(value) = cluster.find(&Call::get(["_tasks", id])).await? else {
        return Ok(TaskState::Gone);
    };
    Ok(if value.get("completed") == Some(&Value::Bool(true)) {
        TaskState::Ended
    } else if is_cancelled(&value) {
        TaskState::Cancelled
    } else {
        TaskState::Runs
    })
}

pub(super) async fn observe_cancel(cluster: &Cluster, id: &str) -> Result<Observed, ReadError> {
    let state = task_state(cluster, id).await?;
    let is_over = matches!(state, TaskState::Gone | TaskState::Ended);
    Ok(observed(
        is_over,
        json!({"task": id, "runs": !is_over}),
        Value::Null,
    ))
}

pub(super) async fn act_cancel(cluster: &Cluster, id: &str, attempt: &Attempt) -> Acted {
    let call = Call::post(["_tasks", id, "_cancel"]).token(&attempt.token);
    match cluster.send(&call).await {
        Acted::Refused {
            status: 404, text, ..
        } => Acted::Unanswered(text),
        acted => acted,
    }
}

pub(super) async fn probe_cancel(cluster: &Cluster, id: &str) -> Result<Probed, ReadError> {
    Ok(match task_state(cluster, id).await? {
        TaskState::Gone | TaskState::Ended => Probed::Applied {
            evidence: json!({"task": id, "runs": false}),
            ours: false,
        },
        TaskState::Cancelled => Probed::InProgress(Progress {
            done: 0,
            total: 0,
            unit: "tasks".into(),
            note: format!("task {id} is cancelled and has not ended yet"),
        }),
        TaskState::Runs => Probed::Absent(json!({"task": id, "runs": true})),
    })
}
