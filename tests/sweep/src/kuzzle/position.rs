//! Positions that only this site has.

use std::fmt;

use crate::ledger::Place;
use crate::rolling::reference::Reference;
use crate::sweep::Disturbance;

/// A target that nobody can ask any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// The cluster.
    Storage,
    /// Kuzzle's API.
    Api,
}

impl Away {
    const ALL: [Self; 2] = [Self::Storage, Self::Api];
}

/// What somebody else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddling {
    /// The node's artifact is a third one.
    Artifact,
    /// The service was started.
    Started,
    /// The service was stopped.
    Stopped,
    /// The setting that the run borrows has another value.
    Allocation,
    /// A line in Kuzzle's configuration.
    Configuration,
    /// A document in a collection.
    Document,
    /// An index, made while versions may be mixed.
    Index,
    /// The claim was removed.
    Claim,
}

impl Meddling {
    const ALL: [Self; 8] = [
        Self::Artifact,
        Self::Started,
        Self::Stopped,
        Self::Allocation,
        Self::Configuration,
        Self::Document,
        Self::Index,
        Self::Claim,
    ];
}

/// One disturbance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    /// From there on a target cannot be asked.
    Away(Place, Away),
    /// Somebody else changed something.
    Meddled(Place, Meddling),
}

impl Disturbance for Own {
    fn family(&self) -> &'static str {
        match self {
            Self::Away(..) => "away",
            Self::Meddled(..) => "meddled",
        }
    }
}

impl fmt::Display for Own {
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
pub fn all(reference: &Reference) -> Vec<Own> {
    let mut positions = Vec::new();
    for place in &reference.distinct {
        for away in Away::ALL {
            positions.push(Own::Away(place.clone(), away));
        }
    }
    for place in reference.begun() {
        for meddling in Meddling::ALL {
            positions.push(Own::Meddled(place.clone(), meddling));
        }
    }
    positions
}
