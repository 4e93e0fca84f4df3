//! What the operator writes in `site.toml`, and what can be wrong with it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::redact::{KEYS_DEFAULT, RedactError};

/// `[disk.config]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DiskConfig {
    /// The directory.
    pub path: PathBuf,
    /// Patterns; what matches one is replaced before a plugin or a log sees the text.
    #[serde(default)]
    pub redact: Vec<String>,
    /// Parts of keys whose values are replaced likewise. Default: [`KEYS_DEFAULT`].
    #[serde(default = "keys_default")]
    pub redact_keys: Vec<String>,
    /// Nothing is changed there, whatever a grant says.
    #[serde(default)]
    pub read_only: bool,
}

fn keys_default() -> Vec<String> {
    KEYS_DEFAULT.iter().map(ToString::to_string).collect()
}

impl DiskConfig {
    /// This directory, everything else as it is by default.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            redact: Vec::new(),
            redact_keys: keys_default(),
            read_only: false,
        }
    }
}

/// A directory that cannot be opened as the operator wrote it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The directory is not there, is none, or is closed to us.
    #[error("cannot open the directory `{}`", .path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The place for kept copies cannot be made.
    #[error("cannot open the place for kept copies, `{}`", .path.display())]
    Kept {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A pattern or a key cannot be used.
    #[error("cannot use the redaction of `{binding}`")]
    Redact {
        /// Whose.
        binding: String,
        /// Why.
        #[source]
        source: RedactError,
    },
    /// The name is our own.
    #[error("the binding `{0}` is reserved for the copies that the host keeps")]
    Reserved(String),
}
