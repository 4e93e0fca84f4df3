//! The sweep of Camunda 7: simulated engines and a simulated balancer over a real PostgreSQL or MariaDB.
//!
//! The database is the one thing of such a site that keeps what an upgrade did, and the one whose crashes have traps
//! of their own: half a script, a waiting statement whose client has died. So it is real, and the schema in it the
//! vendor's. An engine here is a version, a process that is there or not, and a REST interface that reads and writes
//! that database: one that is newer than the schema starts, looks healthy and fails at its first write.
//!
//! | module | what |
//! |---|---|
//! | `ways` | the plans |
//! | `engines` | the site, put back for each position |
//! | `store` | its database: prepared, put back, looked at |
//! | `machines` | nodes and the servers before them: their state, and what clients had of them |
//! | `balancer`, `rest` | what they answer, over loopback |
//! | `lock` | somebody else's lock on a table |
//! | `position` | disturbances that only this site has |
//! | `perform` | one of them, from its beginning to its verdict |
//! | `fleet` | what `rolling` asks of it, and what must be true of it at every end |
//! | `truth` | what the targets themselves show of a change |

pub mod balancer;
pub mod engines;
mod fleet;
pub mod lock;
pub mod machines;
pub mod perform;
pub mod position;
pub mod rest;
pub mod store;
pub mod truth;
pub mod ways;
