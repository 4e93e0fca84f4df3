//! `cargo xtask fuzz`: what reads other people's text, under libFuzzer, two targets at a time.
//!
//! The targets are built with the pinned toolchain: the crates of this workspace with coverage, by
//! `fuzz/instrument.sh` in the place of the compiler, and their dependencies as every build has them.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::bail;
use liftlock_e2e::artifacts::cargo;
use liftlock_e2e::artifacts::root;
use liftlock_e2e::artifacts::target_dir;

use crate::summary::Summary;
use crate::tools;

/// All of them.
const TARGETS: [&str; 4] = ["plan", "grants", "site", "edge"];

/// How many run beside each other: CI has two cores.
const AT_ONCE: usize = 2;

/// Longest input. The seeds have some kilobytes, and what is longer finds the same more slowly.
const INPUT_BYTES_MAX: u32 = 64 << 10;

/// Most memory of a target. What reads a small file needs a few mebibytes; more is a finding.
const MEMORY_MB_MAX: u32 = 2_048;

/// Longest time for one input. A whole plan is read in milliseconds; a second is a finding, and ten of them are
/// for a busy machine.
const INPUT_SECONDS_MAX: u32 = 10;

/// How long each target runs where nothing else is said.
const SECONDS: u32 = 60;

/// Fewest places that are counted. With fewer the targets were built without coverage, and only chance works.
const COUNTERS_MIN: u64 = 5_000;

/// Fuzz targets.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How long each target runs.
    #[arg(long, default_value_t = SECONDS)]
    seconds: u32,
    /// Only this target.
    #[arg(long, value_parser = TARGETS)]
    target: Option<String>,
}

/// What came of one target.
struct Outcome {
    target: &'static str,
    is_good: bool,
    counters: u64,
    runs: u64,
    said: String,
}

pub(crate) fn run(options: &Options, summary: &mut Summary) -> anyhow::Result<()> {
    let targets: Vec<&'static str> = TARGETS
        .into_iter()
        .filter(|target| options.target.as_deref().is_none_or(|only| only == *target))
        .collect();
    let outcomes = outcomes(&targets, options.seconds, summary)?;
    let broken = outcomes.iter().filter(|outcome| !outcome.is_good).count();
    let runs: u64 = outcomes.iter().map(|outcome| outcome.runs).sum();
    summary.field("targets", outcomes.len());
    summary.field("crashes", broken);
    summary.field("inputs", runs);
    must_be_good(&outcomes)
}

/// All targets for their time, for who tests everything: how many there are.
pub(crate) fn all(summary: &Summary) -> anyhow::Result<u64> {
    let outcomes = outcomes(&TARGETS, SECONDS, summary)?;
    must_be_good(&outcomes)?;
    Ok(outcomes.len() as u64)
}

fn outcomes(
    targets: &[&'static str],
    seconds: u32,
    summary: &Summary,
) -> anyhow::Result<Vec<Outcome>> {
    summary.step("look for a C++ compiler", compiler)?;
    summary.step("build the fuzz targets", build)?;
    let outcomes = summary.step("run the fuzz targets", || at_once(targets, seconds))?;
    for outcome in &outcomes {
        println!(
            "   {}: {} inputs, {} places counted",
            outcome.target, outcome.runs, outcome.counters
        );
        if !outcome.is_good {
            println!("{}", outcome.said);
        }
    }
    Ok(outcomes)
}

fn must_be_good(outcomes: &[Outcome]) -> anyhow::Result<()> {
    let named = |is_bad: &dyn Fn(&Outcome) -> bool| {
        let bad = outcomes.iter().filter(|outcome| is_bad(outcome));
        bad.map(|outcome| outcome.target)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let blind = named(&|outcome| outcome.counters < COUNTERS_MIN);
    if !blind.is_empty() {
        bail!("built without coverage: {blind}");
    }
    let broken = named(&|outcome| !outcome.is_good);
    if !broken.is_empty() {
        bail!(
            "an input that breaks {broken} lies in `{}`; run the target's program with it, and keep it in `fuzz/corpus`",
            artifacts().display()
        );
    }
    Ok(())
}

fn artifacts() -> PathBuf {
    target_dir().join("fuzz/artifacts")
}

/// libFuzzer itself is C++.
fn compiler() -> anyhow::Result<()> {
    if tools::on_path("c++").is_some() {
        return Ok(());
    }
    const INSTALL: &str = "apt-get update && apt-get install -y --no-install-recommends g++";
    if !tools::may_install() {
        bail!("missing: a C++ compiler; get it by: {INSTALL}");
    }
    tools::run(
        Command::new("sh")
            .args(["-c", INSTALL])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

fn build() -> anyhow::Result<()> {
    let mut command = cargo();
    command
        .args(["build", "--quiet", "--workspace"])
        .args(["--features", "liftlock-fuzz/libfuzzer"]);
    for target in TARGETS {
        command.args(["--bin", &format!("fuzz-{target}")]);
    }
    tools::run(command.env("RUSTC_WORKSPACE_WRAPPER", root().join("fuzz/instrument.sh")))
}

/// Runs them, [`AT_ONCE`] beside each other.
fn at_once(targets: &[&'static str], seconds: u32) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for some in targets.chunks(AT_ONCE) {
        let ended = std::thread::scope(|scope| {
            let running: Vec<_> = some
                .iter()
                .map(|target| scope.spawn(|| one(target, seconds)))
                .collect();
            running
                .into_iter()
                .map(|thread| match thread.join() {
                    Ok(outcome) => outcome,
                    Err(_) => bail!("a thread of ours broke"),
                })
                .collect::<anyhow::Result<Vec<_>>>()
        })?;
        outcomes.extend(ended);
    }
    Ok(outcomes)
}

fn one(target: &'static str, seconds: u32) -> anyhow::Result<Outcome> {
    let grown = target_dir().join("fuzz/corpus").join(target);
    let seeds = root().join("fuzz/corpus").join(target);
    for folder in [&grown, &artifacts()] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make `{}`", folder.display()))?;
    }
    let program = target_dir().join("debug").join(format!("fuzz-{target}"));
    let told = Command::new(&program)
        .arg(&grown)
        .arg(&seeds)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MB_MAX}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!(
            "-artifact_prefix={}/{target}-",
            artifacts().display()
        ))
        .arg("-print_final_stats=1")
        .current_dir(Path::new("/"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{}`", program.display()))?;
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    Ok(Outcome {
        target,
        is_good: told.status.success(),
        counters: number_before(&said, " inline 8-bit counters"),
        runs: number_after(&said, "stat::number_of_executed_units:"),
        // The end of it: the reason, and the input.
        said: said
            .lines()
            .rev()
            .take(60)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
            .join("\n"),
    })
}

/// The number that stands before these words.
fn number_before(text: &str, words: &str) -> u64 {
    let before = text.split(words).next().unwrap_or_default();
    let digits: String = before
        .chars()
        .rev()
        .take_while(char::is_ascii_digit)
        .collect();
    digits
        .chars()
        .rev()
        .collect::<String>()
        .parse()
        .unwrap_or(0)
}

/// The number that stands after them.
fn number_after(text: &str, words: &str) -> u64 {
    let after = text.split(words).nth(1).unwrap_or_default().trim_start();
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_fuzzer_counted() {
        let said = "INFO: Loaded 1 modules   (51234 inline 8-bit counters): 51234 [0x1, 0x2), \n\
                    stat::number_of_executed_units: 40811\nstat::average_exec_per_sec:     10202\n";
        assert_eq!(number_before(said, " inline 8-bit counters"), 51_234);
        assert_eq!(
            number_after(said, "stat::number_of_executed_units:"),
            40_811
        );
    }
}
