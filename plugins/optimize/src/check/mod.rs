//! What speaks against the upgrade. Pure: looks at what was seen and reads nothing.
//!
//! Every id is stable and begins with `optimize.`. A check looks at the state, not at what should have happened
//! so far, so that a site in the middle of its upgrade is not called broken when a run is resumed.

mod activity;
mod database;
mod meanwhile;
mod schema;
mod storage;
#[cfg(test)]
mod tests;
mod version;

use std::collections::BTreeSet;

use liftlock_sdk::prelude::*;

use crate::edges::{Hop, hop, way};
use crate::seen::{Metadata, Seen};

pub(crate) use meanwhile::Look;
pub(crate) use version::way_of;

/// Where the upgrade goes, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    /// What the plan says, else what the metadata says.
    pub(crate) from: Option<Version>,
    /// Where this plan ends: the first stop of a longer way, else what was asked for.
    pub(crate) to: Version,
    pub(crate) asked: Version,
    pub(crate) moment: Moment,
    /// Indices that the run in hand made: not somebody else's half-done work.
    pub(crate) made: BTreeSet<String>,
    /// The plan, or the run in hand, is of the database's nodes alone; the way is gone after it.
    pub(crate) is_of_database: bool,
}

impl Goal {
    /// `target.from` is what was there when the plan was made: on resume it counts, not what stands there now.
    pub(crate) fn new(seen: &Seen, target: &Target, run: &Run) -> Result<Self> {
        let planned = target.from.as_deref().map(str::parse).transpose()?;
        let from = planned.or_else(|| seen.version().cloned());
        let mut goal = Self::of(from, target.to.parse()?, run.moment());
        let steps = run.steps();
        let wanted = seen.wanted.as_ref();
        goal.is_of_database = wanted.is_some_and(|wanted| wanted.is_first(seen, &steps));
        for step in steps.iter().filter(|step| step.is_done()) {
            let memo = step.memo_as::<Value>()?.unwrap_or_default();
            goal.made
                .extend(memo["makes"].as_str().map(ToOwned::to_owned));
        }
        Ok(goal)
    }

    /// A way longer than one hop is gone one hop at a time.
    pub(crate) fn of(from: Option<Version>, asked: Version, moment: Moment) -> Self {
        let first = from
            .as_ref()
            .and_then(|from| way(from, &asked).into_iter().next());
        Self {
            from,
            to: first.map_or_else(|| asked.clone(), |leg| leg.to),
            asked,
            moment,
            made: BTreeSet::new(),
            is_of_database: false,
        }
    }

    /// The hop, where there is one.
    pub(crate) fn hop(&self) -> Option<&'static Hop> {
        hop(self.from.as_ref()?, &self.to)
    }
}

/// All findings, the gravest first.
pub(crate) fn findings(seen: &Seen, goal: &Goal) -> Vec<Finding> {
    let mut found = Vec::new();
    version::check(seen, goal, &mut found);
    database::check(seen, goal, &mut found);
    storage::check(seen, goal, &mut found);
    if matches!(seen.metadata, Metadata::NoIndex) {
        // Without a site there is nothing to say about its indices.
        schema::check_templates(seen, &mut found);
    } else {
        schema::check(seen, goal, &mut found);
    }
    activity::check(seen, goal, &mut found);
    graded(found, goal)
}

/// Who else works on this site. `first` is a look from before everything else was read; the second is taken now.
pub(crate) fn others(
    site: &Site,
    seen: &Seen,
    goal: &Goal,
    run: &Run,
    first: &Look,
    found: &mut Vec<Finding>,
) -> Result<()> {
    found.extend(meanwhile::since_plan(seen, goal, &run.steps()));
    found.extend(meanwhile::between(first, &Look::take(site)?, seen, goal));
    Ok(())
}

/// The gravest first, each blocker with what to type once it is mended.
pub(crate) fn graded(found: Vec<Finding>, goal: &Goal) -> Vec<Finding> {
    // Three passes and no sort: the order within a severity stays, and a sort is 8 KB of a component.
    let mut graded = Vec::with_capacity(found.len());
    for severity in [Severity::Blocker, Severity::Warning, Severity::Info] {
        graded.extend(
            found
                .iter()
                .filter(|finding| finding.severity == severity)
                .cloned(),
        );
    }
    for finding in graded
        .iter_mut()
        .filter(|finding| finding.severity == Severity::Blocker)
        .filter(|finding| !finding.remedy.contains("`liftlock "))
    {
        let remedy = &finding.remedy;
        let bare = remedy.strip_suffix("then plan again").unwrap_or(remedy);
        let bare = bare.trim_end_matches([',', ';', ' ']);
        finding.remedy = format!("{bare}; then {}", goal.moment.command(goal.asked.as_str()));
    }
    graded
}

/// Names for a text: at most 12, the rest as a number.
pub(crate) fn some<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN_MAX: usize = 12;
    let shown: Vec<&str> = names.iter().take(SHOWN_MAX).map(AsRef::as_ref).collect();
    match names.len().checked_sub(SHOWN_MAX) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `3.1 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: &[&str] = &["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    let mut scaled = bytes;
    let mut tenths = 0;
    while scaled >= 1024 && unit + 1 < UNITS.len() {
        tenths = (scaled % 1024) * 10 / 1024;
        scaled /= 1024;
        unit += 1;
    }
    match unit {
        0 => format!("{scaled} {}", UNITS[unit]),
        _ => format!("{scaled}.{tenths} {}", UNITS[unit]),
    }
}
