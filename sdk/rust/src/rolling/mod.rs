//! A search cluster, Elasticsearch or OpenSearch, upgraded node by node while it serves.
//!
//! A plugin reads the cluster and the services that are its nodes, says what it chose in a [`Rolling`], and gets findings,
//! steps and the conditions between them. All of it is worked out from what was read, so a plan can show it and a check
//! can hold it to that.
//!
//! - `rules`: which node goes next, what its stop takes away, what is waited for
//! - `lines`: which release leads to which, and which index is too old: where the two products differ
//! - `members`: nodes and the services that they are
//! - `check`: what speaks against it
//! - `steps`: one node from the first step to the last
//! - `conditions`: what is waited for between steps
//! - `explain`: why a shard has no place, in the server's own words
//! - `pages`: what each finding means

mod check;
mod conditions;
mod explain;
#[cfg(test)]
mod fixture;
mod lines;
mod members;
mod pages;
mod rules;
mod steps;

use std::collections::BTreeMap;

use crate::capability::{Identity, Node, Shard};

pub use conditions::observe;
pub use explain::EXPLAIN;
pub use lines::{NoWay, TooOld, too_old, way};
pub use members::{Bound, LABEL, Member, behind, gather};
pub use pages::{PAGES, known, known_of_cluster};
pub use rules::{
    ALLOCATION, Left, Unsettled, Why, has_joined, has_outage_without_manager, holds_data,
    is_elected, is_manager_eligible, keep_replicas_where_they_are, left_without_copy, order,
    unsettled,
};

/// One rolling upgrade, as a plugin and its operator want it.
#[derive(Debug, Clone, Copy)]
pub struct Rolling<'a> {
    /// What ids of findings begin with, without the point: `kuzzle`.
    pub ids: &'a str,
    /// The version that every node gets, written out: `8.19.13`. Also the name of its folder among a service's artifacts.
    pub to: &'a str,
    /// Patterns of the indices that are flushed before a node stops.
    pub flushed: &'a [String],
    /// Shards without a second copy may be away while their node is, and all of the cluster while it has no manager.
    pub outages_accepted: bool,
    /// How long shards are waited for, in milliseconds.
    pub settle_ms: u64,
    /// Why no node goes back to its old version, and what does lead back.
    pub stays: &'a str,
}

/// A cluster as it was read.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What each node says of itself.
    pub identities: &'a [Identity],
    /// All nodes, as the elected one lists them.
    pub nodes: &'a [Node],
    /// Of every index: hidden and system ones too.
    pub shards: &'a [Shard],
    /// Cluster settings that hold, by flat key.
    pub settings: &'a BTreeMap<String, String>,
}

impl<'a> View<'a> {
    /// Versions of all nodes by name, by the node's own word where it could be asked.
    pub fn versions(&self) -> BTreeMap<&'a str, &'a str> {
        let listed = self
            .nodes
            .iter()
            .map(|node| (node.name.as_str(), node.version.as_str()));
        let said = self
            .identities
            .iter()
            .map(|it| (it.node_name.as_str(), it.version.as_str()));
        // A list can lie while versions are mixed, so the later word counts.
        listed.chain(said).collect()
    }

    /// Every node is of this version.
    pub fn all_are(&self, version: &str) -> bool {
        self.versions().values().all(|its| *its == version)
    }
}
