//! `cargo xtask prove nodes`: the nodes of real search clusters, taken from version to version by the SDK's module.

use std::path::Path;

use liftlock_e2e::Tally;
use liftlock_e2e::artifacts::Component;
use liftlock_e2e::nodes;
use liftlock_e2e::nodes::NodesStage;
use liftlock_lab::ServerKind;

use crate::summary::Summary;

/// One part of the proof, on a cluster of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// OpenSearch 1.3 to 2.19 to 3.3, with indices in the way of the last hop.
    Opensearch,
    /// Elasticsearch 8.19 to 9.4.
    Elasticsearch,
}

impl Part {
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

/// Proves these parts. An error of one does not keep the next from being looked at: it is a failed check.
pub(crate) async fn prove(
    liftlock: &Path,
    plugin: &Component,
    parts: &[Part],
    summary: &Summary,
) -> Tally {
    let mut tally = Tally::loud();
    for part in parts {
        tally.about(part.name());
        let what = format!("prove nodes, {}", part.name());
        let proof = part.prove(liftlock, plugin, &mut tally);
        let result = summary.wait(&what, proof).await;
        tally.check("the proof came to its end", result);
    }
    tally
}
