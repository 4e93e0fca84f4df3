//! `cargo xtask plugins`: the components, built when their sources changed.

use std::process::Command;

use anyhow::bail;
use liftlock_e2e::artifacts;
use liftlock_e2e::artifacts::Component;
use liftlock_e2e::artifacts::PLUGIN_TARGET;

use crate::summary::Summary;
use crate::tools;

pub(crate) fn run(summary: &mut Summary) -> anyhow::Result<()> {
    let plugin = ensure(summary)?;
    ensure_for_tests(summary)?;
    summary.field("plugins", 2);
    summary.field("built", u8::from(plugin.is_new));
    summary.field("bytes", plugin.bytes);
    summary.field("sha256", &plugin.sha256);
    Ok(())
}

/// The Optimize plugin, built if need be.
pub(crate) fn ensure(summary: &Summary) -> anyhow::Result<Component> {
    summary.step("build the plugins", || {
        ensure_target()?;
        let plugin = artifacts::optimize_plugin()?;
        println!(
            "   optimize: {} bytes, sha256 {}{}",
            plugin.bytes,
            plugin.sha256,
            if plugin.is_new {
                ""
            } else {
                " (sources unchanged, not built again)"
            }
        );
        println!("   {}", plugin.path.display());
        Ok(plugin)
    })
}

/// The same with its hop for tests, which is never shipped.
pub(crate) fn ensure_for_tests(summary: &Summary) -> anyhow::Result<Component> {
    summary.step("build the plugin with its hop for tests", || {
        let plugin = artifacts::optimize_test_plugin()?;
        println!("   {}", plugin.path.display());
        Ok(plugin)
    })
}

/// The compiler's part for components. `rust-toolchain.toml` asks for it, so it lacks only where
/// the toolchain did not come from rustup's reading of that file.
fn ensure_target() -> anyhow::Result<()> {
    let sysroot = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()?;
    let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    let library = std::path::Path::new(&sysroot)
        .join("lib/rustlib")
        .join(PLUGIN_TARGET);
    if library.is_dir() {
        return Ok(());
    }
    if tools::on_path("rustup").is_none() {
        bail!(
            "missing: the target {PLUGIN_TARGET} of the Rust compiler in `{sysroot}`; get it by: \
             rustup target add {PLUGIN_TARGET}"
        );
    }
    tools::run(Command::new("rustup").args(["target", "add", PLUGIN_TARGET]))
}
