//! Positions that only a cluster has whose nodes are upgraded one after another.

use super::disturbed::Disturbed;
use super::disturbed::Kinds;

/// One disturbance.
pub type Own = Disturbed<Away, Meddling>;

/// A target that nobody can ask any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// The cluster.
    Storage,
    /// Kuzzle's API.
    Api,
}

impl Kinds for Away {
    const ALL: &'static [Self] = &[Self::Storage, Self::Api];
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

impl Kinds for Meddling {
    const ALL: &'static [Self] = &[
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
