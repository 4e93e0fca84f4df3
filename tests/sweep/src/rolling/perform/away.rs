//! A target cannot be asked any more, until the process has given up.

use std::sync::Arc;

use crate::ledger::Place;
use crate::life::Orders;
use crate::life::Told;
use crate::life::Work;
use crate::perform::Stage;
use crate::rolling::Fleet;

impl<F: Fleet> Stage<'_, F> {
    /// From that place on; then all is mended, and the run goes on.
    pub(crate) fn away(
        &mut self,
        from: &Place,
        lose: impl Fn() + Send + Sync + 'static,
    ) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        let from = from.clone();
        let orders = Orders {
            hook: Some(Arc::new(move |place| {
                if *place == from {
                    lose();
                }
            })),
            ..self.orders()
        };
        let life = self.world.live(&mut round, Work::Run, orders)?;
        let mut was_given_up = false;
        match life.wait_or_stall(&|| self.world.requests())? {
            Some(Told::Ended(end)) => {
                self.told(&end);
                self.decisions(&round, &end);
                was_given_up = end.state.ended.as_deref() == Some("aborted");
            }
            _ => {
                life.kill();
                self.verdict.course.push("waited, and was killed".into());
            }
        }
        self.world.repair()?;
        if was_given_up {
            // It could not be planned again when it held its claim: it ended before its first change.
            self.judge_all(&round)?;
            return self.same_as_before();
        }
        let finish = self.drive(&mut round, None)?;
        self.must_be_done(&round, &finish)
    }
}
