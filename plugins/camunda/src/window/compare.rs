//! The baseline against what is there now.

use super::Action;
use super::Breach;
use super::Policy;
use super::Watch;

/// What happened since the baseline, the gravest first.
pub fn compare(baseline: &Watch, now: &Watch, policy: &Policy) -> Vec<(Action, Breach)> {
    let mut found = Vec::new();
    for (id, deployment) in &now.deployments {
        if !baseline.deployments.contains_key(id) {
            found.push(Breach::Deployed {
                id: id.clone(),
                deployment: deployment.clone(),
            });
        }
    }
    for id in baseline.deployments.keys() {
        if !now.deployments.contains_key(id) {
            found.push(Breach::Undeployed { id: id.clone() });
        }
    }
    redefined(baseline, now, &mut found);
    let more = |before: u64, now: u64| now > before.saturating_add(policy.trouble_tolerated);
    for (sort, &count) in &now.incidents {
        let before = baseline.incidents.get(sort).copied().unwrap_or(0);
        if more(before, count) {
            found.push(Breach::Incidents {
                sort: sort.clone(),
                before,
                now: count,
            });
        }
    }
    if more(baseline.failed_jobs, now.failed_jobs) {
        found.push(Breach::FailedJobs {
            before: baseline.failed_jobs,
            now: now.failed_jobs,
        });
    }
    for (id, sort) in &now.batches {
        if !baseline.batches.contains_key(id) {
            found.push(Breach::Batch {
                id: id.clone(),
                sort: sort.clone(),
            });
        }
    }
    for (&name, &count) in &now.features {
        let before = baseline.features.get(name).copied().unwrap_or(0);
        if count > before {
            found.push(Breach::Feature {
                name,
                before,
                now: count,
            });
        }
    }
    let mut found: Vec<(Action, Breach)> = found
        .into_iter()
        .map(|breach| (breach.action(policy), breach))
        .collect();
    found.sort_by_key(|(action, _)| std::cmp::Reverse(*action));
    found
}

/// Definitions whose newest version changed in a deployment that the comparison of deployments does not say: one
/// that was there before. What a new or a deleted deployment does to its definitions goes without saying.
fn redefined(baseline: &Watch, now: &Watch, found: &mut Vec<Breach>) {
    let keys = baseline.definitions.keys().chain(now.definitions.keys());
    let mut keys: Vec<_> = keys.collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let (before, after) = (baseline.definitions.get(key), now.definitions.get(key));
        if before == after {
            continue;
        }
        let explains = |id: &Option<String>| {
            id.as_ref().is_some_and(|id| {
                baseline.deployments.contains_key(id) != now.deployments.contains_key(id)
            })
        };
        let of_these = [before, after];
        if of_these
            .iter()
            .flatten()
            .any(|definition| explains(&definition.deployment))
        {
            continue;
        }
        let (sort, name, tenant) = key;
        found.push(Breach::Redefined {
            sort: *sort,
            key: name.clone(),
            tenant: tenant.clone(),
            before: before.map(|definition| definition.version),
            now: after.map(|definition| definition.version),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::BY_A_NODE;
    use super::super::Definition;
    use super::super::Definitions;
    use super::super::Deployment;
    use super::*;

    fn watch() -> Watch {
        let mut watch = Watch::default();
        watch.deployments.insert("d1".into(), deployment(None));
        watch.definitions.insert(
            (Definitions::Process, "work".into(), None),
            definition(1, "d1"),
        );
        watch.incidents.insert("failedJob".into(), 2);
        watch.failed_jobs = 2;
        watch.batches.insert("b1".into(), "migration".into());
        watch.features.insert("comments", 3);
        watch
    }

    fn deployment(source: Option<&str>) -> Deployment {
        Deployment {
            name: Some("orders".into()),
            source: source.map(str::to_owned),
            tenant: None,
        }
    }

    fn definition(version: u64, deployment: &str) -> Definition {
        Definition {
            version,
            deployment: Some(deployment.into()),
        }
    }

    fn told(now: &Watch, policy: &Policy) -> Vec<(Action, String)> {
        let found = compare(&watch(), now, policy);
        found
            .into_iter()
            .map(|(action, breach)| (action, breach.to_string()))
            .collect()
    }

    #[test]
    fn nothing_happened() {
        assert_eq!(told(&watch(), &Policy::default()), []);
        // Less trouble than before, and a batch that ended, are fine.
        let mut now = watch();
        now.incidents.clear();
        now.failed_jobs = 0;
        now.batches.clear();
        assert_eq!(told(&now, &Policy::default()), []);
    }

    #[test]
    fn a_deployment_is_said_once_with_who_made_it() {
        let mut now = watch();
        now.deployments
            .insert("d2".into(), deployment(Some(BY_A_NODE)));
        now.definitions.insert(
            (Definitions::Process, "work".into(), None),
            definition(2, "d2"),
        );
        assert_eq!(
            told(&now, &Policy::default()),
            [(
                Action::Pause,
                "deployment `orders` (d2) came by a node when it started".to_owned()
            )]
        );
        let found = compare(&watch(), &now, &Policy::default());
        assert_eq!(found[0].1.id(), "camunda.deployed-by-a-node");
    }

    #[test]
    fn a_deployment_that_came_and_went_with_its_definition_is_seen_by_what_lacks() {
        let mut now = watch();
        now.deployments.clear();
        now.definitions.clear();
        assert_eq!(
            told(&now, &Policy::default()),
            [(Action::Pause, "deployment d1 is gone".to_owned())]
        );
    }

    #[test]
    fn a_definition_that_changed_without_a_deployment_is_seen() {
        let mut now = watch();
        let key = |tenant: Option<&str>| {
            (
                Definitions::Process,
                "work".to_owned(),
                tenant.map(str::to_owned),
            )
        };
        now.definitions.insert(key(None), definition(2, "d1"));
        now.definitions.insert(key(Some("a")), definition(1, "d1"));
        let texts: Vec<String> = told(&now, &Policy::default())
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(
            texts,
            [
                "process definition `work` went from version 1 to 2",
                "process definition `work` of tenant `a` is new, in version 1",
            ]
        );
    }

    #[test]
    fn each_sort_has_its_action_and_the_gravest_is_first() {
        let mut now = watch();
        now.incidents.insert("failedJob".into(), 3);
        now.failed_jobs = 4;
        now.batches.insert("b2".into(), "set-removal-time".into());
        now.features.insert("comments", 4);
        assert_eq!(
            told(&now, &Policy::default()),
            [
                (Action::Stop, "comments went from 3 to 4".to_owned()),
                (
                    Action::Pause,
                    "batch b2 began, `set-removal-time`".to_owned()
                ),
                (
                    Action::Warn,
                    "incidents of type `failedJob` went from 2 to 3".to_owned()
                ),
                (
                    Action::Warn,
                    "jobs without a retry left went from 2 to 4".to_owned()
                ),
            ]
        );
        let lenient = Policy {
            trouble_tolerated: 1,
            batch: Action::Warn,
            feature: Action::Warn,
            ..Policy::default()
        };
        let found = told(&now, &lenient);
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|(action, _)| *action == Action::Warn));
    }
}
