//! Findings that both methods share.

use liftlock_sdk::prelude::*;

use crate::known;
use crate::kuzzle::Kuzzles;
use crate::options::Options;
use crate::releases::{self, NoWay};
use crate::seen::Seen;

/// What is seen, told under the page of its id.
pub(crate) fn found(
    id: &str,
    severity: Severity,
    subject: &str,
    what: impl Into<String>,
) -> Finding {
    let (means, remedy) = known::page(id);
    let finding = match severity {
        Severity::Blocker => Finding::blocker(id),
        Severity::Warning => Finding::warning(id),
        Severity::Info => Finding::info(id),
    };
    finding
        .subject(subject)
        .what(what)
        .why(means)
        .remedy(remedy)
}

pub(crate) fn blocker(id: &str, subject: &str, what: impl Into<String>) -> Finding {
    found(id, Severity::Blocker, subject, what)
}

pub(crate) fn warning(id: &str, subject: &str, what: impl Into<String>) -> Finding {
    found(id, Severity::Warning, subject, what)
}

pub(crate) fn info(id: &str, subject: &str, what: impl Into<String>) -> Finding {
    found(id, Severity::Info, subject, what)
}

/// Says with each blocker which command looks again.
pub(crate) fn with_command(
    mut found: Vec<Finding>,
    moment: Moment,
    target: &Target,
) -> Vec<Finding> {
    let command = match moment {
        Moment::OnResume => "`liftlock resume`".to_owned(),
        Moment::BeforeRun => "`liftlock run` again".to_owned(),
        _ => format!("`liftlock plan {}`", target.to),
    };
    for finding in &mut found {
        if finding.severity == Severity::Blocker {
            finding.remedy = format!("{}; then {command}", finding.remedy);
        }
    }
    found
}

/// Everything that is found of cluster and Kuzzle, whichever way is taken.
pub(crate) fn findings(
    seen: &Seen,
    _: &Kuzzles,
    _: &Options,
    target: &Target,
    _: Moment,
) -> Vec<Finding> {
    let mut all = Vec::new();
    versions(seen, target, &mut all);
    all
}

/// Where the nodes are, and whether a way leads from there to the target.
fn versions(seen: &Seen, target: &Target, all: &mut Vec<Finding>) {
    let Ok(to) = target.to.parse::<Version>() else {
        all.push(blocker("kuzzle.target", "target", &target.to));
        return;
    };
    for (node, version) in seen.versions() {
        let Ok(from) = version.parse::<Version>() else {
            all.push(blocker("kuzzle.source", node, version));
            continue;
        };
        match releases::way(&from, &to) {
            Ok(()) => {}
            Err(NoWay::Target(what)) => {
                all.push(blocker("kuzzle.target", "target", what));
                return;
            }
            Err(NoWay::Source(what)) => all.push(blocker("kuzzle.source", node, what)),
            Err(NoWay::Newer(what)) => all.push(blocker("kuzzle.backwards", node, what)),
        }
    }
}
