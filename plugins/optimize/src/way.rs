//! A way of several hops: what each needs, and how to go on.

use liftlock_sdk::prelude::*;

use crate::check::Goal;
use crate::edges::{Leg, way};
use crate::lines::database;
use crate::seen::Seen;

/// The way, where it is longer than one hop.
pub(crate) fn longer(goal: &Goal) -> Option<Vec<Leg>> {
    let legs = way(goal.from.as_ref()?, &goal.asked);
    (legs.len() > 1).then_some(legs)
}

/// One line for each hop.
fn line(number: usize, leg: &Leg, is_opensearch: bool) -> String {
    let needs = match database(&leg.to) {
        Some(needs) => {
            let (product, version) = if is_opensearch {
                ("OpenSearch", needs.opensearch)
            } else {
                ("Elasticsearch", needs.elasticsearch)
            };
            format!(
                "{product} {version} or later of its major, the image camunda/optimize:{0} or the distribution of {0} \
                 on Java {1} or later",
                leg.to, needs.java
            )
        }
        None => "nothing more".to_owned(),
    };
    format!(
        "hop {number}: {} to {} needs {needs} ({})",
        leg.from, leg.to, leg.hop.note
    )
}

fn is_opensearch(seen: &Seen) -> bool {
    seen.identities
        .first()
        .is_some_and(|identity| identity.distribution == Distribution::Opensearch)
}

/// Puts the whole way into the plan, which is of its first hop.
pub(crate) fn say(seen: &Seen, goal: &Goal, plan: &Plan<'_>) {
    for line in lines(seen, goal) {
        plan.summary(&line);
    }
}

fn lines(seen: &Seen, goal: &Goal) -> Vec<String> {
    let Some(legs) = longer(goal) else {
        return Vec::new();
    };
    let mut lines = vec![format!(
        "the way to {} has {} hops, since no minor line may be skipped; this plan is the first of them",
        goal.asked,
        legs.len()
    )];
    lines.extend(
        legs.iter()
            .enumerate()
            .map(|(at, leg)| line(at + 1, leg, is_opensearch(seen))),
    );
    lines.push(format!(
        "after this run: `liftlock plan {}` again, for the next hop",
        goal.asked
    ));
    lines
}

/// The same as a finding.
pub(crate) fn finding(seen: &Seen, goal: &Goal) -> Option<Finding> {
    let legs = longer(goal)?;
    let mut finding = Finding::info("optimize.several-hops")
        .subject(seen.names.metadata())
        .what(format!(
            "the way from {} to {} has {} hops, and a plan does one",
            goal.from.as_ref().map(ToString::to_string).unwrap_or_default(),
            goal.asked,
            legs.len()
        ))
        .why("the vendor's plans are made for neighbouring lines only, so that no minor line may be skipped")
        .remedy(format!(
            "plan and run the first hop; then `liftlock plan {}` again, until nothing is left to do",
            goal.asked
        ));
    for (at, leg) in legs.iter().enumerate() {
        let line = line(at + 1, leg, is_opensearch(seen));
        if let Some((name, text)) = line.split_once(": ") {
            finding = finding.evidence(name, text);
        }
    }
    let (from, last) = (goal.from.as_ref()?, legs.last()?);
    Some(finding.evidence(
        "the vendor's words for an upgrader that skips one",
        format!(
            "Schema version saved in Metadata [{from}] must be one of [{}, {}]",
            last.hop.from, goal.asked
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{goal, ids, site, site_3_13};

    #[test]
    fn a_longer_way_is_shown_with_what_each_hop_needs() {
        let seen = site_3_13();
        let goal = goal(&seen, "8.8.24");
        assert_eq!((goal.to.as_str(), goal.asked.as_str()), ("8.6.0", "8.8.24"));
        let lines = lines(&seen, &goal);
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert!(lines[0].contains("3 hops"), "{lines:?}");
        assert!(
            lines[1].starts_with("hop 1: 3.13.4 to 8.6.0 needs Elasticsearch 8.13")
                && lines[1].contains("Java 21"),
            "{lines:?}"
        );
        assert!(
            lines[3].starts_with("hop 3: 8.7.0 to 8.8.24 needs Elasticsearch 8.16")
                && lines[3].contains("camunda/optimize:8.8.24"),
            "{lines:?}"
        );
        assert_eq!(
            lines[4],
            "after this run: `liftlock plan 8.8.24` again, for the next hop"
        );
        assert!(ids(&seen, "8.8.24").contains(&"info optimize.several-hops".to_owned()));
    }

    #[test]
    fn a_way_of_one_hop_needs_no_words() {
        let seen = site("8.7.4");
        assert!(lines(&seen, &goal(&seen, "8.8.0")).is_empty());
        assert_eq!(finding(&seen, &goal(&seen, "8.8.0")), None);
    }
}
