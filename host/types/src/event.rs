//! Events of a run, as the journal keeps them: one JSON record per row.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Binding, Change, Digest, Exit, Facts, Planned, ReadError, Reading, StepId, TargetIdentity,
    UnitName, rules,
};

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// Done, and by this run.
    AppliedOurs,
    /// It was so before; nothing was sent.
    TrueNotOurs,
    /// It is so; whose doing it was cannot be told.
    TrueUnknownWhose,
    /// Nothing left this process.
    NotSent,
    /// The target said no.
    Refused,
    /// Some of it.
    Partial,
    /// It was sent and what happened cannot be proved: a person decides.
    Doubt,
    /// It was sent and never answered, its effect is not there, and the run went back instead of sending it again.
    Absent,
}

impl OutcomeKind {
    /// The step needs no more work.
    pub fn is_done(self) -> bool {
        matches!(
            self,
            Self::AppliedOurs | Self::TrueNotOurs | Self::TrueUnknownWhose
        )
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AppliedOurs => "applied-ours",
            Self::TrueNotOurs => "true-not-ours",
            Self::TrueUnknownWhose => "true-unknown-whose",
            Self::NotSent => "not-sent",
            Self::Refused => "refused",
            Self::Partial => "partial",
            Self::Doubt => "doubt",
            Self::Absent => "absent",
        }
    }
}

/// What a change borrows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Borrowed {
    /// Neutral or protective.
    pub kind: rules::Borrow,
    /// Of the binding: `setting/cluster.routing.allocation.enable`, `service`.
    pub key: String,
    /// The value before; null: unset.
    pub old: serde_json::Value,
    /// Ours.
    pub ours: serde_json::Value,
}

/// Written durably before a byte leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The claim's epoch it was made under.
    pub epoch: u64,
    /// Where.
    pub binding: Binding,
    /// What is sent, values filled in.
    pub change: Change,
    /// SHA-256 of the change.
    pub change_hash: Digest,
    /// Where the target can hold one.
    pub token: String,
    /// How sure we can be.
    pub class: rules::Class,
    /// Read right before.
    pub facts: Facts,
    /// The old value, for an automatic undo.
    pub kept: serde_json::Value,
    /// What is borrowed.
    pub borrowed: Option<Borrowed>,
    /// How long the answer is waited for.
    pub deadline_ms: u64,
}

/// Written durably after the read-back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Where.
    pub binding: Binding,
    /// What became of it.
    pub kind: OutcomeKind,
    /// What was seen.
    pub evidence: serde_json::Value,
    /// The facts of the change, read after it.
    pub facts_after: Facts,
    /// The answer was seen, or its effect; false: the request can still land.
    pub accounted: bool,
    /// For people: why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// One read of a capture with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// What was read.
    pub reading: Reading,
    /// What it said.
    pub answer: Result<serde_json::Value, ReadError>,
}

/// Everything that a run writes down. The tag is the row's kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(
    clippy::large_enum_variant,
    reason = "an event lives as long as it takes to write it"
)]
pub enum Event {
    /// The first row of a run.
    RunBegun {
        /// What runs.
        plan: Digest,
        /// The plugin's bytes.
        plugin: Digest,
        /// The site.
        site: String,
        /// From which version.
        from: Option<String>,
        /// To which.
        to: String,
        /// Who runs it.
        by: String,
        /// On which host.
        host: String,
        /// Targets.
        bindings: BTreeMap<Binding, TargetIdentity>,
        /// The approvals that were used, as they were.
        approvals: Vec<serde_json::Value>,
    },
    /// Another process took the run up.
    Resumed {
        /// Who.
        by: String,
        /// On which host.
        host: String,
    },
    /// The claim is ours on this binding.
    Claimed {
        /// Where.
        binding: Binding,
        /// Its epoch.
        epoch: u64,
        /// Its nonce.
        nonce: String,
    },
    /// The claim was taken off.
    Released {
        /// Where.
        binding: Binding,
        /// Its epoch.
        epoch: u64,
    },
    /// Before a change.
    Intent(Intent),
    /// After it.
    Outcome(Outcome),
    /// A capture's answers.
    Captured {
        /// Its name.
        name: String,
        /// In order.
        answers: Vec<Captured>,
    },
    /// What an attempt left beside its effect could not be taken off, or could be at last.
    LeftBeside {
        /// Named; empty: nothing is left any more.
        what: Vec<String>,
    },
    /// A condition held, or was passed over.
    ConditionPassed {
        /// Its label.
        label: String,
        /// What was seen.
        seen: serde_json::Value,
        /// True: it did not hold, and the plan says to go on.
        expired: bool,
    },
    /// A person approved, attested or decided.
    Decided {
        /// What was asked.
        question: String,
        /// What was answered.
        answer: String,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// What was borrowed was given back, or left with a reason.
    GaveBack {
        /// The step that borrowed.
        step: StepId,
        /// It was found as we left it, and put back.
        done: bool,
        /// What was seen.
        seen: serde_json::Value,
        /// For people.
        why: String,
    },
    /// The run goes back: no forward intent comes after this.
    RollbackBegun {
        /// Who asked for it.
        by: String,
        /// Why.
        reason: String,
    },
    /// One unit goes back: no forward intent comes before it is back.
    UnitRollbackBegun {
        /// Which.
        unit: UnitName,
        /// Who asked for it.
        by: String,
        /// Why.
        reason: String,
    },
    /// The unit is as it was before this run; its steps are to be done anew if the run goes on.
    UnitRolledBack {
        /// Which.
        unit: UnitName,
        /// Its steps.
        steps: Vec<StepId>,
    },
    /// How a step is taken back, fixed before the first of its undo changes is sent.
    UndoPlanned {
        /// In order; none: nothing has to be done.
        changes: Vec<Planned>,
    },
    /// The run goes on by another plan.
    Replanned {
        /// The new plan.
        plan: Digest,
        /// The plugin that made it.
        plugin: Digest,
        /// Steps that were done before and are not done again.
        carried: Vec<StepId>,
        /// The approvals that were used, as they were.
        approvals: Vec<serde_json::Value>,
        /// Who.
        by: String,
    },
    /// The claim of a dead runner of this run is about to be superseded by the next epoch.
    TookOver {
        /// Where.
        binding: Binding,
        /// The epoch of the dead runner's claim.
        epoch: u64,
        /// What proves it dead, or who says so and why.
        evidence: String,
        /// Who took over.
        by: String,
        /// On which host.
        host: String,
    },
    /// The run stopped.
    Stopped {
        /// How.
        exit: Exit,
        /// Why.
        why: String,
    },
    /// The last row of a run.
    RunEnded {
        /// `done`, `aborted`, `rolled-back`.
        how: String,
        /// What it leaves behind, named.
        left_behind: Vec<String>,
    },
}

impl Event {
    /// The row's kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RunBegun { .. } => "run-begun",
            Self::Resumed { .. } => "resumed",
            Self::Claimed { .. } => "claimed",
            Self::Released { .. } => "released",
            Self::Intent(_) => "intent",
            Self::Outcome(_) => "outcome",
            Self::Captured { .. } => "captured",
            Self::LeftBeside { .. } => "left-beside",
            Self::ConditionPassed { .. } => "condition-passed",
            Self::Decided { .. } => "decided",
            Self::GaveBack { .. } => "gave-back",
            Self::RollbackBegun { .. } => "rollback-begun",
            Self::UnitRollbackBegun { .. } => "unit-rollback-begun",
            Self::UnitRolledBack { .. } => "unit-rolled-back",
            Self::UndoPlanned { .. } => "undo-planned",
            Self::Replanned { .. } => "replanned",
            Self::TookOver { .. } => "took-over",
            Self::Stopped { .. } => "stopped",
            Self::RunEnded { .. } => "run-ended",
        }
    }
}
