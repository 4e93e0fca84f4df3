//! The bare loop: recorded requests sent one after another on one connection that is kept.
//!
//! No client library's pool, no retry, no reading of what came back beyond its status: the least that these requests
//! cost. The id of a scroll is another one this time, so it is replaced where the run sent its own; that happens between
//! requests and is not timed. Ids come into use in the order in which their scrolls were opened, which is what tells which
//! is which: the recorded answers are compressed, so nothing can be read in them.

use std::collections::{BTreeMap, VecDeque};
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
    let mut scrolls = Scrolls::default();
    let mut took = Duration::ZERO;
    let mut different = Vec::new();
    for record in records {
        let body = scrolls.replaced(&record.path, &record.request_body)?;
        let request = request(authority, &record.method, &record.path, body)?;
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
        scrolls.note(&record.path, &text)?;
    }
    anyhow::ensure!(
        different.is_empty(),
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

/// Which scroll of now stands for which of then.
#[derive(Debug, Default)]
struct Scrolls {
    /// Opened now, and not yet used.
    opened: VecDeque<String>,
    /// By the id of then.
    used: BTreeMap<String, String>,
}

/// Where scrolls are read on and closed.
const SCROLL: &str = "/_search/scroll";

impl Scrolls {
    /// The body with the ids of now.
    fn replaced(&mut self, path: &str, body: &str) -> anyhow::Result<String> {
        if !path.starts_with(SCROLL) {
            return Ok(body.to_owned());
        }
        let mut body: Value = serde_json::from_str(body).context("a scroll without its id")?;
        let ids = match &mut body["scroll_id"] {
            Value::Array(ids) => ids.iter_mut().collect(),
            one => vec![one],
        };
        for id in ids {
            let then = id.as_str().context("a scroll's id is no text")?.to_owned();
            if !self.used.contains_key(&then) {
                let now = self.opened.pop_front();
                let now = now.context("a scroll is read that was not opened")?;
                self.used.insert(then.clone(), now);
            }
            *id = Value::from(self.used[&then].as_str());
        }
        Ok(body.to_string())
    }

    /// Keeps the id of a scroll that this answer opened.
    fn note(&mut self, path: &str, answer: &[u8]) -> anyhow::Result<()> {
        let opens = path.contains("?scroll=") || path.contains("&scroll=");
        if opens && !path.starts_with(SCROLL) {
            let answer: Value = serde_json::from_slice(answer)?;
            let id = answer["_scroll_id"]
                .as_str()
                .context("no scroll was opened")?;
            self.opened.push_back(id.to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(scrolls: &mut Scrolls, id: &str) {
        let answer = format!(r#"{{"_scroll_id":"{id}","hits":{{}}}}"#);
        scrolls
            .note("/a/_search?size=5&scroll=1m", answer.as_bytes())
            .unwrap();
    }

    #[test]
    fn a_scroll_goes_on_under_the_id_that_it_has_now() {
        let mut scrolls = Scrolls::default();
        opened(&mut scrolls, "now-1");
        opened(&mut scrolls, "now-2");
        let body = r#"{"scroll":"1m","scroll_id":"then-1"}"#;
        for _ in 0..2 {
            let replaced = scrolls.replaced(SCROLL, body).unwrap();
            assert_eq!(replaced, body.replace("then", "now"));
        }
        let body = r#"{"scroll_id":["then-2"]}"#;
        assert_eq!(
            scrolls.replaced(SCROLL, body).unwrap(),
            body.replace("then", "now")
        );
    }

    #[test]
    fn a_scroll_that_was_never_opened_is_an_error() {
        let mut scrolls = Scrolls::default();
        let body = r#"{"scroll_id":"then-1"}"#;
        assert!(scrolls.replaced(SCROLL, body).is_err());
        assert_eq!(scrolls.replaced("/a/_count", "{").unwrap(), "{");
    }
}
