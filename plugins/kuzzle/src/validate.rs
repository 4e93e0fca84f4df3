//! What stands there after the run, compared with what should.

use liftlock_sdk::prelude::*;

use crate::check::blocker;
use crate::kuzzle::Kuzzles;
use crate::options::Options;
use crate::seen::Seen;

/// Every node is the target's, and Kuzzle is well on it.
pub(crate) fn findings(
    _: &Run,
    seen: &Seen,
    kuzzles: &Kuzzles,
    _: &Options,
    target: &Target,
) -> Result<Vec<Finding>> {
    let mut all = Vec::new();
    for (node, version) in seen.versions() {
        if version != target.to {
            all.push(blocker("kuzzle.node-of-another-version", node, version));
        }
    }
    for said in &kuzzles.said {
        match &said.health {
            Some((200, _)) => {}
            other => all.push(blocker(
                "kuzzle.unhealthy",
                &said.binding,
                format!("{other:?}"),
            )),
        }
        if said.storage.as_deref() != Some(target.to.as_str()) {
            all.push(blocker(
                "kuzzle.sees-another-version",
                &said.binding,
                said.storage
                    .clone()
                    .unwrap_or_else(|| "it does not say".into()),
            ));
        }
    }
    Ok(all)
}
