//! The nodes of the site as they stand: what the operator says of each, what it says itself, and its servers in balancers.

use std::collections::{BTreeMap, BTreeSet};

use liftlock_sdk::prelude::*;

use crate::descriptor::{BALANCERS, CONFIGURATIONS, NODES};
use crate::groups::{self, Pool, Purpose};
use crate::jdbc::{self, Online};
use crate::options::Options;

/// Labels of a node in `site.toml`.
const POOL: &str = "pool";
const ENDPOINT: &str = "endpoint";
const SERVER: &str = "server";
const JOBS: &str = "jobs";

/// What the operator says of a node.
pub(crate) struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Of a service, which is no node where it has no endpoint.
    pub(crate) fn of(service: &Service) -> Result<Self> {
        Ok(Self(service.labels()?.into_iter().collect()))
    }

    /// The binding of its REST interface.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.0.get(ENDPOINT).map(String::as_str)
    }

    /// Its job executor is on, as it is unless somebody says otherwise.
    pub(crate) fn runs_jobs(&self) -> bool {
        self.0.get(JOBS).is_none_or(|text| text != "no")
    }
}

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its name: the binding without `service.`.
    pub(crate) name: String,
    /// Its binding.
    pub(crate) binding: String,
    /// Which nodes can stand in for it.
    pub(crate) pool: String,
    /// Its job executor is on.
    pub(crate) runs_jobs: bool,
    /// The binding of its REST interface.
    pub(crate) endpoint: String,
    /// Its places in balancers.
    pub(crate) places: Vec<Place>,
    /// What its process is in.
    pub(crate) state: State,
    /// Which version its files are of: the name of a directory.
    pub(crate) artifact: Option<String>,
    /// Names of directories that it could run.
    pub(crate) available: Vec<String>,
    /// What it answers itself.
    pub(crate) said: Said,
    /// What the JDBC address means that its file of configuration has; none where there is none to be read.
    pub(crate) online: Option<Online>,
}

/// One place of a node in a balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The balancer's binding.
    pub(crate) balancer: String,
    /// The backend.
    pub(crate) backend: String,
    /// The server's name there.
    pub(crate) server: String,
    /// Nobody asked for another state than ready.
    pub(crate) is_ready: bool,
    /// Clients are bound to it.
    pub(crate) is_sticky: bool,
    /// The balancer tells how many requests it got and works on. nginx does not, and cannot drain.
    pub(crate) is_counted: bool,
}

/// What a node answers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// `/version`; none where nobody answers.
    pub(crate) version: Option<String>,
    /// The id of the installation that is kept in its database.
    pub(crate) installation: Option<String>,
    /// A question that needs the database was answered.
    pub(crate) reads_database: bool,
    /// Whose product it says that it is.
    pub(crate) product: Option<String>,
}

/// All nodes, and what does not fit together.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    /// By name.
    pub(crate) all: Vec<Node>,
    /// Servers of backends with nodes that no node claims: balancer, backend, server.
    pub(crate) strangers: Vec<(String, String, String)>,
    /// Nodes whose label names a server that no balancer has.
    pub(crate) unplaced: Vec<(String, String)>,
}

impl Nodes {
    /// Reads every service that has the label `endpoint`, and every balancer.
    pub(crate) fn gather(site: &Site) -> Result<Self> {
        let servers = servers(site)?;
        let bindings = site.bindings();
        let mut all = Vec::new();
        let mut unplaced = Vec::new();
        let configured: BTreeSet<String> = bindings
            .iter()
            .filter_map(|bound| bound.binding.strip_prefix(CONFIGURATIONS))
            .map(str::to_owned)
            .collect();
        for bound in bindings {
            let Some(name) = bound.binding.strip_prefix(NODES) else {
                continue;
            };
            let service = Service::open(site, &bound.binding)?;
            let labels = Labels::of(&service)?;
            let Some(endpoint) = labels.endpoint() else {
                continue;
            };
            let wanted: Vec<&str> = labels
                .0
                .get(SERVER)
                .map(|text| text.split(',').map(str::trim).collect())
                .unwrap_or_default();
            let mut places = Vec::new();
            for text in wanted {
                let found: Vec<Place> = servers
                    .iter()
                    .filter(|place| format!("{}/{}", place.backend, place.server) == text)
                    .cloned()
                    .collect();
                if found.is_empty() {
                    unplaced.push((name.to_owned(), text.to_owned()));
                }
                places.extend(found);
            }
            let artifact = service.artifact().found()?;
            all.push(Node {
                name: name.to_owned(),
                pool: labels.0.get(POOL).cloned().unwrap_or_else(|| "rest".into()),
                runs_jobs: labels.runs_jobs(),
                endpoint: endpoint.to_owned(),
                places,
                state: service.status()?.state,
                available: artifact
                    .as_ref()
                    .map(|artifact| artifact.available.clone())
                    .unwrap_or_default(),
                artifact: artifact.and_then(|artifact| artifact.current),
                said: said(site, endpoint)?,
                online: if configured.contains(name) {
                    online(site, name)?
                } else {
                    None
                },
                binding: bound.binding,
            });
        }
        let strangers = servers
            .iter()
            .filter(|place| {
                let is_of_ours = all
                    .iter()
                    .flat_map(|node: &Node| &node.places)
                    .any(|ours| ours.balancer == place.balancer && ours.backend == place.backend);
                is_of_ours && !all.iter().any(|node| node.places.contains(place))
            })
            .map(|place| {
                (
                    place.balancer.clone(),
                    place.backend.clone(),
                    place.server.clone(),
                )
            })
            .collect();
        Ok(Self {
            all,
            strangers,
            unplaced,
        })
    }

    /// The node of this name.
    pub(crate) fn node(&self, name: &str) -> Option<&Node> {
        self.all.iter().find(|node| node.name == name)
    }

    /// The pools, as the order of the groups is worked out from them.
    pub(crate) fn pools(&self, options: &Options) -> Vec<Pool> {
        let mut pools: Vec<Pool> = Vec::new();
        for node in &self.all {
            let its = groups::Node {
                name: node.name.clone(),
                runs_jobs: node.runs_jobs,
                servers: node
                    .places
                    .iter()
                    .map(|place| groups::Server {
                        backend: place.backend.clone(),
                        name: place.server.clone(),
                    })
                    .collect(),
            };
            match pools.iter_mut().find(|pool| pool.name == node.pool) {
                Some(pool) => pool.nodes.push(its),
                None => pools.push(Pool {
                    name: node.pool.clone(),
                    purpose: purpose(&node.pool, &its),
                    minimum: options.minimum,
                    nodes: vec![its],
                }),
            }
        }
        pools
    }
}

/// By the pool's name; a node that no balancer knows does jobs alone.
fn purpose(pool: &str, node: &groups::Node) -> Purpose {
    match pool {
        "webapps" => Purpose::Webapps,
        "jobs" => Purpose::Jobs,
        _ if node.servers.is_empty() => Purpose::Jobs,
        _ => Purpose::Rest,
    }
}

/// Most of a file of configuration that is read.
const FILE_BYTES_MAX: u32 = 1 << 20;

/// What the node's file of configuration says.
fn online(site: &Site, node: &str) -> Result<Option<Online>> {
    let binding = format!("{CONFIGURATIONS}{node}");
    let file = site.option("jdbc-file")?;
    let read = Directory::open(site, &binding)?.read(&file, 0, FILE_BYTES_MAX);
    let text = read.found()?.unwrap_or_default();
    Ok(jdbc::online_by_file(&String::from_utf8_lossy(&text)))
}

fn servers(site: &Site) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for bound in site.bindings() {
        if !bound.binding.starts_with(BALANCERS) {
            continue;
        }
        let balancer = Balancer::open(site, &bound.binding)?;
        places.extend(balancer.servers("*")?.into_iter().map(|server| Place {
            balancer: bound.binding.clone(),
            backend: server.backend,
            server: server.name,
            is_ready: server.administrative == Administrative::Ready,
            is_sticky: server.sticky,
            is_counted: server.current.is_some(),
        }));
    }
    Ok(places)
}

/// A node that is down says nothing, which is a fact.
fn said(site: &Site, endpoint: &str) -> Result<Said> {
    let rest = Endpoint::open(site, endpoint)?;
    let get = |path: &str| -> Result<Option<Value>> {
        match rest.get(path, &[]) {
            Ok(answer) if answer.status == 200 => Ok(answer.body.parse().ok()),
            Ok(_) | Err(Error::Unavailable(_)) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let text = |value: &Option<Value>, pointer: &str| {
        let text = value.as_ref()?.pointer(pointer)?.as_str()?;
        Some(text.to_owned())
    };
    let version = get("/version")?;
    if version.is_none() {
        return Ok(Said::default());
    }
    let telemetry = get("/telemetry/data")?;
    Ok(Said {
        version: text(&version, "/version"),
        installation: text(&telemetry, "/installation"),
        product: text(&telemetry, "/product/name"),
        // `/engine` and `/version` are answered while the database is away.
        reads_database: get("/job/count")?.is_some(),
    })
}
