//! A copy through a plugin's own function. This process does it, so it is followed here, and after a crash by its record.

use liftlock_types::{
    Acted, Attempt, Change, Digest, IndexName, Json, Observed, Probed, Progress, ReadError,
};
use serde_json::{Value, json};

use super::{moved_on, observed, still_there, unread, uuid_in};
use crate::Cluster;
use crate::compare_ids::Compared;
use crate::facts::made_key;
use crate::reads::IndexState;
use crate::transform::{About, Record, Standing, What};

fn not_lent() -> ReadError {
    ReadError::Invalid("no plugin was lent to this cluster, which a transform needs".into())
}

pub(super) async fn observe(
    cluster: &Cluster,
    source: &IndexName,
    query: Option<&Json>,
) -> Result<Observed, ReadError> {
    let query = query.map(Json::as_str);
    let matching = cluster.count(source.as_str(), query).await?;
    let seen = json!({ "matching": matching });
    // As a reindex: nothing selected is nothing to do, and only that is known without the plugin.
    Ok(observed(matching == 0, seen.clone(), seen))
}

/// The step's record. `None`: the attempt does not say which indices it is about.
fn record(
    cluster: &Cluster,
    change: &Change,
    attempt: &Attempt,
) -> Result<Option<Record>, ReadError> {
    let Change::Transform {
        source,
        destination,
        ..
    } = change
    else {
        return Err(crate::capability::not_ours(&change.verb()));
    };
    let place = cluster.transforms.place(attempt).ok_or_else(not_lent)?;
    let (Some(from), Some(to)) = (
        uuid_in(attempt, source.as_str()),
        uuid_in(attempt, destination.as_str()),
    ) else {
        return Ok(None);
    };
    let text = serde_json::to_string(change).unwrap_or_default();
    let about = About {
        change: Digest::of(text.as_bytes()).to_string(),
        source: from.to_owned(),
        destination: to.to_owned(),
    };
    Record::open(&place, about)
        .map(Some)
        .map_err(|error| ReadError::Unavailable(error.to_string()))
}

/// Why what an index is sent cannot be read back from it as it was sent.
fn source_not_kept(state: &IndexState) -> Option<String> {
    let kept = state.mapping.get("_source");
    let is = |key: &str, value: Value| kept.and_then(|kept| kept.get(key)) == Some(&value);
    if is("enabled", json!(false)) {
        return Some("its mapping keeps no `_source`".into());
    }
    if is("mode", json!("synthetic"))
        || is("mode", json!("disabled"))
        || state
            .settings
            .get("index.mapping.source.mode")
            .is_some_and(|mode| mode != "stored")
    {
        return Some("it puts its `_source` together from fields, and not as it was sent".into());
    }
    ["includes", "excludes"]
        .into_iter()
        .find(|key| {
            let list = kept
                .and_then(|kept| kept.get(*key))
                .and_then(Value::as_array);
            list.is_some_and(|list| !list.is_empty())
        })
        .map(|key| format!("its mapping keeps a part of `_source` (`{key}`)"))
}

pub(super) async fn act(cluster: &Cluster, change: &Change, attempt: &Attempt) -> Acted {
    let Change::Transform {
        source,
        destination,
        query,
        name,
        on_rejected,
    } = change
    else {
        return Acted::NotSent(crate::capability::not_ours(&change.verb()).to_string());
    };
    for index in [source, destination] {
        if let Err(acted) = still_there(cluster, index.as_str(), attempt).await {
            return acted;
        }
        match cluster.index(index.as_str()).await {
            Ok(Some(state)) => {
                if let Some(why) = source_not_kept(&state) {
                    return moved_on("source-not-kept", format!("`{index}`: {why}"));
                }
            }
            Ok(None) => return moved_on("index-gone", format!("there is no index `{index}`")),
            Err(error) => return unread(&error),
        }
    }
    let made = attempt.made_by_run.get(&made_key(destination.as_str()));
    let uuid = match uuid_in(attempt, destination.as_str()) {
        Some(uuid) if made.and_then(Value::as_str) == Some(uuid) => uuid.to_owned(),
        _ => {
            return moved_on(
                "not-made-here",
                format!("the destination `{destination}` is not an index that this run made"),
            );
        }
    };
    if let Some(work) = cluster.transforms.work(&attempt.token)
        && matches!(work.look(), Standing::Works(_))
    {
        return Acted::Unanswered("this process works on it already".into());
    }
    let mut record = match record(cluster, change, attempt) {
        Ok(Some(record)) => record,
        Ok(None) => return Acted::NotSent("the attempt names no uuid of an index".into()),
        Err(error) => return unread(&error),
    };
    if let Err(error) = record.begin() {
        return Acted::NotSent(error.to_string());
    }
    let what = What {
        source: source.clone(),
        destination: destination.clone(),
        uuid,
        query: query.clone(),
        name: name.clone(),
        on_rejected: *on_rejected,
        token: attempt.token.clone(),
    };
    let after = record.total().read;
    match cluster.transforms.begin(what, record) {
        Ok(()) => Acted::Answered(json!({ "after": after })),
        Err(why) => Acted::NotSent(why.into()),
    }
}

pub(super) async fn probe(
    cluster: &Cluster,
    change: &Change,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let Change::Transform {
        source,
        destination,
        query,
        ..
    } = change
    else {
        return Err(crate::capability::not_ours(&change.verb()));
    };
    let is_ours = |uuid: &str| {
        let made = attempt.made_by_run.get(&made_key(destination.as_str()));
        made.and_then(Value::as_str) == Some(uuid)
    };
    if let Some(work) = cluster.transforms.work(&attempt.token) {
        return Ok(match work.look() {
            Standing::Works(progress) => Probed::InProgress(progress),
            Standing::Done(evidence) => Probed::Applied {
                evidence,
                ours: uuid_in(attempt, destination.as_str()).is_some_and(is_ours),
            },
            Standing::Ended(seen) => Probed::Partial(seen),
        });
    }
    let Some(record) = record(cluster, change, attempt)? else {
        return Ok(Probed::Indeterminate(
            "the attempt names no uuid of an index".into(),
        ));
    };
    // Nobody works on it: what is there of it is found there by the attempt that goes on.
    let Some(evidence) = record.ended() else {
        let part = record.total();
        return Ok(Probed::Absent(json!({
            "source": source.as_str(), "destination": destination.as_str(),
            "read": part.read, "written": part.written, "rejected": record.rejected(),
        })));
    };
    for index in [source, destination] {
        let meant = uuid_in(attempt, index.as_str());
        match cluster.index(index.as_str()).await? {
            Some(state) if Some(state.uuid.as_str()) == meant => {}
            _ => {
                return Ok(Probed::Indeterminate(
                    format!("there is no index `{index}` with the uuid that is meant").into(),
                ));
            }
        }
    }
    let query = query.as_ref().map(Json::as_str);
    let compared = cluster
        .compare_ids(&attempt.token, source.as_str(), query, destination.as_str())
        .await?;
    Ok(match compared {
        Compared::Some { done, total } => Probed::InProgress(Progress {
            done,
            total,
            unit: "documents".into(),
            note: "comparing ids".into(),
        }),
        Compared::All { missing, .. } if missing == record.rejected() => Probed::Applied {
            evidence: evidence.clone(),
            ours: uuid_in(attempt, destination.as_str()).is_some_and(is_ours),
        },
        Compared::All {
            total,
            missing,
            examples,
        } => Probed::Partial(json!({
            "source": source.as_str(), "destination": destination.as_str(), "selected": total,
            "missing": missing, "rejected": record.rejected(), "examples": examples,
        })),
    })
}
