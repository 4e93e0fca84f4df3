//! A Kuzzle on three nodes of Elasticsearch 7.17, filled, as an operator has it: Kuzzle and nodes are services that
//! somebody else stops and starts, and beside each node's version lies the next one.

use std::path::Path;
use std::path::PathBuf;

use super::node::Handed;
use super::node::Kuzzle;
use super::node::KuzzleSpec;
use super::node::Mode;
use super::redis::Redis;
use super::seed;
use super::seed::Seeded;
use crate::error::LabError;
use crate::search_cluster::HandedNode;
use crate::search_cluster::NodeSpec;
use crate::search_cluster::SearchCluster;
use crate::servers::ServerKind;

/// What runs at first.
pub const FROM: ServerKind = ServerKind::Elasticsearch7;
/// What lies ready beside it.
pub const TO: ServerKind = ServerKind::Elasticsearch8;

/// A running site. Dropping it kills all of it.
#[derive(Debug)]
pub struct KuzzleSite {
    /// Kuzzle; first, as it ends before what it uses.
    pub kuzzle: Handed,
    /// The nodes `n1`, `n2`, ...
    pub nodes: Vec<HandedNode>,
    /// What was put in.
    pub seeded: Seeded,
    repo: PathBuf,
    _redis: Redis,
}

impl KuzzleSite {
    /// Starts and fills it in `dir`; 90 s on a quiet machine of two cores.
    pub async fn start(dir: &Path, nodes: usize) -> Result<Self, LabError> {
        let cluster =
            SearchCluster::start(FROM, dir.join("cluster"), &NodeSpec::usual(nodes)).await?;
        let redis = Redis::start(dir.join("redis")).await?;
        let spec = KuzzleSpec {
            storage: cluster.target()?.base_url().to_owned(),
            mode: Mode::Seven,
            redis_port: redis.port(),
        };
        let kuzzle = Kuzzle::start(dir.join("kuzzle"), &spec).await?;
        let seeded = seed::seed(&kuzzle).await?;
        let repo = cluster.repo_dir();
        Ok(Self {
            kuzzle: kuzzle.hand_over().await?,
            nodes: cluster.hand_over(FROM, &[TO]).await?,
            seeded,
            repo,
            _redis: redis,
        })
    }

    /// The folder that snapshot repositories may lie in.
    pub fn repo_dir(&self) -> &Path {
        &self.repo
    }
}
