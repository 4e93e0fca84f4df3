//! An HTTP/1.1 proxy that records what a client asks, and makes requests fail on purpose.
//!
//! It stands between the program under test and one server. What it has seen is what the server
//! was asked; faults are rules for the n-th request that matches. Forwarding goes on when the
//! client is gone, so that a request can land late, as over a real network.

mod forward;
mod rule;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::rule::Fault;
pub use self::rule::Hold;
pub use self::rule::Rule;
use self::rule::Rules;
pub use self::rule::Then;
pub use self::rule::When;
use crate::error::LabError;
use crate::http::HttpTarget;

/// One request that came to the proxy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Its number, from 1 on, in order of arrival.
    pub n: usize,
    /// When it arrived, in UTC.
    pub at: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The status that the client got, or would have got had it been there; none if there was
    /// no answer, or none yet.
    pub status: Option<u16>,
    /// Whether the server was asked.
    pub forwarded: bool,
    /// Milliseconds until the answer.
    pub ms: Option<u64>,
    /// The start of the request's body.
    pub request_body: String,
    /// The start of the answer's body.
    pub response_body: String,
    /// The `X-Opaque-Id` header.
    pub opaque_id: Option<String>,
    /// What the proxy did to it on purpose.
    pub fault: Option<String>,
}

impl Record {
    /// Whether it changes nothing by its method: `GET` and `HEAD`.
    pub fn is_read(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD")
    }

    /// Method and path with query, as `DELETE /a?b=c`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// State that the connections share.
struct Shared {
    target: HttpTarget,
    records: Mutex<Vec<Record>>,
    rules: Mutex<Rules>,
    /// Told whenever a record is new or has changed.
    changed: watch::Sender<()>,
}

impl Shared {
    fn records(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record under the next number.
    fn arrive(&self, record: Record) -> usize {
        let mut records = self.records();
        // Numbers go on after `clear`, so that a late answer finds no other request's record.
        let n = self.rules().next_number();
        records.push(Record { n, ..record });
        drop(records);
        self.changed.send_replace(());
        n
    }

    fn update(&self, n: usize, change: impl FnOnce(&mut Record)) {
        if let Some(record) = self.records().iter_mut().find(|record| record.n == n) {
            change(record);
        }
        self.changed.send_replace(());
    }
}

/// A running proxy. Dropping it closes the port; requests on their way still arrive.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Listens on a free loopback port and forwards to `target`.
    ///
    /// Clients speak plain HTTP to it and send their own credentials; towards a server with TLS
    /// it trusts the target's certificate authority.
    pub async fn start(target: &HttpTarget) -> Result<Self, LabError> {
        let failed = |source| LabError::io("listen on a loopback port", source);
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared {
            target: target.clone(),
            records: Mutex::default(),
            rules: Mutex::default(),
            changed: watch::Sender::new(()),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in order of arrival; one without an answer yet is among them.
    pub fn records(&self) -> Vec<Record> {
        self.shared.records().clone()
    }

    /// The requests that reached the server and may change something, as `METHOD /path?query`.
    pub fn changes(&self) -> Vec<String> {
        let records = self.shared.records();
        records
            .iter()
            .filter(|r| r.forwarded && !r.is_read())
            .map(Record::line)
            .collect()
    }

    /// Forgets the records, not the rules.
    pub fn clear(&self) {
        self.shared.records().clear();
    }

    /// Adds a rule. The first rule that applies to a request decides; each counts its own
    /// matches from the moment it was added.
    pub fn add_rule(&self, rule: Rule) {
        self.shared.rules().add(rule);
    }

    /// Takes all rules away. Requests that are held stay held.
    pub fn clear_rules(&self) {
        self.shared.rules().clear();
    }

    /// Waits for a record that fits; none if there is none within `patience`.
    pub async fn wait_for(
        &self,
        patience: Duration,
        fits: impl Fn(&Record) -> bool,
    ) -> Option<Record> {
        let mut changed = self.shared.changed.subscribe();
        let look = async {
            loop {
                if let Some(found) = self.shared.records().iter().find(|record| fits(record)) {
                    return Some(found.clone());
                }
                changed.changed().await.ok()?;
            }
        };
        tokio::time::timeout(patience, look).await.ok().flatten()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, or the client left at once: the next one may do better.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                // On a task of its own, because hyper drops the service with the connection.
                let work = tokio::spawn(forward::handle(shared.clone(), request));
                async move { work.await.unwrap_or(Err(forward::Dropped)) }
            });
            // An error here is a client that went away, or a connection dropped on purpose.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

#[cfg(test)]
mod tests;
