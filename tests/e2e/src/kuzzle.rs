//! The proof that the Kuzzle plugin takes a storage to its next version: real nodes, a real Kuzzle, a real Redis.
//!
//! - [`stage`]: the site, and an operator on it
//! - [`Client`]: what a client of Kuzzle finds
//! - `rolling`: node by node
//! - `beside`: by a snapshot into a new cluster, and back
//! - `rehearsed`: the same on a second site first, filled from a snapshot

mod beside;
mod client;
mod rehearsed;
mod rolling;
pub mod stage;

pub use beside::BesideStage;
pub use beside::goes_on_after_a_kill_in_the_restore;
pub use beside::moves_to_a_new_cluster_and_back;
pub use client::Client;
pub use rehearsed::Second;
pub use rehearsed::rehearses_on_a_second_site;
pub use rolling::a_node_does_not_come_back;
pub use rolling::goes_by_replicas;
pub use rolling::goes_on_after_a_kill;
pub use rolling::upgrades_node_by_node;
pub use stage::ALLOCATION;
pub use stage::KuzzleStage;
pub use stage::TOKEN;
