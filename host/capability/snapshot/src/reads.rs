//! Reads of a repository.

use liftlock_cluster::Call;
use liftlock_types::facts::snapshot::Taken;
use liftlock_types::{Json, Read, ReadError};
use serde_json::{Value, json};

use crate::repository::Repository;

/// Most snapshots of one list (contract).
const SNAPSHOTS_MAX: usize = 1_000;

/// How long a verification may take: every node writes and reads a file there.
const VERIFY_MS: u64 = 60_000;

pub(crate) async fn read(repository: &Repository, read: &Read) -> Result<Value, ReadError> {
    match read {
        Read::RepositoryName => Ok(json!(repository.name)),
        Read::SnapshotVerified => Ok(json!(verified(repository).await?)),
        Read::SnapshotList => Ok(json!(list(repository).await?)),
        Read::SnapshotRunning => Ok(json!(running(repository).await?)),
        other => Err(ReadError::Invalid(format!(
            "`{}` is no read of a snapshot repository",
            other.verb()
        ))),
    }
}

/// Names of the nodes that reach it.
pub(crate) async fn verified(repository: &Repository) -> Result<Vec<String>, ReadError> {
    if repository.settings().await?.is_none() {
        return Err(ReadError::NotFound(format!(
            "repository `{}` is not registered",
            repository.name
        )));
    }
    let call = Call::post(repository.path(&["_verify"])).deadline_ms(VERIFY_MS);
    let answer = repository.cluster.ask(&call).await?;
    let nodes = answer
        .get("nodes")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    Ok(nodes
        .filter_map(|(_, node)| node.get("name")?.as_str().map(str::to_owned))
        .collect())
}

async fn list(repository: &Repository) -> Result<Vec<Taken>, ReadError> {
    let answer = repository
        .cluster
        .ask(&Call::get(repository.path(&["_all"])))
        .await?;
    let mut found: Vec<Taken> = taken_of(&answer)?;
    if found.len() > SNAPSHOTS_MAX {
        return Err(ReadError::Invalid(format!(
            "{} snapshots, at most {SNAPSHOTS_MAX} are given",
            found.len()
        )));
    }
    found.sort_by(|a, b| {
        b.started_ms
            .cmp(&a.started_ms)
            .then_with(|| a.name.cmp(&b.name))
    });
    Ok(found)
}

/// Snapshots that run now, in any repository.
pub(crate) async fn running(repository: &Repository) -> Result<Vec<Taken>, ReadError> {
    let answer = repository
        .cluster
        .ask(&Call::get(["_snapshot", "_status"]))
        .await?;
    taken_of(&answer)
}

/// The snapshots of an answer, as `_snapshot` and `_snapshot/_status` say them.
///
/// An answer of another form is no evidence that there is none.
pub(crate) fn taken_of(answer: &Value) -> Result<Vec<Taken>, ReadError> {
    let snapshots = answer
        .get("snapshots")
        .and_then(Value::as_array)
        .ok_or_else(|| {
            ReadError::Unavailable(
                "the answer is no list of snapshots: not the server's own".into(),
            )
        })?;
    Ok(snapshots.iter().map(taken).collect())
}

fn taken(value: &Value) -> Taken {
    let text = |key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let indices = match value.get("indices") {
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect(),
        // The status lists them by name.
        Some(Value::Object(names)) => names.keys().cloned().collect(),
        _ => Vec::new(),
    };
    let failures = value
        .get("failures")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    Taken {
        name: text("snapshot"),
        uuid: text("uuid"),
        state: match text("state").as_str() {
            "STARTED" | "INIT" => "IN_PROGRESS".into(),
            other => other.into(),
        },
        started_ms: value
            .get("start_time_in_millis")
            .or_else(|| value.pointer("/stats/start_time_in_millis"))
            .and_then(Value::as_u64)
            .unwrap_or(0),
        indices,
        global_state: value
            .get("include_global_state")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        failures: failures.map(ToString::to_string).collect(),
        version: text("version"),
        metadata: Json::of(value.get("metadata").unwrap_or(&Value::Null)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_snapshot_are_read() {
        let listed = json!({"snapshots": [{"snapshot": "a", "uuid": "u", "state": "SUCCESS", "indices": ["i"],
            "include_global_state": false, "failures": [], "start_time_in_millis": 5, "version": "2.19.1",
            "metadata": {"liftlock": {"token": "t"}}}]});
        let one = &taken_of(&listed).unwrap()[0];
        assert_eq!(
            (one.name.as_str(), one.state.as_str(), one.started_ms),
            ("a", "SUCCESS", 5)
        );
        assert_eq!(one.indices, ["i"]);
        let status = json!({"snapshots": [{"snapshot": "b", "state": "STARTED", "indices": {"j": {}},
            "stats": {"start_time_in_millis": 7}}]});
        let one = &taken_of(&status).unwrap()[0];
        assert_eq!((one.state.as_str(), one.started_ms), ("IN_PROGRESS", 7));
        assert_eq!(one.indices, ["j"]);
    }

    #[test]
    fn a_change_of_another_capability_is_refused() {
        assert!(
            crate::repository::not_ours(&liftlock_types::Change::StopService {})
                .to_string()
                .contains("service.stop")
        );
    }
}
