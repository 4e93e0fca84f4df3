//! What speaks against the database's own upgrade, or should be known before it.

use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling::View;

use super::{Nodes, Wanted};
use crate::check::Goal;
use crate::edges::way;
use crate::inspect::named;
use crate::lines::{database, lists};
use crate::seen::Seen;

/// All of it.
pub(crate) fn findings(
    site: &Site,
    seen: &Seen,
    goal: &Goal,
    wanted: &Wanted,
) -> Result<Vec<Finding>> {
    let nodes = Nodes::gather(site)?;
    let mut found = cannot(seen, goal, wanted, &nodes)?;
    found.extend(wanted.rolling(&[]).outages(nodes.view(seen), goal.moment));
    if goal.moment != Moment::OnResume {
        found.extend(leaves_its_line(seen, goal, wanted));
        found.push(comes_first(seen, goal, wanted));
    }
    Ok(found)
}

/// Because of which there can be no plan.
pub(super) fn cannot(
    seen: &Seen,
    goal: &Goal,
    wanted: &Wanted,
    nodes: &Nodes,
) -> Result<Vec<Finding>> {
    let everything = seen.everything.as_ref().ok_or_else(|| {
        Error::Invalid(
            "the cluster has more indices than a list may hold, so that those too old for the new version cannot be told"
                .into(),
        )
    })?;
    let rolling = wanted.rolling(&[]);
    let view: View<'_> = nodes.view(seen);
    let mut found = rolling.cannot_reach(view, everything);
    found.extend(rolling.cannot(view, &nodes.bound));
    found.extend(not_listed(seen, goal, wanted));
    Ok(found)
}

/// A line on the way that does not run on the version: the database is not taken where Optimize cannot follow.
fn not_listed(seen: &Seen, goal: &Goal, wanted: &Wanted) -> Option<Finding> {
    let product = seen.distribution()?;
    let to = wanted.to.parse::<Version>().ok()?;
    let legs = goal.from.as_ref().map(|from| way(from, &goal.asked));
    let mut stops: Vec<Version> = legs
        .unwrap_or_default()
        .into_iter()
        .map(|leg| leg.to)
        .collect();
    stops.push(goal.asked.clone());
    let line = stops.iter().find(|stop| !lists(stop, product, &to))?;
    // Of a line that nobody knows there is a finding of its own.
    let least = database(line)?.least(product);
    Some(
        Finding::blocker("optimize.database-target")
            .subject("option database")
            .what(format!(
                "Optimize {} does not run on {} {to}",
                line.minor_line(),
                named(product)
            ))
            .why("the database is upgraded for Optimize's sake, and no node goes back to an older version")
            .remedy(format!(
                "name {least} or later within its major in the option `database`, then `liftlock plan {}`",
                goal.asked
            ))
            .evidence("option database", &wanted.to)
            .evidence("supported", format!("{least} and later of its major")),
    )
}

/// The line that runs now runs on the version too: Optimize is started again after the run.
pub(super) fn keeps_its_line(seen: &Seen, goal: &Goal, wanted: &Wanted) -> bool {
    match (
        &goal.from,
        seen.distribution(),
        wanted.to.parse::<Version>(),
    ) {
        (Some(from), Some(product), Ok(to)) => lists(from, product, &to),
        _ => false,
    }
}

fn leaves_its_line(seen: &Seen, goal: &Goal, wanted: &Wanted) -> Option<Finding> {
    if keeps_its_line(seen, goal, wanted) {
        return None;
    }
    let line = goal.from.as_ref()?.minor_line();
    Some(
        Finding::warning("optimize.database-leaves-line")
            .subject("option database")
            .what(format!(
                "the line {line}, which runs now, is not known to run on {}",
                wanted.to
            ))
            .why("Optimize stays stopped after this run, until its own upgrade is done")
            .remedy(format!(
                "have the time for both: this plan, then `liftlock plan {}` again",
                goal.asked
            )),
    )
}

fn comes_first(seen: &Seen, goal: &Goal, wanted: &Wanted) -> Finding {
    let mut finding = Finding::info("optimize.database-first")
        .subject("option database")
        .what(format!(
            "the nodes get {} first, and this plan does that alone",
            wanted.to
        ))
        .why(
            "one snapshot is the way back of one plan: nodes of the old version cannot restore what newer ones have \
             taken",
        )
        .remedy(format!(
            "plan and run it; then `liftlock plan {}` again, for Optimize itself",
            goal.asked
        ));
    for (node, version) in seen.versions() {
        finding = finding.evidence(node, version);
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{goal, identity, site, site_3_13};
    use crate::rolling::tests::wanted;

    fn on_opensearch(mut seen: Seen, version: &str) -> Seen {
        seen.identities = vec![identity(Distribution::Opensearch, version)];
        seen.nodes[0].version = version.into();
        seen
    }

    #[test]
    fn a_version_that_a_line_on_the_way_does_not_list_is_refused() {
        let seen = on_opensearch(site("8.7.0"), "2.11.0");
        let refused = |to: &str, asked: &str| {
            let found = not_listed(&seen, &goal(&seen, asked), &wanted(to))?;
            assert_eq!(found.id, "optimize.database-target");
            Some(found.what)
        };
        let told = refused("2.16.0", "8.8.0").unwrap();
        assert_eq!(told, "Optimize 8.8 does not run on OpenSearch 2.16.0");
        assert!(refused("3.3.2", "8.8.0").is_some());
        assert_eq!(refused("2.17.0", "8.8.0"), None);
        assert_eq!(refused("2.16.0", "8.7.4"), None);
    }

    #[test]
    fn the_first_line_that_cannot_follow_is_named() {
        let seen = site_3_13();
        let told = not_listed(&seen, &goal(&seen, "8.8.0"), &wanted("8.12.2")).unwrap();
        assert!(told.what.starts_with("Optimize 8.6 "), "{}", told.what);
        assert!(told.remedy.contains("8.13"), "{}", told.remedy);
    }

    #[test]
    fn a_line_that_is_not_known_to_run_on_it_stays_stopped() {
        let told = |seen: &Seen| leaves_its_line(seen, &goal(seen, "8.8.0"), &wanted("8.19.14"));
        assert_eq!(told(&site("8.7.0")), None);
        let found = told(&site_3_13()).unwrap();
        assert_eq!(found.id, "optimize.database-leaves-line");
        assert_eq!(found.severity, Severity::Warning);
    }
}
