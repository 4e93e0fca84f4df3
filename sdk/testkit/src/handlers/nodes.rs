//! Nodes: who they are, what they run, their heap and disks.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::http::Reply;
use crate::index::Index;
use crate::pattern::glob;
use crate::product::Product;
use crate::router::{Ctx, Route, route};
use crate::settings;
use crate::state::{Node, State};

pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/_nodes", "flat_settings timeout", info),
    route("GET", "/_nodes/{first}", "flat_settings timeout", info),
    route(
        "GET",
        "/_nodes/{first}/{second}",
        "flat_settings timeout",
        info,
    ),
    route("GET", "/_nodes/stats", STATS, stats),
    route("GET", "/_nodes/stats/{metric}", STATS, stats),
    route("GET", "/_nodes/stats/{metric}/{sub}", STATS, stats),
    route("GET", "/_nodes/{filter}/stats", STATS, stats),
    route("GET", "/_nodes/{filter}/stats/{metric}", STATS, stats),
];

const STATS: &str = "level groups types completion_fields fielddata_fields fields include_segment_file_sizes timeout";

const METRICS: &[&str] = &[
    "settings",
    "os",
    "process",
    "jvm",
    "thread_pool",
    "transport",
    "http",
    "plugins",
    "ingest",
    "aggregations",
    "indices",
    "_all",
];

/// Loaded parts of a node: OpenSearch lists classes as plugins, Elasticsearch names as modules.
const OPENSEARCH_CLASSES: &[&str] = &[
    "org.opensearch.analysis.common.CommonAnalysis",
    "org.opensearch.geo.Geo",
    "org.opensearch.index.mapper.MapperExtras",
    "org.opensearch.index.rankeval.RankEval",
    "org.opensearch.index.reindex.Reindex",
    "org.opensearch.ingest.common.IngestCommon",
    "org.opensearch.ingest.useragent.IngestUserAgent",
    "org.opensearch.join.ParentJoin",
    "org.opensearch.painless.Painless",
    "org.opensearch.percolator.Percolator",
    "org.opensearch.plugin.repository.url.URLRepository",
    "org.opensearch.script.expression.Expression",
    "org.opensearch.script.mustache.Mustache",
    "org.opensearch.search.aggregations.matrix.MatrixAggregation",
    "org.opensearch.transport.Netty4",
];
const ELASTIC_MODULES: &[&str] = &[
    "aggregations",
    "analysis-common",
    "dot-prefix-validation",
    "ingest-common",
    "lang-painless",
    "parent-join",
    "reindex",
    "rest-root",
    "transport-netty4",
    "x-pack-core",
    "x-pack-security",
];

/// Class names of the parts of an OpenSearch node, in the spelling of its line.
pub(crate) fn opensearch_classes(product: Product) -> Vec<String> {
    OPENSEARCH_CLASSES
        .iter()
        .map(|base| {
            let module = product == Product::OpenSearch3 || base.ends_with(".Geo");
            format!("{base}{}Plugin", if module { "Module" } else { "" })
        })
        .collect()
}

fn matches(state: &State, node: &Node, filter: &str, asked: usize) -> bool {
    filter.split(',').any(|part| match part {
        "" | "_all" | "*" => true,
        "_local" => state.nodes.get(asked).is_some_and(|n| n.id == node.id),
        "_master" | "_cluster_manager" => state
            .manager()
            .is_some_and(|m| state.nodes[m].id == node.id),
        part if part.contains(':') => !part.ends_with(":false"),
        part => glob(part, &node.name) || glob(part, &node.id) || part == "127.0.0.1",
    })
}

fn chosen<'a>(ctx: &'a Ctx<'_>, filter: &str) -> Vec<&'a Node> {
    let state = &*ctx.state;
    state
        .nodes
        .iter()
        .filter(|n| n.is_up && matches(state, n, filter, ctx.request.node))
        .collect()
}

/// Roles that a node has when none are configured, or as the lab configures them.
pub(crate) fn roles(product: Product) -> Value {
    if product.is_opensearch() {
        json!(["cluster_manager", "data", "ingest"])
    } else {
        json!([
            "data",
            "data_cold",
            "data_content",
            "data_frozen",
            "data_hot",
            "data_warm",
            "ingest",
            "master",
            "ml",
            "remote_cluster_client",
            "transform"
        ])
    }
}

/// Node attributes that a server has by itself.
pub(crate) fn attributes(product: Product) -> Value {
    if product.is_opensearch() {
        json!({"shard_indexing_pressure_enabled": "true"})
    } else {
        json!({"xpack.installed": "true"})
    }
}

fn envelope(state: &State, nodes: Map<String, Value>) -> Reply {
    Reply::ok(json!({
        "_nodes": {"total": nodes.len(), "successful": nodes.len(), "failed": 0},
        "cluster_name": state.cluster_name,
        "nodes": nodes,
    }))
}

fn head(state: &State, node: &Node) -> Map<String, Value> {
    let host = json!({
        "name": node.name,
        "transport_address": transport(node),
        "host": "127.0.0.1",
        "ip": "127.0.0.1",
        "version": node.version,
        "build_type": "tar",
        "build_hash": "0000000000000000000000000000000000000000",
        "roles": roles(state.product),
        "attributes": attributes(state.product),
    });
    let mut head = host.as_object().cloned().unwrap_or_default();
    if !state.product.is_opensearch() {
        head.insert("build_flavor".to_owned(), json!("default"));
        head.insert(
            "index_version".to_owned(),
            json!(state.product.index_version_id(&node.version)),
        );
    }
    head
}

/// The transport address that a node claims; nothing listens there.
pub(crate) fn transport(node: &Node) -> String {
    format!("127.0.0.1:{}", node.port.wrapping_add(1))
}

fn info(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let (first, second) = (ctx.var("first"), ctx.var("second"));
    let is_metric = |text: &str| !text.is_empty() && text.split(',').all(|p| METRICS.contains(&p));
    // `/_nodes/jvm` is a metric, `/_nodes/n1` a node; anything unknown is a filter that matches none.
    let (filter, metrics) = match (is_metric(first), second) {
        (true, "") => ("", first),
        (_, "") => (first, "_all"),
        (_, metrics) => (first, metrics),
    };
    let has = |name: &str| metrics.split(',').any(|m| m == name || m == "_all");
    let state = &*ctx.state;
    let is_flat = ctx.request.flag("flat_settings", false)?;
    let mut out = Map::new();
    for node in chosen(ctx, filter) {
        let mut entry = head(state, node);
        let mut put = |key: &str, value: Value| drop(entry.insert(key.to_owned(), value));
        if has("settings") {
            let mut all = state.node_settings.clone();
            let own = [
                ("cluster.name", json!(state.cluster_name)),
                ("node.name", json!(node.name)),
                ("path.repo", json!(state.path_repo)),
            ];
            all.extend(own.map(|(key, value)| (key.to_owned(), value)));
            put("settings", settings::render(&all, is_flat));
        }
        if has("os") {
            put(
                "os",
                json!({"name": "Linux", "arch": "amd64", "available_processors": 2, "allocated_processors": 2}),
            );
        }
        if has("process") {
            put("process", json!({"id": 1, "mlockall": false}));
        }
        if has("jvm") {
            put(
                "jvm",
                json!({
                    "pid": 1, "version": "17.0.0", "vm_name": "Simulated", "start_time_in_millis": state.now_ms() - state.clock.uptime_ms(),
                    "using_bundled_jdk": true,
                    "mem": {"heap_init_in_bytes": node.heap_max_bytes, "heap_max_in_bytes": node.heap_max_bytes},
                    "input_arguments": [format!("-Xms{}", node.heap_max_bytes), format!("-Xmx{}", node.heap_max_bytes)],
                }),
            );
        }
        if has("http") {
            put(
                "http",
                json!({"bound_address": [node.http], "publish_address": node.http, "max_content_length_in_bytes": 104_857_600}),
            );
        }
        if has("plugins") {
            let (plugins, modules) = loaded(state.product, &node.version);
            put("plugins", plugins);
            put("modules", modules);
        }
        out.insert(node.id.clone(), Value::Object(entry));
    }
    Ok(envelope(state, out))
}

fn loaded(product: Product, version: &str) -> (Value, Value) {
    if product.is_opensearch() {
        let plugins = opensearch_classes(product)
            .into_iter()
            .map(|class| json!({
                "name": class, "version": "NA", "opensearch_version": version, "java_version": "1.8",
                "description": "classpath plugin", "classname": class, "custom_foldername": null,
                "extended_plugins": [], "has_native_controller": false,
            }))
            .collect();
        (plugins, json!([]))
    } else {
        let modules = ELASTIC_MODULES
            .iter()
            .map(|name| json!({
                "name": name, "version": version, "elasticsearch_version": version, "java_version": "17",
                "description": "simulated module", "classname": "", "extended_plugins": [], "has_native_controller": false,
            }))
            .collect();
        (json!([]), modules)
    }
}

fn stats(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let metrics = match ctx.var("metric") {
        "" => "_all",
        list => list,
    };
    let has = |name: &str| metrics.split(',').any(|m| m == name || m == "_all");
    let state = &*ctx.state;
    let now = state.now_ms();
    let mut out = Map::new();
    for node in chosen(ctx, ctx.var("filter")) {
        let here = |index: &&Index| {
            state
                .shard_copies(index)
                .iter()
                .any(|c| c.node.is_some_and(|n| state.nodes[n].id == node.id))
        };
        let mut entry = json!({
            "timestamp": now, "name": node.name, "transport_address": transport(node), "host": "127.0.0.1",
            "ip": transport(node), "roles": roles(state.product), "attributes": attributes(state.product),
        });
        if has("indices") {
            let docs: u64 = state
                .indices
                .values()
                .filter(here)
                .map(Index::lucene_docs)
                .sum();
            let bytes: u64 = state
                .indices
                .values()
                .filter(here)
                .map(Index::store_bytes)
                .sum();
            entry["indices"] = json!({"docs": {"count": docs, "deleted": 0}, "store": {"size_in_bytes": bytes, "reserved_in_bytes": 0}});
        }
        if has("jvm") {
            let used = node.heap_max_bytes / 3;
            entry["jvm"] = json!({
                "timestamp": now, "uptime_in_millis": state.clock.uptime_ms(),
                "mem": {"heap_used_in_bytes": used, "heap_used_percent": 33, "heap_committed_in_bytes": node.heap_max_bytes, "heap_max_in_bytes": node.heap_max_bytes},
            });
        }
        if has("fs") {
            let sizes = json!({"total_in_bytes": node.disk_total_bytes, "free_in_bytes": node.disk_free_bytes, "available_in_bytes": node.disk_free_bytes});
            let mut path = sizes.clone();
            path["path"] = json!(format!("/simulated/{}", node.name));
            path["mount"] = json!("/ (simulated)");
            path["type"] = json!("ext4");
            entry["fs"] = json!({"timestamp": now, "total": sizes, "data": [path]});
        }
        if has("os") {
            entry["os"] = json!({"timestamp": now, "cpu": {"percent": 1}});
        }
        out.insert(node.id.clone(), entry);
    }
    Ok(envelope(state, out))
}

#[cfg(test)]
mod tests {
    use crate::{Product, SimCluster};

    #[tokio::test]
    async fn a_node_shows_what_it_was_started_with() {
        let sim = SimCluster::builder(Product::Elasticsearch8)
            .node_setting("xpack.security.enabled", "false")
            .start()
            .await
            .unwrap();
        let path = "/_nodes/settings?flat_settings=true&filter_path=nodes.*.settings";
        let (_, told) = sim.call("GET", path, "");
        assert!(
            told.to_string()
                .contains(r#""xpack.security.enabled":"false""#),
            "{told}"
        );
    }
}
