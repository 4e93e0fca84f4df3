//! Which node of a search cluster goes next, and what its stop would take away.
//!
//! Both are worked out from what was read, so a plan can show them and a check can hold it to them.

use std::collections::BTreeMap;

use crate::capability::{Node, Shard};

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
}
