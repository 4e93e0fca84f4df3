//! Planning a site of many indices, on the simulated cluster, and how the cost grows.

use liftlock_e2e::proof::TO;
use liftlock_e2e::{Kit, Round};
use tokio::runtime::Runtime;

use crate::ground::{self, Ground};
use crate::row::{Goal, Row};
use crate::stats::{Rounds, Side, growth, time};

/// Indices of the site that the goal speaks of.
const SITE_INDICES: usize = 1_000;

/// Sizes of the cost curve.
const SIZES: [usize; 4] = [100, 300, SITE_INDICES, 3_000];

const ROUNDS: usize = 5;

/// What planning the site may take.
const SECONDS_MAX: f64 = 1.0;

/// A site of one size, ready to be planned.
struct Site {
    size: usize,
    /// Requests of one plan, which are what a far cluster would make one wait for.
    requests: usize,
    round: Round,
    _ground: Ground,
}

impl Site {
    async fn of(kit: &Kit, size: usize) -> anyhow::Result<Self> {
        let ground = Ground::simulated(kit).await?;
        let round = ground::introduced(&ground.stage, &ground::spec_of(size)).await?;
        ground.stage.proxy.clear();
        ground::timed(&round, &["plan", TO]).await?;
        let requests = ground.stage.proxy.records().len();
        ground::past_the_proxy(&ground.stage, &round)?;
        Ok(Self {
            size: round.facts.indices.len(),
            requests,
            round,
            _ground: ground,
        })
    }

    async fn plan(&self) -> anyhow::Result<f64> {
        Ok(ground::timed(&self.round, &["plan", TO]).await?.0)
    }

    /// Processor seconds of the program alone: the simulated cluster works in this process.
    async fn cpu(&self) -> anyhow::Result<f64> {
        let before = ground::programs_cpu_seconds()?;
        self.plan().await?;
        Ok(ground::programs_cpu_seconds()? - before)
    }
}

pub(crate) fn run(runtime: &Runtime, kit: &Kit) -> anyhow::Result<Row> {
    let mut sites = Vec::new();
    for size in SIZES {
        sites.push(runtime.block_on(Site::of(kit, size))?);
    }
    let sides = sites
        .iter()
        .map(|site| -> Side<'_> { Box::new(|| runtime.block_on(site.plan())) })
        .collect();
    let rounds = Rounds::take(ROUNDS, sides)?;
    let mut points = Vec::new();
    let mut curve = Vec::new();
    for (which, site) in sites.iter().enumerate() {
        let took = rounds.side(which)?.median();
        points.push((site.size as f64, took));
        curve.push(format!(
            "{} indices {} ({} of it at work itself, {} requests)",
            site.size,
            time(took),
            time(runtime.block_on(site.cpu())?),
            site.requests
        ));
    }
    let goal = SIZES.iter().position(|size| *size == SITE_INDICES);
    let took = rounds.side(goal.unwrap_or_default())?;
    let note = format!(
        "{} from start to exit of `liftlock plan`; curve: {}; it grows with the power {:.2} of the size",
        took.told(time),
        curve.join(", "),
        growth(&points),
    );
    Ok(Row::new(
        "plan-1000-indices",
        took.median() / SECONDS_MAX,
        Goal::AtMost(1.0),
        format!("limit: {}, simulated cluster", time(SECONDS_MAX)),
        note,
    ))
}
