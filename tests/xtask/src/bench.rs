//! `cargo xtask bench`: ratios between Liftlock and its peers or limits, measured in one run.
//!
//! The bench is a workspace of its own, since its peers bring a second wasmtime: it is built with optimisation into a
//! folder of its own under the target folder, and nothing else builds it.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::bail;
use liftlock_e2e::artifacts;
use liftlock_e2e::artifacts::PLUGIN_TARGET;
use serde_json::Value;

use crate::summary::Summary;
use crate::tools;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The rows as a list of `{name, ratio, goal, met, peer, note}` on stdout; everything else on stderr.
    #[arg(long)]
    json: bool,
    /// Only rows whose names begin so; may be given again.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

/// Rows with this beginning need a real server.
const ON_A_SERVER: [&str; 6] = [
    "whole-run",
    "durable-writes",
    "side-by-side",
    "transform-reindex",
    "transform-elasticdump",
    "memory-transform",
];

/// Rows with this beginning need real engines, with a database and a balancer.
const ON_ENGINES: [&str; 3] = ["node-overhead", "memory-rolling", "plan-1000-nodes"];

pub(crate) fn run(options: &Options, summary: &mut Summary) -> anyhow::Result<()> {
    if options.json {
        summary.talk_on_stderr();
    }
    let needs = |rows: &[&str]| {
        let is_wanted = |only: &String| rows.iter().any(|name| name.starts_with(only.as_str()));
        !options.json && (options.only.is_empty() || options.only.iter().any(is_wanted))
    };
    if needs(&ON_A_SERVER) {
        summary.step("look for a JDK and Maven", tools::install_for_servers)?;
    }
    if needs(&ON_ENGINES) {
        summary.step(
            "look for databases and balancers",
            tools::install_for_camunda,
        )?;
    }
    let folder = artifacts::target_dir().join("bench");
    let plugin = summary.step("build the plugin", artifacts::optimize_plugin)?;
    let camunda = summary.step("build Camunda's plugin", artifacts::camunda_plugin)?;
    let test_plugin = summary.step(
        "build the plugin with its hop for tests",
        artifacts::optimize_test_plugin,
    )?;
    summary.step(
        "build the bench, its peers and the binaries with optimisation (minutes, when nothing is built)",
        || build(&folder),
    )?;
    let built = folder.join("release");
    let guest = |name: &str| {
        folder
            .join(PLUGIN_TARGET)
            .join("plugin")
            .join(format!("liftlock_bench_{name}.wasm"))
    };
    let mut bench = Command::new(built.join("liftlock-bench"));
    bench
        .env("LIFTLOCK_BIN", built.join("liftlock"))
        .env("LIFTLOCK_PRETEND", built.join("pretend-optimize"))
        .env("LIFTLOCK_PLUGIN", &plugin.path)
        .env("LIFTLOCK_TEST_PLUGIN", &test_plugin.path)
        .env("LIFTLOCK_CAMUNDA_PLUGIN", &camunda.path)
        .arg("--contract")
        .arg(guest("contract"))
        .arg("--tiny")
        .arg(guest("tiny"))
        .arg("--transform")
        .arg(guest("transform"));
    for only in &options.only {
        bench.arg("--only").arg(only);
    }
    let told = bench
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run the bench")?;
    let rows: Vec<Value> = serde_json::from_slice(&told.stdout)
        .with_context(|| format!("the bench ended with {} and no rows", told.status))?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        println!();
        rows.iter().for_each(|row| println!("{}", text(row)));
    }
    let met = rows.iter().filter(|row| row["met"] == true).count();
    summary.field("rows", rows.len());
    summary.field("met", met);
    if !told.status.success() {
        bail!("the bench ended with {}", told.status);
    }
    Ok(())
}

/// Everything that is measured, and the guests.
fn build(folder: &Path) -> anyhow::Result<()> {
    let workspace: PathBuf = artifacts::root().join("tests/bench");
    let cargo = |arguments: &[&str]| {
        let mut command = artifacts::cargo();
        command
            .current_dir(&workspace)
            .args(["build", "--quiet", "--target-dir"])
            .arg(folder)
            .args(arguments);
        let ended = command.status().context("cannot run cargo")?;
        if !ended.success() {
            bail!("`{}` ended with {ended}", tools::shown(&command));
        }
        Ok(())
    };
    // One peer says that it wants a newer compiler, and is built by ours all the same.
    cargo(&[
        "--release",
        "--ignore-rust-version",
        "--package=liftlock-bench",
        // Named, or cargo would not see the programs that it depends on.
        "--package=liftlock-bench-programs",
        "--package=liftlock-cli",
        "--package=liftlock-e2e",
        "--bins",
    ])?;
    cargo(&[
        "--profile=plugin",
        "--target",
        PLUGIN_TARGET,
        "--package=liftlock-bench-contract",
        "--package=liftlock-bench-tiny",
        "--package=liftlock-bench-transform",
    ])
}

/// A row for people.
fn text(row: &Value) -> String {
    let word = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
    let verdict = if row["met"] == true { "met" } else { "MISSED" };
    format!(
        "{:<21} {:>7} {:<8} {verdict:<6}  against {}\n{:<21} {}\n",
        word("name"),
        row["ratio"].to_string(),
        word("goal"),
        word("peer"),
        "",
        word("note"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_for_people_says_by_what_and_against_whom() {
        let row = json!({
            "name": "journal-commit", "ratio": 1.31, "goal": "<= 1.2", "met": false,
            "peer": "one fsync", "note": "5.1 ms against 3.9 ms",
        });
        let told = text(&row);
        for part in [
            "journal-commit",
            "1.31",
            "<= 1.2",
            "MISSED",
            "one fsync",
            "5.1 ms",
        ] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
    }
}
