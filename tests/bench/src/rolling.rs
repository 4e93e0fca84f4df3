//! A rolling upgrade of real engines: what Liftlock adds to a node's own stop and start, and the memory of the run. And
//! the plan of a site of many.

use anyhow::Context;
use liftlock_e2e::artifacts;
use liftlock_e2e::proof;
use liftlock_e2e::rolling::{RollingSite, RollingSpec};
use tokio::runtime::Runtime;

use crate::engines::{self, Engines, Store};
use crate::ground;
use crate::row::{Goal, Row};
use crate::stats::{Rounds, Sample, Side, factor, growth, time};
use crate::timeline::Timeline;

/// What a node may take over its own stop and start.
const OVER_MAX: f64 = 1.05;

/// What the run may take.
const RUN_BYTES_MAX: f64 = 120e6;

/// Three engines: as many measurements.
const SPEC: RollingSpec = RollingSpec::THREE;

pub(crate) fn run(runtime: &Runtime) -> anyhow::Result<Vec<Row>> {
    let plugin = artifacts::camunda_plugin()?;
    let liftlock = artifacts::liftlock()?;
    runtime.block_on(async {
        let site = RollingSite::start(&liftlock, &plugin, SPEC).await?;
        measure(&site).await
    })
}

/// From the drain of a node until it answers as the new version, by the run's own record, against the same node stopped
/// and started by hand right after. No client works meanwhile, so that nothing is waited for but the node.
async fn measure(site: &RollingSite) -> anyhow::Result<Vec<Row>> {
    let plan = site.approved().await?;
    let told = site.operator.run(&["run", &plan, "--json"]).await?;
    let data = told.expect(0)?.data()?;
    let run = proof::last_run(&site.operator).await?;
    let audit = site.operator.run(&["audit", &run, "--json"]).await?;
    let timeline = Timeline::of(&audit.expect(0)?.data()?)?;
    let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for node in &site.nodes {
        let [drain, start] = ["drain", "start"].map(|what| format!("{}-{what}", node.name));
        let window = timeline.of_steps(&drain, &start)?.seconds();
        let own = site.bounce(node).await?.as_secs_f64();
        ours.push(window);
        bare.push(own);
        ratios.push(window / own);
    }
    let ratios = Sample::new(ratios)?;
    let bytes = data["peak_memory_bytes"]
        .as_f64()
        .context("the run does not say its peak of memory")?;
    Ok(vec![
        Row::new(
            "node-overhead",
            ratios.median(),
            Goal::AtMost(OVER_MAX),
            "the same node stopped and started by hand, until it answers the same questions",
            format!(
                "Camunda {} -> {}, from the first row of the drain to the last of the start: {} against {}, {} times",
                SPEC.from,
                SPEC.to,
                time(Sample::new(ours)?.median()),
                time(Sample::new(bare)?.median()),
                ratios.told(factor),
            ),
        ),
        Row::new(
            "memory-rolling",
            bytes / RUN_BYTES_MAX,
            Goal::AtMost(1.0),
            format!("limit: {:.0} MB", RUN_BYTES_MAX / 1e6),
            format!(
                "peak of `liftlock run` with {} nodes, as the kernel counts it: {:.1} MB",
                SPEC.nodes,
                bytes / 1e6
            ),
        ),
    ])
}

/// Nodes of the site that the goal speaks of.
const NODES: usize = 1_000;

/// Sizes of the cost curve.
const SIZES: [usize; 3] = [100, 300, NODES];

const ROUNDS: usize = 3;

/// What planning the site may take.
const PLAN_SECONDS_MAX: f64 = 1.0;

/// Plans sites of nodes that are one listener, on a real database and behind a real balancer.
pub(crate) fn plan(runtime: &Runtime) -> anyhow::Result<Row> {
    let (plugin, liftlock) = engines::built()?;
    let store = runtime.block_on(Store::start())?;
    let mut sites = Vec::new();
    for size in SIZES {
        sites.push(runtime.block_on(Engines::start(&store, &plugin, &liftlock, size))?);
    }
    let planned = |site: &Engines| -> anyhow::Result<f64> {
        let begun = std::time::Instant::now();
        let told = runtime.block_on(site.operator.run(&["plan", engines::TO.name()]))?;
        let took = begun.elapsed().as_secs_f64();
        told.expect(0)?;
        Ok(took)
    };
    let sides = sites
        .iter()
        .map(|site| -> Side<'_> { Box::new(|| planned(site)) })
        .collect();
    let rounds = Rounds::take(ROUNDS, sides)?;
    let mut points = Vec::new();
    let mut curve = Vec::new();
    for (which, (size, site)) in SIZES.into_iter().zip(&sites).enumerate() {
        let took = rounds.side(which)?.median();
        let before = ground::programs_cpu_seconds()?;
        planned(site)?;
        let own = ground::programs_cpu_seconds()? - before;
        points.push((size as f64, took));
        curve.push(format!(
            "{size} nodes {} ({} of it at work itself)",
            time(took),
            time(own)
        ));
    }
    let took = rounds.side(SIZES.len() - 1)?;
    Ok(Row::new(
        "plan-1000-nodes",
        took.median() / PLAN_SECONDS_MAX,
        Goal::AtMost(1.0),
        format!(
            "limit: {}, nodes that are one listener",
            time(PLAN_SECONDS_MAX)
        ),
        format!(
            "{} from start to exit of `liftlock plan`; curve: {}; it grows with the power {:.2} of the size",
            took.told(time),
            curve.join(", "),
            growth(&points),
        ),
    ))
}
