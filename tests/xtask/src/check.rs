//! `cargo xtask check`: what can be said about the code without running it.

use std::process::Command;

use anyhow::Context;
use anyhow::bail;
use liftlock_e2e::artifacts::cargo;

use crate::licences;
use crate::summary::Summary;
use crate::tools;

pub(crate) fn run(summary: &mut Summary) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    let mut checks = 0;
    let mut one = |what: &str, work: &dyn Fn() -> anyhow::Result<()>| {
        checks += 1;
        if let Err(error) = summary.step(what, work) {
            println!("   {error:#}");
            failed.push(what.to_owned());
        }
    };
    one("formatting", &|| {
        tools::run(cargo().args(["fmt", "--all", "--check"]))
    });
    one("lints", &|| {
        tools::run(cargo().args([
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    });
    one("documentation", &|| {
        tools::run(
            cargo()
                .args(["doc", "--quiet", "--workspace", "--no-deps"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        )
    });
    one("licences and origins of dependencies", &check_licences);
    let mut advisories = "checked";
    if tools::on_path("cargo-deny").is_some() {
        one("advisories", &|| {
            tools::run(cargo().args(["deny", "check", "advisories"]))
        });
    } else {
        advisories = "skipped";
        println!(
            "== advisories: skipped, they need a database from the network and `cargo-deny`; get it by: \
             cargo install --locked cargo-deny"
        );
    }
    summary.field("checks", checks);
    summary.field("failed", failed.len());
    summary.field("advisories", advisories);
    if failed.is_empty() {
        Ok(())
    } else {
        bail!("failed: {}", failed.join(", "))
    }
}

fn check_licences() -> anyhow::Result<()> {
    // Offline and for this machine, because the lints have just built everything: what is looked at
    // is what was compiled, and no package of another system has to be fetched.
    let host = host()?;
    let arguments = ["--format-version", "1", "--offline", "--locked"];
    let told = cargo()
        .arg("metadata")
        .args(arguments)
        .args(["--filter-platform", &host])
        .output()
        .context("cannot run cargo metadata")?;
    if !told.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&told.stderr).trim()
        );
    }
    let count = licences::check(&told.stdout)?;
    println!(
        "   {count} packages for {host}, each of an accepted licence, each from the registry or from here"
    );
    Ok(())
}

/// The compiler's name for this machine.
fn host() -> anyhow::Result<String> {
    let told = Command::new("rustc").arg("-vV").output();
    let told = String::from_utf8(told.context("cannot run rustc")?.stdout)?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .context("rustc does not name its host")
}
