//! Plans that the host must not take, or not without a person: graph, amounts, undo, destruction, and plugins that
//! change their mind.

use std::time::{Duration, Instant};

use anyhow::bail;
use liftlock_gate::differences;
use liftlock_types::{Grant, Moment, Plan, Severity};

use crate::judge::{Judge, Verdict};
use crate::world::{Planned, World, grant};

/// What stops a plan.
#[derive(Debug, Clone, Copy)]
enum Stop {
    /// The host does not take it; words of its reason.
    Refused(&'static str),
    /// It stands in the plan as a blocker, which a person must waive by name.
    Blocker(&'static str),
}

const PLANS: &[(&str, Stop)] = &[
    (
        "circle",
        Stop::Refused("wait for each other in a circle: a -> b -> c -> a"),
    ),
    ("after-nothing", Stop::Refused("is no step of the plan")),
    ("after-later-phase", Stop::Refused("is in a later phase")),
    (
        "more-than-at-most",
        Stop::Refused("granted at most 1 times, the plan has it 3 times"),
    ),
    (
        "undo-of-another",
        Stop::Refused("names `a-2`, which its change does not"),
    ),
    (
        "undo-destroys",
        Stop::Refused("takes away what its change did not make"),
    ),
    (
        "undo-more-than-at-most",
        Stop::Refused("granted at most 1 times, the plan has it 5 times"),
    ),
    ("undo-outside", Stop::Refused("denied")),
    (
        "undo-by-nothing",
        Stop::Refused("is no step before it that takes a snapshot"),
    ),
    ("undo-not-said", Stop::Refused("has no automatic undo")),
    ("borrows-twice", Stop::Refused("both borrow")),
    (
        "gives-back-nothing",
        Stop::Refused("is no step before it that borrows something"),
    ),
    (
        "rests-on-checksum",
        Stop::Refused("a step cannot rest on it"),
    ),
    (
        "destroys-unproved",
        Stop::Blocker("host.unproved-destruction"),
    ),
    (
        "destroys-early",
        Stop::Blocker("host.destructive-before-contract"),
    ),
    (
        "reindexes-over-another",
        Stop::Blocker("host.reindex-destination"),
    ),
];

/// Longest time for a plan of as many steps as there may be, each after the one behind it.
const CHAIN_PATIENCE: Duration = Duration::from_secs(20);

/// All of them.
pub async fn all(judge: &mut Judge, world: &World) -> anyhow::Result<()> {
    for (what, stop) in PLANS {
        let verdict = one(world, what, *stop, once()).await?;
        judge.count(
            &format!("a plan: {what}"),
            verdict.and_unharmed(world.check().await),
        );
    }
    mind(judge, world).await?;
    dice(judge, world).await?;
    describe(judge, world).await?;
    chain(judge, world).await
}

/// Each verb at most once.
fn once() -> Grant {
    let mut grant = grant();
    for binding in &mut grant.bindings {
        for verb in &mut binding.verbs {
            let counted = ["cluster.delete-index", "cluster.put-settings"];
            if counted.contains(&verb.verb.as_str()) {
                verb.at_most = Some(1);
            }
        }
    }
    grant
}

async fn one(world: &World, what: &str, stop: Stop, grant: Grant) -> anyhow::Result<Verdict> {
    let call = world.call(&[("do", what), ("n", "5")], grant);
    Ok(match (world.plan(&world.plugin, &call).await?, stop) {
        (Planned::Refused(why), Stop::Refused(words)) => Verdict::stopped_by(&why, words),
        (Planned::Taken(plan), Stop::Blocker(id)) => blocker(&plan, id),
        (planned, stop) => Verdict::Escaped(format!("wanted {stop:?}, got {planned:?}")),
    })
}

fn blocker(plan: &Plan, id: &str) -> Verdict {
    let found = plan
        .findings
        .iter()
        .find(|finding| finding.id == id && finding.severity == Severity::Blocker);
    match found {
        Some(finding) => Verdict::Stopped(format!("{id}: {}", finding.what)),
        None => Verdict::Escaped(format!("no blocker {id} among {:?}", plan.findings)),
    }
}

/// A plugin that shows one plan and would run another.
async fn mind(judge: &mut Judge, world: &World) -> anyhow::Result<()> {
    let mut plans = Vec::new();
    for moment in [
        Moment::Asked,
        Moment::BeforePlan,
        Moment::BeforeRun,
        Moment::OnResume,
    ] {
        let mut call = world.call(&[("do", "mind")], grant());
        call.run.moment = moment;
        match world.plan(&world.plugin, &call).await? {
            Planned::Taken(plan) => plans.push(*plan),
            Planned::Refused(why) => bail!("the plugin's mind at {moment:?}: {why}"),
        }
    }
    for (n, when) in [(2, "before the run"), (3, "on resume")] {
        let lines = differences(&plans[0], &plans[n]);
        let verdict = if lines.is_empty() {
            Verdict::Escaped("the host sees no difference".into())
        } else {
            Verdict::Stopped(lines.join("; "))
        };
        judge.count(
            &format!("another plan {when}"),
            verdict.and_unharmed(world.check().await),
        );
    }
    Ok(())
}

/// Plugins whose plan comes from a clock or from chance.
async fn dice(judge: &mut Judge, world: &World) -> anyhow::Result<()> {
    for what in ["clock", "hash-order"] {
        let call = world.call(&[("do", what)], grant());
        let called = world.plugin.plan(&call).await?;
        let verdict = if world.plugin.is_deterministic(&call, &called).await? {
            Verdict::Escaped("the replay gave the same".into())
        } else {
            Verdict::Stopped("its replay gives another plan".into())
        };
        judge.count(
            &format!("a plan from: {what}"),
            verdict.and_unharmed(world.check().await),
        );
    }
    Ok(())
}

/// A plugin cannot describe itself differently to different listeners: nothing tells it who listens.
async fn describe(judge: &mut Judge, world: &World) -> anyhow::Result<()> {
    let first = world.plugin.describe().await?;
    let again = world.plugin.describe().await?;
    let verdict = if first == again {
        Verdict::Stopped("it has no clock, no chance and no handle to decide by".into())
    } else {
        Verdict::Escaped("two descriptions differ".into())
    };
    judge.count(
        "another description",
        verdict.and_unharmed(world.check().await),
    );
    Ok(())
}

/// The order that costs a simple sort the most.
async fn chain(judge: &mut Judge, world: &World) -> anyhow::Result<()> {
    let call = world.call(&[("do", "reversed-chain"), ("n", "10000")], grant());
    let begun = Instant::now();
    let planned = world.plan(&world.plugin, &call).await?;
    let took = begun.elapsed();
    let verdict = match planned {
        Planned::Taken(plan) if took < CHAIN_PATIENCE => Verdict::Stopped(format!(
            "{} steps in order after {took:?}",
            plan.steps.len()
        )),
        Planned::Taken(_) => Verdict::Escaped(format!("it held the host for {took:?}")),
        Planned::Refused(why) => Verdict::Escaped(why),
    };
    judge.count(
        "ten thousand steps, each after the next",
        verdict.and_unharmed(world.check().await),
    );
    Ok(())
}
