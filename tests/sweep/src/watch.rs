//! A capability with a witness: everything goes through as it is, sends and looks are written down.

use std::sync::Arc;

use async_trait::async_trait;
use liftlock_types::Acted;
use liftlock_types::Attempt;
use liftlock_types::Capability;
use liftlock_types::Change;
use liftlock_types::Observed;
use liftlock_types::Probed;
use liftlock_types::ReadError;

use crate::between::Between;
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
impl Between for Watched {
    fn inner(&self) -> &dyn Capability {
        &*self.inner
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
}
