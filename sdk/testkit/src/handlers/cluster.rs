//! The cluster as a whole: identity, health, state, settings.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::http::Reply;
use crate::index::Index;
use crate::names::{self, Expand};
use crate::product::Product;
use crate::router::{Ctx, Only, Route, route, route_of};
use crate::settings;
use crate::state::{ShardCopy, State};

pub(crate) const ROUTES: &[Route] = &[
    route("GET HEAD", "/", "", root),
    route("GET", "/_cluster/health", HEALTH, health),
    route("GET", "/_cluster/health/{index}", HEALTH, health),
    route("GET", "/_cluster/state", STATE, state),
    route("GET", "/_cluster/state/{metric}", STATE, state),
    route("GET", "/_cluster/state/{metric}/{index}", STATE, state),
    route(
        "GET",
        "/_cluster/settings",
        "@manager flat_settings include_defaults",
        get_settings,
    ),
    route(
        "PUT",
        "/_cluster/settings",
        "@manager flat_settings",
        put_settings,
    ),
    route("GET", "/_cluster/pending_tasks", "@manager local", pending),
    route(
        "GET POST",
        "/_cluster/allocation/explain",
        "include_yes_decisions include_disk_info @manager",
        explain,
    ),
    route(
        "POST",
        "/_cluster/reroute",
        "dry_run explain retry_failed metric @manager",
        reroute,
    ),
    route("GET", "/_cluster/stats", "flat_settings timeout", stats),
    route_of(
        Only::Elasticsearch,
        "GET",
        "/_license",
        "local accept_enterprise",
        license,
    ),
    route_of(
        Only::WithDeprecations,
        "GET",
        "/_migration/deprecations",
        "",
        deprecations,
    ),
    route_of(
        Only::WithDeprecations,
        "GET",
        "/{index}/_migration/deprecations",
        "",
        deprecations,
    ),
];

const HEALTH: &str = "level local @manager wait_for_active_shards wait_for_status wait_for_nodes \
wait_for_no_relocating_shards wait_for_no_initializing_shards wait_for_events expand_wildcards awareness_attribute";
const STATE: &str =
    "local @manager @expand flat_settings wait_for_metadata_version wait_for_timeout";

fn root(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let state = &ctx.state;
    let node = &state.nodes[ctx.request.node];
    let mut version = Map::new();
    let mut put = |key: &str, value: Value| drop(version.insert(key.to_owned(), value));
    if state.product.is_opensearch() {
        put("distribution", json!("opensearch"));
    }
    put("number", json!(node.version));
    if !state.product.is_opensearch() {
        put("build_flavor", json!("default"));
    }
    put("build_type", json!("tar"));
    put(
        "build_hash",
        json!("0000000000000000000000000000000000000000"),
    );
    put("build_date", json!("2026-01-01T00:00:00.000Z"));
    put("build_snapshot", json!(false));
    put("lucene_version", json!(state.product.lucene()));
    put(
        "minimum_wire_compatibility_version",
        json!(state.product.minimum_wire()),
    );
    put(
        "minimum_index_compatibility_version",
        json!(state.product.minimum_index()),
    );
    let tagline = if state.product.is_opensearch() {
        "The OpenSearch Project: https://opensearch.org/"
    } else {
        "You Know, for Search"
    };
    Ok(Reply::ok(json!({
        "name": node.name,
        "cluster_name": state.cluster_name,
        "cluster_uuid": state.cluster_uuid,
        "version": version,
        "tagline": tagline,
    })))
}

/// Refuses with what a node says while no manager is elected.
pub(crate) fn require_manager(state: &State) -> Result<usize, ApiError> {
    state.manager().ok_or_else(|| {
        let kind = if state.product == Product::OpenSearch3 || state.product == Product::OpenSearch2
        {
            "cluster_manager_not_discovered_exception"
        } else {
            "master_not_discovered_exception"
        };
        ApiError::new(503, kind, Value::Null.to_string())
    })
}

#[derive(Default)]
struct Tally {
    active_primaries: u64,
    active: u64,
    unassigned: u64,
    delayed: u64,
    rank: u8,
}

fn rank(status: &str) -> u8 {
    match status {
        "red" => 2,
        "yellow" => 1,
        _ => 0,
    }
}

fn name_of(rank: u8) -> &'static str {
    ["green", "yellow", "red"][usize::from(rank.min(2))]
}

fn tally(state: &State, index: &Index) -> Tally {
    let copies = state.shard_copies(index);
    let count =
        |f: fn(&crate::state::ShardCopy) -> bool| copies.iter().filter(|c| f(c)).count() as u64;
    Tally {
        active_primaries: count(|c| c.primary && c.node.is_some()),
        active: count(|c| c.node.is_some()),
        unassigned: count(|c| c.node.is_none()),
        delayed: count(|c| c.delayed),
        rank: rank(state.index_health(index)),
    }
}

fn health(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    require_manager(ctx.state)?;
    let state = &*ctx.state;
    let expression = ctx.var("index");
    let expand = Expand {
        ignore_unavailable: true,
        ..Expand::ALL
    }
    .with(ctx.request)?;
    let list = names::resolve(state, expression, expand)?;
    // An index that does not exist makes the request wait for it, and then say red.
    let missing = !names::is_all(expression)
        && expression.split(',').any(|p| {
            !p.contains('*')
                && !p.starts_with('-')
                && !state.indices.contains_key(p)
                && state.alias_indices(p).is_empty()
        });
    let mut total = Tally::default();
    let mut indices = Map::new();
    let level = ctx.request.param("level").unwrap_or("cluster");
    if !["cluster", "indices", "shards"].contains(&level) && !state.product.is_opensearch() {
        return Err(ApiError::illegal(format!(
            "level parameter must be one of [cluster] or [indices] or [shards] but was [{level}]"
        )));
    }
    if let Some(wanted) = ctx.request.param("wait_for_status")
        && !["green", "yellow", "red"].contains(&wanted.to_lowercase().as_str())
    {
        let vendor = if state.product.is_opensearch() {
            "opensearch"
        } else {
            "elasticsearch"
        };
        return Err(ApiError::illegal(format!(
            "No enum constant org.{vendor}.cluster.health.ClusterHealthStatus.{}",
            wanted.to_uppercase()
        )));
    }
    for name in &list {
        let index = state.index(name)?;
        let t = tally(state, index);
        let mut entry = json!({
            "status": name_of(t.rank), "number_of_shards": index.shards(), "number_of_replicas": index.replicas(),
            "active_primary_shards": t.active_primaries, "active_shards": t.active, "relocating_shards": 0,
            "initializing_shards": 0, "unassigned_shards": t.unassigned,
        });
        if !state.product.is_opensearch() {
            entry["unassigned_primary_shards"] =
                json!(u64::from(index.shards()) - t.active_primaries);
        }
        if level == "shards" {
            entry["shards"] = shards_level(state, index);
        }
        indices.insert(name.clone(), entry);
        total.active_primaries += t.active_primaries;
        total.active += t.active;
        total.unassigned += t.unassigned;
        total.delayed += t.delayed;
        total.rank = total.rank.max(t.rank);
    }
    if missing {
        total.rank = 2;
    }
    let up = state.nodes.iter().filter(|n| n.is_up).count();
    let timed_out = missing
        || ctx
            .request
            .param("wait_for_status")
            .is_some_and(|wanted| total.rank > rank(wanted))
        || ctx
            .request
            .param("wait_for_nodes")
            .is_some_and(|wanted| !nodes_fit(up, wanted))
        || ctx
            .request
            .param("wait_for_active_shards")
            .is_some_and(|wanted| match wanted.parse::<u64>() {
                Ok(count) => total.active < count,
                Err(_) => total.unassigned > 0,
            });
    let all = total.active + total.unassigned;
    let percent = if all == 0 {
        100.0
    } else {
        total.active as f64 * 100.0 / all as f64
    };
    let mut body = Map::new();
    let mut put = |key: &str, value: Value| drop(body.insert(key.to_owned(), value));
    put("cluster_name", json!(state.cluster_name));
    put("status", json!(name_of(total.rank)));
    put("timed_out", json!(timed_out));
    put("number_of_nodes", json!(up));
    put("number_of_data_nodes", json!(up));
    if state.product.is_opensearch() {
        put("discovered_master", json!(true));
        put("discovered_cluster_manager", json!(true));
    }
    put("active_primary_shards", json!(total.active_primaries));
    put("active_shards", json!(total.active));
    put("relocating_shards", json!(0));
    put("initializing_shards", json!(0));
    put("unassigned_shards", json!(total.unassigned));
    if !state.product.is_opensearch() {
        let primaries: u64 = list
            .iter()
            .filter_map(|n| state.indices.get(n))
            .map(|i| u64::from(i.shards()))
            .sum();
        put(
            "unassigned_primary_shards",
            json!(primaries - total.active_primaries),
        );
    }
    put("delayed_unassigned_shards", json!(total.delayed));
    put("number_of_pending_tasks", json!(0));
    put("number_of_in_flight_fetch", json!(0));
    put("task_max_waiting_in_queue_millis", json!(0));
    put("active_shards_percent_as_number", json!(percent));
    if level != "cluster" {
        put("indices", Value::Object(indices));
    }
    // Both products answer a wait that ran out with 408 and a whole body.
    Ok(Reply::json(
        if timed_out { 408 } else { 200 },
        Value::Object(body),
    ))
}

fn shards_level(state: &State, index: &Index) -> Value {
    let copies = state.shard_copies(index);
    let mut out = Map::new();
    for shard in 0..index.shards() {
        let mine: Vec<_> = copies.iter().filter(|c| c.shard == shard).collect();
        let active = mine.iter().filter(|c| c.node.is_some()).count();
        let primary = mine.iter().any(|c| c.primary && c.node.is_some());
        let status = match (primary, active == mine.len()) {
            (false, _) => "red",
            (true, false) => "yellow",
            (true, true) => "green",
        };
        let mut entry = json!({
            "status": status, "primary_active": primary, "active_shards": active, "relocating_shards": 0,
            "initializing_shards": 0, "unassigned_shards": mine.len() - active,
        });
        if !state.product.is_opensearch() {
            entry["unassigned_primary_shards"] = json!(u64::from(!primary));
        }
        out.insert(shard.to_string(), entry);
    }
    Value::Object(out)
}

fn nodes_fit(up: usize, wanted: &str) -> bool {
    let number = |text: &str| {
        text.trim_end_matches(')')
            .trim_start_matches('(')
            .parse::<usize>()
            .unwrap_or(usize::MAX)
    };
    for (prefix, fits) in [
        (">=", (|a, b| a >= b) as fn(usize, usize) -> bool),
        ("<=", |a, b| a <= b),
        (">", |a, b| a > b),
        ("<", |a, b| a < b),
    ] {
        if let Some(rest) = wanted.strip_prefix(prefix) {
            return fits(up, number(rest));
        }
    }
    for (prefix, fits) in [
        ("ge(", (|a, b| a >= b) as fn(usize, usize) -> bool),
        ("le(", |a, b| a <= b),
        ("gt(", |a, b| a > b),
        ("lt(", |a, b| a < b),
    ] {
        if let Some(rest) = wanted.strip_prefix(prefix) {
            return fits(up, number(rest));
        }
    }
    up == number(wanted)
}

fn state(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let manager = require_manager(ctx.state)?;
    let state = &*ctx.state;
    let metrics = match ctx.var("metric") {
        "" | "_all" => {
            "version,master_node,cluster_manager_node,nodes,metadata,blocks,routing_table"
        }
        list => list,
    };
    let has = |name: &str| metrics.split(',').any(|m| m == name || m == "_all");
    let mut body = json!({"cluster_name": state.cluster_name, "cluster_uuid": state.cluster_uuid});
    if has("version") {
        body["version"] = json!(state.version);
        body["state_uuid"] = json!(state.state_uuid);
    }
    if has("master_node") {
        body["master_node"] = json!(state.nodes[manager].id);
    }
    if has("cluster_manager_node") && state.product.is_opensearch() {
        body["cluster_manager_node"] = json!(state.nodes[manager].id);
    }
    if has("nodes") {
        body["nodes"] = state
            .nodes
            .iter()
            .filter(|n| n.is_up)
            .map(|n| (n.id.clone(), json!({"name": n.name, "ephemeral_id": n.ephemeral_id, "transport_address": n.http, "attributes": super::nodes::attributes(state.product)})))
            .collect::<Map<String, Value>>()
            .into();
    }
    let expand = Expand::ALL.with(ctx.request)?;
    let list = names::resolve(
        state,
        ctx.var("index"),
        Expand {
            ignore_unavailable: true,
            ..expand
        },
    )?;
    if has("metadata") {
        let flat = ctx.request.flag("flat_settings", false)?;
        let indices: Map<String, Value> = list
            .iter()
            .filter_map(|n| state.indices.get(n))
            .map(|i| {
                (
                    i.name.clone(),
                    json!({
                        "state": if i.is_open { "open" } else { "close" },
                        "settings": settings::render(&i.full_settings(state.product, false), flat),
                        "mappings": {"_doc": *i.mapping},
                        "aliases": i.aliases.keys().collect::<Vec<_>>(),
                        "primary_terms": {"0": 1},
                    }),
                )
            })
            .collect();
        body["metadata"] = json!({
            "cluster_uuid": state.cluster_uuid,
            "cluster_uuid_committed": true,
            "templates": state.templates.legacy,
            "indices": indices,
            "index_template": {"index_template": state.templates.composable},
            "component_template": {"component_template": state.templates.component},
            "repositories": state.repositories.iter().map(|(n, r)| (n.clone(), json!({"type": r.kind, "settings": r.settings}))).collect::<Map<_, _>>(),
        });
    }
    if has("blocks") {
        let blocks: Map<String, Value> = list
            .iter()
            .filter_map(|n| state.indices.get(n))
            .filter_map(|i| blocks_of(i).map(|b| (i.name.clone(), b)))
            .collect();
        body["blocks"] = if blocks.is_empty() {
            json!({})
        } else {
            json!({"indices": blocks})
        };
    }
    if has("routing_table") {
        let tables: Map<String, Value> = list
            .iter()
            .filter_map(|n| state.indices.get(n))
            .map(|i| {
                let mut shards = Map::new();
                for copy in state.shard_copies(i) {
                    let entry = json!({
                        "state": if copy.node.is_some() { "STARTED" } else { "UNASSIGNED" }, "primary": copy.primary,
                        "node": copy.node.map(|n| state.nodes[n].id.clone()), "relocating_node": null, "shard": copy.shard, "index": i.name,
                    });
                    if let Value::Array(list) = shards.entry(copy.shard.to_string()).or_insert_with(|| json!([])) {
                        list.push(entry);
                    }
                }
                (i.name.clone(), json!({"shards": shards}))
            })
            .collect();
        body["routing_table"] = json!({"indices": tables});
    }
    Ok(Reply::ok(body))
}

fn blocks_of(index: &Index) -> Option<Value> {
    let mut out = Map::new();
    for (key, id, text) in [
        ("read_only", "5", "index read-only (api)"),
        ("read", "7", "index read (api)"),
        ("write", "8", "index write (api)"),
        ("metadata", "9", "index metadata (api)"),
        (
            "read_only_allow_delete",
            "12",
            "disk usage exceeded flood-stage watermark, index has read-only-allow-delete block",
        ),
    ] {
        if index.setting(&format!("index.blocks.{key}")) == Some("true") {
            out.insert(
                id.to_owned(),
                json!({"description": text, "retryable": false, "levels": ["write"]}),
            );
        }
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

fn get_settings(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let state = &*ctx.state;
    let flat = ctx.request.flag("flat_settings", false)?;
    let mut body = json!({
        "persistent": settings::render(&state.persistent, flat),
        "transient": settings::render(&state.transient, flat),
    });
    if ctx.request.flag("include_defaults", false)? {
        let mut defaults = settings::cluster_defaults(state.product);
        defaults
            .retain(|k, _| !state.persistent.contains_key(k) && !state.transient.contains_key(k));
        body["defaults"] = settings::render(&defaults, flat);
    }
    Ok(Reply::ok(body))
}

fn put_settings(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    require_manager(ctx.state)?;
    let body = ctx.request.object()?;
    let part = |key: &str| {
        body.get(key)
            .and_then(Value::as_object)
            .map(settings::flatten)
            .unwrap_or_default()
    };
    let (persistent, transient) = (part("persistent"), part("transient"));
    if persistent.is_empty() && transient.is_empty() {
        return Err(ApiError::validation("no settings to update"));
    }
    let product = ctx.state.product;
    settings::check_cluster(product, "persistent", &persistent)?;
    settings::check_cluster(product, "transient", &transient)?;
    let flat = ctx.request.flag("flat_settings", false)?;
    let mut shown = json!({"acknowledged": true});
    for (scope, change) in [("persistent", persistent), ("transient", transient)] {
        let stored = if scope == "persistent" {
            &mut ctx.state.persistent
        } else {
            &mut ctx.state.transient
        };
        let mut echo = change.clone();
        echo.retain(|_, v| !v.is_null());
        for (key, value) in change {
            if value.is_null() {
                if let Some(prefix) = key.strip_suffix('*') {
                    stored.retain(|k, _| !k.starts_with(prefix));
                }
                stored.remove(&key);
            } else {
                stored.insert(key, value);
            }
        }
        shown[scope] = settings::render(&echo, flat);
    }
    ctx.state.changed();
    Ok(Reply::ok(shown))
}

fn pending(_: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    Ok(Reply::ok(json!({"tasks": []})))
}

fn explain(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let state = &*ctx.state;
    let body = ctx.request.object()?;
    let wanted = body.get("index").and_then(Value::as_str);
    if let Some(name) = wanted {
        state.index(name)?;
    }
    let shard = body.get("shard").and_then(Value::as_u64);
    let primary = body.get("primary").and_then(Value::as_bool);
    let copies: Vec<(&Index, ShardCopy)> = state
        .indices
        .values()
        .filter(|i| wanted.is_none_or(|w| w == i.name))
        .flat_map(|i| state.shard_copies(i).into_iter().map(move |c| (i, c)))
        .filter(|(_, c)| {
            shard.is_none_or(|s| s == u64::from(c.shard)) && primary.is_none_or(|p| p == c.primary)
        })
        .collect();
    let unassigned = copies.iter().find(|(_, c)| c.node.is_none());
    let any = || wanted.and_then(|_| copies.first());
    let Some((index, copy)) = unassigned.or_else(any) else {
        return Err(ApiError::illegal(
            "unable to find any unassigned shards to explain [ClusterAllocationExplainRequest[useAnyUnassignedShard=true,includeYesDecisions?=false]",
        ));
    };
    let mut out = json!({
        "index": copy.index, "shard": copy.shard, "primary": copy.primary,
        "current_state": if copy.node.is_some() { "started" } else { "unassigned" },
    });
    match copy.node {
        Some(node) => {
            out["current_node"] =
                json!({"id": state.nodes[node].id, "name": state.nodes[node].name});
            out["can_remain_on_current_node"] = json!("yes");
            out["can_rebalance_cluster"] = json!("yes");
        }
        None => {
            out["unassigned_info"] = json!({
                "reason": if copy.delayed || copy.primary { "NODE_LEFT" } else { "INDEX_CREATED" },
                "at": crate::clock::iso(state.now_ms()), "last_allocation_status": "no_attempt",
            });
            let up = state.nodes.iter().enumerate().filter(|(_, n)| n.is_up);
            let decisions: Vec<Value> = up
                .map(|(node, n)| {
                    let mut told = json!({
                        "node_id": n.id, "node_name": n.name, "transport_address": n.http, "node_decision": "yes", "weight_ranking": 1,
                    });
                    let against = state.against(index, copy, node);
                    if !against.is_empty() {
                        told["node_decision"] = json!("no");
                        told["deciders"] = against
                            .into_iter()
                            .map(|(decider, why)| json!({"decider": decider, "decision": "NO", "explanation": why}))
                            .collect();
                    }
                    told
                })
                .collect();
            let (can, why) = if copy.delayed {
                (
                    "allocation_delayed",
                    "cannot allocate because the cluster is still waiting for the departed node to return",
                )
            } else if decisions.iter().any(|its| its["node_decision"] == "yes") {
                ("yes", "can allocate the shard")
            } else {
                (
                    "no",
                    "cannot allocate because allocation is not permitted to any of the nodes",
                )
            };
            out["can_allocate"] = json!(can);
            out["allocate_explanation"] = json!(why);
            out["node_allocation_decisions"] = Value::Array(decisions);
        }
    }
    Ok(Reply::ok(out))
}

fn reroute(_: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    Ok(Reply::acknowledged())
}

fn stats(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let state = &*ctx.state;
    let mut versions: Vec<&str> = state.nodes.iter().map(|n| n.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    let worst = state
        .indices
        .values()
        .map(|i| rank(state.index_health(i)))
        .max()
        .unwrap_or(0);
    Ok(Reply::ok(json!({
        "cluster_name": state.cluster_name, "cluster_uuid": state.cluster_uuid, "timestamp": state.now_ms(),
        "status": name_of(worst),
        "indices": {
            "count": state.indices.len(),
            "docs": {"count": state.indices.values().map(Index::lucene_docs).sum::<u64>(), "deleted": 0},
            "store": {"size_in_bytes": state.indices.values().map(Index::store_bytes).sum::<u64>()},
        },
        "nodes": {"count": {"total": state.nodes.iter().filter(|n| n.is_up).count()}, "versions": versions},
    })))
}

fn license(_: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    Ok(Reply::ok(
        json!({"license": {"status": "active", "type": "basic", "uid": "simulated"}}),
    ))
}

fn deprecations(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    Ok(Reply::ok(
        ctx.state.deprecations.clone().unwrap_or_else(|| json!({})),
    ))
}
