//! A request as the handlers see it, and the reply that they make.

use bytes::Bytes;
use hyper::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::pattern::glob;

/// One request that has reached a node.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) node: usize,
    pub(crate) method: Method,
    /// Path as sent, still percent-encoded.
    pub(crate) raw_path: String,
    pub(crate) query: String,
    pub(crate) segments: Vec<String>,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) content_type: Option<String>,
    pub(crate) accept: Option<String>,
    pub(crate) authorization: Option<String>,
    pub(crate) opaque_id: Option<String>,
    pub(crate) body: Bytes,
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn decode_query(text: &str) -> String {
    decode(&text.replace('+', " "))
}

impl Request {
    /// Splits and decodes `path` and `query`. A slash that came percent-encoded stays inside its segment.
    pub(crate) fn new(node: usize, method: Method, path: &str, query: &str, body: Bytes) -> Self {
        Self {
            node,
            method,
            raw_path: path.to_owned(),
            query: query.to_owned(),
            segments: path
                .split('/')
                .filter(|s| !s.is_empty())
                .map(decode)
                .collect(),
            params: query
                .split('&')
                .filter(|p| !p.is_empty())
                .map(|pair| match pair.split_once('=') {
                    Some((k, v)) => (decode_query(k), decode_query(v)),
                    None => (decode_query(pair), String::new()),
                })
                .collect(),
            content_type: None,
            accept: None,
            authorization: None,
            opaque_id: None,
            body,
        }
    }

    /// Path with every segment decoded; what fault patterns and records show.
    pub(crate) fn path(&self) -> String {
        format!("/{}", self.segments.join("/"))
    }

    /// Path and query as the servers quote them in their messages.
    pub(crate) fn uri(&self) -> String {
        if self.query.is_empty() {
            self.raw_path.clone()
        } else {
            format!("{}?{}", self.raw_path, self.query)
        }
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .rev()
            .find(|(k, _)| k == name)
            .map(|(_, v)| v.as_str())
    }

    /// A boolean parameter; present without a value means true.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, ApiError> {
        match self.param(name) {
            None => Ok(default),
            Some("" | "true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(ApiError::illegal(format!(
                "Failed to parse value [{other}] as only [true] or [false] are allowed."
            ))),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        self.param(name)
            .map(|text| {
                text.parse::<u64>().map_err(|_| {
                    ApiError::illegal(format!(
                        "Failed to parse int parameter [{name}] with value [{text}]"
                    ))
                })
            })
            .transpose()
    }

    /// The body as a JSON object; an empty body is an empty object.
    pub(crate) fn object(&self) -> Result<Map<String, Value>, ApiError> {
        if self.body.is_empty() {
            return Ok(Map::new());
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(map)) => Ok(map),
            Ok(_) => Err(ApiError::parse(
                "Expected [START_OBJECT] but found another token",
            )),
            Err(error) => Err(ApiError::parse("Failed to parse")
                .with("line", error.line())
                .with("col", error.column())
                .caused("json_parse_exception", error.to_string())),
        }
    }

    /// The body as a JSON object that has to be there.
    pub(crate) fn required_object(&self) -> Result<Map<String, Value>, ApiError> {
        if self.body.is_empty() {
            return Err(ApiError::new(
                400,
                "parse_exception",
                "request body is required",
            ));
        }
        self.object()
    }
}

/// What goes back to the client.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Body,
}

/// A reply's content.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Json(Value),
    Text(String),
}

impl Reply {
    pub(crate) fn ok(body: Value) -> Self {
        Self {
            status: 200,
            body: Body::Json(body),
        }
    }

    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self {
            status,
            body: Body::Json(body),
        }
    }

    pub(crate) fn text(text: String) -> Self {
        Self {
            status: 200,
            body: Body::Text(text),
        }
    }

    pub(crate) fn acknowledged() -> Self {
        Self::ok(serde_json::json!({"acknowledged": true}))
    }
}

/// Keeps what a `filter_path` list asks for; a leading `-` excludes.
pub(crate) fn filter_path(value: Value, list: &str) -> Value {
    let (excludes, includes): (Vec<&str>, Vec<&str>) = list
        .split(',')
        .map(str::trim)
        .filter(|p| !p.is_empty())
        .partition(|p| p.starts_with('-'));
    let mut value = value;
    if !includes.is_empty() {
        let patterns: Vec<Vec<&str>> = includes.iter().map(|p| p.split('.').collect()).collect();
        value = include(&value, &patterns).unwrap_or_else(|| Value::Object(Map::new()));
    }
    for pattern in excludes {
        let parts: Vec<&str> = pattern[1..].split('.').collect();
        exclude(&mut value, &parts);
    }
    value
}

/// The patterns left after stepping into `key`; the flag says that one of them ended here.
fn step<'a>(patterns: &[Vec<&'a str>], key: &str) -> (Vec<Vec<&'a str>>, bool) {
    let mut rest = Vec::new();
    let mut done = false;
    // A key that holds dots (flat settings) is one segment, as on the servers.
    for pattern in patterns {
        match pattern.first() {
            Some(&"**") => {
                rest.push(pattern.clone());
                if let Some(&next) = pattern.get(1) {
                    if glob(next, key) {
                        if pattern.len() == 2 {
                            done = true;
                        } else {
                            rest.push(pattern[2..].to_vec());
                        }
                    }
                } else {
                    done = true;
                }
            }
            Some(first) if glob(first, key) => {
                if pattern.len() == 1 {
                    done = true;
                } else {
                    rest.push(pattern[1..].to_vec());
                }
            }
            _ => {}
        }
    }
    (rest, done)
}

fn include(value: &Value, patterns: &[Vec<&str>]) -> Option<Value> {
    match value {
        Value::Object(map) => {
            let mut out = Map::new();
            for (key, inner) in map {
                let (rest, done) = step(patterns, key);
                if done {
                    out.insert(key.clone(), inner.clone());
                } else if !rest.is_empty()
                    && let Some(kept) = include(inner, &rest)
                {
                    out.insert(key.clone(), kept);
                }
            }
            (!out.is_empty()).then_some(Value::Object(out))
        }
        Value::Array(items) => {
            let kept: Vec<Value> = items.iter().filter_map(|i| include(i, patterns)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => None,
    }
}

fn exclude(value: &mut Value, parts: &[&str]) {
    let patterns = [parts.to_vec()];
    match value {
        Value::Object(map) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            for key in keys {
                let (rest, done) = step(&patterns, &key);
                if done {
                    map.shift_remove(&key);
                } else if let Some(inner) = map.get_mut(&key) {
                    for next in rest {
                        exclude(inner, &next);
                    }
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|i| exclude(i, parts)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filter_path_keeps_only_what_was_asked_for() {
        let body = json!({"nodes": {"a": {"version": "2", "name": "n"}}, "cluster_name": "x"});
        assert_eq!(
            filter_path(body.clone(), "nodes.*.version"),
            json!({"nodes": {"a": {"version": "2"}}})
        );
        assert_eq!(
            filter_path(body.clone(), "**.name"),
            json!({"nodes": {"a": {"name": "n"}}})
        );
        assert_eq!(
            filter_path(body.clone(), "-nodes"),
            json!({"cluster_name": "x"})
        );
        assert_eq!(filter_path(body, "absent"), json!({}));
    }

    #[test]
    fn a_percent_encoded_slash_stays_inside_its_segment() {
        let request = Request::new(
            0,
            Method::GET,
            "/%25kuzzle.users/_doc/a%2Fb",
            "x&y=1+2",
            Bytes::new(),
        );
        assert_eq!(request.segments, ["%kuzzle.users", "_doc", "a/b"]);
        assert_eq!(request.param("y"), Some("1 2"));
        assert_eq!(request.param("x"), Some(""));
    }
}
