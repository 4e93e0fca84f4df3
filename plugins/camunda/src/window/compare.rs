//! The baseline against what is there now.

use std::fmt;
use std::str::FromStr;

use super::BY_A_NODE;
use super::Definitions;
use super::Deployment;
use super::Watch;

/// What to do about something that happened in the window. The strongest holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Say it and go on.
    Warn,
    /// Take no further node until a person has looked at it.
    Pause,
    /// End the run: the nodes stay as they are, the schema too.
    Stop,
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "warn" => Ok(Self::Warn),
            "pause" => Ok(Self::Pause),
            "stop" => Ok(Self::Stop),
            other => Err(format!(
                "`{}` is none of `warn`, `pause`, `stop`",
                other.escape_debug()
            )),
        }
    }
}

/// What the operator chose for each sort of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Something was deployed, or a deployment or definition is gone.
    pub deployment: Action,
    /// There are more incidents or failed jobs than before.
    pub trouble: Action,
    /// So many more of them are no matter.
    pub trouble_tolerated: u64,
    /// A batch began.
    pub batch: Action,
    /// A feature of the newer version was used: the older engines may not read what it wrote.
    pub feature: Action,
}

impl Default for Policy {
    /// What is forbidden by the vendor pauses; what may have other reasons warns; what an older engine cannot read
    /// stops.
    fn default() -> Self {
        Self {
            deployment: Action::Pause,
            trouble: Action::Warn,
            trouble_tolerated: 0,
            batch: Action::Pause,
            feature: Action::Stop,
        }
    }
}

/// Something that happened since the baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Breach {
    /// Somebody deployed.
    Deployed {
        /// The deployment's id.
        id: String,
        /// What is known of it.
        deployment: Deployment,
    },
    /// A deployment was deleted.
    Undeployed {
        /// Its id.
        id: String,
    },
    /// A definition has another newest version, also where its deployment was already there.
    Redefined {
        /// What it is.
        sort: Definitions,
        /// Its key.
        key: String,
        /// Its tenant.
        tenant: Option<String>,
        /// Its newest version before; none for a new one.
        before: Option<u64>,
        /// Its newest version now; none for one that is gone.
        now: Option<u64>,
    },
    /// More incidents of a type.
    Incidents {
        /// The type.
        sort: String,
        /// How many there were.
        before: u64,
        /// How many there are.
        now: u64,
    },
    /// More jobs without a retry left.
    FailedJobs {
        /// How many there were.
        before: u64,
        /// How many there are.
        now: u64,
    },
    /// A batch began.
    Batch {
        /// Its id.
        id: String,
        /// What it does.
        sort: String,
    },
    /// A feature of the newer version was used.
    Feature {
        /// Which.
        name: &'static str,
        /// Rows that show it, before.
        before: u64,
        /// Rows that show it.
        now: u64,
    },
}

impl Breach {
    /// The finding that explains it.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Deployed { deployment, .. } if deployment.is_by_a_node() => {
                "camunda.deployed-by-a-node"
            }
            Self::Deployed { .. } | Self::Undeployed { .. } | Self::Redefined { .. } => {
                "camunda.deployed-in-the-window"
            }
            Self::Incidents { .. } => "camunda.more-incidents",
            Self::FailedJobs { .. } => "camunda.more-failed-jobs",
            Self::Batch { .. } => "camunda.batch-in-the-window",
            Self::Feature { .. } => "camunda.new-feature-used",
        }
    }

    fn action(&self, policy: &Policy) -> Action {
        match self {
            Self::Deployed { .. } | Self::Undeployed { .. } | Self::Redefined { .. } => {
                policy.deployment
            }
            Self::Incidents { .. } | Self::FailedJobs { .. } => policy.trouble,
            Self::Batch { .. } => policy.batch,
            Self::Feature { .. } => policy.feature,
        }
    }
}

impl Deployment {
    /// A node deployed it when it started: its application brings models of its own, and the upgraded one brings
    /// others.
    pub fn is_by_a_node(&self) -> bool {
        self.source.as_deref() == Some(BY_A_NODE)
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployed { id, deployment } => {
                let name = deployment.name.as_deref().unwrap_or("without a name");
                let source = match deployment.source.as_deref() {
                    Some(BY_A_NODE) => "by a node when it started".to_owned(),
                    Some(source) => format!("from `{source}`"),
                    None => "from nowhere named".to_owned(),
                };
                write!(f, "deployment `{name}` ({id}) came {source}")
            }
            Self::Undeployed { id } => write!(f, "deployment {id} is gone"),
            Self::Redefined {
                sort,
                key,
                tenant,
                before,
                now,
            } => {
                write!(f, "{sort} `{key}`")?;
                if let Some(tenant) = tenant {
                    write!(f, " of tenant `{tenant}`")?;
                }
                match (before, now) {
                    (_, None) => write!(f, " is gone"),
                    (None, Some(now)) => write!(f, " is new, in version {now}"),
                    (Some(before), Some(now)) => write!(f, " went from version {before} to {now}"),
                }
            }
            Self::Incidents { sort, before, now } => {
                write!(f, "incidents of type `{sort}` went from {before} to {now}")
            }
            Self::FailedJobs { before, now } => {
                write!(f, "jobs without a retry left went from {before} to {now}")
            }
            Self::Batch { id, sort } => write!(f, "batch {id} began, `{sort}`"),
            Self::Feature { name, before, now } => {
                write!(f, "{name} went from {before} to {now}")
            }
        }
    }
}

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
    use super::super::Definition;
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

    #[test]
    fn an_action_is_one_of_three_words() {
        assert_eq!("pause".parse(), Ok(Action::Pause));
        assert!(
            "Pause"
                .parse::<Action>()
                .unwrap_err()
                .contains("`warn`, `pause`, `stop`")
        );
    }
}
