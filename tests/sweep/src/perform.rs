//! Performs a position: puts the world where it begins, disturbs it, lets the run come to its end, and judges.

pub(crate) mod beside;
mod drive;
mod ends;
mod late;
mod lost_tail;
mod meddle;
mod orphan;
mod rewound;
mod thawed;
mod twins;

use liftlock_gate::Defect;
use liftlock_testkit::Fault;
use liftlock_testkit::Method;
use liftlock_types::Exit;

use crate::image::Image;
use crate::judge::Verdict;
use crate::ledger::Place;
use crate::life::Hold;
use crate::life::Work;
use crate::position::Position;
use crate::reference::Reference;
use crate::site::Round;
use crate::site::Site;
use crate::world::World;

/// How a position ended.
pub(crate) enum Finish {
    /// All done.
    Done,
    /// All taken back.
    RolledBack,
    /// It stopped and stays so.
    Stopped(Exit, String),
}

/// Performs one position with the gate as it is, or with one of its rules broken.
pub fn perform(
    world: &mut World,
    reference: &Reference,
    position: &Position,
    defect: Option<Defect>,
) -> Verdict {
    let mut stage = Stage::new(world, reference, defect);
    let performed = stage.position(position);
    stage.verdict(performed)
}

/// One position on a site, while it is performed.
pub struct Stage<'a, S: Site> {
    pub(crate) world: &'a mut S,
    pub(crate) reference: &'a S::Reference,
    pub(crate) defect: Option<Defect>,
    pub(crate) verdict: Verdict,
    /// What the last process named as left behind.
    pub(crate) left_behind: Vec<String>,
}

impl<'a, S: Site> Stage<'a, S> {
    /// Of a site on which nothing has been done yet.
    pub(crate) fn new(
        world: &'a mut S,
        reference: &'a S::Reference,
        defect: Option<Defect>,
    ) -> Self {
        Self {
            world,
            reference,
            defect,
            verdict: Verdict::default(),
            left_behind: Vec::new(),
        }
    }

    /// What it came to, once it was performed.
    pub(crate) fn verdict(self, performed: anyhow::Result<()>) -> Verdict {
        let mut verdict = self.verdict;
        verdict.entries = self.world.books().entries();
        if let Err(error) = performed {
            let why = format!("it could not be performed: {error:#}");
            verdict.lost.push(why);
        }
        verdict
    }
}

impl Stage<'_, World> {
    fn position(&mut self, position: &Position) -> anyhow::Result<()> {
        let reference = self.reference;
        match position {
            Position::Kill(place) => {
                let mut round = self.killed_at(place)?;
                let finish = self.drive(&mut round, None)?;
                self.must_be_done(&round, &finish);
            }
            Position::KillTwice(place, number) => {
                let mut round = self.stopped_at(place)?;
                let work = self.next_work(&round);
                self.kill_at(&mut round, work, Hold::Nth(*number))?;
                let finish = self.drive(&mut round, None)?;
                self.must_be_done(&round, &finish);
            }
            Position::Rollback(place) => {
                let mut round = self.stopped_at(place)?;
                if self.world.rows(&round).is_empty() {
                    // It did not get there, and of what has not begun there is nothing to take back.
                    return Ok(());
                }
                let finish = self.drive(&mut round, Some(Work::Rollback(Vec::new())))?;
                self.must_be_back(&round, &finish);
            }
            Position::KillInRollback(place, number) => {
                self.killed_rollback(reference.image(place)?, *number)?;
            }
            Position::RollbackOfTheEnd(number) => self.killed_rollback(&reference.end, *number)?,
            Position::Fault(call, trouble) => {
                let mut round = self.world.fresh()?;
                self.world.sim.fault(trouble.fault(call.on()));
                let finish = self.drive(&mut round, Some(Work::Run))?;
                self.must_be_done(&round, &finish);
            }
            Position::TwoFaults(one, first, other, second) => {
                let mut round = self.world.fresh()?;
                self.world.sim.fault(first.fault(one.on()));
                self.world.sim.fault(second.fault(other.on()));
                let finish = self.drive(&mut round, Some(Work::Run))?;
                self.must_be_done(&round, &finish);
            }
            Position::FaultInRollback(place, number, trouble) => {
                let mut round = self.world.load(reference.image(place)?)?;
                for method in [Method::PUT, Method::POST, Method::DELETE] {
                    let on = Fault::nth(*number).method(method);
                    self.world.sim.fault(trouble.fault(on));
                }
                let finish = self.drive(&mut round, Some(Work::Rollback(Vec::new())))?;
                self.must_be_back(&round, &finish);
            }
            Position::Late(call, landing) => self.late(call, *landing)?,
            Position::Rewound(place, with_claim) => self.rewound(place, *with_claim)?,
            Position::Meddled(place, meddling) => self.meddled(place, *meddling)?,
            Position::LostTail(place, rows) => self.lost_tail(place, *rows)?,
            Position::Twins(place) => self.twins(place)?,
            Position::Thawed(place) => self.thawed(place)?,
            Position::Orphan(place, fate) => self.orphan(place, *fate)?,
        }
        Ok(())
    }

    /// As a crash at that place leaves everything.
    fn stopped_at(&mut self, place: &Place) -> anyhow::Result<Round> {
        if self.world.way.stands_still() {
            self.world.load(self.reference.image(place)?)
        } else {
            self.killed_at(place)
        }
    }

    fn killed_rollback(&mut self, image: &Image, number: usize) -> anyhow::Result<()> {
        let mut round = self.world.load(image)?;
        self.kill_at(&mut round, Work::Rollback(Vec::new()), Hold::Nth(number))?;
        let work = self.next_rollback(&round);
        let finish = self.drive(&mut round, Some(work))?;
        self.must_be_back(&round, &finish);
        Ok(())
    }
}
