//! Method `snapshot`: a new cluster gets a snapshot of the old one, which stays as it is.
//!
//! - [`asks`]: what it asks for, and its options
//! - [`beside`]: the new cluster, and what speaks against it
//! - [`plan`]: the steps
//! - [`same`]: whether both clusters hold the same
//! - [`pages`]: what its findings mean

pub(crate) mod asks;
mod beside;
pub(crate) mod pages;
mod plan;
mod same;

use liftlock_sdk::prelude::*;

use crate::around::Around;
use crate::check::{blocker, info};
use crate::kuzzle::Kuzzles;
use crate::options::Options;
use crate::seen::Seen;

use asks::{Choices, NEW};
use beside::Beside;

fn not_bound(site: &Site) -> Finding {
    blocker(
        "kuzzle.new-not-bound",
        NEW,
        format!("not bound: {}", beside::unbound(site).join(", ")),
    )
}

/// What both methods share, without what this one sees to itself: the plan registers the store, and in a run that goes on
/// Kuzzle is told of version 8 while the old cluster stays 7.17.
pub(crate) fn of_shared(site: &Site, shared: Vec<Finding>, moment: Moment) -> Result<Vec<Finding>> {
    let registers = Choices::of(site)?.repository.is_some();
    let is_seen_to = |finding: &Finding| match finding.id.as_str() {
        "kuzzle.backups-not-reached" => registers,
        "kuzzle.mode-ahead" => moment == Moment::OnResume,
        // A blocker of its own says it.
        "kuzzle.closed" => true,
        _ => false,
    };
    Ok(shared.into_iter().filter(|it| !is_seen_to(it)).collect())
}

pub(crate) fn findings(
    site: &Site,
    seen: &Seen,
    kuzzles: &Kuzzles,
    options: &Options,
    target: &Target,
    moment: Moment,
) -> Result<Vec<Finding>> {
    let Some(beside) = Beside::gather(site)? else {
        return Ok(vec![not_bound(site)]);
    };
    // What a run has done half is not in its own way.
    if moment == Moment::OnResume {
        return Ok(Vec::new());
    }
    let choices = Choices::of(site)?;
    Ok(beside::cannot(
        seen, &beside, kuzzles, options, &choices, target,
    ))
}

pub(crate) fn propose(
    site: &Site,
    seen: &Seen,
    kuzzles: &Kuzzles,
    options: &Options,
    target: &Target,
    plan: &Plan<'_>,
) -> std::result::Result<(), Refusal> {
    let Some(beside) = Beside::gather(site)? else {
        return Err(Refusal::Blocked(vec![not_bound(site)]));
    };
    let choices = Choices::of(site)?;
    let mut blockers = beside::cannot(seen, &beside, kuzzles, options, &choices, target);
    blockers.retain(|finding| finding.severity == Severity::Blocker);
    if !blockers.is_empty() {
        return Err(Refusal::Blocked(blockers));
    }
    let writer = plan::Writer {
        around: Around {
            site,
            seen,
            kuzzles,
            options,
            to: &target.to,
            plan,
        },
        choices: &choices,
    };
    Ok(writer.write()?)
}

/// After the run: the new cluster is the target's, and what was kept of both sides is the same.
pub(crate) fn validate(site: &Site, run: &Run, target: &Target) -> Result<Vec<Finding>> {
    let Some(beside) = Beside::gather(site)? else {
        return Ok(vec![not_bound(site)]);
    };
    let mut all = Vec::new();
    for (node, version) in &beside.versions {
        if *version != target.to {
            let what = format!("node {node} is {version}");
            all.push(blocker("kuzzle.new-of-another-version", NEW, what));
        }
    }
    let differences = same::compared(run)?;
    for difference in &differences {
        all.push(blocker("kuzzle.collections-differ", NEW, difference));
    }
    if differences.is_empty() {
        all.push(info(
            "kuzzle.collections-same",
            NEW,
            "alias, mapping, documents and checksum of every collection are what they were",
        ));
    }
    Ok(all)
}

/// A condition of this method, by its name.
pub(crate) fn observe(site: &Site, run: &Run, name: &str) -> Result<Option<Observation>> {
    match name {
        same::SAME => same::observe(site, run).map(Some),
        _ => Ok(None),
    }
}
