//! What each finding means wherever it is found, its remedy, and where that is known from: for `liftlock explain`.
//!
//! A finding itself says what was seen on this site; these are the pages behind them, one for each id.

use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling;

use crate::rolling::IDS;

const GUIDE: &str = "the vendor's guide for the upgrade";
const ENVIRONMENTS: &str = "the vendor's list of supported environments for 8.8";
const SEEN: &str = "a run of the vendor's upgrader, on OpenSearch 2.19 or Elasticsearch 8.19";
const READ: &str = "the sources of the vendor's upgrader";
const SERVERS: &str = "tried on OpenSearch 2.19 and Elasticsearch 8.19";
const OURS: &str = "a rule of this plugin";

/// Id without `optimize.`, what it means, remedy, source; sorted by id.
const KNOWN: &[[&str; 4]] = &[
    [
        "alias-has-more",
        "An alias on an index that gets a new version has a filter, a routing or the mark `is_hidden`. The \
         aliases move in one request that sets a write flag and nothing else, so that this would be lost with \
         the old index.",
        "keep what the server says of the alias; set it plain before the upgrade, and with the rest on the new \
         index afterwards",
        OURS,
    ],
    [
        "alias-missing",
        "An index of the site is there and its alias is not. Optimize reads and writes by the alias only, so \
         that the data is out of its sight.",
        "put the alias back as the write alias of the index",
        "reported by operators: camunda-bpm-platform#5186",
    ],
    [
        "alias-of-somebody-else",
        "An alias that is none of Optimize's is on an index that gets a new version. The grant lets the plan \
         move Optimize's own aliases only; the other would go with the old index.",
        "take it off before the upgrade and put it on the new index afterwards",
        OURS,
    ],
    [
        "alias-write-index",
        "An alias of Optimize has no write index, or more than one. Optimize could not write, or an earlier \
         upgrade stopped in the middle and readers may see documents twice.",
        "find out which index is complete, and let the alias write to that one alone",
        SEEN,
    ],
    [
        "aliases-not-read",
        "The cluster has more aliases than a list may hold, so that an alias of somebody else on an index that \
         gets a new version could be missed.",
        "take aliases off that nobody needs",
        OURS,
    ],
    [
        "allocation-off",
        "The allocation of shards is switched off, wholly or in part. The update log and the trial restore \
         would wait for their shards.",
        "set `cluster.routing.allocation.enable` to null once whoever set it is done",
        SERVERS,
    ],
    [
        "already-there",
        "The schema version is the target's already.",
        "nothing to do",
        SEEN,
    ],
    [
        "archive-named-process",
        "The key of a process begins with `archive-`. The vendor's upgrader to 8.6 goes by the name alone and \
         deletes the index with all instances of the process; the native strategy tells the two apart by what \
         they hold.",
        "never let the vendor's upgrader to 8.6 run on such a site",
        READ,
    ],
    [
        "archive-unsure",
        "Nothing shows whether an index is an archive, which the upgrade to 8.6 deletes, or of a live process \
         whose key begins with `archive-`.",
        "look into it: delete it yourself where it is an archive; else make sure that the process has its \
         definition in Optimize",
        OURS,
    ],
    [
        "camunda-7-data",
        "The license index of Camunda 7 holds documents. From 8.6 on Optimize is for Camunda 8 only, and its \
         own upgrader refuses such a site.",
        "keep the site on its line, or clear the Camunda 7 data as the vendor describes",
        READ,
    ],
    [
        "changed-beside-the-plan",
        "At the end something differs from before that the plan does not change. Somebody else wrote during the \
         upgrade, so that its result is not the one that was approved.",
        "find out who wrote; compare with the snapshot of the run before Optimize is started",
        OURS,
    ],
    [
        "cluster-blocked",
        "A block is set for the whole cluster: no index can be made or changed.",
        "find out who set it and why, then set it to null",
        SERVERS,
    ],
    [
        "config-differs",
        "The new distribution holds another `environment-config.yaml` than the old installation. It may be \
         prepared for the new release, so it is left.",
        "compare the two before the new release is started",
        OURS,
    ],
    [
        "config-of-another-database",
        "The configuration that the vendor's upgrader reads names an address that no node of the bound database \
         publishes. The tool would work there, and end well.",
        "write the bound database into the file; or bind the one that the file names",
        SEEN,
    ],
    [
        "config-of-another-prefix",
        "The configuration that the vendor's upgrader reads names another prefix than the site's. The tool \
         takes that for a new installation, makes an empty schema beside the real one and ends with success.",
        "write the site's prefix into the file",
        SEEN,
    ],
    [
        "config-without-prefix",
        "The site has a prefix of its own, and the configuration that the vendor's upgrader reads does not \
         write it out. Unless a variable of the task does, the tool takes `optimize`; the read-back finds it \
         out afterwards.",
        "write the prefix into the file, or make sure of the environment of the task",
        SEEN,
    ],
    [
        "database-first",
        "The option `database` names a newer version than the nodes of the database have. They get it first, one after \
         another, by a plan of its own.",
        "plan and run it, then plan again for Optimize itself",
        GUIDE,
    ],
    [
        "database-leaves-line",
        "The line of Optimize that runs is not known to run on the version that the option `database` names: it stays \
         stopped between the plan of the database and its own.",
        "have the time for both plans",
        ENVIRONMENTS,
    ],
    [
        "database-not-listed",
        "The version of the database is not on the vendor's list, and nothing is known to speak against it.",
        "ask the vendor before Optimize is started on it",
        ENVIRONMENTS,
    ],
    [
        "database-target",
        "The option `database` names a version that a line of Optimize on the way does not run on. No node goes back to \
         an older version, so that the database is not upgraded where Optimize could not follow.",
        "name a version that the vendor lists for every line on the way",
        ENVIRONMENTS,
    ],
    [
        "database-too-new",
        "The database is of a major version that Optimize does not support.",
        "use a database of the supported major",
        ENVIRONMENTS,
    ],
    [
        "database-too-old",
        "The database is older than what the target supports.",
        "upgrade the database first, one node after the other, then plan again; with its nodes bound and the option \
         `database` a plan of this plugin does it",
        ENVIRONMENTS,
    ],
    [
        "deletes-documents",
        "The upgrade deletes indices that hold documents, since the vendor gave up what they were for. \
         Afterwards they are in the snapshot of the run alone.",
        "export what you want to keep before the plan is approved",
        READ,
    ],
    [
        "disk-documented-rule",
        "The vendor asks for twice the storage of the site. This plan needs less, and what it needs is there.",
        "free space if the vendor's rule binds you",
        GUIDE,
    ],
    [
        "disk-flood",
        "A data node is above its flood-stage watermark: the server blocks its indices for writing, and the \
         vendor's upgrader fails in its sync after the version is set.",
        "free space on it or add a data node",
        "reported by operators: camunda/zeebe-chaos#900",
    ],
    [
        "disk-high",
        "A data node is above its high watermark: shards leave it.",
        "free space on it or add a data node",
        SERVERS,
    ],
    [
        "disk-low",
        "A data node is above its low watermark: it takes no new shards, so that a new index or the trial \
         restore may find no place.",
        "free space on it or add a data node",
        SERVERS,
    ],
    [
        "distribution-of-another-release",
        "The bound distribution is not of the target's release. Its upgrader brings the schema to its own \
         release and to no other, and ends well where it has nothing to do.",
        "unpack the distribution of the target there",
        SEEN,
    ],
    [
        "distribution-unknown",
        "Whether the task runs the upgrader of the target's release cannot be seen before it has run.",
        "bind the directory of the new distribution",
        OURS,
    ],
    [
        "doomed-alias-missing",
        "An index that the upgrade deletes is there and its alias is not. The vendor's upgrader finds it by the \
         alias: it records the deletion as done and leaves the index as an orphan.",
        "put the alias back",
        SEEN,
    ],
    [
        "doomed-alias-on-stranger",
        "The alias of an index that the upgrade deletes is on another index too. The vendor's upgrader deletes \
         what is behind the alias; this plan deletes by name only.",
        "take the alias off that index",
        READ,
    ],
    [
        "doomed-index-has-documents",
        "An index that the vendor deletes as unused holds documents. Somebody wrote them, and they would be \
         gone.",
        "find out what they are; if they may go, waive this finding with the reason",
        READ,
    ],
    [
        "health-red",
        "A primary shard has no node: data is missing, and neither a snapshot nor a check of the result would \
         be complete.",
        "repair the cluster",
        SERVERS,
    ],
    [
        "health-yellow",
        "A replica has no node. On one data node that is always so; on more, the loss of one node can lose \
         data.",
        "let the replicas be assigned first, or accept the risk",
        SERVERS,
    ],
    [
        "heap-not-raised",
        "The heap is as it was after the restart: something outside of the configuration directory sets it.",
        "look at ES_JAVA_OPTS or OPENSEARCH_JAVA_OPTS where the node is started",
        SERVERS,
    ],
    [
        "heap-small",
        "A data node has a heap below the 1g that the vendor asks for during the upgrade.",
        "set -Xms1g and -Xmx1g or more and restart the node; where its configuration and its service are bound, \
         the plan does it",
        GUIDE,
    ],
    [
        "index-blocked",
        "An index has a block. The vendor's upgrader sets the version first and dies of it in its sync; \
         OpenSearch and Elasticsearch differ in what passes.",
        "find out who set it and why, then lift it",
        SEEN,
    ],
    [
        "index-closed",
        "An index is closed: it can be neither checked nor upgraded.",
        "open it",
        SERVERS,
    ],
    [
        "index-missing",
        "Neither an alias of the site nor an index of it is there: what was in it is lost. The vendor's \
         upgrader makes it anew, empty, and says nothing.",
        "restore it from a snapshot, or let the old Optimize make it, empty, at its start",
        "reported by operators: camunda-bpm-platform#5186",
    ],
    [
        "installation-id-changed",
        "The installation id is another one than before: somebody made a new installation here.",
        "find out who wrote the document",
        SEEN,
    ],
    [
        "left-over",
        "What the upgrade does away with is there again, or still.",
        "find out who made it, then resume the run",
        OURS,
    ],
    [
        "metadata-document-missing",
        "The metadata index has no document `1`. The vendor's upgrader skips its steps then, writes the new \
         version with a new installation id and ends with success.",
        "restore the document from a snapshot",
        SEEN,
    ],
    [
        "metadata-missing",
        "The metadata index is not there. The vendor's upgrader takes that for a new installation and makes an \
         empty schema.",
        "check the prefix and the cluster; where it was lost, restore it from a snapshot",
        SEEN,
    ],
    [
        "metadata-unreadable",
        "The metadata document has no schema version that is one.",
        "restore the document from a snapshot",
        READ,
    ],
    [
        "mixed-versions",
        "The nodes run different versions: the database is in the middle of its own upgrade.",
        "finish the upgrade of the database",
        OURS,
    ],
    [
        "new-release-running",
        "The new release of Optimize runs already, while the plan is to start it at its end.",
        "stop it until the upgrade is done",
        OURS,
    ],
    [
        "new-version-missing",
        "At the end the new version of an index is not there.",
        "restore the old index from the snapshot of the run",
        OURS,
    ],
    [
        "no-room-for-copies",
        "The new versions of indices stand beside the old ones while they are copied, and there is no room for \
         both. The vendor's upgrader does not look and ends in the middle.",
        "free space or add a data node",
        "reported by operators: camunda-bpm-platform#4764",
    ],
    [
        "no-room-for-trial-restore",
        "There is no room to restore the snapshot on trial, and a snapshot that was never restored is no \
         backup.",
        "free space or add a data node",
        OURS,
    ],
    [
        "no-snapshot",
        "No snapshot repository is bound: after the first deletion there is no way back, so that each deletion \
         needs a waiver.",
        "bind a repository",
        GUIDE,
    ],
    [
        "no-such-release",
        "There is no Optimize of that version: after 8.8.8 came 8.8.24. A site set to it would be started by no \
         Optimize.",
        "name a release that exists",
        READ,
    ],
    [
        "nodes-not-asked",
        "Not every node could be asked for its version, and a node list can lie in a mixed cluster.",
        "let the host reach each node, or make sure that all run one version",
        OURS,
    ],
    [
        "nodes-of-two-clusters",
        "The addresses of the binding lead to different clusters: what is read from one would be changed on \
         another.",
        "correct the addresses",
        OURS,
    ],
    [
        "overlapping-prefix",
        "Another Optimize has a prefix that begins with this one's, so that its names lie inside ours. The \
         vendor's upgrader asks for `optimize*`, which matches both.",
        "name its prefix in the option `neighbours`, then grant again",
        READ,
    ],
    [
        "replicas-reset-at-start",
        "The new release set replicas to its own configuration when it started.",
        "set `number_of_replicas` in its configuration, then set the indices again",
        READ,
    ],
    [
        "replicas-tuned",
        "Indices have other replicas than Optimize's configuration would set. The plan keeps them; Optimize \
         sets most of them at its start.",
        "set `number_of_replicas` in Optimize's configuration before it is started",
        SEEN,
    ],
    [
        "repository-missing",
        "The snapshot repository is not registered in the cluster.",
        "register it",
        SERVERS,
    ],
    [
        "repository-not-reached",
        "A data node does not reach the repository: its shards would be missing in the snapshot.",
        "mount or configure the repository on every node",
        SERVERS,
    ],
    [
        "running",
        "Optimize runs. The plan stops it first and proves it.",
        "nothing to do",
        GUIDE,
    ],
    [
        "schema-newer",
        "The schema is newer than the target. There is no way back but a restore; the vendor's upgrader puts \
         the older settings and mappings on the newer schema and ends with success.",
        "name the schema's version or a newer one, or restore a snapshot of the older version",
        SEEN,
    ],
    [
        "schema-unknown",
        "This plugin has no way from the site's schema version.",
        "bring the site to a line that the plugin knows with the vendor's own tool first",
        READ,
    ],
    [
        "second-upgrader",
        "Somebody else upgrades or restores the site, or has done so since the plan was made. The vendor's \
         upgrader has no lock: two at once can fail each other in the middle.",
        "find it and let it end; what it has done is found and not done again",
        SEEN,
    ],
    [
        "service-not-bound",
        "Optimize is not bound, so that the plan cannot stop it.",
        "bind it, or stop it yourself and attest it when the run asks",
        GUIDE,
    ],
    [
        "service-unclear",
        "Whether Optimize runs cannot be told, and what cannot be told to run cannot be proved to be stopped.",
        "look at the definition of the service in site.toml",
        OURS,
    ],
    [
        "several-hops",
        "The target is more than one minor line away. Each hop is a plan of its own, since the vendor's plans \
         are for neighbouring lines only.",
        "plan and run the first hop, then plan again",
        GUIDE,
    ],
    [
        "shards-moving",
        "Shards are on the move or start: one can be unavailable when a step needs it.",
        "wait until they have settled",
        "reported by operators: camunda/zeebe-chaos",
    ],
    [
        "snapshot-running",
        "A snapshot runs. The server refuses to delete an index that is in it, and the vendor's upgrader tries \
         again every 30 seconds for ever; the run here waits for an hour at most.",
        "nothing to do, or cancel the snapshot",
        SEEN,
    ],
    [
        "still-writing",
        "Documents were written while the check looked, although Optimize is stopped or not bound: what is \
         written during an upgrade can be lost.",
        "find every Optimize of this site and stop it",
        OURS,
    ],
    [
        "stray-decision-alias",
        "An alias begins with `decision-instance-`, without the prefix, and is not Optimize's. The vendor's \
         upgrader dies of it before its first step; the native strategy does not mind.",
        "rename the alias before Optimize is started",
        SEEN,
    ],
    [
        "target-not-exact",
        "The target names a line and not a release. Optimize starts only where the schema version equals its \
         own, with the patch number.",
        "name the release that will be started",
        READ,
    ],
    [
        "target-unknown",
        "This plugin does not know the target's line.",
        "use a newer plugin",
        OURS,
    ],
    [
        "task-running",
        "A reindex or a task by query works on the site's indices: another upgrade, or what it left running. \
         The vendor's upgrader does not recognise a scripted one and starts a second beside it.",
        "wait for its end or cancel it and see it gone",
        SEEN,
    ],
    [
        "template-catches-ours",
        "A composable template of somebody else matches Optimize's names. It wins over Optimize's legacy \
         templates, so that new indices get its settings and mappings.",
        "give it patterns that leave Optimize's names out",
        "reported by operators: camunda/camunda#36087",
    ],
    [
        "template-of-other-kind",
        "A composable template bears the name of a legacy one that the upgrade deletes. The vendor's upgrader \
         deletes the legacy one only.",
        "find out who made it",
        READ,
    ],
    [
        "too-many-doomed-indices",
        "The unused index rolled over more often than the grant allows deletions.",
        "look at what filled it; delete what is not needed by hand",
        OURS,
    ],
    [
        "unknown-index",
        "A name begins with the site's prefix, and Optimize makes no such index. It is taken into the snapshot \
         and compared; nothing else is done to it.",
        "nothing to do, unless it is another tenant's: then name its prefix in `neighbours`",
        OURS,
    ],
    [
        "update-half-done",
        "The new version of an index stands beside the old one: somebody began to copy and did not end. Equal \
         counts show nothing; the vendor's upgrader takes them for a finished copy and deletes the old index.",
        "put the aliases back on the old index and delete the new one, once it is known to hold nothing of its \
         own",
        SEEN,
    ],
    [
        "update-index-missing",
        "Neither the old nor the new version of an index is there. The vendor's upgrader makes an empty one in \
         its place.",
        "restore the index from a snapshot",
        READ,
    ],
    [
        "update-log-contradicts",
        "The vendor's update log says that steps are done, and the state says that they are not, as after a \
         restore that kept the log. The vendor's upgrader skips the steps and sets the version.",
        "delete the entries of that version from the update log",
        SEEN,
    ],
    [
        "update-log-incomplete",
        "At the end a step has no document in the update log, or one without an instant: the vendor's tool \
         would do it again.",
        "resume the run",
        READ,
    ],
    [
        "vendor-archives",
        "There are archives of process instances, which the vendor's upgrader to 8.6 deletes and makes anew, \
         empty, in its sync.",
        "set `strategy = \"native\"`",
        SEEN,
    ],
    [
        "vendor-block",
        "A block is set on an index, and the strategy is the vendor's: its tool writes the version first and \
         dies of the block, or passes and leaves it.",
        "find out who set it and why, then take it off",
        SEEN,
    ],
    [
        "vendor-renews-tuned",
        "An index with replicas of the operator's own choice gets a new version from the vendor's tool, which \
         makes it with its own number.",
        "set `strategy = \"native\"`, or say the vendor's number in `synced-replicas`",
        SEEN,
    ],
    [
        "vendor-stray-alias",
        "As `optimize.stray-decision-alias`, where the strategy is the vendor's, whose tool dies of the alias.",
        "rename the alias, or set `strategy = \"native\"`",
        SEEN,
    ],
    [
        "vendor-sync-missing",
        "The vendor's tool ended well, and its sync of settings and mappings did not get there: a mark that the \
         sync takes away is still set.",
        "read the tool's output in the run's evidence; run it again by hand, or let Optimize do the sync at its \
         start",
        SEEN,
    ],
    [
        "vendor-task-missing",
        "The strategy is the vendor's, or could be, and no task of the service runs its upgrader.",
        "define the task `upgrade` of `service.optimize`, or set `strategy = \"native\"`",
        OURS,
    ],
    [
        "vendor-without-snapshot",
        "The strategy is the vendor's and no repository is bound: what its tool deletes can only come back from \
         a snapshot.",
        "bind a repository, or waive this finding with the reason",
        OURS,
    ],
    [
        "version-not-set",
        "At the end the schema version is not the target's. Optimize starts only where it equals its own.",
        "resume the run",
        READ,
    ],
    [
        "versions-beside-each-other",
        "Two versions of one index stand beside each other. Optimize uses the one behind its alias.",
        "find out what the other is; delete it if nobody needs it",
        OURS,
    ],
    [
        "wrong-prefix",
        "No Optimize has this prefix here, and others are there. The vendor's upgrader makes an empty schema \
         beside the real one and ends with success.",
        "set the right prefix in the options of site.toml, then grant again",
        SEEN,
    ],
];

pub(crate) fn findings() -> Vec<KnownFinding> {
    KNOWN
        .iter()
        .map(|[id, means, remedy, source]| {
            describe::finding(&format!("{IDS}.{id}"), means, remedy, source)
        })
        .chain(rolling::known(IDS))
        .chain(rolling::known_of_cluster(IDS))
        .collect()
}

// Reads the sources of the package that it is built in: the component for tests has none of its own.
#[cfg(all(test, not(feature = "test-edge")))]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// All of the plugin's sources but this file.
    fn sources(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, text);
            } else if !path.ends_with("known.rs") {
                text.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn every_finding_is_explained_and_nothing_else_is() {
        let mut text = String::new();
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut text,
        );
        let is_id = |id: &str| {
            !id.is_empty()
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let made: BTreeSet<&str> = text
            .split("\"optimize.")
            .skip(1)
            .filter_map(|rest| rest.split_once('"').map(|(id, _)| id))
            .filter(|id| is_id(id) && *id != "jar")
            .collect();
        let known: BTreeSet<&str> = KNOWN.iter().map(|[id, ..]| *id).collect();
        assert_eq!(known.len(), KNOWN.len(), "an id stands twice");
        assert_eq!(known, made);
        assert!(KNOWN.iter().flatten().all(|text| !text.is_empty()));
    }
}
