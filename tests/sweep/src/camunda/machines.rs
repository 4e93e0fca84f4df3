//! Nodes and the servers before them: what they are in, and what clients had of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use liftlock_types::facts::traffic::Administrative;
use serde_json::Value;
use serde_json::json;

/// Requests that a server works on when it is drained. They end one by one, as somebody looks.
const OPEN_REQUESTS: u32 = 2;

/// Looks at a node until it has started.
const STARTS_FOR: u32 = 2;

/// A running engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Of what was its artifact when it was started.
    pub version: String,
    /// Whose start it was; nothing: not a run's.
    pub token: String,
    /// Looks until it is ready.
    starting: u32,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it runs; none: it is stopped.
    pub process: Option<Process>,
    /// What it would run if it were started.
    pub artifact: String,
}

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
        let process = self.nodes.get(name).and_then(|node| node.process.as_ref());
        process.is_some_and(|process| process.starting == 0)
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
        let nodes = names.iter().map(|name| {
            let process = Process {
                version: version.to_owned(),
                token: String::new(),
                starting: 0,
            };
            let node = Node {
                process: Some(process),
                artifact: version.to_owned(),
            };
            (name.clone(), node)
        });
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
                let version = node.process.as_ref().map(|process| &process.version);
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

    /// Counts anew: what was before was somebody else's doing.
    pub fn forget_least(&self) {
        self.change(|state| state.least_serving = state.servers.len());
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

    /// Notes one question; the process that answers, none: nobody does.
    pub fn ask_node(&self, name: &str) -> Option<Process> {
        self.change(|state| {
            state.commands += 1;
            if state.is_rest_away {
                return None;
            }
            let process = state.nodes.get_mut(name)?.process.as_mut()?;
            process.starting = process.starting.saturating_sub(1);
            (process.starting == 0).then(|| process.clone())
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
        self.change(|state| {
            let node = state.nodes.get_mut(name)?;
            if let Some(process) = &mut node.process {
                process.starting = process.starting.saturating_sub(1);
            }
            Some(node.clone())
        })
    }

    /// Is that process ready?
    pub fn is_ready(&self, name: &str) -> bool {
        self.held().is_ready(name)
    }

    /// Ends its process, and cuts what it works on.
    pub fn stop(&self, name: &str) {
        self.change(|state| {
            let was_running = state
                .nodes
                .get_mut(name)
                .and_then(|node| node.process.take())
                .is_some();
            if let (true, Some(server)) = (was_running, state.servers.get_mut(name)) {
                state.cut += std::mem::take(&mut server.current);
            }
        });
    }

    /// Starts what its artifact is; nothing happens when it runs.
    pub fn start(&self, name: &str, token: &str) {
        self.change(|state| {
            if let Some(node) = state.nodes.get_mut(name)
                && node.process.is_none()
            {
                node.process = Some(Process {
                    version: node.artifact.clone(),
                    token: token.to_owned(),
                    starting: STARTS_FOR,
                });
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
        assert_eq!(machines.ask_node("n1").unwrap().version, "7.21.0");
        machines.stop("n1");
        assert_eq!(machines.ask_node("n1"), None);
        machines.start("n1", "t");
        assert!(!machines.is_ready("n1"));
        assert_eq!(machines.ask_node("n1"), None);
        assert_eq!(machines.ask_node("n1").unwrap().version, "7.22.0");
        assert_eq!(machines.least_serving(), 1);
    }
}
