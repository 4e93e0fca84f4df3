//! A runner freezes, another takes over and comes to the end, and the first goes on.

use std::time::Duration;
use std::time::Instant;

use liftlock_types::Exit;

use crate::camunda::engines::Engines;
use crate::judge;
use crate::ledger::Place;
use crate::life::Hold;
use crate::life::Orders;
use crate::life::Told;
use crate::life::Work;
use crate::perform::Finish;
use crate::perform::Stage;
use crate::site::RUN;
use crate::site::Site;

/// A frozen runner is thawed only when its last reading of the targets is older than the gate lets one be (two
/// seconds), where it is frozen between that and what it sends.
const STALE: Duration = Duration::from_millis(2_050);

impl Stage<'_, Engines> {
    /// A runner is frozen, another one takes over and comes to the end, then the first goes on.
    pub(super) fn thaws(&mut self, place: &Place) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        let orders = Orders {
            hold: Some(Hold::At(place.clone())),
            ..self.orders()
        };
        let frozen = self.world.live(&mut round, Work::Run, orders)?;
        if let Told::Ended(end) = frozen.wait()? {
            self.told(&end);
            anyhow::bail!("the run ended before it got there");
        }
        let since = Instant::now();
        let journal = round.ground.journal.clone();
        let mut other = self.world.elsewhere(&round, Some(&journal))?;
        let script = self.world.script.clone();
        let work = Work::Takeover(Vec::new());
        let end = self
            .world
            .live_as(&mut other, (RUN, "there", &script), work, self.orders())?
            .end()?;
        self.told(&end);
        let finish = match &end.halt {
            None => Finish::Done,
            Some(halt) => Finish::Stopped(end.exit, halt.why.clone()),
        };
        let reads = ["observe", "facts", "journal.intent", "act"];
        if reads.iter().any(|label| place.label.starts_with(label)) {
            std::thread::sleep(STALE.saturating_sub(since.elapsed()));
        }
        let before = self.world.seen()?;
        let acts = self.sent_by(&round, 1).len();
        let known = round.ground.ledger.len();
        frozen.thaw();
        match frozen.wait_or_stall(&|| self.world.requests())? {
            Some(Told::Ended(end)) => self.told(&end),
            // It waits for something that its successor has long done, and sends nothing.
            _ => {
                frozen.kill();
                self.verdict.course.push("waited, and was killed".into());
            }
        }
        let after = self.sent_by(&round, 1).split_off(acts);
        if !after.is_empty() {
            self.verdict.repeated.push(format!(
                "the thawed runner sent {} after another had taken over",
                after.join(", ")
            ));
        }
        let found = self.world.seen()?;
        let lines = judge::differences(&before, &found);
        self.verdict.lost.extend(lines);
        let entries = round.ground.ledger.entries();
        self.verdict.repeated.extend(judge::repeated(&entries));
        // The journal of the thawed runner is not the run's any more.
        self.verdict
            .guessed
            .extend(judge::guessed(&entries[..known]));
        self.clients_were_served();
        match finish {
            Finish::Done => self.same_as_after(&[])?,
            // Its plan did not fit any more when it held the claim: it ended before its first change.
            Finish::Stopped(Exit::Stale | Exit::Blocked, _) => self.same_as_before()?,
            Finish::Stopped(exit, why) => self.verdict.lost.push(format!(
                "who took over does not come to the end: exit {}, {why}",
                exit.code()
            )),
            Finish::RolledBack => {}
        }
        Ok(())
    }
}
