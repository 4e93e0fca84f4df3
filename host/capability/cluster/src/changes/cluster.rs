//! The cluster's own settings, and the end of a task.

use liftlock_types::event::Borrowed;
use liftlock_types::rules::Borrow;
use liftlock_types::{Acted, Attempt, Change, Observed, Probed, Progress, ReadError};
use serde_json::{Value, json};

use super::{moved_on, observed, unread};
use crate::Cluster;
use crate::call::Call;
use crate::dialect::is_cancelled;
use crate::facts::setting_key;

impl Cluster {
    /// The persistent value of a cluster setting; null: not set.
    pub(crate) async fn persistent_setting(&self, key: &str) -> Result<Value, ReadError> {
        self.setting("persistent", key).await
    }

    async fn setting(&self, scope: &str, key: &str) -> Result<Value, ReadError> {
        let call = Call::get(["_cluster", "settings"]).param("flat_settings", "true");
        let value = self.ask(&call).await?;
        Ok(value
            .get(scope)
            .and_then(|scope| scope.get(key))
            .cloned()
            .unwrap_or(Value::Null))
    }
}

fn asked(value: Option<&str>) -> Value {
    value.map_or(Value::Null, Value::from)
}

pub(super) async fn observe_setting(
    cluster: &Cluster,
    key: &str,
    value: Option<&str>,
) -> Result<Observed, ReadError> {
    let old = cluster.persistent_setting(key).await?;
    let ours = asked(value);
    Ok(Observed {
        already_true: old == ours,
        evidence: json!({setting_key(key): old}),
        borrowed: Some(Borrowed {
            kind: Borrow::Neutral,
            key: setting_key(key),
            old: old.clone(),
            ours,
        }),
        kept: old,
    })
}

pub(super) async fn act_setting(
    cluster: &Cluster,
    key: &str,
    value: Option<&str>,
    attempt: &Attempt,
) -> Acted {
    // A transient value hides the persistent one, so ours would have no effect.
    match cluster.setting("transient", key).await {
        Ok(Value::Null) => {}
        Ok(hiding) => {
            return moved_on(
                "transient-setting",
                format!("`{key}` is set transiently to {hiding}, which hides what we would set"),
            );
        }
        Err(error) => return unread(&error),
    }
    let call = Call::put(["_cluster", "settings"])
        .patient()
        .token(&attempt.token)
        .json(&json!({"persistent": {key: asked(value)}}));
    cluster.send(&call).await
}

pub(super) async fn probe_setting(
    cluster: &Cluster,
    key: &str,
    value: Option<&str>,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let now = cluster.persistent_setting(key).await?;
    let evidence = json!({setting_key(key): now});
    Ok(if now == asked(value) {
        Probed::Applied {
            evidence,
            ours: false,
        }
    } else if attempt.facts.get(&setting_key(key)) == Some(&now) {
        Probed::Absent(evidence)
    } else {
        Probed::Indeterminate(evidence)
    })
}

pub(super) fn undo_setting(key: &str, attempt: &Attempt) -> Option<Vec<Change>> {
    let value = match &attempt.kept {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        // A list setting has no form as one text.
        _ => return None,
    };
    Some(vec![Change::SetClusterSetting {
        key: key.to_owned(),
        value,
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
