//! Proofs in parts, each on a site of its own.

use std::path::Path;

use liftlock_e2e::Tally;
use liftlock_e2e::artifacts::Component;

use crate::summary::Summary;

/// One part of a product's proof.
pub(crate) trait Part: Copy {
    /// The product, as it is named on the command line.
    const PRODUCT: &str;

    /// What it shows, for people.
    fn name(self) -> &'static str;

    /// Shows it.
    async fn prove(
        self,
        liftlock: &Path,
        plugin: &Component,
        tally: &mut Tally,
    ) -> anyhow::Result<()>;
}

/// Proves these parts. An error of one does not keep the next from being looked at: it is a failed check.
pub(crate) async fn prove<P: Part>(
    liftlock: &Path,
    plugin: &Component,
    parts: &[P],
    tally: &mut Tally,
    summary: &Summary,
) {
    for part in parts {
        tally.about(part.name());
        let what = format!("prove {}, {}", P::PRODUCT, part.name());
        let proof = part.prove(liftlock, plugin, tally);
        let result = summary.wait(&what, proof).await;
        tally.check("the proof came to its end", result);
    }
}
