//! `cargo xtask prove kuzzle`: a real Kuzzle, whose storage gets its next version.
//!
//! A command of its own and no part of the test command: Kuzzle needs Node.js and packages of npm.

use std::path::Path;

use liftlock_e2e::Tally;
use liftlock_e2e::artifacts::Component;
use liftlock_e2e::kuzzle;
use liftlock_e2e::kuzzle::BesideStage;
use liftlock_e2e::kuzzle::KuzzleStage;

use crate::parts;

/// One part of the proof, on a site of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Node by node, with Kuzzle stopped.
    Rolling,
    /// The same, with Liftlock killed while a node is down.
    Killed,
    /// Collections with no, one and two replicas.
    Replicas,
    /// A node that does not start in the new version.
    Lost,
    /// By a snapshot into a new cluster, and back to the old one.
    Snapshot,
    /// The same, with Liftlock killed while the new cluster is filled.
    KilledInRestore,
    /// The same on a second site first, filled from a snapshot: what it takes there and here.
    Rehearsal,
}

impl parts::Part for Part {
    const PRODUCT: &str = "kuzzle";

    fn name(self) -> &'static str {
        match self {
            Self::Rolling => "7.17 to 8.19 node by node",
            Self::Killed => "killed while a node is down",
            Self::Replicas => "no, one and two replicas",
            Self::Lost => "a node that does not come back",
            Self::Snapshot => "7.17 to 8.19 by a snapshot, and back",
            Self::KilledInRestore => "killed while the new cluster is filled",
            Self::Rehearsal => "rehearsed on a second site",
        }
    }

    async fn prove(
        self,
        liftlock: &Path,
        plugin: &Component,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let rolling = async || {
            let options = "method = \"rolling\"\nquiet-seconds = 2\nwatch-seconds = 2";
            KuzzleStage::start(liftlock, plugin, options).await
        };
        match self {
            Self::Rolling => kuzzle::upgrades_node_by_node(&rolling().await?, tally).await,
            Self::Killed => kuzzle::goes_on_after_a_kill(&rolling().await?, tally).await,
            Self::Replicas => kuzzle::goes_by_replicas(&rolling().await?, tally).await,
            Self::Lost => kuzzle::a_node_does_not_come_back(&rolling().await?, tally).await,
            Self::Snapshot => {
                let stage = BesideStage::start(liftlock, plugin).await?;
                kuzzle::moves_to_a_new_cluster_and_back(&stage, tally).await
            }
            Self::KilledInRestore => {
                let stage = BesideStage::start(liftlock, plugin).await?;
                kuzzle::goes_on_after_a_kill_in_the_restore(&stage, tally).await
            }
            Self::Rehearsal => {
                let stage = BesideStage::start(liftlock, plugin).await?;
                let second = kuzzle::Second::beside(&stage).await?;
                kuzzle::rehearses_on_a_second_site(&stage, &second, tally).await
            }
        }
    }
}
