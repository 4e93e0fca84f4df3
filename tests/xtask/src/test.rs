//! `cargo xtask test`: every test there is, by tiers, each counted.

use std::process::Command;

use anyhow::bail;
use liftlock_e2e::Kit;
use liftlock_e2e::Tally;
use liftlock_e2e::artifacts::cargo;
use liftlock_lab::ServerKind;

use crate::golden;
use crate::plugins;
use crate::prove;
use crate::summary::Summary;
use crate::tools;

/// Tests against real servers that run at the same time. Each starts a server of its own with
/// about 500 MB; with more than two of them on two cores each takes longer than one after another.
const REAL_AT_ONCE: &str = "1";

pub(crate) async fn run(summary: &mut Summary) -> anyhow::Result<()> {
    summary.step("look for a JDK and Maven", tools::install_for_servers)?;
    let plugin = plugins::ensure(summary)?;
    let kit = summary.step("build the binaries", Kit::build)?;
    let built = [
        ("LIFTLOCK_PLUGIN", &plugin.path),
        ("LIFTLOCK_BIN", &kit.liftlock),
        ("LIFTLOCK_PRETEND", &kit.pretend),
    ];
    let cargo_test = |arguments: &[&str]| -> Command {
        let mut command = cargo();
        command.arg("test").args(arguments).envs(built);
        command
    };
    let mut tiers = Tiers { failed: Vec::new() };

    let unit = tiers.one(summary, "unit tests", || {
        tools::run_tests(&mut cargo_test(&["--workspace", "--lib", "--bins"]))
    });
    summary.field("unit", unit);
    let integration = tiers.one(summary, "integration tests", || {
        tools::run_tests(&mut cargo_test(&[
            "--workspace",
            "--exclude",
            "liftlock-e2e",
            "--exclude",
            "liftlock-lab",
            "--test",
            "*",
        ]))
    });
    let examples = tiers.one(summary, "examples in the documentation", || {
        tools::run_tests_or_none(&mut cargo_test(&["--workspace", "--doc"]))
    });
    summary.field("integration", integration + examples);
    let e2e = tiers.one(summary, "end to end, simulated cluster", || {
        tools::run_tests(&mut cargo_test(&[
            "--package",
            "liftlock-e2e",
            "--test",
            "*",
        ]))
    });
    let scripts = summary
        .wait("golden scripts", golden::compare_all(&kit, false))
        .await;
    summary.field("e2e", e2e + tiers.counted("golden scripts", scripts));
    let servers = tiers.one(summary, "the lab on real servers", || {
        let threads = ["--", "--test-threads", REAL_AT_ONCE];
        tools::run_tests(cargo_test(&["--package", "liftlock-lab", "--test", "*"]).args(threads))
    });
    let proof = summary
        .wait(
            "prove optimize",
            prove::optimize(&kit, &ServerKind::ALL, summary),
        )
        .await
        .and_then(Tally::into_count);
    summary.field("real", servers + tiers.counted("prove optimize", proof));

    if tiers.failed.is_empty() {
        Ok(())
    } else {
        bail!("failed: {}", tiers.failed.join(", "))
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
