//! What the runner asks of the plugin, through whoever holds its sandbox.

use async_trait::async_trait;
use liftlock_types::{Finding, Moment, Proposal, ReadError, RecordedRead};

use crate::RunState;

/// Why the plugin gave no answer that can be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PlannerFault {
    /// It failed, trapped or hit a limit: exit code 40.
    #[error("{0}")]
    Plugin(String),
    /// It passed on that a target gave no answer; nothing is wrong with the plugin.
    #[error("the plugin could not {doing}")]
    Target {
        /// `check the site`, `validate`.
        doing: &'static str,
        /// What the target said.
        #[source]
        error: ReadError,
    },
    /// It refuses, with its reasons.
    #[error("the plugin refuses to plan again: {0}")]
    Refused(String),
}

/// What planning again gave.
#[derive(Debug, Clone)]
pub struct Replanned {
    /// The proposal.
    pub proposal: Proposal,
    /// What it was made from.
    pub reads: Vec<RecordedRead>,
}

/// The plugin of a run, bound to its site.
#[async_trait]
pub trait Planner: Send + Sync {
    /// Its findings at this moment.
    async fn check(&self, moment: Moment, state: &RunState) -> Result<Vec<Finding>, PlannerFault>;

    /// The plan as it would make it now.
    async fn plan(&self, state: &RunState) -> Result<Replanned, PlannerFault>;

    /// Its findings after the last step.
    async fn validate(&self, state: &RunState) -> Result<Vec<Finding>, PlannerFault>;
}
