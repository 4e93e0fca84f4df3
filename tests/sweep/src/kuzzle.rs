//! The sweep of Kuzzle: a simulated cluster whose nodes, versions and elected manager follow from simulated services.
//!
//! | module | what |
//! |---|---|
//! | `ways` | the plans |
//! | `collections` | the site, put back for each position |
//! | `machines` | the nodes of the cluster and Kuzzle as services, and what clients had of them |
//! | `api` | what Kuzzle answers |
//! | `fleet` | what `rolling` asks of it, and what must be true of it at every end |
//! | `position` | disturbances that only this site has |
//! | `perform` | one of them, from its beginning to its verdict |
//! | `truth` | what the targets themselves show of a change |

pub mod api;
pub mod collections;
mod fleet;
pub mod machines;
mod perform;
pub mod position;
pub mod truth;
pub mod ways;
