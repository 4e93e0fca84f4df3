//! One request to one node: what was sent, what came back, and whether it left this process at all.

use std::time::Duration;

use base64::Engine as _;
use liftlock_http::{Guarded, Lost, encode, is_refused};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use reqwest::{Client, Url};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::ClusterError;
use crate::call::Call;
use crate::config::{ClusterConfig, Credentials};

/// Until a connection stands. Five seconds: three lost SYNs.
pub(crate) const CONNECT_MS_DEFAULT: u64 = 5_000;

/// Of a read. The servers' own reads of the cluster state give up after 30 s.
pub(crate) const READ_MS_DEFAULT: u64 = 35_000;

/// Of a change: the servers' own 30 s for the manager and 30 s for the other nodes, and some for the way.
pub(crate) const CHANGE_MS_DEFAULT: u64 = 75_000;

/// Most bytes of an answer that we parse ourselves, decompressed. Settings of 10,000 indices have 30 MB.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Most bytes of an answer that goes to a plugin as it is.
pub(crate) const PLUGIN_BYTES_MAX: usize = 4 << 20;

/// Most characters of a server's text that an error shows.
const TEXT_CHARS_MAX: usize = 600;

const OPAQUE_ID: HeaderName = HeaderName::from_static("x-opaque-id");

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.chars().take(TEXT_CHARS_MAX).collect()
    }

    /// The server's own form of "no": its name for the error, and its text.
    ///
    /// A proxy, a load balancer or another program answers otherwise.
    pub(crate) fn refusal(&self) -> Option<(String, String)> {
        let value = self.json()?;
        let cut = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect::<String>();
        match value.get("error") {
            Some(Value::Object(error)) => {
                let kind = error.get("type")?.as_str()?;
                let mut text = error
                    .get("reason")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned();
                // What a failed start or restore is about stands in the causes.
                let mut cause = error.get("caused_by");
                while let Some(inner) = cause {
                    if let Some(reason) = inner.get("reason").and_then(Value::as_str) {
                        text.push_str(": ");
                        text.push_str(reason);
                    }
                    cause = inner.get("caused_by");
                }
                Some((kind.to_owned(), cut(&text)))
            }
            // `{"error":"alias [x] missing","status":404}`, `{"error":"no handler found ..."}`
            Some(Value::String(text)) => Some(("error".into(), cut(text))),
            // A document that is not there; a template pattern that no template has.
            _ if self.status == 404 => {
                let has = |key| value.get(key).is_some();
                let own = (has("_index") && has("_id"))
                    || has("index_templates")
                    || has("component_templates");
                own.then(|| ("not_found".to_owned(), "nothing has that name".to_owned()))
            }
            _ => None,
        }
    }
}

/// A node's address.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    text: String,
    prefix: String,
    /// What people see.
    pub(crate) shown: String,
}

impl Base {
    pub(crate) fn new(url: &Url) -> Self {
        let shown = url.as_str().trim_end_matches('/').to_owned();
        Self {
            prefix: url.path().trim_end_matches('/').to_owned(),
            text: shown.clone(),
            shown,
        }
    }

    /// Of a node that the cluster itself names. Refused addresses are none of ours.
    pub(crate) fn published(like: &Base, address: &str) -> Option<Self> {
        let scheme = like.text.split("://").next()?;
        // `name/ip:port` where the node publishes a host name.
        let address = address.rsplit('/').next()?;
        let url = Url::parse(&format!("{scheme}://{address}")).ok()?;
        let ip = match url.host_str()?.trim_matches(['[', ']']).parse() {
            Ok(ip) => ip,
            Err(_) => return Some(Self::new(&url)),
        };
        (!is_refused(ip)).then(|| Self::new(&url))
    }
}

/// The two clients: reads keep their connections, each change has one of its own.
pub(crate) struct Http {
    reads: Client,
    changes: Client,
    pub(crate) nodes: Vec<Base>,
    read_ms: u64,
    change_ms: u64,
}

impl Http {
    pub(crate) fn new(
        config: &ClusterConfig,
        credentials: &Credentials,
    ) -> Result<Self, ClusterError> {
        let nodes = config.addresses()?.iter().map(Base::new).collect();
        Ok(Self {
            reads: client(config, credentials, true)?,
            // A connection that was kept may be closed by the server at any moment, and then it cannot be told
            // whether the request arrived. A fresh one either stands or was never made.
            changes: client(config, credentials, false)?,
            nodes,
            read_ms: config.deadlines.read_ms,
            change_ms: config.deadlines.change_ms,
        })
    }

    /// Sends it, once.
    pub(crate) async fn send(&self, base: &Base, call: &Call) -> Result<Answer, Lost> {
        let path = call
            .path()
            .map_err(|error| Lost::NotSent(error.to_string()))?;
        let mut address = format!("{}{}", base.text, path.as_str());
        for (n, (key, value)) in call.query.iter().enumerate() {
            address.push(if n == 0 { '?' } else { '&' });
            address.push_str(&encode(key));
            if !value.is_empty() {
                address.push('=');
                address.push_str(&encode(value));
            }
        }
        let url = Url::parse(&address).map_err(|error| Lost::NotSent(error.to_string()))?;
        if url.path() != format!("{}{}", base.prefix, path.as_str()) {
            return Err(Lost::NotSent(format!("`{}` has no address", path.as_str())));
        }
        let is_change = call.opaque.is_some();
        let client = if is_change {
            &self.changes
        } else {
            &self.reads
        };
        let deadline_ms = call.deadline_ms.unwrap_or(if is_change {
            self.change_ms
        } else {
            self.read_ms
        });
        let mut request = client
            .request(call.method.clone(), url)
            .timeout(Duration::from_millis(deadline_ms));
        if let Some(token) = &call.opaque {
            let value = HeaderValue::from_str(token)
                .map_err(|_| Lost::NotSent("the token is no header value".into()))?;
            request = request.header(OPAQUE_ID, value);
        }
        if call.is_plain {
            request = request.header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if let Some(body) = &call.body {
            request = request
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body.clone());
        }
        let what = |error: &reqwest::Error| {
            let what = format!("{} {} at {}", call.method, path.as_str(), base.shown);
            Lost::of(error, &what, deadline_ms)
        };
        let mut response = request.send().await.map_err(|error| what(&error))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        // Counted after decompression, so that a small answer cannot unfold into a large one.
        while let Some(chunk) = response.chunk().await.map_err(|error| what(&error))? {
            if body.len() + chunk.len() > call.bytes_max {
                return Err(Lost::TooLarge(call.bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
        tracing::debug!(node = %base.shown, method = %call.method, path = path.as_str(), status, "answered");
        Ok(Answer { status, body })
    }
}

fn client(
    config: &ClusterConfig,
    credentials: &Credentials,
    keep: bool,
) -> Result<Client, ClusterError> {
    let wrong = |what: &str| {
        let what = what.to_owned();
        move |source| ClusterError::Client { what, source }
    };
    let mut headers = HeaderMap::new();
    if let Some(value) = authorization(credentials)? {
        headers.insert(AUTHORIZATION, value);
    }
    let mut builder = Client::builder()
        .user_agent(concat!("liftlock/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(Duration::from_millis(config.deadlines.connect_ms))
        .dns_resolver(Guarded)
        .http1_only()
        .no_proxy();
    if !keep {
        builder = builder.pool_max_idle_per_host(0);
    }
    if let Some(proxy) = &config.proxy {
        builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(wrong("the proxy"))?);
    }
    if let Some(file) = &config.ca {
        let pem = read(file)?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(wrong(&format!(
            "the certificate authority `{}`",
            file.display()
        )))?;
        if certificates.is_empty() {
            return Err(ClusterError::Config(format!(
                "`{}` holds no certificate",
                file.display()
            )));
        }
        builder = builder.tls_certs_only(certificates);
    }
    if let Credentials::ClientCertificate { certificate, key } = credentials {
        let mut pem = read(certificate)?;
        pem.push(b'\n');
        pem.extend_from_slice(key.expose_secret().as_bytes());
        let identity =
            reqwest::Identity::from_pem(&pem).map_err(wrong("the client certificate"))?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(wrong("the TLS settings"))
}

fn authorization(credentials: &Credentials) -> Result<Option<HeaderValue>, ClusterError> {
    let text = match credentials {
        Credentials::None | Credentials::ClientCertificate { .. } => return Ok(None),
        Credentials::Basic { username, password } => {
            let pair = format!("{username}:{}", password.expose_secret());
            format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(pair)
            )
        }
        Credentials::ApiKey(key) => format!("ApiKey {}", key.expose_secret()),
        Credentials::Bearer(token) => format!("Bearer {}", token.expose_secret()),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        ClusterError::Config("the secret holds a character that no header takes".into())
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn read(file: &std::path::Path) -> Result<Vec<u8>, ClusterError> {
    std::fs::read(file).map_err(|source| ClusterError::File {
        path: file.display().to_string(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn tells_the_servers_no_from_anyone_elses() {
        for (status, body) in [
            (
                404,
                r#"{"error":{"type":"index_not_found_exception","reason":"no such index [a]"},"status":404}"#,
            ),
            (404, r#"{"error":"alias [x] missing","status":404}"#),
            (404, r#"{"_index":"a","_id":"1","found":false}"#),
            (404, r#"{"component_templates":[]}"#),
            (
                400,
                r#"{"error":"no handler found for uri [/x] and method [GET]"}"#,
            ),
        ] {
            assert!(answer(status, body).refusal().is_some(), "{body}");
        }
        for (status, body) in [
            (404, "<html>not found</html>"),
            (404, "{}"),
            (404, ""),
            (404, r#"{"message":"no route"}"#),
        ] {
            assert!(answer(status, body).refusal().is_none(), "{body}");
        }
    }

    #[test]
    fn shows_the_causes_of_a_refusal() {
        let body = r#"{"error":{"type":"a","reason":"x","caused_by":{"type":"b","reason":"y"}},"status":500}"#;
        assert_eq!(answer(500, body).refusal().unwrap().1, "x: y");
    }

    #[tokio::test]
    async fn a_refused_connection_sent_nothing() {
        // A port that was just given back: nobody listens.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let config = ClusterConfig::of_node(format!("http://127.0.0.1:{port}"));
        let http = Http::new(&config, &Credentials::None).unwrap();
        let lost = http
            .send(&http.nodes[0], &Call::get(["_x"]))
            .await
            .unwrap_err();
        assert!(matches!(lost, Lost::NotSent(_)), "{lost:?}");
    }

    #[tokio::test]
    async fn a_connection_that_closes_after_the_request_is_unanswered() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut byte = [0; 1];
                let _ = stream.readable().await;
                let _ = stream.try_read(&mut byte);
            }
        });
        let config = ClusterConfig::of_node(format!("http://127.0.0.1:{port}"));
        let http = Http::new(&config, &Credentials::None).unwrap();
        let call = Call::delete(["a"]).token("t");
        let lost = http.send(&http.nodes[0], &call).await.unwrap_err();
        assert!(matches!(lost, Lost::Unanswered(_)), "{lost:?}");
    }

    #[tokio::test]
    async fn an_answer_over_its_bound_is_refused() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n")
                .await;
            let _ = stream.write_all(&[b'x'; 2000]).await;
        });
        let config = ClusterConfig::of_node(format!("http://127.0.0.1:{port}"));
        let http = Http::new(&config, &Credentials::None).unwrap();
        let lost = http
            .send(&http.nodes[0], &Call::get(["a"]).bytes_max(1000))
            .await
            .unwrap_err();
        assert_eq!(lost, Lost::TooLarge(1000));
    }
}
