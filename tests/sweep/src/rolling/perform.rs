//! Performs a position: puts the site where it begins, disturbs it, lets the run come to its end, and judges.

mod abort;
mod away;
mod ends;
mod late;
mod lost_tail;
pub(crate) mod meddle;
mod thawed;
mod twins;

use super::Fleet;
use super::faults::Trouble;
use super::position::Position;
use super::reference::Reference;
use crate::judge::Verdict;
use crate::life::Hold;
use crate::life::Work;
use crate::perform::Stage;
use crate::site::Round;

/// Performs one position.
pub fn perform<F: Fleet>(
    fleet: &mut F,
    reference: &Reference,
    position: &Position<F::Own>,
) -> Verdict {
    let mut stage = Stage::new(fleet, reference, None);
    let performed = stage.of_fleet(position);
    stage.verdict(performed)
}

impl<F: Fleet> Stage<'_, F> {
    fn of_fleet(&mut self, position: &Position<F::Own>) -> anyhow::Result<()> {
        match position {
            Position::Kill(place) => {
                let mut round = self.killed_at(place)?;
                let finish = self.drive(&mut round, None)?;
                self.must_be_done(&round, &finish)
            }
            Position::KillTwice(place, number) => {
                let mut round = self.killed_at(place)?;
                let work = self.next_work(&round);
                self.kill_at(&mut round, work, Hold::Nth(*number))?;
                let finish = self.drive(&mut round, None)?;
                self.must_be_done(&round, &finish)
            }
            Position::Rollback(place) => {
                let mut round = self.killed_at(place)?;
                let finish = self.drive(&mut round, Some(Work::Rollback(Vec::new())))?;
                self.must_be_back(&round, &finish)
            }
            Position::KillInRollback(place, number) => {
                let round = self.killed_at(place)?;
                self.killed_rollback_of(round, *number)
            }
            Position::RollbackOfTheEnd(number) => {
                let mut round = self.world.fresh()?;
                let finish = self.drive(&mut round, None)?;
                self.must_be_done(&round, &finish)?;
                self.killed_rollback_of(round, *number)
            }
            Position::Abort(place) => self.aborted(place),
            Position::Fault(step, trouble) => self.fault(step, *trouble),
            Position::Late(step, landing) => self.lands_late(step, *landing),
            Position::LostTail(place, rows) => self.tail_lost(place, *rows),
            Position::Twins(place) => self.twin_runs(place),
            Position::Thawed(place) => self.thaws(place),
            Position::Own(own) => F::perform(self, own),
        }
    }

    fn killed_rollback_of(&mut self, mut round: Round, number: usize) -> anyhow::Result<()> {
        self.kill_at(&mut round, Work::Rollback(Vec::new()), Hold::Nth(number))?;
        let work = self.next_rollback(&round);
        let finish = self.drive(&mut round, Some(work))?;
        self.must_be_back(&round, &finish)
    }

    fn fault(&mut self, step: &str, trouble: Trouble) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        self.world.bench().faults.arm(step, trouble);
        let finish = self.drive(&mut round, Some(Work::Run))?;
        self.must_be_done(&round, &finish)
    }
}
