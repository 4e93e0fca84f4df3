//! The simulated cluster as a test holds it: build, start, look, break, compare.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock::{CLOCK_START_MS, CLOCK_TICK_MS, Clock, Rng};
use crate::fault::{Fault, FaultKind};
use crate::http::{Body, Reply, Request};
use crate::product::Product;
use crate::record::Record;
use crate::router;
use crate::server;
use crate::settings::{self, Flat};
use crate::state::{Node, State, Templates};
use crate::task::TASKS_INDEX;

/// Heap of a node unless the builder was told otherwise: 1 GiB, what an upgrade check asks for.
pub const HEAP_BYTES_DEFAULT: u64 = 1 << 30;

/// Disk of a node unless the builder was told otherwise: 100 GiB, of which 60 are free.
pub const DISK_BYTES_DEFAULT: (u64, u64) = (100 << 30, 60 << 30);

/// Documents that a server task moves per request that reaches the cluster: one batch of the servers.
pub const TASK_DOCS_PER_REQUEST: usize = 1_000;

/// Requests for which a snapshot stays `IN_PROGRESS`: long enough to be seen, short enough to wait for.
pub const SNAPSHOT_REQUESTS: u32 = 2;

/// Most records kept; the oldest go first. A whole upgrade is a few hundred requests.
pub const RECORDS_MAX: usize = 100_000;

/// How long a node may take to listen again on its old port.
const LISTEN_DEADLINE: Duration = Duration::from_secs(10);

/// Why a simulated cluster could not be started or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// No loopback port could be bound.
    #[error("cannot listen on a loopback port for node {node}")]
    Listen {
        /// The node's position.
        node: usize,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A node that was started again does not listen.
    #[error("node {node} does not listen on port {port} again")]
    NotBack {
        /// The node's position.
        node: usize,
        /// Its port.
        port: u16,
    },
    /// No such node.
    #[error("there is no node {node}, the cluster has {count}")]
    NoSuchNode {
        /// The position asked for.
        node: usize,
        /// How many nodes there are.
        count: usize,
    },
}

/// What a simulated cluster is made of.
#[derive(Debug, Clone)]
pub struct SimBuilder {
    product: Product,
    nodes: usize,
    seed: u64,
    cluster_name: String,
    versions: BTreeMap<usize, String>,
    task_docs_per_request: usize,
    snapshot_requests: u32,
    tick_ms: i64,
    heap_bytes: u64,
    disk_bytes: (u64, u64),
    deprecations: Option<Value>,
    credentials: Option<(String, String)>,
    path_repo: Vec<String>,
}

impl SimBuilder {
    /// Number of nodes, at least one; each listens on its own loopback port.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes.max(1);
        self
    }

    /// Seed of all uuids and ids.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Name of the cluster.
    #[must_use]
    pub fn cluster_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.cluster_name);
        self
    }

    /// Another version on one node, for mixed clusters.
    #[must_use]
    pub fn node_version(mut self, node: usize, version: &str) -> Self {
        self.versions.insert(node, version.to_owned());
        self
    }

    /// Documents that a running by-query task moves each time a request reaches the cluster.
    #[must_use]
    pub fn task_docs_per_request(mut self, docs: usize) -> Self {
        self.task_docs_per_request = docs.max(1);
        self
    }

    /// Requests for which a snapshot stays in progress.
    #[must_use]
    pub fn snapshot_requests(mut self, requests: u32) -> Self {
        self.snapshot_requests = requests.max(1);
        self
    }

    /// How far the clock moves for each request, in milliseconds.
    #[must_use]
    pub fn tick_ms(mut self, ms: i64) -> Self {
        self.tick_ms = ms.max(0);
        self
    }

    /// Heap of every node.
    #[must_use]
    pub fn heap_bytes(mut self, bytes: u64) -> Self {
        self.heap_bytes = bytes;
        self
    }

    /// Disk of every node: total and free bytes.
    #[must_use]
    pub fn disk_bytes(mut self, total: u64, free: u64) -> Self {
        self.disk_bytes = (total, free);
        self
    }

    /// The answer of the deprecation API; without one the API does not exist.
    #[must_use]
    pub fn deprecations(mut self, answer: Value) -> Self {
        self.deprecations = Some(answer);
        self
    }

    /// Asks every request for these credentials.
    #[must_use]
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// The folders that `fs` repositories may lie in; nothing is written there.
    #[must_use]
    pub fn path_repo(mut self, paths: &[&str]) -> Self {
        self.path_repo = paths
            .iter()
            .map(|p| p.trim_end_matches('/').to_owned())
            .collect();
        self
    }

    /// Binds the ports and starts to answer.
    ///
    /// # Errors
    /// When a loopback port cannot be bound.
    pub async fn start(self) -> Result<SimCluster, SimError> {
        let mut rng = Rng::new(self.seed);
        let cluster_uuid = rng.uuid();
        let mut nodes = Vec::new();
        let mut listeners = Vec::new();
        for position in 0..self.nodes {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .await
                .map_err(|source| SimError::Listen {
                    node: position,
                    source,
                })?;
            let port = listener
                .local_addr()
                .map_err(|source| SimError::Listen {
                    node: position,
                    source,
                })?
                .port();
            let version = self
                .versions
                .get(&position)
                .cloned()
                .unwrap_or_else(|| self.product.version().to_owned());
            nodes.push(Node {
                id: rng.uuid(),
                ephemeral_id: rng.uuid(),
                name: format!("node-{}", position + 1),
                version,
                http: format!("127.0.0.1:{port}"),
                port,
                is_up: true,
                heap_max_bytes: self.heap_bytes,
                disk_total_bytes: self.disk_bytes.0,
                disk_free_bytes: self.disk_bytes.1,
            });
            listeners.push(listener);
        }
        let state = State {
            product: self.product,
            cluster_name: self.cluster_name,
            cluster_uuid,
            state_uuid: rng.uuid(),
            version: 1,
            nodes,
            indices: BTreeMap::new(),
            templates: Templates::default(),
            persistent: Flat::new(),
            transient: Flat::new(),
            repositories: BTreeMap::new(),
            stores: BTreeMap::new(),
            tasks: BTreeMap::new(),
            next_task: 100,
            pits: BTreeMap::new(),
            scrolls: BTreeMap::new(),
            deprecations: self.deprecations,
            clock: Clock::new(CLOCK_START_MS, self.tick_ms),
            rng,
            next_home: 0,
            task_docs_per_request: self.task_docs_per_request,
            snapshot_requests: self.snapshot_requests,
            path_repo: self.path_repo,
        };
        let (switches, receivers): (Vec<_>, Vec<_>) =
            listeners.iter().map(|_| watch::channel(true)).unzip();
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner {
                state,
                faults: Vec::new(),
                records: Vec::new(),
                next_record: 1,
                late: Vec::new(),
                credentials: self.credentials,
            }),
            switches,
        });
        let mut listening = Vec::new();
        for (position, (listener, up)) in listeners.into_iter().zip(receivers).enumerate() {
            let (report, state) = watch::channel(true);
            listening.push(state);
            tokio::spawn(server::run_node(
                Arc::clone(&shared),
                position,
                listener,
                up,
                report,
            ));
        }
        Ok(SimCluster { shared, listening })
    }
}

/// Everything that the nodes share.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    switches: Vec<watch::Sender<bool>>,
}

struct Inner {
    state: State,
    faults: Vec<Fault>,
    records: Vec<Record>,
    next_record: u64,
    late: Vec<(u64, Request)>,
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
    fn lock(&self) -> MutexGuard<'_, Inner> {
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

    fn take_down(&self, inner: &mut Inner, node: usize) {
        if let Some(entry) = inner.state.nodes.get_mut(node) {
            entry.is_up = false;
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

    fn lose_tasks(&mut self) {
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
    fn set_disk(&mut self, node: usize, total: u64, free: u64) {
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
                if worst >= flood {
                    index.settings.insert(key.to_owned(), json!("true"));
                } else if worst < high {
                    index.settings.remove(key);
                }
            }
        }
    }
}

/// The state of a cluster at one moment, to go back to.
#[derive(Debug, Clone)]
pub struct SavedState(State);

/// A running simulated cluster. It stops when the last handle is dropped.
pub struct SimCluster {
    shared: Arc<Shared>,
    listening: Vec<watch::Receiver<bool>>,
}

impl std::fmt::Debug for SimCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimCluster")
            .field("urls", &self.urls())
            .finish_non_exhaustive()
    }
}

impl SimCluster {
    /// A cluster of one node of `product`, to be changed and started.
    pub fn builder(product: Product) -> SimBuilder {
        SimBuilder {
            product,
            nodes: 1,
            seed: 0,
            cluster_name: "sim".to_owned(),
            versions: BTreeMap::new(),
            task_docs_per_request: TASK_DOCS_PER_REQUEST,
            snapshot_requests: SNAPSHOT_REQUESTS,
            tick_ms: CLOCK_TICK_MS,
            heap_bytes: HEAP_BYTES_DEFAULT,
            disk_bytes: DISK_BYTES_DEFAULT,
            deprecations: None,
            credentials: None,
            path_repo: vec!["/snapshots".to_owned()],
        }
    }

    /// Address of every node, `http://127.0.0.1:port`, in the order of the nodes.
    pub fn urls(&self) -> Vec<String> {
        self.shared
            .lock()
            .state
            .nodes
            .iter()
            .map(|n| format!("http://{}", n.http))
            .collect()
    }

    /// Address of the first node.
    pub fn url(&self) -> String {
        self.urls().into_iter().next().unwrap_or_default()
    }

    /// The product it imitates.
    pub fn product(&self) -> Product {
        self.shared.lock().state.product
    }

    /// The cluster's own uuid.
    pub fn identity_uuid(&self) -> String {
        self.shared.lock().state.cluster_uuid.clone()
    }

    /// Every request that reached it, oldest first.
    pub fn records(&self) -> Vec<Record> {
        self.shared.lock().records.clone()
    }

    /// Forgets the records so far.
    pub fn clear_records(&self) {
        self.shared.lock().records.clear();
    }

    /// Adds a fault. Requests are counted from now on.
    pub fn fault(&self, fault: Fault) {
        self.shared.lock().faults.push(fault);
    }

    /// Takes all faults away; late deliveries that wait stay waiting.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// Number of requests whose effect is still to come.
    pub fn late_count(&self) -> usize {
        self.shared.lock().late.len()
    }

    /// Lets every request that waits have its effect now, in order; answers how many there were.
    pub fn release_late(&self) -> usize {
        let numbers: Vec<u64> = self.shared.lock().late.iter().map(|(n, _)| *n).collect();
        for number in &numbers {
            self.shared.deliver(*number);
        }
        numbers.len()
    }

    /// Runs a request inside the cluster: no network, no faults, no record. For fixtures and checks.
    ///
    /// The body is JSON text, or lines of it for `_bulk`; empty for none.
    pub fn call(&self, method: &str, path_and_query: &str, body: &str) -> (u16, Value) {
        let (path, query) = path_and_query
            .split_once('?')
            .unwrap_or((path_and_query, ""));
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
        let mut request = Request::new(
            0,
            method,
            path,
            query,
            Bytes::copy_from_slice(body.as_bytes()),
        );
        request.content_type = Some("application/json".to_owned());
        let mut inner = self.shared.lock();
        inner.state.tick();
        let reply = match router::handle(&mut inner.state, &request, false) {
            Ok(reply) => reply,
            Err(error) => Reply::json(error.status, error.body()),
        };
        match reply.body {
            Body::Json(value) => (reply.status, value),
            Body::Text(text) => (reply.status, Value::String(text)),
        }
    }

    /// The cluster's time, in milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.shared.lock().state.now_ms()
    }

    /// Moves the clock, with what happens by itself in that time: refreshes, one step of tasks and snapshots.
    pub fn advance_ms(&self, ms: i64) {
        let mut inner = self.shared.lock();
        inner.state.clock.advance(ms);
        inner.state.background();
    }

    /// Sets the clock, without anything happening.
    pub fn set_clock_ms(&self, ms: i64) {
        self.shared.lock().state.clock.set(ms);
    }

    /// Lets every running task move this many documents now.
    pub fn step_tasks(&self, docs: usize) {
        crate::task::advance(&mut self.shared.lock().state, docs);
    }

    /// Ends running tasks without a record and removes the records so far, as a crash of their node can.
    pub fn lose_tasks(&self) {
        self.shared.lock().lose_tasks();
    }

    /// Changes a node's disk; past the flood stage its indices are blocked, below the high mark freed.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn set_disk(&self, node: usize, total_bytes: u64, free_bytes: u64) -> Result<(), SimError> {
        self.known(node)?;
        self.shared.lock().set_disk(node, total_bytes, free_bytes);
        Ok(())
    }

    /// Changes a node's heap.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn set_heap(&self, node: usize, bytes: u64) -> Result<(), SimError> {
        self.known(node)?;
        self.shared.lock().state.nodes[node].heap_max_bytes = bytes;
        Ok(())
    }

    /// Sets or removes the answer of the deprecation API.
    pub fn set_deprecations(&self, answer: Option<Value>) {
        self.shared.lock().state.deprecations = answer;
    }

    fn known(&self, node: usize) -> Result<(), SimError> {
        let count = self.shared.switches.len();
        if node < count {
            Ok(())
        } else {
            Err(SimError::NoSuchNode { node, count })
        }
    }

    /// Stops a node: its port closes and its tasks die. The rest goes on if a majority is left.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn stop_node(&self, node: usize) -> Result<(), SimError> {
        self.known(node)?;
        {
            let mut inner = self.shared.lock();
            self.shared.take_down(&mut inner, node);
        }
        self.wait_listening(node, false).await
    }

    /// Starts a stopped node again on its old port.
    ///
    /// # Errors
    /// When there is no such node, or its port has been taken meanwhile.
    pub async fn start_node(&self, node: usize) -> Result<(), SimError> {
        self.known(node)?;
        self.shared.switches[node].send_replace(true);
        self.wait_listening(node, true).await?;
        let mut inner = self.shared.lock();
        inner.state.nodes[node].is_up = true;
        inner.state.nodes[node].ephemeral_id = inner.state.rng.uuid();
        inner.state.changed();
        Ok(())
    }

    async fn wait_listening(&self, node: usize, wanted: bool) -> Result<(), SimError> {
        let mut state = self.listening[node].clone();
        let waited =
            tokio::time::timeout(LISTEN_DEADLINE, state.wait_for(|now| *now == wanted)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            _ => Err(SimError::NotBack {
                node,
                port: self.shared.lock().state.nodes[node].port,
            }),
        }
    }

    /// Keeps the whole state, to go back to with [`SimCluster::restore_state`].
    pub fn snapshot_state(&self) -> SavedState {
        SavedState(self.shared.lock().state.clone())
    }

    /// Puts a kept state back, clock and identity included: the target has been rewound.
    ///
    /// Which nodes are up does not change, and neither do faults, records and late deliveries.
    pub fn restore_state(&self, saved: &SavedState) {
        let mut inner = self.shared.lock();
        let mut state = saved.0.clone();
        for (node, now) in state.nodes.iter_mut().zip(&inner.state.nodes) {
            node.is_up = now.is_up;
        }
        inner.state = state;
    }

    /// What an upgrade is about, without what differs from run to run.
    ///
    /// Left out are uuids, times, versions and sequence numbers of documents; of finished task
    /// records only their number is there. Two runs with the same end are equal text.
    pub fn state_json(&self) -> Value {
        dump(&self.shared.lock().state, false)
    }

    /// The whole state, uuids and sequence numbers included.
    pub fn full_state_json(&self) -> Value {
        dump(&self.shared.lock().state, true)
    }
}

impl Drop for SimCluster {
    fn drop(&mut self) {
        for switch in &self.shared.switches {
            switch.send_replace(false);
        }
    }
}

fn dump(state: &State, full: bool) -> Value {
    let mut indices = Map::new();
    for index in state.indices.values() {
        let mut docs = Map::new();
        for (id, doc) in index.live() {
            let entry = if full {
                json!({"_source": *doc.source, "_version": doc.version, "_seq_no": doc.seq_no})
            } else {
                (*doc.source).clone()
            };
            docs.insert(id, entry);
        }
        let mut entry = json!({
            "settings": settings::nest(&index.settings),
            "mappings": index.mapping,
            "aliases": index.aliases_json(),
            "is_open": index.is_open,
            "created_version": index.created_version,
        });
        if index.name == TASKS_INDEX && !full {
            entry["doc_count"] = json!(docs.len());
        } else {
            entry["docs"] = Value::Object(docs);
        }
        if full {
            entry["uuid"] = json!(index.uuid);
            entry["creation_date"] = json!(index.created_ms);
            entry["max_seq_no"] = json!(index.max_seq_no());
        }
        indices.insert(index.name.clone(), entry);
    }
    let repositories: Map<String, Value> = state
        .repositories
        .iter()
        .map(|(name, repository)| {
            let snapshots: Vec<Value> = state
                .stores
                .get(&repository.location)
                .into_iter()
                .flat_map(|s| &s.snapshots)
                .map(|s| if full { s.to_json(state.product, name) } else { json!({"snapshot": s.name, "indices": s.indices().collect::<Vec<_>>()}) })
                .collect();
            (name.clone(), json!({"type": repository.kind, "settings": repository.settings, "snapshots": snapshots}))
        })
        .collect();
    let mut out = json!({
        "cluster_uuid": state.cluster_uuid,
        "indices": indices,
        "templates": {
            "legacy": state.templates.legacy,
            "composable": state.templates.composable,
            "component": state.templates.component,
        },
        "cluster_settings": {"persistent": settings::nest(&state.persistent), "transient": settings::nest(&state.transient)},
        "repositories": repositories,
        "running_tasks": state.tasks.len(),
        "open_points_in_time": state.pits.len(),
    });
    if full {
        out["now_ms"] = json!(state.now_ms());
        out["state_version"] = json!(state.version);
    }
    out
}
