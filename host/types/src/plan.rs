//! The plan: the frozen list of steps, with a hash. What is approved is what runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Binding, Change, Condition, Digest, Finding, Guard, Json, Planned, Reading, StepId, UnitName,
};

/// The plan format this host writes and reads.
pub const PLAN_FORMAT: u32 = 1;

/// Most steps of one plan.
///
/// A site of 1,000 process indices, each with a reindex of nine steps, has 9,000.
pub const PLAN_STEPS_MAX: usize = 10_000;

/// The phases, in order. Destructive changes belong to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Stop writers.
    Prepare,
    /// Snapshot or dump, then trial restore.
    Protect,
    /// New beside old.
    Expand,
    /// Over to the new.
    Switch,
    /// Look.
    Validate,
    /// Delete the old.
    Contract,
}

impl Phase {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Protect => "protect",
            Self::Expand => "expand",
            Self::Switch => "switch",
            Self::Validate => "validate",
            Self::Contract => "contract",
        }
    }
}

/// What a step does: exactly one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// One effect.
    Change(Planned),
    /// Reads that later calls find by this name.
    Capture {
        /// Its name.
        name: String,
        /// In order.
        reads: Vec<Reading>,
    },
    /// Something that only a person can do or attest.
    HandOver {
        /// What.
        text: String,
    },
    /// Gives back what a step borrowed.
    GiveBack {
        /// That step.
        step: StepId,
    },
}

/// How a step is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// The host kept the old value.
    Automatic,
    /// By these, in order.
    Changes(Vec<Planned>),
    /// By restoring what that step took.
    ByRestore(StepId),
    /// It stays: what was there before runs on with it, so that a way back does not need it gone.
    Stays {
        /// Who says so, and why.
        because: String,
    },
    /// It is not.
    None {
        /// Why not.
        because: String,
    },
}

impl Undo {
    /// It takes something out of a snapshot.
    pub fn restores(&self) -> bool {
        match self {
            Self::ByRestore(_) => true,
            Self::Changes(changes) => changes
                .iter()
                .any(|planned| matches!(planned.change, Change::RestoreSnapshot { .. })),
            Self::Automatic | Self::Stays { .. } | Self::None { .. } => false,
        }
    }
}

/// Work in the plugin's own unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// `documents`, `bytes`, `restarts`.
    pub unit: String,
    /// How much.
    pub amount: u64,
}

/// An answer that must be the same when the step runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestsOn {
    /// What is read.
    pub reading: Reading,
    /// What it said when this was planned.
    pub answer: Json,
}

/// Facts that a change rests on: key (`index/NAME/uuid`) to value. Null: it is not there.
pub type Facts = BTreeMap<String, serde_json::Value>;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Unique in the plan.
    pub id: StepId,
    /// Its phase.
    pub phase: Phase,
    /// One line.
    pub title: String,
    /// Why it is there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub because: String,
    /// The part of the plan that is taken back by itself: one node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,
    /// Steps that must be concluded before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<StepId>,
    /// The one thing it does.
    pub body: Body,
    /// How it is taken back.
    pub undo: Undo,
    /// Waited for before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opens_when: Vec<Condition>,
    /// Waited for after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends_when: Vec<Condition>,
    /// What the plugin marked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rests_on: Vec<RestsOn>,
    /// What its kind rests on, read by the host when it was planned.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: Facts,
    /// How much there is to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub work: Vec<Work>,
    /// Peak of additional bytes, by node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub peak_disk: BTreeMap<String, u64>,
    /// It wants an approval of its own: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_approval: Option<String>,
    /// The author's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<Json>,
}

impl Step {
    /// Its change, where it has one.
    pub fn change(&self) -> Option<&Planned> {
        match &self.body {
            Body::Change(planned) => Some(planned),
            _ => None,
        }
    }
}

/// What a person has to do outside the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// One line.
    pub title: String,
    /// With the exact values for this site.
    pub text: String,
}

/// What a plugin proposed: the draft, closed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// In the author's order.
    pub steps: Vec<Step>,
    /// What must hold over spans of them.
    pub guards: Vec<Guard>,
    /// For people.
    pub summary: Vec<String>,
    /// What stays undone.
    pub not_done: Vec<String>,
    /// What a person has to do outside.
    pub hand_overs: Vec<HandOver>,
}

/// The target of a binding, as it was when planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetIdentity {
    /// Unique and lasting: a cluster's uuid, a directory's device and inode, a service's definition hash.
    pub fingerprint: String,
    /// For people: `OpenSearch 2.19.1 at http://127.0.0.1:9200`.
    pub product: String,
}

/// The plugin that made a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its bytes.
    pub digest: Digest,
}

/// The frozen plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_FORMAT`].
    pub format: u32,
    /// The site's name.
    pub site: String,
    /// The product.
    pub product: String,
    /// Who planned.
    pub plugin: PluginRef,
    /// Version found.
    pub from: Option<String>,
    /// Version to reach.
    pub to: String,
    /// The targets.
    pub bindings: BTreeMap<Binding, TargetIdentity>,
    /// [`crate::Grant::hash`] of the grant it was checked against.
    pub grant: Digest,
    /// The options it was made with.
    pub options: BTreeMap<String, String>,
    /// For people.
    pub summary: Vec<String>,
    /// In the order in which they run.
    pub steps: Vec<Step>,
    /// What must hold over spans of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<Guard>,
    /// The first step after which only a restore goes back; none: every step can be undone.
    pub point_of_no_return: Option<StepId>,
    /// Findings of the plugin's check and of the host's own rules when it was planned.
    pub findings: Vec<Finding>,
    /// What stays undone.
    pub not_done: Vec<String>,
    /// What a person has to do outside.
    pub hand_overs: Vec<HandOver>,
}

impl Plan {
    /// SHA-256 of the canonical form: compact JSON with the fields in the order of this type.
    pub fn hash(&self) -> Digest {
        match serde_json::to_vec(self) {
            Ok(bytes) => Digest::of(&bytes),
            Err(error) => unreachable!("a plan is always JSON: {error}"),
        }
    }

    /// A step by its id.
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == *id)
    }
}

/// One read made while planning: what it said, short, for the drift report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedRead {
    /// What was read.
    pub reading: Reading,
    /// The answer; a long one as its hash.
    pub answer: String,
}

/// A plan file: the plan, its hash, and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// [`Plan::hash`].
    pub hash: Digest,
    /// ISO-8601.
    pub made_at: String,
    /// Who.
    pub made_by: String,
    /// What an approval covers.
    pub plan: Plan,
    /// For the drift report; not covered by the hash.
    pub reads: Vec<RecordedRead>,
}

/// A plan file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanFileError {
    /// It is no plan file.
    #[error("it is no plan file of format {PLAN_FORMAT}")]
    Format(#[source] serde_json::Error),
    /// It was edited.
    #[error(
        "its hash is `{written}`, its content has `{computed}`: it was changed after it was made"
    )]
    Changed {
        /// In the file.
        written: Digest,
        /// Of its content.
        computed: Digest,
    },
    /// Made by another version.
    #[error("it has format {0}, this host reads {PLAN_FORMAT}")]
    OtherFormat(u32),
}

impl PlanFile {
    /// Parses and verifies the hash.
    pub fn parse(text: &str) -> Result<Self, PlanFileError> {
        let file: Self = serde_json::from_str(text).map_err(PlanFileError::Format)?;
        if file.plan.format != PLAN_FORMAT {
            return Err(PlanFileError::OtherFormat(file.plan.format));
        }
        let computed = file.plan.hash();
        if computed != file.hash {
            return Err(PlanFileError::Changed {
                written: file.hash,
                computed,
            });
        }
        Ok(file)
    }
}
