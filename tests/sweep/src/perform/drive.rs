//! Lets process after process work, with a person who decides what only a person can.

use liftlock_gate::Decision;
use liftlock_gate::End;
use liftlock_types::Exit;
use liftlock_types::StepId;

use super::Finish;
use super::Stage;
use crate::judge::Doubt;
use crate::ledger::Place;
use crate::ledger::Seen;
use crate::life::Hold;
use crate::life::Orders;
use crate::life::Told;
use crate::life::Work;
use crate::site::Round;
use crate::site::Site;

/// Most processes of one position. Two faults and a kill need four; more is a run that goes round in circles.
const LIVES_MAX: usize = 8;

impl<S: Site> Stage<'_, S> {
    /// A real run, ended at that place.
    pub(crate) fn killed_at(&mut self, place: &Place) -> anyhow::Result<Round> {
        let mut round = self.world.fresh()?;
        self.kill_at(&mut round, Work::Run, Hold::At(place.clone()))?;
        Ok(round)
    }

    /// Ends a process where it is held; one that does not get there comes to its own end.
    pub(crate) fn kill_at(
        &mut self,
        round: &mut Round,
        work: Work,
        hold: Hold,
    ) -> anyhow::Result<()> {
        let orders = Orders {
            hold: Some(hold),
            ..self.orders()
        };
        let life = self.world.live(round, work, orders)?;
        match life.wait()? {
            Told::Ended(end) => self.told(&end),
            _ => life.kill(),
        }
        self.verdict.lost.extend(self.unrecorded(&[round]));
        Ok(())
    }

    pub(crate) fn orders(&self) -> Orders {
        Orders {
            defect: self.defect,
            ..Orders::default()
        }
    }

    /// What goes on with a rollback that was ended.
    pub(crate) fn next_rollback(&self, round: &Round) -> Work {
        let rows = self.world.rows(round);
        let began = rows.iter().any(|row| row.kind == "rollback-begun");
        let ended = rows
            .iter()
            .any(|row| row.kind == "run-ended" && row.body.contains("rolled-back"));
        // Once it has begun, a resume goes on going back.
        if began || ended {
            Work::Resume(Vec::new())
        } else {
            Work::Rollback(Vec::new())
        }
    }

    /// A run of which nothing is written is begun anew.
    pub(crate) fn next_work(&self, round: &Round) -> Work {
        if self.world.rows(round).is_empty() {
            Work::Run
        } else {
            Work::Resume(Vec::new())
        }
    }

    /// Lets process after process work until the run is at its end or stops for good. After the first one all
    /// faults are mended. A person decides doubts by what the target shows.
    pub(crate) fn drive(
        &mut self,
        round: &mut Round,
        first: Option<Work>,
    ) -> anyhow::Result<Finish> {
        let mut work = match first {
            Some(work) => work,
            None => self.next_work(round),
        };
        let mut last = None;
        for _ in 0..LIVES_MAX {
            let rolls_back = matches!(work, Work::Rollback(_));
            let life = self.world.live(round, work.clone(), self.orders())?;
            let told = life.wait_or_stall(&|| self.world.requests())?;
            self.world.repair()?;
            let Some(Told::Ended(end)) = told else {
                // It waits for a target that gets no better: that one is mended, and a person ends the process.
                life.kill();
                self.verdict.course.push("waited, and was killed".into());
                work = match work {
                    Work::Rollback(_) => work,
                    _ => self.next_work(round),
                };
                continue;
            };
            self.told(&end);
            if end.exit == Exit::Done {
                let back = end.state.ended.as_deref() == Some("rolled-back");
                return Ok(if back {
                    Finish::RolledBack
                } else {
                    Finish::Done
                });
            }
            let why = end
                .halt
                .as_ref()
                .map(|halt| halt.why.clone())
                .unwrap_or_default();
            // Its plan does not fit any more, or the plugin refuses: it ended before its first change.
            if matches!(end.exit, Exit::Stale | Exit::Blocked) && end.state.ended.is_some() {
                return Ok(Finish::Stopped(end.exit, why));
            }
            let decisions = self.decisions(round, &end);
            let goes_on = !decisions.is_empty()
                || matches!(
                    end.exit,
                    Exit::Resumable
                        | Exit::Frozen
                        | Exit::Unreachable
                        | Exit::PluginFault
                        | Exit::RollbackFailed
                        | Exit::Stale
                        | Exit::Blocked
                        | Exit::ClaimLost
                        | Exit::Claimed
                        | Exit::PersonNeeded
                );
            if !goes_on || last.as_ref() == Some(&(end.exit, why.clone())) {
                return Ok(Finish::Stopped(end.exit, why));
            }
            last = Some((end.exit, why));
            work = match self.next_work(round) {
                Work::Resume(_) if rolls_back => Work::Rollback(decisions),
                Work::Resume(_) => Work::Resume(decisions),
                other => other,
            };
        }
        // Left alone, it would have told when the patience of what it waits for was over.
        let waited = "every process waited, and was ended by a person";
        let (exit, why) = last.unwrap_or((Exit::Resumable, waited.to_owned()));
        Ok(Finish::Stopped(exit, why))
    }

    /// What a person who looks at the target says of each doubt.
    pub(crate) fn decisions(&mut self, round: &Round, end: &End) -> Vec<Decision> {
        let mut decisions = Vec::new();
        for step in end.state.doubts() {
            let change = round.ground.ledger.change_of(step.as_str());
            let truth = change.and_then(|change| (round.ground.truth)(step.as_str(), &change));
            let why = end
                .halt
                .as_ref()
                .map(|halt| halt.why.clone())
                .unwrap_or_default();
            self.doubt(&step, &why);
            if truth != Some(true) {
                let step = step.to_string();
                round.ground.ledger.note(0, Seen::DecidedNotDone { step });
            }
            decisions.push(Decision {
                step,
                done: truth.unwrap_or_default(),
                reason: "the sweep looked at the target".into(),
            });
        }
        if decisions.is_empty()
            && let (Exit::PersonNeeded, Some(halt)) = (end.exit, &end.halt)
            && let Some(step) = &halt.step
        {
            self.doubt(step, &halt.why);
        }
        decisions
    }

    pub(crate) fn doubt(&mut self, step: &StepId, why: &str) {
        let doubt = Doubt {
            step: step.to_string(),
            why: why.to_owned(),
        };
        if !self.verdict.doubts.contains(&doubt) {
            self.verdict.doubts.push(doubt);
        }
    }

    pub(crate) fn told(&mut self, end: &End) {
        let mut line = format!("exit {}", end.exit.code());
        if let Some(halt) = &end.halt {
            if let Some(step) = &halt.step {
                line.push_str(&format!(" at {step}"));
            }
            line.push_str(&format!(": {}", halt.why));
        }
        if !end.left_behind.is_empty() {
            line.push_str(&format!("; left: {}", end.left_behind.join("; ")));
        }
        self.left_behind.clone_from(&end.left_behind);
        self.left_behind.extend(end.state.left_behind.clone());
        self.verdict.course.push(line);
    }
}
