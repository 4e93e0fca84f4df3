//! A request of a dead process lands when nobody expects it any more.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use liftlock_types::Exit;

use super::Finish;
use super::Stage;
use crate::judge::Doubt;
use crate::ledger::Place;
use crate::life::Orders;
use crate::life::Work;
use crate::position::Call;
use crate::position::Landing;
use crate::site::Site;
use crate::world::World;

impl Stage<'_, World> {
    /// The process is ended while its request is under way; the request lands when it is told to.
    pub(super) fn late(&mut self, call: &Call, landing: Landing) -> anyhow::Result<()> {
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
        self.claim_of_nobody(call);
        self.copies_of_nobody(call);
        if rolls_back {
            self.must_be_back(&round, &finish);
        } else {
            self.must_be_done(&round, &finish);
        }
        Ok(())
    }

    /// A claim that lands after its run has ended holds nobody up for good: the next run names the dead one, and a
    /// person has it removed (gate, rule 5).
    fn claim_of_nobody(&mut self, call: &Call) {
        if call.method != "PUT" || !call.path.contains("/liftlock-claim.") {
            return;
        }
        let (status, _) = self.world.sim.call("DELETE", &call.path, "");
        if status == 200 {
            self.verdict.doubts.push(Doubt {
                step: String::new(),
                why: "a claim landed after the end of its run: a person removes it".into(),
            });
        }
    }

    /// Copies of a trial restore that land after the run has ended: its report says that a request has no answer, and
    /// that a person removes what it makes.
    fn copies_of_nobody(&mut self, call: &Call) {
        let is_named = self
            .left_behind
            .iter()
            .any(|text| text.contains("was never answered"));
        if !call.path.ends_with("/_restore") || !is_named {
            return;
        }
        let state = self.world.sim.state_json();
        let indices = state["indices"].as_object();
        let copies: Vec<&String> = indices
            .into_iter()
            .flat_map(|indices| indices.keys())
            .filter(|name| name.starts_with("liftlock-trial-"))
            .collect();
        for name in &copies {
            self.world.sim.call("DELETE", &format!("/{name}"), "");
        }
        if !copies.is_empty() {
            self.verdict.doubts.push(Doubt {
                step: "prove-snapshot".into(),
                why: "its copies landed after the end of the run: a person removes them".into(),
            });
        }
    }
}
