//! The copier that people use for what is beyond the server's own: npm's `elasticdump`, a peer of the bench.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cache::{self, Entry};
use crate::error::LabError;
use crate::npm::{self, Node};

/// What it is installed from.
const SOURCES: [(&str, &str); 2] = [
    (
        "package.json",
        include_str!("../launcher/elasticdump/package.json"),
    ),
    (
        "package-lock.json",
        include_str!("../launcher/elasticdump/package-lock.json"),
    ),
];

/// Documents of one request, both ways: as many as the server itself takes for its own copy. The default is 100.
const AT_ONCE: &str = "--limit=1000";

/// An installed one.
#[derive(Clone, Debug)]
pub struct Elasticdump {
    node: PathBuf,
    program: PathBuf,
}

impl Elasticdump {
    /// The version in the lock file.
    pub const VERSION: &str = "6.125.1";

    /// What is in the cache, installed if need be.
    ///
    /// # Errors
    /// No Node.js, or npm could not install it.
    pub async fn ensure() -> Result<Self, LabError> {
        let node = Node::find("elasticdump", 18..=24)?;
        let decided_by: Vec<&str> = SOURCES.iter().map(|(_, text)| *text).collect();
        let entry = Entry {
            name: &format!("elasticdump-{}", Self::VERSION),
            decided_by: &decided_by,
        };
        let home = cache::ensure(&cache::root(), &entry, async |scratch: &Path| {
            let home = scratch.join("elasticdump");
            npm::install(&home, &SOURCES).await?;
            Ok(home)
        })
        .await?;
        Ok(Self {
            program: home.join("node_modules/elasticdump/bin/elasticdump"),
            node: node.file,
        })
    }

    /// Copies all documents of one index into another of the same server; gives the time from its start to its end.
    ///
    /// # Errors
    /// It failed, with the last it said.
    pub async fn copy(&self, server: &str, from: &str, to: &str) -> Result<Duration, LabError> {
        let program = self.program.to_string_lossy();
        let (input, output) = (
            format!("--input={server}/{from}"),
            format!("--output={server}/{to}"),
        );
        let arguments = [
            &*program,
            &input,
            &output,
            "--type=data",
            AT_ONCE,
            "--quiet",
        ];
        let begun = Instant::now();
        cache::run(&self.node, &arguments, Path::new("/")).await?;
        Ok(begun.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_has_the_version_that_is_named_and_no_address_of_a_registry() {
        let lock: serde_json::Value = serde_json::from_str(SOURCES[1].1).unwrap();
        assert_eq!(
            lock["packages"]["node_modules/elasticdump"]["version"],
            Elasticdump::VERSION
        );
        assert!(!SOURCES[1].1.contains("\"resolved\": \"http"));
    }
}
