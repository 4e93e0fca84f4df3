//! Which node of a search cluster goes next, what its stop would take away, and what is to be waited for after it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Result;
use crate::capability::{Change, Cluster, Node, SettingScope, Shard};
use crate::version::Version;

/// The setting that says which copies of shards may be put on a node.
pub const ALLOCATION: &str = "cluster.routing.allocation.enable";

/// Proposes that while a node is away no copy of a replica is built elsewhere: [`ALLOCATION`] is `primaries`, borrowed
/// where the operator's own value is in force, so that what is given back is what counted before.
///
/// `primaries` and not `none`: an index that is made meanwhile gets its primaries.
///
/// # Errors
/// The host's: outside the grant of the verb (`cluster.set-cluster-setting`, or `cluster.set-transient-setting` where a
/// transient value is set), or no answer.
pub fn keep_replicas_where_they_are(on: &Cluster) -> Result<Change> {
    let transient = on.cluster_settings(SettingScope::Transient)?;
    let transient: Value = serde_json::from_str(&transient)?;
    if transient.get(ALLOCATION).is_some() {
        on.set_transient_setting(ALLOCATION, Some("primaries"))
    } else {
        on.set_cluster_setting(ALLOCATION, Some("primaries"))
    }
}

/// The node of this name is in the cluster with this version, as the node list has it.
///
/// Where the list can lie (nodes of Elasticsearch 7.10 and OpenSearch 1 side by side), compare [`Cluster::identities`].
pub fn has_joined(nodes: &[Node], name: &str, version: &str) -> bool {
    nodes
        .iter()
        .any(|node| node.name == name && node.version == version)
}

/// The node is the elected manager.
pub fn is_elected(node: &Node) -> bool {
    node.more
        .iter()
        .any(|(key, value)| key == "elected-manager" && value == "yes")
}

/// The node may be elected.
pub fn is_manager_eligible(node: &Node) -> bool {
    has(node, &["master", "cluster_manager"])
}

/// The node holds shards.
pub fn holds_data(node: &Node) -> bool {
    node.roles.iter().any(|role| tier(role).is_some())
}

fn has(node: &Node, roles: &[&str]) -> bool {
    node.roles.iter().any(|role| roles.contains(&role.as_str()))
}

/// How far a tier's data has come on its way: the last stop goes first.
fn tier(role: &str) -> Option<u8> {
    Some(match role {
        "data_frozen" => 0,
        "data_cold" => 1,
        "data_warm" => 2,
        "data_hot" => 3,
        "data_content" | "data" => 4,
        _ => return None,
    })
}

/// Where a node stands among the others; smaller goes first.
fn rank(node: &Node) -> u8 {
    /// Behind every tier.
    const WITHOUT_DATA: u8 = 5;
    const ELIGIBLE: u8 = 6;
    const ELECTED: u8 = 7;
    if is_elected(node) {
        return ELECTED;
    }
    if is_manager_eligible(node) {
        return ELIGIBLE;
    }
    // One that serves several tiers waits for the last of them: data moves from hot to frozen, and no
    // copy can move from a newer node to an older one.
    let tiers = node.roles.iter().filter_map(|role| tier(role));
    tiers.max().unwrap_or(WITHOUT_DATA)
}

/// The nodes in the order of a rolling upgrade: data by tier (frozen, cold, warm, hot, the rest), then nodes
/// without data, then those that may be elected, the elected manager last. By name where nothing else says.
///
/// The order is that of the vendor's guide. A manager of the old version keeps old nodes able to join until
/// the end; one of the new version would not.
pub fn order(nodes: &[Node]) -> Vec<&Node> {
    let mut ordered: Vec<&Node> = nodes.iter().collect();
    ordered.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
    ordered
}

/// Elections need more than half of the eligible nodes: with two, the stop of either leaves no manager, and so
/// does the stop of a single one.
pub fn has_outage_without_manager(nodes: &[Node]) -> bool {
    (1..=2).contains(
        &nodes
            .iter()
            .filter(|node| is_manager_eligible(node))
            .count(),
    )
}

/// A shard that has no started copy while a node is down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Left {
    /// Its index.
    pub index: String,
    /// Its number.
    pub number: u32,
    /// It has no other copy at all, so that it comes back with the node and not before. Otherwise a copy is
    /// being built, and waiting helps.
    pub is_only_copy: bool,
}

/// What the stop of this node would leave without a started copy, by index and number.
///
/// Give it the shards of *all* indices: hidden and system ones too. A copy that moves away from the node counts
/// as on it, because its data is whole there alone.
pub fn left_without_copy(shards: &[Shard], node: &str) -> Vec<Left> {
    let mut copies: BTreeMap<(&str, u32), Vec<&Shard>> = BTreeMap::new();
    for shard in shards {
        let key = (shard.index.as_str(), shard.number);
        copies.entry(key).or_default().push(shard);
    }
    let is_on = |shard: &&&Shard| shard.node.as_deref() == Some(node);
    let mut left = Vec::new();
    for ((index, number), copies) in copies {
        let serves = |shard: &&&Shard| matches!(shard.state.as_str(), "STARTED" | "RELOCATING");
        let (here, elsewhere): (Vec<&Shard>, Vec<&Shard>) =
            copies.iter().copied().partition(|shard| is_on(&shard));
        let is_served_here = here.iter().any(|shard| serves(&shard));
        if is_served_here && !elsewhere.iter().any(|shard| serves(&shard)) {
            left.push(Left {
                index: index.to_owned(),
                number,
                is_only_copy: elsewhere.is_empty(),
            });
        }
    }
    left
}

/// Why a shard is not yet where it should be before the next node stops.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A copy of it is being built.
    Starts,
    /// A copy of it moves.
    Moves,
    /// Its primary has no node: no part of it can be read.
    HasNoPrimary,
    /// A replica of it has no node though this one holds data, has no copy of it, and is not older than its primary's.
    /// While [`ALLOCATION`] is borrowed that is so for every replica of the node that was stopped.
    CouldBeOn(String),
}

/// A shard that is worth waiting for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unsettled {
    /// Its index.
    pub index: String,
    /// Its number.
    pub number: u32,
    /// What it waits for.
    pub why: Why,
}

/// What is to be waited for before the next node stops, by index and number; empty: go on.
///
/// A cluster of two versions may be yellow and stay so: no copy can be put on a node that is older than the one with its
/// primary, and an index can ask for more copies than there are nodes. Neither is waited for. A replica that another
/// rule keeps away (a filter, a full disk) is: what the server says at [`super::EXPLAIN`] tells which.
///
/// Give it the shards of *all* indices: hidden and system ones too.
pub fn unsettled(shards: &[Shard], nodes: &[Node]) -> Vec<Unsettled> {
    let mut copies: BTreeMap<(&str, u32), Vec<&Shard>> = BTreeMap::new();
    for shard in shards {
        let key = (shard.index.as_str(), shard.number);
        copies.entry(key).or_default().push(shard);
    }
    let mut found = Vec::new();
    for ((index, number), copies) in copies {
        let mut reasons: Vec<Why> = copies
            .iter()
            .filter_map(|copy| why(copy, &copies, nodes))
            .collect();
        reasons.sort();
        reasons.dedup();
        found.extend(reasons.into_iter().map(|why| Unsettled {
            index: index.to_owned(),
            number,
            why,
        }));
    }
    found
}

fn why(copy: &Shard, copies: &[&Shard], nodes: &[Node]) -> Option<Why> {
    match copy.state.as_str() {
        "STARTED" => None,
        "INITIALIZING" => Some(Why::Starts),
        "RELOCATING" => Some(Why::Moves),
        _ if copy.primary => Some(Why::HasNoPrimary),
        _ => {
            let at = copies.iter().find(|copy| copy.primary)?.node.as_deref()?;
            let version = |node: &Node| node.version.parse::<Version>().ok();
            let oldest = nodes.iter().find(|node| node.name == at).and_then(version);
            let has_none = |node: &&Node| {
                copies
                    .iter()
                    .all(|copy| copy.node.as_deref() != Some(&node.name))
            };
            nodes
                .iter()
                .filter(|node| holds_data(node))
                .filter(has_none)
                // One whose version nobody can read counts as a place: to wait is the safe error.
                .find(|node| match (version(node), &oldest) {
                    (Some(version), Some(oldest)) => version >= *oldest,
                    _ => true,
                })
                .map(|node| Why::CouldBeOn(node.name.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, roles: &[&str], is_elected: bool) -> Node {
        let elected = ("elected-manager".to_owned(), "yes".to_owned());
        Node {
            id: format!("id-{name}"),
            name: name.to_owned(),
            version: "7.17.15".to_owned(),
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
            address: String::new(),
            heap_max_bytes: 0,
            disk_total_bytes: 0,
            disk_free_bytes: 0,
            watermark_low_bytes: 0,
            watermark_high_bytes: 0,
            watermark_flood_bytes: 0,
            plugins: Vec::new(),
            more: is_elected.then_some(elected).into_iter().collect(),
        }
    }

    fn shard(index: &str, number: u32, state: &str, node: Option<&str>) -> Shard {
        Shard {
            index: index.to_owned(),
            number,
            primary: true,
            state: state.to_owned(),
            node: node.map(str::to_owned),
            bytes: 0,
            docs: 0,
        }
    }

    #[test]
    fn goes_by_tier_then_role_and_to_the_elected_manager_last() {
        let nodes = [
            node("a", &["master"], true),
            node("b", &["master", "data"], false),
            node("c", &["ingest"], false),
            node("d", &["data_hot", "data_content"], false),
            node("e", &["data_warm"], false),
            node("f", &["data_frozen"], false),
            node("g", &["data_hot"], false),
            node("h", &["data_cold"], false),
        ];
        let names: Vec<&str> = order(&nodes)
            .iter()
            .map(|node| node.name.as_str())
            .collect();
        assert_eq!(names, ["f", "h", "e", "g", "d", "c", "b", "a"]);
    }

    #[test]
    fn where_every_node_does_everything_names_decide_but_for_the_manager() {
        let all = ["cluster_manager", "data", "ingest"];
        let nodes = [
            node("n1", &all, true),
            node("n3", &all, false),
            node("n2", &all, false),
        ];
        let names: Vec<&str> = order(&nodes)
            .iter()
            .map(|node| node.name.as_str())
            .collect();
        assert_eq!(names, ["n2", "n3", "n1"]);
    }

    #[test]
    fn two_eligible_nodes_are_an_outage_and_three_are_none() {
        let eligible = |count: usize| -> Vec<Node> {
            (0..count)
                .map(|at| node(&format!("n{at}"), &["master"], at == 0))
                .collect()
        };
        assert!(has_outage_without_manager(&eligible(1)));
        assert!(has_outage_without_manager(&eligible(2)));
        assert!(!has_outage_without_manager(&eligible(3)));
    }

    #[test]
    fn a_node_with_the_only_started_copy_is_told_apart_from_one_with_the_only_copy() {
        let shards = [
            shard("safe", 0, "STARTED", Some("n1")),
            shard("safe", 0, "STARTED", Some("n2")),
            shard("alone", 0, "STARTED", Some("n1")),
            shard("alone", 1, "STARTED", Some("n2")),
            shard("building", 0, "STARTED", Some("n1")),
            shard("building", 0, "INITIALIZING", Some("n2")),
            shard("lost", 0, "UNASSIGNED", None),
            shard("moving", 0, "RELOCATING", Some("n1")),
        ];
        let left = |index: &str, is_only_copy| Left {
            index: index.to_owned(),
            number: 0,
            is_only_copy,
        };
        assert_eq!(
            left_without_copy(&shards, "n1"),
            [
                left("alone", true),
                left("building", false),
                left("moving", true)
            ]
        );
        let of_n2 = left_without_copy(&shards, "n2");
        assert_eq!(of_n2.len(), 1);
        assert_eq!((of_n2[0].index.as_str(), of_n2[0].number), ("alone", 1));
        assert_eq!(left_without_copy(&shards, "n3"), []);
    }

    #[test]
    fn a_node_has_joined_under_its_name_and_with_its_version() {
        let nodes = [node("n1", &["data"], false)];
        assert!(has_joined(&nodes, "n1", "7.17.15"));
        assert!(!has_joined(&nodes, "n1", "8.19.13"));
        assert!(!has_joined(&nodes, "n2", "7.17.15"));
    }

    fn replica(index: &str, state: &str, node: Option<&str>) -> Shard {
        Shard {
            primary: false,
            ..shard(index, 0, state, node)
        }
    }

    fn reasons(shards: &[Shard], nodes: &[Node]) -> Vec<(String, Why)> {
        let found = unsettled(shards, nodes);
        found.into_iter().map(|one| (one.index, one.why)).collect()
    }

    #[test]
    fn waits_for_replicas_that_have_a_place_and_for_no_others() {
        let at = |name: &str, version: &str| Node {
            version: version.to_owned(),
            ..node(name, &["data"], false)
        };
        let mixed = [
            at("n1", "8.19.13"),
            at("n2", "7.17.15"),
            at("n3", "7.17.15"),
        ];
        let shards = [
            // The primary went to the new node, and every other node is older.
            shard("newer", 0, "STARTED", Some("n1")),
            replica("newer", "UNASSIGNED", None),
            shard("older", 0, "STARTED", Some("n2")),
            replica("older", "UNASSIGNED", None),
        ];
        let waits = |name: &str| ("older".to_owned(), Why::CouldBeOn(name.into()));
        assert_eq!(reasons(&shards, &mixed), [waits("n1")]);
        // A node that holds no data, or a copy of it already, is no place.
        let mut without = mixed.to_vec();
        without[0].roles = vec!["ingest".into()];
        assert_eq!(reasons(&shards, &without)[..1], [waits("n3")]);
        let full = [
            shard("older", 0, "STARTED", Some("n2")),
            replica("older", "STARTED", Some("n3")),
            replica("older", "STARTED", Some("n1")),
            replica("older", "UNASSIGNED", None),
        ];
        assert_eq!(reasons(&full, &mixed), []);
        // Once there is a second new node, the first index has a place too.
        let mut later = mixed.to_vec();
        later[1].version = "8.19.13".into();
        let names: Vec<String> = reasons(&shards, &later)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["newer", "older"]);
    }

    #[test]
    fn waits_for_what_starts_moves_or_has_no_primary() {
        let nodes = [node("n1", &["data"], false), node("n2", &["data"], false)];
        let shards = [
            shard("a", 0, "STARTED", Some("n1")),
            replica("a", "INITIALIZING", Some("n2")),
            shard("b", 0, "RELOCATING", Some("n1")),
            shard("c", 0, "UNASSIGNED", None),
            replica("c", "UNASSIGNED", None),
            shard("d", 0, "STARTED", Some("n2")),
        ];
        let expected = [
            ("a".to_owned(), Why::Starts),
            ("b".to_owned(), Why::Moves),
            ("c".to_owned(), Why::HasNoPrimary),
        ];
        assert_eq!(reasons(&shards, &nodes), expected);
    }
}
