//! Findings of this method.

use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling::{self, ALLOCATION};
use liftlock_sdk::told;

use super::conditions;
use super::members::{self, Bound};
use crate::check::{blocker, found, warning};
use crate::options::Options;
use crate::seen::Seen;

/// Because of which there can be no plan: a node that no service is, or that has no such version.
pub(crate) fn cannot(seen: &Seen, bound: &[Bound], target: &Target) -> Vec<Finding> {
    let mut all = Vec::new();
    let versions = seen.versions();
    for node in &seen.nodes {
        if versions.get(node.name.as_str()).copied() == Some(target.to.as_str()) {
            continue;
        }
        let Some(service) = members::service_of(bound, &node.name) else {
            let named = bound
                .iter()
                .filter(|it| it.node.as_deref() == Some(node.name.as_str()))
                .count();
            all.push(blocker(
                "kuzzle.node-without-service",
                &node.name,
                format!("{named} services have the label `node = \"{}\"`", node.name),
            ));
            continue;
        };
        let has = |all: &Vec<String>| all.contains(&target.to);
        if !service.artifacts.as_ref().is_some_and(has) {
            all.push(blocker(
                "kuzzle.artifact-missing",
                &service.binding,
                match &service.artifacts {
                    Some(all) => format!("it can be switched to {}", all.join(", ")),
                    None => "it has no link that could be switched".into(),
                },
            ));
        }
    }
    all
}

/// What the stop of one node after another takes away.
///
/// A run that goes on has stopped one itself: its conditions wait for what is not whole then.
pub(crate) fn outages(
    seen: &Seen,
    options: &Options,
    target: &Target,
    moment: Moment,
) -> Vec<Finding> {
    let mut all = Vec::new();
    let to = target.to.as_str();
    if moment == Moment::OnResume || seen.all_are(to) {
        return all;
    }
    let severity = if options.outages_accepted {
        Severity::Warning
    } else {
        Severity::Blocker
    };
    let versions = seen.versions();
    for node in rolling::order(&seen.nodes) {
        if versions.get(node.name.as_str()).copied() == Some(to) {
            continue;
        }
        let left = rolling::left_without_copy(&seen.shards, &node.name);
        let (only, others): (Vec<_>, Vec<_>) = left.iter().partition(|left| left.is_only_copy);
        if !only.is_empty() {
            all.push(found(
                "kuzzle.no-replica",
                severity,
                &node.name,
                told::first(only.into_iter().map(conditions::told_of), ", "),
            ));
        }
        if !others.is_empty() {
            all.push(blocker(
                "kuzzle.only-started-copy",
                &node.name,
                told::first(others.into_iter().map(conditions::told_of), ", "),
            ));
        }
    }
    if rolling::has_outage_without_manager(&seen.nodes) {
        let eligible = seen
            .nodes
            .iter()
            .filter(|node| rolling::is_manager_eligible(node));
        all.push(found(
            "kuzzle.manager-outage",
            severity,
            "cluster",
            format!(
                "only {} can be elected",
                told::first(eligible.map(|node| &node.name), " and ")
            ),
        ));
    }
    let unsettled = conditions::unsettled(&seen.shards, &seen.nodes);
    if !unsettled.is_empty() {
        all.push(blocker("kuzzle.not-settled", "cluster", unsettled));
    }
    if let Some(value) = seen
        .settings
        .get(ALLOCATION)
        .filter(|value| *value != "all")
    {
        all.push(blocker("kuzzle.allocation-restricted", ALLOCATION, value));
    }
    if options.serves_meanwhile {
        all.push(warning(
            "kuzzle.serves-meanwhile",
            "option meanwhile",
            "Kuzzle goes on in mode 7",
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{INDEX, node, options, seen, seen_new, shard, target};

    fn ids(seen: &Seen, options: &Options) -> Vec<String> {
        outages(seen, options, &target(), Moment::Asked)
            .into_iter()
            .map(|found| found.id)
            .collect()
    }

    fn services() -> Vec<Bound> {
        ["n1", "n2", "n3"]
            .map(|name| Bound {
                binding: format!("service.node-{name}"),
                unit: format!("node-{name}"),
                node: Some(name.into()),
                artifacts: Some(vec!["7.17.15".into(), "8.19.13".into()]),
            })
            .into()
    }

    #[test]
    fn every_node_is_one_service_with_the_new_version_beside_it() {
        let cannot = |bound: &[Bound]| -> Vec<String> {
            let found = cannot(&seen(), bound, &target());
            found.into_iter().map(|it| it.id).collect()
        };
        assert!(cannot(&services()).is_empty());
        let mut twice = services();
        twice[0].node = Some("n2".into());
        let none_and_two = ["kuzzle.node-without-service"; 2];
        assert_eq!(cannot(&twice), none_and_two);
        for artifacts in [None, Some(vec!["8.19.12".to_owned()])] {
            let mut bound = services();
            bound[2].artifacts = artifacts;
            assert_eq!(cannot(&bound), ["kuzzle.artifact-missing"]);
        }
        // Those that are there already need none.
        assert!(super::cannot(&seen_new(), &[], &target()).is_empty());
    }

    #[test]
    fn a_collection_without_a_replica_is_refused_or_accepted() {
        assert!(ids(&seen(), &options()).is_empty());
        let mut alone = seen();
        alone.shards.pop();
        let found = outages(&alone, &options(), &target(), Moment::Asked);
        assert_eq!(found[0].id, "kuzzle.no-replica");
        assert_eq!((found[0].severity, found.len()), (Severity::Blocker, 1));
        assert!(found[0].what.contains(INDEX), "{}", found[0].what);
        let mut accepted = options();
        accepted.outages_accepted = true;
        let found = outages(&alone, &accepted, &target(), Moment::Asked);
        assert_eq!(found[0].severity, Severity::Warning);
        assert!(outages(&alone, &options(), &target(), Moment::OnResume).is_empty());
    }

    #[test]
    fn two_managers_a_restricted_allocation_and_loose_shards_are_named() {
        let mut two = seen();
        two.nodes[2].roles = vec!["ingest".into()];
        assert_eq!(ids(&two, &options()), ["kuzzle.manager-outage"]);
        let mut restricted = seen();
        restricted
            .settings
            .insert(ALLOCATION.into(), "primaries".into());
        assert_eq!(
            ids(&restricted, &options()),
            ["kuzzle.allocation-restricted"]
        );
        restricted.settings.insert(ALLOCATION.into(), "all".into());
        assert!(ids(&restricted, &options()).is_empty());
        let mut loose = seen();
        loose.shards[1] = shard(INDEX, false, None);
        let found = ids(&loose, &options());
        assert_eq!(found, ["kuzzle.only-started-copy", "kuzzle.not-settled"]);
    }

    #[test]
    fn nodes_go_by_order_and_those_that_are_new_are_left_out() {
        let mut mixed = seen();
        mixed.nodes[1] = node("n2", "8.19.13", false);
        mixed.identities[1].version = "8.19.13".into();
        let services = services();
        let names: Vec<&str> = members::behind(&mixed, &services, "8.19.13")
            .iter()
            .map(|member| member.node.name.as_str())
            .collect();
        assert_eq!(names, ["n3", "n1"], "n1 is the elected manager");
    }
}
