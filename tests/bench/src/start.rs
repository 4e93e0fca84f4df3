//! From the start of the program to its first byte of output, with the plugin compiled before.

use std::time::Instant;

use anyhow::Context;
use liftlock_e2e::{Kit, Round, proof};
use liftlock_lab::SiteSpec;
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;

use crate::ground::{self, Ground};
use crate::row::{Goal, Row};
use crate::stats::{Rounds, Side, time};

const ROUNDS: usize = 25;

/// What a person may wait for the first sign of life.
const SECONDS_MAX: f64 = 0.1;

/// Name of the plugin, as `plugin show` takes it.
const PLUGIN: &str = "camunda-optimize";

pub(crate) fn run(runtime: &Runtime, kit: &Kit) -> anyhow::Result<Vec<Row>> {
    let ground = runtime.block_on(Ground::simulated(kit))?;
    let round = runtime.block_on(ground::introduced(&ground.stage, &SiteSpec::default()))?;
    let plan = runtime.block_on(proof::plan(&round))?;
    let commands: [(&str, Vec<&str>); 3] = [
        ("start-show-plan", vec!["show", &plan]),
        ("start-show-plugin", vec!["plugin", "show", PLUGIN]),
        ("start-version", vec!["--version"]),
    ];
    let sides = commands
        .iter()
        .map(|(_, command)| -> Side<'_> {
            Box::new(|| runtime.block_on(first_byte(&round, command)))
        })
        .collect();
    let rounds = Rounds::take(ROUNDS, sides)?;
    let mut rows = Vec::new();
    for (which, &(name, ref command)) in commands.iter().enumerate() {
        let took = rounds.side(which)?;
        let shown = command
            .iter()
            .map(|word| if *word == plan { "PLAN" } else { *word });
        rows.push(Row::new(
            name,
            took.median() / SECONDS_MAX,
            Goal::AtMost(1.0),
            format!("limit: {}, compiled plugin kept", time(SECONDS_MAX)),
            format!(
                "`liftlock {}`: first byte after {}",
                shown.collect::<Vec<_>>().join(" "),
                took.told(time)
            ),
        ));
    }
    Ok(rows)
}

async fn first_byte(round: &Round, command: &[&str]) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut child = round.operator.start(command)?;
    let mut output = child.stdout.take().context("the command has no output")?;
    let mut byte = [0];
    let got = output.read(&mut byte).await?;
    let took = begun.elapsed().as_secs_f64();
    anyhow::ensure!(got == 1, "`liftlock {}` says nothing", command.join(" "));
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).await?;
    let ended = child.wait().await?;
    anyhow::ensure!(ended.success(), "`liftlock {}` {ended}", command.join(" "));
    Ok(took)
}
