//! Performs a position: puts the world where it begins, disturbs it, lets the run come to its end, and judges.

mod meddle;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use liftlock_gate::Decision;
use liftlock_gate::Defect;
use liftlock_gate::End;
use liftlock_testkit::Fault;
use liftlock_testkit::Method;
use liftlock_types::Exit;
use liftlock_types::StepId;

use crate::image::Image;
use crate::judge;
use crate::judge::Doubt;
use crate::judge::Verdict;
use crate::ledger::Place;
use crate::ledger::Seen;
use crate::life::Hold;
use crate::life::Orders;
use crate::life::Told;
use crate::life::Work;
use crate::position::Call;
use crate::position::Landing;
use crate::position::Position;
use crate::reference::Reference;
use crate::world::RUN;
use crate::world::Round;
use crate::world::World;

/// Most processes of one position. Two faults and a kill need four; more is a run that goes round in circles.
const LIVES_MAX: usize = 8;

/// A frozen runner is thawed only when its last reading of the target is older than the gate lets one be (two
/// seconds), where it is frozen between that and what it sends.
const STALE: Duration = Duration::from_millis(2_050);

/// How a position ended.
enum Finish {
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
    let mut stage = Stage {
        world,
        reference,
        defect,
        verdict: Verdict::default(),
        left_behind: Vec::new(),
    };
    let performed = stage.position(position);
    let mut verdict = stage.verdict;
    verdict.entries = world.books().entries();
    if let Err(error) = performed {
        let why = format!("it could not be performed: {error:#}");
        verdict.lost.push(why);
    }
    verdict
}

struct Stage<'a> {
    world: &'a mut World,
    reference: &'a Reference,
    defect: Option<Defect>,
    verdict: Verdict,
    /// What the last process named as left behind.
    left_behind: Vec<String>,
}

impl Stage<'_> {
    fn position(&mut self, position: &Position) -> anyhow::Result<()> {
        let reference = self.reference;
        match position {
            Position::Kill(place) => {
                let mut round = self.killed_at(place)?;
                let finish = self.drive(&mut round, None)?;
                self.must_be_done(&round, &finish);
            }
            Position::KillTwice(place, number) => {
                let mut round = self.world.load(reference.image(place)?)?;
                let work = self.next_work(&round);
                self.kill_at(&mut round, work, Hold::Nth(*number))?;
                let finish = self.drive(&mut round, None)?;
                self.must_be_done(&round, &finish);
            }
            Position::Rollback(place) => {
                let mut round = self.world.load(reference.image(place)?)?;
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
        }
        Ok(())
    }

    /// A real run, ended at that place.
    fn killed_at(&mut self, place: &Place) -> anyhow::Result<Round> {
        let mut round = self.world.fresh()?;
        self.kill_at(&mut round, Work::Run, Hold::At(place.clone()))?;
        Ok(round)
    }

    /// Ends a process where it is held; one that does not get there comes to its own end.
    fn kill_at(&mut self, round: &mut Round, work: Work, hold: Hold) -> anyhow::Result<()> {
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

    fn orders(&self) -> Orders {
        Orders {
            defect: self.defect,
            ..Orders::default()
        }
    }

    /// A run of which nothing is written is begun anew.
    fn next_work(&self, round: &Round) -> Work {
        if self.world.rows(round).is_empty() {
            Work::Run
        } else {
            Work::Resume(Vec::new())
        }
    }

    /// Lets process after process work until the run is at its end or stops for good. After the first one all
    /// faults are mended. A person decides doubts by what the target shows.
    fn drive(&mut self, round: &mut Round, first: Option<Work>) -> anyhow::Result<Finish> {
        let mut work = match first {
            Some(work) => work,
            None => self.next_work(round),
        };
        let mut last = None;
        for _ in 0..LIVES_MAX {
            let rolls_back = matches!(work, Work::Rollback(_));
            let life = self.world.live(round, work.clone(), self.orders())?;
            let sim = self.world.sim.clone();
            let told = life.wait_or_stall(&|| sim.records().len())?;
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
        let (exit, why) = last.unwrap_or((Exit::Internal, String::new()));
        Ok(Finish::Stopped(exit, why))
    }

    /// What a person who looks at the target says of each doubt.
    fn decisions(&mut self, round: &Round, end: &End) -> Vec<Decision> {
        let mut decisions = Vec::new();
        for step in end.state.doubts() {
            let change = round.ground.ledger.change_of(step.as_str());
            let truth = change.and_then(|change| (round.ground.truth)(&change));
            let why = end
                .halt
                .as_ref()
                .map(|halt| halt.why.clone())
                .unwrap_or_default();
            self.doubt(&step, &why);
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

    fn doubt(&mut self, step: &StepId, why: &str) {
        let doubt = Doubt {
            step: step.to_string(),
            why: why.to_owned(),
        };
        if !self.verdict.doubts.contains(&doubt) {
            self.verdict.doubts.push(doubt);
        }
    }

    fn told(&mut self, end: &End) {
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

    /// What the books of all lives say, whatever the run came to.
    fn judge(&mut self, round: &Round) {
        let entries = round.ground.ledger.entries();
        self.verdict.repeated.extend(judge::repeated(&entries));
        self.verdict.guessed.extend(judge::guessed(&entries));
        let unrecorded = self.unrecorded(&[round]);
        for line in unrecorded {
            if !self.verdict.lost.contains(&line) {
                self.verdict.lost.push(line);
            }
        }
    }

    /// What was sent without a durable intent.
    fn unrecorded(&self, rounds: &[&Round]) -> Vec<String> {
        let rows: Vec<_> = rounds
            .iter()
            .flat_map(|round| self.world.rows(round))
            .collect();
        let entries = rounds.first().map(|round| round.ground.ledger.entries());
        let mut lines = Vec::new();
        let mut sent: BTreeMap<String, usize> = BTreeMap::new();
        for entry in entries.unwrap_or_default() {
            if let Seen::Act { step, .. } = entry.seen {
                *sent.entry(step).or_default() += 1;
            }
        }
        for (step, times) in sent {
            let intents = rows
                .iter()
                .filter(|row| row.kind == "intent" && row.step.as_deref() == Some(&step))
                .count();
            if intents < times {
                lines.push(format!(
                    "step `{step}` was sent {times} times, and the journal knows of {intents}"
                ));
            }
        }
        lines
    }

    /// The end of the uninterrupted run, and nothing done more often.
    fn must_be_done(&mut self, round: &Round, finish: &Finish) {
        self.judge(round);
        self.must_have_ended(round, finish);
    }

    fn must_have_ended(&mut self, round: &Round, finish: &Finish) {
        match finish {
            Finish::Done => {
                self.same_as_after();
                let effects = judge::effects(&self.world.records(round));
                self.verdict
                    .repeated
                    .extend(judge::more_than(&effects, &self.reference.effects));
            }
            Finish::RolledBack => self
                .verdict
                .lost
                .push("the run was rolled back, and nobody asked for that".into()),
            Finish::Stopped(exit, why) => self.verdict.lost.push(format!(
                "the run does not come to its end: exit {}, {why}",
                exit.code()
            )),
        }
    }

    /// The target as it was before the run; the snapshot stays.
    fn must_be_back(&mut self, round: &Round, finish: &Finish) {
        self.judge(round);
        match finish {
            Finish::RolledBack => self.same_as_before(),
            Finish::Done => self
                .verdict
                .lost
                .push("the run went on to its end instead of back".into()),
            Finish::Stopped(exit, why) => self.verdict.lost.push(format!(
                "the rollback does not come to its end: exit {}, {why}",
                exit.code()
            )),
        }
    }

    fn same_as_after(&mut self) {
        let found = self.world.sim.state_json();
        let lines = judge::differences(&self.reference.after, &found);
        self.verdict
            .lost
            .extend(judge::unnamed(lines, &self.left_behind));
    }

    fn same_as_before(&mut self) {
        let found = self.world.sim.state_json();
        let lines = judge::differences(&self.reference.before, &found);
        let lines = judge::unnamed(lines, &self.left_behind);
        self.verdict.lost.extend(
            lines
                .into_iter()
                .filter(|line| !line.contains("/snapshots")),
        );
        if !self.world.optimize.is_running() {
            self.verdict
                .lost
                .push("the service was not started again".into());
        }
    }

    fn killed_rollback(&mut self, image: &Image, number: usize) -> anyhow::Result<()> {
        let mut round = self.world.load(image)?;
        self.kill_at(&mut round, Work::Rollback(Vec::new()), Hold::Nth(number))?;
        let rows = self.world.rows(&round);
        let began = rows.iter().any(|row| row.kind == "rollback-begun");
        let ended = rows
            .iter()
            .any(|row| row.kind == "run-ended" && row.body.contains("rolled-back"));
        // Once it has begun, a resume goes on going back.
        let work = if began || ended {
            Work::Resume(Vec::new())
        } else {
            Work::Rollback(Vec::new())
        };
        let finish = self.drive(&mut round, Some(work))?;
        self.must_be_back(&round, &finish);
        Ok(())
    }

    /// The process is ended while its request is under way; the request lands when it is told to.
    fn late(&mut self, call: &Call, landing: Landing) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        self.world.sim.fault(call.on().deliver_when_released());
        let life = {
            let sim = self.world.sim.clone();
            let orders = Orders {
                // The first point after the request was held back.
                hold: None,
                hook: None,
                ..self.orders()
            };
            let life = self.world.live(&mut round, Work::Run, orders)?;
            let until = Instant::now() + Duration::from_secs(60);
            while sim.late_count() == 0 && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
            life
        };
        if self.world.sim.late_count() == 0 {
            bail!("the run never sent {call}");
        }
        life.kill();
        self.world.sim.clear_faults();
        self.verdict.lost.extend(self.unrecorded(&[&round]));
        let looks = Arc::new(AtomicU64::new(0));
        let sim = self.world.sim.clone();
        let hook = move |place: &Place| {
            let is_there = match landing {
                Landing::AfterTheFirstLook | Landing::DuringTheRollback => {
                    place.label == "probe.after"
                }
                Landing::BeforeTheRepeat => {
                    place.label == "act.before" || place.label == "claim.before"
                }
                Landing::AfterTheEnd => false,
            };
            if is_there && looks.fetch_add(1, Ordering::SeqCst) == 0 {
                sim.release_late();
            }
        };
        let orders = Orders {
            hook: Some(Arc::new(hook)),
            ..self.orders()
        };
        let work = match (landing, self.next_work(&round)) {
            (Landing::DuringTheRollback, Work::Resume(_)) => Work::Rollback(Vec::new()),
            (_, work) => work,
        };
        let rolls_back = matches!(work, Work::Rollback(_));
        let end = self.world.live(&mut round, work, orders)?.end()?;
        self.told(&end);
        let finish = if end.exit == Exit::Done {
            if rolls_back {
                Finish::RolledBack
            } else {
                Finish::Done
            }
        } else {
            self.decisions(&round, &end);
            let again = if rolls_back {
                Work::Rollback(Vec::new())
            } else {
                self.next_work(&round)
            };
            self.drive(&mut round, Some(again))?
        };
        self.world.sim.release_late();
        if rolls_back {
            self.must_be_back(&round, &finish);
        } else {
            self.must_be_done(&round, &finish);
        }
        Ok(())
    }

    /// The journal knows of more than the target does: nothing that is recorded done is done again.
    fn rewound(&mut self, place: &Place, with_claim: bool) -> anyhow::Result<()> {
        let image = self.reference.image(place)?;
        let claimed = self
            .reference
            .places
            .iter()
            .find(|place| place.label == "claim.after");
        let target = match (with_claim, claimed) {
            (true, Some(place)) => self.reference.image(place)?.target.clone(),
            _ => self.world.base(),
        };
        let mut round = self.world.load(image)?;
        self.world.rewind(&target, image.running);
        let before = self.world.sim.state_json();
        if image
            .entries
            .iter()
            .any(|entry| entry.is_of("journal.run-ended"))
        {
            // A run that is over is not looked at again.
            return Ok(());
        }
        let done = done_steps(image);
        let finish = self.drive(&mut round, None)?;
        self.judge(&round);
        let again: Vec<String> = sent_again(&round, &done, image.entries.len());
        self.verdict.repeated.extend(again);
        match finish {
            Finish::Done if done.is_empty() || is_only_reads(self, &done) => {
                let found = self.world.sim.state_json();
                self.verdict
                    .lost
                    .extend(judge::differences(&self.reference.after, &found));
            }
            Finish::Done => self.verdict.lost.push(format!(
                "the run ended well, though the target had lost what it had done: {}",
                done.join(", ")
            )),
            Finish::Stopped(..) => {
                let found = self.world.sim.state_json();
                self.verdict
                    .lost
                    .extend(judge::differences(&before, &found));
            }
            Finish::RolledBack => self.verdict.lost.push("it was rolled back".into()),
        }
        Ok(())
    }

    /// The end of the journal is gone, its head file is not.
    fn lost_tail(&mut self, place: &Place, rows: usize) -> anyhow::Result<()> {
        let image = self.reference.image(place)?;
        let has = image.entries.iter().filter(|entry| entry.is_row()).count();
        if has <= rows {
            return Ok(());
        }
        let older = self
            .reference
            .places
            .iter()
            .filter_map(|place| self.reference.images.get(place))
            .find(|image| {
                image.entries.iter().filter(|entry| entry.is_row()).count() == has - rows
            });
        let Some(older) = older else {
            bail!("no image has {} rows", has - rows);
        };
        let mut mixed = image.clone();
        mixed.journal = mix(&older.journal, &image.journal)?;
        let mut round = self.world.load(&mixed)?;
        let finish = self.drive(&mut round, None)?;
        let entries = round.ground.ledger.entries();
        self.verdict.repeated.extend(judge::repeated(&entries));
        let effects = judge::effects(&self.world.records(&round));
        self.verdict
            .repeated
            .extend(judge::more_than(&effects, &self.reference.effects));
        match finish {
            Finish::Done => self.same_as_after(),
            // What was done last is not known any more: a person has to look.
            Finish::Stopped(exit, why) => {
                if self.verdict.doubts.is_empty() {
                    self.verdict.doubts.push(Doubt {
                        step: String::new(),
                        why: format!("exit {}, {why}", exit.code()),
                    });
                }
            }
            Finish::RolledBack => self.verdict.lost.push("it was rolled back".into()),
        }
        std::fs::remove_dir_all(&mixed.journal)?;
        Ok(())
    }

    /// Another run of the same plan, with a journal of its own, begins while this one is held.
    fn twins(&mut self, place: &Place) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        let orders = Orders {
            hold: Some(Hold::At(place.clone())),
            ..self.orders()
        };
        let one = self.world.live(&mut round, Work::Run, orders)?;
        one.wait()?;
        let claimed = self.world.sim.state_json()["templates"]["component"]
            .as_object()
            .is_some_and(|templates| templates.keys().any(|name| name.starts_with("liftlock")));
        let seen = self.world.sim.records().len();
        let nothing = Image {
            journal: "nowhere".into(),
            kept: "nowhere".into(),
            ..self.reference.end.clone()
        };
        let mut other = self.world.elsewhere(&round, &nothing)?;
        let end = self
            .world
            .live_as(&mut other, "r-twin", "there", Work::Run, self.orders())?
            .end()?;
        self.told(&end);
        let sent: Vec<String> = self
            .world
            .sim
            .records()
            .iter()
            .skip(seen)
            .filter(|record| judge::may_change(record))
            .map(liftlock_testkit::Record::line)
            .collect();
        if claimed && !sent.is_empty() {
            self.verdict.repeated.push(format!(
                "the other run met a claim and sent {}",
                sent.join(", ")
            ));
        }
        one.thaw();
        let mut first = one.end()?;
        self.told(&first);
        if !claimed {
            // Whoever claims first goes on; the other one sends nothing.
            let mine: Vec<String> = self.acts_of(&round, 1);
            if end.exit == Exit::Done && !mine.is_empty() {
                self.verdict
                    .repeated
                    .push(format!("both runs sent: {}", mine.join(", ")));
            }
            if end.exit != Exit::Done && first.exit != Exit::Done {
                self.verdict
                    .lost
                    .push("neither of two runs came to its end".into());
            }
        } else if first.exit != Exit::Done {
            first = self
                .world
                .live(&mut round, Work::Resume(Vec::new()), self.orders())?
                .end()?;
            self.told(&first);
        }
        let entries = round.ground.ledger.entries();
        self.verdict.guessed.extend(judge::guessed(&entries));
        let found = self.world.sim.state_json();
        // The snapshot's name tells the run.
        let lines = judge::differences(&self.reference.after, &found);
        self.verdict.lost.extend(
            lines
                .into_iter()
                .filter(|line| !line.contains("/snapshots")),
        );
        Ok(())
    }

    fn acts_of(&self, round: &Round, life: u32) -> Vec<String> {
        round
            .ground
            .ledger
            .entries()
            .into_iter()
            .filter(|entry| entry.life == life)
            .filter_map(|entry| match entry.seen {
                Seen::Act { step, .. } => Some(step),
                _ => None,
            })
            .collect()
    }

    /// A runner is frozen, another one takes over and comes to the end, then the first goes on.
    fn thawed(&mut self, place: &Place) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        let camera = self.world.camera(&round);
        let orders = Orders {
            hold: Some(Hold::At(place.clone())),
            ..self.orders()
        };
        let frozen = self.world.live(&mut round, Work::Run, orders)?;
        frozen.wait()?;
        let since = Instant::now();
        let image = camera.shoot()?;
        let mut other = self.world.elsewhere(&round, &image)?;
        let has_rows = !self.world.rows(&other).is_empty();
        let mut finish = Finish::Stopped(Exit::Usage, "there was nothing to take over".into());
        if has_rows {
            let work = Work::Takeover(Vec::new());
            let end = self
                .world
                .live_as(&mut other, RUN, "there", work, self.orders())?
                .end()?;
            self.told(&end);
            finish = match &end.halt {
                None => Finish::Done,
                Some(halt) => Finish::Stopped(end.exit, halt.why.clone()),
            };
        }
        let reads = ["observe", "facts", "journal.intent", "act"];
        if reads.iter().any(|label| place.label.starts_with(label)) {
            std::thread::sleep(STALE.saturating_sub(since.elapsed()));
        }
        let before = self.world.sim.state_json();
        let acts = self.acts_of(&round, 1).len();
        let known = round.ground.ledger.len();
        frozen.thaw();
        let sim = self.world.sim.clone();
        let end = match frozen.wait_or_stall(&|| sim.records().len())? {
            Some(Told::Ended(end)) => {
                self.told(&end);
                end.exit
            }
            // It waits for something that its successor has long done, and sends nothing.
            _ => {
                frozen.kill();
                self.verdict.course.push("waited, and was killed".into());
                Exit::Resumable
            }
        };
        if has_rows {
            let after: Vec<String> = self.acts_of(&round, 1).split_off(acts);
            if !after.is_empty() {
                self.verdict.repeated.push(format!(
                    "the thawed runner sent {} after another had taken over",
                    after.join(", ")
                ));
            }
            let found = self.world.sim.state_json();
            self.verdict
                .lost
                .extend(judge::differences(&before, &found));
            let entries = round.ground.ledger.entries();
            self.verdict.repeated.extend(judge::repeated(&entries));
            // The journal of the thawed runner is not the run's any more.
            self.verdict
                .guessed
                .extend(judge::guessed(&entries[..known]));
            let unrecorded = self.unrecorded(&[&round, &other]);
            self.verdict.lost.extend(unrecorded);
            self.must_have_ended(&round, &finish);
            // The second epoch's claim is made and removed by who took over.
            self.verdict
                .repeated
                .retain(|line| !line.contains("/_component_template/liftlock-claim."));
        } else {
            let finish = if end == Exit::Done {
                Finish::Done
            } else {
                Finish::Stopped(end, String::new())
            };
            self.must_be_done(&round, &finish);
        }
        Ok(())
    }
}

/// Steps whose change is concluded as done in an image.
fn done_steps(image: &Image) -> Vec<String> {
    image
        .entries
        .iter()
        .filter_map(|entry| match &entry.seen {
            Seen::Concluded { step, kind, .. } if kind.is_done() => Some(step.clone()),
            _ => None,
        })
        .collect()
}

/// Which of these steps were given to their capability again after so many entries.
fn sent_again(round: &Round, done: &[String], after: usize) -> Vec<String> {
    round
        .ground
        .ledger
        .entries()
        .iter()
        .skip(after)
        .filter_map(|entry| match &entry.seen {
            Seen::Act { step, .. } if done.contains(step) => Some(format!(
                "step `{step}` was recorded done, and was sent again"
            )),
            _ => None,
        })
        .collect()
}

/// None of these steps left something in the cluster: stopping a service and keeping a file do not.
fn is_only_reads(stage: &Stage<'_>, done: &[String]) -> bool {
    done.iter().all(|id| {
        stage
            .world
            .script
            .plan
            .steps
            .iter()
            .find(|step| step.id.as_str() == id)
            .and_then(|step| step.change())
            .is_some_and(|planned| !matches!(planned.binding.capability(), "cluster" | "snapshot"))
    })
}

/// A journal whose rows are of one image and whose head files are of another.
fn mix(rows: &std::path::Path, heads: &std::path::Path) -> anyhow::Result<std::path::PathBuf> {
    let mixed = heads.with_file_name("mixed");
    crate::image::copy_folder(rows, &mixed)?;
    let there = mixed.join("heads");
    if there.exists() {
        std::fs::remove_dir_all(&there)?;
    }
    crate::image::copy_folder(&heads.join("heads"), &there)?;
    Ok(mixed)
}
