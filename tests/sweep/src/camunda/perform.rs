//! Performs the positions that only this site has.

mod meddle;
mod unit;
mod waiting;

use super::engines::Engines;
use super::position::Away;
use super::position::Own;
use crate::ledger::Place;
use crate::perform::Stage;
use crate::rolling::Fleet;

/// Performs one of them.
pub(super) fn perform(stage: &mut Stage<'_, Engines>, own: &Own) -> anyhow::Result<()> {
    match own {
        Own::Unit(place, unit) => stage.unit_back(place, unit, None),
        Own::KillInUnit(place, unit, number) => stage.unit_back(place, unit, Some(*number)),
        Own::Away(place, away) => {
            let (machines, faults, away) = (
                stage.world.machines.clone(),
                stage.world.bench().faults.clone(),
                *away,
            );
            stage.away(place, move || match away {
                Away::Database => faults.lose_claimed(),
                Away::Balancer => machines.away(true, false),
                Away::Rest => machines.away(false, true),
            })
        }
        Own::Waiting(step, table, released) => stage.waiting(step, table, *released),
        Own::Meddled(place, meddling) => stage.meddled_with(place, meddling),
    }
}

/// The node that is worked on at a place: of its step, or the first one.
fn node_at(place: &Place) -> String {
    let node = super::truth::node_of(&place.step);
    if node.is_empty() {
        "n1".into()
    } else {
        node.into()
    }
}
