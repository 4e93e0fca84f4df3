//! What this plugin says of itself and asks for.

use liftlock_sdk::prelude::*;

use crate::edges::HOPS;
use crate::{heap, known, rolling, shipped, tuned, upgraded, vendor};

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

/// Most archives that the plan to 8.6 may delete: Optimize made one for each process of Camunda 7.
///
/// The largest site that the plan is made for has as many process definitions.
const ARCHIVES_MAX: u32 = 1_000;

/// What only the line before 8.6 has, deleted on the way there.
const OLDER: &[&str] = &[
    "{prefix}-onboarding-state_v2",
    "{prefix}-import-index_v3",
    "{prefix}-event_v4",
    "{prefix}-event_v4-*",
    "{prefix}-event-process-definition_v5",
    "{prefix}-event-process-mapping_v4",
    "{prefix}-event-process-publish-state_v4",
    "{prefix}-event-sequence-count-external_v4",
    "{prefix}-event-trace-state-external_v2",
    "{prefix}-license_v3",
];

/// What the archives of process instances are called, and processes whose key begins with `archive-`.
const ARCHIVES: &str = "{prefix}-process-instance-archive-*";

/// The index that the plan to 8.6 brings to a new version, with both versions.
const SETTINGS: &[&str] = &["{prefix}-settings_v2", "{prefix}-settings_v3"];

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
        summary:
            "takes a self-managed Camunda Optimize from 8.5 (3.13) to 8.8, one minor line at a time"
                .into(),
        edges: HOPS
            .iter()
            .map(|hop| describe::edge(hop.from, hop.to, hop.note))
            .collect(),
        requests: vec![
            database(),
            backups(),
            optimize(),
            rolling::nodes(),
            config(),
            shipped::request(),
            upgraded::request(),
            heap::files(),
            heap::service(),
        ],
        options: vec![
            describe::choice(
                "strategy",
                &["auto", "native", "vendor"],
                "who does the steps: this plugin (`native`) or the vendor's own upgrader (`vendor`); `auto` is the \
                 vendor's where a distribution of the target version is bound and a task runs it",
            ),
            describe::number(
                "synced-replicas",
                1,
                "`number_of_replicas` in the configuration of the vendor's upgrader: what its sync sets on most \
                 indices, so that the plan puts back what differs",
            ),
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
        ]
        .into_iter()
        .chain(rolling::options())
        .collect(),
        findings: known::findings(),
        more: vec![
            ("vendor".into(), "Camunda".into()),
            (
                "strategy".into(),
                "native: the vendor's steps and its update log, without the vendor's tool; vendor: its own tool, \
                 read back"
                    .into(),
            ),
        ],
    }
}

/// The index that is unused in Camunda 8, with its rollovers.
const DOOMED: &str = "{prefix}-variable-update-instance_v2*";

/// The vendor's update log.
const UPDATE_LOG: &str = "{prefix}-update-log_v1";

/// Indices of process instances, where the hop for tests gives them a new version.
#[cfg(feature = "test-edge")]
const PROCESSES: &[&str] = &["{prefix}-process-instance*"];
#[cfg(not(feature = "test-edge"))]
const PROCESSES: &[&str] = &[];

/// Most indices that one plan brings to a new version: the settings; for tests, one for each process.
const RENEWED_MAX: u32 = if cfg!(feature = "test-edge") {
    1_000
} else {
    1
};

/// The update log comes on top.
const CREATED_MAX: u32 = RENEWED_MAX + 1;

/// The older indices with a few rollovers of one of them, the old version of what is renewed, and the archives.
const DELETED_MAX: u32 =
    OLDER.len() as u32 + DOOMED_INDICES_MAX as u32 + RENEWED_MAX + ARCHIVES_MAX;

/// A document for each step: templates come on top.
const LOGGED_MAX: u32 = DELETED_MAX + 2;

fn deleted(doomed: &'static str) -> Vec<&'static str> {
    [OLDER, &[doomed, SETTINGS[0], ARCHIVES], PROCESSES].concat()
}

fn counted() -> Vec<&'static str> {
    let seen = ["{prefix}-process-definition_v*", UPDATE_LOG];
    [&deleted(DOOMED)[..], SETTINGS, &seen].concat()
}

fn renewed() -> Vec<&'static str> {
    [SETTINGS, PROCESSES].concat()
}

fn created() -> Vec<&'static str> {
    [&[UPDATE_LOG, "{prefix}-update-log", SETTINGS[1]], PROCESSES].concat()
}

fn moved() -> Vec<&'static str> {
    [&["{prefix}-settings"], SETTINGS, PROCESSES].concat()
}

fn database() -> Request {
    let doomed = DOOMED;
    let (log, metadata) = (UPDATE_LOG, "{prefix}-metadata_v3");
    let request = describe::one(DATABASE, "Optimize keeps all of its data there")
        .verb("cluster.observe", &[], "version of each node, health, disk, heap and running tasks")
        .verb(
            "cluster.read",
            &["*"],
            "names, settings and aliases, no documents: a wrong prefix, a tenant inside ours and templates that \
             catch our names are only found by looking at all of them",
        )
        .verb(
            "cluster.count",
            &counted(),
            "what is deleted must be empty or known; archives are told from processes by what they hold; the update \
             log is read after a refresh",
        )
        .verb(
            "cluster.read-documents",
            &["{prefix}-*"],
            "schema version and update log; checksums that show that no document changed",
        )
        .except(&["{neighbours}-*"])
        .verb_at_most(
            "cluster.create-index",
            &created(),
            CREATED_MAX,
            "the vendor's update log, where it is missing; the new version of the settings index to 8.6.0",
        )
        .verb_at_most(
            "cluster.reindex",
            &renewed(),
            RENEWED_MAX,
            "the vendor's step 11 of 8.6.0: the settings without two fields",
        )
        .verb_at_most(
            "cluster.update-aliases",
            &moved(),
            2 * RENEWED_MAX,
            "from the old version of the index to the new one, in one request",
        )
        .verb_at_most(
            "cluster.create-document",
            &[log],
            LOGGED_MAX,
            "the vendor's update log: one document for each step",
        )
        .verb_at_most(
            "cluster.delete-index",
            &deleted(doomed),
            DELETED_MAX,
            "the vendor's deletions: to 8.8.0 one unused index; to 8.6.0 what only Camunda 7 used, the archives, and \
             the old version of the settings index",
        )
        .verb_at_most(
            "cluster.delete-template",
            &[
                "{prefix}-event_v4",
                "{prefix}-variable-update-instance_v2",
                "{prefix}-external-process-variable_v2",
            ],
            2,
            "the vendor's steps 2 and 3 of 8.8.0: rollover is gone; step 4 of 8.6.0",
        )
        .verb_at_most("cluster.replace-document", &[metadata], 1, "the schema version")
        .verb_at_most(
            "cluster.put-settings",
            &["{prefix}-*"],
            tuned::CHANGES_MAX,
            "replicas and refresh intervals that the vendor's sync resets, put back; a mark that shows that it came",
        )
        .except(&["{neighbours}-*"]);
    rolling::verbs(request)
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
        &["{prefix}-*"],
        "only to undo what was deleted, or what the vendor's upgrader did",
    )
    .except(&["{neighbours}-*"])
}

fn optimize() -> Request {
    describe::optional(
        OPTIMIZE,
        "it must not write during the upgrade; without it a person attests that it is stopped",
    )
    .verb("service.read", &[], "is it stopped")
    .verb_at_most("service.stop", &[], 1, "before the snapshot")
    .verb_at_most("service.start", &[], 1, "only to undo the stop")
    .verb_at_most(
        "service.run-task",
        &[vendor::TASK],
        1,
        "the vendor's own upgrader, where the strategy is `vendor`",
    )
}

fn config() -> Request {
    describe::optional(
        CONFIG,
        "the new installation needs the old one's configuration",
    )
    .verb(
        "disk.read",
        CONFIG_FILES,
        "are they there; which prefix and database the vendor's upgrader will read",
    )
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

    #[cfg(not(feature = "test-edge"))]
    #[test]
    fn what_is_shipped_may_not_touch_the_indices_of_process_instances() {
        for request in descriptor().requests {
            for verb in request.verbs.iter().filter(|verb| verb.at_most.is_some()) {
                for scope in &verb.scope {
                    let beginning = scope.trim_end_matches('*');
                    let reaches = "{prefix}-process-instance-invoice_v8".starts_with(beginning);
                    // What the vendor's sync resets is put back on every index; no document is in that.
                    let harmless = ["snapshot.take", "cluster.put-settings"];
                    assert!(
                        !reaches || harmless.contains(&verb.verb.as_str()),
                        "{} {scope}",
                        verb.verb
                    );
                }
            }
        }
    }

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
