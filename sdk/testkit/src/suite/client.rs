//! The smallest HTTP client that the checks need: one connection a request, no retries.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::{Outcome, SuiteError, expect};

/// How long a check waits for a condition; a busy lab machine needs seconds where an idle one needs none.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two looks at a condition.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// An answer of the server.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Body, as JSON when it is, else as text.
    pub body: Value,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    request: String,
}

impl Answer {
    /// The error's type, empty when there is none.
    pub fn error_type(&self) -> &str {
        self.body["error"]["type"].as_str().unwrap_or_default()
    }

    /// The error's reason, or the whole error when it is one string.
    pub fn reason(&self) -> &str {
        self.body["error"]["reason"]
            .as_str()
            .or_else(|| self.body["error"].as_str())
            .unwrap_or_default()
    }

    /// Fails unless the status is `status`.
    pub(super) fn status(self, status: u16) -> Result<Self, SuiteError> {
        expect(
            self.status == status,
            format!(
                "`{}` answered {} instead of {status}: {}",
                self.request, self.status, self.body
            ),
        )?;
        Ok(self)
    }

    /// Fails unless the answer is this refusal; `text` must be in its reason.
    pub(super) fn refused(
        self,
        status: u16,
        error_type: &str,
        text: &str,
    ) -> Result<Self, SuiteError> {
        let this = self.status(status)?;
        expect(
            this.error_type() == error_type && this.reason().contains(text),
            format!(
                "`{}` was refused with {} instead of `{error_type}`: `{text}`",
                this.request, this.body
            ),
        )?;
        Ok(this)
    }

    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(k, _)| k == name)
            .map(|(_, v)| v.as_str())
    }
}

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Client {
    authority: String,
}

impl Client {
    /// A client of the server at `base_url`, `http://host:port`.
    pub fn new(base_url: &str) -> Self {
        Self {
            authority: base_url
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .to_owned(),
        }
    }

    /// Sends a request with these headers and this body.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Answer, SuiteError> {
        let request = format!("{method} {path}");
        let lost = |why: String| SuiteError::NoAnswer {
            request: request.clone(),
            why,
        };
        let stream = TcpStream::connect(&self.authority)
            .await
            .map_err(|e| lost(e.to_string()))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| lost(e.to_string()))?;
        let driver = tokio::spawn(connection);
        let mut builder = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.authority);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let built = builder
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| lost(e.to_string()))?;
        let response = sender
            .send_request(built)
            .await
            .map_err(|e| lost(e.to_string()))?;
        let (head, body) = response.into_parts();
        let bytes = body
            .collect()
            .await
            .map_err(|e| lost(e.to_string()))?
            .to_bytes();
        driver.abort();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let headers = head
            .headers
            .iter()
            .map(|(k, v)| {
                (
                    k.as_str().to_owned(),
                    v.to_str().unwrap_or_default().to_owned(),
                )
            })
            .collect();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer {
            status: head.status.as_u16(),
            body,
            headers,
            request,
        })
    }

    /// Sends a request with a JSON body, or without one for `null`.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Result<Answer, SuiteError> {
        if body.is_null() {
            self.send(method, path, &[], String::new()).await
        } else {
            self.send(
                method,
                path,
                &[("content-type", "application/json")],
                body.to_string(),
            )
            .await
        }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, SuiteError> {
        self.ask("GET", path, Value::Null).await
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> Result<Answer, SuiteError> {
        self.ask("PUT", path, body).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Answer, SuiteError> {
        self.ask("POST", path, body).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Answer, SuiteError> {
        self.ask("DELETE", path, Value::Null).await
    }

    /// Removes these indices if they are there.
    pub(super) async fn without(&self, indices: &[&str]) -> Outcome {
        for index in indices {
            let answer = self.delete(&format!("/{index}")).await?;
            expect(
                matches!(answer.status, 200 | 404),
                format!("cannot clean `{index}`: {}", answer.body),
            )?;
        }
        Ok(())
    }

    /// Makes an index that refreshes only when told to, in place of an older one.
    pub(super) async fn fresh(&self, index: &str, mut body: Value) -> Outcome {
        self.without(&[index]).await?;
        body["settings"]["index.refresh_interval"] = Value::from("-1");
        body["settings"]["index.number_of_replicas"] = Value::from(0);
        self.put(&format!("/{index}"), body).await?.status(200)?;
        Ok(())
    }

    /// Writes documents with ids `1..=count` and the field `n`, and refreshes.
    pub(super) async fn fill(&self, index: &str, count: u64) -> Outcome {
        let lines: String = (1..=count)
            .map(|n| format!("{{\"index\":{{\"_id\":\"{n}\"}}}}\n{{\"n\":{n},\"k\":\"k{n}\"}}\n"))
            .collect();
        let path = format!("/{index}/_bulk?refresh=true");
        let answer = self
            .send(
                "POST",
                &path,
                &[("content-type", "application/x-ndjson")],
                lines,
            )
            .await?;
        expect(
            answer.status == 200 && answer.body["errors"] == false,
            format!("bulk failed: {}", answer.body),
        )
    }

    /// Counts documents as a search sees them.
    pub(super) async fn count(&self, index: &str) -> Result<u64, SuiteError> {
        let answer = self.get(&format!("/{index}/_count")).await?.status(200)?;
        answer.body["count"]
            .as_u64()
            .ok_or_else(|| SuiteError::Unexpected(format!("no count in {}", answer.body)))
    }

    /// Asks again and again until `holds`; fails with the last answer when patience ends.
    pub(super) async fn until(
        &self,
        what: &str,
        path: &str,
        holds: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, SuiteError> {
        let begun = tokio::time::Instant::now();
        loop {
            let answer = self.get(path).await?;
            if holds(&answer) {
                return Ok(answer);
            }
            if begun.elapsed() > PATIENCE {
                return Err(SuiteError::Unexpected(format!(
                    "{what} did not come true, last answer: {}",
                    answer.body
                )));
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }
}
