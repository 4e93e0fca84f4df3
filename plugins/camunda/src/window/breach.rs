//! What can happen in the window.

use std::fmt;

use super::Action;
use super::BY_A_NODE;
use super::Definitions;
use super::Deployment;
use super::Policy;

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

    pub(super) fn action(&self, policy: &Policy) -> Action {
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
