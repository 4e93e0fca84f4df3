//! A capability with a witness: everything goes through as it is, sends and looks are written down.

use std::sync::Arc;

use async_trait::async_trait;
use liftlock_types::Acted;
use liftlock_types::Attempt;
use liftlock_types::Capability;
use liftlock_types::Change;
use liftlock_types::Claim;
use liftlock_types::Evaluated;
use liftlock_types::Facts;
use liftlock_types::Observed;
use liftlock_types::Planned;
use liftlock_types::Predicate;
use liftlock_types::Probed;
use liftlock_types::Read;
use liftlock_types::ReadError;
use liftlock_types::StepId;
use liftlock_types::TargetIdentity;
use serde_json::Value;

use crate::ledger::Answer;
use crate::ledger::Ledger;
use crate::ledger::Seen;

/// One binding, watched.
pub struct Watched {
    /// The real one.
    pub inner: Arc<dyn Capability>,
    /// Where it is written down.
    pub ledger: Ledger,
    /// Which process watches.
    pub life: u32,
}

#[async_trait]
impl Capability for Watched {
    async fn identity(&self) -> Result<TargetIdentity, ReadError> {
        self.inner.identity().await
    }

    async fn read(&self, read: &Read) -> Result<Value, ReadError> {
        self.inner.read(read).await
    }

    async fn evaluate(
        &self,
        predicate: &Predicate,
        last: Option<&Value>,
    ) -> Result<Evaluated, ReadError> {
        self.inner.evaluate(predicate, last).await
    }

    async fn facts(&self, change: &Change) -> Result<Facts, ReadError> {
        self.inner.facts(change).await
    }

    async fn observe(&self, change: &Change, attempt: &Attempt) -> Result<Observed, ReadError> {
        self.ledger.note(
            self.life,
            Seen::Observe {
                step: attempt.step.to_string(),
                change: change.clone(),
            },
        );
        self.inner.observe(change, attempt).await
    }

    async fn act(&self, change: &Change, attempt: &Attempt) -> Acted {
        let step = attempt.step.to_string();
        self.ledger.note(
            self.life,
            Seen::Act {
                step: step.clone(),
                change: change.clone(),
                class: change.class(),
            },
        );
        let acted = self.inner.act(change, attempt).await;
        let how = match &acted {
            Acted::NotSent(_) => "not-sent",
            Acted::Answered(_) => "answered",
            Acted::Refused { .. } => "refused",
            Acted::Unanswered(_) => "unanswered",
        };
        self.ledger.note(self.life, Seen::Acted { step, how });
        acted
    }

    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError> {
        let probed = self.inner.probe(change, attempt).await;
        let answer = match &probed {
            Ok(Probed::Absent(_)) => Answer::Absent,
            Ok(Probed::InProgress(_)) => Answer::InProgress,
            Ok(Probed::Applied { .. }) => Answer::Applied,
            Ok(Probed::Partial(_)) => Answer::Partial,
            Ok(Probed::Indeterminate(_)) => Answer::Indeterminate,
            Err(_) => Answer::Unreadable,
        };
        self.ledger.note(
            self.life,
            Seen::Probe {
                step: attempt.step.to_string(),
                change: change.clone(),
                answer,
            },
        );
        probed
    }

    async fn in_flight(&self, change: &Change, attempt: &Attempt) -> Result<bool, ReadError> {
        self.inner.in_flight(change, attempt).await
    }

    async fn clean_up(&self, change: &Change, attempt: &Attempt) -> Result<Vec<String>, ReadError> {
        self.inner.clean_up(change, attempt).await
    }

    fn automatic_undo(&self, change: &Change, attempt: &Attempt) -> Option<Vec<Planned>> {
        self.inner.automatic_undo(change, attempt)
    }

    async fn cancellation(
        &self,
        change: &Change,
        attempt: &Attempt,
    ) -> Result<Vec<Planned>, ReadError> {
        self.inner.cancellation(change, attempt).await
    }

    async fn going_back(
        &self,
        taken_by: &StepId,
        take: &Change,
        taken: &Value,
        of: &Change,
    ) -> Result<Vec<Planned>, ReadError> {
        self.inner.going_back(taken_by, take, taken, of).await
    }

    async fn borrowed_now(&self, key: &str) -> Result<Value, ReadError> {
        self.inner.borrowed_now(key).await
    }

    fn holds_claims(&self) -> bool {
        self.inner.holds_claims()
    }

    async fn claims(&self) -> Result<Vec<Claim>, ReadError> {
        self.inner.claims().await
    }

    async fn make_claim(&self, claim: &Claim) -> Result<bool, ReadError> {
        self.inner.make_claim(claim).await
    }

    async fn remove_claim(&self, epoch: u64) -> Result<(), ReadError> {
        self.inner.remove_claim(epoch).await
    }
}
