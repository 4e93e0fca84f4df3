//! The bench: ratios between Liftlock and its peers or limits, all measured in one run of this program.
//!
//! `cargo xtask bench` builds it with what it needs and shows its rows. By itself it prints them as a list of JSON
//! objects on stdout, and what it is doing on stderr. Goals that are missed are results; what could not be measured
//! is a failure, with exit code 1 after the rows of the rest.
//!
//! | module | what it measures |
//! |---|---|
//! | `host_call` | policy and audit on top of a bare component call |
//! | `peers` | calls into and out of a plugin, against extism and a child process |
//! | `commit` | a commit of the journal against a bare write and fsync |
//! | `planning` | a site of 1,000 indices, and the cost curve |
//! | `memory` | peaks: an upgrade, a hostile plugin |
//! | `start` | start to first output |
//! | `whole`, `timeline`, `replay` | an upgrade against its own requests from a bare loop; durable writes a step |
//! | `rolling`, `engines` | engines upgraded one by one: time on top of their own, memory; the plan of many |
//! | `transform` | documents through a plugin against other copiers; memory |
//! | `beside` | six index updates side by side against one after another |
//! | `ground` | clusters, sites and operators for the above |
//! | `engine`, `stats`, `row` | the bare runtime; rounds, medians and spread; a row |
#![expect(clippy::print_stdout, reason = "its rows are its output")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod beside;
mod commit;
mod engine;
mod engines;
mod ground;
mod host_call;
mod memory;
mod peers;
mod planning;
mod replay;
mod rolling;
mod row;
mod start;
mod stats;
mod timeline;
mod transform;
mod whole;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use liftlock_e2e::Kit;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::row::Row;

/// Measure ratios between Liftlock and its peers.
#[derive(Debug, Parser)]
struct Cli {
    /// The bench's plugin behind Liftlock's contract.
    #[arg(long, value_name = "FILE")]
    contract: PathBuf,
    /// The component behind the bench's own contract.
    #[arg(long, value_name = "FILE")]
    tiny: PathBuf,
    /// The plugin that documents go through.
    #[arg(long, value_name = "FILE")]
    transform: PathBuf,
    /// Only rows whose names begin so; may be given again.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

/// Rows that are measured together.
struct Group {
    names: &'static [&'static str],
    measure: fn(&Runtime, &Cli) -> anyhow::Result<Vec<Row>>,
}

/// All there is, the quick ones first.
const GROUPS: [Group; 11] = [
    Group {
        names: &["host-call-count", "host-call-health"],
        measure: |runtime, cli| host_call::run(runtime, &ground::bytes(&cli.contract)?),
    },
    Group {
        names: &[
            "guest-call-extism",
            "guest-call-child",
            "guest-to-host-extism",
            "guest-to-host-child",
        ],
        measure: |runtime, cli| {
            let tiny = ground::bytes(&cli.tiny)?;
            peers::run(runtime, &tiny, &ground::bytes(&cli.contract)?)
        },
    },
    Group {
        names: &["journal-commit"],
        measure: |runtime, _| {
            let folder = ground::on_disk()?;
            Ok(vec![commit::run(runtime, folder.path())?])
        },
    },
    Group {
        names: &["start-show-plan", "start-show-plugin", "start-version"],
        measure: |runtime, _| start::run(runtime, &Kit::build()?),
    },
    Group {
        names: &["memory-run", "memory-hostile"],
        measure: |runtime, cli| memory::run(runtime, &Kit::build()?, &cli.contract),
    },
    Group {
        names: &["plan-1000-indices"],
        measure: |runtime, _| Ok(vec![planning::run(runtime, &Kit::build()?)?]),
    },
    Group {
        names: &["whole-run", "durable-writes"],
        measure: |runtime, _| whole::run(runtime, &Kit::build()?),
    },
    Group {
        names: &["side-by-side"],
        measure: |runtime, _| Ok(vec![beside::run(runtime, &Kit::build()?)?]),
    },
    Group {
        names: &[
            "transform-reindex",
            "transform-elasticdump",
            "memory-transform",
        ],
        measure: |runtime, cli| transform::run(runtime, &cli.transform),
    },
    Group {
        names: &["node-overhead", "memory-rolling"],
        measure: |runtime, _| rolling::run(runtime),
    },
    Group {
        names: &["plan-1000-nodes"],
        measure: |runtime, _| Ok(vec![rolling::plan(runtime)?]),
    },
];

fn main() -> ExitCode {
    // Not an option of the command line: the peer is not there for people.
    if std::env::args().nth(1).as_deref() == Some(peers::CHILD) {
        return exit(peers::be_child());
    }
    exit(run(&Cli::parse()))
}

fn exit(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let wanted = |name: &str| {
        cli.only.is_empty() || cli.only.iter().any(|only| name.starts_with(only.as_str()))
    };
    let mut rows: Vec<Value> = Vec::new();
    let mut failed = 0;
    for group in &GROUPS {
        let names: Vec<&str> = group
            .names
            .iter()
            .copied()
            .filter(|name| wanted(name))
            .collect();
        if names.is_empty() {
            continue;
        }
        eprintln!("== {}", names.join(", "));
        match (group.measure)(&runtime, cli) {
            Ok(measured) => {
                for row in measured.iter().filter(|row| wanted(row.name())) {
                    let row = row.data();
                    eprintln!("   {}: {}, goal {}", row["name"], row["ratio"], row["goal"]);
                    rows.push(row);
                }
            }
            Err(error) => {
                eprintln!("error: {error:#}");
                failed += names.len();
                rows.extend(names.iter().map(|name| unmeasured(name, &error)));
            }
        }
    }
    println!("{}", serde_json::to_string_pretty(&rows)?);
    anyhow::ensure!(!rows.is_empty(), "no row is named so");
    anyhow::ensure!(failed == 0, "{failed} rows could not be measured");
    Ok(())
}

/// A row that is not there is not one that is met.
fn unmeasured(name: &str, error: &anyhow::Error) -> Value {
    json!({
        "name": name, "ratio": null, "goal": null, "met": false, "peer": null,
        "note": format!("not measured: {error:#}"),
    })
}
