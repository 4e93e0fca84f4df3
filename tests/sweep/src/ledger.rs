//! What happened, in order, over all lives of a run: points, sends, looks, conclusions.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use liftlock_types::Change;
use liftlock_types::event::OutcomeKind;
use liftlock_types::rules::Class;

/// A place that a run passes, told apart from the others of its label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The gate's label.
    pub label: String,
    /// The step, or nothing.
    pub step: String,
    /// The attempt.
    pub attempt: u32,
    /// The how-manieth time in this life, from 1.
    pub time: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)?;
        if !self.step.is_empty() {
            write!(f, " of {}", self.step)?;
        }
        if self.attempt > 1 {
            write!(f, ", attempt {}", self.attempt)?;
        }
        if self.time > 1 {
            write!(f, ", time {}", self.time)?;
        }
        Ok(())
    }
}

/// What a probe said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// No effect.
    Absent,
    /// At work.
    InProgress,
    /// The effect is there.
    Applied,
    /// Some of it.
    Partial,
    /// Neither.
    Indeterminate,
    /// No answer.
    Unreadable,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Seen {
    /// A life began: `run`, `resume`, ...
    Began(&'static str),
    /// A point was passed.
    Point(Place),
    /// A change was given to its capability.
    Act {
        /// The step, or the id of an undo.
        step: String,
        /// What.
        change: Change,
        /// How sure one can be of it.
        class: Class,
    },
    /// What came of it: `answered`, `refused`, `not-sent`, `unanswered`.
    Acted {
        /// The step.
        step: String,
        /// In a word.
        how: &'static str,
    },
    /// A look at it before anything is sent.
    Observe {
        /// The step.
        step: String,
        /// What.
        change: Change,
    },
    /// A look at what became of it.
    Probe {
        /// The step.
        step: String,
        /// What.
        change: Change,
        /// The answer.
        answer: Answer,
    },
    /// The gate concluded.
    Concluded {
        /// The step.
        step: String,
        /// How.
        kind: OutcomeKind,
        /// What the target itself shows at that moment; none where it cannot be told.
        truth: Option<bool>,
    },
    /// A person decided that nothing of it is there.
    DecidedNotDone {
        /// The step.
        step: String,
    },
    /// The journal lost the row of what was sent for it.
    Forgotten {
        /// The step.
        step: String,
    },
    /// The test did something to the target or the clock.
    Meddled(String),
}

/// One entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When.
    pub at: Instant,
    /// Which process, from 1.
    pub life: u32,
    /// What.
    pub seen: Seen,
}

impl Entry {
    /// A row of this kind became durable: `journal.intent`.
    pub fn is_of(&self, row: &str) -> bool {
        matches!(&self.seen, Seen::Point(place) if place.label.strip_suffix(".after") == Some(row))
    }

    /// A row of the journal became durable.
    pub fn is_row(&self) -> bool {
        matches!(&self.seen, Seen::Point(place) if place.label.starts_with("journal.") && place.label.ends_with(".after"))
    }
}

/// All entries. Clones write to the same list.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Vec<Entry>>>);

impl Ledger {
    /// One that begins with these.
    pub fn of(entries: Vec<Entry>) -> Self {
        Self(Arc::new(Mutex::new(entries)))
    }

    fn held(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes one down.
    pub fn note(&self, life: u32, seen: Seen) {
        self.held().push(Entry {
            at: Instant::now(),
            life,
            seen,
        });
    }

    /// All so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.held().clone()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.held().len()
    }

    /// There is none yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The points that a life passed.
    pub fn places(&self, of_life: u32) -> Vec<Place> {
        self.held()
            .iter()
            .filter(|entry| entry.life == of_life)
            .filter_map(|entry| match &entry.seen {
                Seen::Point(place) => Some(place.clone()),
                _ => None,
            })
            .collect()
    }

    /// The change that was last seen under this id.
    pub fn change_of(&self, id: &str) -> Option<Change> {
        self.held()
            .iter()
            .rev()
            .find_map(|entry| match &entry.seen {
                Seen::Act { step, change, .. }
                | Seen::Observe { step, change }
                | Seen::Probe { step, change, .. }
                    if step == id =>
                {
                    Some(change.clone())
                }
                _ => None,
            })
    }
}
