//! Restoring into another cluster what a step took in the first one: the same store, registered a second time.
//!
//! Nothing in the target can hold a token of ours. But a snapshot's name holds run, step and attempt, so an index whose
//! primaries came from it is one of this step; and since a server forgets where a shard came from once its node was
//! started again, the creation date of the original, which a restore brings along, says the same. Once the outcome is
//! recorded its uuids count, and whoever uses the indices may write to them.

use liftlock_cluster::{Call, Dialect};
use liftlock_types::facts::cluster::{Alias, Distribution, Index};
use liftlock_types::facts::snapshot::Taken;
use liftlock_types::{
    Acted, Attempt, Capability as _, Change, Facts, IndexName, Observed, Planned, Probed, Read,
    ReadError, Scope,
};
use serde_json::{Map, Value, json};

use crate::inventory::{Kept, aliases_of, count, created, scopes, typed, written};
use crate::repository::{Repository, refused, seen};
use crate::restore::started;
use crate::take::find;
use crate::trial::Source;

/// What is restored, as the change says it.
pub(crate) struct Asked<'a> {
    pub(crate) indices: &'a [String],
    pub(crate) except: &'a [String],
    pub(crate) replicas: Option<u32>,
}

impl Asked<'_> {
    fn means(&self, name: &str) -> Result<bool, ReadError> {
        let any = |scopes: Vec<Scope>| scopes.iter().any(|scope| scope.matches(name));
        Ok(any(scopes(self.indices)?) && !any(scopes(self.except)?))
    }

    /// What the patterns mean of what was taken.
    fn of<'a>(&self, source: &'a Source) -> Result<Vec<&'a Kept>, ReadError> {
        let mut wanted = Vec::new();
        for kept in &source.inventory.indices {
            if self.means(&kept.name)? {
                wanted.push(kept);
            }
        }
        Ok(wanted)
    }

    /// What the patterns mean in this cluster now.
    async fn here(&self, repository: &Repository) -> Result<Vec<Index>, ReadError> {
        let mut there: Vec<Index> = Vec::new();
        for pattern in self.indices {
            let pattern = pattern.clone();
            let read = Read::Indices { pattern };
            let found: Vec<Index> = typed(repository.cluster.read(&read).await?)?;
            for index in found {
                let is_known = there.iter().any(|known| known.name == index.name);
                if !is_known && self.means(&index.name)? {
                    there.push(index);
                }
            }
        }
        Ok(there)
    }
}

/// The uuids of what the patterns mean here: an outcome records those that it made.
pub(crate) async fn facts(repository: &Repository, asked: &Asked<'_>) -> Result<Facts, ReadError> {
    let there = asked.here(repository).await?;
    Ok(there
        .into_iter()
        .map(|index| (fact(&index.name), json!(index.uuid)))
        .collect())
}

fn fact(name: &str) -> String {
    format!("index/{name}/uuid")
}

/// What stands under the names of the snapshot.
#[derive(Default)]
struct Standing {
    /// Restored by this step.
    ours: Vec<Index>,
    /// Whatever else has one of the names.
    others: Vec<String>,
    /// Names that nothing has.
    missing: Vec<String>,
    /// The outcome is recorded: what became of their content since is not ours to judge.
    is_recorded: bool,
}

async fn look(
    repository: &Repository,
    asked: &Asked<'_>,
    source: &Source,
    attempt: &Attempt,
) -> Result<Standing, ReadError> {
    let wanted = asked.of(source)?;
    let there = asked.here(repository).await?;
    let recorded = |name: &str| attempt.made_by_run.get(&fact(name));
    let mut standing = Standing {
        is_recorded: wanted.iter().all(|kept| recorded(&kept.name).is_some()),
        ..Standing::default()
    };
    let strangers = if standing.is_recorded || there.is_empty() {
        Vec::new()
    } else {
        of_another_origin(repository, asked, &source.snapshot).await?
    };
    for kept in wanted {
        let Some(index) = there.iter().find(|index| index.name == kept.name) else {
            standing.missing.push(kept.name.clone());
            continue;
        };
        let is_ours = match recorded(&kept.name) {
            Some(uuid) => *uuid == json!(index.uuid),
            None => {
                index.open
                    && !strangers.contains(&index.name)
                    && (kept.created.is_none()
                        || created(repository, &index.name).await? == kept.created)
            }
        };
        if is_ours {
            standing.ours.push(index.clone());
        } else {
            standing.others.push(index.name.clone());
        }
    }
    Ok(standing)
}

/// Indices with a primary that came from elsewhere than this snapshot.
async fn of_another_origin(
    repository: &Repository,
    asked: &Asked<'_>,
    snapshot: &str,
) -> Result<Vec<String>, ReadError> {
    let mut found = Vec::new();
    for pattern in asked.indices {
        let call = Call::get([pattern.as_str(), "_recovery"]).param("expand_wildcards", "all");
        let Some(Value::Object(indices)) = repository.cluster.find(&call).await? else {
            continue;
        };
        for (name, recovery) in indices {
            let shards = recovery.get("shards").and_then(Value::as_array);
            let mut primaries = shards
                .into_iter()
                .flatten()
                .filter(|shard| shard["primary"] == true);
            let is_other = primaries.any(|shard| match shard["type"].as_str() {
                Some("SNAPSHOT") => shard["source"]["snapshot"] != snapshot,
                // Made empty, or out of another index.
                Some("EMPTY_STORE" | "LOCAL_SHARDS") => true,
                // From its own disk or another copy: where that came from is forgotten.
                _ => false,
            });
            if is_other {
                found.push(name);
            }
        }
    }
    Ok(found)
}

pub(crate) async fn observe(
    repository: &Repository,
    asked: &Asked<'_>,
    attempt: &Attempt,
) -> Result<Observed, ReadError> {
    let source = Source::of(attempt)?;
    let standing = look(repository, asked, &source, attempt).await?;
    let applied = matches!(
        probe(repository, asked, attempt).await?,
        Probed::Applied { .. }
    );
    Ok(seen(
        applied,
        json!({"snapshot": source.snapshot, "missing": standing.missing, "others": standing.others}),
        Value::Null,
    ))
}

pub(crate) async fn act(repository: &Repository, asked: &Asked<'_>, attempt: &Attempt) -> Acted {
    match request(repository, asked, attempt).await {
        Ok(call) => repository.cluster.send(&call).await,
        Err(acted) => acted,
    }
}

/// The request for what is missing, or why there is none.
async fn request(
    repository: &Repository,
    asked: &Asked<'_>,
    attempt: &Attempt,
) -> Result<Call, Acted> {
    let unusable = |error: ReadError| match error {
        ReadError::Unavailable(why) => Acted::NotSent(why),
        error => refused("no-snapshot", error.to_string()),
    };
    let unread = |error: ReadError| Acted::NotSent(error.to_string());
    let source = Source::of(attempt).map_err(unusable)?;
    source.check(repository).await.map_err(unusable)?;
    let dialect = repository.cluster.dialect().await.map_err(unread)?;
    let taken = find(repository, &source.snapshot).await.map_err(unread)?;
    if let Some(taken) = taken.filter(|taken| is_too_new(taken, &dialect)) {
        return Err(refused(
            "older-cluster",
            format!(
                "snapshot `{}` is of version {}, and this is {}: no server restores what a newer one took",
                taken.name,
                taken.version,
                dialect.product()
            ),
        ));
    }
    let standing = look(repository, asked, &source, attempt)
        .await
        .map_err(unread)?;
    if !standing.others.is_empty() {
        return Err(refused(
            "index-there",
            format!(
                "these are there, and were not restored from `{}`: {}",
                source.snapshot,
                standing.others.join(", ")
            ),
        ));
    }
    if standing.missing.is_empty() && standing.ours.is_empty() {
        return Err(refused(
            "nothing-to-restore",
            format!(
                "snapshot `{}` has no index that is asked for",
                source.snapshot
            ),
        ));
    }
    if standing.missing.is_empty() {
        // Restored by an attempt before this one: the probe tells how it stands.
        return Err(Acted::Unanswered("all of them are there".into()));
    }
    let mut body = json!({
        "indices": standing.missing.join(","),
        "include_aliases": true,
        "include_global_state": false,
        "ignore_unavailable": false,
        "partial": false,
        // The guard of those who stopped the writers; Elasticsearch keeps a block in the copy.
        "ignore_index_settings": ["index.blocks.write"],
    });
    if let Some(replicas) = asked.replicas {
        body["index_settings"] = json!({
            "index.number_of_replicas": replicas,
            "index.auto_expand_replicas": "false",
        });
    }
    for (key, value) in dialect.snapshot_extras() {
        body[key] = value;
    }
    Ok(Call::post(repository.path(&[&source.snapshot, "_restore"]))
        .param("wait_for_completion", "false")
        .json(&body)
        .token(&attempt.token))
}

/// Elasticsearch 7.17 shows a snapshot of 8.14 as `8.50.50-alpha0`, and 8.19 shows its own as `8.19.9-8.19.13`: the
/// numbers in front are compared, and where there are none the server is left to judge. So is OpenSearch, which restores
/// what Elasticsearch 7 took.
fn is_too_new(taken: &Taken, dialect: &Dialect) -> bool {
    let numbers = |text: &str| -> Option<Vec<u64>> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let front = &text[..end.unwrap_or(text.len())];
        front.split('.').map(|part| part.parse().ok()).collect()
    };
    dialect.distribution == Distribution::Elasticsearch
        && numbers(&taken.version)
            .zip(numbers(&dialect.version))
            .is_some_and(|(taken, here)| taken > here)
}

pub(crate) async fn probe(
    repository: &Repository,
    asked: &Asked<'_>,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let source = Source::of(attempt)?;
    let standing = look(repository, asked, &source, attempt).await?;
    let of = standing.ours.len() + standing.others.len() + standing.missing.len();
    if standing.ours.is_empty() {
        return Ok(Probed::Absent(
            json!({"restored": 0, "of": of, "others": standing.others}),
        ));
    }
    if let Some(probed) = started(repository, &standing.ours, of, attempt).await? {
        return Ok(probed);
    }
    if standing.ours.len() < of {
        return Ok(Probed::Partial(json!({
            "restored": standing.ours.len(), "of": of,
            "missing": standing.missing, "others": standing.others,
        })));
    }
    let mut documents = 0;
    if !standing.is_recorded {
        let aliases = aliases_of(repository).await?;
        let mut differences = Vec::new();
        for index in &standing.ours {
            let inventory = source.inventory.indices.iter();
            for kept in inventory.filter(|kept| kept.name == index.name) {
                let now = count(repository, &index.name).await?;
                documents += now;
                differences.extend(differs(kept, index, now, &aliases, asked.replicas));
            }
        }
        if !differences.is_empty() {
            return Ok(Probed::Partial(json!({"differences": differences})));
        }
    }
    let uuids: Map<String, Value> = standing
        .ours
        .iter()
        .map(|index| (index.name.clone(), index.uuid.as_str().into()))
        .collect();
    Ok(Probed::Applied {
        evidence: json!({
            "indices": of, "documents": documents, "snapshot": source.snapshot, "uuid": source.uuid,
            "uuids": uuids,
        }),
        ours: false,
    })
}

/// How it is not what was taken, or not what was asked for.
fn differs(
    kept: &Kept,
    index: &Index,
    documents: u64,
    aliases: &[Alias],
    replicas: Option<u32>,
) -> Vec<String> {
    let name = &index.name;
    let mut found = Vec::new();
    if kept.open && kept.docs != documents {
        found.push(format!(
            "`{name}` had {} documents, it has {documents}",
            kept.docs
        ));
    }
    if kept.shards.is_some_and(|shards| shards != index.shards) {
        found.push(format!("`{name}` has {} shards", index.shards));
    }
    if replicas.is_some_and(|replicas| replicas != index.replicas) {
        found.push(format!("`{name}` has {} replicas", index.replicas));
    }
    let aliases = aliases.iter().filter(|alias| alias.index == *name);
    if let Some(had) = &kept.aliases
        && !had.iter().eq(aliases.clone())
    {
        let names: Vec<&str> = aliases.map(|alias| alias.name.as_str()).collect();
        found.push(format!(
            "`{name}` has not the aliases that it had: {}",
            names.join(", ")
        ));
    }
    found
}

/// Deletes what this step made and nobody has written to; where somebody has, of one of them, all of it stays: they belong
/// together.
pub(crate) async fn undo(
    repository: &Repository,
    asked: &Asked<'_>,
    attempt: &Attempt,
) -> Result<Vec<Planned>, ReadError> {
    let source = Source::of(attempt)?;
    let standing = look(repository, asked, &source, attempt).await?;
    let mut changes = Vec::new();
    for index in standing.ours {
        let inventory = source.inventory.indices.iter();
        let had = inventory
            .filter(|kept| kept.name == index.name)
            .find_map(|kept| kept.written.clone());
        // Of one that was closed when it was taken nobody knows what was written before.
        let is_untouched =
            had.is_some() && index.open && written(repository, &index.name).await? == had;
        if !is_untouched && is_readable(repository, &index).await? {
            return Ok(Vec::new());
        }
        let name =
            IndexName::new(index.name).map_err(|error| ReadError::Invalid(error.to_string()))?;
        changes.push(Planned {
            binding: repository.cluster.binding().clone(),
            change: Change::DeleteIndex {
                name,
                uuid: index.uuid,
            },
            fills: Vec::new(),
        });
    }
    Ok(changes)
}

/// All its primaries are started; into one that did not come back whole nobody can have written.
async fn is_readable(repository: &Repository, index: &Index) -> Result<bool, ReadError> {
    let pattern = index.name.clone();
    let shards = repository.cluster.read(&Read::Shards { pattern }).await?;
    let shards: Vec<liftlock_types::facts::cluster::Shard> = typed(shards)?;
    let mut primaries = shards.iter().filter(|shard| shard.primary);
    Ok(!index.open || primaries.all(|shard| shard.state == "STARTED"))
}

#[cfg(test)]
mod tests {
    use liftlock_types::Json;

    use super::*;

    #[test]
    fn a_snapshot_of_a_newer_version_is_told_by_the_numbers_in_front() {
        let taken = |version: &str| Taken {
            name: "s".into(),
            uuid: "u".into(),
            state: "SUCCESS".into(),
            started_ms: 0,
            indices: vec![],
            global_state: false,
            failures: vec![],
            version: version.into(),
            metadata: Json::of(&Value::Null),
        };
        let on = |distribution, version: &str| Dialect {
            distribution,
            version: version.into(),
        };
        let elastic = |version| on(Distribution::Elasticsearch, version);
        for (taken_with, here, expected) in [
            ("7.17.15", "8.19.13", false),
            ("8.19.9-8.19.13", "8.19.13", false),
            ("8.50.50-alpha0", "7.17.15", true),
            ("8.19.13", "8.19.2", true),
            ("7.17.15", "7.17.15", false),
            ("unknown", "8.19.13", false),
            ("", "8.19.13", false),
        ] {
            let found = is_too_new(&taken(taken_with), &elastic(here));
            assert_eq!(found, expected, "{taken_with} {here}");
        }
        assert!(!is_too_new(
            &taken("7.10.2"),
            &on(Distribution::Opensearch, "2.19.1")
        ));
    }
}
