//! The capability itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use liftlock_types::event::Borrowed;
use liftlock_types::facts::traffic::{Administrative, Server};
use liftlock_types::rules::Borrow;
use liftlock_types::{
    Acted, Attempt, BackendName, Binding, Capability, Change, Evaluated, Facts, Observed, Planned,
    Predicate, Probed, Read, ReadError, ServerName, TargetIdentity,
};
use serde_json::{Value, json};

use crate::answer::{not_ours, not_sent, refused};
use crate::conditions::{self, OldWorkers, find};
use crate::config::{BalancerKind, Mistake, TrafficConfig, TrafficError};
use crate::guard::objection;
use crate::haproxy::{Haproxy, Place};
use crate::nginx::Nginx;

/// Most servers of one answer: the contract's bound.
pub const SERVERS_MAX: usize = 10_000;

/// One balancer of the site.
pub struct Balancer {
    binding: Binding,
    at_least: u32,
    kind: Kind,
}

enum Kind {
    Haproxy(Haproxy),
    Nginx(Nginx),
}

impl std::fmt::Debug for Balancer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Balancer")
            .field("binding", &self.binding)
            .finish_non_exhaustive()
    }
}

/// What of a server a change sets.
enum Set<'a> {
    State(Administrative),
    Weight(&'a u32),
}

/// Backend, server and value of one of our changes.
fn parts(change: &Change) -> Result<(&BackendName, &ServerName, Set<'_>), ReadError> {
    match change {
        Change::SetServerState {
            backend,
            server,
            to,
        } => Ok((backend, server, Set::State(*to))),
        Change::SetServerWeight {
            backend,
            server,
            weight,
        } => Ok((backend, server, Set::Weight(weight))),
        _ => Err(not_ours(change)),
    }
}

impl Set<'_> {
    /// Distinguishes what is borrowed and what is rested on of one server.
    fn key(&self) -> &'static str {
        match self {
            Self::State(_) => "state",
            Self::Weight(_) => "weight",
        }
    }

    fn asked(&self) -> Value {
        match self {
            Self::State(to) => to.as_str().into(),
            Self::Weight(weight) => (**weight).into(),
        }
    }

    fn now(&self, server: &Server) -> Value {
        now(self.key(), server).unwrap_or_default()
    }
}

fn now(key: &str, server: &Server) -> Option<Value> {
    match key {
        "state" => Some(server.administrative.as_str().into()),
        "weight" => Some(server.weight.into()),
        _ => None,
    }
}

impl Balancer {
    /// Checks the definition; asks nothing yet. Relative paths are relative to `base`, the site file's directory.
    pub fn open(
        binding: Binding,
        config: &TrafficConfig,
        base: &Path,
    ) -> Result<Self, TrafficError> {
        config.check().map_err(TrafficError::Config)?;
        let mut config = config.clone();
        config.resolve(base);
        let missing = |key| {
            TrafficError::Config(Mistake {
                key,
                right: "it is needed".into(),
            })
        };
        let path = |path: Option<PathBuf>, key| path.ok_or_else(|| missing(key));
        let kind = match config.kind {
            BalancerKind::Haproxy => {
                let place = match (config.socket, config.address) {
                    (Some(socket), _) => Place::Socket(socket),
                    (None, address) => Place::Address(address.ok_or_else(|| missing("address"))?),
                };
                Kind::Haproxy(Haproxy::new(place))
            }
            BalancerKind::Nginx => Kind::Nginx(Nginx::new(
                path(config.include, "include")?,
                config.backend.ok_or_else(|| missing("backend"))?,
                path(config.pid_file, "pid-file")?,
                config.test,
                config.reload,
            )),
        };
        Ok(Self {
            binding,
            at_least: config.at_least,
            kind,
        })
    }

    async fn servers(&self, backend: &str) -> Result<Vec<Server>, ReadError> {
        // It becomes a word of a command, and came here as a text of a plan.
        match backend.strip_suffix('*') {
            Some("") => {}
            name => BackendName::check(name.unwrap_or(backend))
                .map_err(|error| ReadError::Invalid(error.to_string()))?,
        }
        let servers = match &self.kind {
            Kind::Haproxy(haproxy) => haproxy.servers(backend).await?,
            Kind::Nginx(nginx) => nginx.servers(backend).await?,
        };
        if servers.len() > SERVERS_MAX {
            return Err(ReadError::Invalid(format!(
                "{} servers, at most {SERVERS_MAX} are given; name one backend",
                servers.len()
            )));
        }
        Ok(servers)
    }

    /// The backend of a change that this balancer can make.
    fn backend_of<'a>(&self, change: &'a Change) -> Result<&'a str, ReadError> {
        let (backend, ..) = parts(change)?;
        if let Kind::Nginx(_) = &self.kind {
            Nginx::can(change)?;
        }
        Ok(backend.as_str())
    }

    async fn server(&self, backend: &str, name: &str) -> Result<Server, ReadError> {
        find(&self.servers(backend).await?, backend, name).cloned()
    }

    async fn old_workers(&self, predicate: &Predicate) -> Result<OldWorkers, ReadError> {
        match (&self.kind, predicate) {
            (Kind::Nginx(nginx), Predicate::ServerIdle { .. }) => {
                Ok(nginx.old_workers().await?.into())
            }
            _ => Ok(OldWorkers::Counted),
        }
    }
}

#[async_trait]
impl Capability for Balancer {
    async fn identity(&self) -> Result<TargetIdentity, ReadError> {
        match &self.kind {
            Kind::Haproxy(haproxy) => haproxy.identity().await,
            Kind::Nginx(nginx) => nginx.identity().await,
        }
    }

    async fn read(&self, read: &Read) -> Result<Value, ReadError> {
        let Read::TrafficServers { backend, server } = read else {
            return Err(ReadError::Invalid(format!(
                "`{}` is no read of a balancer",
                read.verb()
            )));
        };
        let servers = match server {
            None => self.servers(backend).await?,
            Some(name) => vec![self.server(backend, name).await?],
        };
        to_value(&servers)
    }

    async fn evaluate(
        &self,
        predicate: &Predicate,
        last: Option<&Value>,
    ) -> Result<Evaluated, ReadError> {
        let (Predicate::ServerIdle { backend, .. }
        | Predicate::ServerInState { backend, .. }
        | Predicate::ServerServing { backend, .. }
        | Predicate::ServingAtLeast { backend, .. }
        | Predicate::ServerReceives { backend, .. }) = predicate
        else {
            return Err(ReadError::Invalid("not a condition of a balancer".into()));
        };
        let workers = self.old_workers(predicate).await?;
        let servers = self.servers(backend).await?;
        conditions::evaluate(predicate, &servers, workers, last)
    }

    /// The server's address: another one under the same name is not the one that is meant.
    async fn facts(&self, change: &Change) -> Result<Facts, ReadError> {
        let backend = self.backend_of(change)?;
        facts_among(&self.servers(backend).await?, change)
    }

    /// Each backend is looked at once.
    async fn facts_of_each(&self, changes: &[&Change]) -> Result<Vec<Facts>, (usize, ReadError)> {
        let mut seen: BTreeMap<&str, Vec<Server>> = BTreeMap::new();
        let mut all = Vec::with_capacity(changes.len());
        for (place, change) in changes.iter().enumerate() {
            let here = |error| (place, error);
            let backend = self.backend_of(change).map_err(here)?;
            if !seen.contains_key(backend) {
                seen.insert(backend, self.servers(backend).await.map_err(here)?);
            }
            all.push(facts_among(&seen[backend], change).map_err(here)?);
        }
        Ok(all)
    }

    async fn observe(&self, change: &Change, _attempt: &Attempt) -> Result<Observed, ReadError> {
        let (backend, name, set) = parts(change)?;
        let server = self.server(backend.as_str(), name.as_str()).await?;
        let (old, ours) = (set.now(&server), set.asked());
        Ok(Observed {
            already_true: old == ours,
            evidence: to_value(&server)?,
            kept: json!({ "old": old }),
            borrowed: (old != ours).then(|| Borrowed {
                kind: Borrow::Protective,
                key: format!("{backend}/{name}/{}", set.key()),
                old,
                ours,
            }),
        })
    }

    /// Looks who else serves, then sends. Between the two another one can go down: no balancer takes a change only
    /// while others serve.
    async fn act(&self, change: &Change, _attempt: &Attempt) -> Acted {
        let looked = async {
            let (backend, name, _) = parts(change)?;
            let servers = self.servers(backend.as_str()).await?;
            let server = find(&servers, backend.as_str(), name.as_str())?;
            Ok(objection(change, &servers, server, self.at_least))
        };
        match looked.await {
            Err(error) => return not_sent(error),
            Ok(Some(why)) => return refused(409, "last-serving", why),
            Ok(None) => {}
        }
        match &self.kind {
            Kind::Haproxy(haproxy) => haproxy.change(change).await,
            Kind::Nginx(nginx) => nginx.change(change).await,
        }
    }

    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError> {
        let (backend, name, set) = parts(change)?;
        let server = match self.server(backend.as_str(), name.as_str()).await {
            Ok(server) => server,
            // It was there when the change was sent: somebody gave the balancer another configuration.
            Err(ReadError::NotFound(what)) => {
                return Ok(Probed::Indeterminate(json!({ "not_found": what })));
            }
            Err(error) => return Err(error),
        };
        let evidence = to_value(&server)?;
        let meant = attempt.facts.get(&fact(backend, name, &set));
        if meant.is_some_and(|meant| meant.as_str() != Some(&server.address)) {
            return Ok(Probed::Indeterminate(evidence));
        }
        let now = set.now(&server);
        Ok(if now == set.asked() {
            Probed::Applied {
                evidence,
                ours: attempt.answer.is_some(),
            }
        } else if attempt.kept.get("old") == Some(&now) {
            Probed::Absent(evidence)
        } else {
            Probed::Indeterminate(evidence)
        })
    }

    /// A command is carried out when it is read, and dies with its connection; a reload of nginx that comes late loads
    /// the file that lies there then.
    async fn in_flight(&self, change: &Change, _attempt: &Attempt) -> Result<bool, ReadError> {
        parts(change).map(|_| false)
    }

    async fn clean_up(
        &self,
        _change: &Change,
        _attempt: &Attempt,
    ) -> Result<Vec<String>, ReadError> {
        if let Kind::Nginx(nginx) = &self.kind {
            nginx.tidy().await?;
        }
        Ok(Vec::new())
    }

    fn automatic_undo(&self, change: &Change, attempt: &Attempt) -> Option<Vec<Planned>> {
        let old = attempt.kept.get("old")?;
        let change = match change.clone() {
            Change::SetServerState {
                backend, server, ..
            } => Change::SetServerState {
                backend,
                server,
                to: serde_json::from_value(old.clone()).ok()?,
            },
            Change::SetServerWeight {
                backend, server, ..
            } => Change::SetServerWeight {
                backend,
                server,
                weight: serde_json::from_value(old.clone()).ok()?,
            },
            _ => return None,
        };
        Some(vec![Planned {
            binding: self.binding.clone(),
            change,
            fills: Vec::new(),
        }])
    }

    async fn borrowed_now(&self, key: &str) -> Result<Value, ReadError> {
        let none = || ReadError::NotFound(format!("`{key}`: nothing of it can be borrowed"));
        let (server, what) = key.rsplit_once('/').ok_or_else(none)?;
        let (backend, name) = server.split_once('/').ok_or_else(none)?;
        let server = self.server(backend, name).await?;
        now(what, &server).ok_or_else(none)
    }
}

/// What a change rests on: a key for each of the two things that can be set, since a later change of the other one
/// does not take the place of it.
fn fact(backend: &BackendName, name: &ServerName, set: &Set<'_>) -> String {
    format!("{}/{backend}/{name}/address", set.key())
}

fn facts_among(servers: &[Server], change: &Change) -> Result<Facts, ReadError> {
    let (backend, name, set) = parts(change)?;
    let server = find(servers, backend.as_str(), name.as_str())?;
    let address = server.address.as_str().into();
    Ok(Facts::from([(fact(backend, name, &set), address)]))
}

fn to_value(value: &impl serde::Serialize) -> Result<Value, ReadError> {
    serde_json::to_value(value).map_err(|error| ReadError::Invalid(error.to_string()))
}
