//! The simulated cluster as a test holds it: look, break, rewind, compare.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::Value;
use tokio::sync::watch;

use crate::builder::{SimBuilder, SimError};
use crate::dump::dump;
use crate::fault::Fault;
use crate::http::{Body, Reply, Request};
use crate::product::Product;
use crate::record::Record;
use crate::router;
use crate::settings::ARCHIVED_PREFIX;
use crate::shared::Shared;
use crate::snapshot::Store;
use crate::state::State;

/// How long a node may take to listen again on its old port.
const LISTEN_DEADLINE: Duration = Duration::from_secs(10);

/// The state of a cluster at one moment, to go back to.
#[derive(Debug, Clone)]
pub struct SavedState {
    state: State,
    /// What lay in the repositories.
    stores: BTreeMap<String, Store>,
}

/// A running simulated cluster. It stops when the last handle is dropped.
pub struct SimCluster {
    pub(crate) shared: Arc<Shared>,
    pub(crate) listening: Vec<watch::Receiver<bool>>,
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
        SimBuilder::new(product)
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

    /// Puts a setting of the cluster aside, as a server does at its start with one that it does not know: it is shown as
    /// `archived.KEY`, and no request can set it.
    pub fn archive_cluster_setting(&self, transient: bool, key: &str, value: &str) {
        let mut inner = self.shared.lock();
        let held = if transient {
            &mut inner.state.transient
        } else {
            &mut inner.state.persistent
        };
        held.insert(format!("{ARCHIVED_PREFIX}{key}"), value.into());
        inner.state.changed();
    }

    /// Puts a setting of an index aside likewise; false: there is no such index.
    pub fn archive_index_setting(&self, index: &str, key: &str, value: &str) -> bool {
        let mut inner = self.shared.lock();
        let Ok(found) = inner.state.index_mut(index) else {
            return false;
        };
        found.change_settings(|settings| {
            settings.insert(format!("{ARCHIVED_PREFIX}{key}"), value.into());
        });
        inner.state.changed();
        true
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

    /// Starts a stopped node with another release; of one that is up nothing changes.
    ///
    /// # Errors
    /// As [`SimCluster::start_node`], and when the release is older than one that ran on the node's data before, or than
    /// every node of the cluster that it would join.
    pub async fn start_node_as(&self, node: usize, version: &str) -> Result<(), SimError> {
        self.known(node)?;
        {
            let mut inner = self.shared.lock();
            if inner.state.nodes[node].is_up {
                return Ok(());
            }
            if let Some(why) = inner.state.why_too_old(node, version) {
                return Err(SimError::TooOld {
                    node,
                    version: version.to_owned(),
                    why,
                });
            }
            let entry = &mut inner.state.nodes[node];
            version.clone_into(&mut entry.version);
            version.clone_into(&mut entry.data_version);
        }
        self.start_node(node).await
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
        let state = self.shared.lock().state.clone();
        let stores = state.folders.held().clone();
        SavedState { state, stores }
    }

    /// Puts a kept state back, clock and identity included: the target has been rewound, and the folders of its
    /// repositories with it, for whoever shares them too.
    ///
    /// Which nodes are up does not change, and neither do faults, records and late deliveries.
    pub fn restore_state(&self, saved: &SavedState) {
        let mut inner = self.shared.lock();
        let mut state = saved.state.clone();
        state.folders = inner.state.folders.clone();
        state.folders.held().clone_from(&saved.stores);
        for (node, now) in state.nodes.iter_mut().zip(&inner.state.nodes) {
            node.is_up = now.is_up;
        }
        state.allocate();
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
