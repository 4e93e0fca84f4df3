//! The things under test: the `liftlock` binary and the plugin's component, built when needed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use anyhow::bail;
use sha2::Digest;
use sha2::Sha256;

/// Target triple of every plugin.
pub const PLUGIN_TARGET: &str = "wasm32-wasip2";

/// What a component's content depends on, relative to the root. The lock file is among it, because
/// a newer dependency is another component.
const PLUGIN_SOURCES: [&str; 10] = [
    "plugins/camunda",
    "plugins/kuzzle",
    "plugins/optimize",
    "tests/nodes",
    "tests/optimize-test",
    "sdk/rust",
    "wit",
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
];

/// The root of the repository.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// Where cargo puts what it builds.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A cargo command in the root of the repository.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a build whose talk is for people and goes to the standard error.
fn build(command: &mut Command) -> anyhow::Result<()> {
    let what = format!("{command:?}").replace('"', "");
    let ended = command
        .status()
        .with_context(|| format!("cannot run `{what}`"))?;
    if !ended.success() {
        bail!("`{what}` ended with {ended}");
    }
    Ok(())
}

/// The binary that operators run; built unless `LIFTLOCK_BIN` names one.
pub fn liftlock() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("LIFTLOCK_BIN") {
        return Ok(PathBuf::from(named));
    }
    bin("liftlock")
}

/// The program that stands in for the Optimize server; built unless `LIFTLOCK_PRETEND` names one.
pub fn pretend_optimize() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("LIFTLOCK_PRETEND") {
        return Ok(PathBuf::from(named));
    }
    bin("pretend-optimize")
}

/// The program that stands in for a node of Camunda 7; built unless `LIFTLOCK_PRETEND_ENGINE` names one.
pub fn pretend_engine() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("LIFTLOCK_PRETEND_ENGINE") {
        return Ok(PathBuf::from(named));
    }
    bin("pretend-engine")
}

/// The stand-in for the vendor's upgrader; built unless `LIFTLOCK_STAND_IN` names one.
pub fn stand_in_upgrader() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("LIFTLOCK_STAND_IN") {
        return Ok(PathBuf::from(named));
    }
    bin("stand-in-upgrader")
}

/// The program that sweeps positions on simulated clusters.
pub fn sweep() -> anyhow::Result<PathBuf> {
    bin("liftlock-sweep")
}

/// Builds a program of the workspace. For all of it, as the tests are: what a dependency is built with
/// follows from what was asked for together, and another selection builds wasmtime once more.
fn bin(name: &str) -> anyhow::Result<PathBuf> {
    build(cargo().args(["build", "--quiet", "--workspace", "--bin", name]))?;
    Ok(target_dir().join("debug").join(name))
}

/// A built component.
#[derive(Clone, Debug)]
pub struct Component {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Of its content, in hexadecimal.
    pub sha256: String,
    /// Whether it was built now, or lay there for the same sources.
    pub is_new: bool,
}

/// The Optimize plugin; built unless one lies there that was made of the same sources, or
/// `LIFTLOCK_PLUGIN` names one.
pub fn optimize_plugin() -> anyhow::Result<Component> {
    if let Some(named) = std::env::var_os("LIFTLOCK_PLUGIN") {
        return component(Path::new(&named), false);
    }
    built("liftlock-plugin-optimize", "optimize")
}

/// The Camunda 7 plugin; built likewise, unless `LIFTLOCK_CAMUNDA_PLUGIN` names one.
pub fn camunda_plugin() -> anyhow::Result<Component> {
    if let Some(named) = std::env::var_os("LIFTLOCK_CAMUNDA_PLUGIN") {
        return component(Path::new(&named), false);
    }
    built("liftlock-plugin-camunda", "camunda")
}

/// The Kuzzle plugin; built likewise, unless `LIFTLOCK_KUZZLE_PLUGIN` names one.
pub fn kuzzle_plugin() -> anyhow::Result<Component> {
    if let Some(named) = std::env::var_os("LIFTLOCK_KUZZLE_PLUGIN") {
        return component(Path::new(&named), false);
    }
    built("liftlock-plugin-kuzzle", "kuzzle")
}

/// The plugin for nothing but nodes; built likewise.
pub fn nodes_plugin() -> anyhow::Result<Component> {
    built("liftlock-plugin-nodes-test", "nodes-test")
}

/// Optimize's with its hop for tests, which is in nothing that is shipped: a component of its own, so that neither
/// can be taken for the other. `LIFTLOCK_TEST_PLUGIN` names one that is built already.
pub fn optimize_test_plugin() -> anyhow::Result<Component> {
    if let Some(named) = std::env::var_os("LIFTLOCK_TEST_PLUGIN") {
        return component(Path::new(&named), false);
    }
    built("liftlock-plugin-optimize-test", "optimize-test")
}

/// Builds a package as a component, unless one lies there that was made of the same sources.
fn built(package: &str, name: &str) -> anyhow::Result<Component> {
    let made_of = sources_digest()?;
    let folder = target_dir().join("plugins");
    let path = folder.join(format!("{name}.wasm"));
    let stamp = folder.join(format!("{name}.stamp"));
    if let Ok(known) = fs::read_to_string(&stamp)
        && let Ok(found) = component(&path, false)
        && known == stamp_text(&made_of, &found.sha256)
    {
        return Ok(found);
    }
    build(cargo().args([
        "build",
        "--quiet",
        "--package",
        package,
        "--target",
        PLUGIN_TARGET,
        "--profile",
        "plugin",
    ]))?;
    let built = target_dir()
        .join(PLUGIN_TARGET)
        .join("plugin")
        .join(format!("{}.wasm", package.replace('-', "_")));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    fs::copy(&built, &path).with_context(|| format!("cannot copy `{}`", built.display()))?;
    let made = component(&path, true)?;
    fs::write(&stamp, stamp_text(&made_of, &made.sha256))
        .with_context(|| format!("cannot write `{}`", stamp.display()))?;
    Ok(made)
}

fn stamp_text(sources: &str, component: &str) -> String {
    format!("sources {sources}\ncomponent {component}\n")
}

fn component(path: &Path, is_new: bool) -> anyhow::Result<Component> {
    let bytes = fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(Component {
        path: path.to_owned(),
        bytes: bytes.len() as u64,
        sha256: hex(&Sha256::digest(&bytes)),
        is_new,
    })
}

/// One digest of all sources: names and contents, sorted by name.
fn sources_digest() -> anyhow::Result<String> {
    let root = root();
    let mut files = BTreeMap::new();
    for source in PLUGIN_SOURCES {
        collect(&root.join(source), &mut files)?;
    }
    let mut hash = Sha256::new();
    for (path, content) in files {
        let name = path.strip_prefix(&root).unwrap_or(&path);
        hash.update(name.to_string_lossy().as_bytes());
        hash.update([0]);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    Ok(hex(&hash.finalize()))
}

fn collect(path: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> anyhow::Result<()> {
    let reading = || format!("cannot read `{}`", path.display());
    if path.is_dir() {
        for entry in fs::read_dir(path).with_context(reading)? {
            collect(&entry.with_context(reading)?.path(), files)?;
        }
    } else {
        files.insert(path.to_owned(), fs::read(path).with_context(reading)?);
    }
    Ok(())
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
