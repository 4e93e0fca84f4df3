//! The components of `tests/guests` and `tests/small-guest`, built and loaded.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use liftlock_e2e::artifacts::{PLUGIN_TARGET, cargo, root, target_dir};
use liftlock_sandbox::{Engine, Limits, Plugin, SandboxConfig};

/// Its bytes; built unless `LIFTLOCK_GUEST` names its file.
pub fn bytes() -> anyhow::Result<Vec<u8>> {
    read("LIFTLOCK_GUEST", "liftlock-guests")
}

/// Those of the least plugin, for cases that compile one each time; built unless `LIFTLOCK_SMALL_GUEST` names its file.
pub fn small() -> anyhow::Result<Vec<u8>> {
    read("LIFTLOCK_SMALL_GUEST", "liftlock-small-guest")
}

fn read(variable: &str, package: &str) -> anyhow::Result<Vec<u8>> {
    let file = match std::env::var_os(variable) {
        Some(named) => PathBuf::from(named),
        None => built(package)?,
    };
    std::fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))
}

fn built(package: &str) -> anyhow::Result<PathBuf> {
    let mut command: Command = cargo();
    let ended = command
        .current_dir(root())
        .args(["build", "--quiet", "--package", package])
        .args(["--target", PLUGIN_TARGET, "--profile", "plugin"])
        .status()
        .context("cannot run cargo")?;
    ensure!(ended.success(), "`{package}` does not build: {ended}");
    Ok(target_dir()
        .join(PLUGIN_TARGET)
        .join("plugin")
        .join(format!("{}.wasm", package.replace('-', "_"))))
}

/// Where what was compiled of it is kept: a debug build of the compiler takes seconds.
pub fn cache() -> PathBuf {
    target_dir().join("hostile/compiled")
}

/// A component under these limits.
pub fn load(bytes: &[u8], limits: Limits) -> anyhow::Result<Plugin> {
    let config = SandboxConfig {
        cache_dir: Some(cache()),
        limits,
        ..SandboxConfig::default()
    };
    Ok(Engine::new(config)?.load(bytes)?)
}
