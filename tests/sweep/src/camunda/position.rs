//! Positions that only this site has.

use std::fmt;

use liftlock_types::Change;
use liftlock_types::UnitName;
use liftlock_types::sql::Shape;
use liftlock_types::sql::Statement;

use crate::ledger::Place;
use crate::rolling::reference::Reference;
use crate::sweep::Disturbance;

/// A target that nobody can ask any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// The database.
    Database,
    /// The balancer's runtime API.
    Balancer,
    /// The nodes' REST interfaces.
    Rest,
}

impl Away {
    const ALL: [Self; 3] = [Self::Database, Self::Balancer, Self::Rest];
}

/// When the lock goes that a statement of a dead client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// Before the next process looks.
    AtOnce,
    /// While it looks.
    Later,
    /// While the run goes back.
    DuringTheRollback,
}

impl Released {
    const ALL: [Self; 3] = [Self::AtOnce, Self::Later, Self::DuringTheRollback];
}

/// What somebody else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddling {
    /// The server is put into maintenance.
    Maintenance,
    /// The server gets requests again.
    Ready,
    /// The server of another node is put into maintenance.
    OtherOut,
    /// The node's artifact is a third one.
    Artifact,
    /// The node was started.
    Started,
    /// The node was stopped.
    Stopped,
    /// A column of the script, of another width.
    Column,
    /// The row of the log.
    LogRow,
    /// The claim was removed.
    Claim,
}

impl Meddling {
    const ALL: [Self; 9] = [
        Self::Maintenance,
        Self::Ready,
        Self::OtherOut,
        Self::Artifact,
        Self::Started,
        Self::Stopped,
        Self::Column,
        Self::LogRow,
        Self::Claim,
    ];
}

/// One disturbance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    /// The process is ended there, one node goes back by itself, and the run is resumed.
    Unit(Place, UnitName),
    /// And is ended again while the node goes back.
    KillInUnit(Place, UnitName, usize),
    /// From there on a target cannot be asked.
    Away(Place, Away),
    /// The process is ended while its statement waits for a lock; the statement is not.
    Waiting(String, String, Released),
    /// Somebody else changed something.
    Meddled(Place, Meddling),
}

impl Disturbance for Own {
    fn family(&self) -> &'static str {
        match self {
            Self::Unit(..) => "unit",
            Self::KillInUnit(..) => "kill-in-unit",
            Self::Away(..) => "away",
            Self::Waiting(..) => "waiting",
            Self::Meddled(..) => "meddled",
        }
    }
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit(place, unit) => {
                write!(f, "killed at {place}, then {unit} taken back, then resumed")
            }
            Self::KillInUnit(place, unit, number) => write!(
                f,
                "killed at {place}, then {unit} taken back and killed at point {number} of that"
            ),
            Self::Away(place, away) => write!(f, "{away:?} away from {place} on"),
            Self::Waiting(step, table, released) => write!(
                f,
                "killed while {step} waits for a lock on {table}, which goes: {released:?}"
            ),
            Self::Meddled(place, meddling) => {
                write!(f, "killed at {place}, and somebody changed: {meddling:?}")
            }
        }
    }
}

/// All of them, in an order that does not change while the plan does not.
pub fn all(reference: &Reference, units: &[UnitName]) -> Vec<Own> {
    let begun = reference.begun();
    let mut positions = Vec::new();
    for (at, place) in begun.iter().enumerate() {
        // The one that a step belongs to, or that is next; and the other one.
        for unit in units {
            positions.push(Own::Unit(place.clone(), unit.clone()));
        }
        let unit = &units[at % units.len()];
        let number = 1 + at * 3 % 30;
        positions.push(Own::KillInUnit(place.clone(), unit.clone(), number));
    }
    for place in &reference.distinct {
        for away in Away::ALL {
            positions.push(Own::Away(place.clone(), away));
        }
    }
    for (step, change) in &reference.acts {
        if let Some(table) = table_of(change) {
            for released in Released::ALL {
                positions.push(Own::Waiting(step.clone(), table.clone(), released));
            }
        }
    }
    for place in begun {
        for meddling in Meddling::ALL {
            positions.push(Own::Meddled(place.clone(), meddling));
        }
    }
    positions
}

/// The table that a statement must have for itself.
fn table_of(change: &Change) -> Option<String> {
    let of = |statement: &Statement| match statement.shape() {
        Shape::AddColumns { table, .. } | Shape::CreateIndex { table, .. } => Some(table.clone()),
        _ => None,
    };
    match change {
        Change::Execute { statement, .. } => of(statement),
        Change::ExecuteTogether { statements, .. } => statements.statements().iter().find_map(of),
        _ => None,
    }
}
