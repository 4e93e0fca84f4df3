//! What this plugin says of itself and asks for.

use liftlock_sdk::prelude::*;

use crate::edges::HOPS;

/// The search cluster that Optimize keeps its data in.
pub(crate) const DATABASE: &str = "cluster.database";
/// Where snapshots go.
pub(crate) const BACKUPS: &str = "snapshot.backups";
/// Optimize itself, so that it can be stopped.
pub(crate) const OPTIMIZE: &str = "service.optimize";
/// The directory of `environment-config.yaml`.
pub(crate) const CONFIG: &str = "disk.config";

/// Files of [`CONFIG`] that a new installation needs again.
pub(crate) const CONFIG_FILES: &[&str] = &["environment-config.yaml", "environment-logback.xml"];

/// Most indices that step 1 of 8.8.0 may delete.
///
/// One is the rule; the index rolls over by size, and since Camunda 8 never writes to it, it stays at one.
/// Eight leaves room for a site that ran Camunda 7 data once, and still names them all in the plan.
pub(crate) const DOOMED_INDICES_MAX: usize = 8;

pub(crate) fn descriptor() -> Descriptor {
    Descriptor {
        product: "Camunda Optimize".into(),
        name: "camunda-optimize".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        summary: "takes a self-managed Camunda Optimize from 8.6 to 8.8, one minor line at a time"
            .into(),
        edges: HOPS
            .iter()
            .map(|hop| describe::edge(hop.from, hop.to, hop.note))
            .collect(),
        requests: vec![database(), backups(), optimize(), config()],
        options: vec![
            describe::text(
                "prefix",
                "optimize",
                "what Optimize's index names begin with, without the last `-`",
            ),
            describe::text(
                "neighbours",
                "",
                "prefixes of other Optimize sites that begin with ours, with commas between: `optimize-team-a`",
            ),
            describe::number(
                "quiet-seconds",
                10,
                "how long nothing may be written before a stopped Optimize is believed to be stopped; its importer \
                 writes every few seconds",
            ),
            describe::choice(
                "checksums",
                &["all", "fixed"],
                "which indices are compared document by document: `fixed` leaves out those of process and \
                 decision instances, which are then compared by uuid and count",
            ),
        ],
        more: vec![
            ("vendor".into(), "Camunda".into()),
            (
                "strategy".into(),
                "native: the vendor's steps and its update log, without the vendor's tool".into(),
            ),
        ],
    }
}

fn database() -> Request {
    let doomed = "{prefix}-variable-update-instance_v2*";
    let (log, metadata) = ("{prefix}-update-log_v1", "{prefix}-metadata_v3");
    describe::one(DATABASE, "Optimize keeps all of its data there")
        .verb("cluster.observe", &[], "version of each node, health, disk, heap and running tasks")
        .verb(
            "cluster.read",
            &["*"],
            "names, settings and aliases, no documents: a wrong prefix, a tenant inside ours and templates that \
             catch our names are only found by looking at all of them",
        )
        .verb("cluster.count", &[doomed, "{prefix}-license_v3"], "the index to be deleted must be empty")
        .verb(
            "cluster.read-documents",
            &["{prefix}-*"],
            "schema version and update log; checksums that show that no document changed",
        )
        .except(&["{neighbours}-*"])
        .verb_at_most("cluster.create-index", &[log, "{prefix}-update-log"], 1, "the vendor's update log, where it is missing")
        .verb_at_most("cluster.create-document", &[log], 3, "the vendor's update log: one document for each step")
        .verb_at_most(
            "cluster.delete-index",
            &[doomed],
            DOOMED_INDICES_MAX as u32,
            "the vendor's step 1 of 8.8.0: the index is unused",
        )
        .verb_at_most(
            "cluster.delete-template",
            &["{prefix}-variable-update-instance_v2", "{prefix}-external-process-variable_v2"],
            2,
            "the vendor's steps 2 and 3 of 8.8.0: rollover is gone",
        )
        .verb_at_most("cluster.replace-document", &[metadata], 1, "the schema version")
}

fn backups() -> Request {
    describe::optional(
        BACKUPS,
        "the way back; without it the deletions need a waiver",
    )
    .verb(
        "snapshot.read",
        &[],
        "is it there, does every node reach it, does a snapshot run",
    )
    .verb_at_most(
        "snapshot.take",
        &["{prefix}-*"],
        1,
        "before anything changes",
    )
    .except(&["{neighbours}-*"])
    .verb_at_most(
        "snapshot.prove",
        &[],
        1,
        "no backup without a trial restore",
    )
    .verb(
        "snapshot.restore",
        &["{prefix}-variable-update-instance_v2*"],
        "only to undo the deletion",
    )
}

fn optimize() -> Request {
    describe::optional(
        OPTIMIZE,
        "it must not write during the upgrade; without it a person attests that it is stopped",
    )
    .verb("service.read", &[], "is it stopped")
    .verb_at_most("service.stop", &[], 1, "before the snapshot")
    .verb_at_most("service.start", &[], 1, "only to undo the stop")
}

fn config() -> Request {
    describe::optional(
        CONFIG,
        "the new installation needs the old one's configuration",
    )
    .verb("disk.read", CONFIG_FILES, "are they there")
    .verb_at_most(
        "disk.keep",
        CONFIG_FILES,
        2,
        "a copy in the state directory",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_destructive_verb_has_the_scope_of_the_reads() {
        for request in descriptor().requests {
            let reads: Vec<_> = request
                .verbs
                .iter()
                .filter(|verb| verb.verb.contains(".read") || verb.verb.ends_with(".count"))
                .flat_map(|verb| verb.scope.clone())
                .collect();
            for verb in request
                .verbs
                .iter()
                .filter(|verb| verb.verb.contains(".delete"))
            {
                assert!(
                    !verb.scope.is_empty() && verb.at_most.is_some(),
                    "{}",
                    verb.verb
                );
                let narrow = |scope: &String| scope != "*" && scope != "{prefix}-*";
                assert!(verb.scope.iter().all(narrow), "{}", verb.verb);
            }
            assert!(
                request.verbs.iter().all(|verb| !verb.why.is_empty()),
                "{reads:?}"
            );
        }
    }
}
