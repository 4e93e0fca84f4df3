//! What the gate asks of a capability: one trait, the same for each.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Borrowed;
use crate::{
    Binding, Change, Facts, Planned, Predicate, Read, ReadError, RunId, StepId, TargetIdentity,
};

/// What a capability knows about the attempt it works for.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// From 1; for names in the target. An identical repeat has the same.
    pub number: u32,
    /// Goes where the target can hold it.
    pub token: String,
    /// When the intent was written, milliseconds since 1970.
    pub intent_at_ms: i64,
    /// What [`Capability::observe`] kept.
    pub kept: Value,
    /// The facts read right before the intent.
    pub facts: Facts,
    /// What [`Capability::act`] answered, in this process.
    pub answer: Option<Value>,
    /// Evidence of the outcome of the step that the change refers to.
    pub referred: Option<Value>,
    /// Objects that this run made, by fact key (`index/NAME/uuid`).
    pub made_by_run: BTreeMap<String, Value>,
}

impl Attempt {
    /// Its intent was written less than so many milliseconds ago. A clock that was set back makes none young for ever.
    fn is_younger_than(&self, ms: i64) -> bool {
        let now_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            });
        (0..ms).contains(&(now_ms - self.intent_at_ms))
    }
}

/// What was found before anything is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The post-condition reads true already.
    pub already_true: bool,
    /// What was seen.
    pub evidence: Value,
    /// The old value, for undo and give-back.
    pub kept: Value,
    /// What the change borrows.
    pub borrowed: Option<Borrowed>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Acted {
    /// Nothing left this process, or the target provably took nothing in (connection refused).
    NotSent(String),
    /// The target answered yes. No evidence yet; the value helps the probe (a task's id).
    Answered(Value),
    /// The target answered no, and nothing changed.
    Refused {
        /// Its status.
        status: u16,
        /// Its name for the error.
        kind: String,
        /// Its text.
        text: String,
        /// It may say yes later (a snapshot runs, too many requests).
        later: bool,
    },
    /// It was sent, and no answer, or one that is no evidence, came back.
    Unanswered(String),
}

/// How far a long change is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Done so far.
    pub done: u64,
    /// Of how much; 0: unknown.
    pub total: u64,
    /// `documents`, `shards`, `bytes`.
    pub unit: String,
    /// For people.
    pub note: String,
}

/// The five answers of a probe, each with what was seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Probed {
    /// No effect is to be seen. Not stable while the request is unaccounted.
    Absent(Value),
    /// The target works on it.
    InProgress(Progress),
    /// The post-condition of the table reads true.
    Applied {
        /// What was seen.
        evidence: Value,
        /// It is this run's doing; false: whose it is cannot be told.
        ours: bool,
    },
    /// Some of it.
    Partial(Value),
    /// It cannot be told.
    Indeterminate(Value),
}

/// How long after its intent the post-condition of a request that no kind of change covers may read false and the request
/// still be on its way, milliseconds.
///
/// A minute: twice the 30 s that a search node waits for its manager and that any server is given to say anything.
const OWN_CONDITION_MS: i64 = 60_000;

impl Probed {
    /// Of a request of which nothing is known but its own post-condition, as it reads now.
    pub fn by_own_condition(found: &Evaluated, evidence: Value, attempt: &Attempt) -> Self {
        if found.holds {
            Self::Applied {
                evidence,
                ours: false,
            }
        } else if attempt.is_younger_than(OWN_CONDITION_MS) {
            Self::InProgress(Progress {
                done: 0,
                total: 0,
                unit: "requests".into(),
                note: format!("its post-condition does not read true yet: {}", found.why),
            })
        } else {
            // Nothing tells whether it did nothing, half of it, or something else.
            Self::Indeterminate(evidence)
        }
    }
}

/// A predicate's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// It holds.
    pub holds: bool,
    /// What was seen; handed back at the next look, so that "nothing moved" can be told.
    pub seen: Value,
    /// Why it does not hold, and what would make it.
    pub why: String,
}

/// A claim found in a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The highest holds.
    pub epoch: u64,
    /// The run that holds it.
    pub run: String,
    /// Its host.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// When that process started, in clock ticks since boot.
    pub pid_start: u64,
    /// The boot it lives in.
    pub boot_id: String,
    /// Made for this claim; a refused create whose nonce reads back as ours was a success.
    pub nonce: String,
    /// Where its journal lies.
    pub state_dir: String,
    /// When, ISO-8601.
    pub since: String,
}

/// One binding of a site, as the gate and the sandbox see it.
///
/// Reads never change anything but what their verb says (a count refreshes). Every method has a deadline of its
/// own inside; none waits for minutes. Nothing but [`Capability::act`], [`Capability::clean_up`] and the claim
/// methods sends a change.
#[async_trait]
pub trait Capability: Send + Sync {
    /// Who the target is. Compared with the plan's before each change.
    async fn identity(&self) -> Result<TargetIdentity, ReadError>;

    /// One read. Answers as [`crate::facts`] says; over a bound it is [`ReadError::Invalid`].
    async fn read(&self, read: &Read) -> Result<Value, ReadError>;

    /// One look at a predicate. `last` is what the look before saw.
    async fn evaluate(
        &self,
        predicate: &Predicate,
        last: Option<&Value>,
    ) -> Result<Evaluated, ReadError>;

    /// The facts that the change rests on by its kind.
    async fn facts(&self, change: &Change) -> Result<Facts, ReadError>;

    /// The facts of each of these changes, in their order; an error with the place of the change that it is about.
    ///
    /// Asked when a plan is frozen. A target that tells many of its objects in one answer is asked once: a change of each of a
    /// thousand servers would otherwise read all thousand, a thousand times.
    async fn facts_of_each(&self, changes: &[&Change]) -> Result<Vec<Facts>, (usize, ReadError)> {
        let mut all = Vec::with_capacity(changes.len());
        for (place, change) in changes.iter().enumerate() {
            all.push(self.facts(change).await.map_err(|error| (place, error))?);
        }
        Ok(all)
    }

    /// Is the post-condition true before anything is sent, and what is the old value?
    async fn observe(&self, change: &Change, attempt: &Attempt) -> Result<Observed, ReadError>;

    /// Sends the change, once, with the token. Long work is only submitted; the probe follows it.
    async fn act(&self, change: &Change, attempt: &Attempt) -> Acted;

    /// What can be seen of the change. Safe at any time, in any process. Unavailable is no answer.
    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError>;

    /// Is our token to be seen in a running task, a pending cluster task or a backend? Asked before an absent
    /// effect of an unaccounted request is believed.
    async fn in_flight(&self, change: &Change, attempt: &Attempt) -> Result<bool, ReadError>;

    /// Takes off what the attempt left beside the effect (token alias, task record, trial copies), after the
    /// outcome is durable. Names what it could not take off.
    async fn clean_up(&self, change: &Change, attempt: &Attempt) -> Result<Vec<String>, ReadError>;

    /// The changes that put back what an attempt changed, where its kind allows that.
    fn automatic_undo(&self, change: &Change, attempt: &Attempt) -> Option<Vec<Planned>>;

    /// As [`Capability::automatic_undo`], where what is put back depends on what is there now. An empty list: what the
    /// attempt made has become somebody else's meanwhile, and stays.
    async fn undo_now(
        &self,
        change: &Change,
        attempt: &Attempt,
    ) -> Result<Option<Vec<Planned>>, ReadError> {
        Ok(self.automatic_undo(change, attempt))
    }

    /// The binding that an automatic undo of the change acts on, where it is another one than the change's own.
    fn undone_on(&self, _change: &Change) -> Option<Binding> {
        None
    }

    /// The changes that would end what is in progress of this change, so that it can be taken back; empty: it
    /// ends by itself.
    async fn cancellation(
        &self,
        _change: &Change,
        _attempt: &Attempt,
    ) -> Result<Vec<Planned>, ReadError> {
        Ok(Vec::new())
    }

    /// The changes that put back from a snapshot what a change took away or altered, asked of the binding that
    /// took it.
    ///
    /// `taken_by` took the snapshot with `take`, and `taken` is the evidence of its outcome. Where `of` names
    /// indices it is those; else all that the snapshot's patterns mean: what is there and was not is deleted, by
    /// the uuid that is read now.
    async fn going_back(
        &self,
        taken_by: &StepId,
        _take: &Change,
        _taken: &Value,
        _of: &Change,
    ) -> Result<Vec<Planned>, ReadError> {
        Err(ReadError::Absent(format!(
            "a restore of what step `{taken_by}` took"
        )))
    }

    /// The value that a borrowed key has now.
    async fn borrowed_now(&self, key: &str) -> Result<Value, ReadError>;

    /// Can this target hold a claim?
    fn holds_claims(&self) -> bool {
        false
    }

    /// All claims in the target, ordered by epoch.
    async fn claims(&self) -> Result<Vec<Claim>, ReadError> {
        Ok(Vec::new())
    }

    /// Makes the claim if no claim of its epoch is there. False: another one is.
    async fn make_claim(&self, claim: &Claim) -> Result<bool, ReadError> {
        Err(ReadError::Absent(format!(
            "a claim of epoch {} on this binding",
            claim.epoch
        )))
    }

    /// Removes the claim of this epoch. Gone already is fine.
    async fn remove_claim(&self, epoch: u64) -> Result<(), ReadError> {
        Err(ReadError::Absent(format!(
            "a claim of epoch {epoch} on this binding"
        )))
    }
}
