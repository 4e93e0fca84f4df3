//! The cluster itself: nodes, health, tasks, settings, deprecations.

use std::collections::BTreeMap;

use liftlock_types::facts::cluster::{Deprecation, Health, Identity, Node, SettingScope, Task};
use liftlock_types::{Json, ReadError};
use serde_json::Value;

use super::{bounded, list, members, objects, rows, text};
use crate::Cluster;
use crate::call::Call;
use crate::dialect::moves;
use crate::watermark::{Watermarks, watermarks};

/// Most tasks of one answer (contract).
const TASKS_MAX: usize = 5_000;

/// Most deprecations: one for each of 1,000 indices and some for the nodes.
const DEPRECATIONS_MAX: usize = 5_000;

/// Most indices that health names one by one; how many more there are is said.
const REASONS_MAX: usize = 100;

/// `/` of each configured node and of each node of the node list that is reached from here.
pub(super) async fn identities(cluster: &Cluster) -> Result<Vec<Identity>, ReadError> {
    let mut found: BTreeMap<String, Identity> = BTreeMap::new();
    let mut why = Vec::new();
    for root in cluster.roots().await {
        match root {
            Ok(identity) => {
                found.insert(identity.node_name.clone(), identity);
            }
            Err(text) => why.push(text),
        }
    }
    // A node that is down or out of reach has no identity to show; the node list says that it is there.
    if found.is_empty() {
        return Err(ReadError::Unavailable(why.join("; ")));
    }
    let nodes = cluster.ask(&Call::get(["_nodes", "http"])).await?;
    // All at once: a node in a network that we do not see costs the time to connect, and there may be many.
    let others = members(nodes.get("nodes"))
        .filter(|(_, node)| !found.contains_key(text(node, "name")))
        .filter_map(|(_, node)| node.pointer("/http/publish_address")?.as_str())
        .map(|address| cluster.root_of(address));
    for identity in futures::future::join_all(others)
        .await
        .into_iter()
        .flatten()
    {
        found.insert(identity.node_name.clone(), identity);
    }
    Ok(found.into_values().collect())
}

pub(super) async fn health(cluster: &Cluster) -> Result<Health, ReadError> {
    let value = cluster
        .ask(&Call::get(["_cluster", "health"]).param("level", "indices"))
        .await?;
    let number = |key: &str| u32::try_from(super::number(&value, key)).unwrap_or(u32::MAX);
    let mut reasons: Vec<String> = members(value.get("indices"))
        .filter(|(_, index)| text(index, "status") != "green")
        .map(|(name, index)| {
            format!(
                "`{name}` is {}: {} of {} primaries active, {} shards unassigned, {} starting",
                text(index, "status"),
                super::number(index, "active_primary_shards"),
                super::number(index, "number_of_shards"),
                super::number(index, "unassigned_shards"),
                super::number(index, "initializing_shards"),
            )
        })
        .collect();
    reasons.sort();
    if reasons.len() > REASONS_MAX {
        let more = reasons.len() - REASONS_MAX;
        reasons.truncate(REASONS_MAX);
        reasons.push(format!("and {more} more indices that are not green"));
    }
    Ok(Health {
        status: text(&value, "status").to_owned(),
        nodes: number("number_of_nodes"),
        active_shards: number("active_shards"),
        relocating_shards: number("relocating_shards"),
        initializing_shards: number("initializing_shards"),
        unassigned_shards: number("unassigned_shards"),
        pending_tasks: number("number_of_pending_tasks"),
        reasons,
    })
}

pub(super) async fn nodes(cluster: &Cluster) -> Result<Vec<Node>, ReadError> {
    let info = cluster
        .ask(&Call::get(["_nodes", "http,jvm,plugins"]))
        .await?;
    let stats = cluster.ask(&Call::get(["_nodes", "stats", "fs"])).await?;
    let settings = cluster
        .ask(
            &Call::get(["_cluster", "settings"])
                .param("include_defaults", "true")
                .param("flat_settings", "true"),
        )
        .await?;
    let marks = watermarks(&settings);
    // The old name of the table: every version of both products answers it.
    let manager = cluster
        .ask(
            &Call::get(["_cat", "master"])
                .param("format", "json")
                .param("h", "id"),
        )
        .await?;
    let manager = rows(&manager, None, "the table of the elected manager")?
        .first()
        .map_or("", |row| text(row, "id"));
    let mut nodes: Vec<Node> = members(info.get("nodes"))
        .map(|(id, node)| {
            let mut node = node_of(id, node, &stats, &marks);
            if node.id == manager {
                node.more.push(("elected-manager".into(), "yes".into()));
            }
            node
        })
        .collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(nodes)
}

fn node_of(id: &str, node: &Value, stats: &Value, marks: &Watermarks) -> Node {
    let disk = |key: &str| {
        stats
            .get("nodes")
            .and_then(|nodes| nodes.get(id))
            .and_then(|node| node.pointer("/fs/total"))
            .map_or(0, |total| super::number(total, key))
    };
    let total = disk("total_in_bytes");
    let mut plugins: Vec<String> = ["plugins", "modules"]
        .iter()
        .flat_map(|kind| list(node.get(kind)))
        .map(|plugin| text(plugin, "name").to_owned())
        .collect();
    plugins.sort();
    plugins.dedup();
    let mut more = vec![("java".to_owned(), {
        let version = node.pointer("/jvm/version").and_then(Value::as_str);
        version.unwrap_or_default().to_owned()
    })];
    if !marks.enabled {
        more.push(("disk-threshold".into(), "disabled".into()));
    }
    // Where tiers are no roles (OpenSearch 1, Elasticsearch before 7.10), operators write them here.
    more.extend(members(node.get("attributes")).filter_map(|(name, value)| {
        Some((format!("attribute.{name}"), value.as_str()?.to_owned()))
    }));
    Node {
        id: id.to_owned(),
        name: text(node, "name").to_owned(),
        version: text(node, "version").to_owned(),
        roles: list(node.get("roles"))
            .iter()
            .filter_map(|role| role.as_str().map(str::to_owned))
            .collect(),
        address: node
            .pointer("/http/publish_address")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        heap_max_bytes: node
            .pointer("/jvm/mem/heap_max_in_bytes")
            .and_then(Value::as_u64)
            .unwrap_or(0),
        disk_total_bytes: total,
        disk_free_bytes: disk("available_in_bytes"),
        watermark_low_bytes: marks.low.free_bytes(total),
        watermark_high_bytes: marks.high.free_bytes(total),
        watermark_flood_bytes: marks.flood.free_bytes(total),
        plugins,
        more,
    }
}

pub(super) async fn cluster_settings(
    cluster: &Cluster,
    scope: SettingScope,
) -> Result<Value, ReadError> {
    let mut call = Call::get(["_cluster", "settings"]).param("flat_settings", "true");
    let key = match scope {
        SettingScope::Persistent => "persistent",
        SettingScope::Transient => "transient",
        SettingScope::Defaults => {
            call = call.param("include_defaults", "true");
            "defaults"
        }
    };
    let value = cluster.ask(&call).await?;
    Ok(value
        .get(key)
        .cloned()
        .unwrap_or_else(|| Value::Object(serde_json::Map::new())))
}

pub(super) async fn deprecations(cluster: &Cluster) -> Result<Vec<Deprecation>, ReadError> {
    let answer = cluster
        .answer(&Call::get(["_migration", "deprecations"]))
        .await?;
    if matches!(answer.status, 400 | 404 | 405) {
        return Err(ReadError::Absent("deprecation API".into()));
    }
    let value = answer
        .json()
        .filter(|_| answer.is_success())
        .ok_or_else(|| ReadError::Unavailable(answer.text()))?;
    let mut found = Vec::new();
    for (section, issues) in members(Some(&value)) {
        match issues {
            Value::Array(issues) => {
                let subject = section.strip_suffix("_settings").unwrap_or(section);
                found.extend(issues.iter().map(|issue| deprecation(subject, issue)));
            }
            Value::Object(by_name) => {
                for (name, issues) in by_name {
                    found.extend(
                        list(Some(issues))
                            .iter()
                            .map(|issue| deprecation(name, issue)),
                    );
                }
            }
            _ => {}
        }
    }
    bounded(found, DEPRECATIONS_MAX, "deprecations")
}

fn deprecation(subject: &str, issue: &Value) -> Deprecation {
    Deprecation {
        level: text(issue, "level").to_owned(),
        subject: subject.to_owned(),
        message: text(issue, "message").to_owned(),
        details: Json::of(issue),
    }
}

impl Cluster {
    /// Tasks of these actions on all nodes, with their tokens.
    pub(crate) async fn tasks(&self, actions: &[String]) -> Result<Vec<Task>, ReadError> {
        let value = self.task_list(actions).await?;
        let tasks = running(&value)
            .map(|(node, task)| {
                let description = text(task, "description");
                let (from, to) =
                    moves(description).map_or((Vec::new(), None), |moves| (moves.from, moves.to));
                Task {
                    id: task_id(task),
                    node: node.to_owned(),
                    action: text(task, "action").to_owned(),
                    description: description.to_owned(),
                    opaque_id: token_of(task).map(str::to_owned),
                    running_ms: super::number(task, "running_time_in_nanos") / 1_000_000,
                    from,
                    to,
                }
            })
            .collect();
        bounded(tasks, TASKS_MAX, "tasks")
    }

    /// The server's task list of all nodes, detailed. A node that did not answer makes it no evidence.
    pub(crate) async fn task_list(&self, actions: &[String]) -> Result<Value, ReadError> {
        let mut call = Call::get(["_tasks"]).param("detailed", "true");
        if !actions.is_empty() {
            call = call.param("actions", actions.join(","));
        }
        let value = self.ask(&call).await?;
        for key in ["node_failures", "task_failures"] {
            if let Some(failure) = list(value.get(key)).first() {
                return Err(ReadError::Unavailable(format!(
                    "the task list is not whole: {failure}"
                )));
            }
        }
        objects(value.get("nodes").unwrap_or(&Value::Null), "the task list")?;
        Ok(value)
    }
}

/// Every task of a task list with the name of its node.
pub(crate) fn running(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    members(value.get("nodes")).flat_map(|(_, node)| {
        let name = text(node, "name");
        members(node.get("tasks")).map(move |(_, task)| (name, task))
    })
}

/// `node:number`.
pub(crate) fn task_id(task: &Value) -> String {
    format!("{}:{}", text(task, "node"), super::number(task, "id"))
}

/// The token its sender gave.
pub(crate) fn token_of(task: &Value) -> Option<&str> {
    members(task.get("headers"))
        .find(|(key, _)| key.eq_ignore_ascii_case("x-opaque-id"))
        .and_then(|(_, value)| value.as_str())
}
