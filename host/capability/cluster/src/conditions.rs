//! Predicates on a cluster.

use liftlock_types::facts::cluster::RawAnswer;
use liftlock_types::{Evaluated, Predicate, Read, ReadError, contains};
use serde_json::{Value, json};

use crate::Cluster;
use crate::call::Call;
use crate::reads::text;

/// Health from worst to best.
const STATUS: [&str; 3] = ["red", "yellow", "green"];

pub(crate) async fn evaluate(
    cluster: &Cluster,
    predicate: &Predicate,
    last: Option<&Value>,
) -> Result<Evaluated, ReadError> {
    let found = |holds: bool, seen: Value, why: String| Evaluated {
        holds,
        seen,
        why: if holds { String::new() } else { why },
    };
    Ok(match predicate {
        Predicate::IndexExists { name } => {
            let uuid = cluster.index(name).await?.map(|state| state.uuid);
            found(
                uuid.is_some(),
                json!({"uuid": uuid}),
                format!("there is no index `{name}`"),
            )
        }
        Predicate::TemplateExists { kind, name } => {
            let is_there = cluster.template(*kind, name).await?.is_some();
            found(
                is_there,
                json!(is_there),
                format!("there is no template `{name}`"),
            )
        }
        Predicate::Healthy { at_least } => {
            let value = cluster.ask(&Call::get(["_cluster", "health"])).await?;
            let status = text(&value, "status").to_owned();
            let rank = |status: &str| STATUS.iter().position(|known| *known == status);
            let Some(wanted) = rank(at_least) else {
                return Err(ReadError::Invalid(format!("`{at_least}` is no health")));
            };
            let holds = rank(&status).is_some_and(|rank| rank >= wanted);
            let why = format!("the cluster is {status}, at least {at_least} is wanted");
            found(holds, json!({"status": status}), why)
        }
        Predicate::CountIs {
            index,
            query,
            count,
        } => {
            let query = query.as_ref().map(liftlock_types::Json::as_str);
            let now = cluster.count(index, query).await?;
            found(
                now == *count,
                json!(now),
                format!("{now} documents match in `{index}`, {count} are wanted"),
            )
        }
        Predicate::DocumentContains { index, id, subset } => {
            match cluster.document(index, id).await? {
                Some(stored) => {
                    let holds = contains(&stored.value(), &subset.value());
                    let why = format!("document `{id}` of `{index}` does not contain `{subset}`");
                    found(holds, json!({"seq_no": stored.seq_no}), why)
                }
                None => found(
                    false,
                    Value::Null,
                    format!("there is no document `{id}` in `{index}`"),
                ),
            }
        }
        Predicate::AnswerContains {
            path,
            query,
            subset,
        } => {
            let read = Read::RawRead {
                path: path.clone(),
                query: query.clone(),
                body: None,
            };
            let answer: RawAnswer =
                serde_json::from_value(crate::reads::read(cluster, &read).await?)
                    .map_err(|error| ReadError::Invalid(error.to_string()))?;
            let body: Value = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
            let is_there = (200..300).contains(&answer.status);
            // A GET shows something: no page of a proxy, and no mere yes.
            let is_yes = |body: &Value| {
                crate::reads::members(Some(body)).all(|(key, _)| key == "acknowledged")
                    && body.get("acknowledged").is_some()
            };
            if is_there && (!body.is_object() || is_yes(&body)) {
                return Err(ReadError::Unavailable(format!(
                    "`{path}` is answered by something else than the server"
                )));
            }
            let holds = is_there && contains(&body, &subset.value());
            let why = format!(
                "`{path}` answers with status {} and without `{subset}`",
                answer.status
            );
            found(holds, json!({"status": answer.status}), why)
        }
        Predicate::Quiet { indices } => {
            let seen = crate::reads::read(
                cluster,
                &Read::Activity {
                    indices: indices.clone(),
                },
            )
            .await?;
            let (holds, why) = match last {
                None => (
                    false,
                    "looked for the first time; a second look tells whether anything is written"
                        .into(),
                ),
                Some(last) => (*last == seen, moved(last, &seen)),
            };
            found(holds, seen, why)
        }
        Predicate::NoTask { actions } => {
            let tasks = cluster.tasks(actions).await?;
            let why = tasks
                .iter()
                .map(|task| {
                    format!(
                        "task {} runs: {} {}",
                        task.id, task.action, task.description
                    )
                })
                .collect::<Vec<_>>()
                .join("; ");
            found(tasks.is_empty(), json!({"tasks": tasks.len()}), why)
        }
        other => {
            return Err(ReadError::Invalid(format!(
                "`{}` is no condition of a cluster",
                serde_json::to_string(other).unwrap_or_default()
            )));
        }
    })
}

/// Which index was written to between two looks.
fn moved(last: &Value, now: &Value) -> String {
    let rows = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let names: Vec<String> = rows(now)
        .iter()
        .filter(|row| !rows(last).contains(row))
        .map(|row| format!("`{}`", text(row, "index")))
        .collect();
    if names.is_empty() {
        "an index that was there is gone".into()
    } else {
        format!("written since the last look: {}", names.join(", "))
    }
}
