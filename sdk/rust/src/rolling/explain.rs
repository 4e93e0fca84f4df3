//! Why a shard has no place, in the server's own words.

use serde_json::{Value, json};

use crate::capability::Cluster;

use super::{Unsettled, Why};

/// Where it is asked. A plugin that waits for shards asks for verb `cluster.raw-read` of it, so that whoever waits is told
/// what for; without it the wait is the same, and says less.
pub const EXPLAIN: &str = "/_cluster/allocation/explain";

/// Bytes of a reason that are told: a server repeats whole failures in it.
const REASON_BYTES_MAX: usize = 300;

/// What keeps the first of these that has no place from having one. None: nothing does, or the server does not say; what
/// only takes a while (a limit of recoveries, a node's state that is being read) is nothing.
pub(super) fn explained(storage: &Cluster, waited: &[Unsettled]) -> Option<String> {
    let (one, node) = waited.iter().find_map(|one| match &one.why {
        Why::CouldBeOn(node) => Some((one, Some(node.as_str()))),
        Why::HasNoPrimary => Some((one, None)),
        Why::Starts | Why::Moves => None,
    })?;
    let body = json!({ "index": one.index, "shard": one.number, "primary": node.is_none() });
    // Nothing hangs on it: a cluster that is too busy to explain is asked again at the next look.
    let answer = storage
        .raw_read(EXPLAIN, &[], Some(&body.to_string()))
        .ok()?;
    let told: Value = (answer.status == 200).then(|| answer.body.parse().ok())??;
    let whole = reason(&told, node)?;
    let reason = &whole[..whole.floor_char_boundary(REASON_BYTES_MAX)];
    let more = if reason.len() < whole.len() {
        "…"
    } else {
        ""
    };
    Some(format!(
        "the server keeps `{}` shard {} away: {reason}{more}",
        one.index, one.number
    ))
}

/// Of an explanation: the rule that keeps the shard off this node, or off the first that any rule keeps it off.
fn reason<'a>(told: &'a Value, node: Option<&str>) -> Option<&'a str> {
    let list = |of: &'a Value, member: &str| of[member].as_array().map_or(&[][..], Vec::as_slice);
    list(told, "node_allocation_decisions")
        .iter()
        .filter(|its| node.is_none_or(|node| its["node_name"] == node))
        .flat_map(|its| list(its, "deciders"))
        .find(|rule| rule["decision"] == "NO")
        .and_then(|rule| rule["explanation"].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_of_the_node_that_is_waited_for_is_told() {
        let rule = |decision: &str, text: &str| json!({ "decider": "x", "decision": decision, "explanation": text });
        let told = json!({ "node_allocation_decisions": [
            { "node_name": "n1", "deciders": [rule("NO", "a copy is there")] },
            { "node_name": "n2", "deciders": [rule("YES", "fine"), rule("NO", "a filter")] },
            { "node_name": "n3", "deciders": [rule("THROTTLE", "later")] },
            { "node_name": "n4", "node_decision": "yes" },
        ] });
        assert_eq!(reason(&told, Some("n2")), Some("a filter"));
        assert_eq!(reason(&told, Some("n3")), None);
        assert_eq!(reason(&told, Some("n4")), None);
        assert_eq!(reason(&told, None), Some("a copy is there"));
        assert_eq!(reason(&json!({}), Some("n2")), None);
    }
}
