//! `cargo xtask prove nodes`: the nodes of real search clusters, taken from version to version by the SDK's module.

use std::path::Path;

use liftlock_e2e::Tally;
use liftlock_e2e::artifacts::Component;
use liftlock_e2e::nodes;
use liftlock_e2e::nodes::NodesStage;
use liftlock_lab::ServerKind;

use crate::parts;

/// One part of the proof, on a cluster of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// OpenSearch 1.3 to 2.19 to 3.3, with indices in the way of the last hop.
    Opensearch,
    /// Elasticsearch 8.19 to 9.4.
    Elasticsearch,
}

impl parts::Part for Part {
    const PRODUCT: &str = "nodes";

    fn name(self) -> &'static str {
        match self {
            Self::Opensearch => "OpenSearch 1.3 to 2.19 to 3.3",
            Self::Elasticsearch => "Elasticsearch 8.19 to 9.4",
        }
    }

    async fn prove(
        self,
        liftlock: &Path,
        plugin: &Component,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let start =
            async |from, to: &[ServerKind]| NodesStage::start(liftlock, plugin, from, to).await;
        match self {
            Self::Opensearch => {
                let (two, three) = (ServerKind::OpenSearch2, ServerKind::OpenSearch3);
                let stage = start(ServerKind::OpenSearch1, &[two, three]).await?;
                nodes::makes_indices_that_grow_old(&stage).await?;
                nodes::refuses_to_skip_a_major(&stage, three, "2.19", tally).await?;
                nodes::takes_every_node(&stage, two, tally).await?;
                nodes::refuses_indices_that_are_too_old(&stage, three, tally).await?;
                nodes::takes_every_node(&stage, three, tally).await
            }
            Self::Elasticsearch => {
                let nine = ServerKind::Elasticsearch9;
                let stage = start(ServerKind::Elasticsearch8, &[nine]).await?;
                nodes::takes_every_node(&stage, nine, tally).await
            }
        }
    }
}
