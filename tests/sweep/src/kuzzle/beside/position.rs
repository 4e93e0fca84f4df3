//! Positions that only two clusters beside each other have.

use std::fmt;

use crate::kuzzle::disturbed;
use crate::kuzzle::disturbed::Disturbed;
use crate::kuzzle::disturbed::Kinds;
use crate::rolling::reference::Reference;
use crate::sweep::Disturbance;

/// A target that nobody can ask any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// The old cluster.
    Old,
    /// The new one.
    New,
    /// Kuzzle's API.
    Api,
}

impl Kinds for Away {
    const ALL: &'static [Self] = &[Self::Old, Self::New, Self::Api];
}

/// What somebody else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddling {
    /// A client writes through Kuzzle.
    Client,
    /// Kuzzle was started, and a client writes through it.
    Started,
    /// Kuzzle was stopped.
    Stopped,
    /// A line in Kuzzle's configuration.
    Configuration,
    /// A document in a collection on the old cluster.
    Old,
    /// Likewise on the new one.
    New,
    /// An index with the name of a collection on the new cluster.
    Index,
    /// The new cluster's repository is another one.
    Repository,
    /// What is to be restored is gone from the store.
    Snapshot,
    /// The claim on the old cluster was removed.
    Claim,
    /// That on the new one.
    NewClaim,
}

impl Kinds for Meddling {
    const ALL: &'static [Self] = &[
        Self::Client,
        Self::Started,
        Self::Stopped,
        Self::Configuration,
        Self::Old,
        Self::New,
        Self::Index,
        Self::Repository,
        Self::Snapshot,
        Self::Claim,
        Self::NewClaim,
    ];
}

/// One disturbance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    /// As on every site of Kuzzle.
    Disturbed(Disturbed<Away, Meddling>),
    /// The run had ended well and clients wrote; then it goes back, and is ended at the point of this number.
    Used(usize),
}

impl Disturbance for Own {
    fn family(&self) -> &'static str {
        match self {
            Self::Disturbed(own) => own.family(),
            Self::Used(_) => "used",
        }
    }
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disturbed(own) => own.fmt(f),
            Self::Used(number) => write!(
                f,
                "used after its end, then rolled back and killed at point {number} of that"
            ),
        }
    }
}

/// Points of a rollback of what was used; one that it does not reach is a rollback without a kill.
const POINTS: usize = 60;

/// All of them, in an order that does not change while the plan does not.
pub fn all(reference: &Reference) -> Vec<Own> {
    let disturbed = disturbed::all(reference).into_iter().map(Own::Disturbed);
    disturbed.chain((1..=POINTS).map(Own::Used)).collect()
}
