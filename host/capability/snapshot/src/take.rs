//! Taking a snapshot: name, resolved list, token in its metadata, templates kept beside it.

use liftlock_cluster::Call;
use liftlock_types::facts::snapshot::Taken;
use liftlock_types::{Acted, Attempt, Probed, Progress, ReadError, SnapshotName};
use serde_json::{Value, json};

use crate::inventory::{Inventory, take as take_inventory};
use crate::reads::{running, taken_of};
use crate::repository::{Repository, refused};

/// Its name in the repository: run and attempt behind the author's.
pub(crate) fn full_name(name: &SnapshotName, attempt: &Attempt) -> String {
    format!("{name}-{}-{}", attempt.run, attempt.number)
}

/// The snapshot of exactly this name.
pub(crate) async fn find(repository: &Repository, name: &str) -> Result<Option<Taken>, ReadError> {
    let answer = repository
        .cluster
        .find(&Call::get(repository.path(&[name])))
        .await?;
    let Some(answer) = answer else {
        return Ok(None);
    };
    let taken = taken_of(&answer)?;
    Ok(taken.into_iter().find(|taken| taken.name == name))
}

pub(crate) async fn act(
    repository: &Repository,
    name: &SnapshotName,
    indices: &[String],
    except: &[String],
    attempt: &Attempt,
) -> Acted {
    let full = full_name(name, attempt);
    if let Err(error) = SnapshotName::new(full.as_str()) {
        return refused("name", error.to_string());
    }
    match running(repository).await {
        Ok(running) if !running.is_empty() => {
            let names: Vec<&str> = running.iter().map(|taken| taken.name.as_str()).collect();
            return Acted::Refused {
                status: 0,
                kind: "snapshot-running".into(),
                text: format!("a snapshot runs already: {}", names.join(", ")),
                later: true,
            };
        }
        Ok(_) => {}
        Err(error) => return Acted::NotSent(error.to_string()),
    }
    let inventory = match take_inventory(repository, &full, indices, except).await {
        Ok(inventory) => inventory,
        Err(error) => return Acted::NotSent(error.to_string()),
    };
    if inventory.indices.is_empty() {
        return refused(
            "nothing-to-take",
            format!("no index matches {}", indices.join(", ")),
        );
    }
    if let Err(error) = inventory.write(repository) {
        return Acted::NotSent(format!(
            "the inventory cannot be kept in `{}`: {error}",
            repository.kept.display()
        ));
    }
    let names: Vec<&str> = inventory
        .indices
        .iter()
        .map(|index| index.name.as_str())
        .collect();
    let mut body = json!({
        "indices": names.join(","),
        "include_global_state": false,
        "ignore_unavailable": false,
        "partial": false,
        // The servers take at most 1,024 bytes of it.
        "metadata": {"liftlock": {"token": attempt.token, "run": attempt.run, "step": attempt.step}},
    });
    match repository.cluster.dialect().await {
        Ok(dialect) => {
            for (key, value) in dialect.snapshot_extras() {
                body[key] = value;
            }
        }
        Err(error) => return Acted::NotSent(error.to_string()),
    }
    let call = Call::put(repository.path(&[&full]))
        .param("wait_for_completion", "false")
        .json(&body)
        .token(&attempt.token);
    repository.cluster.send(&call).await
}

pub(crate) async fn probe(
    repository: &Repository,
    name: &SnapshotName,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let full = full_name(name, attempt);
    let Some(taken) = find(repository, &full).await? else {
        return Ok(Probed::Absent(json!({"snapshot": full})));
    };
    let seen = json!({"snapshot": taken.name, "uuid": taken.uuid, "state": taken.state, "failures": taken.failures});
    let token = taken
        .metadata
        .value()
        .pointer("/liftlock/token")
        .and_then(Value::as_str)
        .map(str::to_owned);
    if token.as_deref() != Some(attempt.token.as_str()) {
        return Ok(Probed::Indeterminate(seen));
    }
    match taken.state.as_str() {
        "IN_PROGRESS" => Ok(Probed::InProgress(progress(repository, &full).await?)),
        "SUCCESS" if taken.failures.is_empty() => {
            let path = Inventory::path(repository, &full);
            let inventory = Inventory::load(&path)?;
            let lacking: Vec<&str> = inventory
                .indices
                .iter()
                .map(|index| index.name.as_str())
                .filter(|name| !taken.indices.iter().any(|taken| taken == name))
                .collect();
            if !lacking.is_empty() {
                return Ok(Probed::Partial(json!({"snapshot": full, "lacks": lacking})));
            }
            Ok(Probed::Applied {
                evidence: json!({
                    "snapshot": taken.name,
                    "uuid": taken.uuid,
                    "repository": repository.name,
                    "indices": inventory.indices.len(),
                    "documents": inventory.docs(),
                    "templates": inventory.templates.len(),
                    "inventory": path,
                }),
                ours: true,
            })
        }
        _ => Ok(Probed::Partial(seen)),
    }
}

async fn progress(repository: &Repository, name: &str) -> Result<Progress, ReadError> {
    let status = repository
        .cluster
        .find(&Call::get(repository.path(&[name, "_status"])))
        .await?;
    let number = |pointer: &str| {
        status
            .as_ref()
            .and_then(|status| status.pointer(pointer))
            .and_then(Value::as_u64)
            .unwrap_or(0)
    };
    Ok(Progress {
        done: number("/snapshots/0/stats/processed/size_in_bytes")
            .max(number("/snapshots/0/stats/incremental/size_in_bytes").min(1)),
        total: number("/snapshots/0/stats/incremental/size_in_bytes"),
        unit: "bytes".into(),
        note: format!(
            "{} of {} shards",
            number("/snapshots/0/shards_stats/done"),
            number("/snapshots/0/shards_stats/total")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use liftlock_types::{Facts, RunId, StepId};

    #[test]
    fn its_name_tells_run_and_attempt() {
        let attempt = Attempt {
            run: RunId::new("r1").unwrap(),
            step: StepId::new("take").unwrap(),
            number: 2,
            token: "t".into(),
            intent_at_ms: 0,
            kept: Value::Null,
            facts: Facts::new(),
            answer: None,
            referred: None,
            made_by_run: std::collections::BTreeMap::new(),
        };
        assert_eq!(
            full_name(&SnapshotName::new("optimize").unwrap(), &attempt),
            "optimize-r1-2"
        );
    }
}
