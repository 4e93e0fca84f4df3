//! The sweep of Kuzzle: simulated clusters, and Kuzzle as a simulated service on them.
//!
//! | module | what |
//! |---|---|
//! | `ways` | the plans |
//! | `ground` | what both sites are made of |
//! | `machines` | the nodes of a cluster and Kuzzle as services, and what clients had of them |
//! | `api` | what Kuzzle answers |
//! | `truth` | what the targets themselves show of a change |
//! | `disturbed` | disturbances that both sites have |
//! | `collections` | the site of plan `rolling`: a cluster whose nodes, versions and elected manager follow from services |
//! | `fleet` | what `rolling` asks of it, and what must be true of it at every end |
//! | `position`, `perform` | disturbances that only it has |
//! | `beside` | the site of plan `snapshot`: a new cluster beside the old one |

pub mod api;
pub mod beside;
pub mod collections;
pub mod disturbed;
mod fleet;
pub mod ground;
pub mod machines;
mod perform;
pub mod position;
pub mod truth;
pub mod ways;
