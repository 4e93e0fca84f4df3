//! Which documents a query selects, by the rules that the mapping implies.
//!
//! A field that the mapping does not index selects nothing, as on the servers: no mapping entry, a
//! disabled object, `index: false`, or a field inside `nested` that is asked for from outside.

use serde_json::{Map, Value};

use crate::admit::date_ms;
use crate::error::ApiError;
use crate::index::Doc;
use crate::mapping::field;
use crate::pattern::glob;

const QUERIES: &[&str] = &[
    "match_all",
    "match_none",
    "term",
    "terms",
    "ids",
    "bool",
    "range",
    "exists",
    "prefix",
    "wildcard",
    "match",
    "match_phrase",
    "nested",
    "constant_score",
];

/// One document as a query looks at it.
pub(crate) struct Subject<'a> {
    pub(crate) index: &'a str,
    pub(crate) mapping: &'a Value,
    pub(crate) id: &'a str,
    pub(crate) doc: &'a Doc,
    pub(crate) now_ms: i64,
}

/// Refuses a query that no server would parse; the documents do not matter for that.
pub(crate) fn check(query: &Value) -> Result<(), ApiError> {
    let (kind, body) = split(query)?;
    if !QUERIES.contains(&kind) {
        return Err(ApiError::parse(format!("unknown query [{kind}]"))
            .with("line", 1)
            .with("col", 1)
            .caused(
                "named_object_not_found_exception",
                format!("[1:1] unknown field [{kind}]"),
            ));
    }
    match kind {
        "bool" => {
            for (clause, inner) in object(kind, body)? {
                match clause.as_str() {
                    "must" | "filter" | "should" | "must_not" => {
                        for query in list(inner) {
                            check(query)?;
                        }
                    }
                    "minimum_should_match" | "boost" | "_name" | "adjust_pure_negative" => {}
                    other => {
                        return Err(ApiError::parse(format!(
                            "[bool] query does not support [{other}]"
                        )));
                    }
                }
            }
            Ok(())
        }
        "constant_score" => check(&body["filter"]),
        "nested" => {
            if body["path"].as_str().is_none() {
                return Err(ApiError::parse("[nested] requires 'path' field"));
            }
            check(&body["query"])
        }
        "term" | "terms" | "range" | "prefix" | "wildcard" | "match" | "match_phrase" => {
            let fields = object(kind, body)?.keys().filter(|k| !is_option(k)).count();
            if fields != 1 {
                return Err(ApiError::parse(format!(
                    "[{kind}] query doesn't support multiple fields"
                )));
            }
            if kind == "range" {
                check_range(body)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_range(body: &Value) -> Result<(), ApiError> {
    const BOUNDS: &[&str] = &[
        "gt",
        "gte",
        "lt",
        "lte",
        "from",
        "to",
        "include_lower",
        "include_upper",
        "format",
        "time_zone",
        "relation",
        "boost",
        "_name",
    ];
    let bounds = body
        .as_object()
        .into_iter()
        .flat_map(Map::values)
        .filter_map(Value::as_object);
    match bounds
        .flat_map(Map::keys)
        .find(|k| !BOUNDS.contains(&k.as_str()))
    {
        Some(key) => Err(
            ApiError::parse(format!("[range] query does not support [{key}]"))
                .with("line", 1)
                .with("col", 1),
        ),
        None => Ok(()),
    }
}

fn is_option(key: &str) -> bool {
    matches!(key, "boost" | "_name")
}

fn split(query: &Value) -> Result<(&str, &Value), ApiError> {
    let map = query
        .as_object()
        .ok_or_else(|| ApiError::parse("[_na] query malformed, must start with start_object"))?;
    let mut entries = map.iter();
    let (kind, body) = entries
        .next()
        .ok_or_else(|| ApiError::illegal("query malformed, empty clause found"))?;
    if entries.next().is_some() {
        return Err(ApiError::parse(format!(
            "[{kind}] malformed query, expected [END_OBJECT] but found [FIELD_NAME]"
        )));
    }
    Ok((kind, body))
}

fn object<'a>(kind: &str, body: &'a Value) -> Result<&'a Map<String, Value>, ApiError> {
    body.as_object().ok_or_else(|| {
        ApiError::parse(format!(
            "[{kind}] query malformed, no start_object after query name"
        ))
    })
}

fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        other => vec![other],
    }
}

/// True when `query`, already checked, selects the document.
pub(crate) fn matches(subject: &Subject<'_>, query: &Value) -> bool {
    Scope {
        subject,
        source: &subject.doc.source,
        base: "",
    }
    .matches(query)
}

/// A document, or one of its nested objects.
struct Scope<'a> {
    subject: &'a Subject<'a>,
    source: &'a Value,
    base: &'a str,
}

impl Scope<'_> {
    fn matches(&self, query: &Value) -> bool {
        let Ok((kind, body)) = split(query) else {
            return false;
        };
        match kind {
            "match_all" => true,
            "ids" => body["values"]
                .as_array()
                .is_some_and(|ids| ids.iter().any(|v| text(v) == self.subject.id)),
            "bool" => self.boolean(body),
            "constant_score" => self.matches(&body["filter"]),
            "exists" => body["field"].as_str().is_some_and(|f| self.exists(f)),
            "nested" => self.nested(body),
            _ => {
                let Some((path, wanted)) = body
                    .as_object()
                    .and_then(|m| m.iter().find(|(k, _)| !is_option(k)))
                else {
                    return false;
                };
                self.leaf(kind, path, wanted)
            }
        }
    }

    fn boolean(&self, body: &Value) -> bool {
        let all = |key: &str| {
            list(&body[key])
                .into_iter()
                .filter(|q| !q.is_null())
                .collect::<Vec<_>>()
        };
        let (must, filter, must_not, should) =
            (all("must"), all("filter"), all("must_not"), all("should"));
        if must.iter().chain(&filter).any(|q| !self.matches(q))
            || must_not.iter().any(|q| self.matches(q))
        {
            return false;
        }
        let least = match &body["minimum_should_match"] {
            Value::Null => u64::from(!should.is_empty() && must.is_empty() && filter.is_empty()),
            other => text(other).parse().unwrap_or(1),
        };
        let hits = should.iter().filter(|q| self.matches(q)).count() as u64;
        hits >= least
    }

    fn nested(&self, body: &Value) -> bool {
        let Some(path) = body["path"].as_str() else {
            return false;
        };
        let relative = if self.base.is_empty() {
            path
        } else {
            path.strip_prefix(self.base)
                .map_or(path, |p| p.trim_start_matches('.'))
        };
        let mut found = Vec::new();
        collect(self.source, relative, &mut found);
        found.into_iter().filter(|v| v.is_object()).any(|source| {
            Scope {
                subject: self.subject,
                source,
                base: path,
            }
            .matches(&body["query"])
        })
    }

    /// The field's definition and its values in this scope.
    fn values(&self, path: &str) -> Option<(&Value, Vec<&Value>)> {
        let (definition, source_path) = field(self.subject.mapping, path)?;
        if definition["index"] == Value::Bool(false) || definition["enabled"] == Value::Bool(false)
        {
            return None;
        }
        if crosses_nested(self.subject.mapping, &source_path, self.base) {
            return None;
        }
        let relative = if self.base.is_empty() {
            source_path.as_str()
        } else {
            source_path.strip_prefix(self.base)?.strip_prefix('.')?
        };
        let mut values = Vec::new();
        collect(self.source, relative, &mut values);
        values.retain(|v| !v.is_null());
        if let Some(limit) = definition["ignore_above"].as_u64() {
            values.retain(|v| text(v).chars().count() as u64 <= limit);
        }
        Some((definition, values))
    }

    fn exists(&self, path: &str) -> bool {
        match self.values(path) {
            Some((definition, values)) if definition.get("properties").is_some() => {
                // An object exists when one of its fields does.
                !values.is_empty()
                    && definition["properties"]
                        .as_object()
                        .is_some_and(|p| p.keys().any(|k| self.exists(&format!("{path}.{k}"))))
            }
            Some((_, values)) => !values.is_empty(),
            None => false,
        }
    }

    fn leaf(&self, kind: &str, path: &str, wanted: &Value) -> bool {
        let given = match wanted {
            Value::Object(map) if kind != "range" => map
                .get("value")
                .or_else(|| map.get("query"))
                .or_else(|| map.get("wildcard"))
                .unwrap_or(wanted),
            other => other,
        };
        match path {
            "_id" => return plain(kind, given, self.subject.id),
            "_index" => return plain(kind, given, self.subject.index),
            "_seq_no" => {
                let number = Value::from(self.subject.doc.seq_no);
                return compare("long", kind, given, &number, self.subject.now_ms);
            }
            _ => {}
        }
        let Some((definition, values)) = self.values(path) else {
            return false;
        };
        let type_name = definition["type"].as_str().unwrap_or("object");
        values
            .iter()
            .any(|value| compare(type_name, kind, given, value, self.subject.now_ms))
    }
}

/// True when the way to `path` passes a `nested` object that `base` has not entered.
fn crosses_nested(mapping: &Value, path: &str, base: &str) -> bool {
    let mut node = mapping;
    let mut walked = String::new();
    for segment in path.split('.') {
        let Some(next) = node.get("properties").and_then(|p| p.get(segment)) else {
            return false;
        };
        if !walked.is_empty() {
            walked.push('.');
        }
        walked.push_str(segment);
        if next["type"] == "nested"
            && walked != path
            && !(base == walked || base.starts_with(&format!("{walked}.")))
        {
            return true;
        }
        node = next;
    }
    false
}

/// All values at a dotted path, arrays flattened; a key that holds the dots itself counts too.
pub(crate) fn collect<'a>(source: &'a Value, path: &str, out: &mut Vec<&'a Value>) {
    match source {
        Value::Array(items) => items.iter().for_each(|i| collect(i, path, out)),
        Value::Object(map) => {
            if let Some(value) = map.get(path) {
                flat(value, out);
                return;
            }
            for (at, _) in path.match_indices('.') {
                if let Some(inner) = map.get(&path[..at]) {
                    collect(inner, &path[at + 1..], out);
                }
            }
        }
        _ => {}
    }
}

fn flat<'a>(value: &'a Value, out: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|i| flat(i, out)),
        other => out.push(other),
    }
}

fn plain(kind: &str, given: &Value, actual: &str) -> bool {
    match kind {
        "term" | "match" | "match_phrase" => text(given) == actual,
        "terms" => given
            .as_array()
            .is_some_and(|l| l.iter().any(|v| text(v) == actual)),
        "prefix" => actual.starts_with(&text(given)),
        "wildcard" => glob(&text(given), actual),
        _ => false,
    }
}

/// A scalar in the text form that a term has.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn tokens(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|t| !t.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// A field's value as a number that orders like the field does; dates are milliseconds.
pub(crate) fn number(type_name: &str, value: &Value, now_ms: i64) -> Option<f64> {
    match type_name {
        "date" | "date_nanos" => match value {
            Value::String(text) => date_math(text, now_ms).map(|ms| ms as f64),
            other => other.as_f64(),
        },
        "boolean" => match text(value).as_str() {
            "true" => Some(1.0),
            "false" | "" => Some(0.0),
            _ => None,
        },
        "long" | "integer" | "short" | "byte" | "double" | "float" | "half_float"
        | "scaled_float" | "unsigned_long" => text(value).trim().parse().ok(),
        _ => None,
    }
}

/// `now`, `now-1d` and absolute dates.
fn date_math(text: &str, now_ms: i64) -> Option<i64> {
    let Some(rest) = text.strip_prefix("now") else {
        return date_ms(text);
    };
    if rest.is_empty() {
        return Some(now_ms);
    }
    let (sign, amount) = rest.split_at(1);
    let offset = crate::settings::duration_ms(amount)?;
    match sign {
        "-" => Some(now_ms - offset),
        "+" => Some(now_ms + offset),
        _ => None,
    }
}

fn compare(type_name: &str, kind: &str, given: &Value, value: &Value, now_ms: i64) -> bool {
    let numeric = |v: &Value| number(type_name, v, now_ms);
    let equal = |given: &Value| match (numeric(given), numeric(value)) {
        (Some(a), Some(b)) => a.total_cmp(&b).is_eq(),
        (None, None) if type_name == "text" => {
            let wanted = text(given);
            tokens(&text(value)).contains(&wanted)
        }
        (None, None) => text(given) == text(value),
        _ => false,
    };
    match kind {
        "term" => equal(given),
        "terms" => given.as_array().is_some_and(|l| l.iter().any(equal)),
        "match" if type_name == "text" => {
            let have = tokens(&text(value));
            tokens(&text(given)).iter().any(|t| have.contains(t))
        }
        "match_phrase" if type_name == "text" => {
            let (have, want) = (tokens(&text(value)), tokens(&text(given)));
            !want.is_empty() && have.windows(want.len()).any(|w| w == want.as_slice())
        }
        "match" | "match_phrase" => equal(given),
        "prefix" => text(value).starts_with(&text(given)),
        "wildcard" => glob(&text(given), &text(value)),
        "range" => given.as_object().is_some_and(|bounds| {
            bounds
                .iter()
                .all(|(bound, limit)| in_bound(type_name, bound, limit, value, now_ms))
        }),
        _ => false,
    }
}

fn in_bound(type_name: &str, bound: &str, limit: &Value, value: &Value, now_ms: i64) -> bool {
    if !matches!(bound, "gt" | "gte" | "lt" | "lte") || limit.is_null() {
        return true;
    }
    let order = match (
        number(type_name, value, now_ms),
        number(type_name, limit, now_ms),
    ) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (None, None) => text(value).cmp(&text(limit)),
        _ => return false,
    };
    match bound {
        "gt" => order.is_gt(),
        "gte" => order.is_ge(),
        "lt" => order.is_lt(),
        _ => order.is_le(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn hits(query: &Value) -> bool {
        let mapping = json!({"properties": {
            "k": {"type": "keyword"}, "n": {"type": "long"}, "t": {"type": "text"}, "d": {"type": "date"},
            "off": {"type": "object", "enabled": false},
            "v": {"type": "nested", "properties": {"name": {"type": "keyword"}, "value": {"type": "keyword", "fields": {"long": {"type": "long", "ignore_malformed": true}}}}},
        }});
        let doc = Doc {
            source: Arc::new(json!({
                "k": ["a", "b"], "n": 5, "t": "The Quick fox", "d": "2026-01-01T00:00:00.000Z", "off": {"x": 1},
                "v": [{"name": "x", "value": "1"}, {"name": "y", "value": "2"}],
            })),
            version: 1,
            seq_no: 3,
            primary_term: 1,
            shard: 0,
            routing: None,
            order: 1,
        };
        let subject = Subject {
            index: "i",
            mapping: &mapping,
            id: "7",
            doc: &doc,
            now_ms: 0,
        };
        check(query).unwrap();
        matches(&subject, query)
    }

    #[test]
    fn queries_select_what_the_servers_would_select() {
        assert!(hits(&json!({"term": {"k": "b"}})));
        assert!(hits(&json!({"terms": {"n": ["5", 6]}})));
        assert!(hits(&json!({"range": {"n": {"gte": 5, "lt": 6}}})));
        assert!(hits(&json!({"range": {"d": {"gt": "2025-12-31"}}})));
        assert!(hits(&json!({"match": {"t": "QUICK"}})));
        assert!(!hits(&json!({"term": {"t": "Quick"}})));
        assert!(hits(&json!({"ids": {"values": ["7"]}})));
        assert!(hits(&json!({"range": {"_seq_no": {"lte": 3}}})));
        assert!(hits(
            &json!({"bool": {"must_not": [{"exists": {"field": "zz"}}]}})
        ));
        assert!(hits(
            &json!({"bool": {"should": [{"term": {"n": 1}}, {"term": {"n": 5}}]}})
        ));
        assert!(!hits(&json!({"exists": {"field": "off.x"}})));
    }

    #[test]
    fn nested_objects_are_seen_one_by_one_and_only_from_inside() {
        let both = |value: &str| json!({"nested": {"path": "v", "query": {"bool": {"must": [{"term": {"v.name": "x"}}, {"term": {"v.value.long": value}}]}}}});
        assert!(hits(&both("1")));
        assert!(!hits(&both("2")));
        assert!(!hits(&json!({"term": {"v.name": "x"}})));
    }

    #[test]
    fn an_unknown_query_is_refused_without_any_document() {
        assert!(check(&json!({"foo": {}})).is_err());
        assert!(check(&json!({"bool": {"must": [{"foo": {}}]}})).is_err());
    }
}
