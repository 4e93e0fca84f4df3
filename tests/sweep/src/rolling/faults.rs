//! Troubles of one send, and of all reads: between the gate and a capability, where every target has them.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use async_trait::async_trait;
use liftlock_types::Acted;
use liftlock_types::Attempt;
use liftlock_types::Binding;
use liftlock_types::Capability;
use liftlock_types::Change;
use liftlock_types::Probed;
use liftlock_types::ReadError;
use liftlock_types::StepId;
use serde_json::Value;

use crate::between::Between;

/// A request that only its own post-condition tells of is waited for during a minute, then a person decides. Nothing
/// more shows of that minute than of its last second.
const AGED_MS: i64 = 59_000;

/// What goes wrong with a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It provably never left.
    NotSent,
    /// It is lost on the way, and nobody knows.
    LostBefore,
    /// It has its effect, and the answer is lost.
    LostAfter,
    /// The target says no, for now.
    Refused,
    /// Yes, and no effect.
    Lie,
    /// It is on its way when the process ends, and lands when it is let go.
    Late,
}

impl Trouble {
    /// Those of which the process hears.
    pub const ALL: [Self; 5] = [
        Self::NotSent,
        Self::LostBefore,
        Self::LostAfter,
        Self::Refused,
        Self::Lie,
    ];
}

/// A change on its way.
#[derive(Debug, Clone)]
pub struct OnItsWay {
    /// To which target.
    pub binding: Binding,
    /// What.
    pub change: Change,
    /// As it was given.
    pub attempt: Attempt,
}

#[derive(Debug, Default)]
struct Armed {
    sends: Vec<(String, Trouble)>,
    on_its_way: Vec<OnItsWay>,
    is_claimed_away: bool,
}

/// The troubles of a site. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Armed>>);

impl Faults {
    fn held(&self) -> MutexGuard<'_, Armed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next send of this step has this trouble.
    pub fn arm(&self, step: &str, trouble: Trouble) {
        self.held().sends.push((step.to_owned(), trouble));
    }

    /// Nobody can reach what holds the claim any more.
    pub fn lose_claimed(&self) {
        self.held().is_claimed_away = true;
    }

    /// Everything is mended; what is on its way stays so.
    pub fn mend(&self) {
        let mut armed = self.held();
        armed.sends.clear();
        armed.is_claimed_away = false;
    }

    /// What is on its way: taken, so that it lands once.
    pub fn take_on_its_way(&self) -> Vec<OnItsWay> {
        std::mem::take(&mut self.held().on_its_way)
    }

    /// How much is on its way.
    pub fn on_its_way(&self) -> usize {
        self.held().on_its_way.len()
    }

    fn trouble_of(&self, step: &StepId) -> Option<Trouble> {
        let mut armed = self.held();
        let at = armed
            .sends
            .iter()
            .position(|(armed, _)| armed == step.as_str())?;
        Some(armed.sends.remove(at).1)
    }
}

/// One binding with its troubles.
pub struct Faulty {
    /// The real one.
    pub inner: Arc<dyn Capability>,
    /// Which.
    pub binding: Binding,
    /// Of the site.
    pub faults: Faults,
}

#[async_trait]
impl Between for Faulty {
    fn inner(&self) -> &dyn Capability {
        &*self.inner
    }

    fn readable(&self) -> Result<(), ReadError> {
        let is_away = self.inner.holds_claims() && self.faults.held().is_claimed_away;
        if is_away {
            Err(ReadError::Unavailable("the sweep keeps it away".into()))
        } else {
            Ok(())
        }
    }

    async fn act(&self, change: &Change, attempt: &Attempt) -> Acted {
        if let Err(away) = self.readable() {
            return Acted::NotSent(away.to_string());
        }
        let lost = || Acted::Unanswered("the sweep lost it".into());
        match self.faults.trouble_of(&attempt.step) {
            None => self.inner.act(change, attempt).await,
            Some(Trouble::NotSent) => Acted::NotSent("the sweep kept it".into()),
            Some(Trouble::LostBefore) => lost(),
            Some(Trouble::LostAfter) => match self.inner.act(change, attempt).await {
                Acted::Answered(_) => lost(),
                other => other,
            },
            Some(Trouble::Refused) => Acted::Refused {
                status: 503,
                kind: "busy".into(),
                text: "the sweep says not now".into(),
                later: true,
            },
            Some(Trouble::Lie) => Acted::Answered(Value::Null),
            Some(Trouble::Late) => {
                self.faults.held().on_its_way.push(OnItsWay {
                    binding: self.binding.clone(),
                    change: change.clone(),
                    attempt: attempt.clone(),
                });
                // The process is ended meanwhile.
                std::future::pending().await
            }
        }
    }

    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError> {
        let mut aged = attempt.clone();
        aged.intent_at_ms -= AGED_MS;
        self.inner.probe(change, &aged).await
    }
}
