//! The trial restore: a snapshot that was never restored is no backup.
//!
//! Everything in it is restored beside the originals, under names of this run, without aliases, without replicas,
//! hidden and without a lifecycle; documents and mappings are compared with what was there when it was taken; the
//! copies are removed again. With aliases it either dies or a live alias covers both copies, and with global state
//! it replaces every component template, the neighbours' too (gate, section 8).

use std::path::PathBuf;

use liftlock_cluster::Call;
use liftlock_types::facts::cluster::{Index, RawAnswer, Shard};
use liftlock_types::{
    Acted, Attempt, Capability as _, IndexName, Probed, Progress, Read, ReadError,
};
use serde_json::{Value, json};

use crate::inventory::{Inventory, count, mapping, typed};
use crate::repository::{Repository, refused};

/// How long after the restore was asked for a primary may lack a node, with nothing on its way, before that is a
/// result. One minute: the servers retry an allocation five times within it.
pub(crate) const STALLED_MS: i64 = 60_000;

/// Most of the server's words on a failure that go into the journal: one exception with its message.
const WHY_CHARS_MAX: usize = 300;

/// The snapshot that a step took, from its outcome.
pub(crate) struct Source {
    pub(crate) snapshot: String,
    pub(crate) uuid: String,
    pub(crate) inventory: Inventory,
}

impl Source {
    pub(crate) fn of(attempt: &Attempt) -> Result<Self, ReadError> {
        let evidence = attempt.referred.as_ref().ok_or_else(|| {
            ReadError::NotFound("the outcome of the step that takes the snapshot".into())
        })?;
        Ok(Self {
            snapshot: text(evidence, "snapshot"),
            uuid: text(evidence, "uuid"),
            inventory: inventory_of(evidence)?,
        })
    }

    /// It is still the one that was taken.
    pub(crate) async fn check(&self, repository: &Repository) -> Result<(), ReadError> {
        match crate::take::find(repository, &self.snapshot).await? {
            Some(taken) if taken.uuid == self.uuid && taken.state == "SUCCESS" => Ok(()),
            Some(taken) => Err(ReadError::Invalid(format!(
                "snapshot `{}` is not the one that was taken: uuid {}, state {}",
                self.snapshot, taken.uuid, taken.state
            ))),
            None => Err(ReadError::NotFound(format!("snapshot `{}`", self.snapshot))),
        }
    }
}

fn text(evidence: &Value, key: &str) -> String {
    evidence
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// What was written down beside the journal when the snapshot was taken.
pub(crate) fn inventory_of(evidence: &Value) -> Result<Inventory, ReadError> {
    Inventory::load(&PathBuf::from(text(evidence, "inventory")))
}

/// Before the name of each copy. No product's prefix matches it, and it names run and step.
fn prefix(attempt: &Attempt) -> String {
    format!("liftlock-trial-{}-{}-", attempt.run, attempt.step)
}

pub(crate) async fn act(repository: &Repository, attempt: &Attempt) -> Acted {
    let source = match Source::of(attempt) {
        Ok(source) => source,
        Err(error) => return refused("no-snapshot", error.to_string()),
    };
    match source.check(repository).await {
        Ok(()) => {}
        Err(ReadError::Unavailable(why)) => return Acted::NotSent(why),
        Err(error) => return refused("no-snapshot", error.to_string()),
    }
    let prefix = prefix(attempt);
    for index in &source.inventory.indices {
        if let Err(error) = IndexName::new(format!("{prefix}{}", index.name)) {
            return refused(
                "name",
                format!("the trial copy of `{}`: {error}", index.name),
            );
        }
    }
    // A copied block would stop the removal of the copy.
    let mut ignored = vec!["index.blocks.*"];
    match repository.cluster.dialect().await {
        Ok(dialect) => ignored.extend(dialect.lifecycle_settings()),
        Err(error) => return Acted::NotSent(error.to_string()),
    }
    let names: Vec<&str> = source
        .inventory
        .indices
        .iter()
        .map(|index| index.name.as_str())
        .collect();
    let body = json!({
        "indices": names.join(","),
        "include_aliases": false,
        "include_global_state": false,
        "rename_pattern": "(.+)",
        "rename_replacement": format!("{prefix}$1"),
        "index_settings": {
            "index.number_of_replicas": 0,
            "index.auto_expand_replicas": "false",
            "index.hidden": true,
        },
        "ignore_index_settings": ignored,
    });
    let call = Call::post(repository.path(&[&source.snapshot, "_restore"]))
        .param("wait_for_completion", "false")
        .json(&body)
        .token(&attempt.token);
    repository.cluster.send(&call).await
}

pub(crate) async fn probe(repository: &Repository, attempt: &Attempt) -> Result<Probed, ReadError> {
    let source = Source::of(attempt)?;
    let prefix = prefix(attempt);
    let pattern = format!("{prefix}*");
    let copies: Vec<Index> = typed(
        repository
            .cluster
            .read(&Read::Indices {
                pattern: pattern.clone(),
            })
            .await?,
    )?;
    if copies.is_empty() {
        return Ok(Probed::Absent(
            json!({"copies": 0, "of": source.inventory.indices.len()}),
        ));
    }
    let shards: Vec<Shard> = typed(repository.cluster.read(&Read::Shards { pattern }).await?)?;
    let primaries: Vec<&Shard> = shards.iter().filter(|shard| shard.primary).collect();
    let started = primaries
        .iter()
        .filter(|shard| shard.state == "STARTED")
        .count();
    let whole = copies.len() == source.inventory.indices.len() && started == primaries.len();
    if !whole {
        let waits = primaries
            .iter()
            .any(|shard| shard.state == "INITIALIZING" || shard.state == "RELOCATING");
        let stalled = now_ms() - attempt.intent_at_ms > STALLED_MS;
        if stalled && !waits {
            let lost: Vec<&str> = primaries
                .iter()
                .filter(|shard| shard.state != "STARTED")
                .map(|shard| shard.index.as_str())
                .collect();
            let why = match lost.first() {
                Some(copy) => why_not_started(repository, copy).await,
                None => None,
            };
            return Ok(Probed::Partial(
                json!({"why": why, "copies": copies.len(), "not_started": lost}),
            ));
        }
        return Ok(Probed::InProgress(Progress {
            done: started as u64,
            total: primaries.len() as u64,
            unit: "shards".into(),
            note: format!("{} copies", copies.len()),
        }));
    }
    let mut differences = Vec::new();
    for index in &source.inventory.indices {
        let copy = format!("{prefix}{}", index.name);
        if copies.iter().any(|found| found.name == copy && !found.open) {
            continue;
        }
        let docs = count(repository, &copy).await?;
        if index.open && docs != index.docs {
            differences.push(format!(
                "`{}` had {} documents, its copy has {docs}",
                index.name, index.docs
            ));
        }
        if mapping(repository, &copy).await? != index.mapping {
            differences.push(format!(
                "the mapping of `{}` came back different",
                index.name
            ));
        }
    }
    if !differences.is_empty() {
        return Ok(Probed::Partial(
            json!({"snapshot": source.snapshot, "differences": differences}),
        ));
    }
    Ok(Probed::Applied {
        evidence: json!({
            "snapshot": source.snapshot,
            "indices": source.inventory.indices.len(),
            "documents": source.inventory.docs(),
            "compared": "documents and mappings of every index",
        }),
        ours: true,
    })
}

/// The server's own words on why a copy got no shard. A reason and no evidence, so that it does not matter when
/// there is none.
pub(crate) async fn why_not_started(repository: &Repository, copy: &str) -> Option<String> {
    let read = Read::RawRead {
        path: format!("/_cat/shards/{copy}"),
        query: vec![
            ("format".into(), "json".into()),
            ("h".into(), "prirep,unassigned.details".into()),
        ],
        body: None,
    };
    let answer: RawAnswer = typed(repository.cluster.read(&read).await.ok()?).ok()?;
    let shards: Vec<Value> = serde_json::from_str(&answer.body).ok()?;
    let details = shards
        .iter()
        .filter(|shard| shard["prirep"] == "p")
        .find_map(|shard| shard["unassigned.details"].as_str())?;
    // The cause stands last, behind the whole way through the server's code.
    let cause = details.rsplit("nested: ").next()?;
    Some(cause.chars().take(WHY_CHARS_MAX).collect())
}

/// Removes the copies by exact name, only names of this run and step; what stays is named.
pub(crate) async fn clean_up(
    repository: &Repository,
    attempt: &Attempt,
) -> Result<Vec<String>, ReadError> {
    let prefix = prefix(attempt);
    let read = Read::Indices {
        pattern: format!("{prefix}*"),
    };
    let copies: Vec<Index> = typed(repository.cluster.read(&read).await?)?;
    for copy in &copies {
        // Whatever comes of it: what is left is read again below.
        let _ = repository
            .cluster
            .send(&Call::delete([copy.name.as_str()]).token(&attempt.token))
            .await;
    }
    let left: Vec<Index> = typed(repository.cluster.read(&read).await?)?;
    Ok(left
        .into_iter()
        .map(|copy| format!("the trial copy `{}`: delete it by hand", copy.name))
        .collect())
}

pub(crate) fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}
