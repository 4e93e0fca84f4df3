//! `cargo xtask test`: every test there is, by tiers, each counted.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::Context;
use anyhow::bail;
use liftlock_e2e::Kit;
use liftlock_e2e::Tally;
use liftlock_e2e::artifacts;
use liftlock_e2e::artifacts::cargo;
use liftlock_e2e::trap;
use liftlock_lab::ServerKind;
use serde_json::Value;

use crate::fuzz;
use crate::golden;
use crate::plugins;
use crate::prove;
use crate::prove_camunda;
use crate::prove_camunda::Part;
use crate::suite;
use crate::summary::Summary;
use crate::sweep;
use crate::tools;
use crate::traps;

/// Tests against real servers that run at the same time. Each starts a server of its own with
/// about 500 MB; with more than two of them on two cores each takes longer than one after another.
const REAL_AT_ONCE: &str = "1";

pub(crate) async fn run(summary: &mut Summary) -> anyhow::Result<()> {
    summary.step("look for a JDK and Maven", tools::install_for_servers)?;
    let plugin = plugins::ensure(summary)?;
    let for_tests = plugins::ensure_for_tests(summary)?;
    let kit = summary.step("build the binaries", Kit::build)?;
    let built = [
        ("LIFTLOCK_PLUGIN", &plugin.path),
        ("LIFTLOCK_TEST_PLUGIN", &for_tests.path),
        ("LIFTLOCK_BIN", &kit.liftlock),
        ("LIFTLOCK_PRETEND", &kit.pretend),
    ];
    // Always of the whole workspace: with another selection the dependencies are built once more.
    let cargo_test = |targets: &[String]| -> Command {
        let mut command = cargo();
        command
            .args(["test", "--workspace", "--no-fail-fast"])
            .args(targets)
            .envs(built)
            // A failed check says what it saw; the way through the runtime's code says nothing.
            .env("RUST_BACKTRACE", "0");
        command
    };
    let targets = Targets::of_the_workspace()?;
    let mut tiers = Tiers { failed: Vec::new() };
    tiers.one(summary, "look for databases and balancers", || {
        tools::install_for_tests().map(|()| 0)
    });

    let unit = tiers.one(summary, "unit tests", || {
        tools::run_tests(&mut cargo_test(&["--lib".into(), "--bins".into()]))
    });
    summary.field("unit", unit);
    let integration = tiers.one(summary, "integration tests", || {
        tools::run_tests(&mut cargo_test(&targets.others))
    });
    let examples = tiers.one(summary, "examples in the documentation", || {
        tools::run_tests_or_none(&mut cargo_test(&["--doc".into()]))
    });
    summary.field("integration", integration + examples);
    let e2e = tiers.one(summary, "end to end, simulated cluster", || {
        tools::run_tests(&mut cargo_test(&targets.e2e))
    });
    let scripts = summary
        .wait("golden scripts", golden::compare_all(&kit, false, &[]))
        .await;
    let mut tally = Tally::loud();
    traps::simulated(&kit, trap::TRAPS, &mut tally, summary).await;
    let set = tiers.counted("traps on simulated clusters", tally.into_count());
    summary.field("e2e", e2e + tiers.counted("golden scripts", scripts) + set);
    let swept = summary.wait("sweep, a sample", sweep::look(summary)).await;
    summary.field("sweep", tiers.counted("sweep, a sample", swept));
    let fuzzed = tiers.one(summary, "fuzz targets", || fuzz::all(summary));
    summary.field("fuzz", fuzzed);
    let servers = tiers.one(summary, "lab and capabilities on real servers", || {
        let threads = ["--", "--test-threads", REAL_AT_ONCE];
        tools::run_tests(cargo_test(&targets.real).args(threads))
    });
    let same = suite::on_real_servers(summary).await.into_count();
    let same = tiers.counted("the simulator's suite on real servers", same);
    let proof = summary
        .wait(
            "prove optimize",
            prove::optimize(&kit, &ServerKind::ALL, prove::Extent::Shared, summary),
        )
        .await
        .and_then(Tally::into_count);
    let proof = tiers.counted("prove optimize", proof);
    let engines = match artifacts::camunda_plugin() {
        Ok(plugin) => {
            let parts = [Part::Postgresql];
            let tally = prove_camunda::prove(&kit.liftlock, &plugin, &parts, summary).await;
            tally.into_count()
        }
        Err(error) => Err(error),
    };
    let engines = tiers.counted("prove camunda", engines);
    summary.field("real", servers + same + proof + engines);

    if tiers.failed.is_empty() {
        Ok(())
    } else {
        bail!("failed: {}", tiers.failed.join(", "))
    }
}

/// Integration tests by tier, as arguments for cargo.
#[derive(Debug, Default, PartialEq, Eq)]
struct Targets {
    e2e: Vec<String>,
    real: Vec<String>,
    others: Vec<String>,
}

impl Targets {
    fn of_the_workspace() -> anyhow::Result<Self> {
        let told = cargo()
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .output()
            .context("cannot run cargo metadata")?;
        Self::of(&serde_json::from_slice(&told.stdout).context("cargo metadata gave no JSON")?)
    }

    /// Tests in a file `real.rs` need real servers, in whichever package. Cargo takes names of targets
    /// without their package, so no name may be in two tiers.
    fn of(metadata: &Value) -> anyhow::Result<Self> {
        let mut found = Self::default();
        let mut seen = BTreeMap::new();
        for package in metadata["packages"].as_array().into_iter().flatten() {
            let tests = package["targets"].as_array().into_iter().flatten();
            // Those that run when they are named, and then alone, say so themselves.
            let is_meant = |target: &&Value| target["kind"][0] == "test" && target["test"] != false;
            for target in tests.filter(is_meant) {
                let name = target["name"].as_str().unwrap_or_default();
                let (tier, list) = match (package["name"].as_str(), name) {
                    (Some("liftlock-e2e"), _) => ("e2e", &mut found.e2e),
                    (_, "real") => ("real", &mut found.real),
                    _ => ("integration", &mut found.others),
                };
                match seen.insert(name.to_owned(), tier) {
                    None => list.extend(["--test".to_owned(), name.to_owned()]),
                    Some(other) if other == tier => {}
                    Some(other) => {
                        bail!(
                            "a file `{name}.rs` holds tests of two tiers, {other} and {tier}; rename one"
                        );
                    }
                }
            }
        }
        Ok(found)
    }
}

/// The tiers that failed so far. The others run all the same: one report for one wait.
struct Tiers {
    failed: Vec<String>,
}

impl Tiers {
    fn one(
        &mut self,
        summary: &Summary,
        what: &str,
        work: impl FnOnce() -> anyhow::Result<u64>,
    ) -> u64 {
        let result = summary.step(what, work);
        self.counted(what, result)
    }

    fn counted(&mut self, what: &str, result: anyhow::Result<u64>) -> u64 {
        result.unwrap_or_else(|error| {
            println!("   {error:#}");
            self.failed.push(what.to_owned());
            0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, test: &str) -> Value {
        json!({ "name": name, "targets": [
            { "kind": ["lib"], "name": name }, { "kind": ["test"], "name": test },
        ]})
    }

    #[test]
    fn sorts_tests_by_tier_and_names_each_file_once() {
        let metadata = json!({ "packages": [
            package("liftlock-e2e", "a"), package("lab", "real"), package("cluster", "real"),
            package("gate", "c"), package("journal", "c"),
            json!({ "name": "lab", "targets": [{ "kind": ["test"], "name": "d", "test": false }]}),
        ]});
        let targets = Targets::of(&metadata).unwrap();
        assert_eq!(targets.e2e, ["--test", "a"]);
        assert_eq!(targets.real, ["--test", "real"]);
        assert_eq!(targets.others, ["--test", "c"]);
    }

    #[test]
    fn refuses_a_name_that_would_run_in_two_tiers() {
        let metadata = json!({ "packages": [package("liftlock-e2e", "a"), package("gate", "a")] });
        let error = Targets::of(&metadata).unwrap_err().to_string();
        assert!(error.contains("e2e and integration"), "{error}");
    }
}
