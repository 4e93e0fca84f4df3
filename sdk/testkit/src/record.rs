//! What reached the cluster.

use crate::fault::FaultKind;

/// One request that reached a node, in the order of arrival.
#[derive(Debug, Clone)]
pub struct Record {
    /// Position, counted from one.
    pub number: u64,
    /// The node it was sent to.
    pub node: usize,
    /// Its method.
    pub method: String,
    /// Its path, percent-decoded.
    pub path: String,
    /// Its query string as sent.
    pub query: String,
    /// Its body as text.
    pub body: String,
    /// Its `X-Opaque-Id`.
    pub opaque_id: Option<String>,
    /// The status sent back; `None` when no answer was.
    pub status: Option<u16>,
    /// Whether the cluster acted on it; false as long as a late delivery waits.
    pub applied: bool,
    /// The fault that met it.
    pub fault: Option<FaultKind>,
    /// The cluster's own time of its arrival, in milliseconds.
    pub at_ms: i64,
}

impl Record {
    /// `METHOD /path`, the form that tests compare.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}
