//! Nodes and the servers before them: what they are in, and what clients had of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use async_trait::async_trait;
use liftlock_types::facts::traffic::Administrative;
use serde_json::Value;
use serde_json::json;

use super::balancer::BACKEND;
use crate::rolling::node::Machine;
use crate::rolling::node::Node;

/// Requests that a server works on when it is drained. They end one by one, as somebody looks.
const OPEN_REQUESTS: u32 = 2;

/// One server of the balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// What was asked for.
    pub administrative: Administrative,
    /// Its share.
    pub weight: u32,
    /// Requests that it works on.
    pub current: u32,
    /// Requests that it ever got.
    pub total: u64,
}

/// Everything that outlives a process of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    nodes: BTreeMap<String, Node>,
    servers: BTreeMap<String, Server>,
    least_serving: usize,
    cut: u32,
    commands: usize,
    is_balancer_away: bool,
    is_rest_away: bool,
}

/// The machines of a site. Clones are the same.
#[derive(Debug, Clone)]
pub struct Machines(Arc<Mutex<State>>);

impl State {
    fn is_ready(&self, name: &str) -> bool {
        self.nodes.get(name).is_some_and(Node::is_ready)
    }

    fn is_serving(&self, name: &str) -> bool {
        let server = self.servers.get(name);
        self.is_ready(name)
            && server.is_some_and(|server| {
                server.administrative == Administrative::Ready && server.weight > 0
            })
    }

    fn count(&mut self) {
        let serving = self.servers.keys().filter(|name| self.is_serving(name));
        self.least_serving = self.least_serving.min(serving.count());
    }
}

impl Machines {
    /// Nodes that run this version and serve.
    pub fn new(names: &[String], version: &str) -> Self {
        let nodes = names
            .iter()
            .map(|name| (name.clone(), Node::running(version)));
        let servers = names.iter().map(|name| {
            let server = Server {
                administrative: Administrative::Ready,
                weight: 1,
                current: OPEN_REQUESTS,
                total: 10,
            };
            (name.clone(), server)
        });
        Self(Arc::new(Mutex::new(State {
            nodes: nodes.collect(),
            servers: servers.collect(),
            least_serving: names.len(),
            cut: 0,
            commands: 0,
            is_balancer_away: false,
            is_rest_away: false,
        })))
    }

    fn held(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.held();
        let answer = change(&mut state);
        state.count();
        answer
    }

    /// All of it, to be put back.
    pub fn save(&self) -> State {
        self.held().clone()
    }

    /// Puts all of it back.
    pub fn restore(&self, state: &State) {
        *self.held() = state.clone();
    }

    /// States and versions, without what is counted.
    pub fn seen(&self) -> Value {
        let state = self.held();
        let nodes: BTreeMap<&String, Value> = state
            .nodes
            .iter()
            .map(|(name, node)| {
                let version = node.runs();
                (name, json!({"runs": version, "artifact": node.artifact}))
            })
            .collect();
        let servers: BTreeMap<&String, Value> = state
            .servers
            .iter()
            .map(|(name, server)| {
                let word = server.administrative.as_str();
                (name, json!({"state": word, "weight": server.weight}))
            })
            .collect();
        json!({"nodes": nodes, "servers": servers})
    }

    /// The fewest servers that ever served.
    pub fn least_serving(&self) -> usize {
        self.held().least_serving
    }

    /// Requests that were cut when a node was stopped.
    pub fn cut(&self) -> u32 {
        self.held().cut
    }

    /// How often the balancer or a node was asked.
    pub fn asked(&self) -> usize {
        self.held().commands
    }

    /// Notes one question; false: there is nobody who answers it.
    pub fn ask_balancer(&self) -> bool {
        let mut state = self.held();
        state.commands += 1;
        !state.is_balancer_away
    }

    /// Notes one question; the version that answers, none: nobody does.
    pub fn ask_node(&self, name: &str) -> Option<String> {
        self.change(|state| {
            state.commands += 1;
            if state.is_rest_away {
                return None;
            }
            state.nodes.get_mut(name)?.look().answers()
        })
    }

    /// Nobody answers for the balancer, or for the nodes' REST interfaces.
    pub fn away(&self, balancer: bool, rest: bool) {
        let mut state = self.held();
        state.is_balancer_away = balancer;
        state.is_rest_away = rest;
    }

    /// One node as it is; a node that starts gets on with it.
    pub fn look_at(&self, name: &str) -> Option<Node> {
        self.change(|state| Some(state.nodes.get_mut(name)?.look().clone()))
    }

    /// Is that process ready?
    pub fn is_ready(&self, name: &str) -> bool {
        self.held().is_ready(name)
    }

    /// Ends its process, and cuts what it works on.
    pub fn stop(&self, name: &str) {
        self.change(|state| {
            let was_running = state.nodes.get_mut(name).is_some_and(Node::stop);
            if let (true, Some(server)) = (was_running, state.servers.get_mut(name)) {
                state.cut += std::mem::take(&mut server.current);
            }
        });
    }

    /// Starts what its artifact is; nothing happens when it runs.
    pub fn start(&self, name: &str, token: &str) {
        self.change(|state| {
            if let Some(node) = state.nodes.get_mut(name) {
                node.start(token);
            }
        });
    }

    /// Lets it run another artifact when it is started next.
    pub fn switch(&self, name: &str, to: &str) {
        self.change(|state| {
            if let Some(node) = state.nodes.get_mut(name) {
                to.clone_into(&mut node.artifact);
            }
        });
    }

    /// Sets a server's administrative state; false: there is none of that name.
    pub fn set_state(&self, name: &str, to: Administrative) -> bool {
        self.change(|state| {
            let Some(server) = state.servers.get_mut(name) else {
                return false;
            };
            server.administrative = to;
            if to == Administrative::Ready {
                server.current = OPEN_REQUESTS;
            }
            true
        })
    }

    /// Sets a server's weight; false: there is none of that name.
    pub fn set_weight(&self, name: &str, weight: u32) -> bool {
        self.change(|state| {
            let server = state.servers.get_mut(name);
            server.map(|server| server.weight = weight).is_some()
        })
    }

    /// Every server, with whether its node answers; clients go on meanwhile.
    pub fn servers(&self) -> Vec<(String, Server, bool)> {
        self.change(|state| {
            let names: Vec<String> = state.servers.keys().cloned().collect();
            let mut seen = Vec::new();
            for name in names {
                let (serves, up) = (state.is_serving(&name), state.is_ready(&name));
                if let Some(server) = state.servers.get_mut(&name) {
                    if serves {
                        server.total += 1;
                    } else {
                        server.current = server.current.saturating_sub(1);
                    }
                    seen.push((name, *server, up));
                }
            }
            seen
        })
    }
}

/// One of these nodes.
pub struct EngineNode {
    /// Where it is.
    pub machines: Machines,
    /// Its name.
    pub name: String,
}

#[async_trait]
impl Machine for EngineNode {
    fn look(&self) -> Option<Node> {
        self.machines.look_at(&self.name)
    }

    fn labels(&self) -> Value {
        json!([
            ["endpoint", format!("endpoint.{}", self.name)],
            ["jobs", "yes"],
            ["pool", "rest"],
            ["server", format!("{BACKEND}/{}", self.name)],
        ])
    }

    async fn stop(&self) {
        self.machines.stop(&self.name);
    }

    async fn start(&self, token: &str) {
        self.machines.start(&self.name, token);
    }

    fn switch(&self, to: &str) {
        self.machines.switch(&self.name, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Machines {
        Machines::new(&["n1".into(), "n2".into()], "7.21.0")
    }

    #[test]
    fn a_drained_server_takes_its_time_and_a_stop_in_between_cuts() {
        let machines = two();
        assert!(machines.set_state("n1", Administrative::Drain));
        let open = |machines: &Machines| machines.servers()[0].1.current;
        assert_eq!([open(&machines), open(&machines)], [1, 0]);
        machines.stop("n1");
        assert_eq!(machines.cut(), 0);
        machines.set_state("n2", Administrative::Drain);
        machines.stop("n2");
        assert_eq!(machines.cut(), OPEN_REQUESTS);
        assert_eq!(machines.least_serving(), 0);
    }

    #[test]
    fn a_node_runs_what_its_artifact_was_when_it_was_started() {
        let machines = two();
        machines.switch("n1", "7.22.0");
        assert_eq!(machines.ask_node("n1").unwrap(), "7.21.0");
        machines.stop("n1");
        assert_eq!(machines.ask_node("n1"), None);
        machines.start("n1", "t");
        assert!(!machines.is_ready("n1"));
        assert_eq!(machines.ask_node("n1"), None);
        assert_eq!(machines.ask_node("n1").unwrap(), "7.22.0");
        assert_eq!(machines.least_serving(), 1);
    }
}
