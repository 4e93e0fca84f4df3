//! The nodes of the cluster and Kuzzle as services, and what clients had of them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use async_trait::async_trait;
use liftlock_testkit::SimCluster;
use serde_json::Value;
use serde_json::json;

use super::ways::FROM;
use crate::rolling::node::Machine;
use crate::rolling::node::Node;

/// Kuzzle's service, by its binding without the capability.
pub const KUZZLE: &str = "kuzzle";

/// What Kuzzle is, before and after.
pub const KUZZLE_VERSION: &str = "2.56.0";

/// The file that says which Elasticsearch Kuzzle is told of.
pub const CONFIGURATION: &str = ".kuzzlerc";

/// An index of somebody who has nothing to do with Kuzzle, and writes all the time.
pub const NEIGHBOUR: &str = "other-logs";

/// Everything of them that outlives a process of ours.
#[derive(Debug, Clone, Default)]
pub struct State {
    services: BTreeMap<String, Node>,
    /// Of each service how often it was stopped and started.
    restarts: BTreeMap<String, (u32, u32)>,
    /// What the running Kuzzle has read in its configuration; none: it does not run.
    told: Option<Told>,
    /// Ids of documents whose write somebody else was told of.
    written: BTreeSet<String>,
    /// What nobody could use at one moment.
    outages: Vec<String>,
    asked: usize,
    is_api_away: bool,
}

/// The machines of a site. Clones are the same.
#[derive(Clone)]
pub struct Machines {
    state: Arc<Mutex<State>>,
    sim: Arc<SimCluster>,
    files: PathBuf,
}

/// What a configuration tells Kuzzle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Of which major version its storage is.
    pub mode: String,
    /// Where its storage is.
    pub node: String,
}

impl Told {
    fn of(text: &str) -> Option<Self> {
        let value = |key: &str| {
            let (_, rest) = text.split_once(&format!("\"{key}\": \""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        Some(Self {
            mode: value("majorVersion")?,
            node: value("node")?,
        })
    }
}

impl Machines {
    /// All run. `nodes`: how many nodes of the cluster are services too; `files`: the folder with Kuzzle's configuration.
    pub fn new(sim: Arc<SimCluster>, nodes: usize, files: PathBuf) -> Self {
        let mut state = State::default();
        for at in 1..=nodes {
            let name = format!("node-{at}");
            state.services.insert(name, Node::running(FROM));
        }
        let kuzzle = Node::running(KUZZLE_VERSION);
        state.services.insert(KUZZLE.into(), kuzzle);
        let machines = Self {
            state: Arc::new(Mutex::new(state)),
            sim,
            files,
        };
        machines.held().told = Told::of(&machines.configuration());
        machines
    }

    fn held(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it, to be put back.
    pub fn save(&self) -> State {
        self.held().clone()
    }

    /// Puts all of it back; the cluster is put back by itself.
    pub fn restore(&self, state: &State) {
        *self.held() = state.clone();
    }

    /// Kuzzle's configuration; empty: it is not there.
    pub fn configuration(&self) -> String {
        std::fs::read_to_string(self.files.join(CONFIGURATION)).unwrap_or_default()
    }

    /// Writes it anew.
    pub fn configure(&self, text: &str) -> std::io::Result<()> {
        std::fs::write(self.files.join(CONFIGURATION), text)
    }

    /// The folder that it lies in.
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// What the running Kuzzle has read in it; none: it does not run.
    pub fn told(&self) -> Option<Told> {
        self.held().told.clone()
    }

    /// Names of all services.
    pub fn names(&self) -> Vec<String> {
        self.held().services.keys().cloned().collect()
    }

    /// Services, how often each was stopped and started, and what the running Kuzzle has read.
    pub fn seen(&self) -> Value {
        let state = self.held();
        let of = |what: fn(&Node) -> Value| -> BTreeMap<&String, Value> {
            let services = state.services.iter();
            services.map(|(name, node)| (name, what(node))).collect()
        };
        json!({
            "running": of(|node| json!(node.runs().is_some())),
            "versions": of(|node| json!({"runs": node.runs(), "artifact": node.artifact})),
            "restarts": state.restarts,
            "told": state.told.as_ref().map(|told| [&told.mode, &told.node]),
        })
    }

    /// What nobody could use at one moment.
    pub fn outages(&self) -> Vec<String> {
        self.held().outages.clone()
    }

    /// Documents that somebody else was told are written, and that are not there.
    pub fn missing(&self) -> Vec<String> {
        let written = self.held().written.clone();
        let is_gone = |id: &String| {
            let path = format!("/{NEIGHBOUR}/_doc/{id}");
            self.sim.call("GET", &path, "").0 != 200
        };
        written.into_iter().filter(is_gone).collect()
    }

    /// How often a service was looked at or asked.
    pub fn asked(&self) -> usize {
        self.held().asked
    }

    /// Nobody answers for Kuzzle, or somebody does.
    pub fn api_away(&self, is_away: bool) {
        self.held().is_api_away = is_away;
    }

    /// Notes one question; true: Kuzzle answers it.
    pub fn ask_kuzzle(&self) -> bool {
        let mut state = self.held();
        state.asked += 1;
        let is_away = state.is_api_away;
        let kuzzle = state.services.get_mut(KUZZLE);
        kuzzle.is_some_and(|node| node.look().is_ready()) && !is_away
    }

    /// One of them.
    pub fn of(&self, name: &str) -> Service {
        Service {
            machines: self.clone(),
            name: name.to_owned(),
        }
    }

    /// Somebody else writes while something happens to the nodes; and nothing may be away.
    fn clients_go_on(&self, what: &str) {
        let (_, health) = self.sim.call("GET", "/_cluster/health", "");
        if health["status"] != "green" && health["status"] != "yellow" {
            let line = format!("{what}: the cluster is {}", health["status"]);
            self.held().outages.push(line);
        }
        let id = what.replace(' ', "-");
        let path = format!("/{NEIGHBOUR}/_doc/{id}?refresh=true");
        let (status, _) = self.sim.call("PUT", &path, r#"{"line":"written"}"#);
        if status < 300 {
            self.held().written.insert(id);
        }
    }
}

/// One service.
#[derive(Clone)]
pub struct Service {
    machines: Machines,
    name: String,
}

impl Service {
    /// Its place in the cluster; none: it is no node.
    fn position(&self) -> Option<usize> {
        let number: usize = self.name.strip_prefix("node-")?.parse().ok()?;
        number.checked_sub(1)
    }

    /// What it runs now; none: it is stopped.
    pub fn runs(&self) -> Option<String> {
        let state = self.machines.held();
        let node = state.services.get(&self.name)?;
        node.runs().map(str::to_owned)
    }
}

#[async_trait]
impl Machine for Service {
    fn look(&self) -> Option<Node> {
        let mut state = self.machines.held();
        state.asked += 1;
        Some(state.services.get_mut(&self.name)?.look().clone())
    }

    fn labels(&self) -> Value {
        match self.position() {
            Some(_) => json!([["node", self.name]]),
            None => json!([]),
        }
    }

    async fn stop(&self) {
        {
            let mut state = self.machines.held();
            let node = state.services.get_mut(&self.name);
            if !node.is_some_and(Node::stop) {
                return;
            }
            let restarts = state.restarts.entry(self.name.clone()).or_default();
            restarts.0 += 1;
            if self.position().is_none() {
                state.told = None;
            }
        }
        if let Some(at) = self.position() {
            // Only a node that is not there cannot be stopped.
            let _ = self.machines.sim.stop_node(at).await;
            self.machines
                .clients_go_on(&format!("{} stopped", self.name));
        }
    }

    async fn start(&self, token: &str) {
        let artifact = {
            let mut state = self.machines.held();
            let Some(node) = state.services.get_mut(&self.name) else {
                return;
            };
            if !node.start(token) {
                return;
            }
            let artifact = node.artifact.clone();
            let restarts = state.restarts.entry(self.name.clone()).or_default();
            restarts.1 += 1;
            if self.position().is_none() {
                state.told = Told::of(&self.machines.configuration());
            }
            artifact
        };
        let Some(at) = self.position() else { return };
        match self.machines.sim.start_node_as(at, &artifact).await {
            Ok(()) => self
                .machines
                .clients_go_on(&format!("{} started", self.name)),
            Err(error) => {
                let mut state = self.machines.held();
                state.outages.push(error.to_string());
                state.services.get_mut(&self.name).map(Node::stop);
            }
        }
    }

    fn switch(&self, to: &str) {
        let mut state = self.machines.held();
        if let Some(node) = state.services.get_mut(&self.name) {
            to.clone_into(&mut node.artifact);
        }
    }
}
