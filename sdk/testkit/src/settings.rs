//! Index and cluster settings: flat keys, nested print, and which keys exist and may change.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::pattern::glob;
use crate::product::Product;

/// Settings by dotted key; values are strings or lists of strings, as the servers keep them.
pub(crate) type Flat = BTreeMap<String, Value>;

/// Flattens a settings object; `null` stays, because in an update it means removal.
pub(crate) fn flatten(value: &Map<String, Value>) -> Flat {
    let mut out = Flat::new();
    walk("", value, &mut out);
    out
}

fn walk(prefix: &str, map: &Map<String, Value>, out: &mut Flat) {
    for (key, value) in map {
        let path = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            Value::Object(inner) => walk(&path, inner, out),
            Value::Null => drop(out.insert(path, Value::Null)),
            Value::Array(items) => {
                drop(out.insert(path, Value::Array(items.iter().map(stringify).collect())));
            }
            other => drop(out.insert(path, stringify(other))),
        }
    }
}

fn stringify(value: &Value) -> Value {
    match value {
        Value::String(_) => value.clone(),
        other => Value::String(other.to_string()),
    }
}

/// Flattens index settings and gives every key its `index.` prefix.
pub(crate) fn flatten_index(value: &Map<String, Value>) -> Flat {
    flatten(value)
        .into_iter()
        .map(|(k, v)| {
            // A pattern gets no prefix from the servers.
            if k.starts_with("index.") || k.ends_with('*') {
                (k, v)
            } else {
                (format!("index.{k}"), v)
            }
        })
        .collect()
}

/// The nested form that is printed without `flat_settings`.
pub(crate) fn nest(flat: &Flat) -> Value {
    let mut root = Map::new();
    for (key, value) in flat {
        insert(&mut root, key, value.clone());
    }
    Value::Object(root)
}

fn insert(map: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        Some((head, rest)) => {
            let inner = map.entry(head.to_owned()).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            } else {
                map.insert(key.to_owned(), value);
            }
        }
        None => drop(map.insert(key.to_owned(), value)),
    }
}

/// Prints settings nested or flat.
pub(crate) fn render(flat: &Flat, as_flat: bool) -> Value {
    if as_flat { json!(flat) } else { nest(flat) }
}

/// Index settings that a client may set; anything else is refused as unknown.
const INDEX_KEYS: &[&str] = &[
    "index.number_of_shards",
    "index.number_of_replicas",
    "index.number_of_routing_shards",
    "index.auto_expand_replicas",
    "index.refresh_interval",
    "index.hidden",
    "index.codec*",
    "index.priority",
    "index.gc_deletes",
    "index.max_*",
    "index.default_pipeline",
    "index.final_pipeline",
    "index.blocks.read_only",
    "index.blocks.read_only_allow_delete",
    "index.blocks.read",
    "index.blocks.write",
    "index.blocks.metadata",
    "index.analysis.*",
    "index.mapping.*",
    "index.sort.*",
    "index.routing.*",
    "index.routing_partition_size",
    "index.translog.*",
    "index.merge.*",
    "index.search.*",
    "index.indexing.*",
    "index.query.*",
    "index.queries.*",
    "index.requests.*",
    "index.highlight.*",
    "index.unassigned.*",
    "index.soft_deletes.*",
    "index.similarity.*",
    "index.write.*",
    "index.store.*",
    "index.shard.*",
    "index.allocation.*",
    "index.warmer.*",
    "index.flush_after_merge",
    "index.verified_before_close",
    "index.fielddata.*",
    "index.optimize_auto_generated_id",
];
const INDEX_KEYS_OPENSEARCH: &[&str] = &[
    "index.replication.type",
    "index.plugins.*",
    "index.knn*",
    "index.query_string.*",
];
const INDEX_KEYS_ELASTICSEARCH: &[&str] = &[
    "index.lifecycle.*",
    "index.mode",
    "index.look_ahead_time",
    "index.verified_read_only",
];

/// Settings fixed when an index is made; an open index refuses to change them.
const INDEX_STATIC: &[&str] = &[
    "index.number_of_shards",
    "index.number_of_routing_shards",
    "index.routing_partition_size",
    "index.codec*",
    "index.sort.*",
    "index.analysis.*",
    "index.soft_deletes.enabled",
    "index.store.type",
    "index.shard.check_on_startup",
    "index.replication.type",
    "index.mode",
    "index.similarity.*",
];

fn known_index_key(product: Product, key: &str) -> bool {
    let extra = if product.is_opensearch() {
        INDEX_KEYS_OPENSEARCH
    } else {
        INDEX_KEYS_ELASTICSEARCH
    };
    INDEX_KEYS.iter().chain(extra).any(|p| glob(p, key))
}

fn unknown(product: Product, reason: String) -> ApiError {
    let kind = match product {
        Product::OpenSearch3 => "settings_exception",
        _ => "illegal_argument_exception",
    };
    ApiError::new(400, kind, reason)
}

fn check_value(key: &str, value: &Value) -> Result<(), ApiError> {
    let Some(text) = value.as_str() else {
        return Ok(());
    };
    let bad = || {
        ApiError::illegal(format!(
            "Failed to parse value [{text}] for setting [{key}]"
        ))
    };
    match key {
        "index.number_of_shards" | "index.number_of_replicas" => {
            let number: i64 = text
                .parse()
                .map_err(|_| bad().caused("number_format_exception", format!("For input string: \"{text}\"")))?;
            let least = i64::from(key == "index.number_of_shards");
            if number < least {
                return Err(ApiError::illegal(format!(
                    "Failed to parse value [{text}] for setting [{key}] must be >= {least}"
                )));
            }
            Ok(())
        }
        "index.refresh_interval" => duration_ms(text).map(drop).ok_or_else(|| {
            ApiError::illegal(format!(
                "failed to parse setting [{key}] with value [{text}] as a time value: unit is missing or unrecognized"
            ))
        }),
        _ if key.starts_with("index.blocks.") && !matches!(text, "true" | "false") => {
            Err(ApiError::illegal(format!(
                "Failed to parse value [{text}] as only [true] or [false] are allowed."
            )))
        }
        _ => Ok(()),
    }
}

/// Refuses unknown keys and values that cannot be parsed.
pub(crate) fn check_index(product: Product, flat: &Flat) -> Result<(), ApiError> {
    for (key, value) in flat {
        if !known_index_key(product, key) {
            return Err(unknown(
                product,
                format!(
                    "unknown setting [{key}] please check that any required plugins are installed, \
                     or check the breaking changes documentation for removed settings"
                ),
            ));
        }
        check_value(key, value)?;
    }
    Ok(())
}

/// True when `key` cannot change while its index is open.
pub(crate) fn is_static(key: &str) -> bool {
    INDEX_STATIC.iter().any(|p| glob(p, key))
}

/// What stands before the key of a setting that the servers do not know and have put aside.
pub(crate) const ARCHIVED_PREFIX: &str = "archived.";

/// Cluster settings that exist; both products refuse any other key.
const CLUSTER_KEYS: &[&str] = &[
    "action.auto_create_index",
    "action.destructive_requires_name",
    "action.search.*",
    "bootstrap.*",
    "cluster.*",
    "indices.*",
    "logger.*",
    "search.*",
    "script.*",
    "ingest.*",
    "network.*",
    "transport.*",
    "http.*",
    "snapshot.*",
    "persistent_tasks.*",
    "task_resource_tracking.*",
];
const CLUSTER_KEYS_OPENSEARCH: &[&str] = &["plugins.*", "opendistro.*", "compatibility.*"];
const CLUSTER_KEYS_ELASTICSEARCH: &[&str] =
    &["xpack.*", "slm.*", "stack.*", "readiness.*", "health.*"];

/// Prefixes under `cluster.` that exist; the family is wide and typos in it must be refused.
const CLUSTER_FAMILY: &[&str] = &[
    "cluster.routing.*",
    "cluster.blocks.*",
    "cluster.max_shards_per_node*",
    "cluster.info.*",
    "cluster.metadata.*",
    "cluster.auto_shrink_voting_configuration",
    "cluster.persistent_tasks.*",
    "cluster.service.*",
    "cluster.remote.*",
    "cluster.indices.*",
    "cluster.election.*",
    "cluster.publish.*",
    "cluster.fault_detection.*",
    "cluster.follower_lag.*",
    "cluster.no_master_block",
    "cluster.no_cluster_manager_block",
    "cluster.default.*",
    "cluster.search.*",
];

/// Refuses a cluster setting that no node knows. `scope` is `persistent` or `transient`.
pub(crate) fn check_cluster(product: Product, scope: &str, flat: &Flat) -> Result<(), ApiError> {
    let extra = if product.is_opensearch() {
        CLUSTER_KEYS_OPENSEARCH
    } else {
        CLUSTER_KEYS_ELASTICSEARCH
    };
    for key in flat.keys() {
        let known = if key.starts_with("cluster.") {
            CLUSTER_FAMILY.iter().any(|p| glob(p, key))
        } else {
            CLUSTER_KEYS.iter().chain(extra).any(|p| glob(p, key))
        };
        let removes = flat.get(key).is_some_and(Value::is_null);
        let archived = removes && key.starts_with(ARCHIVED_PREFIX);
        if !known && !archived {
            return Err(unknown(
                product,
                format!("{scope} setting [{key}], not recognized"),
            ));
        }
        if key == "cluster.routing.allocation.enable"
            && let Some(value) = flat.get(key).and_then(Value::as_str)
            && !["all", "primaries", "new_primaries", "none"].contains(&value)
        {
            return Err(ApiError::illegal(format!(
                "Illegal allocation.enable value [{}]",
                value.to_uppercase()
            )));
        }
    }
    Ok(())
}

/// Defaults that a preflight check reads, shown under `defaults` when they are not set.
pub(crate) fn cluster_defaults(product: Product) -> Flat {
    let mut pairs = vec![
        ("action.auto_create_index", "true"),
        ("cluster.max_shards_per_node", "1000"),
        ("cluster.routing.allocation.enable", "all"),
        ("cluster.routing.rebalance.enable", "all"),
        ("cluster.routing.allocation.disk.threshold_enabled", "true"),
        ("cluster.routing.allocation.disk.watermark.low", "85%"),
        ("cluster.routing.allocation.disk.watermark.high", "90%"),
        (
            "cluster.routing.allocation.disk.watermark.flood_stage",
            "95%",
        ),
        ("cluster.info.update.interval", "30s"),
        ("search.max_buckets", "65535"),
    ];
    if product.is_opensearch() {
        pairs.push(("action.destructive_requires_name", "false"));
    } else {
        pairs.extend([
            ("action.destructive_requires_name", "true"),
            (
                "cluster.routing.allocation.disk.watermark.low.max_headroom",
                "200GB",
            ),
            (
                "cluster.routing.allocation.disk.watermark.high.max_headroom",
                "150GB",
            ),
            (
                "cluster.routing.allocation.disk.watermark.flood_stage.max_headroom",
                "100GB",
            ),
        ]);
    }
    pairs
        .into_iter()
        .map(|(k, v)| (k.to_owned(), json!(v)))
        .collect()
}

/// Reads `1s`, `500ms`, `2m`, `1h`, `1d`, `0`, `-1`; `None` when it is none of these.
pub(crate) fn duration_ms(text: &str) -> Option<i64> {
    if text == "-1" {
        return Some(-1);
    }
    if text == "0" {
        return Some(0);
    }
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let number: i64 = text[..split].parse().ok()?;
    let unit = match &text[split..] {
        "nanos" | "micros" => return Some(0),
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_flattening_and_nesting() {
        let body = json!({"index": {"number_of_replicas": 1}, "refresh_interval": "2s"});
        let flat = flatten_index(body.as_object().unwrap());
        assert_eq!(flat["index.number_of_replicas"], json!("1"));
        assert_eq!(
            nest(&flat),
            json!({"index": {"number_of_replicas": "1", "refresh_interval": "2s"}})
        );
    }

    #[test]
    fn a_setting_that_no_server_has_is_refused() {
        let flat = Flat::from([("index.foo".to_owned(), json!("1"))]);
        let error = check_index(Product::OpenSearch3, &flat).unwrap_err();
        assert_eq!(error.kind(), "settings_exception");
        assert!(
            check_cluster(
                Product::OpenSearch2,
                "persistent",
                &Flat::from([("cluster.typo".to_owned(), json!("1"))])
            )
            .is_err()
        );
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration_ms("2s"), Some(2_000));
        assert_eq!(duration_ms("-1"), Some(-1));
        assert_eq!(duration_ms("5"), None);
    }
}
