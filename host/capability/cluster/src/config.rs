//! What the operator says of a cluster, and the secrets that go with it.

use std::fmt;
use std::path::PathBuf;

use liftlock_types::SecretRef;
use reqwest::Url;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::ClusterError;

/// Most nodes of one site entry: the largest rings seen list their managers only, three to seven.
pub const NODES_MAX: usize = 64;

/// One cluster of `site.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClusterConfig {
    /// `http://host:9200`; several are tried in order for reads.
    pub nodes: Vec<String>,
    /// How we show who we are.
    #[serde(default, skip_serializing_if = "Auth::is_none")]
    pub auth: Auth,
    /// Certificate authorities in PEM. With it no other authority is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// A proxy on the way. Without it none is used, whatever the environment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
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
            connect_ms: crate::http::CONNECT_MS_DEFAULT,
            read_ms: crate::http::READ_MS_DEFAULT,
            change_ms: crate::http::CHANGE_MS_DEFAULT,
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
    /// Where the key is, in the encoded form of `Authorization: ApiKey`.
    ApiKey(SecretRef),
    /// Where the token is.
    Bearer(SecretRef),
    /// A certificate of our own.
    ClientCertificate {
        /// PEM file.
        certificate: PathBuf,
        /// Where the key is, in PEM.
        key: SecretRef,
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
            | Self::ApiKey(it)
            | Self::Bearer(it)
            | Self::ClientCertificate { key: it, .. } => Some(it),
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
            (Self::ApiKey(_), Some(key)) => Credentials::ApiKey(key),
            (Self::Bearer(_), Some(token)) => Credentials::Bearer(token),
            (Self::ClientCertificate { certificate, .. }, Some(key)) => {
                Credentials::ClientCertificate {
                    certificate: certificate.clone(),
                    key,
                }
            }
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
    /// `Authorization: ApiKey`.
    ApiKey(SecretString),
    /// `Authorization: Bearer`.
    Bearer(SecretString),
    /// A certificate of our own.
    ClientCertificate {
        /// PEM file.
        certificate: PathBuf,
        /// The key in PEM.
        key: SecretString,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Basic { .. } => "basic(..)",
            Self::ApiKey(_) => "api-key(..)",
            Self::Bearer(_) => "bearer(..)",
            Self::ClientCertificate { .. } => "client-certificate(..)",
        })
    }
}

impl ClusterConfig {
    /// One node, no credentials.
    pub fn of_node(address: impl Into<String>) -> Self {
        Self {
            nodes: vec![address.into()],
            auth: Auth::None,
            ca: None,
            proxy: None,
            deadlines: Deadlines::default(),
        }
    }

    /// The addresses, parsed. Refuses what is no plain `http` or `https` base.
    pub(crate) fn addresses(&self) -> Result<Vec<Url>, ClusterError> {
        if self.nodes.is_empty() || self.nodes.len() > NODES_MAX {
            return Err(ClusterError::Config(format!(
                "`nodes` has {} entries, 1 to {NODES_MAX} are taken",
                self.nodes.len()
            )));
        }
        self.nodes.iter().map(|text| address(text)).collect()
    }
}

fn address(text: &str) -> Result<Url, ClusterError> {
    let wrong = |why: &str| {
        // The text may hold a password, so it is not shown where it has one.
        let shown = if text.contains('@') { "..." } else { text };
        ClusterError::Config(format!("node `{}` {why}", shown.escape_debug()))
    };
    let url = Url::parse(text).map_err(|error| wrong(&format!("is no address: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("begins with neither `http://` nor `https://`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a user: use `auth`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("holds a query"));
    }
    if url.host_str().is_none() {
        return Err(wrong("has no host"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_operator_writes() {
        let config: ClusterConfig = serde_json::from_value(serde_json::json!({
            "nodes": ["https://a:9200"],
            "auth": {"basic": {"username": "u", "password": {"env": "X"}}},
            "ca": "ca.pem",
            "deadlines": {"read-ms": 1000},
        }))
        .unwrap();
        assert_eq!(config.auth.secret(), Some(&SecretRef::Env("X".into())));
        assert_eq!(config.deadlines.read_ms, 1000);
        assert_eq!(config.deadlines.connect_ms, crate::http::CONNECT_MS_DEFAULT);
        assert!(
            serde_json::from_value::<ClusterConfig>(
                serde_json::json!({"nodes": ["http://a"], "node": 1})
            )
            .is_err()
        );
    }

    #[test]
    fn refuses_an_address_that_is_no_base() {
        for bad in [
            "a:9200",
            "ftp://a",
            "http://u:p@a",
            "http://a/?x=1",
            "http://",
        ] {
            let error = ClusterConfig::of_node(bad).addresses().unwrap_err();
            assert!(!error.to_string().contains("u:p"), "{error}");
        }
        assert!(
            ClusterConfig::of_node("http://a:9200/es")
                .addresses()
                .is_ok()
        );
    }

    #[test]
    fn never_prints_a_secret() {
        let credentials = Credentials::Basic {
            username: "u".into(),
            password: SecretString::from("canary"),
        };
        assert!(!format!("{credentials:?}").contains("canary"));
    }
}
