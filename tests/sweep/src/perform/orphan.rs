//! The host dies, and the vendor's upgrader that it started does not: whoever comes next attaches, and never starts
//! a second one while one lives.

use std::sync::Arc;

use anyhow::Context;
use liftlock_gate::Decision;
use liftlock_types::Change;
use liftlock_types::Exit;

use super::Finish;
use super::Stage;
use crate::judge;
use crate::ledger::Place;
use crate::life::Hold;
use crate::life::Orders;
use crate::life::Work;
use crate::position::Fate;
use crate::site::Site;
use crate::vendor::Seen;
use crate::world::World;

/// So many looks of the next process see it at work before it goes on.
const LOOKS: u32 = 3;

impl Stage<'_, World> {
    /// The process is ended there, and the upgrader meets its fate.
    pub(super) fn orphan(&mut self, place: &Place, fate: Fate) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        let vendor = self
            .world
            .optimize
            .vendor()
            .context("this way has no vendor")?
            .clone();
        if let Fate::Works(number) | Fate::Dies(number) = fate {
            vendor.hold_at(number);
        }
        self.kill_at(&mut round, Work::Run, Hold::At(place.clone()))?;
        let mut orders = self.orders();
        match fate {
            Fate::Works(_) if vendor.starts() > 0 => {
                let held = vendor.clone();
                orders.hook = Some(Arc::new(move |place| {
                    let is_attached = place.label == "probe.after" && place.time >= LOOKS;
                    // One that starts a second one finds the first still at work.
                    let is_too_late = place.label == "act.after";
                    if (is_attached || is_too_late) && held.let_go().is_err() {
                        // Without its file it waits on, and the life that waits for it is a finding.
                        held.end();
                    }
                }));
            }
            Fate::Works(_) => vendor.let_go()?,
            Fate::Ends => vendor.until("ends", |seen| seen != Seen::Lives)?,
            Fate::Dies(_) => {
                self.world.until_quiet(&round)?;
                vendor.end();
                vendor.until("dies", |seen| seen != Seen::Lives)?;
                vendor.let_go()?;
            }
            Fate::StatusLost => {
                vendor.until("ends", |seen| seen != Seen::Lives)?;
                vendor.lose_status();
            }
        }
        let had_begun = vendor.starts() > 0;
        let finish = self.after_the_host(&mut round, orders, fate)?;
        vendor.until("ends", |seen| seen != Seen::Lives)?;
        self.judge(&round);
        let may_run_again =
            matches!(fate, Fate::Dies(_) | Fate::StatusLost) && had_begun && self.is_rerun_safe();
        let starts_max = if may_run_again { 2 } else { 1 };
        if vendor.had_two_at_once() {
            self.verdict
                .repeated
                .push("two of the vendor's upgraders worked at the same time".into());
        }
        if vendor.starts() > starts_max {
            self.verdict.repeated.push(format!(
                "the vendor's upgrader was started {} times",
                vendor.starts()
            ));
        }
        match finish {
            Finish::RolledBack => self.same_as_before(),
            Finish::Done => {
                self.same_as_after();
                if vendor.starts() == 1 {
                    let effects = judge::effects(&self.world.records(&round));
                    self.verdict
                        .repeated
                        .extend(judge::more_than(&effects, &self.reference.effects));
                }
            }
            Finish::Stopped(exit, why) => self.verdict.lost.push(format!(
                "the run does not come to its end: exit {}, {why}",
                exit.code()
            )),
        }
        Ok(())
    }

    /// Process after process. A person who sees that the upgrader died half-way takes the run back.
    fn after_the_host(
        &mut self,
        round: &mut crate::site::Round,
        orders: Orders,
        fate: Fate,
    ) -> anyhow::Result<Finish> {
        let work = self.next_work(round);
        let end = self.world.live(round, work, orders)?.end()?;
        self.told(&end);
        if let Some(vendor) = self.world.optimize.vendor() {
            vendor.let_go()?;
        }
        if end.exit == Exit::Done {
            return Ok(Finish::Done);
        }
        let decisions = self.decisions(round, &end);
        let vendor = self.world.optimize.vendor();
        let is_half = vendor.is_some_and(|vendor| vendor.starts() > 0 && !vendor.is_whole());
        let work = if is_half && matches!(fate, Fate::Dies(_)) && !self.is_rerun_safe() {
            // Some of it is there, so that it is something to take back.
            let taken_back = decisions.into_iter().map(|decision| Decision {
                done: true,
                ..decision
            });
            Work::Rollback(taken_back.collect())
        } else {
            match self.next_work(round) {
                Work::Resume(_) => Work::Resume(decisions),
                other => other,
            }
        };
        self.drive(round, Some(work))
    }

    fn is_rerun_safe(&self) -> bool {
        self.world
            .script
            .plan
            .steps
            .iter()
            .filter_map(|step| step.change())
            .any(|planned| {
                matches!(planned.change, Change::RunTask { .. }) && planned.change.is_rerun_safe()
            })
    }
}
