//! What the operator says of an endpoint, and the secrets that go with it.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use liftlock_types::SecretRef;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderName};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// Until a connection stands. Five seconds: three lost SYNs.
const CONNECT_MS_DEFAULT: u64 = 5_000;

/// Of a read. A product that answers its own questions later than after half a minute answers nobody in time.
const READ_MS_DEFAULT: u64 = 30_000;

/// Of a change. As long again, since it may wait for a database.
const CHANGE_MS_DEFAULT: u64 = 60_000;

/// Longest deadline: a change is answered within two minutes.
const DEADLINE_MS_MAX: u64 = 110_000;

/// Headers that say what is asked or of whom, and so are no place for a secret.
const HEADERS_REFUSED: [&str; 8] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "accept",
    "upgrade",
    "te",
];

/// `[endpoint.engine]`: one API of one product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EndpointConfig {
    /// `http://127.0.0.1:8080/engine-rest`: every path that is asked lies beneath.
    pub url: String,
    /// How we show who we are.
    #[serde(default, skip_serializing_if = "Auth::is_none")]
    pub auth: Auth,
    /// Certificate authorities in PEM. With it no other authority is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// It may stand at a link-local address, where machines of a provider answer for their credentials.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub link_local: bool,
    /// How long we wait.
    #[serde(default)]
    pub deadlines: Deadlines,
}

/// How long a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Deadlines {
    /// Until a connection stands, TLS included.
    pub connect_ms: u64,
    /// Of a read, from its first byte to the last of the answer.
    pub read_ms: u64,
    /// Of a change.
    pub change_ms: u64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect_ms: CONNECT_MS_DEFAULT,
            read_ms: READ_MS_DEFAULT,
            change_ms: CHANGE_MS_DEFAULT,
        }
    }
}

/// How we show who we are; secrets stand as references.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// User and password.
    Basic {
        /// The user.
        username: String,
        /// Where the password is.
        password: SecretRef,
    },
    /// Where the token is.
    Bearer(SecretRef),
    /// A header of the product's own.
    Header {
        /// Its name.
        name: String,
        /// Where its value is.
        value: SecretRef,
    },
}

impl Auth {
    fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// The secret that has to be resolved for it.
    pub fn secret(&self) -> Option<&SecretRef> {
        match self {
            Self::None => None,
            Self::Basic { password: it, .. }
            | Self::Bearer(it)
            | Self::Header { value: it, .. } => Some(it),
        }
    }

    /// With its secret in place. Without one it is [`Credentials::None`].
    pub fn with(&self, secret: Option<SecretString>) -> Credentials {
        match (self, secret) {
            (Self::None, _) | (_, None) => Credentials::None,
            (Self::Basic { username, .. }, Some(password)) => Credentials::Basic {
                username: username.clone(),
                password,
            },
            (Self::Bearer(_), Some(token)) => Credentials::Bearer(token),
            (Self::Header { name, .. }, Some(value)) => Credentials::Header {
                name: name.clone(),
                value,
            },
        }
    }
}

/// Resolved secrets. Never printed.
#[derive(Clone, Default)]
pub enum Credentials {
    /// None.
    #[default]
    None,
    /// User and password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// `Authorization: Bearer`.
    Bearer(SecretString),
    /// A header of the product's own.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: SecretString,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Basic { .. } => "basic(..)",
            Self::Bearer(_) => "bearer(..)",
            Self::Header { .. } => "header(..)",
        })
    }
}

impl EndpointConfig {
    /// One address, no credentials.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            auth: Auth::None,
            ca: None,
            link_local: false,
            deadlines: Deadlines::default(),
        }
    }

    /// The address, parsed, and everything else looked at that the parser does not see.
    pub(crate) fn check(&self) -> Result<Url, EndpointError> {
        let bad = |key, why: &str| {
            Err(EndpointError::Config {
                key,
                why: why.to_owned(),
            })
        };
        let url = match Url::parse(&self.url) {
            Ok(url) => url,
            Err(error) => return bad("url", &format!("it is no address: {error}")),
        };
        if !matches!(url.scheme(), "http" | "https") {
            return bad("url", "it begins with neither `http://` nor `https://`");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return bad("url", "it holds a user: use `auth`");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return bad("url", "it holds a query: parameters belong to a request");
        }
        let Some(host) = url.host_str() else {
            return bad("url", "it has no host");
        };
        let number: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        if !self.link_local && number.is_some_and(liftlock_http::is_refused) {
            return bad(
                "url",
                "it is a link-local or metadata address: say `link-local = true` if it is meant",
            );
        }
        if let Auth::Header { name, .. } = &self.auth {
            let known = HeaderName::from_bytes(name.as_bytes());
            match known {
                Ok(name) if name == AUTHORIZATION => {
                    return bad("auth", "that header is `basic` or `bearer`");
                }
                Ok(name) if !HEADERS_REFUSED.contains(&name.as_str()) => {}
                _ => return bad("auth", "the header's name is none, or is not free"),
            }
        }
        let Deadlines {
            connect_ms,
            read_ms,
            change_ms,
        } = self.deadlines;
        for deadline_ms in [connect_ms, read_ms, change_ms] {
            if !(1..=DEADLINE_MS_MAX).contains(&deadline_ms) {
                return bad(
                    "deadlines",
                    &format!("each is 1 to {DEADLINE_MS_MAX} milliseconds"),
                );
            }
        }
        Ok(url)
    }
}

/// An endpoint that cannot be used as the operator wrote it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// A value cannot be.
    #[error("`{key}`: {why}")]
    Config {
        /// Which key.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A file that it names cannot be read.
    #[error("cannot read `{path}`")]
    File {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The certificate authority is not usable.
    #[error("cannot use {what}")]
    Client {
        /// What.
        what: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> EndpointConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn reads_what_the_operator_writes() {
        let it = config(
            "url = \"https://a:8080/engine-rest\"\nauth = { basic = { username = \"u\", password = { env = \"X\" } } }\n\
             ca = \"ca.pem\"\ndeadlines = { read-ms = 1000 }",
        );
        assert_eq!(it.auth.secret(), Some(&SecretRef::Env("X".into())));
        assert_eq!(
            (it.deadlines.read_ms, it.deadlines.connect_ms),
            (1_000, CONNECT_MS_DEFAULT)
        );
        it.check().unwrap();
        let header = "url = \"http://a\"\nauth = { header = { name = \"X-Api-Key\", value = { env = \"X\" } } }";
        config(header).check().unwrap();
        assert!(toml::from_str::<EndpointConfig>("url = \"http://a\"\nproxy = \"x\"").is_err());
    }

    #[test]
    fn refuses_what_cannot_be_meant() {
        for (text, key) in [
            ("url = \"a:8080\"", "url"),
            ("url = \"ftp://a\"", "url"),
            ("url = \"http://u:canary@a\"", "url"),
            ("url = \"http://a/?x=canary\"", "url"),
            ("url = \"http://a/#x\"", "url"),
            ("url = \"http://169.254.169.254/latest\"", "url"),
            ("url = \"http://[fe80::1]/\"", "url"),
            ("url = \"http://[::ffff:169.254.1.1]/\"", "url"),
            (
                "url = \"http://a\"\nauth = { header = { name = \"Host\", value = { env = \"X\" } } }",
                "auth",
            ),
            (
                "url = \"http://a\"\nauth = { header = { name = \"Authorization\", value = { env = \"X\" } } }",
                "auth",
            ),
            (
                "url = \"http://a\"\nauth = { header = { name = \"a b\", value = { env = \"X\" } } }",
                "auth",
            ),
            (
                "url = \"http://a\"\ndeadlines = { change-ms = 110001 }",
                "deadlines",
            ),
            (
                "url = \"http://a\"\ndeadlines = { read-ms = 0 }",
                "deadlines",
            ),
        ] {
            let error = config(text).check().unwrap_err();
            assert!(
                matches!(&error, EndpointError::Config { key: found, .. } if *found == key),
                "{text}: {error}"
            );
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        let granted = "url = \"http://169.254.1.1/\"\nlink-local = true";
        config(granted).check().unwrap();
    }

    #[test]
    fn never_prints_a_secret() {
        for credentials in [
            Credentials::Basic {
                username: "u".into(),
                password: SecretString::from("canary"),
            },
            Credentials::Bearer(SecretString::from("canary")),
            Credentials::Header {
                name: "x".into(),
                value: SecretString::from("canary"),
            },
        ] {
            assert!(!format!("{credentials:?}").contains("canary"));
        }
    }
}
