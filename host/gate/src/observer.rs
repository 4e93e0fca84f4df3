//! What a run tells while it goes, and how it is told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use liftlock_types::event::OutcomeKind;
use liftlock_types::{Finding, OnExpiry, Progress, StepId};

/// Something that happened, for people.
#[derive(Debug, Clone)]
pub enum Happening {
    /// A fact that differs from when the plan was made, and does not matter to it.
    Drift {
        /// What differs.
        what: String,
        /// Then.
        then: String,
        /// Now.
        now: String,
    },
    /// A check or a validation found this.
    Found(Finding),
    /// A step begins.
    StepBegun {
        /// Which.
        step: StepId,
        /// Its title.
        title: String,
        /// From 1.
        number: usize,
        /// Of how many.
        of: usize,
    },
    /// A step was concluded before: it is not done again.
    StepSkipped {
        /// Which.
        step: StepId,
        /// The evidence, short.
        why: String,
    },
    /// Long work goes on.
    Progress {
        /// Which step.
        step: StepId,
        /// How far.
        progress: Progress,
    },
    /// Something is waited for.
    Waiting {
        /// Which step.
        step: StepId,
        /// For what.
        label: String,
        /// What would end it.
        why: String,
    },
    /// A condition did not hold in time.
    Expired {
        /// Which step.
        step: StepId,
        /// Which condition.
        label: String,
        /// What the plan says to do.
        then: OnExpiry,
    },
    /// A step's change was concluded.
    Concluded {
        /// Which.
        step: StepId,
        /// How.
        kind: OutcomeKind,
        /// Why, where that needs a word.
        why: String,
    },
    /// A look at the target failed and is repeated.
    Retrying {
        /// What.
        what: String,
        /// The error.
        why: String,
    },
    /// The run will stop at the next safe point.
    Stopping,
    /// Anything else worth a line.
    Note(String),
}

/// Hears what happens. Must not block.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn on(&self, happening: Happening);
}

/// How a person stops a run: first at the next safe point, then now.
#[derive(Debug, Clone, Default)]
pub struct StopSignal(Arc<AtomicU8>);

impl StopSignal {
    /// Finish this change, then stop.
    pub fn stop_at_safe_point(&self) {
        self.0.fetch_max(1, Ordering::SeqCst);
    }

    /// Stop now; what was sent is settled by `resume`.
    pub fn stop_now(&self) {
        self.0.fetch_max(2, Ordering::SeqCst);
    }

    /// A stop was asked for.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }

    /// A stop now was asked for.
    pub fn is_now(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 1
    }
}
