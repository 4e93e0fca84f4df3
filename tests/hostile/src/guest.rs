//! The component of `tests/guests`, built and loaded.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use liftlock_e2e::artifacts::{PLUGIN_TARGET, cargo, root, target_dir};
use liftlock_sandbox::{Engine, Limits, Plugin, SandboxConfig};

/// Its file; built unless `LIFTLOCK_GUEST` names one.
pub fn file() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("LIFTLOCK_GUEST") {
        return Ok(named.into());
    }
    let mut command: Command = cargo();
    let ended = command
        .current_dir(root())
        .args(["build", "--quiet", "--package", "liftlock-guests"])
        .args(["--target", PLUGIN_TARGET, "--profile", "plugin"])
        .status()
        .context("cannot run cargo")?;
    ensure!(ended.success(), "the guest does not build: {ended}");
    Ok(target_dir()
        .join(PLUGIN_TARGET)
        .join("plugin/liftlock_guests.wasm"))
}

/// Its bytes.
pub fn bytes() -> anyhow::Result<Vec<u8>> {
    let file = file()?;
    std::fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))
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
