//! Ways in for the fuzz targets: the contract's edge, called with other people's bytes instead of by a component.

use crate::edge_v0_1;

/// Everything that a plugin hands over: names, patterns, paths, JSON, texts, drafts.
///
/// Panics when something was taken that the grant does not cover, or that means more than one thing.
pub fn edge(bytes: &[u8]) {
    edge_v0_1::drive(bytes);
}
