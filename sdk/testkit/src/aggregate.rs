//! The few aggregations that an upgrade asks for: counts, extremes, terms.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::mapping::field;
use crate::query;
use crate::search::Row;

/// Works out `aggs` over `rows`; with `typed` the names say their kind.
pub(crate) fn aggregate(
    rows: &[Row<'_>],
    aggs: &Map<String, Value>,
    typed: bool,
    now_ms: i64,
) -> Result<Value, ApiError> {
    let mut out = Map::new();
    for (name, spec) in aggs {
        let inner = spec
            .get("aggs")
            .or_else(|| spec.get("aggregations"))
            .and_then(Value::as_object);
        let Some((kind, body)) = spec.as_object().and_then(|m| {
            m.iter()
                .find(|(k, _)| !matches!(k.as_str(), "aggs" | "aggregations" | "meta"))
        }) else {
            return Err(ApiError::parse(format!(
                "Missing definition for aggregation [{name}]"
            )));
        };
        let path = body["field"].as_str().unwrap_or_default();
        let (tag, value) = match kind.as_str() {
            "max" | "min" | "sum" | "avg" | "value_count" | "cardinality" => {
                (kind.as_str(), metric(rows, kind, path, now_ms))
            }
            "terms" => {
                let size = body["size"].as_u64().unwrap_or(10);
                ("sterms", terms(rows, path, size, inner, typed, now_ms)?)
            }
            other => {
                return Err(ApiError::parse(format!(
                    "Unknown aggregation type [{other}]"
                )));
            }
        };
        let key = if typed {
            format!("{tag}#{name}")
        } else {
            name.clone()
        };
        out.insert(key, value);
    }
    Ok(Value::Object(out))
}

fn values(row: &Row<'_>, path: &str) -> Vec<(String, Value)> {
    if path == "_seq_no" {
        return vec![("long".to_owned(), json!(row.doc.seq_no))];
    }
    if path == "_index" {
        return vec![("keyword".to_owned(), json!(row.target.index))];
    }
    let Some((definition, source_path)) = field(&row.target.mapping, path) else {
        return Vec::new();
    };
    let kind = definition["type"].as_str().unwrap_or("object");
    let mut found = Vec::new();
    query::collect(&row.doc.source, &source_path, &mut found);
    found
        .into_iter()
        .filter(|v| !v.is_null())
        .map(|v| (kind.to_owned(), v.clone()))
        .collect()
}

fn metric(rows: &[Row<'_>], kind: &str, path: &str, now_ms: i64) -> Value {
    let all: Vec<(String, Value)> = rows.iter().flat_map(|r| values(r, path)).collect();
    let numbers: Vec<f64> = all
        .iter()
        .filter_map(|(k, v)| query::number(k, v, now_ms))
        .collect();
    match kind {
        "value_count" => json!({"value": all.len()}),
        "cardinality" => {
            let distinct: BTreeSet<String> = all.iter().map(|(_, v)| query::text(v)).collect();
            json!({"value": distinct.len()})
        }
        "sum" => json!({"value": numbers.iter().fold(0.0, |a, b| a + b)}),
        _ if numbers.is_empty() => json!({"value": null}),
        "max" => json!({"value": numbers.iter().copied().fold(f64::MIN, f64::max)}),
        "min" => json!({"value": numbers.iter().copied().fold(f64::MAX, f64::min)}),
        _ => json!({"value": numbers.iter().sum::<f64>() / numbers.len() as f64}),
    }
}

fn terms(
    rows: &[Row<'_>],
    path: &str,
    size: u64,
    inner: Option<&Map<String, Value>>,
    typed: bool,
    now_ms: i64,
) -> Result<Value, ApiError> {
    let mut groups: BTreeMap<String, (Value, Vec<&Row<'_>>)> = BTreeMap::new();
    for row in rows {
        let mut seen = Vec::new();
        for (_, value) in values(row, path) {
            let text = query::text(&value);
            if !seen.contains(&text) {
                groups
                    .entry(text.clone())
                    .or_insert_with(|| (value, Vec::new()))
                    .1
                    .push(row);
                seen.push(text);
            }
        }
    }
    let mut buckets: Vec<(Value, Vec<&Row<'_>>)> = groups.into_values().collect();
    buckets.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
    let keep = usize::try_from(size)
        .unwrap_or(usize::MAX)
        .min(buckets.len());
    let others: usize = buckets[keep..].iter().map(|(_, rows)| rows.len()).sum();
    let mut printed = Vec::new();
    for (key, rows) in buckets.into_iter().take(keep) {
        let mut bucket = json!({"key": key, "doc_count": rows.len()});
        if let Some(inner) = inner {
            let owned: Vec<Row<'_>> = rows
                .iter()
                .map(|r| Row {
                    target: r.target,
                    id: r.id,
                    doc: r.doc,
                    keys: Vec::new(),
                })
                .collect();
            if let (Some(bucket), Value::Object(more)) = (
                bucket.as_object_mut(),
                aggregate(&owned, inner, typed, now_ms)?,
            ) {
                bucket.extend(more);
            }
        }
        printed.push(bucket);
    }
    Ok(json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": others, "buckets": printed}))
}
