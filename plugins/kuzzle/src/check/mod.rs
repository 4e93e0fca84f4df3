//! Findings that both methods share.
//!
//! - `versions`: the nodes, and whether a way leads from there to the target
//! - `deprecations`: what the server says of the way to the next version, and what we look at ourselves
//! - `storage`: health, disks, indices, aliases, backups
//! - `product`: Kuzzle itself
//! - `clients`: who else talks to the storage

mod clients;
mod deprecations;
mod product;
mod storage;
mod versions;

#[cfg(test)]
mod tests;

use liftlock_sdk::prelude::*;

use crate::known;
use crate::kuzzle::Kuzzles;
use crate::options::Options;
use crate::seen::Seen;

pub(crate) use deprecations::TAKEN_OFF;

/// What is seen, told under the page of its id.
pub(crate) fn found(
    id: &str,
    severity: Severity,
    subject: &str,
    what: impl Into<String>,
) -> Finding {
    let (means, remedy) = known::page(id);
    let finding = match severity {
        Severity::Blocker => Finding::blocker(id),
        Severity::Warning => Finding::warning(id),
        Severity::Info => Finding::info(id),
    };
    finding
        .subject(subject)
        .what(what)
        .why(means)
        .remedy(remedy)
}

pub(crate) fn blocker(id: &str, subject: &str, what: impl Into<String>) -> Finding {
    found(id, Severity::Blocker, subject, what)
}

pub(crate) fn warning(id: &str, subject: &str, what: impl Into<String>) -> Finding {
    found(id, Severity::Warning, subject, what)
}

pub(crate) fn info(id: &str, subject: &str, what: impl Into<String>) -> Finding {
    found(id, Severity::Info, subject, what)
}

/// Everything that is found of cluster and Kuzzle, whichever way is taken.
///
/// A run that goes on has stopped Kuzzle and mixed the versions itself, and knows it: what follows from that is no
/// finding then.
pub(crate) fn findings(
    seen: &Seen,
    kuzzles: &Kuzzles,
    options: &Options,
    target: &Target,
    moment: Moment,
) -> Vec<Finding> {
    let mut all = Vec::new();
    let Ok(to) = target.to.parse::<Version>() else {
        return vec![blocker("kuzzle.target", "target", &target.to)];
    };
    versions::check(seen, &to, &mut all);
    if !seen.all_are(&target.to) {
        deprecations::check(seen, &to, &mut all);
        clients::check(seen, &mut all);
    }
    storage::check(seen, options, moment, &mut all);
    product::check(seen, kuzzles, &to, moment, &mut all);
    all
}
