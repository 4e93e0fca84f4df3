//! What `site.toml` says of a repository.

use liftlock_types::Binding;
use serde::{Deserialize, Serialize};

/// `[snapshot.NAME]` of `site.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SnapshotConfig {
    /// The cluster it belongs to: `cluster.database`.
    pub cluster: Binding,
    /// Its name in that cluster.
    pub repository: String,
}
