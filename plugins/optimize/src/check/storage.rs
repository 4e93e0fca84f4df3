//! Space on the data nodes, and blocks that a full disk leaves behind.

use std::collections::{BTreeMap, BTreeSet};

use liftlock_sdk::prelude::*;

use super::{Goal, size, some};
use crate::by_name::ByName;
use crate::seen::Seen;

pub(super) fn check(seen: &Seen, goal: &Goal, found: &mut Vec<Finding>) {
    blocks(seen, found);
    watermarks(seen, found);
    trial_restore(seen, found);
    let copied = copied(seen, goal);
    copies(seen, &copied, found);
    documented_rule(seen, copied.len(), found);
}

/// The block that a server sets itself when a disk is past its flood stage.
const FULL_DISK: &str = "read_only_allow_delete";

fn is_opensearch(seen: &Seen) -> bool {
    seen.identities
        .first()
        .is_some_and(|identity| identity.distribution == Distribution::Opensearch)
}

/// One finding for each kind of block: a full disk blocks every index of the site at once.
fn blocks(seen: &Seen, found: &mut Vec<Finding>) {
    let closed: Vec<&str> = seen
        .indices
        .iter()
        .filter(|index| !index.open)
        .map(|index| index.name.as_str())
        .collect();
    if !closed.is_empty() {
        found.push(
            Finding::blocker("optimize.index-closed")
                .subject(some(&closed))
                .what(format!("{} indices are closed", closed.len()))
                .why("a closed index can be neither checked nor upgraded")
                .remedy("open them"),
        );
    }
    let mut blocked: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for index in seen.indices.iter().filter(|index| !index.blocks.is_empty()) {
        blocked
            .entry(index.blocks.join(", "))
            .or_default()
            .push(&index.name);
    }
    for (blocks, indices) in blocked {
        let by_full_disk = blocks == FULL_DISK;
        let refuses = match (by_full_disk, is_opensearch(seen)) {
            // Seen on both servers: the same block does not mean the same.
            (true, true) => "under it OpenSearch refuses documents, settings and mappings",
            (true, false) => {
                "under it Elasticsearch refuses documents and lets settings and mappings pass, so that the vendor's \
                 sync ends well and the block stays"
            }
            (false, _) => "under it the server refuses what an upgrade and its sync have to write",
        };
        let lift = |name: &str| {
            format!(
                "`PUT /{}/_settings {{\"index.blocks.{name}\":null}}`",
                indices[0]
            )
        };
        found.push(
            Finding::blocker("optimize.index-blocked")
                .subject(some(&indices))
                .what(format!(
                    "{} of {} indices have the block {blocks}",
                    indices.len(),
                    seen.indices.len()
                ))
                .why(format!(
                    "{refuses}. The vendor's upgrader sets the new version first and then fails at such an index; it \
                     lifts no block"
                ))
                .remedy(if by_full_disk {
                    format!(
                        "free space on the data nodes first; a server that does not lift the block then: {}, and so \
                         for each",
                        lift(FULL_DISK)
                    )
                } else {
                    let name = blocks.split(", ").next().unwrap_or_default();
                    format!("find out who set it and why, then lift it: {}, and so for each", lift(name))
                }),
        );
    }
}

fn watermarks(seen: &Seen, found: &mut Vec<Finding>) {
    for node in seen.data_nodes() {
        let free = node.disk_free_bytes;
        let (id, mark, why) = if free < node.watermark_flood_bytes {
            (
                "optimize.disk-flood",
                node.watermark_flood_bytes,
                "every index with a shard there gets blocked",
            )
        } else if free < node.watermark_high_bytes {
            (
                "optimize.disk-high",
                node.watermark_high_bytes,
                "shards are moved away from it",
            )
        } else if free < node.watermark_low_bytes {
            (
                "optimize.disk-low",
                node.watermark_low_bytes,
                "it takes no shard of a restore and no replica",
            )
        } else {
            continue;
        };
        let finding = if id == "optimize.disk-low" {
            Finding::warning(id)
        } else {
            Finding::blocker(id)
        };
        found.push(
            finding
                .subject(&node.name)
                .what(format!(
                    "{} are free, below the watermark of {}",
                    size(free),
                    size(mark)
                ))
                .why(why)
                .remedy("free space on it or add a data node")
                .evidence("free bytes", free)
                .evidence(
                    "low, high, flood",
                    format!(
                        "{}, {}, {}",
                        node.watermark_low_bytes,
                        node.watermark_high_bytes,
                        node.watermark_flood_bytes
                    ),
                ),
        );
    }
}

/// What a node takes before it is past its low watermark.
fn room(node: &Node) -> u64 {
    // A cluster that does not watch its disks has watermarks of 0.
    node.disk_free_bytes
        .saturating_sub(node.watermark_low_bytes)
}

/// The trial restore puts one more copy of each primary beside the real ones.
fn trial_restore(seen: &Seen, found: &mut Vec<Finding>) {
    if seen.backups.is_none() {
        return;
    }
    let needed = seen.primary_bytes();
    let room: u64 = seen.data_nodes().map(room).sum();
    if room < needed {
        found.push(
            Finding::blocker("optimize.no-room-for-trial-restore")
                .subject("data nodes")
                .what(format!(
                    "the trial restore takes {}, and {} are free above the low watermark",
                    size(needed),
                    size(room)
                ))
                .why("a snapshot that was never restored is no backup, and this one could not be restored here")
                .remedy("free space or add a data node")
                .evidence("bytes needed", needed)
                .evidence("bytes free above the low watermark", room),
        );
    }
}

/// The old versions of indices that the hop copies.
fn copied<'a>(seen: &'a Seen, goal: &Goal) -> Vec<&'a Index> {
    let steps = goal.hop().map(|hop| hop.steps(seen)).unwrap_or_default();
    let by = ByName::of(seen);
    steps
        .iter()
        .filter(|step| step.is_update())
        .filter_map(|step| by.versions(step).0)
        .collect()
}

/// How much of an index is needed beside it while it is copied: the copy, and as much again while the server
/// merges the copy's segments.
const COPY_TIMES: u64 = 2;

/// Each copy stands beside its index until the aliases have moved.
fn copies(seen: &Seen, copied: &[&Index], found: &mut Vec<Finding>) {
    let names: BTreeSet<&str> = copied.iter().map(|index| index.name.as_str()).collect();
    let of_copied = |shard: &&Shard| names.contains(shard.index.as_str());
    let shards = seen.shards.iter().filter(of_copied);
    let largest = shards.map(|shard| shard.bytes).max().unwrap_or_default() * COPY_TIMES;
    let needed = copied.iter().map(|index| index.bytes).sum::<u64>() * COPY_TIMES;
    let rooms: Vec<(&str, u64)> = seen
        .data_nodes()
        .map(|node| (node.name.as_str(), room(node)))
        .collect();
    let total: u64 = rooms.iter().map(|(_, room)| room).sum();
    let most = rooms
        .iter()
        .map(|(_, room)| *room)
        .max()
        .unwrap_or_default();
    let what = if total < needed {
        format!(
            "the copies of {} indices take up to {}, and {} are free above the low watermark",
            copied.len(),
            size(needed),
            size(total)
        )
    } else if most < largest {
        format!(
            "the copy of the largest shard takes up to {}, and no data node has that much free above its low watermark",
            size(largest)
        )
    } else {
        return;
    };
    let mut finding = Finding::blocker("optimize.no-room-for-copies")
        .subject("data nodes")
        .what(what)
        .why(
            "the copy stands beside the old index until it is whole, and its segments are merged meanwhile; the \
             vendor's upgrader does not look, and ends in the middle with `Error while trying to read reindex progress!`",
        )
        .remedy("free space or add a data node");
    for (node, room) in rooms {
        finding = finding.evidence(node, format!("{} above its low watermark", size(room)));
    }
    found.push(finding);
}

/// The vendor's rule asks for twice the storage, for plans that copy every index. What this one needs is known, so
/// falling short of the rule is worth a word and no refusal.
fn documented_rule(seen: &Seen, copied: usize, found: &mut Vec<Finding>) {
    let mut short = Vec::new();
    let mut finding = Finding::warning("optimize.disk-documented-rule")
        .subject("data nodes")
        .why(format!(
            "the vendor asks for up to twice the storage that Optimize uses now; that is for plans that copy all \
             indices, and this one copies {copied}"
        ))
        .remedy("free space if the vendor's rule binds you");
    for node in seen.data_nodes() {
        let held: u64 = seen
            .shards
            .iter()
            .filter(|shard| {
                shard
                    .node
                    .as_ref()
                    .is_some_and(|name| *name == node.name || *name == node.id)
            })
            .map(|shard| shard.bytes)
            .sum();
        if node.disk_free_bytes < held.saturating_mul(2) {
            finding = finding.evidence(
                &node.name,
                format!(
                    "holds {}, {} are free",
                    size(held),
                    size(node.disk_free_bytes)
                ),
            );
            short.push(node.name.as_str());
        }
    }
    if !short.is_empty() {
        found.push(finding.what(format!(
            "less than twice the storage is free on {}",
            some(&short)
        )));
    }
}
