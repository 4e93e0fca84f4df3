//! One request, before it has a node.

use liftlock_http::{ApiPath, PathError};
use reqwest::Method;
use serde_json::Value;

use crate::http::ANSWER_BYTES_MAX;

/// One request: method, path in parts, query, body.
///
/// With a token it is a change: sent once, to one node, over a connection of its own. Without one it is a read,
/// and another node is asked where one does not answer.
#[derive(Debug, Clone)]
pub struct Call {
    pub(crate) method: Method,
    parts: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Option<String>,
    pub(crate) opaque: Option<String>,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) bytes_max: usize,
    pub(crate) once: bool,
    pub(crate) is_plain: bool,
    pub(crate) empty_is_none: bool,
}

impl Call {
    fn new<I: IntoIterator<Item = S>, S: Into<String>>(method: Method, parts: I) -> Self {
        Self {
            method,
            parts: parts.into_iter().map(Into::into).collect(),
            query: Vec::new(),
            body: None,
            opaque: None,
            deadline_ms: None,
            bytes_max: ANSWER_BYTES_MAX,
            once: false,
            is_plain: false,
            empty_is_none: false,
        }
    }

    /// GET. Each part is a name as it is.
    pub fn get<I: IntoIterator<Item = S>, S: Into<String>>(parts: I) -> Self {
        Self::new(Method::GET, parts)
    }

    /// POST.
    pub fn post<I: IntoIterator<Item = S>, S: Into<String>>(parts: I) -> Self {
        Self::new(Method::POST, parts)
    }

    /// PUT.
    pub fn put<I: IntoIterator<Item = S>, S: Into<String>>(parts: I) -> Self {
        Self::new(Method::PUT, parts)
    }

    /// DELETE.
    pub fn delete<I: IntoIterator<Item = S>, S: Into<String>>(parts: I) -> Self {
        Self::new(Method::DELETE, parts)
    }

    /// A query parameter.
    #[must_use]
    pub fn param(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.query.push((key.into(), value.to_string()));
        self
    }

    /// The body of our own making.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.text(body.to_string())
    }

    /// The body as it is.
    #[must_use]
    pub fn text(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Makes it a change with this token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.opaque = Some(token.into());
        self
    }

    /// Another deadline than the configured one.
    #[must_use]
    pub fn deadline_ms(mut self, deadline_ms: u64) -> Self {
        self.deadline_ms = Some(deadline_ms);
        self
    }

    /// Another bound of the answer.
    #[must_use]
    pub fn bytes_max(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// A read that no second node may be asked, because the first may have answered already.
    #[must_use]
    pub(crate) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// The answer is asked for as it is. A server that compresses pages of documents takes longer for it than a local
    /// network takes for the bytes.
    #[must_use]
    pub(crate) fn plain(mut self) -> Self {
        self.is_plain = true;
        self
    }

    /// An API that says "there is none" with status 404 and an empty object (pipelines do).
    #[must_use]
    pub(crate) fn empty_is_none(mut self) -> Self {
        self.empty_is_none = true;
        self
    }

    /// A change of the cluster state waits for the manager and the other nodes as long as the server itself does.
    #[must_use]
    pub(crate) fn patient(self) -> Self {
        self.param("master_timeout", "30s").param("timeout", "30s")
    }

    pub(crate) fn path(&self) -> Result<ApiPath, PathError> {
        ApiPath::new(&self.parts)
    }
}
