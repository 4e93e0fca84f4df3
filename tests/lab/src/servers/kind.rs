//! Which servers the lab can start.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::error::LabError;

/// Which server, in which version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerKind {
    /// OpenSearch 2.19.1, as the runner starts it.
    #[serde(rename = "opensearch-2")]
    OpenSearch2,
    /// OpenSearch 3.3.2, as the runner starts it.
    #[serde(rename = "opensearch-3")]
    OpenSearch3,
    /// Elasticsearch 8.19.13 without security.
    #[serde(rename = "elasticsearch-8")]
    Elasticsearch8,
    /// Elasticsearch 8.19.13 with security, and TLS from a certificate authority of its own.
    #[serde(rename = "elasticsearch-8-secured")]
    Elasticsearch8Secured,
    /// OpenSearch 1.3.13, as the runner starts it.
    #[serde(rename = "opensearch-1")]
    OpenSearch1,
    /// OpenSearch 2.11.0, as the runner starts it: older than what new lines of products want.
    #[serde(rename = "opensearch-2.11")]
    OpenSearch211,
    /// Elasticsearch 7.10.2, the last under the Apache licence, as the runner starts it.
    #[serde(rename = "elasticsearch-7.10")]
    Elasticsearch710,
    /// Elasticsearch 7.17.15 without security.
    #[serde(rename = "elasticsearch-7")]
    Elasticsearch7,
    /// Elasticsearch 9.4.3 without security. Needs a JDK of 21 or later.
    #[serde(rename = "elasticsearch-9")]
    Elasticsearch9,
}

/// Modules that tests rest on, by the part of their name that all versions share. The runner's
/// servers name their classes, the others their folders.
const NEEDED_OF_RUNNER: [&str; 4] = ["Reindex", "Painless", "CommonAnalysis", "IngestCommon"];
const NEEDED_ELASTICSEARCH: [&str; 4] = [
    "reindex",
    "lang-painless",
    "analysis-common",
    "ingest-common",
];
/// No archive on Maven Central has the processors of 7.17.
const NEEDED_ELASTICSEARCH_7: [&str; 3] = ["reindex", "lang-painless", "analysis-common"];

impl ServerKind {
    /// Those that a product is proved on, the one that most tests need first.
    pub const ALL: [Self; 4] = [
        Self::OpenSearch2,
        Self::OpenSearch3,
        Self::Elasticsearch8,
        Self::Elasticsearch8Secured,
    ];

    /// Those that an upgrade of the cluster itself begins at or ends with, beside [`ServerKind::ALL`].
    pub const NEIGHBOURS: [Self; 5] = [
        Self::OpenSearch1,
        Self::OpenSearch211,
        Self::Elasticsearch710,
        Self::Elasticsearch7,
        Self::Elasticsearch9,
    ];

    /// Every kind there is.
    pub fn every() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain(Self::NEIGHBOURS)
    }

    /// The name used on a command line and in state files.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenSearch1 => "opensearch-1",
            Self::OpenSearch211 => "opensearch-2.11",
            Self::OpenSearch2 => "opensearch-2",
            Self::OpenSearch3 => "opensearch-3",
            Self::Elasticsearch710 => "elasticsearch-7.10",
            Self::Elasticsearch7 => "elasticsearch-7",
            Self::Elasticsearch8 => "elasticsearch-8",
            Self::Elasticsearch8Secured => "elasticsearch-8-secured",
            Self::Elasticsearch9 => "elasticsearch-9",
        }
    }

    /// The version that `GET /` must say.
    pub fn version(self) -> &'static str {
        match self {
            Self::OpenSearch1 => "1.3.13",
            Self::OpenSearch211 => "2.11.0",
            Self::OpenSearch2 => "2.19.1",
            Self::OpenSearch3 => "3.3.2",
            Self::Elasticsearch710 => "7.10.2",
            Self::Elasticsearch7 => "7.17.15",
            Self::Elasticsearch8 | Self::Elasticsearch8Secured => "8.19.13",
            Self::Elasticsearch9 => "9.4.3",
        }
    }

    /// The product with its version, as people say it: `OpenSearch 2.19.1`.
    pub fn product(self) -> String {
        let family = if self.is_opensearch() {
            "OpenSearch"
        } else {
            "Elasticsearch"
        };
        format!("{family} {}", self.version())
    }

    /// Whether it is a server of the OpenSearch line.
    pub fn is_opensearch(self) -> bool {
        matches!(
            self,
            Self::OpenSearch1 | Self::OpenSearch211 | Self::OpenSearch2 | Self::OpenSearch3
        )
    }

    /// Whether it asks for credentials and speaks TLS.
    pub fn is_secured(self) -> bool {
        self == Self::Elasticsearch8Secured
    }

    /// The modules without which it is of no use here.
    pub(super) fn needed_modules(self) -> &'static [&'static str] {
        match self {
            Self::OpenSearch1
            | Self::OpenSearch211
            | Self::OpenSearch2
            | Self::OpenSearch3
            | Self::Elasticsearch710 => &NEEDED_OF_RUNNER,
            Self::Elasticsearch7 => &NEEDED_ELASTICSEARCH_7,
            Self::Elasticsearch8 | Self::Elasticsearch8Secured | Self::Elasticsearch9 => {
                &NEEDED_ELASTICSEARCH
            }
        }
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ServerKind {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        Self::every()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| {
                let names: Vec<&str> = Self::every().map(Self::name).collect();
                LabError::malformed(
                    format!("server `{text}`"),
                    format!("expected one of `{}`", names.join("`, `")),
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_every_kind_by_its_name() {
        for kind in ServerKind::every() {
            assert_eq!(kind.name().parse::<ServerKind>().unwrap(), kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        let error = "opensearch".parse::<ServerKind>().unwrap_err().to_string();
        assert!(error.contains("`elasticsearch-9`"), "{error}");
    }

    #[test]
    fn counts_no_kind_twice() {
        let all: std::collections::BTreeSet<ServerKind> = ServerKind::every().collect();
        assert_eq!(all.len(), ServerKind::every().count());
    }
}
