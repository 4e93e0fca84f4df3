//! Traps of a Kuzzle whose storage is to get its next version, on real nodes, a real Kuzzle and a real Redis.
//!
//! - [`scene`]: the site, and what was touched of it
//! - `configuration`: what Kuzzle is told of its storage, and what it says of itself
//! - `collections`: indices and aliases
//! - `cluster`: settings, nodes, the repository, the new cluster
//! - `runs`: what comes up when a run begins or is under way

mod cluster;
mod collections;
mod configuration;
mod runs;
pub mod scene;

use std::time::Instant;

pub use scene::Kit;
pub use scene::Scene;
pub use scene::Way;

use super::Springing;
use super::TrapOn;
use crate::tally::Tally;

/// One trap of Kuzzle, and the way to the next version that it lies in.
pub type Trap = TrapOn<Way, for<'a> fn(&'a mut Scene) -> Springing<'a>>;

traps! {
    Way;
    Rolling "mode-ahead", configuration::mode_ahead,
        "Kuzzle ends at its next start: this version is not compatible with this version of Kuzzle";
    Rolling "mode-a-number", configuration::mode_a_number,
        "Kuzzle ends at its next start: `Invalid Elasticsearch version.`, as its guide shows a number";
    Rolling "mode-not-said", configuration::mode_not_said,
        "Kuzzle takes 7, calls itself healthy on 8, and fails at deletions by query";
    Rolling "token-refused", configuration::token_refused,
        "nobody asks Kuzzle whether it is well: the addresses that need no token say 200 in any case";
    Rolling "collection-closed", collections::closed,
        "no snapshot holds it, and nobody misses it";
    Rolling "collection-blocked", collections::blocked,
        "the first write after the upgrade fails, and the upgrade is blamed";
    Rolling "stray-index", collections::stray,
        "Kuzzle gives it an alias at its next start, and it is a collection";
    Rolling "alias-of-several", collections::alias_of_several,
        "Kuzzle ends at its next start: `multiple_indice_alias`";
    Rolling "no-replica", collections::no_replica,
        "the collection is gone while its node is down";
    Rolling "storage-red", cluster::red,
        "the snapshot fails, or holds less than one thinks";
    Rolling "allocation-left-behind", cluster::allocation_left,
        "the node that is back never gets its replicas, and the wait for green never ends";
    Rolling "disk-low", cluster::disk_low,
        "no shard comes back to the node, and the wait for green never ends";
    Rolling "repository-gone", cluster::repository_gone,
        "the snapshot fails when everything else is prepared";
    Rolling "node-without-service", cluster::node_without_service,
        "somebody stops another node than he thinks";
    Rolling "artifact-missing", cluster::artifact_missing,
        "the node is stopped, and there is nothing to start";
    Rolling "two-managers", cluster::two_managers,
        "nobody is elected until the stopped node is back: every write fails, in the middle of an upgrade without downtime";
    Rolling "setting-removed", cluster::setting_removed,
        "the new version ends with `unknown setting`, and the old one has left";
    Rolling "tier-filter", cluster::tier_filter,
        "what the last node held never starts again, and the wait for green never ends";
    Rolling "template-of-removed", cluster::template_of_removed,
        "the upgrade is called done, and the next collection cannot be made: `unknown setting`";
    Rolling "manager-moved", runs::manager_moved,
        "an older node cannot join a cluster whose manager is newer";
    Rolling "replica-held-back", runs::replica_held_back,
        "the wait for green never ends, and `yellow` says nothing of the reason";
    Rolling "wrong-join", runs::wrong_join,
        "the next node is taken, and the upgrade is called done";
    Snapshot "new-not-empty", cluster::new_not_empty,
        "the restore fails: `cannot restore index [%kuzzle.users] because an open index with same name already exists`";
    Snapshot "new-is-the-old", cluster::new_is_the_old,
        "the restore fails, or replaces what it came from";
    Snapshot "closed-beside", collections::closed_beside,
        "no snapshot holds it: the new cluster lacks it";
    Snapshot "address-not-said", configuration::address_not_said,
        "Kuzzle goes on with the old cluster, and what it writes there is lost at the second try";
}

/// Sets these traps one after another; each is one check.
pub async fn spring(kit: &Kit, traps: &[Trap], tally: &mut Tally) -> anyhow::Result<()> {
    let mut scene: Option<Scene> = None;
    for trap in traps {
        let begun = Instant::now();
        tally.about(trap.on.name());
        let mut here = match scene.take() {
            Some(here) if here.way() == trap.on && !here.is_spent => here,
            _ => Scene::new(kit, trap.on).await?,
        };
        let result = (trap.spring)(&mut here).await;
        // Whoever failed half way left the site as nobody knows.
        here.is_spent |= result.is_err();
        let mut lines = vec![format!("by hand: {}", trap.without)];
        lines.extend(here.take_lines());
        super::report(tally, trap.name, begun, result, &lines);
        scene = Some(here);
    }
    Ok(())
}
