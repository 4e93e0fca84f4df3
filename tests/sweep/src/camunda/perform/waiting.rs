//! A statement waits for a lock, its client dies, and the server does not know.

use std::time::Duration;

use crate::camunda::engines::Engines;
use crate::camunda::lock::Lock;
use crate::camunda::position::Released;
use crate::life::Work;
use crate::perform::Stage;
use crate::site::Site;

/// How long the next process looks at a statement that waits before the lock goes.
const LOOKS_FOR: Duration = Duration::from_millis(700);

impl Stage<'_, Engines> {
    /// What waits is awaited or ended before the catalog is believed.
    pub(super) fn waiting(
        &mut self,
        step: &str,
        table: &str,
        released: Released,
    ) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        let before = crate::ledger::Place {
            label: "act.before".into(),
            step: step.into(),
            attempt: 1,
            time: 1,
        };
        let orders = crate::life::Orders {
            hold: Some(crate::life::Hold::At(before)),
            ..self.orders()
        };
        let life = self.world.live(&mut round, Work::Run, orders)?;
        life.wait()?;
        let mut lock = Lock::take(&self.world.store, table)?;
        life.thaw();
        lock.until_awaited()?;
        life.kill();
        let first = match released {
            Released::DuringTheRollback => Work::Rollback(Vec::new()),
            _ => Work::Resume(Vec::new()),
        };
        let rolls_back = matches!(first, Work::Rollback(_));
        let finish = if released == Released::AtOnce {
            lock.let_go();
            self.drive(&mut round, Some(first))?
        } else {
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    std::thread::sleep(LOOKS_FOR);
                    lock.let_go();
                });
                self.drive(&mut round, Some(first))
            })?
        };
        if rolls_back {
            self.must_be_back(&round, &finish)
        } else {
            self.must_be_done(&round, &finish)
        }
    }
}
