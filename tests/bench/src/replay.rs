//! The bare loop: recorded requests sent one after another on one connection that is kept.
//!
//! No client library's pool, no retry, no reading of what came back beyond its status: the least that these requests
//! cost. What a server made up in an answer and a later request repeats (the id of a scroll, of a task) is another one
//! this time, so it is replaced where it turns up again; that happens between requests and is not timed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use liftlock_lab::Record;
use serde_json::Value;
use tokio::net::TcpStream;

/// Shortest text that is taken for an id which a server made up. Shorter ones turn up by chance.
const ID_BYTES_MIN: usize = 8;

/// Statuses that may differ before the loop counts as something else than what was recorded.
const DIFFERENCES_MAX: usize = 0;

/// What a loop took.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) seconds: f64,
    pub(crate) requests: usize,
}

/// Sends them all. An answer with another status than the recorded one is an error: the work was not the same.
pub(crate) async fn replay(base_url: &str, records: &[Record]) -> anyhow::Result<Replayed> {
    let authority = base_url
        .strip_prefix("http://")
        .with_context(|| format!("`{base_url}` cannot be talked to without TLS"))?;
    let mut connection = connect(authority).await?;
    let mut made_up = BTreeMap::new();
    let mut took = Duration::ZERO;
    let mut different = Vec::new();
    for record in records {
        let path = replaced(&record.path, &made_up);
        let body = replaced(&record.request_body, &made_up);
        let request = request(authority, &record.method, &path, body)?;
        let lost = || format!("no answer to `{}`", record.line());
        let begun = Instant::now();
        connection.ready().await.with_context(lost)?;
        let answer = connection.send_request(request).await.with_context(lost)?;
        let status = answer.status().as_u16();
        let text = answer.into_body().collect().await?.to_bytes();
        took += begun.elapsed();
        if record.status != Some(status) {
            different.push(format!(
                "`{}`: {status} instead of {:?}: {}",
                record.line(),
                record.status,
                String::from_utf8_lossy(&text[..text.len().min(200)]),
            ));
        }
        note_ids(&record.response_body, &text, &mut made_up);
    }
    anyhow::ensure!(
        different.len() <= DIFFERENCES_MAX,
        "the loop was answered otherwise than the run: {}",
        different.join("; ")
    );
    Ok(Replayed {
        seconds: took.as_secs_f64(),
        requests: records.len(),
    })
}

async fn connect(authority: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender.
    tokio::spawn(connection);
    Ok(sender)
}

fn request(
    authority: &str,
    method: &str,
    path: &str,
    body: String,
) -> anyhow::Result<Request<Full<Bytes>>> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", authority);
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    Ok(request.body(Full::new(Bytes::from(body)))?)
}

fn replaced(text: &str, made_up: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (then, now) in made_up {
        if text.contains(then.as_str()) {
            text = text.replace(then.as_str(), now);
        }
    }
    text
}

/// Notes texts that stand at the same place of both answers and differ.
fn note_ids(then: &str, now: &[u8], made_up: &mut BTreeMap<String, String>) {
    // An answer that is no JSON, or that was too long to be recorded whole, holds no id that comes back.
    if let (Ok(then), Ok(now)) = (serde_json::from_str(then), serde_json::from_slice(now)) {
        note_different(&then, &now, made_up);
    }
}

fn note_different(then: &Value, now: &Value, made_up: &mut BTreeMap<String, String>) {
    match (then, now) {
        (Value::String(then), Value::String(now)) if then != now => {
            if then.len() >= ID_BYTES_MIN {
                made_up.insert(then.clone(), now.clone());
            }
        }
        (Value::Object(then), Value::Object(now)) => {
            for (key, then) in then {
                if let Some(now) = now.get(key) {
                    note_different(then, now, made_up);
                }
            }
        }
        (Value::Array(then), Value::Array(now)) => {
            for (then, now) in then.iter().zip(now) {
                note_different(then, now, made_up);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_the_server_made_up_is_replaced_where_it_turns_up_again() {
        let mut made_up = BTreeMap::new();
        let then = r#"{"_scroll_id":"then-1234567","hits":[{"_id":"same-same"}],"took":3}"#;
        let now = r#"{"_scroll_id":"now-7654321","hits":[{"_id":"same-same"}],"took":5}"#;
        note_ids(then, now.as_bytes(), &mut made_up);
        let path = replaced("/_search/scroll?scroll_id=then-1234567", &made_up);
        assert_eq!(path, "/_search/scroll?scroll_id=now-7654321");
        assert_eq!(made_up.len(), 1);
    }

    #[test]
    fn an_answer_that_is_no_json_holds_no_id() {
        let mut made_up = BTreeMap::new();
        note_ids("green open a", b"green open b", &mut made_up);
        assert!(made_up.is_empty());
    }
}
