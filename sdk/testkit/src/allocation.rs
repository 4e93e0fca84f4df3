//! Which nodes hold the copies of a shard, as nodes leave and join.
//!
//! What is decided is what the servers decide: a copy that is up becomes the primary when the primary's node leaves, a
//! copy of a node that left is built elsewhere only after a minute, and none is built on a node that is older
//! than the one with the primary, nor any while `cluster.routing.allocation.enable` is not `all`. Copies are built at
//! once, and none moves. `none` and `new_primaries` keep back new copies only.

use crate::index::Index;
use crate::state::{Node, ShardCopy, State};

/// The setting that says which copies are built.
const ENABLE: &str = "cluster.routing.allocation.enable";

/// How long copies of a node that left are kept for it: the servers' default.
const DELAY_MS: i64 = 60_000;

/// A version's numbers, to be compared.
pub(crate) fn numbers(version: &str) -> Vec<u32> {
    version
        .split('.')
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}

/// Where the copies of a shard go while every node is there: its home and those after it.
fn slots(index: &Index, shard: u32, nodes: usize) -> impl Iterator<Item = usize> {
    let first = index.home + usize::try_from(shard).unwrap_or(0);
    (0..copies(index).min(nodes)).map(move |copy| (first + copy) % nodes)
}

/// It left, and its copies are kept for it.
fn is_awaited(node: &Node, now_ms: i64) -> bool {
    !node.is_up && now_ms - node.left_ms < DELAY_MS
}

fn copies(index: &Index) -> usize {
    usize::try_from(index.replicas()).unwrap_or(0) + 1
}

impl State {
    /// Why a node cannot start with this release, in the servers' words; none: it can.
    pub(crate) fn why_too_old(&self, node: usize, version: &str) -> Option<String> {
        let own = &self.nodes[node].data_version;
        if numbers(version) < numbers(own) {
            return Some(format!(
                "cannot downgrade a node from version [{own}] to version [{version}]"
            ));
        }
        let others = self.nodes.iter().filter(|other| other.is_up);
        let least = others
            .map(|other| &other.version)
            .min_by_key(|it| numbers(it))?;
        (numbers(version) < numbers(least)).then(|| {
            format!(
                "node version [{version}] may not join a cluster comprising only nodes of version [{least}] or greater"
            )
        })
    }

    /// Decides anew, once nodes, settings or indices have changed.
    pub(crate) fn allocate(&mut self) {
        let enable = self.cluster_setting(ENABLE).unwrap_or_default();
        let now = self.now_ms();
        let is_awaited = |node: &Node| is_awaited(node, now);
        self.allocated_ms = now;
        let mut indices = std::mem::take(&mut self.indices);
        for index in indices.values_mut() {
            let shards = (0..index.shards()).map(|shard| {
                let held = usize::try_from(shard)
                    .ok()
                    .and_then(|at| index.whole_on.get(at));
                place(&self.nodes, &is_awaited, &enable, index, shard, held)
            });
            index.whole_on = shards.collect();
        }
        self.indices = indices;
    }

    /// Decides anew once a node that left is waited for no more.
    pub(crate) fn allocate_if_due(&mut self) {
        let (then, now) = (self.allocated_ms, self.now_ms());
        let is_due = |node: &Node| is_awaited(node, then) && !is_awaited(node, now);
        if self.nodes.iter().any(is_due) {
            self.allocate();
        }
    }

    /// Every copy of every shard of `index`, in shard order, primaries first.
    pub(crate) fn shard_copies(&self, index: &Index) -> Vec<ShardCopy> {
        let mut out = Vec::new();
        for (shard, held) in (0..index.shards()).zip(&index.whole_on) {
            let up: Vec<usize> = held
                .iter()
                .copied()
                .filter(|node| self.nodes[*node].is_up)
                .collect();
            let mut away = slots(index, shard, self.nodes.len())
                .filter(|node| is_awaited(&self.nodes[*node], self.now_ms()))
                .count();
            for position in 0..copies(index) {
                let node = up.get(position).copied();
                let is_delayed = node.is_none() && position > 0 && away > 0;
                if is_delayed {
                    away -= 1;
                }
                out.push(ShardCopy {
                    index: index.name.clone(),
                    shard,
                    primary: position == 0,
                    node,
                    delayed: is_delayed,
                });
            }
        }
        out
    }
}

impl State {
    /// The rules that keep a copy without a node off this one: each by its decider's name, in the servers' words.
    pub(crate) fn against(
        &self,
        index: &Index,
        copy: &ShardCopy,
        node: usize,
    ) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let enable = self.cluster_setting(ENABLE).unwrap_or_default();
        match (enable.as_str(), copy.primary) {
            ("none", _) => found.push((
                "enable",
                format!("no allocations are allowed due to cluster setting [{ENABLE}=none]"),
            )),
            ("primaries" | "new_primaries", false) => found.push((
                "enable",
                format!(
                    "replica allocations are forbidden due to cluster setting [{ENABLE}={enable}]"
                ),
            )),
            _ => {}
        }
        let shard = usize::try_from(copy.shard).unwrap_or(0);
        let held = index.whole_on.get(shard).map_or(&[][..], Vec::as_slice);
        if held.contains(&node) {
            let why = "a copy of this shard is already allocated to this node";
            found.push(("same_shard", why.to_owned()));
        }
        let (own, primary) = match held.iter().find(|node| self.nodes[**node].is_up) {
            Some(primary) if !copy.primary => {
                (&self.nodes[node].version, &self.nodes[*primary].version)
            }
            _ => return found,
        };
        if numbers(own) < numbers(primary) {
            found.push((
                "node_version",
                format!(
                    "cannot allocate replica shard to a node with version [{own}] since this is older than the primary \
                     version [{primary}]"
                ),
            ));
        }
        found
    }
}

/// The nodes with a whole copy of a shard, its primary first. While none of them is up they stay as they were: only
/// they can bring it back.
fn place(
    nodes: &[Node],
    is_awaited: &impl Fn(&Node) -> bool,
    enable: &str,
    index: &Index,
    shard: u32,
    held: Option<&Vec<usize>>,
) -> Vec<usize> {
    let is_up = |node: &usize| nodes[*node].is_up;
    let mut placed: Vec<usize> = match held {
        Some(held) if !held.is_empty() => {
            let up: Vec<usize> = held.iter().copied().filter(is_up).collect();
            if up.is_empty() {
                return held.clone();
            }
            up
        }
        _ if enable == "none" => return Vec::new(),
        _ => {
            let home = slots(index, shard, nodes.len()).find(is_up);
            home.or_else(|| (0..nodes.len()).find(is_up))
                .into_iter()
                .collect()
        }
    };
    placed.truncate(copies(index));
    let Some(primary) = placed.first().copied() else {
        return placed;
    };
    let oldest = numbers(&nodes[primary].version);
    let mut places: Vec<usize> = slots(index, shard, nodes.len()).collect();
    let delayed = places
        .iter()
        .filter(|node| is_awaited(&nodes[**node]) && !placed.contains(node))
        .count();
    for node in 0..nodes.len() {
        if !places.contains(&node) {
            places.push(node);
        }
    }
    let wanted = copies(index).saturating_sub(delayed);
    if enable == "all" {
        for node in places {
            let fits =
                is_up(&node) && !placed.contains(&node) && numbers(&nodes[node].version) >= oldest;
            if placed.len() < wanted && fits {
                placed.push(node);
            }
        }
    }
    placed
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{Product, SimCluster};

    const OLD: &str = "7.17.15";
    const NEW: &str = "8.19.13";

    async fn three_old() -> SimCluster {
        let mut builder = SimCluster::builder(Product::Elasticsearch8).nodes(3);
        for node in 0..3 {
            builder = builder.node_version(node, OLD);
        }
        builder.start().await.unwrap()
    }

    fn create(sim: &SimCluster, name: &str, replicas: u32) {
        let body = json!({"settings": {"number_of_replicas": replicas}});
        let (status, answer) = sim.call("PUT", &format!("/{name}"), &body.to_string());
        assert_eq!(status, 200, "{answer}");
    }

    fn enable(sim: &SimCluster, value: Value) {
        let body = json!({"persistent": {super::ENABLE: value}});
        assert_eq!(
            sim.call("PUT", "/_cluster/settings", &body.to_string()).0,
            200
        );
    }

    /// Of each copy its node, the primary first; `-`: it has none.
    fn on(sim: &SimCluster, index: &str) -> Vec<String> {
        let (_, rows) = sim.call("GET", &format!("/_cat/shards/{index}?format=json"), "");
        let of = |row: &Value| row["node"].as_str().unwrap_or("-").to_owned();
        rows.as_array().unwrap().iter().map(of).collect()
    }

    #[tokio::test]
    async fn replicas_wait_for_the_setting_and_for_a_node_that_is_new_enough() {
        let sim = three_old().await;
        create(&sim, "one", 1);
        assert_eq!(on(&sim, "one"), ["node-1", "node-2"]);
        enable(&sim, json!("primaries"));
        sim.stop_node(0).await.unwrap();
        assert_eq!(on(&sim, "one"), ["node-2", "-"], "the other is promoted");
        sim.start_node_as(0, NEW).await.unwrap();
        assert_eq!(on(&sim, "one"), ["node-2", "-"], "no replica is built");
        enable(&sim, Value::Null);
        assert_eq!(on(&sim, "one"), ["node-2", "node-1"]);
        sim.stop_node(1).await.unwrap();
        assert_eq!(on(&sim, "one"), ["node-1", "-"]);
        enable(&sim, json!("primaries"));
        create(&sim, "made-in-the-middle", 1);
        enable(&sim, Value::Null);
        assert_eq!(
            on(&sim, "one"),
            ["node-1", "-"],
            "older than the primary's node"
        );
        sim.start_node_as(1, NEW).await.unwrap();
        assert_eq!(on(&sim, "one"), ["node-1", "node-2"]);
    }

    #[tokio::test]
    async fn copies_of_a_node_that_stays_away_are_built_elsewhere_after_a_minute() {
        let sim = three_old().await;
        create(&sim, "pair", 1);
        sim.stop_node(0).await.unwrap();
        sim.advance_ms(super::DELAY_MS / 2);
        assert_eq!(on(&sim, "pair"), ["node-2", "-"]);
        sim.advance_ms(super::DELAY_MS / 2);
        assert_eq!(on(&sim, "pair"), ["node-2", "node-3"]);
        sim.start_node(0).await.unwrap();
        assert_eq!(on(&sim, "pair"), ["node-2", "node-3"]);
    }

    #[tokio::test]
    async fn only_a_whole_copy_brings_a_shard_back() {
        let sim = three_old().await;
        create(&sim, "alone", 0);
        create(&sim, "pair", 1);
        sim.stop_node(0).await.unwrap();
        assert_eq!(on(&sim, "alone"), ["-"]);
        sim.start_node(0).await.unwrap();
        assert_eq!(on(&sim, "alone"), ["node-1"]);
        enable(&sim, json!("primaries"));
        // On nodes 2 and 3: the copy of the second is behind when that comes back.
        sim.stop_node(1).await.unwrap();
        sim.start_node(1).await.unwrap();
        sim.stop_node(2).await.unwrap();
        assert_eq!(on(&sim, "pair"), ["-", "-"]);
        sim.start_node(2).await.unwrap();
        assert_eq!(on(&sim, "pair"), ["node-3", "-"]);
    }

    #[tokio::test]
    async fn a_node_joins_with_its_release_and_never_goes_back() {
        let sim = three_old().await;
        for node in [1, 2, 0] {
            sim.stop_node(node).await.unwrap();
            if node == 0 {
                let refused = sim.start_node_as(node, OLD).await.unwrap_err();
                assert!(refused.to_string().contains("may not join"), "{refused}");
            }
            sim.start_node_as(node, NEW).await.unwrap();
        }
        let (_, rows) = sim.call("GET", "/_cat/nodes?format=json&h=name,version,master", "");
        let rows = rows.as_array().unwrap();
        assert!(rows.iter().all(|row| row["version"] == NEW), "{rows:?}");
        let elected: Vec<&Value> = rows.iter().filter(|row| row["master"] == "*").collect();
        assert_eq!(elected[0]["name"], "node-2", "who is elected stays so");
        sim.stop_node(2).await.unwrap();
        let refused = sim.start_node_as(2, OLD).await.unwrap_err();
        assert!(refused.to_string().contains("downgrade"), "{refused}");
    }
}
