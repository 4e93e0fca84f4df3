//! The nodes' versions, and whether a way leads from there to the target.

use std::collections::BTreeSet;

use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling::NoWay;
use liftlock_sdk::told;

use super::{blocker, warning};
use crate::releases::{self, LAST_OF_EIGHT, PATCH_MIN};
use crate::seen::Seen;

pub(super) fn check(seen: &Seen, to: &Version, all: &mut Vec<Finding>) {
    for identity in &seen.identities {
        if identity.distribution != Distribution::Elasticsearch {
            all.push(blocker(
                "kuzzle.not-elasticsearch",
                &identity.node_name,
                format!("{:?} {}", identity.distribution, identity.version),
            ));
            return;
        }
    }
    let versions = seen.versions();
    let distinct: BTreeSet<&str> = versions.values().copied().collect();
    if distinct.len() > 2 {
        all.push(blocker(
            "kuzzle.several-versions",
            "nodes",
            told::first(&distinct, ", "),
        ));
    }
    for (node, version) in &versions {
        let Ok(from) = version.parse::<Version>() else {
            all.push(blocker("kuzzle.source", node, *version));
            continue;
        };
        match releases::way(&from, to) {
            Ok(()) => {}
            Err(NoWay::Target(what)) => {
                all.push(blocker("kuzzle.target", "target", what));
                return;
            }
            Err(NoWay::Source(what, _)) => all.push(blocker("kuzzle.source", node, what)),
            Err(NoWay::Newer(what)) => all.push(blocker("kuzzle.backwards", node, what)),
        }
        let is_first_patch = PATCH_MIN
            .parse::<Version>()
            .is_ok_and(|first| from.major() == 7 && from.minor() == first.minor() && from < first);
        if is_first_patch {
            all.push(blocker("kuzzle.first-patch", node, *version));
        }
    }
    own_words(seen, all);
    if to.major() == 8 && !to.matches(LAST_OF_EIGHT) && !seen.all_are(to.as_str()) {
        all.push(warning(
            "kuzzle.target-not-newest",
            "target",
            format!("{to}; the nodes are {}", told::first(&distinct, ", ")),
        ));
    }
}

/// What a node says of itself and what it wants of others counts more than the list.
fn own_words(seen: &Seen, all: &mut Vec<Finding>) {
    let said: BTreeSet<&str> = seen
        .identities
        .iter()
        .map(|it| it.node_name.as_str())
        .collect();
    for node in &seen.nodes {
        if !said.contains(node.name.as_str()) {
            all.push(warning(
                "kuzzle.node-not-asked",
                &node.name,
                format!("the list says {}", node.version),
            ));
        }
    }
    for wants in &seen.identities {
        let Ok(least) = wants.minimum_wire_version.parse::<Version>() else {
            continue;
        };
        for (node, version) in seen.versions() {
            if version.parse::<Version>().is_ok_and(|its| its < least) {
                all.push(blocker(
                    "kuzzle.source",
                    node,
                    format!(
                        "{version}; `{}` ({}) talks to {least} at the least",
                        wants.node_name, wants.version
                    ),
                ));
            }
        }
    }
}
