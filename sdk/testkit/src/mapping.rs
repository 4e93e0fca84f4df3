//! Mappings: which changes a server accepts, which documents fit, and what a document adds.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::product::Product;

/// Field types that exist without extra plugins.
const TYPES: &[&str] = &[
    "keyword",
    "text",
    "long",
    "integer",
    "short",
    "byte",
    "double",
    "float",
    "half_float",
    "scaled_float",
    "unsigned_long",
    "boolean",
    "date",
    "date_nanos",
    "object",
    "nested",
    "binary",
    "ip",
    "geo_point",
    "geo_shape",
    "join",
    "flattened",
    "flat_object",
    "alias",
    "completion",
    "token_count",
    "integer_range",
    "float_range",
    "long_range",
    "double_range",
    "date_range",
    "ip_range",
    "constant_keyword",
    "wildcard",
    "search_as_you_type",
    "match_only_text",
    "rank_feature",
    "rank_features",
    "percolator",
    "murmur3",
    "version",
    "dense_vector",
];

/// Parameters of a field that may change later; any other difference is a conflict.
const UPDATABLE: &[&str] = &[
    "ignore_above",
    "ignore_malformed",
    "boost",
    "search_analyzer",
    "search_quote_analyzer",
    "fields",
    "meta",
    "dynamic",
    "coerce",
    "eager_global_ordinals",
    "fielddata",
    "fielddata_frequency_filter",
    "properties",
    "copy_to",
    "split_queries_on_whitespace",
];

/// Checks a mapping that came with a new index or a template, against the analyzers beside it.
pub(crate) fn check_new(
    product: Product,
    mapping: &Value,
    analyzers: &[String],
) -> Result<(), ApiError> {
    check(product, mapping, analyzers).map_err(|inner| wrap(product, inner))
}

/// Checks a mapping that is put on an index. OpenSearch says what is wrong without more words.
pub(crate) fn check_update(
    product: Product,
    mapping: &Value,
    analyzers: &[String],
) -> Result<(), ApiError> {
    check(product, mapping, analyzers).map_err(|inner| {
        if product.is_opensearch() {
            inner
        } else {
            wrap(product, inner)
        }
    })
}

fn wrap(product: Product, inner: ApiError) -> ApiError {
    let prefix = if product.is_opensearch() {
        "Failed to parse mapping [_doc]: "
    } else {
        "Failed to parse mapping: "
    };
    ApiError::new(
        400,
        "mapper_parsing_exception",
        format!("{prefix}{}", inner.reason()),
    )
    .caused(inner.kind(), inner.reason())
    .rooted(inner)
}

fn check(product: Product, mapping: &Value, analyzers: &[String]) -> Result<(), ApiError> {
    let Some(map) = mapping.as_object() else {
        return Err(ApiError::new(
            400,
            "mapper_parsing_exception",
            "mapping is not an object",
        ));
    };
    const ROOT: &[&str] = &[
        "properties",
        "dynamic",
        "dynamic_templates",
        "_meta",
        "_source",
        "_routing",
        "_field_names",
        "date_detection",
        "numeric_detection",
        "dynamic_date_formats",
        "_data_stream_timestamp",
        "runtime",
        "_size",
        "subobjects",
        "derived",
        "enabled",
        "type",
    ];
    if let Some(bad) = map.keys().find(|k| !ROOT.contains(&k.as_str())) {
        return Err(ApiError::new(
            400,
            "mapper_parsing_exception",
            format!(
                "Root mapping definition has unsupported parameters:  [{bad} : {}]",
                map[bad]
            ),
        ));
    }
    check_properties(product, map, analyzers)
}

fn check_properties(
    product: Product,
    map: &Map<String, Value>,
    analyzers: &[String],
) -> Result<(), ApiError> {
    let Some(fields) = map.get("properties").and_then(Value::as_object) else {
        return Ok(());
    };
    for (name, field) in fields {
        let Some(field) = field.as_object() else {
            return Err(ApiError::new(
                400,
                "mapper_parsing_exception",
                format!("Expected map for property [fields] on field [{name}]"),
            ));
        };
        let kind = match field.get("type").and_then(Value::as_str) {
            Some(kind) => kind,
            None if field.contains_key("properties")
                || field.contains_key("enabled")
                || field.contains_key("dynamic") =>
            {
                "object"
            }
            None => {
                return Err(ApiError::new(
                    400,
                    "mapper_parsing_exception",
                    format!("No type specified for field [{name}]"),
                ));
            }
        };
        if !TYPES.contains(&kind) {
            let text = if product.is_opensearch() {
                format!("No handler for type [{kind}] declared on field [{name}]")
            } else {
                format!(
                    "The mapper type [{kind}] declared on field [{name}] does not exist. It might have been created \
                     within a future version or requires a plugin to be installed. Check the documentation."
                )
            };
            return Err(ApiError::new(400, "mapper_parsing_exception", text));
        }
        if let Some(bad) = field.keys().find(|k| !PARAMETERS.contains(&k.as_str())) {
            return Err(ApiError::new(
                400,
                "mapper_parsing_exception",
                format!("unknown parameter [{bad}] on mapper [{name}] of type [{kind}]"),
            ));
        }
        for key in ["analyzer", "search_analyzer"] {
            if let Some(analyzer) = field.get(key).and_then(Value::as_str)
                && !BUILT_IN_ANALYZERS.contains(&analyzer)
                && !analyzers.iter().any(|a| a == analyzer)
            {
                let inner = ApiError::illegal(format!(
                    "analyzer [{analyzer}] has not been configured in mappings"
                ));
                return Err(inner);
            }
        }
        check_properties(product, field, analyzers)?;
    }
    Ok(())
}

/// Parameters of fields that exist, for whichever type; an unknown one is refused.
const PARAMETERS: &[&str] = &[
    "type",
    "properties",
    "dynamic",
    "enabled",
    "fields",
    "analyzer",
    "search_analyzer",
    "search_quote_analyzer",
    "boost",
    "coerce",
    "copy_to",
    "doc_values",
    "eager_global_ordinals",
    "fielddata",
    "fielddata_frequency_filter",
    "format",
    "ignore_above",
    "ignore_malformed",
    "include_in_parent",
    "include_in_root",
    "index",
    "index_options",
    "index_phrases",
    "index_prefixes",
    "locale",
    "meta",
    "norms",
    "normalizer",
    "null_value",
    "on_script_error",
    "path",
    "position_increment_gap",
    "relations",
    "scaling_factor",
    "script",
    "similarity",
    "split_queries_on_whitespace",
    "store",
    "subobjects",
    "term_vector",
    "time_series_dimension",
    "time_series_metric",
    "dims",
    "element_type",
    "index_options",
    "max_input_length",
    "preserve_separators",
    "preserve_position_increments",
    "contexts",
    "ignore_z_value",
    "orientation",
    "strategy",
    "value",
    "depth_limit",
    "derived",
];

const BUILT_IN_ANALYZERS: &[&str] = &[
    "standard",
    "simple",
    "whitespace",
    "stop",
    "keyword",
    "pattern",
    "english",
    "default",
];

/// Adds `update` to `base`; a change that documents already indexed cannot follow is refused.
pub(crate) fn merge(product: Product, base: &Value, update: &Value) -> Result<Value, ApiError> {
    let mut out = base.clone();
    merge_object(product, "", &mut out, update)?;
    Ok(normalise(out))
}

fn merge_object(
    product: Product,
    path: &str,
    base: &mut Value,
    update: &Value,
) -> Result<(), ApiError> {
    let (Some(base), Some(update)) = (base.as_object_mut(), update.as_object()) else {
        return Ok(());
    };
    for (key, value) in update {
        if key == "properties" {
            let fields = base.entry("properties").or_insert_with(|| json!({}));
            let (Some(fields), Some(new)) = (fields.as_object_mut(), value.as_object()) else {
                continue;
            };
            for (name, field) in new {
                let full = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                match fields.get_mut(name) {
                    Some(old) => merge_field(product, &full, old, field)?,
                    None => drop(fields.insert(name.clone(), normalise(field.clone()))),
                }
            }
            fields.sort_keys();
        } else {
            base.insert(key.clone(), value.clone());
        }
    }
    Ok(())
}

/// A field's type; one without is an object.
pub(crate) fn kind_of(field: &Value) -> &str {
    field["type"].as_str().unwrap_or("object")
}

fn merge_field(product: Product, path: &str, old: &mut Value, new: &Value) -> Result<(), ApiError> {
    let (before, after) = (kind_of(old).to_owned(), kind_of(new).to_owned());
    if before != after {
        let objects = ["object", "nested"];
        return Err(ApiError::illegal(
            if objects.contains(&before.as_str()) && objects.contains(&after.as_str()) {
                if !product.is_opensearch() {
                    let (new, old) = if before == "nested" {
                        ("non-nested", "nested")
                    } else {
                        ("nested", "non-nested")
                    };
                    format!("can't merge a {new} mapping [{path}] with a {old} mapping")
                } else if before == "nested" {
                    "cannot change object mapping from nested to non-nested".to_owned()
                } else {
                    "cannot change object mapping from non-nested to nested".to_owned()
                }
            } else if objects.contains(&before.as_str()) || objects.contains(&after.as_str()) {
                format!("can't merge a non object mapping [{path}] with an object mapping")
            } else {
                format!("mapper [{path}] cannot be changed from type [{before}] to [{after}]")
            },
        ));
    }
    if before == "object" || before == "nested" {
        return merge_object(product, path, old, new);
    }
    let (Some(old), Some(new)) = (old.as_object_mut(), new.as_object()) else {
        return Ok(());
    };
    let shown = |value: Option<&Value>, key: &str| match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => match key {
            "index" | "doc_values" => "true".to_owned(),
            "store" | "norms" => "false".to_owned(),
            "analyzer" => "default".to_owned(),
            "format" => "strict_date_optional_time||epoch_millis".to_owned(),
            _ => "null".to_owned(),
        },
    };
    let keys: Vec<String> = old
        .keys()
        .chain(new.keys())
        .filter(|k| *k != "type")
        .cloned()
        .collect();
    for key in keys {
        if UPDATABLE.contains(&key.as_str()) {
            if key == "fields" {
                if let (Some(have), Some(add)) = (
                    old.get_mut("fields").and_then(Value::as_object_mut),
                    new.get("fields").and_then(Value::as_object),
                ) {
                    for (name, field) in add {
                        match have.get_mut(name) {
                            Some(sub) => {
                                merge_field(product, &format!("{path}.{name}"), sub, field)?
                            }
                            None => drop(have.insert(name.clone(), field.clone())),
                        }
                    }
                } else if let Some(add) = new.get("fields") {
                    old.insert("fields".to_owned(), add.clone());
                }
            } else if let Some(value) = new.get(&key) {
                old.insert(key, value.clone());
            } else {
                // An updatable parameter that the new definition leaves out returns to its default.
                old.shift_remove(&key);
            }
            continue;
        }
        let (a, b) = (shown(old.get(&key), &key), shown(new.get(&key), &key));
        if a != b {
            return Err(ApiError::illegal(format!(
                "Mapper for [{path}] conflicts with existing mapper:\n\tCannot update parameter [{key}] from [{a}] to [{b}]"
            )));
        }
    }
    Ok(())
}

/// The form in which servers hand a mapping back: fields sorted, plain objects without a type.
pub(crate) fn normalise(mapping: Value) -> Value {
    match mapping {
        Value::Object(mut map) => {
            if let Some(Value::Object(fields)) = map.shift_remove("properties") {
                let mut fields: Map<String, Value> =
                    fields.into_iter().map(|(k, v)| (k, normalise(v))).collect();
                fields.sort_keys();
                if map.get("type") == Some(&json!("object")) {
                    map.shift_remove("type");
                }
                map.insert("properties".to_owned(), Value::Object(fields));
            }
            for key in ["dynamic", "eager_global_ordinals"] {
                if let Some(Value::Bool(flag)) = map.get(key)
                    && key == "dynamic"
                {
                    let text = flag.to_string();
                    map.insert(key.to_owned(), json!(text));
                }
            }
            // Defaults are not echoed back.
            for (key, value) in [("index", true), ("doc_values", true), ("enabled", true)] {
                if map.get(key) == Some(&json!(value)) {
                    map.shift_remove(key);
                }
            }
            if map.get("type") == Some(&json!("keyword"))
                && map.get("index_options") == Some(&json!("docs"))
            {
                map.shift_remove("index_options");
            }
            if map.get("ignore_malformed") == Some(&json!(false)) && map.contains_key("type") {
                map.shift_remove("ignore_malformed");
            }
            Value::Object(map)
        }
        other => other,
    }
}

/// The definition of the field at a dotted path, multi-fields included, and the path of its values.
pub(crate) fn field<'a>(mapping: &'a Value, path: &str) -> Option<(&'a Value, String)> {
    let mut node = mapping;
    let mut source_path = String::new();
    let mut rest = path;
    loop {
        let fields = node.get("properties").and_then(Value::as_object)?;
        // Field names may hold dots only through nesting, so one segment at a time is enough.
        let (head, tail) = rest
            .split_once('.')
            .map_or((rest, None), |(h, t)| (h, Some(t)));
        let found = fields.get(head)?;
        if !source_path.is_empty() {
            source_path.push('.');
        }
        source_path.push_str(head);
        let Some(tail) = tail else {
            return Some((found, source_path));
        };
        if let Some(sub) = found.get("fields").and_then(|f| f.get(tail)) {
            return Some((sub, source_path));
        }
        node = found;
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_type_cannot_change() {
        let base = json!({"properties": {"f": {"type": "keyword"}}});
        let error = merge(
            Product::OpenSearch2,
            &base,
            &json!({"properties": {"f": {"type": "text"}}}),
        )
        .unwrap_err();
        assert_eq!(
            error.reason(),
            "mapper [f] cannot be changed from type [keyword] to [text]"
        );
        assert!(
            merge(
                Product::OpenSearch2,
                &base,
                &json!({"properties": {"f": {"type": "keyword", "ignore_above": 5}}})
            )
            .is_ok()
        );
    }
}
