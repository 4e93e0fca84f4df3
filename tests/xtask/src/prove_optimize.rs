//! `cargo xtask prove optimize --part NAME`: what needs a cluster of several nodes, beside the rest of the proof.

use std::path::Path;

use liftlock_e2e::Kit;
use liftlock_e2e::Tally;
use liftlock_e2e::artifacts;
use liftlock_e2e::artifacts::Component;
use liftlock_e2e::proof;
use liftlock_e2e::proof::Searching;
use liftlock_lab::ServerKind;

use crate::parts;

/// One part of the proof, on a cluster of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// The database first, OpenSearch 2.11 to 2.19, then Optimize.
    Database,
    /// The same, killed once every node is new, and resumed.
    Killed,
}

impl parts::Part for Part {
    const PRODUCT: &str = "optimize";

    fn name(self) -> &'static str {
        match self {
            Self::Database => "OpenSearch 2.11 to 2.19, then Optimize",
            Self::Killed => "OpenSearch 2.11 to 2.19, killed once every node is new",
        }
    }

    async fn prove(
        self,
        liftlock: &Path,
        plugin: &Component,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let kit = Kit {
            liftlock: liftlock.to_owned(),
            pretend: artifacts::pretend_optimize()?,
            plugin: plugin.clone(),
        };
        let (from, to) = (ServerKind::OpenSearch211, ServerKind::OpenSearch2);
        let on = Searching::start(&kit, from, to).await?;
        match self {
            Self::Database => proof::upgrades_the_database_first(&on, tally).await,
            Self::Killed => proof::goes_on_once_every_node_is_new(&on, tally).await,
        }
    }
}
