//! One request to the endpoint, sent once over a connection of its own.

use std::time::Duration;

use base64::Engine as _;
use liftlock_http::{ApiPath, Guarded, Lost, encode, trusting_machine};
use liftlock_types::EndpointPath;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use reqwest::{Client, Method, Url};
use secrecy::ExposeSecret as _;

use crate::config::{Credentials, Deadlines, EndpointConfig, EndpointError};

/// Most bytes of an answer, decompressed; what a plugin is given of anything at once.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Longest content type that is shown; the longest in use have a few parameters.
const CONTENT_TYPE_CHARS_MAX: usize = 255;

/// Longest place of a redirect that is shown.
const PLACE_CHARS_MAX: usize = 200;

/// JSON where there is a choice; products serve their texts under the same API.
const WANTED: HeaderValue = HeaderValue::from_static("application/json, */*;q=0.1");

/// A whole answer, whatever its status.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    /// Where a redirect leads, for people; it is never followed.
    pub(crate) place: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Bytes that are no UTF-8 are replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub(crate) struct Http {
    client: Client,
    base: String,
    prefix: String,
    deadlines: Deadlines,
}

impl Http {
    pub(crate) fn new(
        config: &EndpointConfig,
        credentials: &Credentials,
    ) -> Result<Self, EndpointError> {
        let url = config.check()?;
        Ok(Self {
            client: client(config, credentials)?,
            base: url.as_str().trim_end_matches('/').to_owned(),
            prefix: url.path().trim_end_matches('/').to_owned(),
            deadlines: config.deadlines,
        })
    }

    /// Scheme, host, port and path; no secret is in it.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) async fn get(
        &self,
        path: &EndpointPath,
        query: &[(String, String)],
    ) -> Result<Answer, Lost> {
        self.send(Method::GET, path, query, None, self.deadlines.read_ms)
            .await
    }

    pub(crate) async fn change(
        &self,
        method: Method,
        path: &EndpointPath,
        query: &[(String, String)],
        body: Option<&str>,
    ) -> Result<Answer, Lost> {
        self.send(method, path, query, body, self.deadlines.change_ms)
            .await
    }

    async fn send(
        &self,
        method: Method,
        path: &EndpointPath,
        query: &[(String, String)],
        body: Option<&str>,
        deadline_ms: u64,
    ) -> Result<Answer, Lost> {
        let not_sent = |why: String| Lost::NotSent(why);
        let parts: Vec<&str> = path.parts().collect();
        let encoded = ApiPath::new(&parts).map_err(|error| not_sent(error.to_string()))?;
        let mut address = format!("{}{}", self.base, encoded.as_str());
        for (n, (key, value)) in query.iter().enumerate() {
            address.push(if n == 0 { '?' } else { '&' });
            address.push_str(&format!("{}={}", encode(key), encode(value)));
        }
        let url = Url::parse(&address).map_err(|error| not_sent(error.to_string()))?;
        if url.path() != format!("{}{}", self.prefix, encoded.as_str()) {
            return Err(not_sent(format!("`{path}` has no address")));
        }
        let what = format!("{method} {path} at {}", self.base);
        let mut request = self
            .client
            .request(method, url)
            .header(ACCEPT, WANTED)
            .timeout(Duration::from_millis(deadline_ms));
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body.to_owned());
        }
        let lost = |error: &reqwest::Error| Lost::of(error, &what, deadline_ms);
        let mut response = request.send().await.map_err(|error| lost(&error))?;
        let shown = |name: HeaderName, most| {
            let value = response.headers().get(name)?;
            let text = String::from_utf8_lossy(value.as_bytes());
            Some(text.chars().take(most).collect::<String>())
        };
        let mut answer = Answer {
            status: response.status().as_u16(),
            content_type: shown(CONTENT_TYPE, CONTENT_TYPE_CHARS_MAX).unwrap_or_default(),
            place: shown(LOCATION, PLACE_CHARS_MAX),
            body: Vec::new(),
        };
        // Counted after decompression, so that a small answer cannot unfold into a large one.
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
            if answer.body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Lost::TooLarge(ANSWER_BYTES_MAX));
            }
            answer.body.extend_from_slice(&chunk);
        }
        tracing::debug!(%what, status = answer.status, "answered");
        Ok(answer)
    }
}

fn client(config: &EndpointConfig, credentials: &Credentials) -> Result<Client, EndpointError> {
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = header(credentials)? {
        headers.insert(name, value);
    }
    let mut builder = Client::builder()
        .user_agent(concat!("liftlock/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        // Where an answer leads is no longer what the scope was tested with, and the secret would go there too.
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(Duration::from_millis(config.deadlines.connect_ms))
        .http1_only()
        .no_proxy()
        // A connection that was kept may be closed at any moment: nodes of this API are stopped and started.
        .pool_max_idle_per_host(0);
    if !config.link_local {
        builder = builder.dns_resolver(Guarded);
    }
    let wrong = |what: &str| {
        let what = what.to_owned();
        move |source| EndpointError::Client { what, source }
    };
    let Some(file) = &config.ca else {
        return trusting_machine(builder)
            .build()
            .map_err(wrong("the TLS settings"));
    };
    let shown = file.display().to_string();
    let pem = std::fs::read(file).map_err(|source| EndpointError::File {
        path: shown.clone(),
        source,
    })?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem)
        .map_err(wrong(&format!("the certificate authority `{shown}`")))?;
    if certificates.is_empty() {
        return Err(EndpointError::Config {
            key: "ca",
            why: format!("`{shown}` holds no certificate"),
        });
    }
    builder
        .tls_certs_only(certificates)
        .build()
        .map_err(wrong("the TLS settings"))
}

/// The one place where the secret is exposed: on its way to the header that the operator chose.
fn header(credentials: &Credentials) -> Result<Option<(HeaderName, HeaderValue)>, EndpointError> {
    let bad = |why: &str| EndpointError::Config {
        key: "auth",
        why: why.to_owned(),
    };
    let (name, text) = match credentials {
        Credentials::None => return Ok(None),
        Credentials::Basic { username, password } => {
            let pair = format!("{username}:{}", password.expose_secret());
            let pair = base64::engine::general_purpose::STANDARD.encode(pair);
            (AUTHORIZATION, format!("Basic {pair}"))
        }
        Credentials::Bearer(token) => (AUTHORIZATION, format!("Bearer {}", token.expose_secret())),
        Credentials::Header { name, value } => (
            HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| bad("the header's name is none"))?,
            value.expose_secret().to_owned(),
        ),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| bad("the secret holds a character that no header takes"))?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}
