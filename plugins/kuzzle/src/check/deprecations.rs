//! What the server says of the way to the next version; and what we look at ourselves, wherever it says nothing.

use std::collections::BTreeMap;

use liftlock_sdk::capability::Deprecation;
use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling;
use liftlock_sdk::told;

use super::{blocker, found, info, warning};
use crate::seen::Seen;

/// With it the operator has told the server which deprecations to keep to itself.
const SKIPPED: &str = "deprecation.skip_deprecated_settings";

/// Of a node's settings: whether security is on was guessed until 8.0.
const SECURITY: &str = "xpack.security.enabled";

/// Settings that 8.0 does not know any more: a node that has one does not start.
const REMOVED: &[&str] = &[
    "bootstrap.system_call_filter",
    "cluster.join.timeout",
    "cluster.remote.connect",
    "cluster.routing.allocation.disk.include_relocations",
    "discovery.zen.*",
    "gateway.expected_data_nodes_fallback",
    "gateway.expected_master_nodes",
    "gateway.expected_nodes",
    "gateway.recover_after_master_nodes",
    "gateway.recover_after_nodes",
    "http.content_type.required",
    "http.tcp_no_delay",
    "index.mapper.dynamic",
    "network.tcp.connect_timeout",
    "node.data",
    "node.ingest",
    "node.local_storage",
    "node.master",
    "node.max_local_storage_nodes",
    "node.ml",
    "node.remote_cluster_client",
    "node.transform",
    "node.voting_only",
    "pidfile",
    "processors",
    "repositories.fs.compress",
    "transport.tcp.*",
    "xpack.enrich.enabled",
    "xpack.flattened.enabled",
    "xpack.ilm.enabled",
    "xpack.monitoring.enabled",
    "xpack.rollup.enabled",
    "xpack.slm.enabled",
    "xpack.sql.enabled",
    "xpack.transform.enabled",
    "xpack.vectors.enabled",
];

/// Those of them that can be set for a whole cluster of 7.17: a plan takes them off.
pub(crate) const TAKEN_OFF: [&str; 2] = [
    "cluster.routing.allocation.disk.include_relocations",
    "discovery.zen.minimum_master_nodes",
];

fn is_removed(key: &str) -> bool {
    REMOVED.iter().any(|known| match known.strip_suffix('*') {
        Some(front) => key.starts_with(front),
        None => key == *known,
    })
}

pub(super) fn check(seen: &Seen, to: &Version, all: &mut Vec<Finding>) {
    match &seen.deprecations {
        None => all.push(warning(
            "kuzzle.deprecations-not-checked",
            "deprecation API",
            "the server has no such function",
        )),
        Some(told) => all.extend(told.iter().map(of_server)),
    }
    if let Some(skipped) = seen.settings.get(SKIPPED) {
        all.push(warning("kuzzle.deprecations-hidden", SKIPPED, skipped));
    }
    for one in rolling::too_old(Distribution::Elasticsearch, &seen.indices, to) {
        all.push(blocker("kuzzle.index-too-old", &one.index.name, one.what));
    }
    for key in seen.settings.keys().filter(|key| is_removed(key)) {
        all.push(if TAKEN_OFF.contains(&key.as_str()) {
            info("kuzzle.setting-taken-off", "cluster settings", key)
        } else {
            blocker("kuzzle.setting-removed", "cluster settings", key)
        });
    }
    for (node, settings) in &seen.node_settings {
        of_node(node, settings, all);
    }
    for (plugin, nodes) in &seen.plugins {
        all.push(warning(
            "kuzzle.plugin",
            plugin,
            format!("on {}", told::first(nodes, ", ")),
        ));
    }
}

/// Levels that nobody knows yet are told as the server tells them.
fn of_server(one: &Deprecation) -> Finding {
    let (id, severity) = match one.level.as_str() {
        "critical" => ("kuzzle.deprecation-critical", Severity::Blocker),
        "warning" => ("kuzzle.deprecation", Severity::Warning),
        "info" | "none" => ("kuzzle.deprecation", Severity::Info),
        _ => ("kuzzle.deprecation-of-unknown-level", Severity::Warning),
    };
    found(id, severity, &one.subject, &one.message)
        .evidence("level", &one.level)
        .evidence("as the server says it", &one.details)
}

/// The settings that a node of 7.x was started with; a file that was changed since is not seen.
fn of_node(node: &str, settings: &BTreeMap<String, String>, all: &mut Vec<Finding>) {
    for (key, value) in settings.iter().filter(|(key, _)| is_removed(key)) {
        all.push(blocker(
            "kuzzle.setting-removed",
            node,
            format!("`{key}: {value}`"),
        ));
    }
    if !settings.contains_key(SECURITY) {
        all.push(blocker(
            "kuzzle.security-not-said",
            node,
            format!("`{SECURITY}` is not in its settings"),
        ));
    }
    for layer in ["transport", "http"] {
        let front = format!("xpack.security.{layer}.ssl.");
        let has_some = settings.keys().any(|key| key.starts_with(&front));
        if has_some && !settings.contains_key(&format!("{front}enabled")) {
            all.push(blocker(
                "kuzzle.ssl-not-said",
                node,
                format!("it has settings of `{front}*`, and no `{front}enabled`"),
            ));
        }
    }
    if let Some(path) = settings
        .get("path.data")
        .filter(|path| path.starts_with('['))
    {
        all.push(info("kuzzle.data-paths", node, path));
    }
}
