//! Space on the data nodes, and blocks that a full disk leaves behind.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;

use super::{size, some};
use crate::seen::Seen;

pub(super) fn check(seen: &Seen, found: &mut Vec<Finding>) {
    blocks(seen, found);
    watermarks(seen, found);
    trial_restore(seen, found);
    documented_rule(seen, found);
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

/// The trial restore puts one more copy of each primary beside the real ones.
fn trial_restore(seen: &Seen, found: &mut Vec<Finding>) {
    if seen.backups.is_none() {
        return;
    }
    let needed = seen.primary_bytes();
    let room: u64 = seen
        .data_nodes()
        .map(|node| {
            // A cluster that does not watch its disks has watermarks of 0.
            node.disk_free_bytes
                .saturating_sub(node.watermark_low_bytes)
        })
        .sum();
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

/// The vendor's rule asks for twice the storage. No step of the known hops copies an index, so falling short is
/// worth a word and no refusal.
fn documented_rule(seen: &Seen, found: &mut Vec<Finding>) {
    let mut short = Vec::new();
    let mut finding = Finding::warning("optimize.disk-documented-rule")
        .subject("data nodes")
        .why(
            "the vendor asks for up to twice the storage that Optimize uses now; that is for plans that copy \
             indices, which this one does not",
        )
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
