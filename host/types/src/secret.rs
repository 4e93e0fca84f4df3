//! Where a secret comes from. The secret itself never stands in a plan, journal, log or error.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A reference that `site.toml` holds in a secret's place: `{ env = "ES_PASSWORD" }`.
///
/// Resolved by the command line when a target is opened, and never before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file; one trailing line break is dropped.
    File(PathBuf),
    /// A command's first line on stdout; an argument vector, never a shell.
    Command(Vec<String>),
}
