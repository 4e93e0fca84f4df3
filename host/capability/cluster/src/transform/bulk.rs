//! A batch into the destination, until each document of it is there, or refused for good.
//!
//! Each is *created*: what has the id already is never written over. After a crash the batches behind the record are
//! sent once more, and the servers refuse what they took before; it is read then and compared, byte by byte. So the
//! repeat writes nothing twice, and a plugin that gives another answer than before is found out.

use std::time::{Duration, Instant};

use liftlock_types::Acted;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::fence::Fence;
use crate::Cluster;
use crate::call::Call;
use crate::cluster::refused;
use crate::reads::{list, text};

/// Shortest and longest pause before what was not taken is sent again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// How long a destination that takes nothing is offered it.
///
/// Five minutes: a node that restarts is back by then. After that the step ends, and a resume goes on.
const PATIENCE: Duration = Duration::from_secs(300);

/// A document as it shall be.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) routing: Option<String>,
    pub(crate) source: String,
}

#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    found: bool,
    #[serde(rename = "_source")]
    source: Option<Box<RawValue>>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Several {
    docs: Vec<Stored>,
}

/// What became of the documents of one request.
#[derive(Debug, Default, PartialEq)]
struct Sorted {
    /// Something has the id already.
    there: Vec<usize>,
    /// The server has no room for it now; with why.
    later: Vec<(usize, String)>,
    /// It will never be taken; with why.
    refused: Vec<(usize, String)>,
}

/// Writes them all. Gives those that the destination will never take, by place, with the server's reason.
///
/// # Errors
/// Why the rest was not written; it may be sent again at any time.
pub(crate) async fn write(
    cluster: &Cluster,
    destination: &str,
    token: &str,
    documents: &[Made],
    fence: &Fence,
) -> Result<Vec<(usize, String)>, String> {
    let mut refused = Vec::new();
    let mut open: Vec<usize> = (0..documents.len()).collect();
    let mut moved = Instant::now();
    let mut pause = PAUSE.0;
    while !open.is_empty() {
        fence.holds(cluster).await?;
        let call = Call::post([destination, "_bulk"])
            // What the plugin made is what shall stand there.
            .param("pipeline", "_none")
            .param(
                "filter_path",
                "items.*.status,items.*.error.type,items.*.error.reason",
            )
            .text(body(documents, &open))
            .token(token);
        let why = match cluster.send(&call).await {
            Acted::Answered(answer) => {
                let sorted = sorted(&answer, &open)?;
                refused.extend(sorted.refused);
                let mut later = compare(cluster, destination, documents, &sorted.there).await?;
                let why = sorted.later.first().map(|(_, why)| why.clone());
                later.extend(sorted.later.into_iter().map(|(at, _)| at));
                if later.len() < open.len() {
                    (moved, pause) = (Instant::now(), PAUSE.0);
                }
                open = later;
                why.unwrap_or_default()
            }
            Acted::Refused {
                later: true, text, ..
            } => text,
            Acted::NotSent(why) | Acted::Unanswered(why) => why,
            Acted::Refused {
                status, kind, text, ..
            } => {
                return Err(format!(
                    "`{destination}` takes nothing: status {status}, `{kind}`: {text}"
                ));
            }
        };
        if open.is_empty() {
            break;
        }
        if moved.elapsed() > PATIENCE {
            return Err(format!(
                "`{destination}` took nothing for {} s: {why}",
                PATIENCE.as_secs()
            ));
        }
        tracing::debug!(documents = open.len(), why, "sent again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
    Ok(refused)
}

fn body(documents: &[Made], open: &[usize]) -> String {
    let mut body =
        String::with_capacity(open.iter().map(|at| documents[*at].source.len() + 80).sum());
    for document in open.iter().map(|at| &documents[*at]) {
        let action = match &document.routing {
            Some(routing) => json!({"create": {"_id": document.id, "routing": routing}}),
            None => json!({"create": {"_id": document.id}}),
        };
        body.push_str(&action.to_string());
        body.push('\n');
        body.push_str(&document.source);
        body.push('\n');
    }
    body
}

fn sorted(answer: &Value, open: &[usize]) -> Result<Sorted, String> {
    let items = list(answer.get("items"));
    if items.len() != open.len() {
        return Err(format!(
            "{} documents were sent, and the answer has {}",
            open.len(),
            items.len()
        ));
    }
    let mut sorted = Sorted::default();
    for (at, item) in open.iter().zip(items) {
        let item = item.get("create").unwrap_or(&Value::Null);
        let status = item.get("status").and_then(Value::as_u64).unwrap_or(0);
        let error = item.get("error").unwrap_or(&Value::Null);
        let why = format!(
            "status {status}, `{}`: {}",
            text(error, "type"),
            text(error, "reason")
        );
        match status {
            200..300 => {}
            409 => sorted.there.push(*at),
            // No room in the queue; no primary at the moment.
            429 | 500.. => sorted.later.push((*at, why)),
            _ => sorted.refused.push((*at, why)),
        }
    }
    Ok(sorted)
}

/// Are those that are there already the same? Gives those that are gone meanwhile.
async fn compare(
    cluster: &Cluster,
    destination: &str,
    documents: &[Made],
    there: &[usize],
) -> Result<Vec<usize>, String> {
    if there.is_empty() {
        return Ok(Vec::new());
    }
    let docs: Vec<Value> = there
        .iter()
        .map(|at| match &documents[*at] {
            Made {
                id,
                routing: Some(routing),
                ..
            } => json!({"_id": id, "routing": routing}),
            Made { id, .. } => json!({"_id": id}),
        })
        .collect();
    let call = Call::post([destination, "_mget"]).json(&json!({"docs": docs}));
    let unread = |why: String| format!("what `{destination}` has already could not be read: {why}");
    let answer = cluster
        .answer(&call)
        .await
        .map_err(|error| unread(error.to_string()))?;
    if !answer.is_success() {
        return Err(unread(refused(&answer).to_string()));
    }
    let stored: Several =
        serde_json::from_slice(&answer.body).map_err(|error| unread(error.to_string()))?;
    if stored.docs.len() != there.len() {
        return Err(unread(format!(
            "{} of {} documents",
            stored.docs.len(),
            there.len()
        )));
    }
    let mut gone = Vec::new();
    for (at, stored) in there.iter().zip(stored.docs) {
        let made = &documents[*at];
        match stored {
            Stored {
                error: Some(error), ..
            } => return Err(unread(error.to_string())),
            Stored { found: false, .. } => gone.push(*at),
            Stored { source, .. } if source.as_ref().is_some_and(|it| it.get() == made.source) => {}
            _ => {
                return Err(format!(
                    "document `{}` is in `{destination}` already, and is another one: the plugin gives another answer \
                     than before, or somebody else wrote it",
                    made.id
                ));
            }
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_taken_later_is_sent_again() {
        let answer = json!({"items": [
            {"create": {"status": 201}},
            {"create": {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "x"}}},
            {"create": {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "full"}}},
            {"create": {"status": 400, "error": {"type": "document_parsing_exception", "reason": "no date"}}},
            {"create": {"status": 503, "error": {"type": "unavailable_shards_exception", "reason": "none"}}},
        ]});
        let sorted = sorted(&answer, &[7, 8, 9, 10, 11]).unwrap();
        assert_eq!(sorted.there, [8]);
        let at = |list: &[(usize, String)]| list.iter().map(|(at, _)| *at).collect::<Vec<_>>();
        assert_eq!(at(&sorted.later), [9, 11]);
        assert_eq!(
            sorted.refused,
            [(
                10,
                "status 400, `document_parsing_exception`: no date".to_owned()
            )]
        );
        assert!(super::sorted(&answer, &[1]).is_err());
    }
}
