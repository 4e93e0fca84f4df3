//! What the logs of shards alone hold is written to disk, so that a copy that is started again is soon whole.

use std::collections::BTreeMap;

use liftlock_types::{Acted, Attempt, Observed, Probed, ReadError, Scope};
use serde_json::{Map, Value, json};

use super::{observed, unread};
use crate::Cluster;
use crate::call::Call;
use crate::reads::{list, members, pattern, whole};

/// Most bytes of the names of one request. The servers take 4,096 of its first line, and a byte of a name can be three
/// of a path.
const NAMES_BYTES_MAX: usize = 1_000;

/// How long one request may take: what a shard's log holds at most, 512 MiB by default, is written in it.
const FLUSH_MS: u64 = 120_000;

/// A started copy of a shard.
struct Copy {
    shard: String,
    primary: bool,
    /// Of what it was given.
    highest: i64,
    /// Of what its last commit holds.
    committed: i64,
}

/// The started copies by index; open indices alone, hidden ones too.
async fn copies(
    cluster: &Cluster,
    wanted: &[String],
    except: &[String],
) -> Result<BTreeMap<String, Vec<Copy>>, ReadError> {
    let scopes = |texts: &[String]| -> Result<Vec<Scope>, ReadError> {
        texts.iter().map(|text| pattern(text)).collect()
    };
    let (within, without) = (scopes(wanted)?, scopes(except)?);
    let matches = |scopes: &[Scope], name: &str| scopes.iter().any(|scope| scope.matches(name));
    let mut found = BTreeMap::new();
    for wanted in parts(wanted) {
        let call = Call::get([wanted.as_str(), "_stats", "docs"])
            .param("level", "shards")
            .param("expand_wildcards", "open,hidden")
            .param("ignore_unavailable", "true")
            .param("forbid_closed_indices", "false");
        let Some(stats) = cluster.find(&call).await? else {
            continue;
        };
        whole(&stats)?;
        let indices = members(stats.get("indices"))
            // An alias of that name stands for indices of other names.
            .filter(|(name, _)| matches(&within, name) && !matches(&without, name));
        found.extend(indices.map(|(name, index)| (name.clone(), started(index))));
    }
    Ok(found)
}

fn started(index: &Value) -> Vec<Copy> {
    members(index.get("shards"))
        .flat_map(|(shard, copies)| list(Some(copies)).iter().map(move |copy| (shard, copy)))
        .filter(|(_, copy)| copy.pointer("/routing/state") == Some(&Value::from("STARTED")))
        .filter_map(|(shard, copy)| {
            let committed = copy.pointer("/commit/user_data/max_seq_no")?;
            Some(Copy {
                shard: shard.clone(),
                primary: copy.pointer("/routing/primary") == Some(&Value::Bool(true)),
                highest: copy.pointer("/seq_no/max_seq_no")?.as_i64()?,
                // A text in what Lucene keeps, whatever it stands for.
                committed: committed.as_str()?.parse().ok()?,
            })
        })
        .collect()
}

/// By index and shard: the highest number that the last commit of its primary has yet to reach.
fn lacking(found: &BTreeMap<String, Vec<Copy>>) -> Map<String, Value> {
    let mut all = Map::new();
    for (index, copies) in found {
        let shards: Map<String, Value> = copies
            .iter()
            .filter(|copy| copy.primary && copy.committed < copy.highest)
            .map(|copy| (copy.shard.clone(), copy.highest.into()))
            .collect();
        if !shards.is_empty() {
            all.insert(index.clone(), Value::Object(shards));
        }
    }
    all
}

pub(super) async fn observe(
    cluster: &Cluster,
    indices: &[String],
    except: &[String],
) -> Result<Observed, ReadError> {
    let found = copies(cluster, indices, except).await?;
    // A replica that lags is worth a request too, though only the primaries are waited for: where segments are copied
    // instead of documents, a replica commits when it pleases.
    let is_flushed = found
        .values()
        .flatten()
        .all(|copy| copy.highest <= copy.committed);
    let lacking = lacking(&found);
    let evidence = json!({"indices": found.len(), "with_unwritten": lacking.len()});
    Ok(observed(is_flushed, evidence, Value::Object(lacking)))
}

pub(super) async fn act(
    cluster: &Cluster,
    indices: &[String],
    except: &[String],
    attempt: &Attempt,
) -> Acted {
    let found = match copies(cluster, indices, except).await {
        Ok(found) => found,
        Err(error) => return unread(&error),
    };
    // By name: a pattern would reach what has an alias that matches, and what was made meanwhile.
    let names: Vec<String> = found.into_keys().collect();
    let mut last = Acted::Answered(Value::Null);
    for (at, names) in parts(&names).into_iter().enumerate() {
        let call = Call::post([names.as_str(), "_flush"])
            .param("ignore_unavailable", "true")
            .param("wait_if_ongoing", "true")
            .param("expand_wildcards", "open,hidden")
            .deadline_ms(FLUSH_MS)
            .token(&attempt.token);
        last = match cluster.send(&call).await {
            Acted::Answered(answer) => Acted::Answered(answer),
            other if at == 0 => return other,
            // Something was done by now.
            Acted::NotSent(text) | Acted::Refused { text, .. } | Acted::Unanswered(text) => {
                return Acted::Unanswered(text);
            }
        };
    }
    last
}

/// Names or patterns, a comma between them, in texts that fit into one path each.
fn parts(names: &[String]) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for name in names {
        match parts.last_mut() {
            Some(part) if part.len() + name.len() < NAMES_BYTES_MAX => {
                part.push(',');
                part.push_str(name);
            }
            _ => parts.push(name.clone()),
        }
    }
    parts
}

pub(super) async fn probe(
    cluster: &Cluster,
    indices: &[String],
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let found = copies(cluster, indices, &[]).await?;
    // Nothing had an unwritten part, or what had one is gone.
    let lags = |index: &str, shard: &str, wanted: i64| {
        let copies = found.get(index).map(Vec::as_slice).unwrap_or_default();
        copies
            .iter()
            .any(|copy| copy.primary && copy.shard == shard && copy.committed < wanted)
    };
    let behind: Vec<String> = members(Some(&attempt.kept))
        .flat_map(|(index, shards)| {
            members(Some(shards)).map(move |(shard, wanted)| (index, shard, wanted))
        })
        .filter(|(index, shard, wanted)| lags(index, shard, wanted.as_i64().unwrap_or(-1)))
        .map(|(index, shard, _)| format!("{index}/{shard}"))
        .collect();
    Ok(if behind.is_empty() {
        Probed::Applied {
            evidence: json!({"written": attempt.kept}),
            ours: false,
        }
    } else {
        Probed::Absent(json!({"unwritten": behind}))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_where_a_path_would_be_too_long() {
        let names: Vec<String> = (0..300).map(|n| format!("&index.collection-{n}")).collect();
        let split = parts(&names);
        assert!(split.len() > 1);
        assert!(split.iter().all(|part| part.len() <= NAMES_BYTES_MAX));
        assert_eq!(split.join(","), names.join(","));
        assert_eq!(parts(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_primary_lacks_what_its_last_commit_has_not_reached() {
        let copy = |primary: bool, state: &str, highest: i64, committed: &str| {
            json!({
                "routing": {"primary": primary, "state": state},
                "seq_no": {"max_seq_no": highest},
                "commit": {"user_data": {"max_seq_no": committed}},
            })
        };
        let index = json!({"shards": {
            "0": [copy(true, "STARTED", 7, "5"), copy(false, "STARTED", 7, "7")],
            "1": [copy(true, "STARTED", 3, "3"), copy(false, "STARTED", 3, "1")],
            "2": [copy(true, "INITIALIZING", 3, "-1")],
            "3": [copy(true, "STARTED", -1, "-1")],
        }});
        let found = BTreeMap::from([("a".to_owned(), started(&index))]);
        assert_eq!(Value::Object(lacking(&found)), json!({"a": {"0": 7}}));
    }
}
