//! What the host hands into one call, and what it gets back.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use liftlock_types::{
    Binding, Finding, Grant, Json, Moment, Read, ReadError, Reading, StepId, Target,
};
use serde_json::Value;

use crate::log::LogSink;

/// The site as a plugin sees it.
#[derive(Debug, Clone)]
pub struct SiteView {
    /// Its name.
    pub name: String,
    /// The operator's values, defaults filled in.
    pub options: BTreeMap<String, String>,
    /// What answers at each binding, for people. A plugin sees those that the grant names.
    pub bindings: BTreeMap<Binding, String>,
    /// What the plugin may read and propose.
    pub grant: Grant,
}

/// A step of the approved plan, and what became of it.
#[derive(Debug, Clone)]
pub struct StepView {
    /// Its id.
    pub id: StepId,
    /// What the author kept with it.
    pub memo: Option<Json>,
    /// `applied-ours`, ...; none while it is not concluded.
    pub outcome: Option<String>,
    /// What was seen.
    pub evidence: Option<Json>,
    /// When it was concluded.
    pub at_ms: Option<u64>,
}

/// The run that a call belongs to: a call has no memory, this is its memory.
#[derive(Debug, Clone)]
pub struct RunView {
    /// Why the export is called.
    pub moment: Moment,
    /// Steps of the approved plan, in its order; empty outside a run.
    pub steps: Vec<StepView>,
    /// What captures kept, by name.
    pub captured: BTreeMap<String, Json>,
}

impl RunView {
    /// Outside a run.
    pub fn none(moment: Moment) -> Self {
        Self {
            moment,
            steps: Vec::new(),
            captured: BTreeMap::new(),
        }
    }
}

/// A condition that the plugin is asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What the plugin calls it.
    pub name: String,
    /// What it gave with it when it planned.
    pub input: Json,
    /// What it saw at the look before.
    pub last: Option<Json>,
}

/// One call of a plugin.
#[derive(Clone)]
pub struct Call {
    /// Where.
    pub site: SiteView,
    /// In which run.
    pub run: RunView,
    /// Whereto.
    pub target: Target,
    /// The recorded instant: the only clock, and the only seed, that the plugin has.
    pub now_ms: u64,
    /// Who answers reads.
    pub reader: Arc<dyn ReadSource>,
    /// Who hears the plugin's log.
    pub log: Arc<dyn LogSink>,
}

/// Answers reads. Asked only after the policy allowed the read and its arguments were found within their bounds.
#[async_trait]
pub trait ReadSource: Send + Sync {
    /// The JSON of the record that `liftlock_types::facts` gives for this read.
    async fn read(&self, binding: &Binding, read: &Read) -> Result<Value, ReadError>;
}

/// A read that a call made, and what the plugin was told: names that the grant takes away are left out of it.
pub type ReadMade = (Reading, Result<Value, ReadError>);

/// Something that the policy refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Where.
    pub binding: String,
    /// What: a verb, or `open`.
    pub what: String,
    /// The rule that refused.
    pub rule: String,
    /// The line of the grant that would allow it.
    pub allowed_by: String,
}

/// What a call gave, and what it did on the way.
#[derive(Debug, Clone)]
pub struct Called<T> {
    /// The plugin's answer.
    pub value: T,
    /// Every read that was asked of the [`ReadSource`], in order.
    pub reads: Vec<ReadMade>,
    /// Everything that the policy refused.
    pub denials: Vec<Denial>,
    /// What the plugin said: `info: text`.
    pub log: Vec<String>,
    /// Most linear memory.
    pub peak_memory_bytes: u64,
    /// Wall time, instantiation included.
    pub ms: u64,
}

/// The plugin's own refusal to plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A host call failed and the plugin passed it on.
    #[error("it could not plan")]
    Failed(#[source] ReadError),
    /// What it found forbids the upgrade.
    #[error("it found {} blockers", .0.len())]
    Blocked(Vec<Finding>),
}
