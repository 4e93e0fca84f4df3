//! Refusals in the servers' own shape.

use serde_json::{Map, Value, json};

/// An answer that is not a success, as both products print it.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    kind: String,
    reason: String,
    extra: Map<String, Value>,
    caused_by: Option<Value>,
    plain: Option<Value>,
    root: Option<Box<ApiError>>,
}

impl ApiError {
    pub(crate) fn new(status: u16, kind: &str, reason: impl Into<String>) -> Self {
        Self {
            status,
            kind: kind.to_owned(),
            reason: reason.into(),
            extra: Map::new(),
            caused_by: None,
            plain: None,
            root: None,
        }
    }

    /// An answer whose `error` is one string, or a whole body of its own.
    pub(crate) fn plain(status: u16, body: Value) -> Self {
        Self {
            plain: Some(body),
            ..Self::new(status, "", "")
        }
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
        self.extra.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn caused(mut self, kind: &str, reason: impl Into<String>) -> Self {
        self.caused_by = Some(json!({"type": kind, "reason": reason.into()}));
        self
    }

    /// Wraps another error whole as the cause.
    pub(crate) fn caused_by(mut self, cause: &ApiError) -> Self {
        self.caused_by = Some(cause.object());
        self
    }

    /// Names another error as the root cause, as the servers do when they wrap one.
    pub(crate) fn rooted(mut self, root: ApiError) -> Self {
        self.root = Some(Box::new(root));
        self
    }

    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// The inner object: type, reason, extras, cause.
    pub(crate) fn object(&self) -> Value {
        let mut map = self.head();
        if let Some(cause) = &self.caused_by {
            map.insert("caused_by".to_owned(), cause.clone());
        }
        Value::Object(map)
    }

    fn head(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("type".to_owned(), json!(self.kind));
        map.insert("reason".to_owned(), json!(self.reason));
        for (key, value) in &self.extra {
            map.insert(key.clone(), value.clone());
        }
        map
    }

    pub(crate) fn body(&self) -> Value {
        if let Some(body) = &self.plain {
            return body.clone();
        }
        let root = self.root.as_deref().unwrap_or(self).head();
        let mut error = Map::new();
        error.insert("root_cause".to_owned(), json!([root]));
        if let Value::Object(rest) = self.object() {
            error.extend(rest);
        }
        json!({"error": error, "status": self.status})
    }
}
