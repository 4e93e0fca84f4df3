//! One search server as seen by a client.

use std::fmt;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::error::LabError;

/// Longest wait for one answer. A bulk load or an index creation takes well under 10 s on a busy
/// machine of two cores; a minute means that something is wrong.
const ANSWER_SECONDS_MAX: u64 = 60;

/// Bytes of an error answer that are shown. Enough for type and reason.
const ERROR_BODY_BYTES_MAX: usize = 2000;

/// A text that does not show in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; whoever asks sees to it that it is not printed.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[derive(Clone, Debug)]
enum Auth {
    None,
    Basic { user: String, password: Secret },
    ApiKey(Secret),
    Bearer(Secret),
}

/// Base URL, credentials and certificate authority of one server, with a client for them.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    base_url: String,
    auth: Auth,
    client: reqwest::Client,
}

impl HttpTarget {
    /// A server without credentials; `base_url` is `http://127.0.0.1:PORT`.
    pub fn new(base_url: impl Into<String>) -> Result<Self, LabError> {
        Self::with_ca(base_url, None)
    }

    /// The same, trusting only the given certificate authority (PEM) when there is one.
    pub fn with_ca(base_url: impl Into<String>, ca_pem: Option<&str>) -> Result<Self, LabError> {
        let base_url = base_url.into().trim_end_matches('/').to_owned();
        let failed = |source| LabError::NoAnswer {
            request: "set up the client".into(),
            source,
        };
        let mut builder = reqwest::Client::builder()
            // An environment with a proxy must not see loopback traffic.
            .no_proxy()
            .no_gzip()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(ANSWER_SECONDS_MAX));
        if let Some(pem) = ca_pem {
            let ca = reqwest::Certificate::from_pem(pem.as_bytes()).map_err(failed)?;
            builder = builder.tls_certs_only([ca]);
        }
        Ok(Self {
            base_url,
            auth: Auth::None,
            client: builder.build().map_err(failed)?,
        })
    }

    /// Sends basic credentials from now on.
    #[must_use]
    pub fn basic(mut self, user: impl Into<String>, password: Secret) -> Self {
        self.auth = Auth::Basic {
            user: user.into(),
            password,
        };
        self
    }

    /// Sends an Elasticsearch API key (in its encoded form) from now on.
    #[must_use]
    pub fn api_key(mut self, encoded: Secret) -> Self {
        self.auth = Auth::ApiKey(encoded);
        self
    }

    /// Sends a bearer token from now on.
    #[must_use]
    pub fn bearer(mut self, token: Secret) -> Self {
        self.auth = Auth::Bearer(token);
        self
    }

    /// The base URL, without a slash at its end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// One request with the client and its certificate authority, without our credentials.
    pub(crate) fn bare_request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.base_url))
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.bare_request(method, path);
        match &self.auth {
            Auth::None => request,
            Auth::Basic { user, password } => request.basic_auth(user, Some(password.reveal())),
            Auth::Bearer(token) => request.bearer_auth(token.reveal()),
            Auth::ApiKey(key) => {
                request.header("Authorization", format!("ApiKey {}", key.reveal()))
            }
        }
    }

    /// Status and body of one request, whatever the status is.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), LabError> {
        let mut request = self.request(method.clone(), path);
        if let Some(body) = body {
            request = request
                .header("Content-Type", "application/json")
                .body(body.to_string());
        }
        receive(method, path, request).await
    }

    /// Sends lines of JSON, as `_bulk` wants them; an item that failed is an error.
    pub async fn bulk(&self, path: &str, lines: String) -> Result<(), LabError> {
        let request = self
            .request(Method::POST, path)
            .header("Content-Type", "application/x-ndjson")
            .body(lines);
        let (status, answer) = receive(Method::POST, path, request).await?;
        if status == 200 && answer["errors"] == Value::Bool(false) {
            return Ok(());
        }
        let first = answer["items"].as_array().and_then(|items| {
            items.iter().find(|item| {
                item.as_object()
                    .and_then(|o| o.values().next())
                    .is_some_and(|result| result.get("error").is_some())
            })
        });
        Err(refused(
            Method::POST,
            path,
            status,
            first.unwrap_or(&answer),
        ))
    }

    /// One request whose answer must be 2xx.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, LabError> {
        let (status, answer) = self.send(method.clone(), path, body).await?;
        if (200..300).contains(&status) {
            Ok(answer)
        } else {
            Err(refused(method, path, status, &answer))
        }
    }

    /// `GET` whose answer must be 2xx.
    pub async fn get(&self, path: &str) -> Result<Value, LabError> {
        self.ask(Method::GET, path, None).await
    }

    /// `PUT` whose answer must be 2xx.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, LabError> {
        self.ask(Method::PUT, path, Some(body)).await
    }

    /// `POST` whose answer must be 2xx.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, LabError> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// `DELETE` whose answer must be 2xx.
    pub async fn delete(&self, path: &str) -> Result<Value, LabError> {
        self.ask(Method::DELETE, path, None).await
    }
}

async fn receive(
    method: Method,
    path: &str,
    request: reqwest::RequestBuilder,
) -> Result<(u16, Value), LabError> {
    let lost = |source| LabError::NoAnswer {
        request: format!("{method} {path}"),
        source,
    };
    let response = request.send().await.map_err(lost)?;
    let status = response.status().as_u16();
    let text = response.text().await.map_err(lost)?;
    // An empty answer (HEAD) and plain text (some 4xx) are kept as they are.
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok((status, body))
}

fn refused(method: Method, path: &str, status: u16, answer: &Value) -> LabError {
    let mut body = match answer {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if body.len() > ERROR_BODY_BYTES_MAX {
        let cut = (0..=ERROR_BODY_BYTES_MAX)
            .rev()
            .find(|at| body.is_char_boundary(*at));
        body.truncate(cut.unwrap_or(0));
    }
    LabError::Refused {
        request: format!("{method} {path}"),
        status,
        body,
    }
}
