//! The watch after the run: Kuzzle and its storage stay well for a while, and what the nodes counted meanwhile is told.

use liftlock_sdk::prelude::*;
use liftlock_sdk::told;

use crate::check::{info, warning};
use crate::kuzzle::Kuzzles;
use crate::options::Options;
use crate::seen::raw;

/// The condition's name.
const WELL: &str = "well";

/// Beyond the time that all has to stay well: how long it may take until it is.
const PATIENCE_MS: u64 = 300_000;

/// What each node counts since it was started; the servers' own names of these lists.
pub(crate) const BREAKERS: &str = "/_nodes/stats/breaker";
pub(crate) const POOLS: &str = "/_nodes/stats/thread_pool";
pub(crate) const HEAP: &str = "/_nodes/stats/jvm";

/// Both are well, for as long as the operator says. `status` is what the storage must be at least: `yellow`, `green`.
pub(crate) fn well(binding: &str, status: &str, options: &Options) -> Result<Condition> {
    asked(WELL, &json!({ "storage": binding, "status": status }))
        .stable_for_ms(options.watch_ms)
        .patience_ms(options.watch_ms.saturating_add(PATIENCE_MS))
}

/// Looks, where it is asked for this.
pub(crate) fn observe(site: &Site, name: &str, input: &Value) -> Result<Option<Observation>> {
    let (WELL, Some(binding), Some(status)) =
        (name, input["storage"].as_str(), input["status"].as_str())
    else {
        return Ok(None);
    };
    let health = Cluster::open(site, binding)?.health()?;
    let kuzzles = Kuzzles::gather(site, &Options::of(site)?)?;
    let found = unwell(&health, status, &kuzzles);
    Ok(Some(Observation {
        holds: found.is_empty(),
        seen: json!(health.status),
        why: told::first(&found, "; "),
    }))
}

/// What is not as it should be.
fn unwell(health: &Health, status: &str, kuzzles: &Kuzzles) -> Vec<String> {
    let mut found = Vec::new();
    let is_well = health.status == "green" || (health.status == "yellow" && status == "yellow");
    if !is_well {
        found.push(format!("the storage is {}", health.status));
    }
    for service in &kuzzles.services {
        if service.state != State::Ready {
            found.push(format!("`{}` is {}", service.binding, service.state));
        }
    }
    for said in &kuzzles.said {
        match &said.health {
            Some((200, told)) if told == "green" => {}
            Some((code, told)) => found.push(format!("`{}` says {code} {told}", said.binding)),
            None => found.push(format!("`{}` does not answer", said.binding)),
        }
    }
    found
}

/// What one node counted since it was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) node: String,
    pub(crate) heap_percent: Option<u64>,
    /// Requests that it had no room for, of all its pools; none where it does not say.
    pub(crate) rejected: Option<u64>,
    /// How often a request was ended before it took too much memory.
    pub(crate) tripped: Option<u64>,
}

/// Of every node.
pub(crate) fn counted(on: &Cluster) -> Result<Vec<Counted>> {
    let pools = raw(on, POOLS, "nodes.*.name,nodes.*.thread_pool.*.rejected")?;
    let breakers = raw(on, BREAKERS, "nodes.*.breakers.*.tripped")?;
    let heap = raw(on, HEAP, "nodes.*.jvm.mem.heap_used_percent")?;
    Ok(of(&pools, &breakers, &heap))
}

fn of(pools: &Value, breakers: &Value, heap: &Value) -> Vec<Counted> {
    let nodes = pools["nodes"].as_object().into_iter().flatten();
    nodes
        .map(|(id, node)| {
            let sum = |list: &Value, field: &str| {
                let counts = list.as_object()?.values();
                Some(counts.filter_map(|one| one[field].as_u64()).sum())
            };
            Counted {
                node: node["name"].as_str().unwrap_or(id).to_owned(),
                heap_percent: heap["nodes"][id]["jvm"]["mem"]["heap_used_percent"].as_u64(),
                rejected: sum(&node["thread_pool"], "rejected"),
                tripped: sum(&breakers["nodes"][id]["breakers"], "tripped"),
            }
        })
        .collect()
}

/// The report of the watch. `before` and `after`: documents of all collections, where the run kept them.
pub(crate) fn report(counted: &[Counted], documents: [Option<u64>; 2], all: &mut Vec<Finding>) {
    let shown = |count: Option<u64>| count.map_or_else(|| "unread".into(), |it| it.to_string());
    for node in counted {
        let told = format!(
            "heap {} %, {} requests rejected, {} ended for memory",
            shown(node.heap_percent),
            shown(node.rejected),
            shown(node.tripped)
        );
        if node.rejected.unwrap_or(0) > 0 || node.tripped.unwrap_or(0) > 0 {
            all.push(warning("kuzzle.requests-refused", &node.node, told));
        } else {
            all.push(info("kuzzle.watched", &node.node, told));
        }
    }
    if let [Some(before), Some(after)] = documents {
        let what = format!("{after} documents, {before} before the run");
        all.push(info("kuzzle.watched", "collections", what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn all_must_be_well_and_what_is_not_is_named() {
        let seen = fixture::seen();
        let kuzzles = fixture::kuzzles("\"8\"");
        assert!(unwell(&seen.health, "green", &kuzzles).is_empty());
        let mut health = seen.health;
        health.status = "yellow".into();
        assert!(unwell(&health, "yellow", &kuzzles).is_empty());
        assert_eq!(
            unwell(&health, "green", &kuzzles),
            ["the storage is yellow"]
        );
        let mut ill = kuzzles.clone();
        ill.services[0].state = State::Stopped;
        ill.said[0].health = Some((503, "red".into()));
        assert_eq!(unwell(&health, "yellow", &ill).len(), 2);
        ill.said[0].health = None;
        assert!(unwell(&health, "yellow", &ill)[1].contains("does not answer"));
    }

    #[test]
    fn counts_of_each_node_are_summed_and_what_was_refused_is_a_warning() {
        let pools = json!({"nodes": {
            "a": {"name": "n1", "thread_pool": {"write": {"rejected": 2}, "search": {"rejected": 1}}},
            "b": {"name": "n2"},
        }});
        let breakers = json!({"nodes": {"a": {"breakers": {"parent": {"tripped": 1}}}}});
        let heap = json!({"nodes": {"a": {"jvm": {"mem": {"heap_used_percent": 40}}}}});
        let counted = of(&pools, &breakers, &heap);
        assert_eq!(
            counted,
            [
                Counted {
                    node: "n1".into(),
                    heap_percent: Some(40),
                    rejected: Some(3),
                    tripped: Some(1),
                },
                Counted {
                    node: "n2".into(),
                    heap_percent: None,
                    rejected: None,
                    tripped: None,
                },
            ]
        );
        let mut all = Vec::new();
        report(&counted, [Some(3), Some(4)], &mut all);
        let ids: Vec<&str> = all.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "kuzzle.requests-refused",
                "kuzzle.watched",
                "kuzzle.watched"
            ]
        );
    }
}
