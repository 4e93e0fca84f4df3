//! Kuzzle's packages, of the versions that the lock file beside the sources says.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::cache;
use crate::cache::Entry;
use crate::error::IoContext;
use crate::error::LabError;
use crate::java::on_path;

/// The version of Kuzzle in the lock file.
pub(super) const VERSION: &str = "2.56.0";

/// The oldest and the newest version of Node.js that Kuzzle says it runs on.
const NODE_MAJORS: [u32; 2] = [20, 24];

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
        let node = node()?;
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
    for (name, text) in SOURCES {
        let file = home.join(name);
        let folder = file.parent().unwrap_or(&home);
        fs::create_dir_all(folder).doing("make", folder)?;
        fs::write(&file, text).doing("write", &file)?;
    }
    let npm = on_path("npm").ok_or_else(|| missing("`npm` on the search path"))?;
    let quiet = ["--no-audit", "--no-fund"];
    let mut arguments = vec!["ci", "--ignore-scripts"];
    arguments.extend(quiet);
    cache::run(&npm, &arguments, &home).await?;
    // Node's own headers where it has them: else they would be fetched.
    let env = on_path("env").ok_or_else(|| missing("`env` on the search path"))?;
    let prefix = node.file.parent().and_then(Path::parent);
    let headers = prefix.filter(|prefix| prefix.join("include/node/node.h").is_file());
    let headers = headers.map(|prefix| format!("npm_config_nodedir={}", prefix.display()));
    let npm = npm.to_string_lossy();
    let mut arguments: Vec<&str> = headers.as_deref().into_iter().collect();
    arguments.extend([&*npm, "rebuild"]);
    arguments.extend(COMPILED);
    cache::run(&env, &arguments, &home).await?;
    Ok(home)
}

struct Node {
    file: PathBuf,
    /// `v20.20.2`.
    version: String,
}

fn node() -> Result<Node, LabError> {
    let file = on_path("node").ok_or_else(|| missing("Node.js (`node` on the search path)"))?;
    let told = Command::new(&file)
        .arg("--version")
        .output()
        .doing("run", &file)?;
    let version = String::from_utf8_lossy(&told.stdout).trim().to_owned();
    let [oldest, newest] = NODE_MAJORS;
    if major(&version).is_none_or(|major| !(oldest..=newest).contains(&major)) {
        let what = format!(
            "a Node.js that Kuzzle runs on (`{}` is {version})",
            file.display()
        );
        return Err(missing(&what));
    }
    // Behind a link there may be no headers.
    let file = file.canonicalize().doing("resolve", &file)?;
    Ok(Node { file, version })
}

fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn missing(what: &str) -> LabError {
    let [oldest, newest] = NODE_MAJORS;
    LabError::Missing {
        what: what.to_owned(),
        remedy: format!(
            "install Node.js {oldest} to {newest} with npm, and `apt-get install make g++ python3` for the parts of \
             Kuzzle that are compiled"
        ),
    }
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

    #[test]
    fn reads_the_version_of_node() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("20.20.2"), None);
    }
}
