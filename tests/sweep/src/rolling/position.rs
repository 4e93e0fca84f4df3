//! Positions: where a run is disturbed, and how.

use std::fmt;

use liftlock_types::Change;
use liftlock_types::UnitName;
use liftlock_types::sql::Shape;
use liftlock_types::sql::Statement;

use super::faults::Trouble;
use super::reference::Reference;
use crate::ledger::Place;
use crate::position::Landing;
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
pub enum Position {
    /// The process is ended there, and the run resumed.
    Kill(Place),
    /// And ended again while it is resumed, at the point of this number.
    KillTwice(Place, usize),
    /// The process is ended there, and the run goes back.
    Rollback(Place),
    /// And is ended again while it goes back.
    KillInRollback(Place, usize),
    /// The run had ended well, and goes back; it is ended at the point of this number.
    RollbackOfTheEnd(usize),
    /// The process is ended there, one node goes back by itself, and the run is resumed.
    Unit(Place, UnitName),
    /// And is ended again while the node goes back.
    KillInUnit(Place, UnitName, usize),
    /// The process is ended there and the run with it; a person gives back what it names; all is planned anew.
    Abort(Place),
    /// A send of this step goes wrong.
    Fault(String, Trouble),
    /// From there on a target cannot be asked.
    Away(Place, Away),
    /// A send of this step lands late.
    Late(String, Landing),
    /// The process is ended while its statement waits for a lock; the statement is not.
    Waiting(String, String, Released),
    /// Somebody else changed something.
    Meddled(Place, Meddling),
    /// The journal lost so many rows.
    LostTail(Place, usize),
    /// Another run begins while this one is there.
    Twins(Place),
    /// The runner froze there, another took over and ended, and the first goes on.
    Thawed(Place),
}

impl Disturbance for Position {
    fn family(&self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::KillTwice(..) => "kill-twice",
            Self::Rollback(_) => "rollback",
            Self::KillInRollback(..) => "kill-in-rollback",
            Self::RollbackOfTheEnd(_) => "rollback-of-the-end",
            Self::Unit(..) => "unit",
            Self::KillInUnit(..) => "kill-in-unit",
            Self::Abort(_) => "abort",
            Self::Fault(..) => "fault",
            Self::Away(..) => "away",
            Self::Late(..) => "late",
            Self::Waiting(..) => "waiting",
            Self::Meddled(..) => "meddled",
            Self::LostTail(..) => "lost-tail",
            Self::Twins(_) => "twins",
            Self::Thawed(_) => "thawed",
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(place) => write!(f, "killed at {place}"),
            Self::KillTwice(place, number) => {
                write!(f, "killed at {place}, and at point {number} of the resume")
            }
            Self::Rollback(place) => write!(f, "killed at {place}, then rolled back"),
            Self::KillInRollback(place, number) => write!(
                f,
                "killed at {place}, then rolled back and killed at point {number} of that"
            ),
            Self::RollbackOfTheEnd(number) => write!(
                f,
                "rolled back after its end, and killed at point {number} of that"
            ),
            Self::Unit(place, unit) => {
                write!(f, "killed at {place}, then {unit} taken back, then resumed")
            }
            Self::KillInUnit(place, unit, number) => write!(
                f,
                "killed at {place}, then {unit} taken back and killed at point {number} of that"
            ),
            Self::Abort(place) => write!(f, "killed at {place}, then aborted, then planned anew"),
            Self::Fault(step, trouble) => write!(f, "{trouble:?} at {step}"),
            Self::Away(place, away) => write!(f, "{away:?} away from {place} on"),
            Self::Late(step, landing) => write!(f, "{step} lands late, {landing:?}"),
            Self::Waiting(step, table, released) => write!(
                f,
                "killed while {step} waits for a lock on {table}, which goes: {released:?}"
            ),
            Self::Meddled(place, meddling) => {
                write!(f, "killed at {place}, and somebody changed: {meddling:?}")
            }
            Self::LostTail(place, rows) => {
                write!(f, "killed at {place}, and the journal lost {rows} rows")
            }
            Self::Twins(place) => write!(f, "another run begins while this one is at {place}"),
            Self::Thawed(place) => write!(f, "frozen at {place}, taken over, thawed"),
        }
    }
}

/// Points of a rollback of the whole run at which it is killed; one that it does not reach is a rollback without a
/// kill.
const ROLLBACK_POINTS: usize = 120;

/// How many rows a journal loses: the last one, some, and more than a step has.
const LOST_ROWS: [usize; 3] = [1, 3, 9];

/// Every position of a plan, in an order that does not change while the plan does not.
pub fn all(reference: &Reference, units: &[UnitName]) -> Vec<Position> {
    let places = &reference.places;
    let distinct = &reference.distinct;
    let began = distinct
        .iter()
        .position(|place| place.label == "journal.run-begun.after")
        .unwrap_or_default();
    let begun = &distinct[began..];
    let mut positions: Vec<Position> = places.iter().cloned().map(Position::Kill).collect();
    for (at, place) in distinct.iter().enumerate() {
        let passed = places.iter().position(|one| one == place);
        let left = places.len() - passed.unwrap_or_default();
        positions.push(Position::KillTwice(place.clone(), 1 + at * 7 % left.max(1)));
    }
    positions.extend(begun.iter().cloned().map(Position::Rollback));
    for (at, place) in begun.iter().enumerate() {
        let number = 1 + at * 5 % (at * 2 + 8);
        positions.push(Position::KillInRollback(place.clone(), number));
    }
    positions.extend((1..=ROLLBACK_POINTS).map(Position::RollbackOfTheEnd));
    for (at, place) in begun.iter().enumerate() {
        // The one that a step belongs to, or that is next; and the other one.
        for unit in units {
            positions.push(Position::Unit(place.clone(), unit.clone()));
        }
        let unit = &units[at % units.len()];
        let number = 1 + at * 3 % 30;
        positions.push(Position::KillInUnit(place.clone(), unit.clone(), number));
    }
    positions.extend(begun.iter().cloned().map(Position::Abort));
    for (step, _) in &reference.acts {
        for trouble in Trouble::ALL {
            positions.push(Position::Fault(step.clone(), trouble));
        }
    }
    for place in distinct {
        for away in Away::ALL {
            positions.push(Position::Away(place.clone(), away));
        }
    }
    for (step, change) in &reference.acts {
        for landing in Landing::ALL {
            if can_land(change, landing) {
                positions.push(Position::Late(step.clone(), landing));
            }
        }
        if let Some(table) = table_of(change) {
            for released in Released::ALL {
                positions.push(Position::Waiting(step.clone(), table.clone(), released));
            }
        }
    }
    for place in begun {
        for meddling in Meddling::ALL {
            positions.push(Position::Meddled(place.clone(), meddling));
        }
    }
    for place in begun {
        for rows in LOST_ROWS {
            positions.push(Position::LostTail(place.clone(), rows));
        }
    }
    positions.extend(distinct.iter().cloned().map(Position::Twins));
    positions.extend(begun.iter().cloned().map(Position::Thawed));
    positions
}

/// A command to a balancer or a service manager on the same machine is carried out when it is read, and the settle time
/// is longer than that; a request over a network, or a statement that waits for a lock, can land when nobody expects it.
fn can_land(change: &Change, landing: Landing) -> bool {
    landing != Landing::AfterTheEnd
        || matches!(
            change,
            Change::Execute { .. } | Change::ExecuteTogether { .. } | Change::EndpointRequest(_)
        )
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
