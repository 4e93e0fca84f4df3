//! The search cluster: versions, health, heap, blocks.

use liftlock_sdk::prelude::*;

use super::Goal;
use crate::inspect::product;
use crate::lines::{Database, database};
use crate::seen::Seen;

/// Most reasons of bad health that are shown: on one node every index has one, and they are all alike.
const REASONS_MAX: usize = 3;

pub(super) fn check(seen: &Seen, goal: &Goal, found: &mut Vec<Finding>) {
    if !goal.is_of_database {
        // That plan ends what these find.
        if let Some(wanted) = database(&goal.to) {
            versions(seen, goal, wanted, found);
        }
        mix(seen, found);
    }
    health(seen, found);
    heap(seen, found);
    cluster_blocks(seen, found);
}

fn versions(seen: &Seen, goal: &Goal, wanted: &Database, found: &mut Vec<Finding>) {
    for identity in &seen.identities {
        let minimum = wanted.least(identity.distribution);
        let (Ok(have), Ok(least)) = (
            identity.version.parse::<Version>(),
            minimum.parse::<Version>(),
        ) else {
            continue;
        };
        let base = |finding: Finding| {
            finding
                .subject(&identity.node_name)
                .what(format!("it is {}", product(identity)))
                .evidence(
                    "supported",
                    format!("{minimum} and later within major {}", least.major()),
                )
        };
        if have < least {
            found.push(
                base(Finding::blocker("optimize.database-too-old"))
                    .why(format!(
                        "Optimize {} needs at least {minimum}",
                        goal.to.minor_line()
                    ))
                    .remedy(format!(
                        "upgrade the database first, node by node (a rolling upgrade), to {minimum} or later within \
                         major {}; with its nodes bound and the option `database` a plan of this plugin does it",
                        least.major()
                    )),
            );
        } else if have.major() > least.major() && identity.distribution == Distribution::Opensearch
        {
            found.push(
                base(Finding::warning("optimize.database-not-listed"))
                    .why(
                        "the vendor's list has major 2 only; the steps of this plan work on OpenSearch 3, what \
                         Optimize itself does there is the vendor's to say",
                    )
                    .remedy("ask the vendor before you start Optimize on it"),
            );
        } else if have.major() > least.major() {
            found.push(
                base(Finding::blocker("optimize.database-too-new"))
                    .why(format!(
                        "Optimize {} is made for major {}",
                        goal.to.minor_line(),
                        least.major()
                    ))
                    .remedy("use a database of the supported major"),
            );
        }
    }
}

fn mix(seen: &Seen, found: &mut Vec<Finding>) {
    let mut kinds: Vec<String> = seen.identities.iter().map(product).collect();
    let mut clusters: Vec<&str> = seen
        .identities
        .iter()
        .map(|identity| identity.cluster_uuid.as_str())
        .collect();
    kinds.sort();
    kinds.dedup();
    clusters.sort_unstable();
    clusters.dedup();
    let mut finding = if clusters.len() > 1 {
        Finding::blocker("optimize.nodes-of-two-clusters")
            .what("the nodes belong to different clusters")
            .why("what is read from one would be changed on another")
            .remedy("correct the addresses of the binding")
    } else if kinds.len() > 1 {
        Finding::blocker("optimize.mixed-versions")
            .what(format!("the nodes run {}", kinds.join(" and ")))
            .why("the database is in the middle of its own upgrade, and a node may lack what another has")
            .remedy("finish the upgrade of the database")
    } else {
        if let Some(why) = &seen.unasked {
            found.push(
                Finding::info("optimize.nodes-not-asked")
                    .subject("cluster")
                    .what("not every node could be asked for its version")
                    .why("a node list can lie in a mixed cluster")
                    .remedy("let the host reach each node's HTTP endpoint, or make sure that all run one version")
                    .evidence("answer", why),
            );
        }
        return;
    };
    for identity in &seen.identities {
        finding = finding.evidence(
            &identity.node_name,
            format!("{}, cluster {}", product(identity), identity.cluster_uuid),
        );
    }
    found.push(finding.subject("cluster"));
}

fn health(seen: &Seen, found: &mut Vec<Finding>) {
    let health = &seen.health;
    let base = |mut finding: Finding| {
        for reason in health.reasons.iter().take(REASONS_MAX) {
            finding = finding.evidence("reason", reason);
        }
        if health.reasons.len() > REASONS_MAX {
            finding = finding.evidence("more like these", health.reasons.len() - REASONS_MAX);
        }
        finding.subject("cluster")
    };
    match health.status.as_str() {
        "green" => {}
        "yellow" if seen.data_nodes().count() <= 1 => found.push(base(Finding::info("optimize.health-yellow"))
                .what("it is yellow: with one data node replicas have no place")
                .why("no data is missing")
                .remedy("nothing to do"),
        ),
        "yellow" => found.push(base(Finding::warning("optimize.health-yellow"))
                .what(format!("it is yellow, {} shards have no node", health.unassigned_shards))
                .why("while replicas lack, the loss of one node can lose data")
                .remedy("let the replicas be assigned first, or accept the risk"),
        ),
        status => found.push(base(Finding::blocker("optimize.health-red"))
                .what(format!("it is {status}"))
                .why("data is missing already: neither a snapshot nor a check of the result would be complete")
                .remedy("repair the cluster"),
        ),
    }
    if health.relocating_shards + health.initializing_shards > 0 {
        found.push(
            Finding::warning("optimize.shards-moving")
                .subject("cluster")
                .what(format!(
                    "{} shards relocate, {} initialise",
                    health.relocating_shards, health.initializing_shards
                ))
                .why("a shard on the move can be unavailable when a step needs it")
                .remedy("wait until they have settled"),
        );
    }
}

fn heap(seen: &Seen, found: &mut Vec<Finding>) {
    for node in seen.data_nodes() {
        if crate::heap::is_small(node) {
            found.push(
                Finding::warning("optimize.heap-small")
                    .subject(&node.name)
                    .what(format!("its heap is {}", super::size(node.heap_max_bytes)))
                    .why("the vendor asks for at least 1g during the upgrade")
                    .remedy("set -Xms1g -Xmx1g or more and restart the node, before the upgrade"),
            );
        }
    }
}

fn cluster_blocks(seen: &Seen, found: &mut Vec<Finding>) {
    for key in [
        "cluster.blocks.read_only",
        "cluster.blocks.read_only_allow_delete",
        "cluster.blocks.create_index",
    ] {
        if seen.settings.get(key).is_some_and(|value| value == "true") {
            found.push(
                Finding::blocker("optimize.cluster-blocked")
                    .subject(key)
                    .what("it is set")
                    .why("no index can be made or changed anywhere in the cluster")
                    .remedy(format!(
                        "find out who set it and why, then set `{key}` to null"
                    )),
            );
        }
    }
    let allocation = seen
        .settings
        .get("cluster.routing.allocation.enable")
        .map(String::as_str);
    if let Some(value @ ("none" | "primaries" | "new_primaries")) = allocation {
        let finding = if value == "none" {
            Finding::blocker("optimize.allocation-off")
                .why("the update log and the trial restore would wait for their primaries for ever")
        } else {
            Finding::warning("optimize.allocation-off").why(if value == "new_primaries" {
                "restored primaries may get no node, so that the trial restore waits"
            } else {
                "replicas get no node"
            })
        };
        found.push(
            finding
                .subject("cluster.routing.allocation.enable")
                .what(format!("it is `{value}`"))
                .remedy("set it to null once whoever set it is done"),
        );
    }
}
