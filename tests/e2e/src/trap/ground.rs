//! What a trap stands on: a simulated cluster, or one real server that all traps share.

use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use liftlock_lab::HttpTarget;
use liftlock_lab::Server;
use liftlock_testkit::Product;
use liftlock_testkit::SimCluster;

/// The folder that `fs` repositories of a simulated cluster lie in. Nothing is ever written there.
const REPOSITORIES: &str = "/simulated-repositories";

/// Requests for which a simulated snapshot runs. A check and a plan ask some 200 times; the snapshot
/// must outlast them, and [`Ground::let_time_pass`] ends it.
const SNAPSHOT_REQUESTS: u32 = 2_000;

/// A cluster to break sites on.
pub struct Ground {
    /// What it is, for the lines of a report.
    pub name: String,
    /// Whether it is of the OpenSearch line.
    pub is_opensearch: bool,
    /// For asking the cluster itself.
    pub target: HttpTarget,
    /// Where it keeps snapshots.
    pub repositories: PathBuf,
    simulated: Option<SimCluster>,
}

impl Ground {
    /// A simulated cluster of one node.
    pub async fn simulated(product: Product) -> anyhow::Result<Self> {
        let cluster = SimCluster::builder(product)
            .path_repo(&[REPOSITORIES])
            .snapshot_requests(SNAPSHOT_REQUESTS)
            .start()
            .await
            .context("cannot start a simulated cluster")?;
        Ok(Self {
            name: format!("simulated {product:?}").to_lowercase(),
            is_opensearch: product.is_opensearch(),
            target: HttpTarget::new(cluster.url())?,
            repositories: Path::new(REPOSITORIES).to_owned(),
            simulated: Some(cluster),
        })
    }

    /// A real server; whoever started it stops it.
    pub fn real(server: &Server) -> Self {
        let kind = server.kind();
        Self {
            name: format!("{kind} {}", kind.version()),
            is_opensearch: kind.is_opensearch(),
            target: server.target().clone(),
            repositories: server.repo_dir(),
            simulated: None,
        }
    }

    /// The simulated cluster, where it is one.
    pub fn simulated_cluster(&self) -> Option<&SimCluster> {
        self.simulated.as_ref()
    }

    /// Time of a simulated cluster is the number of requests: a snapshot and a throttled task end in
    /// it. On a real server time passes by itself.
    pub fn let_time_pass(&self) {
        if let Some(cluster) = &self.simulated {
            for _ in 0..=SNAPSHOT_REQUESTS {
                cluster.call("GET", "/", "");
            }
        }
    }
}
