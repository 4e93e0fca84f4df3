//! `cargo xtask`: the one entry for people who work on Liftlock, and for CI.
//!
//! Every command prints what it does and how long it took, names what lacks together with the
//! command that brings it, and ends with one line that a script can read:
//! `NAME: PASS key=value ...` or `NAME: FAIL ...`. The exit code is 0 only after PASS.
//!
//! - `summary`: steps, times and the last line
//! - `tools`: programs to run, tests to count, packages to install
//! - `suite`: the simulator's suite on real servers
//! - `plugins`, `check` (with `licences`), `golden`, `lab`, `demo`, `prove`, `traps`, `sweep`, `hostile`, `fuzz`, `bench`, `test`, `camunda_manifest`: the commands
#![expect(
    clippy::print_stdout,
    reason = "this program talks to whoever started it"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod bench;
mod camunda_manifest;
mod check;
mod demo;
mod fuzz;
mod golden;
mod hostile;
mod lab;
mod licences;
mod parts;
mod plugins;
mod prove;
mod prove_camunda;
mod prove_kuzzle;
mod prove_nodes;
mod prove_optimize;
mod suite;
mod summary;
mod sweep;
mod test;
mod tools;
mod traps;

use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

use crate::summary::Summary;

/// Work on Liftlock.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the plugins as components, if their sources changed.
    Plugins,
    /// Formatting, lints, documentation, licences and advisories.
    Check,
    /// Real servers with an 8.7 site on this machine.
    #[command(subcommand)]
    Lab(lab::Command),
    /// Upgrade a site before your eyes, with all phases.
    Demo(demo::Options),
    /// A product's proof on real servers.
    Prove(prove::Options),
    /// Sites that are broken on purpose, and what Liftlock says of them.
    Traps(traps::Options),
    /// Upgrades disturbed at every point, and what becomes of them.
    Sweep(sweep::Options),
    /// Hostile plugins: what each tries, and that it is stopped.
    Hostile,
    /// What reads other people's text, under libFuzzer.
    Fuzz(fuzz::Options),
    /// Ratios between Liftlock and its peers or limits, measured in one run.
    Bench(bench::Options),
    /// Run the golden scripts against the simulated cluster.
    Golden(golden::Options),
    /// Every test there is; a server or a tool that lacks is a failure.
    Test(test::Options),
    /// What the Camunda plugin knows of the vendor's schema, read off real servers and written down.
    CamundaManifest(camunda_manifest::Options),
}

impl Command {
    fn name(&self) -> String {
        match self {
            Self::Plugins => "plugins".into(),
            Self::Check => "check".into(),
            Self::Lab(command) => format!("lab {}", command.name()),
            Self::Demo(_) => "demo".into(),
            Self::Prove(options) => format!("prove {}", options.product()),
            Self::Traps(options) => format!("traps {}", options.product()),
            Self::Sweep(options) => format!("sweep {}", options.product()),
            Self::Hostile => "hostile".into(),
            Self::Fuzz(_) => "fuzz".into(),
            Self::Bench(_) => "bench".into(),
            Self::Golden(_) => "golden".into(),
            Self::Test(options) => match options.half() {
                Some(half) => format!("test {half}"),
                None => "test".into(),
            },
            Self::CamundaManifest(_) => "camunda-manifest".into(),
        }
    }

    async fn run(self, summary: &mut Summary) -> anyhow::Result<()> {
        match self {
            Self::Plugins => plugins::run(summary),
            Self::Check => check::run(summary),
            Self::Lab(command) => lab::run(command, summary).await,
            Self::Demo(options) => demo::run(&options, summary).await,
            Self::Prove(options) => prove::run(&options, summary).await,
            Self::Traps(options) => traps::run(&options, summary).await,
            Self::Sweep(options) => sweep::run(&options, summary).await,
            Self::Hostile => hostile::run(summary),
            Self::Fuzz(options) => fuzz::run(&options, summary),
            Self::Bench(options) => bench::run(&options, summary),
            Self::Golden(options) => golden::run(&options, summary).await,
            Self::Test(options) => test::run(&options, summary).await,
            Self::CamundaManifest(options) => camunda_manifest::run(&options, summary).await,
        }
    }
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let mut summary = Summary::new(command.name());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(command.run(&mut summary)),
        Err(error) => Err(error.into()),
    };
    summary.finish(result)
}
