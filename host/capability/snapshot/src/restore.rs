//! Restoring indices in their own names, with their aliases, for a roll-back.

use liftlock_cluster::Call;
use liftlock_types::facts::cluster::{Index, Shard};
use liftlock_types::{
    Acted, Attempt, Capability as _, IndexName, Observed, Probed, Progress, Read, ReadError,
};
use serde_json::{Value, json};

use crate::inventory::{count, typed};
use crate::repository::{Repository, refused, seen};
use crate::trial::Source;

/// What is there of the indices now.
async fn look(repository: &Repository, indices: &[IndexName]) -> Result<Vec<Index>, ReadError> {
    let mut found = Vec::new();
    for name in indices {
        let read = Read::Indices {
            pattern: name.to_string(),
        };
        let there: Vec<Index> = typed(repository.cluster.read(&read).await?)?;
        found.extend(
            there
                .into_iter()
                .filter(|index| index.name == name.as_str()),
        );
    }
    Ok(found)
}

pub(crate) async fn observe(
    repository: &Repository,
    indices: &[IndexName],
    attempt: &Attempt,
) -> Result<Observed, ReadError> {
    let applied = matches!(
        probe(repository, indices, attempt).await?,
        Probed::Applied { .. }
    );
    Ok(seen(applied, json!({"indices": indices}), Value::Null))
}

pub(crate) async fn act(
    repository: &Repository,
    indices: &[IndexName],
    attempt: &Attempt,
) -> Acted {
    let source = match Source::of(attempt) {
        Ok(source) => source,
        Err(error) => return refused("no-snapshot", error.to_string()),
    };
    match source.check(repository).await {
        Ok(()) => {}
        Err(ReadError::Unavailable(why)) => return Acted::NotSent(why),
        Err(error) => return refused("no-snapshot", error.to_string()),
    }
    match look(repository, indices).await {
        Ok(found) => {
            let open: Vec<&str> = found
                .iter()
                .filter(|index| index.open)
                .map(|index| index.name.as_str())
                .collect();
            if !open.is_empty() {
                return refused(
                    "index-open",
                    format!("these are there and open: {}", open.join(", ")),
                );
            }
        }
        Err(error) => return Acted::NotSent(error.to_string()),
    }
    let names: Vec<&str> = indices.iter().map(IndexName::as_str).collect();
    let call = Call::post(repository.path(&[&source.snapshot, "_restore"]))
        .param("wait_for_completion", "false")
        .json(&json!({"indices": names.join(","), "include_aliases": true, "include_global_state": false}))
        .token(&attempt.token);
    repository.cluster.send(&call).await
}

pub(crate) async fn probe(
    repository: &Repository,
    indices: &[IndexName],
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let source = Source::of(attempt)?;
    let found = look(repository, indices).await?;
    if found.is_empty() {
        return Ok(Probed::Absent(json!({"indices": 0})));
    }
    let mut shards: Vec<Shard> = Vec::new();
    for name in indices {
        shards.extend(typed::<Vec<Shard>>(
            repository
                .cluster
                .read(&Read::Shards {
                    pattern: name.to_string(),
                })
                .await?,
        )?);
    }
    let primaries: Vec<&Shard> = shards.iter().filter(|shard| shard.primary).collect();
    let started = primaries
        .iter()
        .filter(|shard| shard.state == "STARTED")
        .count();
    if started < primaries.len() {
        return Ok(Probed::InProgress(Progress {
            done: started as u64,
            total: primaries.len() as u64,
            unit: "shards".into(),
            note: format!("{} of {} indices", found.len(), indices.len()),
        }));
    }
    if found.len() < indices.len() {
        return Ok(Probed::Partial(
            json!({"there": found.len(), "of": indices.len()}),
        ));
    }
    let mut differences = Vec::new();
    for name in indices {
        let had = source
            .inventory
            .indices
            .iter()
            .find(|index| index.name == name.as_str());
        let docs = count(repository, name.as_str()).await?;
        if had.is_some_and(|had| had.docs != docs) {
            differences.push(format!("`{name}` has {docs} documents"));
        }
    }
    if differences.is_empty() {
        Ok(Probed::Applied {
            evidence: json!({"indices": indices.len(), "snapshot": source.snapshot}),
            ours: false,
        })
    } else {
        Ok(Probed::Partial(json!({"differences": differences})))
    }
}
