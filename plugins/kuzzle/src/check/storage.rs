//! Health, disks, indices, aliases, backups.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;
use liftlock_sdk::told;

use super::{blocker, info, warning};
use crate::options::Options;
use crate::seen::Seen;

pub(super) fn check(seen: &Seen, options: &Options, moment: Moment, all: &mut Vec<Finding>) {
    if seen.health.status == "red" && moment != Moment::OnResume {
        all.push(blocker(
            "kuzzle.storage-red",
            "cluster",
            told::first(&seen.health.reasons, "; "),
        ));
    }
    disks(seen, all);
    blocks(seen, options, all);
    aliases(seen, options, all);
    for one in &seen.archived {
        all.push(warning(
            "kuzzle.archived-setting",
            &one.key,
            format!("its value was `{}`", one.value),
        ));
    }
    backups(seen, all);
}

fn disks(seen: &Seen, all: &mut Vec<Finding>) {
    for node in &seen.nodes {
        let free = node.disk_free_bytes;
        if node.disk_total_bytes > 0 && free < node.watermark_low_bytes {
            all.push(blocker(
                "kuzzle.disk-low",
                &node.name,
                format!(
                    "{free} bytes are free; below {} no shard comes back to it",
                    node.watermark_low_bytes
                ),
            ));
        }
    }
}

fn blocks(seen: &Seen, options: &Options, all: &mut Vec<Finding>) {
    for index in seen.ours(options) {
        if index.blocks.iter().any(|it| it == "read_only_allow_delete") {
            all.push(blocker(
                "kuzzle.disk-was-full",
                &index.name,
                "read_only_allow_delete",
            ));
        } else if !index.blocks.is_empty() {
            all.push(warning(
                "kuzzle.blocked",
                &index.name,
                told::first(&index.blocks, ", "),
            ));
        }
        if !index.open {
            all.push(warning(
                "kuzzle.closed",
                &index.name,
                "its documents are not looked at",
            ));
        }
    }
}

/// The alias says which collection an index is: one for each, and each of one index.
fn aliases(seen: &Seen, options: &Options, all: &mut Vec<Finding>) {
    let mut indices: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for alias in &seen.aliases {
        indices.entry(&alias.name).or_default().push(&alias.index);
    }
    for (alias, of) in &indices {
        if of.len() > 1 {
            all.push(blocker(
                "kuzzle.alias-of-several",
                alias,
                told::first(of, ", "),
            ));
        }
    }
    for index in seen.ours(options) {
        let has = seen.aliases.iter().any(|alias| alias.index == index.name);
        if !has && options.also.as_deref() != Some(&index.name) {
            all.push(warning(
                "kuzzle.stray-index",
                &index.name,
                format!("{} documents, no alias", index.docs),
            ));
        }
    }
    if seen.ours(options).next().is_none() {
        all.push(blocker(
            "kuzzle.no-collections",
            "cluster",
            "no index begins with `&` or `%`",
        ));
    }
}

fn backups(seen: &Seen, all: &mut Vec<Finding>) {
    let Some(backups) = &seen.backups else {
        all.push(warning(
            "kuzzle.no-backups",
            "snapshot.backups",
            "no repository is bound",
        ));
        return;
    };
    match &backups.verified {
        Err(why) => all.push(blocker("kuzzle.backups-not-reached", &backups.name, why)),
        Ok(nodes) if nodes.len() < seen.nodes.len() => all.push(blocker(
            "kuzzle.backups-not-reached",
            &backups.name,
            format!("{} of {} nodes reach it", nodes.len(), seen.nodes.len()),
        )),
        Ok(nodes) => all.push(info(
            "kuzzle.backups-reached",
            &backups.name,
            format!("all {} nodes reach it", nodes.len()),
        )),
    }
}
