//! What the runner asks of the plugin, through whoever holds its sandbox.

use async_trait::async_trait;
use liftlock_types::{Finding, Moment, Proposal, RecordedRead};

use crate::RunState;

/// A plugin that failed: exit code 40.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct PlannerFault(pub String);

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
