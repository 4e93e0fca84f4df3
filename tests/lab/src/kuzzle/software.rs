//! Kuzzle's packages, of the versions that the lock file beside the sources says.

use std::ops::RangeInclusive;
use std::path::Path;
use std::path::PathBuf;

use crate::cache;
use crate::cache::Entry;
use crate::error::LabError;
use crate::java::on_path;
use crate::npm;
use crate::npm::Node;

/// The version of Kuzzle in the lock file.
pub(super) const VERSION: &str = "2.56.0";

/// The oldest and the newest version of Node.js that Kuzzle says it runs on.
const NODE_MAJORS: RangeInclusive<u32> = 20..=24;

/// What the packages are installed from, with our own program.
const SOURCES: [(&str, &str); 5] = [
    (
        "package.json",
        include_str!("../../launcher/kuzzle/package.json"),
    ),
    (
        "package-lock.json",
        include_str!("../../launcher/kuzzle/package-lock.json"),
    ),
    (
        "re2-shim/package.json",
        include_str!("../../launcher/kuzzle/re2-shim/package.json"),
    ),
    (
        "re2-shim/index.js",
        include_str!("../../launcher/kuzzle/re2-shim/index.js"),
    ),
    (PROGRAM, include_str!("../../launcher/kuzzle/app.js")),
];

const PROGRAM: &str = "app.js";

/// Packages with a part in C++ without which Kuzzle does not start. All other install scripts are left out.
const COMPILED: [&str; 3] = [
    "dumpme",
    "boost-geospatial-index",
    "kuzzle-espresso-logic-minimizer",
];

/// What a Kuzzle is started from.
#[derive(Clone, Debug)]
pub(super) struct Software {
    pub(super) node: PathBuf,
    /// Our own program, beside the packages.
    pub(super) program: PathBuf,
}

impl Software {
    /// What is in the cache, installed if need be.
    pub(super) async fn ensure() -> Result<Self, LabError> {
        let node = Node::find("Kuzzle", NODE_MAJORS)?;
        let [name, version] = [format!("kuzzle-{VERSION}"), node.version.clone()];
        let mut decided_by: Vec<&str> = SOURCES.iter().map(|(_, text)| *text).collect();
        // What is compiled is for one version of Node.js.
        decided_by.push(&version);
        let entry = Entry {
            name: &name,
            decided_by: &decided_by,
        };
        let home = cache::ensure(&cache::root(), &entry, async |scratch: &Path| {
            install(scratch, &node).await
        })
        .await?;
        Ok(Self {
            program: home.join(PROGRAM),
            node: node.file,
        })
    }
}

async fn install(scratch: &Path, node: &Node) -> Result<PathBuf, LabError> {
    let home = scratch.join("kuzzle");
    npm::install(&home, &SOURCES).await?;
    // Node's own headers where it has them: else they would be fetched.
    let env = on_path("env").ok_or_else(|| LabError::Missing {
        what: "`env` on the search path".into(),
        remedy: "`apt-get install coreutils`".into(),
    })?;
    let prefix = node.file.parent().and_then(Path::parent);
    let headers = prefix.filter(|prefix| prefix.join("include/node/node.h").is_file());
    let headers = headers.map(|prefix| format!("npm_config_nodedir={}", prefix.display()));
    let npm = npm::npm()?;
    let npm = npm.to_string_lossy();
    let mut arguments: Vec<&str> = headers.as_deref().into_iter().collect();
    arguments.extend([&*npm, "rebuild"]);
    arguments.extend(COMPILED);
    // They are compiled with `make`, a C++ compiler and Python: `apt-get install make g++ python3`.
    cache::run(&env, &arguments, &home).await?;
    Ok(home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_has_the_version_that_is_named_and_no_address_of_a_registry() {
        let lock: serde_json::Value = serde_json::from_str(SOURCES[1].1).unwrap();
        assert_eq!(lock["packages"]["node_modules/kuzzle"]["version"], VERSION);
        assert!(!SOURCES[1].1.contains("\"resolved\": \"http"));
    }
}
