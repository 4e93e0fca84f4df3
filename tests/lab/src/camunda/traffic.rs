//! Clients of an engine that never repeat a request, and what became of each.
//!
//! Each request has a connection of its own, so that a cut is seen by the request it hits. The loop
//! of one client: start an instance, query its task, complete it, ask for the version, count the
//! history, and poll for external tasks.

use std::fmt;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use super::rest::start_body;
use crate::error::IoContext;
use crate::error::LabError;

/// Clients at a time, unless another number is given; 3 gave about 25 requests a second on two cores.
pub const CLIENTS: usize = 3;

/// How long a poll for external tasks stays open, in milliseconds.
///
/// Nobody has tasks of its topic, so that each poll is open all that time: a drain has to wait for it.
const POLL_MS: u64 = 500;

/// An answer that took longer is counted as slow.
pub const SLOW_MS: u64 = 1000;

/// Longest wait for one answer; then the request has failed. Longer than a balancer's queue.
const ANSWER_SECONDS_MAX: u64 = 30;

/// Characters of an answer that a failed request keeps.
const ANSWER_CHARACTERS_KEPT: usize = 300;

/// Failed requests that the report's text lists.
const FAILED_SHOWN_MAX: usize = 20;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestKind {
    /// Start an instance of `work`.
    Start,
    /// Query the instance's task.
    Query,
    /// Complete the task.
    Complete,
    /// `GET /version`, which needs no database.
    Version,
    /// Count the history's instances.
    History,
    /// `fetchAndLock` with a poll.
    Poll,
}

impl RequestKind {
    /// Every kind, in the order of a client's loop.
    pub const ALL: [Self; 6] = [
        Self::Start,
        Self::Query,
        Self::Complete,
        Self::Version,
        Self::History,
        Self::Poll,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Query => "query",
            Self::Complete => "complete",
            Self::Version => "version",
            Self::History => "history",
            Self::Poll => "poll",
        }
    }
}

/// One request and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// When it was sent, in milliseconds since the traffic began.
    pub at_ms: u64,
    /// What it was for.
    pub kind: RequestKind,
    /// The HTTP status; none when no answer came.
    pub status: Option<u16>,
    /// Milliseconds until the whole answer was there, or until it was given up.
    pub ms: u64,
    /// Why it failed: the start of the answer, or the cause of there being none.
    pub why_failed: Option<String>,
}

impl Answer {
    /// It was answered 2xx with what the request asked for.
    pub fn is_ok(&self) -> bool {
        self.why_failed.is_none()
    }
}

/// All requests of one traffic, in the order of their answers.
#[derive(Clone, Debug, Default)]
pub struct TrafficReport {
    /// Every request.
    pub answers: Vec<Answer>,
}

impl TrafficReport {
    /// Requests that were answered as they should.
    pub fn ok(&self) -> usize {
        self.answers.iter().filter(|answer| answer.is_ok()).count()
    }

    /// Requests that were not.
    pub fn failed(&self) -> usize {
        self.answers.len() - self.ok()
    }

    /// Requests, failed ones too, that took longer than [`SLOW_MS`].
    pub fn slow(&self) -> usize {
        self.answers
            .iter()
            .filter(|answer| answer.ms > SLOW_MS)
            .count()
    }

    /// The failed requests.
    pub fn failures(&self) -> impl Iterator<Item = &Answer> {
        self.answers.iter().filter(|answer| !answer.is_ok())
    }

    /// The report's last line, for scripts; the one place that makes it.
    pub fn last_line(&self) -> String {
        format!("failed={}", self.failed())
    }

    /// Writes every request as a line of JSON.
    pub fn write_lines(&self, file: &Path) -> Result<(), LabError> {
        let mut text = String::new();
        for answer in &self.answers {
            let line = serde_json::to_string(answer)
                .map_err(|error| LabError::malformed("an answer", error.to_string()))?;
            text.push_str(&line);
            text.push('\n');
        }
        std::fs::write(file, text).doing("write", file)
    }
}

impl fmt::Display for TrafficReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in RequestKind::ALL {
            let of: Vec<&Answer> = self.answers.iter().filter(|a| a.kind == kind).collect();
            let failed = of.iter().filter(|answer| !answer.is_ok()).count();
            let longest = of.iter().map(|answer| answer.ms).max().unwrap_or_default();
            writeln!(
                f,
                "{:<8} {:>6} requests, {failed} failed, longest {longest} ms",
                kind.name(),
                of.len()
            )?;
        }
        for answer in self.failures().take(FAILED_SHOWN_MAX) {
            let status = answer
                .status
                .map_or("no answer".to_owned(), |status| status.to_string());
            writeln!(
                f,
                "at {} ms {}: {status} after {} ms: {}",
                answer.at_ms,
                answer.kind.name(),
                answer.ms,
                answer.why_failed.as_deref().unwrap_or_default()
            )?;
        }
        writeln!(f, "ok={} slow={}", self.ok(), self.slow())?;
        f.write_str(&self.last_line())
    }
}

/// Running traffic. Dropping it stops the clients and loses the report.
#[derive(Debug)]
pub struct Traffic {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<Vec<Answer>>>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Traffic {
    /// Begins with `clients` clients of `base_url` (`http://127.0.0.1:PORT`, without a path).
    ///
    /// Needs the processes of [`rest::deploy`](super::rest::deploy) on the engines behind it.
    pub fn begin(base_url: &str, clients: usize) -> Result<Self, LabError> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            // A connection for each request, and no repeat of one whose connection broke.
            .pool_max_idle_per_host(0)
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(ANSWER_SECONDS_MAX))
            .build()
            .map_err(|source| LabError::NoAnswer {
                request: "set up the client".into(),
                source,
            })?;
        let stop = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(Mutex::new(Vec::new()));
        let begun = Instant::now();
        let clients = (1..=clients)
            .map(|number| {
                let one = Client {
                    client: client.clone(),
                    base_url: format!("{base_url}/engine-rest"),
                    worker: format!("lab-{number}"),
                    begun,
                    answers: Arc::clone(&answers),
                };
                let stop = Arc::clone(&stop);
                tokio::spawn(async move {
                    while !stop.load(Ordering::SeqCst) {
                        one.turn().await;
                    }
                })
            })
            .collect();
        Ok(Self {
            stop,
            answers,
            clients,
        })
    }

    /// What has been answered so far.
    pub fn so_far(&self) -> TrafficReport {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        TrafficReport {
            answers: answers.clone(),
        }
    }

    /// Lets every client finish its turn, and reports.
    ///
    /// A turn takes a second on a quiet machine; a client that hangs ends at its requests' limit of
    /// 30 s each.
    pub async fn end(mut self) -> TrafficReport {
        self.stop.store(true, Ordering::SeqCst);
        for client in &mut self.clients {
            // A client that panicked has recorded what it did until then.
            let _ = client.await;
        }
        self.so_far()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        for client in &self.clients {
            client.abort();
        }
    }
}

struct Client {
    client: reqwest::Client,
    base_url: String,
    worker: String,
    begun: Instant,
    answers: Arc<Mutex<Vec<Answer>>>,
}

impl Client {
    /// One loop. What rests on an answer that did not come is left out.
    async fn turn(&self) {
        let start = "/process-definition/key/work/start";
        let has_id = |answer: &Value| answer["id"].as_str().map(str::to_owned);
        let body = start_body(&[]);
        let started = self.ask(RequestKind::Start, start, Some(body), has_id);
        if let Some(instance) = started.await {
            let query = format!("/task?processInstanceId={instance}");
            let first = |answer: &Value| answer[0]["id"].as_str().map(str::to_owned);
            if let Some(task) = self.ask(RequestKind::Query, &query, None, first).await {
                let complete = format!("/task/{task}/complete");
                let any = |_: &Value| Some(());
                self.ask(RequestKind::Complete, &complete, Some(json!({})), any)
                    .await;
            }
        }
        let version = |answer: &Value| answer["version"].as_str().map(drop);
        self.ask(RequestKind::Version, "/version", None, version)
            .await;
        let history = "/history/process-instance/count";
        let count = |answer: &Value| answer["count"].as_u64().map(drop);
        self.ask(RequestKind::History, history, None, count).await;
        let poll = json!({
            "workerId": self.worker,
            "maxTasks": 1,
            "asyncResponseTimeout": POLL_MS,
            "topics": [{ "topicName": "nobody-has-it", "lockDuration": 1000 }],
        });
        let list = |answer: &Value| answer.as_array().map(drop);
        self.ask(
            RequestKind::Poll,
            "/external-task/fetchAndLock",
            Some(poll),
            list,
        )
        .await;
    }

    /// Sends one request, once, and records it; answers what `read` found.
    async fn ask<T>(
        &self,
        kind: RequestKind,
        path: &str,
        body: Option<Value>,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let url = format!("{}{path}", self.base_url);
        let request = match body {
            Some(body) => self
                .client
                .request(Method::POST, url)
                .header("Content-Type", "application/json")
                .body(body.to_string()),
            None => self.client.request(Method::GET, url),
        };
        let sent = Instant::now();
        let answered = async {
            let response = request.header("Connection", "close").send().await;
            let response = response.map_err(|error| (None, causes(&error)))?;
            let status = response.status();
            let text = response.text().await;
            let text = text.map_err(|error| (Some(status.as_u16()), causes(&error)))?;
            // An answer without a body (204) is read as null.
            let value = serde_json::from_str(&text).unwrap_or(Value::Null);
            match read(&value) {
                Some(found) if status.is_success() => Ok((status.as_u16(), found)),
                _ => Err((Some(status.as_u16()), cut(&text))),
            }
        }
        .await;
        let (status, why_failed, found) = match answered {
            Ok((status, found)) => (Some(status), None, Some(found)),
            Err((status, why)) => (status, Some(why), None),
        };
        let answer = Answer {
            at_ms: ms(sent.duration_since(self.begun)),
            kind,
            status,
            ms: ms(sent.elapsed()),
            why_failed,
        };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push(answer);
        found
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// An error with its causes, without the address, which is the same for all.
fn causes(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        "no answer".to_owned()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        // Writing to a text does not fail.
        let _ = write!(text, ": {source}");
        cause = source.source();
    }
    cut(&text)
}

fn cut(text: &str) -> String {
    text.chars().take(ANSWER_CHARACTERS_KEPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kind: RequestKind, status: Option<u16>, ms: u64, why: Option<&str>) -> Answer {
        Answer {
            at_ms: 1,
            kind,
            status,
            ms,
            why_failed: why.map(str::to_owned),
        }
    }

    #[test]
    fn counts_and_ends_with_what_failed() {
        let report = TrafficReport {
            answers: vec![
                answer(RequestKind::Start, Some(200), 5, None),
                answer(RequestKind::Query, Some(200), 1001, None),
                answer(RequestKind::Complete, Some(500), 7, Some("cached plan")),
                answer(RequestKind::Poll, None, 2000, Some("no answer")),
            ],
        };
        assert_eq!((report.ok(), report.failed(), report.slow()), (2, 2, 2));
        let text = report.to_string();
        assert_eq!(text.lines().last(), Some("failed=2"));
        assert!(
            text.contains("at 1 ms complete: 500 after 7 ms: cached plan"),
            "{text}"
        );
        assert!(
            text.contains("at 1 ms poll: no answer after 2000 ms"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn records_a_request_that_nobody_answers_once() {
        let port = crate::launch::pick_port().unwrap();
        let traffic = Traffic::begin(&format!("http://127.0.0.1:{port}"), 1).unwrap();
        while traffic.so_far().answers.len() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let report = traffic.end().await;
        // A start that failed is followed by no query.
        let kinds: Vec<RequestKind> = report.answers.iter().map(|a| a.kind).take(4).collect();
        use RequestKind::{History, Poll, Start, Version};
        assert_eq!(kinds, [Start, Version, History, Poll]);
        assert_eq!(report.failed(), report.answers.len());
        assert!(report.answers.iter().all(|answer| answer.status.is_none()));
    }

    #[tokio::test]
    async fn uses_a_connection_for_each_request_and_sends_none_twice() {
        use tokio::io::AsyncReadExt;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&taken);
        // Takes each request and hangs up without an answer.
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                *counted.lock().unwrap() += 1;
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
            }
        });
        let traffic = Traffic::begin(&format!("http://127.0.0.1:{port}"), 1).unwrap();
        while traffic.so_far().answers.len() < 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let report = traffic.end().await;
        assert_eq!(*taken.lock().unwrap(), report.answers.len());
        assert_eq!(report.ok(), 0);
    }
}
