//! Refusals in the servers' own shape.

use serde_json::{Map, Value, json};

/// An answer that is not a success, as both products print it.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    /// Boxed, so that every handler's result stays small.
    details: Box<Details>,
}

#[derive(Debug, Clone, Default)]
struct Details {
    kind: String,
    reason: String,
    extra: Map<String, Value>,
    caused_by: Option<Value>,
    plain: Option<Value>,
    root: Option<ApiError>,
}

impl ApiError {
    pub(crate) fn new(status: u16, kind: &str, reason: impl Into<String>) -> Self {
        let details = Details {
            kind: kind.to_owned(),
            reason: reason.into(),
            ..Details::default()
        };
        Self {
            status,
            details: Box::new(details),
        }
    }

    /// An answer whose `error` is one string, or a whole body of its own.
    pub(crate) fn plain(status: u16, body: Value) -> Self {
        let mut out = Self::new(status, "", "");
        out.details.plain = Some(body);
        out
    }

    pub(crate) fn illegal(reason: impl Into<String>) -> Self {
        Self::new(400, "illegal_argument_exception", reason)
    }

    pub(crate) fn validation(reason: impl AsRef<str>) -> Self {
        Self::new(
            400,
            "action_request_validation_exception",
            format!("Validation Failed: 1: {};", reason.as_ref()),
        )
    }

    pub(crate) fn parse(reason: impl Into<String>) -> Self {
        Self::new(400, "parsing_exception", reason)
    }

    pub(crate) fn no_index(name: &str) -> Self {
        Self::new(
            404,
            "index_not_found_exception",
            format!("no such index [{name}]"),
        )
        .with("resource.type", "index_or_alias")
        .with("resource.id", name)
        .with("index_uuid", "_na_")
        .with("index", name)
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.extra.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn caused(mut self, kind: &str, reason: impl Into<String>) -> Self {
        self.details.caused_by = Some(json!({"type": kind, "reason": reason.into()}));
        self
    }

    /// Wraps another error whole as the cause.
    pub(crate) fn caused_by(mut self, cause: &ApiError) -> Self {
        self.details.caused_by = Some(cause.object());
        self
    }

    /// Names another error as the root cause, as the servers do when they wrap one.
    pub(crate) fn rooted(mut self, root: ApiError) -> Self {
        self.details.root = Some(root);
        self
    }

    pub(crate) fn kind(&self) -> &str {
        &self.details.kind
    }

    pub(crate) fn reason(&self) -> &str {
        &self.details.reason
    }

    /// The inner object: type, reason, extras, cause.
    pub(crate) fn object(&self) -> Value {
        let mut map = self.head();
        if let Some(cause) = &self.details.caused_by {
            map.insert("caused_by".to_owned(), cause.clone());
        }
        Value::Object(map)
    }

    fn head(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("type".to_owned(), json!(self.details.kind));
        map.insert("reason".to_owned(), json!(self.details.reason));
        for (key, value) in &self.details.extra {
            map.insert(key.clone(), value.clone());
        }
        map
    }

    pub(crate) fn body(&self) -> Value {
        if let Some(body) = &self.details.plain {
            return body.clone();
        }
        let root = self.details.root.as_ref().unwrap_or(self).head();
        let mut error = Map::new();
        error.insert("root_cause".to_owned(), json!([root]));
        if let Value::Object(rest) = self.object() {
            error.extend(rest);
        }
        json!({"error": error, "status": self.status})
    }
}
