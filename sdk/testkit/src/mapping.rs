//! Mappings: which changes a server accepts, which documents fit, and what a document adds.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::pattern::glob;
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

/// Checks a mapping that a client sent, against the analyzers of its index.
pub(crate) fn check(
    product: Product,
    mapping: &Value,
    analyzers: &[String],
) -> Result<(), ApiError> {
    let Some(map) = mapping.as_object() else {
        return Err(wrap(
            product,
            ApiError::new(400, "mapper_parsing_exception", "mapping is not an object"),
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
        return Err(wrap(
            product,
            ApiError::new(
                400,
                "mapper_parsing_exception",
                format!(
                    "Root mapping definition has unsupported parameters:  [{bad} : {}]",
                    map[bad]
                ),
            ),
        ));
    }
    check_properties(product, map, analyzers)
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
            return Err(wrap(
                product,
                ApiError::new(
                    400,
                    "mapper_parsing_exception",
                    format!("Expected map for property [fields] on field [{name}]"),
                ),
            ));
        };
        let kind = match field.get("type").and_then(Value::as_str) {
            Some(kind) => kind,
            None if field.contains_key("properties")
                || field.contains_key("enabled")
                || field.contains_key("dynamic")
                || field.is_empty() =>
            {
                "object"
            }
            None => {
                return Err(wrap(
                    product,
                    ApiError::new(
                        400,
                        "mapper_parsing_exception",
                        format!("No type specified for field [{name}]"),
                    ),
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
            return Err(wrap(
                product,
                ApiError::new(400, "mapper_parsing_exception", text),
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
                return Err(wrap(product, inner));
            }
        }
        check_properties(product, field, analyzers)?;
    }
    Ok(())
}

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

fn kind_of(field: &Value) -> &str {
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

#[derive(Clone, Copy, PartialEq)]
enum Dynamic {
    True,
    False,
    Strict,
}

fn dynamic_of(node: &Value, inherited: Dynamic) -> Dynamic {
    match &node["dynamic"] {
        Value::String(text) if text == "strict" => Dynamic::Strict,
        Value::String(text) if text == "false" => Dynamic::False,
        Value::Bool(false) => Dynamic::False,
        Value::String(text) if text == "true" => Dynamic::True,
        Value::Bool(true) => Dynamic::True,
        _ => inherited,
    }
}

struct Reader<'a> {
    product: Product,
    id: &'a str,
    templates: Vec<Value>,
}

/// Checks that `source` fits `mapping`, and returns the mapping with what the document adds to it.
pub(crate) fn admit(
    product: Product,
    mapping: &Value,
    id: &str,
    source: &Value,
) -> Result<Option<Value>, ApiError> {
    let mut out = mapping.clone();
    let reader = Reader {
        product,
        id,
        templates: mapping["dynamic_templates"]
            .as_array()
            .cloned()
            .unwrap_or_default(),
    };
    let Some(source) = source.as_object() else {
        return Err(reader.error("failed to parse: document is not an object".to_owned()));
    };
    let changed = reader.object(&mut out, "", source, Dynamic::True)?;
    Ok(changed.then(|| normalise(out)))
}

impl Reader<'_> {
    fn error(&self, reason: String) -> ApiError {
        if self.product.is_opensearch() {
            ApiError::new(400, "mapper_parsing_exception", reason)
        } else {
            ApiError::new(400, "document_parsing_exception", format!("[1:1] {reason}"))
        }
    }

    fn object(
        &self,
        node: &mut Value,
        path: &str,
        source: &Map<String, Value>,
        inherited: Dynamic,
    ) -> Result<bool, ApiError> {
        if node["enabled"] == json!(false) {
            return Ok(false);
        }
        let dynamic = dynamic_of(node, inherited);
        let mut changed = false;
        for (name, value) in source {
            let full = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            // A key with dots means the same as nested objects.
            if let Some((head, tail)) = name.split_once('.') {
                let mut inner = Map::new();
                inner.insert(tail.to_owned(), value.clone());
                let mut outer = Map::new();
                outer.insert(head.to_owned(), Value::Object(inner));
                changed |= self.object(node, path, &outer, inherited)?;
                continue;
            }
            let known = node.get_mut("properties").and_then(|p| p.get_mut(name));
            if let Some(field) = known {
                changed |= self.value(field, &full, value, dynamic)?;
                continue;
            }
            match dynamic {
                Dynamic::Strict => {
                    let within = if path.is_empty() { "_doc" } else { path };
                    let text = format!(
                        "mapping set to strict, dynamic introduction of [{name}] within [{within}] is not allowed"
                    );
                    let text = if self.product.is_opensearch() {
                        text
                    } else {
                        format!("[1:2] {text}")
                    };
                    return Err(ApiError::new(400, "strict_dynamic_mapping_exception", text));
                }
                Dynamic::False => {}
                Dynamic::True => {
                    if let Some(mut field) = self.invent(name, &full, value) {
                        self.value(&mut field, &full, value, dynamic)?;
                        if let Some(map) = node.as_object_mut() {
                            let fields = map.entry("properties").or_insert_with(|| json!({}));
                            if let Some(fields) = fields.as_object_mut() {
                                fields.insert(name.clone(), field);
                                changed = true;
                            }
                        }
                    }
                }
            }
        }
        Ok(changed)
    }

    fn value(
        &self,
        field: &mut Value,
        path: &str,
        value: &Value,
        dynamic: Dynamic,
    ) -> Result<bool, ApiError> {
        let kind = kind_of(field).to_owned();
        if kind == "object" || kind == "nested" {
            return match value {
                Value::Null => Ok(false),
                Value::Object(map) => self.object(field, path, map, dynamic),
                Value::Array(items) => {
                    let mut changed = false;
                    for item in items {
                        changed |= self.value(field, path, item, dynamic)?;
                    }
                    Ok(changed)
                }
                _ if field["enabled"] == json!(false) => Ok(false),
                _ => Err(self.error(format!(
                    "object mapping for [{path}] tried to parse field [{}] as object, but found a concrete value",
                    path.rsplit('.').next().unwrap_or(path)
                ))),
            };
        }
        if let Value::Array(items) = value {
            for item in items {
                self.value(field, path, item, dynamic)?;
            }
            return Ok(false);
        }
        if value.is_null() || field["ignore_malformed"] == json!(true) {
            return Ok(false);
        }
        if let Some(cause) = misfit(&kind, field, value) {
            let preview = crate::script::java(value);
            let shape = value.is_object();
            let (cause_kind, cause) = match (shape, self.product.is_opensearch()) {
                (true, true) => ("illegal_state_exception", cause),
                (true, false) => (
                    "illegal_argument_exception",
                    "Expected text at 1:1 but found START_OBJECT".to_owned(),
                ),
                (false, _) => ("illegal_argument_exception", cause),
            };
            return Err(self
                .error(format!(
                    "failed to parse field [{path}] of type [{kind}] in document with id '{}'. Preview of field's value: '{preview}'",
                    self.id
                ))
                .caused(cause_kind, cause));
        }
        Ok(false)
    }

    /// The field that a server would make up for `value`.
    fn invent(&self, name: &str, path: &str, value: &Value) -> Option<Value> {
        let (kind, fallback) = match value {
            Value::Null => return None,
            Value::Array(items) => {
                return items
                    .iter()
                    .find(|i| !i.is_null())
                    .and_then(|i| self.invent(name, path, i));
            }
            Value::Object(_) => ("object", json!({"properties": {}})),
            Value::Bool(_) => ("boolean", json!({"type": "boolean"})),
            Value::Number(n) if n.is_i64() || n.is_u64() => ("long", json!({"type": "long"})),
            Value::Number(_) => ("double", json!({"type": "float"})),
            Value::String(text) if looks_like_date(text) => ("date", json!({"type": "date"})),
            Value::String(_) => (
                "string",
                json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}),
            ),
        };
        for template in &self.templates {
            let Some(rule) = template.as_object().and_then(|m| m.values().next()) else {
                continue;
            };
            let fits = |key: &str, text: &str| rule[key].as_str().is_none_or(|p| glob(p, text));
            let kind_fits = rule["match_mapping_type"]
                .as_str()
                .is_none_or(|t| t == "*" || t == kind || (t == "string" && kind == "date"));
            let refused = rule["unmatch"].as_str().is_some_and(|p| glob(p, name))
                || rule["path_unmatch"].as_str().is_some_and(|p| glob(p, path));
            if kind_fits && fits("match", name) && fits("path_match", path) && !refused {
                let mut field = rule["mapping"].clone();
                if let Some(map) = field.as_object_mut() {
                    map.entry("type")
                        .or_insert_with(|| fallback["type"].clone());
                }
                return Some(field);
            }
        }
        Some(fallback)
    }
}

fn misfit(kind: &str, field: &Value, value: &Value) -> Option<String> {
    let text = value.as_str();
    match kind {
        "long" | "integer" | "short" | "byte" | "double" | "float" | "half_float"
        | "scaled_float" | "unsigned_long" => match value {
            Value::Number(_) => None,
            Value::String(text) if text.trim().parse::<f64>().is_ok() => None,
            Value::String(text) => Some(format!("For input string: \"{text}\"")),
            _ => {
                Some("Current token is not numeric, can not use numeric value accessors".to_owned())
            }
        },
        "boolean" => match value {
            Value::Bool(_) => None,
            Value::String(text) if matches!(text.as_str(), "true" | "false" | "") => None,
            other => Some(format!(
                "Failed to parse value [{other}] as only [true] or [false] are allowed."
            )),
        },
        "date" => match value {
            Value::Number(_) if field.get("format").is_none() => None,
            Value::String(_) if text.and_then(date_ms).is_some() => None,
            other => Some(format!(
                "failed to parse date field [{}] with format [{}]",
                other
                    .as_str()
                    .map_or_else(|| other.to_string(), ToOwned::to_owned),
                field["format"]
                    .as_str()
                    .unwrap_or("strict_date_optional_time||epoch_millis")
            )),
        },
        "keyword" | "text" if value.is_object() => {
            Some("Can't get text on a START_OBJECT at 1:1".to_owned())
        }
        _ => None,
    }
}

fn looks_like_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && (bytes[4] == b'-' || bytes[4] == b'/')
        && date_ms(text).is_some()
}

/// Milliseconds of a date in the forms that the servers read by default, and `...+0000` of Optimize.
pub(crate) fn date_ms(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_millisecond());
    }
    if let Ok(time) = Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text) {
        return Some(time.as_millisecond());
    }
    let slashes = text.replace('/', "-");
    if let Ok(day) = slashes.parse::<jiff::civil::DateTime>() {
        return day
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|z| z.timestamp().as_millisecond());
    }
    if let Ok(day) = slashes.parse::<jiff::civil::Date>() {
        return day
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|z| z.timestamp().as_millisecond());
    }
    // Epoch milliseconds written as a string; a bare year would be four digits.
    if text.len() > 4 && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strict_mapping_refuses_an_unknown_field() {
        let mapping = json!({"dynamic": "strict", "properties": {"a": {"type": "keyword"}}});
        let error = admit(Product::OpenSearch2, &mapping, "1", &json!({"b": 1})).unwrap_err();
        assert_eq!(error.kind(), "strict_dynamic_mapping_exception");
        assert!(
            admit(Product::OpenSearch2, &mapping, "1", &json!({"a": "x"}))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_dynamic_mapping_is_made_up_as_the_servers_do() {
        let source = json!({"s": "x", "n": 1, "d": 1.5, "date": "2020-01-01T00:00:00.000Z", "o": {"y": [1, 2]}, "nul": null, "e": []});
        let mapping = admit(Product::OpenSearch2, &json!({}), "1", &source)
            .unwrap()
            .unwrap();
        assert_eq!(
            mapping,
            json!({"properties": {
                "d": {"type": "float"}, "date": {"type": "date"}, "n": {"type": "long"},
                "o": {"properties": {"y": {"type": "long"}}},
                "s": {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}},
            }})
        );
    }

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

    #[test]
    fn the_dates_of_optimize_are_read() {
        assert_eq!(
            date_ms("2026-01-01T00:00:00.000+0000"),
            Some(1_767_225_600_000)
        );
        assert_eq!(
            date_ms("2026-01-01T01:00:00.000+0100"),
            Some(1_767_225_600_000)
        );
        assert_eq!(date_ms("2026-01-01"), Some(1_767_225_600_000));
        assert_eq!(date_ms("yesterday"), None);
    }
}
