//! What is waited for while nodes are taken: judged over plain values, so that a test can ask.

use serde_json::{Value, json};

use crate::capability::{Cluster, Condition, ConditionExt, Node, OnExpiry, Shard};
use crate::observing::Observation;
use crate::plan::asked;
use crate::site::Site;
use crate::{Error, Result, told};

use super::explain::explained;
use super::{
    Left, Unsettled, Why, has_joined, is_elected, is_manager_eligible, left_without_copy, unsettled,
};

/// Nothing is lost by this node's stop.
const MAY_STOP: &str = "may-stop";
/// Enough nodes that can be elected stay.
const MANAGERS: &str = "managers-stay";
/// The node is in the cluster.
const JOINED: &str = "joined";
/// It has its new version.
const RUNS: &str = "runs";
/// No shard is worth waiting for.
const SETTLED: &str = "settled";

/// How long a node that was started is waited for: a large one reads its shards' state first.
const JOIN_PATIENCE_MS: u64 = 900_000;

/// How long its version is waited for once it is there. It cannot change any more; but a list can still show the process
/// that was stopped, until its silence is noticed.
const RUNS_PATIENCE_MS: u64 = 60_000;

/// How long the shards are waited for that a stop would take away: copies are being built, or the order is wrong.
const STOP_PATIENCE_MS: u64 = 300_000;

pub(super) fn may_stop(node: &str, to: &str, outages_accepted: bool) -> Result<Condition> {
    let input = json!({ "node": node, "to": to, "outages-accepted": outages_accepted });
    asked(MAY_STOP, &input)
        .patience_ms(STOP_PATIENCE_MS)
        .when_expired(OnExpiry::Ask)
}

/// `of`: nodes that could be elected when it was planned. Nobody is asked to pass it over: a cluster without a manager takes
/// no write, and nothing of it could be read to go on by.
pub(super) fn managers_stay(node: &str, of: usize) -> Result<Condition> {
    asked(MANAGERS, &json!({ "node": node, "of": of })).patience_ms(STOP_PATIENCE_MS)
}

pub(super) fn joined(node: &str) -> Result<Condition> {
    asked(JOINED, &json!({ "node": node })).patience_ms(JOIN_PATIENCE_MS)
}

pub(super) fn runs(node: &str, to: &str) -> Result<Condition> {
    asked(RUNS, &json!({ "node": node, "to": to })).patience_ms(RUNS_PATIENCE_MS)
}

pub(super) fn settled(patience_ms: u64) -> Result<Condition> {
    asked(SETTLED, &json!({})).patience_ms(patience_ms)
}

/// As [`settled`]; also where this node is not in the cluster. A run that goes on while it has the node down would wait
/// until all that the node holds is built anew on others, and start it then.
pub(super) fn settled_or_away(node: &str, patience_ms: u64) -> Result<Condition> {
    asked(SETTLED, &json!({ "unless-away": node })).patience_ms(patience_ms)
}

/// Looks at one of the conditions between [`super::Rolling`]'s steps; none: it has no such name. `binding` is the cluster,
/// and ids of findings begin with `ids`.
///
/// # Errors
/// `invalid` where the input is not what the step gave; the host's where the cluster cannot be read.
pub fn observe(
    site: &Site,
    ids: &str,
    binding: &str,
    name: &str,
    input: &Value,
) -> Result<Option<Observation>> {
    let text = |member: &str| {
        input
            .get(member)
            .and_then(Value::as_str)
            .ok_or_else(|| Error::Invalid(format!("`{name}` without `{member}`: {input}")))
    };
    let storage = || Cluster::open(site, binding);
    let holds_where = |why: String| Observation {
        holds: why.is_empty(),
        seen: Value::Null,
        why,
    };
    Ok(Some(match name {
        MAY_STOP => {
            let storage = storage()?;
            let accepted = input.get("outages-accepted") == Some(&Value::Bool(true));
            holds_where(cannot_stop(
                ids,
                &storage.shards("*")?,
                &with_own_word(&storage)?,
                text("node")?,
                text("to")?,
                accepted,
            ))
        }
        MANAGERS => {
            let of = input.get("of").and_then(Value::as_u64);
            let of = of.ok_or_else(|| Error::Invalid(format!("`{name}` without `of`: {input}")))?;
            holds_where(too_few_managers(
                ids,
                &storage()?.nodes()?,
                text("node")?,
                of,
            ))
        }
        JOINED => holds_where(not_joined(ids, &storage()?.nodes()?, text("node")?)),
        RUNS => holds_where(runs_not(
            ids,
            &with_own_word(&storage()?)?,
            text("node")?,
            text("to")?,
        )),
        SETTLED => {
            let storage = storage()?;
            let nodes = with_own_word(&storage)?;
            let node = input.get("unless-away").and_then(Value::as_str);
            let waited = unsettled_unless_away(&storage.shards("*")?, &nodes, node);
            let why = told_all(&waited);
            holds_where(match explained(&storage, &waited) {
                // First, since a long list is cut where it is shown.
                Some(reason) => format!("{reason}; {why}"),
                None => why,
            })
        }
        _ => return Ok(None),
    }))
}

/// The list of nodes, with the version that each says of itself where it could be asked.
fn with_own_word(storage: &Cluster) -> Result<Vec<Node>> {
    let mut nodes = storage.nodes()?;
    for identity in storage.identities()? {
        for node in &mut nodes {
            if node.name == identity.node_name {
                node.version.clone_from(&identity.version);
            }
        }
    }
    Ok(nodes)
}

/// Why this node must not be stopped now; empty: it may.
fn cannot_stop(
    ids: &str,
    shards: &[Shard],
    nodes: &[Node],
    name: &str,
    to: &str,
    outages_accepted: bool,
) -> String {
    if let Some(node) = nodes.iter().find(|node| node.name == name)
        && is_elected(node)
        && let Some(older) = nodes
            .iter()
            .find(|other| other.name != name && other.version != to)
    {
        return format!(
            "`{name}` was elected since the plan was made, and `{}` is still {}: an older node cannot join a newer \
             manager ({ids}.manager-moved); `liftlock replan` takes it last",
            older.name, older.version
        );
    }
    let left = left_without_copy(shards, name);
    let kept: Vec<String> = left
        .iter()
        .filter(|left| !(left.is_only_copy && outages_accepted))
        .map(told_of)
        .collect();
    if kept.is_empty() {
        return String::new();
    }
    format!(
        "without `{name}` no copy would serve of {} ({ids}.only-started-copy)",
        told::first(kept, ", ")
    )
}

pub(super) fn told_of(left: &Left) -> String {
    let how = if left.is_only_copy {
        "its only copy"
    } else {
        "the others are not started"
    };
    format!("`{}` shard {}: {how}", left.index, left.number)
}

/// Elections need more than half of those that could be elected; one that is down counts among them.
fn too_few_managers(ids: &str, nodes: &[Node], name: &str, of: u64) -> String {
    let eligible = || nodes.iter().filter(|node| is_manager_eligible(node));
    if eligible().all(|node| node.name != name) {
        return String::new();
    }
    let left = eligible().filter(|node| node.name != name).count() as u64;
    if left * 2 > of {
        return String::new();
    }
    format!(
        "without `{name}` {left} of {of} nodes that can be elected would be in the cluster, and an election needs more than \
         half ({ids}.manager-outage): start the others"
    )
}

fn not_joined(ids: &str, nodes: &[Node], name: &str) -> String {
    if nodes.iter().any(|node| node.name == name) {
        return String::new();
    }
    format!("`{name}` is not in the cluster ({ids}.not-joined): its log says why")
}

fn runs_not(ids: &str, nodes: &[Node], name: &str, to: &str) -> String {
    if has_joined(nodes, name, to) {
        return String::new();
    }
    match nodes.iter().find(|node| node.name == name) {
        Some(node) => format!(
            "`{name}` is in the cluster with {}, not {to} ({ids}.wrong-join)",
            node.version
        ),
        None => not_joined(ids, nodes, name),
    }
}

/// What is still to be waited for; empty: nothing.
pub(super) fn not_settled(shards: &[Shard], nodes: &[Node]) -> String {
    told_all(&unsettled(shards, nodes))
}

fn told_all(waited: &[Unsettled]) -> String {
    told::first(waited.iter().map(told_why), ", ")
}

/// What is to be waited for, but nothing where this node is not in the cluster.
fn unsettled_unless_away(shards: &[Shard], nodes: &[Node], node: Option<&str>) -> Vec<Unsettled> {
    let is_away = |name: &str| nodes.iter().all(|node| node.name != name);
    if node.is_some_and(is_away) {
        return Vec::new();
    }
    unsettled(shards, nodes)
}

fn told_why(one: &Unsettled) -> String {
    let why = match &one.why {
        Why::Starts => "a copy starts".to_owned(),
        Why::Moves => "a copy moves".to_owned(),
        Why::HasNoPrimary => "it has no primary".to_owned(),
        Why::CouldBeOn(node) => format!("a replica could be on `{node}`"),
    };
    format!("`{}` shard {}: {why}", one.index, one.number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rolling::fixture::{INDEX, TO, node, seen, shard};

    const IDS: &str = "acme";

    #[test]
    fn a_node_with_the_only_started_copy_is_not_stopped() {
        let seen = seen();
        let may =
            |shards: &[Shard], accepted| cannot_stop(IDS, shards, &seen.nodes, "n2", TO, accepted);
        let primary = shard(INDEX, true, Some("n2"));
        let whole = [primary.clone(), shard(INDEX, false, Some("n3"))];
        assert_eq!(may(&whole, false), "");
        let building = [primary.clone(), shard(INDEX, false, None)];
        assert!(may(&building, true).contains("acme.only-started-copy"));
        assert!(may(std::slice::from_ref(&primary), false).contains("its only copy"));
        assert_eq!(may(&[primary], true), "");
    }

    #[test]
    fn a_manager_that_was_elected_since_is_not_taken_before_its_turn() {
        let mut nodes = seen().nodes;
        assert!(cannot_stop(IDS, &[], &nodes, "n1", TO, true).contains("manager-moved"));
        nodes[1] = node("n2", TO, false);
        assert!(cannot_stop(IDS, &[], &nodes, "n1", TO, true).contains("`n3` is still"));
        nodes[2] = node("n3", TO, false);
        assert_eq!(cannot_stop(IDS, &[], &nodes, "n1", TO, true), "");
    }

    #[test]
    fn a_node_is_not_stopped_while_another_manager_is_down() {
        let mut nodes = seen().nodes;
        assert_eq!(too_few_managers(IDS, &nodes, "n2", 3), "");
        // It is stopped already, or was never one that is elected.
        assert_eq!(too_few_managers(IDS, &nodes, "n4", 3), "");
        nodes.remove(2);
        let why = too_few_managers(IDS, &nodes, "n2", 3);
        assert!(
            why.contains("1 of 3") && why.contains("acme.manager-outage"),
            "{why}"
        );
        nodes[1].roles = vec!["data".into()];
        assert_eq!(too_few_managers(IDS, &nodes, "n2", 3), "");
    }

    #[test]
    fn a_wrong_join_is_told_from_none() {
        let mut nodes = seen().nodes;
        assert!(runs_not(IDS, &nodes, "n2", TO).contains("wrong-join"));
        assert!(runs_not(IDS, &nodes, "n4", TO).contains("not-joined"));
        assert!(not_joined(IDS, &nodes, "n4").contains("not-joined"));
        assert_eq!(not_joined(IDS, &nodes, "n2"), "");
        nodes[1] = node("n2", TO, false);
        assert_eq!(runs_not(IDS, &nodes, "n2", TO), "");
    }

    #[test]
    fn what_is_waited_for_has_its_reason() {
        let seen = seen();
        assert_eq!(not_settled(&seen.shards, &seen.nodes), "");
        let loose = [shard(INDEX, true, Some("n1")), shard(INDEX, false, None)];
        for unless_away in [None, Some("n2")] {
            let waited = unsettled_unless_away(&loose, &seen.nodes, unless_away);
            let why = "`orders` shard 0: a replica could be on `n2`";
            assert_eq!(told_all(&waited), why);
        }
        // What it held is not built anew elsewhere before it is started.
        assert_eq!(unsettled_unless_away(&loose, &seen.nodes, Some("n4")), []);
    }
}
