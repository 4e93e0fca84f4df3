//! Reindex, update by query, delete by query: submitted as server tasks, followed by their token.

use liftlock_types::{
    Acted, Attempt, Change, IndexName, Json, Observed, Probed, Progress, ReadError, Script,
};
use serde_json::{Value, json};

use super::{moved_on, observed, still_there, unread};
use crate::Cluster;
use crate::call::Call;
use crate::compare_ids::Compared;
use crate::dialect::moves;
use crate::facts::{MARKER, made_key};
use crate::reads::{list, number, running, task_id, text, token_of};
use crate::scroll::Scroll;
use crate::token::is_ours;

/// The hidden index in which the servers keep what became of tasks.
const RECORDS: &str = ".tasks";

/// What kind of task, on what.
struct Work<'a> {
    action: &'static str,
    source: &'a IndexName,
    destination: &'a IndexName,
    query: Option<&'a Json>,
}

fn work(change: &Change) -> Option<Work<'_>> {
    Some(match change {
        Change::Reindex {
            source,
            destination,
            query,
            ..
        } => Work {
            action: "indices:data/write/reindex",
            source,
            destination,
            query: query.as_ref(),
        },
        Change::UpdateByQuery { index, query, .. } => Work {
            action: "indices:data/write/update/byquery",
            source: index,
            destination: index,
            query: Some(query),
        },
        Change::DeleteByQuery { index, query } => Work {
            action: "indices:data/write/delete/byquery",
            source: index,
            destination: index,
            query: Some(query),
        },
        _ => return None,
    })
}

fn none() -> ReadError {
    ReadError::Invalid("no change by query".into())
}

impl Work<'_> {
    fn is_reindex(&self) -> bool {
        self.action == "indices:data/write/reindex"
    }

    fn query(&self) -> Option<&str> {
        self.query.map(Json::as_str)
    }
}

pub(super) async fn observe(cluster: &Cluster, change: &Change) -> Result<Observed, ReadError> {
    let work = work(change).ok_or_else(none)?;
    let matching = cluster.count(work.source.as_str(), work.query()).await?;
    // Whether this run makes the index of task records decides whether it may remove it. Steps go side by side, so
    // that a later one can find the index that an earlier one caused: what counts is what the first of them saw.
    let now = cluster.index(RECORDS).await?.map(|state| state.uuid);
    let first = cluster.records.get_or_init(|| now.clone());
    let records = now.filter(|uuid| first.as_ref() == Some(uuid));
    let kept = json!({"matching": matching, "records": records});
    // Nothing selected: nothing to do. Ids that are all there already could be those of other documents, so a
    // reindex is sent all the same; it is this run's own destination.
    Ok(observed(matching == 0, json!({"matching": matching}), kept))
}

fn script(script: &Script) -> String {
    let mut text = format!(
        "{{\"lang\":{},\"source\":{}",
        Value::from(script.lang.as_str()),
        Value::from(script.source.as_str())
    );
    if let Some(params) = &script.params {
        text.push_str(",\"params\":");
        text.push_str(params.as_str());
    }
    text.push('}');
    text
}

fn call(change: &Change, token: &str) -> Option<Call> {
    let work = work(change)?;
    let mut call = match change {
        Change::Reindex {
            source,
            destination,
            query,
            script: with,
            slices,
            requests_per_second,
        } => {
            let source = Value::from(source.as_str());
            let query = query
                .as_ref()
                .map_or(String::new(), |query| format!(",\"query\":{query}"));
            let with = with.as_ref().map_or(String::new(), |with| {
                format!(",\"script\":{}", script(with))
            });
            let body = format!(
                "{{\"source\":{{\"index\":[{source}]{query}}},\"dest\":{{\"index\":{}}}{with}}}",
                Value::from(destination.as_str())
            );
            let slices = slices.map_or_else(|| "auto".to_owned(), |slices| slices.to_string());
            let mut call = Call::post(["_reindex"]).param("slices", slices).text(body);
            if let Some(throttle) = requests_per_second {
                call = call.param("requests_per_second", throttle);
            }
            call
        }
        Change::UpdateByQuery {
            query,
            script: with,
            ..
        } => Call::post([work.source.as_str(), "_update_by_query"])
            .text(format!("{{\"query\":{query},\"script\":{}}}", script(with))),
        Change::DeleteByQuery { query, .. } => {
            Call::post([work.source.as_str(), "_delete_by_query"])
                .text(format!("{{\"query\":{query}}}"))
        }
        _ => return None,
    };
    call = call.param("wait_for_completion", "false").token(token);
    Some(call)
}

pub(super) async fn act(cluster: &Cluster, change: &Change, attempt: &Attempt) -> Acted {
    let (Some(work), Some(call)) = (work(change), call(change, &attempt.token)) else {
        return Acted::NotSent(none().to_string());
    };
    for index in [work.source, work.destination] {
        if let Err(acted) = still_there(cluster, index.as_str(), attempt).await {
            return acted;
        }
    }
    if work.is_reindex() {
        let made = attempt
            .made_by_run
            .get(&made_key(work.destination.as_str()));
        let now = match cluster.index(work.destination.as_str()).await {
            Ok(state) => state.map(|state| Value::from(state.uuid)),
            Err(error) => return unread(&error),
        };
        if made.is_none() || made != now.as_ref() {
            return moved_on(
                "not-made-here",
                format!(
                    "the destination `{}` is not an index that this run made",
                    work.destination
                ),
            );
        }
    }
    // Two of the same at once is what ids cannot tell apart afterwards.
    match seen_tasks(cluster, &work, attempt).await {
        Ok(Seen::None) => {}
        Ok(Seen::Ours { .. }) => return Acted::Unanswered("a task of ours runs already".into()),
        Ok(Seen::Foreign(text)) => return moved_on("task-running", text),
        Err(error) => return unread(&error),
    }
    cluster.send(&call).await
}

enum Seen {
    None,
    Ours { progress: Progress },
    Foreign(String),
}

/// A task of ours on any node, or a foreign one that writes where we do.
async fn seen_tasks(
    cluster: &Cluster,
    work: &Work<'_>,
    attempt: &Attempt,
) -> Result<Seen, ReadError> {
    let actions = [
        "indices:data/write/reindex".to_owned(),
        "indices:data/write/update/byquery".to_owned(),
        "indices:data/write/delete/byquery".to_owned(),
    ];
    let value = cluster.task_list(&actions).await?;
    let mut foreign = None;
    for (node, task) in running(&value) {
        // Slices have the task that was submitted as parent; it reports for all.
        if task.get("parent_task_id").is_some() {
            continue;
        }
        let action = text(task, "action");
        if action == work.action && token_of(task).is_some_and(|token| is_ours(token, attempt)) {
            return Ok(Seen::Ours {
                progress: progress(&task_id(task), task.get("status")),
            });
        }
        let Some(moves) = moves(text(task, "description")) else {
            continue;
        };
        let written = moves.to.as_deref().map_or_else(
            || {
                moves
                    .from
                    .iter()
                    .any(|index| index == work.destination.as_str())
            },
            |to| to == work.destination.as_str(),
        );
        if written {
            foreign = Some(format!(
                "task {} of another on node `{node}` writes to `{}`: {}",
                task_id(task),
                work.destination,
                text(task, "description")
            ));
        }
    }
    Ok(foreign.map_or(Seen::None, Seen::Foreign))
}

fn progress(id: &str, status: Option<&Value>) -> Progress {
    let mut parts = vec![status.unwrap_or(&Value::Null)];
    // With slices the parent's own numbers stay at those of the slices that ended.
    let slices = status.map_or(&[][..], |status| list(status.get("slices")));
    if !slices.is_empty() {
        parts = slices
            .iter()
            .map(|slice| slice.get("status").unwrap_or(slice))
            .collect();
    }
    let sum = |key: &str| parts.iter().map(|part| number(part, key)).sum::<u64>();
    let done = ["created", "updated", "deleted", "noops"]
        .iter()
        .map(|key| sum(key))
        .sum();
    Progress {
        done,
        total: sum("total"),
        unit: "documents".into(),
        note: format!("task {id}"),
    }
}

/// What became of the task that the answer named. `None`: nothing wrong is known of it.
async fn fate(cluster: &Cluster, attempt: &Attempt) -> Result<Option<Probed>, ReadError> {
    let Some(id) = attempt
        .answer
        .as_ref()
        .and_then(|answer| answer.get("task"))
        .and_then(Value::as_str)
    else {
        return Ok(None);
    };
    let Some(value) = cluster.find(&Call::get(["_tasks", id])).await? else {
        return Ok(None);
    };
    if value.get("completed") != Some(&Value::Bool(true)) {
        return Ok(Some(Probed::InProgress(progress(
            id,
            value.pointer("/task/status"),
        ))));
    }
    let response = value.get("response");
    let failures = response.map_or(&[][..], |response| list(response.get("failures")));
    let cancelled = response.and_then(|response| response.get("canceled"));
    if let Some(wrong) = value
        .get("error")
        .or_else(|| failures.first())
        .or(cancelled)
    {
        return Ok(Some(Probed::Partial(json!({
            "task": id,
            "failures": failures.len(),
            "first": wrong,
        }))));
    }
    Ok(None)
}

pub(super) async fn probe(
    cluster: &Cluster,
    change: &Change,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let work = work(change).ok_or_else(none)?;
    match seen_tasks(cluster, &work, attempt).await? {
        Seen::Ours { progress } => return Ok(Probed::InProgress(progress)),
        Seen::Foreign(text) => return Ok(Probed::Indeterminate(text.into())),
        Seen::None => {}
    }
    if let Some(probed) = fate(cluster, attempt).await? {
        return Ok(probed);
    }
    if work.is_reindex() {
        probe_reindex(cluster, &work, attempt).await
    } else {
        probe_matching(cluster, &work, change, attempt).await
    }
}

async fn probe_reindex(
    cluster: &Cluster,
    work: &Work<'_>,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let (source, destination) = (work.source.as_str(), work.destination.as_str());
    for index in [source, destination] {
        if cluster.index(index).await?.is_none() {
            return Ok(Probed::Indeterminate(
                format!("there is no index `{index}`").into(),
            ));
        }
    }
    let compared = cluster
        .compare_ids(&attempt.token, source, work.query(), destination)
        .await?;
    let (total, missing, examples) = match compared {
        Compared::Some { done, total } => {
            return Ok(Probed::InProgress(Progress {
                done,
                total,
                unit: "documents".into(),
                note: "comparing ids".into(),
            }));
        }
        Compared::All {
            total,
            missing,
            examples,
        } => (total, missing, examples),
    };
    let evidence = json!({
        "source": source, "destination": destination,
        "selected": total, "missing": missing, "examples": examples,
    });
    Ok(if missing == 0 {
        let uuid = cluster
            .index(destination)
            .await?
            .map(|state| Value::from(state.uuid));
        let made = attempt.made_by_run.get(&made_key(destination));
        Probed::Applied {
            evidence,
            ours: made.is_some() && made == uuid.as_ref(),
        }
    } else if missing == total {
        Probed::Absent(evidence)
    } else {
        Probed::Partial(evidence)
    })
}

async fn probe_matching(
    cluster: &Cluster,
    work: &Work<'_>,
    change: &Change,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let matching = cluster.count(work.source.as_str(), work.query()).await?;
    let before = attempt.kept.get("matching").and_then(Value::as_u64);
    let evidence = json!({"index": work.source.as_str(), "matching": matching, "before": before});
    Ok(if matching == 0 {
        Probed::Applied {
            evidence,
            ours: false,
        }
    } else if matches!(change, Change::DeleteByQuery { .. }) || before == Some(matching) {
        Probed::Absent(evidence)
    } else {
        Probed::Partial(evidence)
    })
}

/// Deletes what the server keeps of our tasks, and its index where this run made it and it is empty.
///
/// With its security on, Elasticsearch lets nobody write to that index: then the record is named as left.
pub(super) async fn clean_up(
    cluster: &Cluster,
    attempt: &Attempt,
) -> Result<Vec<String>, ReadError> {
    match forget_tasks(cluster, attempt).await {
        Err(error) => Ok(vec![format!(
            "the record of a task in `{RECORDS}`: {error}"
        )]),
        done => done,
    }
}

/// A record keeps the token and cannot be searched by it, so all are read.
async fn forget_tasks(cluster: &Cluster, attempt: &Attempt) -> Result<Vec<String>, ReadError> {
    let Some(state) = cluster.index(RECORDS).await? else {
        return Ok(Vec::new());
    };
    if let Err(error) = cluster.refresh(RECORDS).await {
        // A step beside this one can have removed it as the last of them.
        return match cluster.index(RECORDS).await? {
            None => Ok(Vec::new()),
            Some(_) => Err(error),
        };
    }
    let mut left = Vec::new();
    let mut ours = Vec::new();
    // Records of other steps of the run are those steps' to delete.
    let of_run = format!("{MARKER}{}-", attempt.run);
    let mut of_others = 0_u64;
    let mut scroll = Scroll::open(cluster, RECORDS, None, true).await?;
    while let Some(page) = scroll.next(cluster).await? {
        for hit in page {
            let source = hit
                .source
                .as_deref()
                .map_or("null", serde_json::value::RawValue::get);
            let record: Value = serde_json::from_str(source).unwrap_or(Value::Null);
            match record.get("task").and_then(token_of) {
                Some(token) if is_ours(token, attempt) => ours.push(hit.id),
                Some(token) if token.starts_with(&of_run) => {}
                _ => of_others += 1,
            }
        }
    }
    scroll.close(cluster).await;
    for id in ours {
        let call = Call::delete([RECORDS, "_doc", id.as_str()])
            .param("refresh", "true")
            .token(&attempt.token);
        let acted = cluster.send(&call).await;
        if cluster.document(RECORDS, &id).await?.is_some() {
            left.push(format!("record of task {id} in `{RECORDS}` ({acted:?})"));
        }
    }
    if !left.is_empty() {
        return Ok(left);
    }
    let made_here = attempt.kept.get("records").is_some_and(Value::is_null);
    let is_empty = match cluster.index(RECORDS).await? {
        Some(_) => cluster.count(RECORDS, None).await? == 0,
        None => return Ok(left),
    };
    if made_here && is_empty {
        let call = Call::delete([RECORDS]).patient().token(&attempt.token);
        let acted = cluster.send(&call).await;
        if cluster
            .index(RECORDS)
            .await?
            .is_some_and(|now| now.uuid == state.uuid)
        {
            left.push(format!("index `{RECORDS}` ({acted:?})"));
        }
    } else if made_here && of_others > 0 {
        left.push(format!(
            "index `{RECORDS}`: it came with this run and holds records of others"
        ));
    } else if is_empty {
        // It was there before this attempt; an earlier one of which nothing is known any more can have caused it.
        left.push(format!(
            "index `{RECORDS}`, empty, with the uuid `{}`: whether it came with this run cannot be told",
            state.uuid
        ));
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reindex_sends_its_texts_as_they_were_approved() {
        let change = Change::Reindex {
            source: IndexName::new("a").unwrap(),
            destination: IndexName::new("b").unwrap(),
            query: Some(Json::new(r#"{"range":{"n":{"gt":1.50}}}"#).unwrap()),
            script: Some(Script {
                lang: "painless".into(),
                source: "ctx._source.x = \"y\"".into(),
                params: Some(Json::new(r#"{"p":12345678901234567890123}"#).unwrap()),
            }),
            slices: None,
            requests_per_second: Some(100),
        };
        let call = call(&change, "t").unwrap();
        assert_eq!(
            call.body.as_deref(),
            Some(
                r#"{"source":{"index":["a"],"query":{"range":{"n":{"gt":1.50}}}},"dest":{"index":"b"},"script":{"lang":"painless","source":"ctx._source.x = \"y\"","params":{"p":12345678901234567890123}}}"#
            )
        );
        let query: Vec<(&str, &str)> = call
            .query
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            query,
            [
                ("slices", "auto"),
                ("requests_per_second", "100"),
                ("wait_for_completion", "false")
            ]
        );
    }

    #[test]
    fn progress_adds_up_the_slices() {
        let status = json!({"total": 1, "slices": [
            {"total": 10, "created": 3, "updated": 1, "deleted": 0, "noops": 1},
            {"total": 20, "created": 5, "updated": 0, "deleted": 0, "noops": 0},
        ]});
        let progress = progress("n:1", Some(&status));
        assert_eq!((progress.done, progress.total), (10, 30));
    }
}
