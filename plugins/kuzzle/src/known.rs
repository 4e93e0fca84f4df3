//! What each finding means wherever it is found, its remedy, and where that is known from: for `liftlock explain`.
//!
//! A finding itself says what was seen on this site; these are the pages behind them, one for each id.

use liftlock_sdk::prelude::*;

const GUIDE: &str = "the guides of Kuzzle and of Elasticsearch for this upgrade";
const SEEN: &str =
    "runs of real servers: Elasticsearch 7.17.15, 8.14.1, 8.16.6 and 8.19.13, Kuzzle 2.49 and 2.56";
const OURS: &str = "a rule of this plugin";

/// Id without `kuzzle.`, what it means, remedy, source; sorted by id.
const KNOWN: &[[&str; 4]] = &[
    [
        "backwards",
        "A node is newer than the target. No node of a cluster goes back to an older version.",
        "name the version that the node has, or a newer one",
        GUIDE,
    ],
    [
        "method-missing",
        "The option `method` names a way that this build does not have.",
        "set the option `method` to `rolling`",
        OURS,
    ],
    [
        "node-of-another-version",
        "A node does not run the version that the plan goes to.",
        "look at the node's log, and resume the run",
        OURS,
    ],
    [
        "sees-another-version",
        "Kuzzle says that its storage is of another version than the plan went to: it talks to another cluster, or to a \
         node that was left out.",
        "compare the addresses in Kuzzle's configuration with the cluster's",
        SEEN,
    ],
    [
        "source",
        "A node's version is none from which this plugin leads to the target: only 7.17 leads to 8, node by node and as \
         a whole alike.",
        "bring every node to the newest 7.17 first",
        GUIDE,
    ],
    [
        "target",
        "The target is no release of Elasticsearch 8, written out: `8.19.13`.",
        "name one; the newest of 8.19 is the best choice",
        GUIDE,
    ],
    [
        "unhealthy",
        "Kuzzle's deep health is not green. The two other addresses that look like it look at nothing.",
        "read Kuzzle's log; `/_healthCheck`, with a capital C and a token, says which service it lacks",
        SEEN,
    ],
];

/// Meaning and remedy of an id.
pub(crate) fn page(id: &str) -> (&'static str, &'static str) {
    let name = id.strip_prefix("kuzzle.").unwrap_or(id);
    KNOWN
        .iter()
        .find(|[known, ..]| *known == name)
        .map_or(("", ""), |[_, means, remedy, _]| (means, remedy))
}

/// Every finding of this plugin.
pub(crate) fn findings() -> Vec<KnownFinding> {
    KNOWN
        .iter()
        .map(|[id, means, remedy, source]| {
            describe::finding(&format!("kuzzle.{id}"), means, remedy, source)
        })
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
        let ids: Vec<&str> = KNOWN.iter().map(|[id, ..]| *id).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        assert!(KNOWN.iter().flatten().all(|text| !text.is_empty()));
        let all = findings();
        assert!(all.iter().all(|known| known.id.starts_with("kuzzle.")));
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
        let made: BTreeSet<&str> = text
            .split("\"kuzzle.")
            .skip(1)
            .filter_map(|rest| rest.split_once('"').map(|(id, _)| id))
            .collect();
        let known: BTreeSet<&str> = KNOWN.iter().map(|[id, ..]| *id).collect();
        assert_eq!(made, known);
    }
}
