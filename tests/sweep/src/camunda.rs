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
//! | `node` | a node as the capability `service` sees it |
//! | `faults` | troubles of a send or of all reads |
//! | `lock` | somebody else's lock on a table |
//! | `reference` | the uninterrupted run |
//! | `position` | where and how a run is disturbed |
//! | `perform` | one position, from its beginning to its verdict |
//! | `truth` | what the targets themselves show of a change |

pub mod balancer;
pub mod engines;
pub mod faults;
pub mod lock;
pub mod machines;
pub mod node;
pub mod perform;
pub mod position;
pub mod reference;
pub mod rest;
pub mod store;
pub mod truth;
pub mod ways;

use crate::camunda::engines::Engines;
use crate::camunda::position::Position;
use crate::camunda::reference::Reference;
use crate::camunda::ways::Way;
use crate::guest::Guest;
use crate::judge::Verdict;
use crate::sweep::Field;

/// A site of engines with its uninterrupted run.
pub struct Rolling {
    engines: Engines,
    reference: Reference,
}

impl Rolling {
    /// Builds the site of a way, on a database of its own, and runs its plan.
    pub fn build(guest: &Guest, way: &Way, server: &store::Server) -> anyhow::Result<Self> {
        let mut engines = Engines::build(guest, way, server)?;
        let reference = Reference::run(&mut engines)?;
        Ok(Self { engines, reference })
    }
}

impl Field for Rolling {
    type Position = Position;

    fn about(&self) -> String {
        format!(
            "{} points, {} changes",
            self.reference.places.len(),
            self.reference.acts.len()
        )
    }

    fn positions(&self) -> Vec<Position> {
        position::all(&self.reference, &self.engines.units())
    }

    fn perform(&mut self, position: &Position) -> Verdict {
        perform::perform(&mut self.engines, &self.reference, position)
    }

    fn sweep_up(&self) {
        self.engines.sweep_up();
    }
}
