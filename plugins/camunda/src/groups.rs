//! In which order and how many at a time the nodes are taken.
//!
//! The vendor suggests a third of the nodes at a time. What must hold at every moment: each pool keeps as many nodes
//! as the operator says, every backend of a balancer keeps one, and somewhere a node runs jobs. A pool is also what
//! deployment-aware job executors need: a node runs only jobs of the deployments it knows, so that nodes with
//! different deployments belong into different pools.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// What the nodes of a pool are for. The order is the one in which pools are upgraded: what changes no data first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Cockpit, Tasklist and Admin.
    Webapps,
    /// The REST interface, with or without jobs.
    Rest,
    /// Jobs alone, behind no balancer.
    Jobs,
}

/// Nodes that can stand in for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// As the site names it.
    pub name: String,
    /// What they are for.
    pub purpose: Purpose,
    /// How many must be up at every moment. 0 lets the whole pool go at once, for one that may be missed.
    pub minimum: usize,
    /// Its nodes, in the order in which they are taken.
    pub nodes: Vec<Node>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// As the site names it.
    pub name: String,
    /// Its job executor is on.
    pub runs_jobs: bool,
    /// What it is called by balancers.
    pub servers: Vec<Server>,
}

/// One server of a balancer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// The backend it is in.
    pub backend: String,
    /// Its name there.
    pub name: String,
}

/// How many nodes of a pool are taken at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// So many.
    Nodes(usize),
    /// So many of a hundred, rounded down, and one at least. 33 is a third: the vendor's word for two of six.
    Percent(usize),
}

impl Size {
    /// What the vendor suggests.
    pub const SUGGESTED: Self = Self::Percent(33);

    /// Of a pool of so many nodes.
    pub fn of(self, nodes: usize) -> usize {
        match self {
            Self::Nodes(count) => count,
            Self::Percent(33) => nodes / 3,
            Self::Percent(percent) => nodes.saturating_mul(percent) / 100,
        }
        .clamp(1, nodes.max(1))
    }
}

/// Nodes that are taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Their pool.
    pub pool: String,
    /// Their names.
    pub nodes: Vec<String>,
    /// What to drain in balancers.
    pub servers: Vec<Server>,
}

/// Why the nodes cannot be upgraded while others serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoll {
    /// Nothing to do.
    #[error("no pool has a node")]
    NoNodes,
    /// It would be down while it is upgraded: an upgrade, and no rolling one.
    #[error(
        "pool `{pool}` has one node, `{node}`: while it is upgraded nothing serves; add a second node, or set the \
         pool's minimum to 0 if it may be missed"
    )]
    Alone {
        /// The pool.
        pool: String,
        /// Its node.
        node: String,
    },
    /// Groups are too large.
    #[error(
        "pool `{pool}` has {nodes} nodes; with {group} of them down fewer than its minimum of {minimum} are left; \
         take {largest} at a time"
    )]
    TooFewLeft {
        /// The pool.
        pool: String,
        /// How many it has.
        nodes: usize,
        /// How many would be taken at a time.
        group: usize,
        /// How many must stay.
        minimum: usize,
        /// How many may be taken.
        largest: usize,
    },
    /// The minimum is as large as the pool.
    #[error("pool `{pool}` has {nodes} nodes and a minimum of {minimum}: none may ever be down")]
    NoneToSpare {
        /// The pool.
        pool: String,
        /// How many it has.
        nodes: usize,
        /// How many must stay.
        minimum: usize,
    },
    /// A group holds every server of a backend.
    #[error(
        "backend `{backend}` has no server but those of {nodes}: it would serve nothing while they are down"
    )]
    LastOfBackend {
        /// The backend.
        backend: String,
        /// The group's nodes.
        nodes: String,
    },
    /// A group holds every node that runs jobs.
    #[error(
        "no node runs jobs but {nodes}: timers and async work would stand still while they are down"
    )]
    LastWithJobs {
        /// The group's nodes.
        nodes: String,
    },
    /// A name is there twice, so that what is meant cannot be told.
    #[error("{what} `{name}` is there twice")]
    Twice {
        /// A pool, a node or a server.
        what: &'static str,
        /// Its name.
        name: String,
    },
}

impl NoRoll {
    /// The finding that explains it.
    pub fn id(&self) -> &'static str {
        match self {
            Self::NoNodes => "camunda.no-nodes",
            Self::Alone { .. } => "camunda.alone",
            Self::TooFewLeft { .. } | Self::NoneToSpare { .. } => "camunda.too-few-left",
            Self::LastOfBackend { .. } => "camunda.last-server",
            Self::LastWithJobs { .. } => "camunda.last-with-jobs",
            Self::Twice { .. } => "camunda.named-twice",
        }
    }
}

/// The groups, in order: pools by their purpose, then as the site lists them.
pub fn groups(pools: &[Pool], size: Size) -> Result<Vec<Group>, NoRoll> {
    no_name_twice(pools)?;
    let mut ordered: Vec<&Pool> = pools.iter().filter(|pool| !pool.nodes.is_empty()).collect();
    if ordered.is_empty() {
        return Err(NoRoll::NoNodes);
    }
    ordered.sort_by_key(|pool| pool.purpose);
    let mut found = Vec::new();
    for pool in ordered {
        let group = size_of(pool, size)?;
        for nodes in pool.nodes.chunks(group) {
            found.push(Group {
                pool: pool.name.clone(),
                nodes: nodes.iter().map(|node| node.name.clone()).collect(),
                servers: nodes.iter().flat_map(|node| node.servers.clone()).collect(),
            });
        }
    }
    let all: Vec<&Node> = pools.iter().flat_map(|pool| &pool.nodes).collect();
    let mut backends: BTreeMap<&str, usize> = BTreeMap::new();
    for server in all.iter().flat_map(|node| &node.servers) {
        *backends.entry(&server.backend).or_default() += 1;
    }
    for group in &found {
        keeps_a_server(group, &backends)?;
        keeps_a_job_executor(group, &all)?;
    }
    Ok(found)
}

fn size_of(pool: &Pool, size: Size) -> Result<usize, NoRoll> {
    let nodes = pool.nodes.len();
    let minimum = pool.minimum;
    if let ([node], 1..) = (pool.nodes.as_slice(), minimum) {
        return Err(NoRoll::Alone {
            pool: pool.name.clone(),
            node: node.name.clone(),
        });
    }
    let group = size.of(nodes);
    let largest = nodes.saturating_sub(minimum);
    if largest == 0 {
        return Err(NoRoll::NoneToSpare {
            pool: pool.name.clone(),
            nodes,
            minimum,
        });
    }
    if group > largest {
        return Err(NoRoll::TooFewLeft {
            pool: pool.name.clone(),
            nodes,
            group,
            minimum,
            largest,
        });
    }
    Ok(group)
}

fn keeps_a_server(group: &Group, backends: &BTreeMap<&str, usize>) -> Result<(), NoRoll> {
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for server in &group.servers {
        *taken.entry(&server.backend).or_default() += 1;
    }
    let last = taken
        .iter()
        .find(|(backend, count)| backends.get(*backend) == Some(count));
    match last {
        None => Ok(()),
        Some((backend, _)) => Err(NoRoll::LastOfBackend {
            backend: (*backend).to_owned(),
            nodes: told(group),
        }),
    }
}

/// A site whose engines run no jobs at all keeps none: that is its own affair.
fn keeps_a_job_executor(group: &Group, all: &[&Node]) -> Result<(), NoRoll> {
    let with_jobs: BTreeSet<&str> = all
        .iter()
        .filter(|node| node.runs_jobs)
        .map(|node| node.name.as_str())
        .collect();
    let is_taken = |name: &&str| group.nodes.iter().any(|node| node == name);
    if with_jobs.is_empty() || !with_jobs.iter().all(is_taken) {
        return Ok(());
    }
    Err(NoRoll::LastWithJobs { nodes: told(group) })
}

fn told(group: &Group) -> String {
    let names: Vec<String> = group.nodes.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn no_name_twice(pools: &[Pool]) -> Result<(), NoRoll> {
    let nodes = || pools.iter().flat_map(|pool| &pool.nodes);
    let of_pools = pools.iter().map(|pool| ("pool", pool.name.clone()));
    let of_nodes = nodes().map(|node| ("node", node.name.clone()));
    let of_servers = nodes()
        .flat_map(|node| &node.servers)
        .map(|server| ("server", format!("{}/{}", server.backend, server.name)));
    let mut seen = BTreeSet::new();
    for (what, name) in of_pools.chain(of_nodes).chain(of_servers) {
        if !seen.insert((what, name.clone())) {
            return Err(NoRoll::Twice { what, name });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(name: &str, purpose: Purpose, count: usize) -> Pool {
        let nodes = (1..=count).map(|number| Node {
            name: format!("{name}{number}"),
            runs_jobs: purpose != Purpose::Webapps,
            servers: (purpose != Purpose::Jobs)
                .then(|| Server {
                    backend: name.into(),
                    name: format!("s{number}"),
                })
                .into_iter()
                .collect(),
        });
        Pool {
            name: name.into(),
            purpose,
            minimum: 1,
            nodes: nodes.collect(),
        }
    }

    fn names(groups: &[Group]) -> Vec<String> {
        groups.iter().map(|group| group.nodes.join("+")).collect()
    }

    #[test]
    fn a_third_at_a_time() {
        let of = |count| {
            let found = groups(&[pool("r", Purpose::Rest, count)], Size::SUGGESTED).unwrap();
            names(&found)
        };
        assert_eq!(of(2), ["r1", "r2"]);
        assert_eq!(of(3), ["r1", "r2", "r3"]);
        assert_eq!(of(6), ["r1+r2", "r3+r4", "r5+r6"]);
        assert_eq!(of(7), ["r1+r2", "r3+r4", "r5+r6", "r7"]);
    }

    #[test]
    fn a_size_is_never_none_and_never_more_than_there_is() {
        assert_eq!(Size::Percent(10).of(3), 1);
        assert_eq!(Size::Percent(50).of(5), 2);
        assert_eq!(Size::Percent(usize::MAX).of(5), 5);
        assert_eq!(Size::Nodes(0).of(5), 1);
        assert_eq!(Size::Nodes(9).of(5), 5);
    }

    #[test]
    fn webapps_then_rest_then_jobs_each_with_its_servers() {
        let pools = [
            pool("j", Purpose::Jobs, 2),
            pool("w", Purpose::Webapps, 2),
            pool("r", Purpose::Rest, 2),
        ];
        let found = groups(&pools, Size::SUGGESTED).unwrap();
        assert_eq!(names(&found), ["w1", "w2", "r1", "r2", "j1", "j2"]);
        assert_eq!(found[2].servers[0].backend, "r");
        assert!(found[4].servers.is_empty());
    }

    #[test]
    fn one_node_is_no_rolling_upgrade() {
        let mut alone = pool("r", Purpose::Rest, 1);
        let error = groups(std::slice::from_ref(&alone), Size::SUGGESTED).unwrap_err();
        assert!(matches!(error, NoRoll::Alone { .. }), "{error}");
        // Even where the pool may be missed, its backend may not.
        alone.minimum = 0;
        let error = groups(&[alone.clone()], Size::SUGGESTED).unwrap_err();
        assert!(matches!(error, NoRoll::LastOfBackend { .. }), "{error}");
        alone.nodes[0].servers.clear();
        let error = groups(&[alone.clone()], Size::SUGGESTED).unwrap_err();
        assert!(matches!(error, NoRoll::LastWithJobs { .. }), "{error}");
        let found = groups(&[alone, pool("j", Purpose::Jobs, 2)], Size::SUGGESTED);
        assert_eq!(names(&found.unwrap()), ["r1", "j1", "j2"]);
    }

    #[test]
    fn keeps_the_minimum_and_says_how_many_may_go() {
        let mut rest = pool("r", Purpose::Rest, 4);
        rest.minimum = 3;
        let error = groups(std::slice::from_ref(&rest), Size::Nodes(2)).unwrap_err();
        assert!(error.to_string().ends_with("take 1 at a time"), "{error}");
        rest.minimum = 4;
        let error = groups(std::slice::from_ref(&rest), Size::Nodes(1)).unwrap_err();
        assert!(matches!(error, NoRoll::NoneToSpare { .. }), "{error}");
    }

    #[test]
    fn never_takes_the_last_server_of_a_backend() {
        let mut rest = pool("r", Purpose::Rest, 3);
        rest.nodes[2].servers[0].backend = "admin".into();
        let error = groups(&[rest], Size::SUGGESTED).unwrap_err();
        assert_eq!(
            error.to_string(),
            "backend `admin` has no server but those of `r3`: it would serve nothing while they are down"
        );
    }

    #[test]
    fn never_takes_the_last_nodes_with_jobs() {
        let mut rest = pool("r", Purpose::Rest, 3);
        rest.nodes[0].runs_jobs = false;
        rest.nodes[1].runs_jobs = false;
        let error = groups(std::slice::from_ref(&rest), Size::SUGGESTED).unwrap_err();
        assert!(matches!(error, NoRoll::LastWithJobs { .. }), "{error}");
        rest.nodes[2].runs_jobs = false;
        assert_eq!(groups(&[rest], Size::SUGGESTED).unwrap().len(), 3);
    }

    #[test]
    fn refuses_names_that_are_there_twice_and_sites_without_nodes() {
        let twice = [pool("r", Purpose::Rest, 2), pool("r", Purpose::Jobs, 2)];
        let error = groups(&twice, Size::SUGGESTED).unwrap_err();
        assert_eq!(error.to_string(), "pool `r` is there twice");
        let mut rest = pool("r", Purpose::Rest, 2);
        rest.nodes[1].servers = rest.nodes[0].servers.clone();
        let error = groups(&[rest], Size::SUGGESTED).unwrap_err();
        assert_eq!(error.to_string(), "server `r/s1` is there twice");
        assert_eq!(groups(&[], Size::SUGGESTED), Err(NoRoll::NoNodes));
    }

    #[test]
    fn a_thousand_nodes_are_no_work() {
        let pools: Vec<Pool> = (0..10)
            .map(|number| pool(&format!("p{number}-"), Purpose::Rest, 100))
            .collect();
        let found = groups(&pools, Size::SUGGESTED).unwrap();
        assert_eq!(found.len(), 40);
    }
}
