//! What stands between the gate and a capability: all of it goes through, but for what somebody in between does
//! otherwise.

use async_trait::async_trait;
use liftlock_types::Acted;
use liftlock_types::Attempt;
use liftlock_types::Binding;
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

/// Somebody between the gate and a capability. What is not said otherwise goes through as it is.
#[async_trait]
pub trait Between: Send + Sync {
    /// The real one.
    fn inner(&self) -> &dyn Capability;

    /// Whether the target can be asked; looked at before everything but a send.
    fn readable(&self) -> Result<(), ReadError> {
        Ok(())
    }

    /// See [`Capability::observe`].
    async fn observe(&self, change: &Change, attempt: &Attempt) -> Result<Observed, ReadError> {
        self.inner().observe(change, attempt).await
    }

    /// See [`Capability::act`].
    async fn act(&self, change: &Change, attempt: &Attempt) -> Acted {
        self.inner().act(change, attempt).await
    }

    /// See [`Capability::probe`].
    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError> {
        self.inner().probe(change, attempt).await
    }
}

/// A capability with somebody before it.
pub struct Through<B>(pub B);

#[async_trait]
impl<B: Between> Capability for Through<B> {
    async fn identity(&self) -> Result<TargetIdentity, ReadError> {
        self.0.readable()?;
        self.0.inner().identity().await
    }

    async fn read(&self, read: &Read) -> Result<Value, ReadError> {
        self.0.readable()?;
        self.0.inner().read(read).await
    }

    async fn evaluate(
        &self,
        predicate: &Predicate,
        last: Option<&Value>,
    ) -> Result<Evaluated, ReadError> {
        self.0.readable()?;
        self.0.inner().evaluate(predicate, last).await
    }

    async fn facts(&self, change: &Change) -> Result<Facts, ReadError> {
        self.0.readable()?;
        self.0.inner().facts(change).await
    }

    async fn observe(&self, change: &Change, attempt: &Attempt) -> Result<Observed, ReadError> {
        self.0.readable()?;
        self.0.observe(change, attempt).await
    }

    async fn act(&self, change: &Change, attempt: &Attempt) -> Acted {
        self.0.act(change, attempt).await
    }

    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError> {
        self.0.readable()?;
        self.0.probe(change, attempt).await
    }

    async fn in_flight(&self, change: &Change, attempt: &Attempt) -> Result<bool, ReadError> {
        self.0.readable()?;
        self.0.inner().in_flight(change, attempt).await
    }

    async fn clean_up(&self, change: &Change, attempt: &Attempt) -> Result<Vec<String>, ReadError> {
        self.0.readable()?;
        self.0.inner().clean_up(change, attempt).await
    }

    fn automatic_undo(&self, change: &Change, attempt: &Attempt) -> Option<Vec<Planned>> {
        self.0.inner().automatic_undo(change, attempt)
    }

    async fn undo_now(
        &self,
        change: &Change,
        attempt: &Attempt,
    ) -> Result<Option<Vec<Planned>>, ReadError> {
        self.0.readable()?;
        self.0.inner().undo_now(change, attempt).await
    }

    fn undone_on(&self, change: &Change) -> Option<Binding> {
        self.0.inner().undone_on(change)
    }

    async fn cancellation(
        &self,
        change: &Change,
        attempt: &Attempt,
    ) -> Result<Vec<Planned>, ReadError> {
        self.0.readable()?;
        self.0.inner().cancellation(change, attempt).await
    }

    async fn going_back(
        &self,
        taken_by: &StepId,
        take: &Change,
        taken: &Value,
        of: &Change,
    ) -> Result<Vec<Planned>, ReadError> {
        self.0.readable()?;
        self.0.inner().going_back(taken_by, take, taken, of).await
    }

    async fn borrowed_now(&self, key: &str) -> Result<Value, ReadError> {
        self.0.readable()?;
        self.0.inner().borrowed_now(key).await
    }

    fn holds_claims(&self) -> bool {
        self.0.inner().holds_claims()
    }

    async fn claims(&self) -> Result<Vec<Claim>, ReadError> {
        self.0.readable()?;
        self.0.inner().claims().await
    }

    async fn make_claim(&self, claim: &Claim) -> Result<bool, ReadError> {
        self.0.readable()?;
        self.0.inner().make_claim(claim).await
    }

    async fn remove_claim(&self, epoch: u64) -> Result<(), ReadError> {
        self.0.readable()?;
        self.0.inner().remove_claim(epoch).await
    }
}
