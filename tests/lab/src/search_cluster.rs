//! A search cluster of several nodes, each of which can be stopped, and started in another version on
//! the data it has: the ground of a rolling upgrade.

mod handed;

pub use handed::HandedNode;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use crate::cache;
use crate::error::IoContext;
use crate::error::LabError;
use crate::http::HttpTarget;
use crate::launch::Lifetime;
use crate::launch::PORT_ATTEMPTS_MAX;
use crate::launch::pick_port;
use crate::servers;
use crate::servers::Jvm;
use crate::servers::Layout;
use crate::servers::Member;
use crate::servers::NodeRole;
use crate::servers::Server;
use crate::servers::ServerKind;

/// A node to be started: its name and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpec {
    /// `node.name`, and the name of its folder.
    pub name: String,
    /// What it does.
    pub roles: Vec<NodeRole>,
}

impl NodeSpec {
    /// Nodes `n1`, `n2`, ... that each do everything.
    pub fn usual(count: usize) -> Vec<Self> {
        (1..=count)
            .map(|number| Self {
                name: format!("n{number}"),
                roles: NodeRole::USUAL.to_vec(),
            })
            .collect()
    }
}

/// A running cluster. Dropping it kills its nodes.
#[derive(Debug)]
pub struct SearchCluster {
    dir: PathBuf,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    name: String,
    layout: Layout,
    server: Option<Server>,
}

impl SearchCluster {
    /// Starts all nodes at once, with a folder for each and one for snapshots in `dir`.
    ///
    /// Returns when every node answers and sees a manager; shards may still be starting. The folder
    /// belongs to the cluster from now on, and others may enter it: Elasticsearch does not run as root.
    pub async fn start(
        kind: ServerKind,
        dir: impl AsRef<Path>,
        nodes: &[NodeSpec],
    ) -> Result<Self, LabError> {
        if kind.is_secured() {
            return Err(LabError::malformed(
                format!("a cluster of `{kind}`"),
                "nodes with security would need certificates of one authority",
            ));
        }
        let dir = std::path::absolute(dir.as_ref()).doing("resolve", dir.as_ref())?;
        fs::create_dir_all(&dir).doing("make", &dir)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).doing("open", &dir)?;
        let mut attempt = 1;
        loop {
            let mut cluster = Self {
                nodes: plan(&dir, nodes)?,
                dir: dir.clone(),
            };
            match cluster.start_all(kind).await {
                Ok(()) => return Ok(cluster),
                Err(_) if attempt < PORT_ATTEMPTS_MAX && cluster.lost_a_port() => {
                    // Someone took a port between our look and the bind. What was founded is dropped
                    // with it: no node knows the others at their new ports.
                    attempt += 1;
                    let folders = cluster.folders();
                    drop(cluster);
                    for folder in folders {
                        cache::remove_folder(&folder)?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn start_all(&mut self, kind: ServerKind) -> Result<(), LabError> {
        for node in &self.nodes {
            node.layout.make_folders()?;
        }
        let starts = self
            .nodes
            .iter()
            .map(|node| Server::launch(kind, &node.layout, Lifetime::WithUs));
        let started = futures::future::try_join_all(starts).await?;
        for (node, server) in self.nodes.iter_mut().zip(started) {
            node.server = Some(server);
        }
        Ok(())
    }

    fn lost_a_port(&self) -> bool {
        self.nodes
            .iter()
            .any(|node| servers::is_port_taken(&node.layout))
    }

    fn folders(&self) -> Vec<PathBuf> {
        self.nodes
            .iter()
            .map(|node| node.layout.dir.clone())
            .collect()
    }

    /// The names of all nodes, running or not, in the order they were given.
    pub fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// The node's server; none while it is stopped, or where there is no such node.
    pub fn server(&self, name: &str) -> Option<&Server> {
        let node = self.nodes.iter().find(|node| node.name == name)?;
        node.server.as_ref()
    }

    /// All servers that run.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.nodes.iter().filter_map(|node| node.server.as_ref())
    }

    /// A client of the first node that runs.
    pub fn target(&self) -> Result<&HttpTarget, LabError> {
        self.servers()
            .next()
            .map(Server::target)
            .ok_or_else(|| self.malformed("no node runs"))
    }

    /// The folder that snapshot repositories may lie in, the same for every node.
    pub fn repo_dir(&self) -> PathBuf {
        repo_of(&self.dir)
    }

    /// The name of the node that the nodes have elected.
    pub async fn manager(&self) -> Result<String, LabError> {
        // The old name of the table is known to every version.
        let rows = self
            .target()?
            .get("/_cat/master?format=json&h=node")
            .await?;
        rows[0]["node"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| self.malformed("it shows no elected manager"))
    }

    /// Stops one node cleanly. Nothing happens when it is stopped already.
    pub async fn stop_node(&mut self, name: &str) -> Result<(), LabError> {
        if let Some(server) = self.node(name)?.server.take() {
            server.stop().await;
        }
        Ok(())
    }

    /// Kills one node, as a crash would.
    pub fn kill_node(&mut self, name: &str) -> Result<(), LabError> {
        if let Some(mut server) = self.node(name)?.server.take() {
            server.kill();
        }
        Ok(())
    }

    /// Starts a stopped node on its data and ports, in the version of `kind`; returns when it has joined.
    ///
    /// A node that runs is stopped first. Where the others, or its data, refuse the version, this is
    /// [`LabError::NotStarted`] with the end of its log, and the data is as it was.
    pub async fn start_node(&mut self, name: &str, kind: ServerKind) -> Result<(), LabError> {
        self.stop_node(name).await?;
        let node = self.node(name)?;
        node.server = Some(Server::launch(kind, &node.layout, Lifetime::WithUs).await?);
        Ok(())
    }

    /// Stops every node that runs.
    pub async fn stop(mut self) {
        // All at once: the last ones would wait for a manager that is gone.
        let servers = self.nodes.iter_mut().filter_map(|node| node.server.take());
        futures::future::join_all(servers.map(Server::stop)).await;
    }

    fn node(&mut self, name: &str) -> Result<&mut Node, LabError> {
        let error = self.malformed(&format!("it has no node `{name}`"));
        self.nodes
            .iter_mut()
            .find(|node| node.name == name)
            .ok_or(error)
    }

    fn malformed(&self, why: &str) -> LabError {
        LabError::malformed(format!("the cluster in `{}`", self.dir.display()), why)
    }
}

fn repo_of(dir: &Path) -> PathBuf {
    dir.join("repo")
}

/// The nodes with their folders and ports, none of them started.
fn plan(dir: &Path, specs: &[NodeSpec]) -> Result<Vec<Node>, LabError> {
    let ports = specs
        .iter()
        .map(|_| Ok([pick_port()?, pick_port()?]))
        .collect::<Result<Vec<_>, LabError>>()?;
    let seeds: Vec<u16> = ports.iter().map(|[_, transport]| *transport).collect();
    let founders: Vec<String> = specs
        .iter()
        .filter(|spec| spec.roles.contains(&NodeRole::Manager))
        .map(|spec| spec.name.clone())
        .collect();
    if founders.is_empty() {
        return Err(LabError::malformed(
            format!("the cluster in `{}`", dir.display()),
            "no node has the role of a manager",
        ));
    }
    let nodes = specs.iter().zip(ports);
    Ok(nodes
        .map(|(spec, [http_port, transport_port])| Node {
            name: spec.name.clone(),
            layout: Layout {
                dir: dir.join(&spec.name),
                http_port,
                transport_port,
                jvm: Jvm::Quick,
                member: Some(Member {
                    name: spec.name.clone(),
                    roles: spec.roles.clone(),
                    seeds: seeds.clone(),
                    founders: founders.clone(),
                    repo: repo_of(dir),
                }),
            },
            server: None,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_knows_all_and_only_managers_found_the_cluster() {
        let mut specs = NodeSpec::usual(3);
        specs[2].roles = vec![NodeRole::Data];
        let nodes = plan(Path::new("/c"), &specs).unwrap();
        let member = nodes[2].layout.member.as_ref().unwrap();
        assert_eq!(member.seeds.len(), 3);
        assert_eq!(member.founders, ["n1", "n2"]);
        assert_eq!(member.repo, Path::new("/c/repo"));
        specs.truncate(0);
        assert!(plan(Path::new("/c"), &specs).is_err());
    }

    #[tokio::test]
    async fn refuses_what_it_could_not_join() {
        let dir = tempfile::tempdir().unwrap();
        let secured = ServerKind::Elasticsearch8Secured;
        let error = SearchCluster::start(secured, dir.path(), &NodeSpec::usual(3)).await;
        assert!(matches!(error, Err(LabError::Malformed { .. })));
    }
}
