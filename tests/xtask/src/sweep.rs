//! `cargo xtask sweep`: an upgrade disturbed at every point, and what becomes of it judged.

mod real;

use std::io::BufRead;
use std::io::BufReader;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use clap::ValueEnum;
use liftlock_e2e::Kit;
use liftlock_e2e::artifacts;

use crate::plugins;
use crate::summary::Summary;
use crate::tools;

/// Of the positions on the simulated cluster, a quick look takes every so-manieth: always the same ones, so that what
/// fails is what was changed. Some five hundred positions, three minutes on two cores.
const SAMPLE: usize = 41;

/// The first of them.
const SAMPLE_OFFSET: usize = 17;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Product {
    Optimize,
    Camunda,
    Kuzzle,
}

/// Of the positions of Camunda 7, each of which takes some seconds of real time: too many of them for the test command.
const SAMPLE_OF_ENGINES: usize = 120;

/// The first of them.
const SAMPLE_OF_ENGINES_OFFSET: usize = 31;

/// Of the positions of Kuzzle: some thirty of each plan, ten seconds.
const SAMPLE_OF_COLLECTIONS: usize = 101;

/// The first of them.
const SAMPLE_OF_COLLECTIONS_OFFSET: usize = 13;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The product whose plugin is swept.
    #[arg(value_enum)]
    product: Product,
    /// Only this plan.
    #[arg(long)]
    plan: Option<String>,
    /// From this position.
    #[arg(long, default_value_t = 0)]
    from: usize,
    /// Up to this one.
    #[arg(long)]
    to: Option<usize>,
    /// Every so-manieth position.
    #[arg(long, default_value_t = 1)]
    sample: usize,
    /// Beginning with this one.
    #[arg(long, default_value_t = 0)]
    offset: usize,
    /// Only this family of positions: `kill`, `rollback`, `fault`, ...
    #[arg(long)]
    family: Option<String>,
    /// Begin no position after so many seconds.
    #[arg(long)]
    within: Option<u64>,
    /// Tell each position with all that happened.
    #[arg(long)]
    verbose: bool,
    /// Break the gate's rules one by one; each must make the sweep fail.
    #[arg(long, conflicts_with = "quick")]
    broken: bool,
    /// Only this rule, as it is named when it is told.
    #[arg(long, requires = "broken")]
    rule: Option<String>,
    /// Every so-manieth position of each plan, always the same ones: what the test command takes.
    #[arg(long)]
    quick: bool,
    /// On a real OpenSearch, with a real process that is killed with SIGKILL before or after a request.
    #[arg(long, conflicts_with_all = ["quick", "broken", "family", "plan"])]
    real: bool,
}

impl Options {
    pub(crate) fn product(&self) -> &'static str {
        match self.product {
            Product::Optimize => "optimize",
            Product::Camunda => "camunda",
            Product::Kuzzle => "kuzzle",
        }
    }

    /// A quick look.
    fn of_a_look(product: Product) -> Self {
        let (sample, offset) = match product {
            Product::Optimize => (SAMPLE, SAMPLE_OFFSET),
            Product::Camunda => (SAMPLE_OF_ENGINES, SAMPLE_OF_ENGINES_OFFSET),
            Product::Kuzzle => (SAMPLE_OF_COLLECTIONS, SAMPLE_OF_COLLECTIONS_OFFSET),
        };
        Self {
            product,
            plan: None,
            from: 0,
            to: None,
            sample,
            offset,
            family: None,
            within: None,
            verbose: false,
            broken: false,
            rule: None,
            quick: true,
            real: false,
        }
    }

    fn of_real(&self) -> real::Choice {
        real::Choice {
            from: self.from,
            to: self.to,
            every: self.sample,
            offset: self.offset,
            within: self.within.map(Duration::from_secs),
        }
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            format!("--from={}", self.from),
            format!("--sample={}", self.sample),
            format!("--offset={}", self.offset),
        ];
        let numbers = [
            ("to", self.to.map(|to| to.to_string())),
            ("within", self.within.map(|within| within.to_string())),
            ("plan", self.plan.clone()),
            ("family", self.family.clone()),
            ("rule", self.rule.clone()),
        ];
        for (name, value) in numbers {
            arguments.extend(value.map(|value| format!("--{name}={value}")));
        }
        for (name, is_set) in [("verbose", self.verbose), ("broken", self.broken)] {
            if is_set {
                arguments.push(format!("--{name}"));
            }
        }
        arguments
    }
}

pub(crate) async fn run(options: &Options, summary: &mut Summary) -> anyhow::Result<()> {
    if !matches!(options.product, Product::Optimize) && (options.broken || options.real) {
        bail!("`--broken` and `--real` are there for `sweep optimize` only");
    }
    if options.broken {
        let told = on_the_simulator(options, summary).await?;
        for key in ["defects", "caught"] {
            summary.field(key, told.number(key)?);
        }
        return told.must_be_good();
    }
    summary.plain();
    if options.real {
        let tally = on_a_real_server(options.of_real(), summary).await?;
        summary.field("positions", tally.positions);
        summary.field("lost", tally.lost);
        summary.field("repeated", tally.repeated);
        summary.field("guessed", tally.guessed);
        summary.field("doubts", tally.doubts);
        return must_be_good(&tally);
    }
    let told = if options.quick {
        on_the_simulator(&Options::of_a_look(options.product), summary).await?
    } else {
        on_the_simulator(options, summary).await?
    };
    for key in ["positions", "lost", "repeated", "guessed", "doubts"] {
        summary.field(key, told.number(key)?);
    }
    told.must_be_good()
}

async fn on_a_real_server(choice: real::Choice, summary: &Summary) -> anyhow::Result<real::Tally> {
    plugins::ensure(summary)?;
    let kit = summary.step("build the binaries", Kit::build)?;
    real::sweep(&kit, choice, summary).await
}

fn must_be_good(tally: &real::Tally) -> anyhow::Result<()> {
    if tally.positions == 0 {
        bail!("no position was performed");
    }
    if tally.lost + tally.repeated + tally.guessed > 0 {
        bail!("the sweep of a real server failed");
    }
    Ok(())
}

/// A quick look at what needs no server, for who tests everything: how many positions it took.
pub(crate) async fn look(summary: &Summary) -> anyhow::Result<u64> {
    let mut positions = 0;
    for product in [Product::Optimize, Product::Kuzzle] {
        let told = on_the_simulator(&Options::of_a_look(product), summary).await?;
        positions += told.number("positions")?;
        told.must_be_good()?;
    }
    Ok(positions)
}

/// The last line of the sweep's own program.
struct Told {
    line: String,
    is_good: bool,
}

impl Told {
    fn number(&self, key: &str) -> anyhow::Result<u64> {
        self.line
            .split_whitespace()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("the sweep's last line has no `{key}`: {}", self.line))
    }

    fn must_be_good(&self) -> anyhow::Result<()> {
        if self.is_good {
            Ok(())
        } else {
            bail!("the sweep failed: {}", self.line)
        }
    }
}

async fn on_the_simulator(options: &Options, summary: &Summary) -> anyhow::Result<Told> {
    let (plugin, for_tests) = match options.product {
        Product::Optimize => (
            plugins::ensure(summary)?,
            Some(plugins::ensure_for_tests(summary)?),
        ),
        Product::Camunda => {
            summary.step("look for databases", tools::install_for_camunda)?;
            let plugin = summary.step("build the plugin", artifacts::camunda_plugin)?;
            (plugin, None)
        }
        Product::Kuzzle => {
            let plugin = summary.step("build the plugin", artifacts::kuzzle_plugin)?;
            (plugin, None)
        }
    };
    let program = summary.step("build the sweep", artifacts::sweep)?;
    let what = match options.product {
        _ if options.broken => "broken gates",
        Product::Optimize => "positions on the simulated cluster",
        Product::Camunda => "positions over real databases",
        Product::Kuzzle => "positions on simulated nodes",
    };
    summary.step(what, || {
        let mut command = Command::new(program);
        if let Some(for_tests) = &for_tests {
            command.arg("--plugin-for-tests").arg(&for_tests.path);
        }
        command
            .args(["--product", options.product()])
            .arg("--plugin")
            .arg(&plugin.path)
            .arg("--cache")
            .arg(artifacts::target_dir().join("plugins/compiled"))
            .args(options.arguments())
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        println!("   sweep {}", options.arguments().join(" "));
        let mut child = command.spawn().context("cannot run the sweep")?;
        let output = child
            .stdout
            .take()
            .ok_or_else(|| anyhow!("the sweep has no output"))?;
        let mut last = String::new();
        let last_line = format!("sweep {}", options.product());
        for line in BufReader::new(output).lines() {
            let line = line.context("the output of the sweep cannot be read")?;
            if line.starts_with(&last_line) {
                last = line;
            } else {
                println!("{line}");
            }
        }
        let ended = child.wait().context("cannot wait for the sweep")?;
        Ok(Told {
            line: last,
            is_good: ended.success(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_read_by_its_keys() {
        let told = Told {
            line: "sweep optimize: positions=12 lost=0 repeated=1 guessed=0 doubts=3".into(),
            is_good: false,
        };
        assert_eq!(told.number("positions").unwrap(), 12);
        assert_eq!(told.number("repeated").unwrap(), 1);
        assert!(told.number("caught").is_err());
        assert!(told.must_be_good().is_err());
    }

    #[test]
    fn a_quick_look_takes_some_positions_and_says_which() {
        for product in [Product::Optimize, Product::Camunda, Product::Kuzzle] {
            let options = Options::of_a_look(product);
            assert!(options.offset < options.sample);
            let arguments = options.arguments();
            assert!(arguments.contains(&format!("--offset={}", options.offset)));
        }
    }
}
