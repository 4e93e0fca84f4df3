//! What a simulated cluster is made of, and how it starts.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock::{CLOCK_START_MS, CLOCK_TICK_MS, Clock, Rng};
use crate::folders::Folders;
use crate::product::Product;
use crate::server;
use crate::settings::Flat;
use crate::shared::Shared;
use crate::sim::SimCluster;
use crate::state::{Node, State, Templates};

/// Heap of a node unless the builder was told otherwise: 1 GiB, what an upgrade check asks for.
pub const HEAP_BYTES_DEFAULT: u64 = 1 << 30;

/// Disk of a node unless the builder was told otherwise: 100 GiB, of which 60 are free.
pub const DISK_BYTES_DEFAULT: (u64, u64) = (100 << 30, 60 << 30);

/// Documents that a server task moves per request that reaches the cluster: one batch of the servers.
pub const TASK_DOCS_PER_REQUEST: usize = 1_000;

/// Requests for which a snapshot stays `IN_PROGRESS`: long enough to be seen, short enough to wait for.
pub const SNAPSHOT_REQUESTS: u32 = 2;

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
    /// A node that is too old for its data, or for the nodes that it would join.
    #[error("node {node} cannot start as {version}: {why}")]
    TooOld {
        /// The node's position.
        node: usize,
        /// The version that it was to have.
        version: String,
        /// What the server says.
        why: String,
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
    node_settings: Flat,
    folders: Folders,
}

impl SimBuilder {
    /// One node of `product`, as servers come out of the box.
    pub(crate) fn new(product: Product) -> Self {
        Self {
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
            node_settings: Flat::new(),
            folders: Folders::default(),
        }
    }

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

    /// The folders of another cluster's repositories, as if both stood on one shared file system: what either takes the
    /// other finds once it is finished.
    #[must_use]
    pub fn folders_of(mut self, other: &SimCluster) -> Self {
        self.folders = other.shared.lock().state.folders.clone();
        self
    }

    /// A setting that every node was started with, as its list of settings shows it.
    #[must_use]
    pub fn node_setting(mut self, key: &str, value: &str) -> Self {
        self.node_settings.insert(key.to_owned(), value.into());
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
                data_version: version.clone(),
                version,
                http: format!("127.0.0.1:{port}"),
                port,
                is_up: true,
                left_ms: CLOCK_START_MS,
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
            elected: 0,
            allocated_ms: CLOCK_START_MS,
            indices: BTreeMap::new(),
            templates: Templates::default(),
            pipelines: BTreeMap::new(),
            persistent: Flat::new(),
            transient: Flat::new(),
            repositories: BTreeMap::new(),
            folders: self.folders,
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
            node_settings: self.node_settings,
        };
        let (switches, receivers): (Vec<_>, Vec<_>) =
            listeners.iter().map(|_| watch::channel(true)).unzip();
        let shared = Arc::new(Shared::new(state, self.credentials, switches));
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
