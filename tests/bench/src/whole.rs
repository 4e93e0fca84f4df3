//! A whole upgrade on a real server, against a bare loop that sends the same requests to the same site.
//!
//! One upgrade goes through the lab's proxy, which records what is asked. Then, in turns, the site is built anew and
//! upgraded, with nothing in between; and built anew and sent the recorded requests. Set apart, on both sides:
//! snapshot and trial restore, by the times of the run's own record. The plugin watches for no time at all that
//! nothing is written, so that there is no wait of its own choosing in the run.

use anyhow::Context;
use liftlock_e2e::proof;
use liftlock_e2e::{Kit, Stage};
use liftlock_lab::{Record, SiteSpec};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::ground;
use crate::replay::{Replayed, replay};
use crate::row::{Goal, Row};
use crate::stats::{Rounds, Sample, factor, time};
use crate::timeline::{Timeline, instant_ms};

/// Each round builds the site twice.
const ROUNDS: usize = 5;

/// What the whole run may cost over its own requests.
const OVER_MAX: f64 = 1.3;

/// Durable writes that a step may make.
const WRITES_EACH_MAX: f64 = 2.0;

/// What was seen of one upgrade.
struct Upgrade {
    wall: f64,
    backup: f64,
    timeline: Timeline,
    /// The answer of `liftlock run --json`.
    data: Value,
}

pub(crate) fn run(runtime: &Runtime, kit: &Kit) -> anyhow::Result<Vec<Row>> {
    ground::on_server(runtime, kit, |stage| measure(runtime, stage))
}

fn measure(runtime: &Runtime, stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let (records, seen) = runtime.block_on(recorded(stage))?;
    let mut apart = Vec::new();
    let mut sent = 0;
    let rounds = Rounds::take(
        ROUNDS,
        vec![
            Box::new(|| {
                let done = runtime.block_on(upgrade(stage, false))?;
                apart.push(done.backup);
                Ok(done.wall - done.backup)
            }),
            Box::new(|| {
                let done = runtime.block_on(looped(stage, &records))?;
                sent = done.requests;
                Ok(done.seconds)
            }),
        ],
    )?;
    let ratio = rounds.ratio(0, 1)?;
    let took = rounds.side(0)?;
    let apart = Sample::new(apart)?;
    let whole = Row::new(
        "whole-run",
        ratio.median(),
        Goal::AtMost(OVER_MAX),
        "the same requests from a bare loop on one kept connection",
        format!(
            "`liftlock run` 8.7 -> 8.8 on {} {}, start of the process to its exit: {} against {} for {sent} requests, \
             {} times; set apart on both sides: snapshot and trial restore, {}; no quiet wait (`quiet-seconds = 0`)",
            ground::SERVER,
            ground::SERVER.version(),
            took.told(time),
            time(rounds.side(1)?.median()),
            ratio.told(factor),
            time(apart.median()),
        ),
    );
    Ok(vec![whole, durable_writes(&seen)?])
}

/// Rows that steps wrote, over the steps of the run. A commit has one row at least, so there are no more commits.
fn durable_writes(seen: &Upgrade) -> anyhow::Result<Row> {
    let writes = seen.data["durable_writes"]
        .as_u64()
        .context("the run does not say what it wrote durably")?;
    let (steps, rows) = (seen.timeline.steps(), seen.timeline.rows_of_steps());
    let each = rows as f64 / steps as f64;
    Ok(Row::new(
        "durable-writes",
        each / WRITES_EACH_MAX,
        Goal::AtMost(1.0),
        format!("limit: {WRITES_EACH_MAX} durable writes a step"),
        format!(
            "{rows} rows of {steps} steps, each a commit of its own: {each:.2} a step, at most {} of one step; \
             {writes} commits in all, the rest the run's own (begun, claimed, ended, released, pinned files)",
            seen.timeline.rows_of_a_step_max()
        ),
    ))
}

/// An upgrade through the proxy: its requests without those of snapshot and trial restore.
async fn recorded(stage: &Stage) -> anyhow::Result<(Vec<Record>, Upgrade)> {
    let seen = upgrade(stage, true).await?;
    let window = seen.timeline.backup()?;
    let mut records = Vec::new();
    for record in stage.proxy.records() {
        let at = instant_ms(&record.at).context("a record has no instant")?;
        if !window.holds(at) {
            records.push(record);
        }
    }
    Ok((records, seen))
}

/// Builds the site anew and upgrades it; through the proxy, which then holds the requests of the run alone.
async fn upgrade(stage: &Stage, is_recorded: bool) -> anyhow::Result<Upgrade> {
    let round = ground::introduced(stage, &SiteSpec::default()).await?;
    if !is_recorded {
        ground::past_the_proxy(stage, &round)?;
    }
    let plan = proof::approved(&round).await?;
    stage.proxy.clear();
    let (wall, data) = ground::timed(&round, &["run", &plan, "--json"]).await?;
    // What is asked from here on is not the run's.
    let run = proof::last_run(&round.operator).await?;
    let (_, audit) = ground::timed(&round, &["audit", &run, "--json"]).await?;
    let timeline = Timeline::of(&audit)?;
    Ok(Upgrade {
        wall,
        backup: timeline.backup()?.seconds(),
        timeline,
        data,
    })
}

/// Builds the site anew and sends it what was recorded.
async fn looped(stage: &Stage, records: &[Record]) -> anyhow::Result<Replayed> {
    let _round = ground::introduced(stage, &SiteSpec::default()).await?;
    replay(stage.target.base_url(), records).await
}
