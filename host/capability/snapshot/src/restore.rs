//! Restoring indices in their own names, with their aliases, for a roll-back.
//!
//! A uuid belongs to one index for ever. So an index that has the uuid it had when it was taken, or when the restore
//! was asked for, was not restored; one that came back has another, and the creation date, documents and mapping of
//! the inventory.

use liftlock_cluster::Call;
use liftlock_types::facts::cluster::{Index, Shard};
use liftlock_types::{
    Acted, Attempt, Capability as _, IndexName, Observed, Probed, Progress, Read, ReadError,
};
use serde_json::{Map, Value, json};

use crate::inventory::{Inventory, count, created, mapping, typed, written};
use crate::repository::{Repository, refused, seen};
use crate::trial::{STALLED_MS, Source, now_ms, why_not_started};

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
    let there: Map<String, Value> = look(repository, indices)
        .await?
        .into_iter()
        .map(|index| (index.name, index.uuid.into()))
        .collect();
    let applied = matches!(
        probe(repository, indices, attempt).await?,
        Probed::Applied { .. }
    );
    Ok(seen(
        applied,
        json!({"indices": indices, "there": there}),
        json!({"uuids": there}),
    ))
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
        Ok(found) if found.is_empty() => {}
        // Over a closed one the server restores as well: it keeps the uuid, and nothing would tell the two apart.
        Ok(found) => {
            let names: Vec<&str> = found.iter().map(|index| index.name.as_str()).collect();
            return refused(
                "index-there",
                format!("these are there: {}", names.join(", ")),
            );
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

/// Is this the index that stood there before, and no restored one?
fn is_original(source: &Source, attempt: &Attempt, index: &Index) -> bool {
    let was = attempt.kept.get("uuids").and_then(|it| it.get(&index.name));
    was.and_then(Value::as_str) == Some(index.uuid.as_str())
        || source
            .inventory
            .indices
            .iter()
            .any(|had| had.name == index.name && had.uuid == index.uuid)
}

pub(crate) async fn probe(
    repository: &Repository,
    indices: &[IndexName],
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let source = Source::of(attempt)?;
    let (originals, found): (Vec<Index>, Vec<Index>) = look(repository, indices)
        .await?
        .into_iter()
        .partition(|index| is_original(&source, attempt, index));
    let originals: Vec<&str> = originals.iter().map(|index| index.name.as_str()).collect();
    if found.is_empty() {
        return Ok(Probed::Absent(
            json!({"restored": 0, "originals": originals}),
        ));
    }
    if let Some(probed) = started(repository, &found, indices.len(), attempt).await? {
        return Ok(probed);
    }
    if found.len() < indices.len() {
        return Ok(Probed::Partial(
            json!({"restored": found.len(), "of": indices.len(), "originals": originals}),
        ));
    }
    let mut differences = Vec::new();
    let mut docs = 0;
    for index in &found {
        differences.extend(differs(repository, &source.inventory, index, &mut docs).await?);
    }
    if !differences.is_empty() {
        return Ok(Probed::Partial(json!({"differences": differences})));
    }
    let uuids: Map<String, Value> = found
        .iter()
        .map(|index| (index.name.clone(), index.uuid.as_str().into()))
        .collect();
    Ok(Probed::Applied {
        evidence: json!({
            "indices": found.len(),
            "documents": docs,
            "snapshot": source.snapshot,
            "uuids": uuids,
        }),
        ours: false,
    })
}

/// None: all primaries are.
pub(crate) async fn started(
    repository: &Repository,
    found: &[Index],
    of: usize,
    attempt: &Attempt,
) -> Result<Option<Probed>, ReadError> {
    let mut shards: Vec<Shard> = Vec::new();
    for index in found {
        let pattern = index.name.clone();
        let read = Read::Shards { pattern };
        shards.extend(typed::<Vec<Shard>>(repository.cluster.read(&read).await?)?);
    }
    let primaries: Vec<&Shard> = shards.iter().filter(|shard| shard.primary).collect();
    let lacking: Vec<&&Shard> = primaries
        .iter()
        .filter(|shard| shard.state != "STARTED")
        .collect();
    let Some(first) = lacking.first() else {
        return Ok(None);
    };
    let waits = lacking
        .iter()
        .any(|shard| shard.state == "INITIALIZING" || shard.state == "RELOCATING");
    if !waits && now_ms() - attempt.intent_at_ms > STALLED_MS {
        let why = why_not_started(repository, &first.index).await;
        let names: Vec<&str> = lacking.iter().map(|shard| shard.index.as_str()).collect();
        return Ok(Some(Probed::Partial(
            json!({"why": why, "not_started": names}),
        )));
    }
    Ok(Some(Probed::InProgress(Progress {
        done: (primaries.len() - lacking.len()) as u64,
        total: primaries.len() as u64,
        unit: "shards".into(),
        note: format!("{} of {of} indices", found.len()),
    })))
}

/// Is this what an earlier restore of the same snapshot brought back, and was nothing written to it since?
pub(crate) async fn is_back(
    repository: &Repository,
    inventory: &Inventory,
    index: &Index,
) -> Result<bool, ReadError> {
    let had = inventory.indices.iter().find(|had| had.name == index.name);
    let Some(had) = had.filter(|had| had.uuid != index.uuid && had.created.is_some()) else {
        return Ok(false);
    };
    // Of one that was closed nobody knows what was written before: it is restored again.
    Ok(index.open
        && had.written.is_some()
        && written(repository, &index.name).await? == had.written
        && differs(repository, inventory, index, &mut 0)
            .await?
            .is_empty())
}

/// How it is not what the inventory says.
async fn differs(
    repository: &Repository,
    inventory: &Inventory,
    index: &Index,
    docs: &mut u64,
) -> Result<Vec<String>, ReadError> {
    let name = &index.name;
    let Some(had) = inventory.indices.iter().find(|had| had.name == *name) else {
        return Ok(vec![format!("`{name}` was not taken")]);
    };
    let mut differences = Vec::new();
    if index.open {
        let now = count(repository, name).await?;
        *docs += now;
        if had.open && had.docs != now {
            differences.push(format!("`{name}` had {} documents, it has {now}", had.docs));
        }
    }
    if mapping(repository, name).await? != had.mapping {
        differences.push(format!("the mapping of `{name}` is another"));
    }
    let is_older = had.created.is_none();
    if !is_older && created(repository, name).await? != had.created {
        differences.push(format!(
            "`{name}` was made anew, it is not the one that was taken"
        ));
    }
    Ok(differences)
}
