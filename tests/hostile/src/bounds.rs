//! Loops, recursion, memory and floods: each ends with the limit that it ran into.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use liftlock_sandbox::limits::{LOG_LINE_BYTES_MAX, LOG_LINES_MAX};
use liftlock_sandbox::{FaultKind, Limit, Limits, PluginFault};
use liftlock_types::PLAN_STEPS_MAX;

use crate::guest;
use crate::judge::{Judge, Verdict};
use crate::world::{World, grant};

/// Longest time that any of these may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One guest that runs into one limit.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// The guest's behaviour.
    pub what: &'static str,
    /// How often, or how much.
    pub n: &'static str,
    /// Its export.
    pub export: &'static str,
    /// What it must run into.
    pub limit: Limit,
    /// The limits, lowered where waiting for the real ones would take long.
    pub limits: fn(Limits) -> Limits,
}

const fn bound(
    what: &'static str,
    n: &'static str,
    limit: Limit,
    limits: fn(Limits) -> Limits,
) -> Bound {
    Bound {
        what,
        n,
        export: "inspect",
        limit,
        limits,
    }
}

const fn planned(
    what: &'static str,
    n: &'static str,
    limit: Limit,
    limits: fn(Limits) -> Limits,
) -> Bound {
    Bound {
        what,
        n,
        export: "plan",
        limit,
        limits,
    }
}

fn as_is(limits: Limits) -> Limits {
    limits
}

fn short(limits: Limits) -> Limits {
    Limits {
        cpu_ms_max: 300,
        ..limits
    }
}

fn short_wall(limits: Limits) -> Limits {
    Limits {
        wall_ms_max: 300,
        ..limits
    }
}

/// Whichever of the two ends it: what the host itself works is not the guest's own time.
fn short_both(limits: Limits) -> Limits {
    Limits {
        cpu_ms_max: 60_000,
        wall_ms_max: 1_000,
        ..limits
    }
}

/// All of them.
pub const BOUNDS: &[Bound] = &[
    bound("loop", "", Limit::CpuMs, short),
    bound("allocator-loops", "", Limit::CpuMs, short),
    bound("sleep", "", Limit::WallMs, short_wall),
    bound("recurse", "100000000", Limit::StackBytes, as_is),
    bound("allocate", "", Limit::MemoryBytes, as_is),
    bound("huge-string", "", Limit::CrossingBytes, as_is),
    bound("huge-answer", "", Limit::CrossingBytes, as_is),
    bound("list-longer-than-memory", "", Limit::MemoryBytes, as_is),
    bound("many-facts", "1001", Limit::ListItems, as_is),
    bound("handles", "10001", Limit::Handles, as_is),
    bound("host-calls", "500001", Limit::HostCalls, as_is),
    bound("read-loop", "51", Limit::Reads, |limits| Limits {
        reads_max: 50,
        ..limits
    }),
    bound("read-bytes", "200", Limit::ReadBytes, |limits| Limits {
        read_bytes_max: 4 << 10,
        ..limits
    }),
    bound("json-nested", "1000000", Limit::WallMs, short_both),
    bound("json-keys", "1000000", Limit::WallMs, short_both),
    planned("huge-draft", "80", Limit::HeldBytes, as_is),
    planned("long-text", "65537", Limit::TextBytes, as_is),
    planned("flood-summary", "1001", Limit::ListItems, as_is),
    planned("flood-conditions", "1001", Limit::ListItems, as_is),
];

/// All of them.
pub async fn all(judge: &mut Judge, world: &World) -> anyhow::Result<()> {
    for bound in BOUNDS {
        let verdict = one(world, *bound).await?;
        judge.count(
            &format!("{} {}", bound.what, bound.n),
            verdict.and_unharmed(world.check().await),
        );
    }
    steps(judge, world).await?;
    floods(judge, world).await
}

/// Runs into one bound, or not.
pub async fn one(world: &World, bound: Bound) -> anyhow::Result<Verdict> {
    let limits = (bound.limits)(Limits::default());
    let plugin = guest::load(&world.bytes, limits)?;
    let call = world.call(&[("do", bound.what), ("n", bound.n)], grant());
    let begun = Instant::now();
    let fault = match bound.export {
        "plan" => plugin
            .plan(&call)
            .await
            .map(|called| format!("{:?}", called.value.is_ok())),
        _ => plugin
            .inspect(&call)
            .await
            .map(|called| format!("{:?}", called.value.is_ok())),
    };
    if begun.elapsed() > PATIENCE {
        return Ok(Verdict::Escaped(format!(
            "it held the host for {:?}",
            begun.elapsed()
        )));
    }
    Ok(match fault {
        Err(fault) => of_limit(&fault, bound.limit),
        Ok(answer) => Verdict::Escaped(format!("it came to its end: {answer}")),
    })
}

fn of_limit(fault: &PluginFault, wanted: Limit) -> Verdict {
    match &*fault.what {
        FaultKind::Limit(hit) if hit.limit == wanted => Verdict::Stopped(fault.to_string()),
        _ => Verdict::Escaped(format!("stopped by something else: {fault}")),
    }
}

/// A plan of a million steps ends at the first too many.
async fn steps(judge: &mut Judge, world: &World) -> anyhow::Result<()> {
    let call = world.call(&[("do", "million-steps")], grant());
    let answer = world.plugin.plan(&call).await?.value;
    let verdict = match answer {
        Err(refusal) => Verdict::stopped_by(
            &format!("{refusal:?}"),
            &format!("at most {PLAN_STEPS_MAX} steps"),
        ),
        Ok(proposal) => Verdict::Escaped(format!("{} steps", proposal.steps.len())),
    };
    judge.count(
        "a plan of a million steps",
        verdict.and_unharmed(world.check().await),
    );
    Ok(())
}

/// Floods that are cut and not ended: the call goes on, the host keeps little.
async fn floods(judge: &mut Judge, world: &World) -> anyhow::Result<()> {
    for (what, n) in [
        ("flood-log", "100000"),
        ("flood-stdout", "20000"),
        ("flood-stderr", "20000"),
        ("long-line", "100000"),
    ] {
        let call = world.call(&[("do", what), ("n", n)], grant());
        let called = world.plugin.inspect(&call).await?;
        let longest = called.log.iter().map(String::len).max().unwrap_or_default();
        // Escapes make a line longer than what was said, and a mark says how much was cut.
        let held = called.log.len() <= LOG_LINES_MAX + 1 && longest < 2 * LOG_LINE_BYTES_MAX;
        let kept = format!(
            "{} lines are kept, the longest of {longest} bytes",
            called.log.len()
        );
        let verdict = if held {
            Verdict::Stopped(kept)
        } else {
            Verdict::Escaped(kept)
        };
        judge.count(
            &format!("{what} {n}"),
            verdict.and_unharmed(world.unharmed()),
        );
    }
    let options = BTreeMap::from([
        ("do".to_owned(), "denials".to_owned()),
        ("n".to_owned(), "50".to_owned()),
        ("bytes".to_owned(), (1 << 20).to_string()),
    ]);
    let called = world
        .plugin
        .inspect(&world.call_with(options, grant()))
        .await?;
    let bytes: usize = called
        .denials
        .iter()
        .map(|denial| denial.rule.len() + denial.allowed_by.len() + denial.what.len())
        .sum();
    let kept = format!("{} denials are kept, {bytes} bytes", called.denials.len());
    // A few kibibytes each, where a mebibyte was asked for.
    let verdict = if bytes <= called.denials.len() * (8 << 10) {
        Verdict::Stopped(kept)
    } else {
        Verdict::Escaped(kept)
    };
    judge.count(
        "fifty denials of a name of a mebibyte",
        verdict.and_unharmed(world.check().await),
    );
    Ok(())
}
