//! What each finding of a rolling upgrade means wherever it is found, its remedy and where that is known from.

use crate::describe;
use crate::describe::KnownFinding;
use crate::finding::{Finding, Severity};

use super::Rolling;

const GUIDE: &str = "the guides of Elasticsearch and OpenSearch for a rolling upgrade";
const OURS: &str = "a rule of this plugin";

/// Id without what a plugin's ids begin with, what it means, remedy, source; sorted by id.
///
/// Remedies name what a plugin that uses this module has: services `service.node-NAME`, and an option `outages` of which
/// one choice is `accepted`.
pub const PAGES: &[[&str; 4]] = &[
    [
        "allocation-restricted",
        "Somebody has restricted on which nodes shards may be put, perhaps an upgrade that was broken off. The shards of a node that is back would never be started.",
        "set `cluster.routing.allocation.enable` back: to null, or `all`",
        GUIDE,
    ],
    [
        "artifact-missing",
        "A node's directory of versions has none of the name that it is to run. It would be stopped for nothing.",
        "put the new version's files there, in a directory that is named like the target: `8.19.13`",
        OURS,
    ],
    [
        "manager-moved",
        "Another node was elected than when the plan was made. A node of the older version cannot join a cluster whose manager is newer, so the elected one goes last.",
        "make a new plan of the run: `liftlock replan`",
        GUIDE,
    ],
    [
        "manager-outage",
        "Elections need more than half of the nodes that can be elected. With two of them, the stop of either leaves the cluster without a manager until it is back: nothing is written then. So does the stop of one of three while another is down.",
        "add a third, and start those that are down; or set the option `outages` to `accepted`",
        GUIDE,
    ],
    [
        "no-replica",
        "Shards have one copy. While their node is down nothing of them can be read or written, and if it does not come back they are gone.",
        "give the index a replica; or set the option `outages` to `accepted`",
        GUIDE,
    ],
    [
        "node-without-service",
        "The cluster has a node that no service of the site is, or that several say they are. It could not be stopped, or the wrong one would be.",
        "bind each node as `service.node-NAME`, with the label `node` of its `node.name`",
        OURS,
    ],
    [
        "not-joined",
        "A node was started and is not in the cluster. It may refuse settings that the new version does not know, or indices that are too old; then it has touched nothing, and the old version can be put back on it.",
        "read its log; mend what it names, or let the link name the old version again and start it; then `liftlock resume`",
        GUIDE,
    ],
    [
        "not-settled",
        "Shards start, move, or could be on another node. The stop of a node would come on top.",
        "wait, or find out why: `_cluster/allocation/explain`",
        GUIDE,
    ],
    [
        "only-started-copy",
        "The node that is to stop holds the only started copy of a shard. While it is down nothing of that shard can be read; if it does not come back, the data are gone.",
        "wait until the other copies are started; for indices without a replica add one, or set the option `outages` to `accepted`",
        GUIDE,
    ],
    [
        "wrong-join",
        "A node was started and came back with the version that it had: its start command does not follow the link that was switched.",
        "look where the start command of its service leads, stop and start the node by it, then `liftlock resume`",
        OURS,
    ],
];

/// Pages of findings about the cluster as a whole, for a plugin that has no words of its own for them: those of
/// [`Rolling::cannot_reach`] and [`Rolling::not_reached`]. Likewise.
const OF_THE_CLUSTER: &[[&str; 4]] = &[
    [
        "index-too-old",
        "An index was made by a version before the last major one, and a node of the target does not start beside it. Which version made an index never changes, not even when it is closed, hidden or the system's own.",
        "write it anew while the old version runs: reindex it under another name and give that one its alias; or delete it",
        GUIDE,
    ],
    [
        "no-way",
        "A node cannot get the target's version while the others still have the old one.",
        "go by the versions that are named, one after another",
        GUIDE,
    ],
    [
        "node-of-another-version",
        "A node does not run the version that the plan goes to.",
        "look at the node's log, and resume the run",
        OURS,
    ],
];

/// Those of single nodes, for a plugin whose ids begin with `ids`.
pub fn known(ids: &str) -> impl Iterator<Item = KnownFinding> {
    pages(ids, PAGES)
}

/// Those of the cluster as a whole, likewise.
pub fn known_of_cluster(ids: &str) -> impl Iterator<Item = KnownFinding> {
    pages(ids, OF_THE_CLUSTER)
}

fn pages(ids: &str, list: &'static [[&str; 4]]) -> impl Iterator<Item = KnownFinding> {
    list.iter().map(move |[id, means, remedy, source]| {
        describe::finding(&format!("{ids}.{id}"), means, remedy, source)
    })
}

impl Rolling<'_> {
    /// What is seen, told under the page of its id.
    pub(super) fn found(
        &self,
        id: &str,
        severity: Severity,
        subject: &str,
        what: impl Into<String>,
    ) -> Finding {
        let (means, remedy) = PAGES
            .iter()
            .chain(OF_THE_CLUSTER)
            .find(|[known, ..]| *known == id)
            .map_or(("", ""), |[_, means, remedy, _]| (means, remedy));
        let id = format!("{}.{id}", self.ids);
        let finding = match severity {
            Severity::Blocker => Finding::blocker(&id),
            Severity::Warning => Finding::warning(&id),
            Severity::Info => Finding::info(&id),
        };
        finding
            .subject(subject)
            .what(what)
            .why(means)
            .remedy(remedy)
    }

    pub(super) fn blocker(&self, id: &str, subject: &str, what: impl Into<String>) -> Finding {
        self.found(id, Severity::Blocker, subject, what)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn pages_are_sorted_and_none_is_empty_and_each_is_of_a_finding_that_is_made() {
        assert!(PAGES.is_sorted_by_key(|[id, ..]| *id));
        assert!(OF_THE_CLUSTER.is_sorted_by_key(|[id, ..]| *id));
        let all = || PAGES.iter().chain(OF_THE_CLUSTER);
        assert!(all().flatten().all(|text| !text.is_empty()));
        // In quotes where a finding is made, behind the name of what ids begin with where a condition names it.
        let made: String = [include_str!("check.rs"), include_str!("conditions.rs")].concat();
        for [id, ..] in all() {
            let is_made =
                made.contains(&format!("\"{id}\"")) || made.contains(&format!("{{ids}}.{id})"));
            assert!(is_made, "{id}");
        }
        let ids: BTreeSet<&str> = all().map(|[id, ..]| *id).collect();
        let named = made
            .split("{ids}.")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'));
        for (id, _) in named {
            assert!(ids.contains(id), "{id} has no page");
        }
    }
}
