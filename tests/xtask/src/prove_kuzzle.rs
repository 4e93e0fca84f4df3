//! `cargo xtask prove kuzzle`: a real Kuzzle, whose storage gets its next version.
//!
//! A command of its own and no part of the test command: Kuzzle needs Node.js and packages of npm.

use std::path::Path;

use liftlock_e2e::Tally;
use liftlock_e2e::artifacts::Component;
use liftlock_e2e::kuzzle;
use liftlock_e2e::kuzzle::KuzzleStage;

use crate::summary::Summary;

/// One part of the proof, on a site of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Node by node, with Kuzzle stopped.
    Rolling,
    /// The same, with Liftlock killed while a node is down.
    Killed,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Rolling => "7.17 to 8.19 node by node",
            Self::Killed => "killed while a node is down",
        }
    }

    async fn prove(
        self,
        liftlock: &Path,
        plugin: &Component,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let options = "method = \"rolling\"\nquiet-seconds = 2";
        let stage = KuzzleStage::start(liftlock, plugin, options).await?;
        match self {
            Self::Rolling => kuzzle::upgrades_node_by_node(&stage, tally).await,
            Self::Killed => kuzzle::goes_on_after_a_kill(&stage, tally).await,
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
        let what = format!("prove kuzzle, {}", part.name());
        let proof = part.prove(liftlock, plugin, &mut tally);
        let result = summary.wait(&what, proof).await;
        tally.check("the proof came to its end", result);
    }
    tally
}
