//! Whether a document fits a mapping, and what it adds to a dynamic one.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::mapping::{kind_of, normalise};
use crate::pattern::glob;
use crate::product::Product;

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

/// Reads one document against one mapping.
struct Reader<'a> {
    product: Product,
    id: &'a str,
    templates: &'a [Value],
    /// Fields to be added, by the names on the way to them, outer ones first.
    added: Vec<(Vec<String>, Value)>,
}

/// Checks that `source` fits `mapping`, and returns the mapping with what the document adds to it;
/// `None` when it adds nothing.
pub(crate) fn admit(
    product: Product,
    mapping: &Value,
    id: &str,
    source: &Value,
) -> Result<Option<Value>, ApiError> {
    let mut reader = Reader {
        product,
        id,
        templates: mapping["dynamic_templates"]
            .as_array()
            .map_or(&[], Vec::as_slice),
        added: Vec::new(),
    };
    let Some(source) = source.as_object() else {
        return Err(reader.error("failed to parse: document is not an object".to_owned()));
    };
    reader.object(mapping, &[], source, Dynamic::True)?;
    if reader.added.is_empty() {
        return Ok(None);
    }
    let mut grown = mapping.clone();
    for (path, field) in reader.added {
        add(&mut grown, &path, field);
    }
    Ok(Some(normalise(grown)))
}

fn add(node: &mut Value, path: &[String], field: Value) {
    let (Some((name, rest)), Some(map)) = (path.split_first(), node.as_object_mut()) else {
        return;
    };
    let fields = map.entry("properties").or_insert_with(|| json!({}));
    let Some(fields) = fields.as_object_mut() else {
        return;
    };
    if rest.is_empty() {
        // Two items of a list can both introduce a field; the first decides.
        fields.entry(name.clone()).or_insert(field);
    } else if let Some(inner) = fields.get_mut(name) {
        add(inner, rest, field);
    }
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
        &mut self,
        node: &Value,
        path: &[String],
        source: &Map<String, Value>,
        inherited: Dynamic,
    ) -> Result<(), ApiError> {
        if node["enabled"] == json!(false) {
            return Ok(());
        }
        let dynamic = dynamic_of(node, inherited);
        for (name, value) in source {
            // A key with dots means the same as nested objects.
            if let Some((head, tail)) = name.split_once('.') {
                let inner = Map::from_iter([(tail.to_owned(), value.clone())]);
                let outer = Map::from_iter([(head.to_owned(), Value::Object(inner))]);
                self.object(node, path, &outer, inherited)?;
                continue;
            }
            let mut full = path.to_vec();
            full.push(name.clone());
            if let Some(field) = node.get("properties").and_then(|p| p.get(name)) {
                self.value(field, &full, value, dynamic)?;
                continue;
            }
            match dynamic {
                Dynamic::Strict => {
                    let within = if path.is_empty() {
                        "_doc".to_owned()
                    } else {
                        path.join(".")
                    };
                    let at = if self.product.is_opensearch() {
                        ""
                    } else {
                        "[1:2] "
                    };
                    return Err(ApiError::new(
                        400,
                        "strict_dynamic_mapping_exception",
                        format!(
                            "{at}mapping set to strict, dynamic introduction of [{name}] within [{within}] is not allowed"
                        ),
                    ));
                }
                Dynamic::False => {}
                Dynamic::True => {
                    if let Some(field) = self.invent(name, &full.join("."), value) {
                        self.added.push((full.clone(), field.clone()));
                        self.value(&field, &full, value, dynamic)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn value(
        &mut self,
        field: &Value,
        path: &[String],
        value: &Value,
        dynamic: Dynamic,
    ) -> Result<(), ApiError> {
        if let Value::Array(items) = value {
            for item in items {
                self.value(field, path, item, dynamic)?;
            }
            return Ok(());
        }
        let kind = kind_of(field).to_owned();
        if kind == "object" || kind == "nested" {
            return match value {
                Value::Null => Ok(()),
                Value::Object(map) => self.object(field, path, map, dynamic),
                _ if field["enabled"] == json!(false) => Ok(()),
                _ => Err(self.error(format!(
                    "object mapping for [{}] tried to parse field [{}] as object, but found a concrete value",
                    path.join("."),
                    path.last().map_or("", String::as_str)
                ))),
            };
        }
        if value.is_null() || field["ignore_malformed"] == json!(true) {
            return Ok(());
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
                    "failed to parse field [{}] of type [{kind}] in document with id '{}'. Preview of field's value: '{preview}'",
                    path.join("."), self.id
                ))
                .caused(cause_kind, cause));
        }
        Ok(())
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
        for template in self.templates {
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
