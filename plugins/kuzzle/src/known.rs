//! What each finding means wherever it is found, its remedy, and where that is known from: for `liftlock explain`.
//!
//! A finding itself says what was seen on this site; these are the pages behind them, one for each id.

use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling;

use crate::by_snapshot::pages::PAGES;
use crate::rolling::IDS;

const GUIDE: &str = "the guides of Kuzzle and of Elasticsearch for this upgrade";
const SEEN: &str =
    "runs of real servers: Elasticsearch 7.17.15, 8.14.1, 8.16.6 and 8.19.13, Kuzzle 2.49 and 2.56";
const OURS: &str = "a rule of this plugin";

/// Id without `kuzzle.`, what it means, remedy, source; sorted by id.
const KNOWN: &[[&str; 4]] = &[
    [
        "alias-differs",
        "An alias that named a collection when the run began does not any more.",
        "give it back to its index before Kuzzle is started; Kuzzle makes one of the index's name otherwise",
        OURS,
    ],
    [
        "alias-of-several",
        "The alias that names a collection leads to several indices. Kuzzle ends with `multiple_indice_alias`.",
        "leave the alias on one of them",
        GUIDE,
    ],
    [
        "archived-setting",
        "The server has put a setting aside that it does not know. With one of them a change of any setting can be refused, allocation too: `unknown setting [archived..]`. The plan takes them off first.",
        "nothing, where the plan removes it; one that comes back stands in a node's file",
        GUIDE,
    ],
    [
        "backups-not-reached",
        "Not every node can write to the repository, so that no snapshot can be taken: it is not registered, its path is not in `path.repo` of each node, or it is not one shared directory.",
        "mend it; `POST /_snapshot/NAME/_verify` says which node fails",
        GUIDE,
    ],
    [
        "backups-reached",
        "Every node reaches the repository.",
        "nothing to do",
        OURS,
    ],
    [
        "backwards",
        "A node is newer than the target. No node of a cluster goes back to an older version.",
        "name the version that the node has, or a newer one",
        GUIDE,
    ],
    [
        "blocked",
        "An index of the site is blocked. Kuzzle cannot write to it, before and after.",
        "take the block off, where it is not meant",
        SEEN,
    ],
    [
        "clients-not-told",
        "The server does not list who talks to it by HTTP.",
        "look for other clients in the configuration of whatever stands around Kuzzle: collectors of logs, dashboards, scripts",
        SEEN,
    ],
    [
        "closed",
        "An index of the site is closed: no snapshot holds it, and its content is not compared.",
        "open it, or delete it if nobody needs it",
        GUIDE,
    ],
    [
        "configuration-missing",
        "The file is not there that says which Elasticsearch Kuzzle talks to.",
        "bind its directory as `disk.kuzzle`, and name the file in the option `configuration-file`",
        OURS,
    ],
    [
        "content-differs",
        "A collection does not hold what it held when the run began, by a checksum over ids and documents.",
        "find out who wrote; what is lost is in the snapshot that the run took",
        OURS,
    ],
    [
        "data-paths",
        "A node has several data paths, which 8 takes and the vendor advises against.",
        "move it to one path when the cluster is 8",
        GUIDE,
    ],
    [
        "deprecation",
        "The server says that something works differently in the next version.",
        "read the message; what an application does with it, it alone can say",
        GUIDE,
    ],
    [
        "deprecation-critical",
        "The server says that the upgrade fails on this.",
        "do what the message says",
        GUIDE,
    ],
    [
        "deprecation-of-unknown-level",
        "The server tells a deprecation of a level that this plugin does not know.",
        "read the message as if it were critical",
        OURS,
    ],
    [
        "deprecations-hidden",
        "The cluster keeps some deprecations to itself, as somebody has told it to.",
        "remove the setting `deprecation.skip_deprecated_settings`, and look at what it hid",
        GUIDE,
    ],
    [
        "deprecations-not-checked",
        "The server has no deprecation API, so that its own judgement of the way to the next version is missing. What this plugin looks at itself (versions of all indices, settings of nodes and cluster, plugins) is less than that.",
        "look through the vendor's list of breaking changes by hand, or rehearse the upgrade on a copy",
        SEEN,
    ],
    [
        "disk-low",
        "A node has less free space than its low watermark: no shard comes back to it after its restart.",
        "free space on that node, or add some",
        GUIDE,
    ],
    [
        "disk-was-full",
        "A disk was full once, and the server has blocked the index. It may be blocked still.",
        "free space; then the block goes by itself, or `PUT INDEX/_settings {\"index.blocks.read_only_allow_delete\": null}`",
        GUIDE,
    ],
    [
        "down",
        "Nobody answers at Kuzzle's address.",
        "nothing, where it is stopped on purpose",
        OURS,
    ],
    [
        "first-patch",
        "7.17.0 has faults that also break the upgrade to 8: cluster state that is not read, migrations of system features that stay in error.",
        "bring every node to 7.17.1 or newer first",
        GUIDE,
    ],
    [
        "index-setting-removed",
        "An index has a setting that 8 does not know. It stays there, and does nothing any more.",
        "nothing has to be done; the level of a slow log, say, is replaced by the threshold of each level",
        SEEN,
    ],
    [
        "index-too-old",
        "An index was made by a version before 7, and a node of 8 does not start beside it: `Cannot start this node because it holds metadata for indices with version [..] with which this node of version [..] is incompatible`. Which version made it never changes, not even when it is closed, hidden or the system's own.",
        "reindex it in 7.17 under another name and give it its alias, or delete it",
        GUIDE,
    ],
    [
        "mapping-differs",
        "A collection's mapping is not told as it was. A new version can write the same differently.",
        "compare both, which stand with the finding",
        OURS,
    ],
    [
        "mode-ahead",
        "Kuzzle is told of version 8 while the storage is 7. It ends when it is started: `this version is not compatible with this version of Kuzzle`.",
        "write `\"7\"` until the storage is new",
        SEEN,
    ],
    [
        "mode-behind",
        "Kuzzle is told of version 7 while the storage is 8. It starts, calls itself healthy, and fails at single requests: deletions by query, sorts by `_id`. Nothing but this comparison shows it.",
        "let the plan write `\"8\"`",
        SEEN,
    ],
    [
        "mode-no-text",
        "`services.storageEngine.majorVersion` is none that Kuzzle knows. It must be a text: of a number Kuzzle says `Invalid Elasticsearch version.` and ends, although its guide shows one.",
        "write `\"7\"`, in quotes",
        SEEN,
    ],
    [
        "mode-not-said",
        "The configuration does not say exactly once which Elasticsearch Kuzzle talks to. A variable of its environment may say it, which nobody sees here.",
        "write `\"majorVersion\": \"7\"` into `services.storageEngine` of the file, and take the variable away",
        SEEN,
    ],
    [
        "no-backups",
        "No snapshot repository is bound. There is no way down from 8, so that nothing would lead back.",
        "bind one as `snapshot.backups`",
        GUIDE,
    ],
    [
        "no-collections",
        "The cluster holds no collection of Kuzzle, not even its own users.",
        "bind the cluster that Kuzzle talks to",
        OURS,
    ],
    [
        "node-not-asked",
        "A node's own word about its version could not be read. In a cluster of two versions the list of nodes can be wrong.",
        "let Liftlock reach the HTTP port of every node",
        GUIDE,
    ],
    [
        "node-of-another-version",
        "A node does not run the version that the plan goes to.",
        "look at the node's log, and resume the run",
        OURS,
    ],
    [
        "not-asked",
        "No API of a Kuzzle is bound, so that nobody asks it whether it is well. It answers 200 to `/_healthcheck` and `/_ready` with its storage gone.",
        "bind it as `endpoint.kuzzle`, with a token",
        SEEN,
    ],
    [
        "not-elasticsearch",
        "The storage is no Elasticsearch. Kuzzle knows no other, and this plugin no other way.",
        "bind the cluster that Kuzzle talks to",
        GUIDE,
    ],
    [
        "other-clients",
        "Others than Kuzzle and Liftlock talk to the storage, or did within minutes, with so many connections: by the name that each gives itself. The new version refuses clients of 6, and some requests of 7.",
        "see that each of them knows Elasticsearch 8; what calls itself `elasticsearch-js` as Kuzzle does is not told from it",
        GUIDE,
    ],
    [
        "plugin",
        "A plugin is installed that is no part of the server. It must be of the server's version to the patch, and a node does not start without one that its indices use.",
        "put the plugin's release for the target's version into each node's folder of the new version",
        GUIDE,
    ],
    [
        "requests-refused",
        "Since it was started, a node refused requests: its queues were full, or a request was ended before it took too much memory. Clients were told 429.",
        "look at what was asked of it then; a node that has just begun with cold caches, or a smaller heap than before, is a usual reason",
        GUIDE,
    ],
    [
        "security-not-said",
        "A node does not say whether security is on. 7.17 takes no for an answer where it has a basic license, 8 takes yes: it would want certificates and a login that nobody has.",
        "write `xpack.security.enabled: false`, or `true` with TLS between the nodes, into `elasticsearch.yml` of each node",
        GUIDE,
    ],
    [
        "sees-another-version",
        "Kuzzle says that its storage is of another version than the plan went to: it talks to another cluster, or to a \
         node that was left out.",
        "compare the addresses in Kuzzle's configuration with the cluster's",
        SEEN,
    ],
    [
        "serves-meanwhile",
        "Kuzzle goes on in mode 7 while nodes change. Requests fail that meet a node while it stops; no collection can be made while a node is out; and what is written after the snapshot is not in it.",
        "set the option `meanwhile` to `stopped` for an upgrade without that",
        GUIDE,
    ],
    [
        "setting-removed",
        "A setting is set that 8 does not know: a node that has it in its file ends with `unknown setting`.",
        "put the one that replaced it in its place: in `elasticsearch.yml`, and restart the node; one of the cluster goes by `PUT /_cluster/settings` with null as its value, where it is `persistent` and where it is `transient`",
        GUIDE,
    ],
    [
        "setting-taken-off",
        "A setting of the cluster is set that 8 does not know: it would be put aside, and with one of these a change of any setting can be refused. A plan node by node takes it off before the first node, and a rollback leaves it off and names its value, since 8 refuses it; a new cluster does not get it.",
        "nothing; set the one that replaced it, where there is one",
        GUIDE,
    ],
    [
        "several-versions",
        "More than two versions are in the cluster. Two may be side by side, for as long as an upgrade lasts.",
        "bring all nodes but those of the target to one version of 7.17 first",
        GUIDE,
    ],
    [
        "sorts-by-id",
        "This Kuzzle sorts by `_id` in a search of its own, which 8 refuses unless `indices.id_field_data.enabled` is set.",
        "bring Kuzzle to 2.50 or newer first",
        GUIDE,
    ],
    [
        "source",
        "A node's version is none from which this plugin leads to the target: only 7.17 leads to 8, node by node and as \
         a whole alike.",
        "bring every node to the newest 7.17 first",
        GUIDE,
    ],
    [
        "ssl-not-said",
        "A node has settings of TLS and does not say whether it is on. 8 does not start then.",
        "write the `enabled` that belongs to them into `elasticsearch.yml`",
        GUIDE,
    ],
    [
        "storage-red",
        "Some shard has no copy that serves. What is not there now cannot be compared, nor put into a snapshot.",
        "bring it to green first: `_cluster/allocation/explain` says why not",
        GUIDE,
    ],
    [
        "stray-index",
        "An index is named like a collection and has no alias. Kuzzle gives it one when it starts, and then it is a collection.",
        "delete it, or call it by a name that begins with neither `&` nor `%`",
        SEEN,
    ],
    [
        "target",
        "The target is no release of Elasticsearch 8, written out: `8.19.13`.",
        "name one; the newest of 8.19 is the best choice",
        GUIDE,
    ],
    [
        "target-not-newest",
        "A target must be younger than what runs, whatever the numbers say: the last patches of 7.17 are younger than many releases of 8. All of 8.19 are younger than any 7.17, have the mended faults of the lines before, and lead on to 9.",
        "name the newest of 8.19",
        GUIDE,
    ],
    [
        "template-of-removed",
        "A template sets what 8 does not know. As soon as every node is new, no index that it is for can be made: `unknown setting`. One with a filter by `_tier` is made, and no shard of it ever starts.",
        "take the setting out of the template: 7.17 does without it as well",
        SEEN,
    ],
    [
        "tier-filter",
        "An index is held to a tier by a filter `_tier`. 8 takes that for an attribute, which no node has: a copy that is away while the last node changes never starts again, and the wait for its shards never ends.",
        "set `index.routing.allocation.include._tier_preference` of the index to that tier, and the filter to null",
        SEEN,
    ],
    [
        "token-refused",
        "Kuzzle refuses the token that Liftlock shows, so that its deep health cannot be asked. Tokens end after an hour unless they are made for longer.",
        "make one that lasts (an API key of a user who may `server:info` and `server:healthCheck`), and put it where `auth` of the endpoint says",
        SEEN,
    ],
    [
        "too-old",
        "This Kuzzle does not know Elasticsearch 8; the first that does is 2.32.0, whatever the guide says.",
        "bring Kuzzle to 2.50 or newer first",
        GUIDE,
    ],
    [
        "unbound",
        "No Kuzzle is bound as a service: it could neither be stopped nor told of the new version.",
        "bind it as `service.kuzzle`, and others as `service.kuzzle-2` and so on",
        OURS,
    ],
    [
        "unhealthy",
        "Kuzzle's deep health is not green. The two other addresses that look like it look at nothing.",
        "read Kuzzle's log; `/_healthCheck`, with a capital C and a token, says which service it lacks",
        SEEN,
    ],
    [
        "watched",
        "What was seen at the end of the watch: Kuzzle and its storage stayed well, and this is what the nodes counted since they were started.",
        "nothing: it is told so that the record has it; look again after a day under load",
        GUIDE,
    ],
];

/// All pages: those of both methods, then those of method `snapshot`.
fn pages() -> impl Iterator<Item = &'static [&'static str; 4]> {
    KNOWN.iter().chain(PAGES)
}

/// Meaning and remedy of an id.
pub(crate) fn page(id: &str) -> (&'static str, &'static str) {
    let name = id.strip_prefix("kuzzle.").unwrap_or(id);
    pages()
        .find(|[known, ..]| *known == name)
        .map_or(("", ""), |[_, means, remedy, _]| (means, remedy))
}

/// Every finding of this plugin, with those that the SDK makes of nodes.
pub(crate) fn findings() -> Vec<KnownFinding> {
    pages()
        .map(|[id, means, remedy, source]| {
            describe::finding(&format!("kuzzle.{id}"), means, remedy, source)
        })
        .chain(rolling::known(IDS))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn ids_are_sorted_and_stand_once_and_no_page_is_empty() {
        assert!(KNOWN.is_sorted_by_key(|[id, ..]| *id));
        assert!(PAGES.is_sorted_by_key(|[id, ..]| *id));
        let ids: Vec<&str> = pages().map(|[id, ..]| *id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        assert!(pages().flatten().all(|text| !text.is_empty()));
        let all = findings();
        assert!(all.iter().all(|known| known.id.starts_with("kuzzle.")));
        let ids: BTreeSet<&str> = all.iter().map(|known| known.id.as_str()).collect();
        assert_eq!(ids.len(), all.len(), "one of ours is the SDK's too");
    }

    fn sources(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, text);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("known.rs")
            {
                text.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn every_finding_that_is_made_is_explained_and_none_else() {
        let mut text = String::new();
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut text,
        );
        // In quotes where a finding is made, in brackets where a condition names it.
        let made: BTreeSet<&str> = text
            .split("kuzzle.")
            .zip(text.split("kuzzle.").skip(1))
            .filter(|(before, _)| before.ends_with(['"', '(']))
            .filter_map(|(_, rest)| rest.split_once(['"', ')']).map(|(id, _)| id))
            .filter(|id| !id.is_empty())
            .collect();
        let known: BTreeSet<&str> = pages().map(|[id, ..]| *id).collect();
        assert_eq!(made, known);
    }
}
