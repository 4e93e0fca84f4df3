//! A rolling upgrade of real engines: what Liftlock adds to a node's own stop and start, and the memory of the run.

use anyhow::Context;
use liftlock_e2e::artifacts;
use liftlock_e2e::proof;
use liftlock_e2e::rolling::{FrontKind, RollingSite, RollingSpec};
use liftlock_lab::DatabaseKind;
use liftlock_lab::camunda::{EngineVersion, PgJdbc};
use tokio::runtime::Runtime;

use crate::row::{Goal, Row};
use crate::stats::{Sample, factor, time};
use crate::timeline::Timeline;

/// What a node may take over its own stop and start.
const OVER_MAX: f64 = 1.05;

/// What the run may take.
const RUN_BYTES_MAX: f64 = 120e6;

/// Three engines: as many measurements.
const SPEC: RollingSpec = RollingSpec {
    from: EngineVersion::V7_22,
    to: EngineVersion::V7_23,
    database: DatabaseKind::PostgreSql,
    nodes: 3,
    group: 1,
    minimum: 1,
    pgjdbc: PgJdbc::ConservativeAutosave,
    front: FrontKind::HaProxy,
};

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
