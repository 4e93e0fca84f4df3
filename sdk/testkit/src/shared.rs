//! What the nodes share: the state, the faults, the records, and what happens to a request.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use crate::fault::{Fault, FaultKind};
use crate::http::{Body, Reply, Request};
use crate::product::Product;
use crate::record::Record;
use crate::router;
use crate::state::{Node, State};
use crate::task::TASKS_INDEX;

/// Most records kept; the oldest go first. A whole upgrade is a few hundred requests.
pub const RECORDS_MAX: usize = 100_000;

/// Everything that the nodes share.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// One switch a node; false closes its port.
    pub(crate) switches: Vec<watch::Sender<bool>>,
}

/// What is behind the lock.
pub(crate) struct Inner {
    pub(crate) state: State,
    pub(crate) faults: Vec<Fault>,
    pub(crate) records: Vec<Record>,
    next_record: u64,
    /// Requests whose effect is still to come.
    pub(crate) late: Vec<(u64, Request)>,
    credentials: Option<(String, String)>,
}

/// What the server does with a request that has been looked at.
pub(crate) enum Outcome {
    Answer(Answer, Duration),
    Drop,
    DropThenDeliver(u64, Duration),
}

/// An answer ready to be sent.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) content_type: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Shared {
    pub(crate) fn new(
        state: State,
        credentials: Option<(String, String)>,
        switches: Vec<watch::Sender<bool>>,
    ) -> Self {
        let inner = Inner {
            state,
            faults: Vec::new(),
            records: Vec::new(),
            next_record: 1,
            late: Vec::new(),
            credentials,
        };
        Self {
            inner: Mutex::new(inner),
            switches,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request that has arrived: records it, lets faults meet it, applies it.
    pub(crate) fn accept(&self, request: Request) -> Outcome {
        let mut inner = self.lock();
        if !inner.state.nodes[request.node].is_up {
            return Outcome::Drop;
        }
        inner.state.tick();
        let number = inner.record(&request);
        let mut met = None;
        for fault in &mut inner.faults {
            // Every fault counts the request; the first that hits decides.
            let hit = fault.meet(&request);
            met = met.or(hit);
        }
        if let Some(record) = inner.entry(number) {
            record.fault = met.clone();
        }
        let mut delay = Duration::ZERO;
        match met {
            Some(FaultKind::DropBefore) => return Outcome::Drop,
            Some(FaultKind::DropAfter) => {
                inner.answer(&request, false);
                inner.settle(number, None, true);
                return Outcome::Drop;
            }
            Some(FaultKind::DeliverLate(after)) => {
                inner.late.push((number, request));
                return after.map_or(Outcome::Drop, |d| Outcome::DropThenDeliver(number, d));
            }
            Some(FaultKind::Status(status, body)) => {
                inner.settle(number, Some(status), false);
                let reply = Reply::json(status, body);
                return Outcome::Answer(inner.render(&request, reply), delay);
            }
            Some(FaultKind::Lie200) => {
                inner.settle(number, Some(200), false);
                return Outcome::Answer(inner.render(&request, Reply::acknowledged()), delay);
            }
            Some(FaultKind::Slow(time)) => delay = time,
            Some(FaultKind::TaskLost) => inner.lose_tasks(),
            Some(FaultKind::DiskFull) => inner.fill_disks(),
            Some(FaultKind::NodeGone(node)) => {
                self.take_down(&mut inner, node);
                if node == request.node {
                    return Outcome::Drop;
                }
            }
            Some(FaultKind::ShardFailure) => {
                let answer = inner.answer(&request, true);
                inner.settle(number, Some(answer.status), true);
                return Outcome::Answer(answer, delay);
            }
            None => {}
        }
        let answer = inner.answer(&request, false);
        inner.settle(number, Some(answer.status), true);
        Outcome::Answer(answer, delay)
    }

    /// Applies a request whose answer nobody waits for any more.
    pub(crate) fn deliver(&self, number: u64) {
        let mut inner = self.lock();
        if let Some(at) = inner.late.iter().position(|(n, _)| *n == number) {
            let (_, request) = inner.late.remove(at);
            inner.answer(&request, false);
            inner.settle(number, None, true);
        }
    }

    /// Takes a node out of the cluster and closes its port.
    pub(crate) fn take_down(&self, inner: &mut Inner, node: usize) {
        let now = inner.state.now_ms();
        if let Some(entry) = inner.state.nodes.get_mut(node) {
            entry.is_up = false;
            entry.left_ms = now;
            // A task dies with the node that runs it.
            inner.state.tasks.retain(|_, t| t.node != node);
            inner.state.changed();
        }
        if let Some(switch) = self.switches.get(node) {
            switch.send_replace(false);
        }
    }
}

impl Inner {
    fn record(&mut self, request: &Request) -> u64 {
        let number = self.next_record;
        self.next_record += 1;
        if self.records.len() >= RECORDS_MAX {
            self.records.remove(0);
        }
        self.records.push(Record {
            number,
            node: request.node,
            method: request.method.to_string(),
            path: request.path(),
            query: request.query.clone(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            opaque_id: request.opaque_id.clone(),
            status: None,
            applied: false,
            fault: None,
            at_ms: self.state.now_ms(),
        });
        number
    }

    fn entry(&mut self, number: u64) -> Option<&mut Record> {
        self.records.iter_mut().rev().find(|r| r.number == number)
    }

    fn settle(&mut self, number: u64, status: Option<u16>, applied: bool) {
        if let Some(record) = self.entry(number) {
            record.status = status;
            record.applied = applied;
        }
    }

    /// Handles a request and prints the answer.
    fn answer(&mut self, request: &Request, fail_first_shard: bool) -> Answer {
        if let Some(refusal) = self.refuse_stranger(request) {
            return refusal;
        }
        let reply = match router::handle(&mut self.state, request, fail_first_shard) {
            Ok(reply) => reply,
            Err(error) => Reply::json(error.status, error.body()),
        };
        self.render(request, reply)
    }

    fn refuse_stranger(&self, request: &Request) -> Option<Answer> {
        use base64::Engine as _;
        let (user, password) = self.credentials.as_ref()?;
        let wanted = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let given = request
            .authorization
            .as_deref()
            .and_then(|a| a.strip_prefix("Basic "));
        if given == Some(wanted.as_str()) {
            return None;
        }
        let mut answer = if self.state.product.is_opensearch() {
            let mut answer = self.render(request, Reply::text("Unauthorized".to_owned()));
            answer.status = 401;
            answer
        } else {
            let reason = match request.authorization {
                None => format!(
                    "missing authentication credentials for REST request [{}]",
                    request.uri()
                ),
                Some(_) => format!(
                    "unable to authenticate user [{user}] for REST request [{}]",
                    request.uri()
                ),
            };
            let cause = json!({
                "type": "security_exception", "reason": reason,
                "header": {"WWW-Authenticate": ["Basic realm=\"security\", charset=\"UTF-8\"", "ApiKey"]},
            });
            let mut error = cause.clone();
            error["root_cause"] = json!([cause]);
            self.render(
                request,
                Reply::json(401, json!({"error": error, "status": 401})),
            )
        };
        answer.headers.push((
            "WWW-Authenticate",
            "Basic realm=\"security\", charset=\"UTF-8\"".to_owned(),
        ));
        Some(answer)
    }

    fn render(&self, request: &Request, reply: Reply) -> Answer {
        let opensearch = self.state.product.is_opensearch();
        let (body, content_type) = match reply.body {
            Body::Json(mut value) => {
                if let Some(list) = request.param("filter_path").filter(|l| !l.is_empty()) {
                    value = crate::http::filter_path(value, list);
                }
                let pretty = request.flag("pretty", false).unwrap_or(false);
                let text = if pretty {
                    format!("{value:#}\n")
                } else {
                    value.to_string()
                };
                let compatible = request
                    .accept
                    .as_deref()
                    .is_some_and(|a| a.contains("compatible-with=8"));
                let media = match (opensearch, compatible) {
                    (true, _) => "application/json; charset=UTF-8",
                    (false, true) => "application/vnd.elasticsearch+json;compatible-with=8",
                    (false, false) => "application/json",
                };
                (text, media)
            }
            Body::Text(text) => (text, "text/plain; charset=UTF-8"),
        };
        let mut headers = Vec::new();
        if let Some(id) = &request.opaque_id {
            headers.push(("X-Opaque-Id", id.clone()));
        }
        let version = &self.state.nodes[request.node].version;
        match self.state.product {
            Product::Elasticsearch8 => {
                headers.push(("X-elastic-product", "Elasticsearch".to_owned()));
                if request.segments.first().is_some_and(|s| s == "_template") {
                    headers.push(("Warning", format!(
                        "299 Elasticsearch-{version}-0000000000000000000000000000000000000000 \"Legacy index templates are deprecated in favor of composable templates.\""
                    )));
                }
            }
            Product::OpenSearch3 => headers.push((
                "X-OpenSearch-Version",
                format!("OpenSearch/{version} (opensearch)"),
            )),
            Product::OpenSearch2 => {}
        }
        Answer {
            status: reply.status,
            body,
            content_type: content_type.to_owned(),
            headers,
        }
    }

    pub(crate) fn lose_tasks(&mut self) {
        self.state.tasks.clear();
        self.state.indices.remove(TASKS_INDEX);
        self.state.changed();
    }

    fn fill_disks(&mut self) {
        for node in 0..self.state.nodes.len() {
            let total = self.state.nodes[node].disk_total_bytes;
            self.set_disk(node, total, total / 100);
        }
    }

    /// Changes a disk and does what the cluster does about it at its watermarks.
    pub(crate) fn set_disk(&mut self, node: usize, total: u64, free: u64) {
        if let Some(entry) = self.state.nodes.get_mut(node) {
            entry.disk_total_bytes = total;
            entry.disk_free_bytes = free;
        }
        if self
            .state
            .cluster_setting("cluster.routing.allocation.disk.threshold_enabled")
            .as_deref()
            == Some("false")
        {
            return;
        }
        let percent = |key: &str, default: u64| {
            self.state
                .cluster_setting(key)
                .and_then(|v| v.trim_end_matches('%').parse::<u64>().ok())
                .unwrap_or(default)
        };
        let flood = percent("cluster.routing.allocation.disk.watermark.flood_stage", 95);
        let high = percent("cluster.routing.allocation.disk.watermark.high", 90);
        let used = |n: &Node| {
            (n.disk_total_bytes.saturating_sub(n.disk_free_bytes)) * 100 / n.disk_total_bytes.max(1)
        };
        let usage: Vec<u64> = self.state.nodes.iter().map(used).collect();
        let names: Vec<String> = self.state.indices.keys().cloned().collect();
        for name in names {
            let Some(index) = self.state.indices.get(&name) else {
                continue;
            };
            let worst = self
                .state
                .shard_copies(index)
                .iter()
                .filter_map(|c| c.node)
                .map(|n| usage[n])
                .max()
                .unwrap_or(0);
            if let Some(index) = self.state.indices.get_mut(&name) {
                let key = "index.blocks.read_only_allow_delete";
                index.change_settings(|settings| {
                    if worst >= flood {
                        settings.insert(key.to_owned(), json!("true"));
                    } else if worst < high {
                        settings.remove(key);
                    }
                });
            }
        }
    }
}
