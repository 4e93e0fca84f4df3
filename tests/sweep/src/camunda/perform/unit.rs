//! One node goes back by itself, and the run is resumed.

use liftlock_types::Exit;
use liftlock_types::UnitName;

use crate::camunda::engines::Engines;
use crate::camunda::truth;
use crate::ledger::Place;
use crate::ledger::Seen;
use crate::life::Hold;
use crate::life::Work;
use crate::perform::Stage;
use crate::rolling::Fleet;
use crate::site::RUN;
use crate::site::Round;
use crate::site::Site;

impl Stage<'_, Engines> {
    /// Whatever the node was in, it is as before; the run then goes on to its end.
    pub(super) fn unit_back(
        &mut self,
        place: &Place,
        unit: &UnitName,
        killed: Option<usize>,
    ) -> anyhow::Result<()> {
        let mut round = self.killed_at(place)?;
        if let Some(number) = killed {
            let work = Work::Unit(unit.clone(), Vec::new());
            self.kill_at(&mut round, work, Hold::Nth(number))?;
        }
        let mut decisions = Vec::new();
        for _ in 0..2 {
            let work = Work::Unit(unit.clone(), decisions);
            let end = self.world.live(&mut round, work, self.orders())?.end()?;
            self.told(&end);
            match end.exit {
                Exit::Done => {
                    self.unit_as_before(unit);
                    self.is_done_anew(&round, unit);
                    break;
                }
                // The run is over, or never began.
                Exit::Usage => break,
                // The other node is out, so that this one is not taken: nothing was sent.
                _ if end.state.unit_back.is_none() && end.state.doubts().is_empty() => break,
                _ => {}
            }
            decisions = self.decisions(&round, &end);
            if decisions.is_empty() {
                let why = end.halt.map(|halt| halt.why).unwrap_or_default();
                self.verdict.lost.push(format!(
                    "{unit} does not go back: exit {}, {why}",
                    end.exit.code()
                ));
                break;
            }
        }
        let finish = self.drive(&mut round, None)?;
        self.must_be_done_but(&round, &finish, Engines::OF_RUNS)?;
        self.canaries_of_all_and_again_of(unit)
    }

    /// A node that is done anew is proved by a canary of its own, which may be the only one; no other node is.
    fn canaries_of_all_and_again_of(&mut self, unit: &UnitName) -> anyhow::Result<()> {
        let mut found = self.world.seen()?["instances"].take();
        if let Some(instances) = found.as_object_mut()
            && let Some(again) = instances.remove(&format!("{RUN}.again-1-{unit}"))
        {
            instances.entry(format!("{RUN}-{unit}")).or_insert(again);
        }
        self.differ(&self.reference.after["instances"], &found);
        Ok(())
    }

    /// What was taken back may be sent again.
    fn is_done_anew(&self, round: &Round, unit: &UnitName) {
        for (step, _) in &self.reference.acts {
            if truth::node_of(step) == unit.as_str() {
                let step = step.clone();
                round.ground.ledger.note(0, Seen::DecidedNotDone { step });
            }
        }
    }

    fn unit_as_before(&mut self, unit: &UnitName) {
        let found = self.world.machines.seen();
        for of in ["nodes", "servers"] {
            let (found, expected) = (
                &found[of][unit.as_str()],
                &self.reference.before[of][unit.as_str()],
            );
            if found != expected {
                self.verdict.lost.push(format!(
                    "{unit} went back, and `{of}` has {found}, not {expected}"
                ));
            }
        }
    }
}
