//! Six index updates side by side, over the same one after another, on a real server.
//!
//! The plugin has a hop for tests that gives each process's index a new version: copy, compare, move the aliases, delete.
//! Compared is the time from the first change after the trial restore to the last outcome of the run.

use liftlock_e2e::{Kit, Stage, proof};
use liftlock_lab::SiteSpec;
use tokio::runtime::Runtime;

use crate::ground;
use crate::row::{Goal, Row};
use crate::stats::{Rounds, factor, time};
use crate::timeline::Timeline;

/// Where the hop for tests begins and ends.
const FROM: &str = "8.9.0";
const TO: &str = "8.10.0";

/// Indices that get a new version.
const UPDATES: usize = 6;

/// Documents of each: copying them takes the server seconds, not less than what steers it.
const INSTANCES: usize = 2_000;

/// Each round builds the site twice.
const ROUNDS: usize = 3;

/// What side by side may take of one after another.
const OF_MAX: f64 = 0.7;

pub(crate) fn run(runtime: &Runtime, kit: &Kit) -> anyhow::Result<Row> {
    let kit = kit.with_hop_for_tests()?;
    let rounds = ground::on_server(runtime, &kit, |stage| {
        Rounds::take(
            ROUNDS,
            vec![
                Box::new(|| runtime.block_on(updates(stage, UPDATES))),
                Box::new(|| runtime.block_on(updates(stage, 1))),
            ],
        )
    })?;
    let ratio = rounds.ratio(0, 1)?;
    Ok(Row::new(
        "side-by-side",
        ratio.median(),
        Goal::AtMost(OF_MAX),
        "the same updates one after another",
        format!(
            "{UPDATES} updates of {INSTANCES} documents each on {} {}: {} against {}, {} times",
            ground::SERVER,
            ground::SERVER.version(),
            time(rounds.side(0)?.median()),
            time(rounds.side(1)?.median()),
            ratio.told(factor),
        ),
    ))
}

/// Seconds of the changes of one run with at most so many steps at once.
async fn updates(stage: &Stage, at_once: usize) -> anyhow::Result<f64> {
    let spec = SiteSpec {
        schema_version: FROM.into(),
        process_instances: INSTANCES,
        ..SiteSpec::default().with_processes(UPDATES)
    };
    let round = ground::introduced(stage, &spec).await?;
    ground::past_the_proxy(stage, &round)?;
    round.operator.run(&["plan", TO]).await?.expect(0)?;
    let plan = round.plan_file()?.to_string_lossy().into_owned();
    round.operator.approve(&plan).await?;
    let at_once = at_once.to_string();
    ground::timed(&round, &["run", &plan, "--side-by-side", &at_once]).await?;
    let run = proof::last_run(&round.operator).await?;
    let (_, audit) = ground::timed(&round, &["audit", &run, "--json"]).await?;
    Ok(Timeline::of(&audit)?.changes()?.seconds())
}
