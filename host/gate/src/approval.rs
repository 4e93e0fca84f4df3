//! Approvals: who agreed to which plan, which findings were waived, which steps were let go on.

use std::collections::BTreeSet;

use liftlock_types::{Digest, Plan, Severity, StepId};
use serde::{Deserialize, Serialize};

/// A finding that a person takes the responsibility for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// The finding's id.
    pub finding: String,
    /// Why.
    pub reason: String,
}

/// A step with an approval of its own, or a hand-over that is attested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepApproval {
    /// The step.
    pub step: StepId,
    /// What is attested, or why it may go on.
    pub reason: String,
}

/// One person's approval of one plan, for one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The plan's hash.
    pub plan: Digest,
    /// Who.
    pub by: String,
    /// When, ISO-8601.
    pub at: String,
    /// Findings waived.
    #[serde(default)]
    pub waives: Vec<Waiver>,
    /// Steps let go on.
    #[serde(default)]
    pub steps: Vec<StepApproval>,
}

/// What an approval lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// Not enough people.
    #[error("{have} of {want} approvals of plan `{plan}`")]
    People {
        /// How many there are.
        have: usize,
        /// How many are needed.
        want: usize,
        /// The plan.
        plan: Digest,
    },
    /// A blocker stands.
    #[error("the blocker `{0}` is neither mended nor waived with a reason")]
    Waiver(String),
}

/// What is missing before this plan may run: enough different people, and each blocker waived with a reason.
///
/// With `want` of 1 the maker of the plan may approve; with more, others than the maker must: `made_by` does
/// not count.
pub fn missing(plan: &Plan, made_by: &str, approvals: &[Approval], want: usize) -> Vec<Missing> {
    let hash = plan.hash();
    let ours: Vec<&Approval> = approvals
        .iter()
        .filter(|approval| approval.plan == hash)
        .collect();
    let people: BTreeSet<&str> = ours
        .iter()
        .map(|approval| approval.by.as_str())
        .filter(|by| want <= 1 || *by != made_by)
        .collect();
    let mut missing = Vec::new();
    if people.len() < want {
        missing.push(Missing::People {
            have: people.len(),
            want,
            plan: hash,
        });
    }
    let waived: BTreeSet<&str> = ours
        .iter()
        .flat_map(|approval| &approval.waives)
        .filter(|waiver| !waiver.reason.trim().is_empty())
        .map(|waiver| waiver.finding.as_str())
        .collect();
    let blockers: BTreeSet<&str> = plan
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Blocker)
        .map(|finding| finding.id.as_str())
        .collect();
    missing.extend(
        blockers
            .difference(&waived)
            .map(|id| Missing::Waiver((*id).to_owned())),
    );
    missing
}
