//! A simulated cluster as the lab sees one: an address and a folder for snapshots.

use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use liftlock_lab::HttpTarget;
use liftlock_testkit::Product;
use liftlock_testkit::SimCluster;

use crate::stage::Kit;
use crate::stage::Stage;
use crate::tally::Tally;

/// The folder that its `fs` repositories lie in. Nothing is ever written there.
const REPOSITORIES: &str = "/simulated-repositories";

/// Seed of every id, so that two runs of a test meet the same cluster.
const SEED: u64 = 87;

/// A running simulated cluster. It stops when this is dropped.
pub struct Simulated {
    cluster: SimCluster,
    target: HttpTarget,
}

impl Simulated {
    /// Starts the one that imitates OpenSearch 2.19.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_as(Product::OpenSearch2, SEED).await
    }

    /// Starts another one; another seed is another cluster uuid.
    pub async fn start_as(product: Product, seed: u64) -> anyhow::Result<Self> {
        let cluster = SimCluster::builder(product)
            .seed(seed)
            .path_repo(&[REPOSITORIES])
            .start()
            .await
            .context("cannot start a simulated cluster")?;
        let target = HttpTarget::new(cluster.url())?;
        Ok(Self { cluster, target })
    }

    /// Starts one of three nodes of OpenSearch that have another version than 2.19.
    pub async fn start_of_version(version: &str) -> anyhow::Result<Self> {
        let mut cluster = SimCluster::builder(Product::OpenSearch2)
            .seed(SEED)
            .path_repo(&[REPOSITORIES])
            .nodes(3);
        for node in 0..3 {
            cluster = cluster.node_version(node, version);
        }
        let cluster = cluster.start().await;
        let cluster = cluster.context("cannot start a simulated cluster")?;
        let target = HttpTarget::new(cluster.url())?;
        Ok(Self { cluster, target })
    }

    /// The addresses of its nodes: of `node-1` first.
    pub fn urls(&self) -> Vec<String> {
        self.cluster.urls()
    }

    /// Does this proof on one; every check of it must be good.
    pub async fn proves(
        kit: &Kit,
        product: Product,
        proof: impl AsyncFnOnce(Stage, &mut Tally) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let cluster = Self::start_as(product, 1).await?;
        let stage = Stage::new(kit, cluster.target(), &cluster.repository()).await?;
        let mut tally = Tally::default();
        tally.about(format!("simulated {product:?}"));
        proof(stage, &mut tally).await?;
        tally.into_count()?;
        Ok(())
    }

    /// Its address.
    pub fn target(&self) -> &HttpTarget {
        &self.target
    }

    /// A folder that it takes for snapshot repositories.
    pub fn repository(&self) -> PathBuf {
        Path::new(REPOSITORIES).to_owned()
    }

    /// Gives its node another heap.
    pub fn set_heap(&self, bytes: u64) -> anyhow::Result<()> {
        Ok(self.cluster.set_heap(0, bytes)?)
    }

    /// Stops its only node: its port closes.
    pub async fn stop_node(&self) -> anyhow::Result<()> {
        Ok(self.cluster.stop_node(0).await?)
    }

    /// Starts it again on the same port.
    pub async fn start_node(&self) -> anyhow::Result<()> {
        Ok(self.cluster.start_node(0).await?)
    }

    /// What it imitates.
    pub fn product(&self) -> Product {
        self.cluster.product()
    }
}
