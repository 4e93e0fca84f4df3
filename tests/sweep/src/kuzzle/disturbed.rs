//! Disturbances that sites of Kuzzle share: a target that is away, and somebody else who changes something.

use std::fmt;

use crate::ledger::Place;
use crate::rolling::reference::Reference;
use crate::sweep::Disturbance;

/// What is away, or what somebody else changes: one list for each site.
pub trait Kinds: Copy + fmt::Debug + Sync + 'static {
    /// All of them.
    const ALL: &'static [Self];
}

/// One disturbance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disturbed<A, M> {
    /// From there on a target cannot be asked.
    Away(Place, A),
    /// Somebody else changed something.
    Meddled(Place, M),
}

impl<A: Kinds, M: Kinds> Disturbance for Disturbed<A, M> {
    fn family(&self) -> &'static str {
        match self {
            Self::Away(..) => "away",
            Self::Meddled(..) => "meddled",
        }
    }
}

impl<A: Kinds, M: Kinds> fmt::Display for Disturbed<A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(place, away) => write!(f, "{away:?} away from {place} on"),
            Self::Meddled(place, meddling) => {
                write!(f, "killed at {place}, and somebody changed: {meddling:?}")
            }
        }
    }
}

/// All of them, in an order that does not change while the plan does not.
pub fn all<A: Kinds, M: Kinds>(reference: &Reference) -> Vec<Disturbed<A, M>> {
    let mut positions = Vec::new();
    for place in &reference.distinct {
        for away in A::ALL {
            positions.push(Disturbed::Away(place.clone(), *away));
        }
    }
    for place in reference.begun() {
        for meddling in M::ALL {
            positions.push(Disturbed::Meddled(place.clone(), *meddling));
        }
    }
    positions
}
