//! The run is ended where it is; a person gives back what it names; and all of it is planned anew.

use liftlock_types::Exit;
use liftlock_types::facts::traffic::Administrative;

use crate::camunda::engines::Engines;
use crate::ledger::Place;
use crate::life::Work;
use crate::perform::Stage;
use crate::site::HERE;
use crate::site::Round;
use crate::site::Site;

/// The run after the one that was aborted.
const AGAIN: &str = "r-again";

impl Stage<'_, Engines> {
    /// What an abort leaves is named, and the next plan does the rest, whatever was done.
    pub(super) fn aborted(&mut self, place: &Place) -> anyhow::Result<()> {
        let mut round = self.killed_at(place)?;
        self.abort_cleanly(&mut round)?;
        self.judge_engines(&round)?;
        let named = self.left_behind.clone();
        self.give_back_by_hand();
        let script = match self.world.plan_anew() {
            Ok(script) => script,
            Err(error) => {
                self.verdict
                    .lost
                    .push(format!("after the abort it cannot be planned: {error:#}"));
                return Ok(());
            }
        };
        let mut again = self.world.elsewhere(&round, None)?;
        let end = self
            .world
            .live_as(&mut again, (AGAIN, HERE, &script), Work::Run, self.orders())?
            .end()?;
        self.told(&end);
        self.left_behind.extend(named);
        if end.exit != Exit::Done {
            let why = end.halt.map(|halt| halt.why).unwrap_or_default();
            self.verdict.lost.push(format!(
                "the run after the abort ends with {}: {why}",
                end.exit.code()
            ));
            return Ok(());
        }
        self.clients_were_served();
        self.same_as_after(&["instances"])
    }

    /// Ends the run; claims and markers are gone, and all that stays taken is named.
    pub(super) fn abort_cleanly(&mut self, round: &mut Round) -> anyhow::Result<()> {
        self.abort(round)?;
        self.taken_is_named();
        Ok(())
    }

    /// Ends the run; claims and markers are gone.
    pub(super) fn abort(&mut self, round: &mut Round) -> anyhow::Result<()> {
        let end = self.world.live(round, Work::Abort, self.orders())?.end()?;
        self.told(&end);
        if end.exit != Exit::Done {
            let why = end.halt.map(|halt| halt.why).unwrap_or_default();
            self.verdict.lost.push(format!(
                "it cannot be aborted: exit {}, {why}",
                end.exit.code()
            ));
        }
        self.nothing_of_ours()
    }

    fn taken_is_named(&mut self) {
        let seen = self.world.machines.seen();
        for name in self.world.units() {
            let (name, report) = (name.as_str(), self.left_behind.join("; "));
            let state = &seen["servers"][name]["state"];
            let is_named =
                report.contains(&format!("/{name} ")) || report.contains(&format!("{name}-drain"));
            if *state != "ready" && !is_named {
                self.verdict.lost.push(format!(
                    "the abort left server {name} in state {state}, and does not name it"
                ));
            }
            let is_named = report.contains(&format!("{name}-stop"))
                || report.contains(&format!("{name}-start"));
            if seen["nodes"][name]["runs"].is_null() && !is_named {
                self.verdict.lost.push(format!(
                    "the abort left node {name} stopped, and does not name it"
                ));
            }
        }
    }

    /// As the report asks for: what is stopped is started, what is taken is given back.
    fn give_back_by_hand(&mut self) {
        for name in self.world.units() {
            let name = name.as_str();
            self.world.machines.start(name, "");
            while !self.world.machines.is_ready(name) {
                self.world.machines.look_at(name);
            }
            self.world.machines.set_state(name, Administrative::Ready);
        }
    }
}
