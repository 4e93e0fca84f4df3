//! `cargo xtask test`: every test there is, by tiers, each counted. Those on real servers run beside the others.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::bail;
use clap::ValueEnum;
use liftlock_e2e::Kit;
use liftlock_e2e::Tally;
use liftlock_e2e::artifacts;
use liftlock_e2e::artifacts::cargo;
use liftlock_e2e::trap;
use liftlock_lab::ServerKind;
use serde_json::Value;

use crate::fuzz;
use crate::golden;
use crate::parts;
use crate::plugins;
use crate::prove;
use crate::prove_camunda::Part;
use crate::suite;
use crate::summary::Summary;
use crate::sweep;
use crate::tools;
use crate::traps;

/// Tests against real servers that run at the same time. Each starts a server of its own with
/// about 500 MB; with more than two of them on two cores each takes longer than one after another.
const REAL_AT_ONCE: &str = "1";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only one half of the tiers. Without it: both at once, since servers are mostly waited for, and what they printed
    /// is shown at the end.
    #[arg(long)]
    only: Option<Half>,
}

/// What can be run beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Half {
    /// Unit and integration tests, simulated clusters, golden scripts, a sample of the sweep, fuzz targets.
    Simulated,
    /// Real servers: the lab, the capabilities, the simulator's suite, the products' proofs.
    Servers,
}

impl Options {
    pub(crate) fn half(&self) -> Option<String> {
        self.only
            .and_then(|half| half.to_possible_value())
            .map(|value| value.get_name().to_owned())
    }
}

pub(crate) async fn run(options: &Options, summary: &mut Summary) -> anyhow::Result<()> {
    let ground = Ground::build(summary)?;
    let mut tiers = Tiers { failed: Vec::new() };
    match options.only {
        Some(Half::Simulated) => ground.simulated(&mut tiers, summary).await,
        Some(Half::Servers) => ground.servers(&mut tiers, summary).await,
        None => {
            let beside = Beside::start()?;
            ground.simulated(&mut tiers, summary).await;
            let real = summary.step("the tiers on real servers, begun beside these", || {
                beside.finish()
            });
            summary.field("real", tiers.counted("real servers", real));
        }
    }
    if tiers.failed.is_empty() {
        Ok(())
    } else {
        bail!("failed: {}", tiers.failed.join(", "))
    }
}

/// What both halves need, built before either begins.
struct Ground {
    kit: Kit,
    built: [(&'static str, PathBuf); 4],
    targets: Targets,
}

impl Ground {
    fn build(summary: &Summary) -> anyhow::Result<Self> {
        summary.step("look for a JDK and Maven", tools::install_for_servers)?;
        let plugin = plugins::ensure(summary)?;
        let for_tests = plugins::ensure_for_tests(summary)?;
        let kit = summary.step("build the binaries", Kit::build)?;
        let ground = Self {
            built: [
                ("LIFTLOCK_PLUGIN", plugin.path),
                ("LIFTLOCK_TEST_PLUGIN", for_tests.path),
                ("LIFTLOCK_BIN", kit.liftlock.clone()),
                ("LIFTLOCK_PRETEND", kit.pretend.clone()),
            ],
            kit,
            targets: Targets::of_the_workspace()?,
        };
        summary.step("build the tests", || {
            let all = ["--lib", "--bins", "--tests", "--no-run"].map(str::to_owned);
            tools::run(&mut ground.cargo_test(&all))
        })?;
        summary.step("look for databases and balancers", tools::install_for_tests)?;
        Ok(ground)
    }

    /// Always of the whole workspace: with another selection the dependencies are built once more.
    fn cargo_test(&self, targets: &[String]) -> Command {
        let mut command = cargo();
        command
            .args(["test", "--workspace", "--no-fail-fast"])
            .args(targets)
            .envs(self.built.iter().map(|(name, path)| (name, path)))
            // A failed check says what it saw; the way through the runtime's code says nothing.
            .env("RUST_BACKTRACE", "0");
        command
    }

    async fn simulated(&self, tiers: &mut Tiers, summary: &mut Summary) {
        let unit = tiers.one(summary, "unit tests", || {
            tools::run_tests(&mut self.cargo_test(&["--lib".into(), "--bins".into()]))
        });
        summary.field("unit", unit);
        let integration = tiers.one(summary, "integration tests", || {
            tools::run_tests(&mut self.cargo_test(&self.targets.others))
        });
        let examples = tiers.one(summary, "examples in the documentation", || {
            tools::run_tests_or_none(&mut self.cargo_test(&["--doc".into()]))
        });
        summary.field("integration", integration + examples);
        let e2e = tiers.one(summary, "end to end, simulated cluster", || {
            tools::run_tests(&mut self.cargo_test(&self.targets.e2e))
        });
        let scripts = summary
            .wait("golden scripts", golden::compare_all(&self.kit, false, &[]))
            .await;
        let mut tally = Tally::loud();
        traps::simulated(&self.kit, trap::TRAPS, &mut tally, summary).await;
        let set = tiers.counted("traps on simulated clusters", tally.into_count());
        summary.field("e2e", e2e + tiers.counted("golden scripts", scripts) + set);
        let swept = summary.wait("sweep, a sample", sweep::look(summary)).await;
        summary.field("sweep", tiers.counted("sweep, a sample", swept));
        let fuzzed = tiers.one(summary, "fuzz targets", || fuzz::all(summary));
        summary.field("fuzz", fuzzed);
    }

    async fn servers(&self, tiers: &mut Tiers, summary: &mut Summary) {
        let servers = tiers.one(summary, "lab and capabilities on real servers", || {
            let threads = ["--", "--test-threads", REAL_AT_ONCE];
            tools::run_tests(self.cargo_test(&self.targets.real).args(threads))
        });
        let same = suite::on_real_servers(summary).await.into_count();
        let same = tiers.counted("the simulator's suite on real servers", same);
        let proof = summary
            .wait(
                "prove optimize",
                prove::optimize(&self.kit, &ServerKind::ALL, prove::Extent::Shared, summary),
            )
            .await
            .and_then(Tally::into_count);
        let proof = tiers.counted("prove optimize", proof);
        let engines = match artifacts::camunda_plugin() {
            Ok(plugin) => {
                let parts = [Part::Postgresql];
                let mut tally = Tally::loud();
                parts::prove(&self.kit.liftlock, &plugin, &parts, &mut tally, summary).await;
                tally.into_count()
            }
            Err(error) => Err(error),
        };
        let engines = tiers.counted("prove camunda", engines);
        summary.field("real", servers + same + proof + engines);
    }
}

/// The tiers on real servers, as a process beside this one.
struct Beside {
    child: Child,
    said: tempfile::NamedTempFile,
}

impl Beside {
    fn start() -> anyhow::Result<Self> {
        let said = tempfile::NamedTempFile::new().context("cannot make a file for its output")?;
        let file = || said.as_file().try_clone().context("its output's file");
        let child = Command::new(std::env::current_exe().context("where this program is")?)
            .args(["test", "--only", "servers"])
            .stdin(Stdio::null())
            .stdout(file()?)
            .stderr(file()?)
            .spawn()
            .context("cannot start the tiers on real servers")?;
        Ok(Self { child, said })
    }

    /// Waits, shows what it said, and gives the number of what passed.
    fn finish(mut self) -> anyhow::Result<u64> {
        let ended = self.child.wait().context("cannot wait for it")?;
        let said = std::fs::read(self.said.path()).context("what it said cannot be read")?;
        let said = String::from_utf8_lossy(&said);
        println!("{}", said.trim_end());
        if !ended.success() {
            bail!("ended with {ended}, see above");
        }
        counted_real(&said).context("its last line has no `real=N`")
    }
}

/// `test servers: PASS real=617 seconds=1204`.
fn counted_real(said: &str) -> Option<u64> {
    said.lines()
        .next_back()?
        .split_whitespace()
        .find_map(|word| word.strip_prefix("real="))?
        .parse()
        .ok()
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
    fn reads_what_passed_on_real_servers() {
        let said = "ok 3\nreal=9\ntest servers: PASS real=617 seconds=1204\n";
        assert_eq!(counted_real(said), Some(617));
        assert_eq!(counted_real("test servers: PASS seconds=1204"), None);
        assert_eq!(counted_real(""), None);
    }

    #[test]
    fn refuses_a_name_that_would_run_in_two_tiers() {
        let metadata = json!({ "packages": [package("liftlock-e2e", "a"), package("gate", "a")] });
        let error = Targets::of(&metadata).unwrap_err().to_string();
        assert!(error.contains("e2e and integration"), "{error}");
    }
}
