//! One node's place in a cluster of several.

use std::path::PathBuf;

use super::ServerKind;

/// What a node does in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NodeRole {
    /// May be elected manager.
    Manager,
    /// Holds shards of every tier.
    Data,
    /// Holds shards of the tier `content`; Elasticsearch from 7.10 on, as the tiers below.
    DataContent,
    /// Holds shards of the tier `hot`.
    DataHot,
    /// Holds shards of the tier `warm`.
    DataWarm,
    /// Runs ingest pipelines.
    Ingest,
}

impl NodeRole {
    /// What a node does that is told nothing.
    pub const USUAL: [Self; 3] = [Self::Manager, Self::Data, Self::Ingest];

    /// Its name in that server's `node.roles`.
    pub(crate) fn name(self, kind: ServerKind) -> &'static str {
        match self {
            // OpenSearch renamed it in 2.0; 1.3 ends with `unknown role [cluster_manager]`.
            Self::Manager if kind.is_opensearch() && kind != ServerKind::OpenSearch1 => {
                "cluster_manager"
            }
            Self::Manager => "master",
            Self::Data => "data",
            Self::DataContent => "data_content",
            Self::DataHot => "data_hot",
            Self::DataWarm => "data_warm",
            Self::Ingest => "ingest",
        }
    }

    /// All of these, as a list for a settings file.
    pub(crate) fn list(roles: &[Self], kind: ServerKind) -> String {
        let names: Vec<&str> = roles.iter().map(|role| role.name(kind)).collect();
        names.join(",")
    }
}

/// What a node has to know of its cluster.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) roles: Vec<NodeRole>,
    /// The transport ports of all nodes, its own too.
    pub(crate) seeds: Vec<u16>,
    /// The nodes that elect the first manager.
    pub(crate) founders: Vec<String>,
    /// The folder of snapshot repositories that all nodes share.
    pub(crate) repo: PathBuf,
}

impl Member {
    /// `127.0.0.1:PORT` of every node, separated by commas.
    pub(crate) fn seed_hosts(&self) -> String {
        let hosts: Vec<String> = self
            .seeds
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        hosts.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_manager_as_each_server_does() {
        let usual = |kind| NodeRole::list(&NodeRole::USUAL, kind);
        assert_eq!(usual(ServerKind::OpenSearch1), "master,data,ingest");
        assert_eq!(
            usual(ServerKind::OpenSearch2),
            "cluster_manager,data,ingest"
        );
        assert_eq!(usual(ServerKind::Elasticsearch9), "master,data,ingest");
    }
}
