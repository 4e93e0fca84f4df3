//! Positions: where a run is disturbed, and how.

use std::fmt;

use super::Fleet;
use super::faults::Trouble;
use super::reference::Reference;
use crate::ledger::Place;
use crate::position::Landing;
use crate::sweep::Disturbance;

/// One disturbance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position<O> {
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
    /// The process is ended there and the run with it; a person gives back what it names; all is planned anew.
    Abort(Place),
    /// A send of this step goes wrong.
    Fault(String, Trouble),
    /// A send of this step lands late.
    Late(String, Landing),
    /// The journal lost so many rows.
    LostTail(Place, usize),
    /// Another run begins while this one is there.
    Twins(Place),
    /// The runner froze there, another took over and ended, and the first goes on.
    Thawed(Place),
    /// One that only this site has.
    Own(O),
}

impl<O: Disturbance> Disturbance for Position<O> {
    fn family(&self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::KillTwice(..) => "kill-twice",
            Self::Rollback(_) => "rollback",
            Self::KillInRollback(..) => "kill-in-rollback",
            Self::RollbackOfTheEnd(_) => "rollback-of-the-end",
            Self::Abort(_) => "abort",
            Self::Fault(..) => "fault",
            Self::Late(..) => "late",
            Self::LostTail(..) => "lost-tail",
            Self::Twins(_) => "twins",
            Self::Thawed(_) => "thawed",
            Self::Own(own) => own.family(),
        }
    }
}

impl<O: Disturbance> fmt::Display for Position<O> {
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
            Self::Abort(place) => write!(f, "killed at {place}, then aborted, then planned anew"),
            Self::Fault(step, trouble) => write!(f, "{trouble:?} at {step}"),
            Self::Late(step, landing) => write!(f, "{step} lands late, {landing:?}"),
            Self::LostTail(place, rows) => {
                write!(f, "killed at {place}, and the journal lost {rows} rows")
            }
            Self::Twins(place) => write!(f, "another run begins while this one is at {place}"),
            Self::Thawed(place) => write!(f, "frozen at {place}, taken over, thawed"),
            Self::Own(own) => own.fmt(f),
        }
    }
}

/// Points of a rollback of the whole run at which it is killed; one that it does not reach is a rollback without a
/// kill.
const ROLLBACK_POINTS: usize = 120;

/// How many rows a journal loses: the last one, some, and more than a step has.
const LOST_ROWS: [usize; 3] = [1, 3, 9];

/// Every position of a plan, in an order that does not change while the plan does not.
pub fn all<F: Fleet>(fleet: &F, reference: &Reference) -> Vec<Position<F::Own>> {
    let places = &reference.places;
    let distinct = &reference.distinct;
    let begun = reference.begun();
    let mut positions: Vec<Position<F::Own>> = places.iter().cloned().map(Position::Kill).collect();
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
    positions.extend(begun.iter().cloned().map(Position::Abort));
    for (step, _) in &reference.acts {
        for trouble in Trouble::ALL {
            positions.push(Position::Fault(step.clone(), trouble));
        }
    }
    for (step, change) in &reference.acts {
        for landing in Landing::ALL {
            if landing != Landing::AfterTheEnd || fleet.can_land_late(change) {
                positions.push(Position::Late(step.clone(), landing));
            }
        }
    }
    for place in begun {
        for rows in LOST_ROWS {
            positions.push(Position::LostTail(place.clone(), rows));
        }
    }
    positions.extend(distinct.iter().cloned().map(Position::Twins));
    positions.extend(begun.iter().cloned().map(Position::Thawed));
    positions.extend(fleet.own(reference).into_iter().map(Position::Own));
    positions
}
