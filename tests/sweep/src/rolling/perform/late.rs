//! A change of a dead process lands when nobody expects it any more.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use liftlock_types::Exit;

use crate::ledger::Place;
use crate::life::Hold;
use crate::life::Orders;
use crate::life::Told;
use crate::life::Work;
use crate::perform::Finish;
use crate::perform::Stage;
use crate::position::Landing;
use crate::rolling::Fleet;
use crate::rolling::faults::Trouble;

/// Longest wait for a change to be sent: a run takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

impl<F: Fleet> Stage<'_, F> {
    /// The process is ended while its change is under way; it lands when it is told to.
    pub(super) fn lands_late(&mut self, step: &str, landing: Landing) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        self.world.bench().faults.arm(step, Trouble::Late);
        let life = self.world.live(&mut round, Work::Run, self.orders())?;
        let until = Instant::now() + PATIENCE;
        while self.world.bench().faults.on_its_way() == 0 {
            if Instant::now() > until {
                bail!("the run never sent {step}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        life.kill();
        let flying = Mutex::new(self.world.bench().faults.take_on_its_way());
        let (work, hold) = match landing {
            Landing::DuringTheRollback => (Work::Rollback(Vec::new()), Some(("probe.after", 1))),
            Landing::AfterTheFirstLook => (Work::Resume(Vec::new()), Some(("probe.after", 1))),
            // What is sent again is another attempt.
            Landing::BeforeTheRepeat => (Work::Resume(Vec::new()), Some(("act.before", 2))),
            Landing::AfterTheEnd => (Work::Resume(Vec::new()), None),
        };
        let rolls_back = matches!(work, Work::Rollback(_));
        let first = hold.map(|(label, attempt)| Place {
            label: label.into(),
            step: step.into(),
            attempt,
            time: 1,
        });
        let orders = Orders {
            hold: first.map(Hold::At),
            ..self.orders()
        };
        let life = self.world.live(&mut round, work.clone(), orders)?;
        let mut told = life.wait()?;
        if matches!(told, Told::Held) {
            self.land_all(&flying)?;
            life.thaw();
            told = life.wait()?;
        }
        let Told::Ended(end) = told else {
            bail!("it is held twice");
        };
        self.told(&end);
        let finish = match (end.exit, rolls_back) {
            (Exit::Done, true) => Finish::RolledBack,
            (Exit::Done, false) => Finish::Done,
            (_, _) => {
                let decisions = self.decisions(&round, &end);
                let again = if rolls_back {
                    Work::Rollback(decisions)
                } else {
                    Work::Resume(decisions)
                };
                self.drive(&mut round, Some(again))?
            }
        };
        self.land_all(&flying)?;
        if rolls_back {
            self.must_be_back(&round, &finish)
        } else {
            self.must_be_done(&round, &finish)
        }
    }

    fn land_all(
        &self,
        flying: &Mutex<Vec<crate::rolling::faults::OnItsWay>>,
    ) -> anyhow::Result<()> {
        let all = std::mem::take(&mut *flying.lock().unwrap_or_else(PoisonError::into_inner));
        for one in all {
            self.world.bench().land(one)?;
        }
        Ok(())
    }
}
