//! What the runner asks of the plugin, through whoever holds its sandbox.

use async_trait::async_trait;
use liftlock_types::{Evaluated, Finding, Json, Moment, Proposal, ReadError, RecordedRead};
use serde_json::Value;

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

/// A condition that the plugin is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What the plugin calls it.
    pub name: &'a str,
    /// What it gave with it when it planned.
    pub input: &'a Json,
    /// What it saw when it was asked last.
    pub last: Option<&'a Value>,
}

/// The plugin of a run, bound to its site.
#[async_trait]
pub trait Planner: Send + Sync {
    /// Its findings at this moment.
    async fn check(&self, moment: Moment, state: &RunState) -> Result<Vec<Finding>, PlannerFault>;

    /// The plan as it would make it now.
    async fn plan(&self, state: &RunState) -> Result<Replanned, PlannerFault>;

    /// Whether a condition holds that only the plugin can judge. It can keep a step from beginning or a run from going
    /// on; that a change was made is never believed on its word.
    async fn observe(&self, asked: Asked<'_>, state: &RunState) -> Result<Evaluated, PlannerFault>;

    /// Its findings after the last step.
    async fn validate(&self, state: &RunState) -> Result<Vec<Finding>, PlannerFault>;
}
