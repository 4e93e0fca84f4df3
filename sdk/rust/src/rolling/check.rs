//! What speaks against a rolling upgrade, or should be known before it.

use crate::capability::Index;
use crate::finding::{Finding, Severity};
use crate::run::Moment;
use crate::told;
use crate::version::Version;

use super::{
    ALLOCATION, Bound, NoWay, Rolling, View, conditions, has_outage_without_manager,
    is_manager_eligible, left_without_copy, members, order, too_old, way,
};

impl Rolling<'_> {
    /// Because of which the cluster cannot get the version at all, before any node is looked at by itself: no way leads there
    /// from a node's version, or a node would not start beside an index. Give it all indices: hidden, closed and system
    /// ones too.
    pub fn cannot_reach(&self, seen: View<'_>, indices: &[Index]) -> Vec<Finding> {
        let mut all = Vec::new();
        let Some(first) = seen.identities.first() else {
            return vec![self.blocker("no-way", "cluster", "no node says what it is")];
        };
        let product = first.distribution;
        let Ok(to) = self.to.parse::<Version>() else {
            let none = NoWay::Target(self.to.to_owned());
            return vec![self.blocker("no-way", "target", none.to_string())];
        };
        for (node, version) in seen.versions() {
            let none = match version.parse::<Version>() {
                Ok(from) => way(product, &from, &to).err().map(|none| none.to_string()),
                Err(error) => Some(error.text()),
            };
            if let Some(none) = none {
                all.push(self.blocker("no-way", node, format!("to {to}: {none}")));
            }
        }
        if !seen.all_are(self.to) {
            for one in too_old(product, indices, &to) {
                all.push(self.blocker("index-too-old", &one.index.name, one.what));
            }
        }
        all
    }

    /// Nodes that do not run the version, to be asked after a run.
    pub fn not_reached(&self, seen: View<'_>) -> Vec<Finding> {
        let of_another = |(_, version): &(&str, &str)| *version != self.to;
        seen.versions()
            .into_iter()
            .filter(of_another)
            .map(|(node, version)| self.blocker("node-of-another-version", node, version))
            .collect()
    }

    /// Because of which there can be no plan: a node that no service is, or that has no such version.
    pub fn cannot(&self, seen: View<'_>, bound: &[Bound]) -> Vec<Finding> {
        let mut all = Vec::new();
        let versions = seen.versions();
        for node in seen.nodes {
            if versions.get(node.name.as_str()).copied() == Some(self.to) {
                continue;
            }
            let Some(service) = members::service_of(bound, &node.name) else {
                let named = bound
                    .iter()
                    .filter(|it| it.node.as_deref() == Some(node.name.as_str()))
                    .count();
                all.push(self.blocker(
                    "node-without-service",
                    &node.name,
                    format!("{named} services have the label `node = \"{}\"`", node.name),
                ));
                continue;
            };
            let has = |all: &Vec<String>| all.iter().any(|its| its == self.to);
            if !service.artifacts.as_ref().is_some_and(has) {
                all.push(self.blocker(
                    "artifact-missing",
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
    pub fn outages(&self, seen: View<'_>, moment: Moment) -> Vec<Finding> {
        let mut all = Vec::new();
        if moment == Moment::OnResume || seen.all_are(self.to) {
            return all;
        }
        let severity = if self.outages_accepted {
            Severity::Warning
        } else {
            Severity::Blocker
        };
        let versions = seen.versions();
        for node in order(seen.nodes) {
            if versions.get(node.name.as_str()).copied() == Some(self.to) {
                continue;
            }
            let left = left_without_copy(seen.shards, &node.name);
            let (only, others): (Vec<_>, Vec<_>) = left.iter().partition(|left| left.is_only_copy);
            if !only.is_empty() {
                all.push(self.found(
                    "no-replica",
                    severity,
                    &node.name,
                    told::first(only.into_iter().map(conditions::told_of), ", "),
                ));
            }
            if !others.is_empty() {
                all.push(self.blocker(
                    "only-started-copy",
                    &node.name,
                    told::first(others.into_iter().map(conditions::told_of), ", "),
                ));
            }
        }
        if has_outage_without_manager(seen.nodes) {
            let eligible = seen.nodes.iter().filter(|node| is_manager_eligible(node));
            all.push(self.found(
                "manager-outage",
                severity,
                "cluster",
                format!(
                    "only {} can be elected",
                    told::first(eligible.map(|node| &node.name), " and ")
                ),
            ));
        }
        let unsettled = conditions::not_settled(seen.shards, seen.nodes);
        if !unsettled.is_empty() {
            all.push(self.blocker("not-settled", "cluster", unsettled));
        }
        if let Some(value) = seen
            .settings
            .get(ALLOCATION)
            .filter(|value| *value != "all")
        {
            all.push(self.blocker("allocation-restricted", ALLOCATION, value));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rolling::fixture::{INDEX, Seen, TO, index, rolling, seen, services, shard};

    fn ids(seen: &Seen) -> Vec<String> {
        let found = rolling(false).outages(seen.view(), Moment::Asked);
        found.into_iter().map(|found| found.id).collect()
    }

    #[test]
    fn every_node_is_one_service_with_the_new_version_beside_it() {
        let cannot = |bound: &[Bound]| -> Vec<String> {
            let found = rolling(false).cannot(seen().view(), bound);
            found.into_iter().map(|it| it.id).collect()
        };
        assert!(cannot(&services()).is_empty());
        let mut twice = services();
        twice[0].node = Some("n2".into());
        let none_and_two = ["acme.node-without-service"; 2];
        assert_eq!(cannot(&twice), none_and_two);
        for artifacts in [None, Some(vec!["8.19.12".to_owned()])] {
            let mut bound = services();
            bound[2].artifacts = artifacts;
            assert_eq!(cannot(&bound), ["acme.artifact-missing"]);
        }
        // Those that are there already need none.
        let mut new = seen();
        (0..3).for_each(|at| new.runs(at, TO));
        assert!(rolling(false).cannot(new.view(), &[]).is_empty());
    }

    #[test]
    fn a_version_that_leads_nowhere_and_an_index_that_is_too_old_are_named_before_a_node_is() {
        let cannot = |seen: &Seen, made_by: u64| -> Vec<String> {
            let found = rolling(false).cannot_reach(seen.view(), &[index(INDEX, made_by)]);
            found
                .into_iter()
                .map(|it| format!("{} {}", it.id, it.subject))
                .collect()
        };
        assert!(cannot(&seen(), 7_171_599).is_empty());
        assert_eq!(cannot(&seen(), 6_082_399), ["acme.index-too-old orders"]);
        let mut old = seen();
        old.runs(1, "7.16.3");
        assert_eq!(cannot(&old, 7_171_599), ["acme.no-way n2"]);
        old.runs(1, "8.19.14");
        assert_eq!(cannot(&old, 7_171_599), ["acme.no-way n2"]);
        let mut new = seen();
        (0..3).for_each(|at| new.runs(at, TO));
        assert!(cannot(&new, 6_082_399).is_empty(), "they run beside it");
        assert!(rolling(false).not_reached(new.view()).is_empty());
        new.runs(0, "7.17.15");
        let left = rolling(false).not_reached(new.view());
        assert_eq!((left.len(), left[0].subject.as_str()), (1, "n1"));
    }

    #[test]
    fn an_index_without_a_replica_is_refused_or_accepted() {
        assert!(ids(&seen()).is_empty());
        let mut alone = seen();
        alone.shards.pop();
        let found = rolling(false).outages(alone.view(), Moment::Asked);
        assert_eq!(found[0].id, "acme.no-replica");
        assert_eq!((found[0].severity, found.len()), (Severity::Blocker, 1));
        assert!(found[0].what.contains(INDEX), "{}", found[0].what);
        assert!(!found[0].remedy.is_empty());
        let found = rolling(true).outages(alone.view(), Moment::Asked);
        assert_eq!(found[0].severity, Severity::Warning);
        let on_resume = rolling(false).outages(alone.view(), Moment::OnResume);
        assert!(on_resume.is_empty());
    }

    #[test]
    fn two_managers_a_restricted_allocation_and_loose_shards_are_named() {
        let mut two = seen();
        two.nodes[2].roles = vec!["ingest".into()];
        assert_eq!(ids(&two), ["acme.manager-outage"]);
        let mut restricted = seen();
        restricted
            .settings
            .insert(ALLOCATION.into(), "primaries".into());
        assert_eq!(ids(&restricted), ["acme.allocation-restricted"]);
        restricted.settings.insert(ALLOCATION.into(), "all".into());
        assert!(ids(&restricted).is_empty());
        let mut loose = seen();
        loose.shards[1] = shard(INDEX, false, None);
        let expected = ["acme.only-started-copy", "acme.not-settled"];
        assert_eq!(ids(&loose), expected);
    }
}
