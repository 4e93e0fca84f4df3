//! Units: parts of a plan that go back by themselves, one after another.

use liftlock_gate::{FreezeError, Runner, StepApproval};
use liftlock_types::facts::traffic::Administrative;
use liftlock_types::{
    BackendName, Body, Change, Condition, Exit, OnExpiry, Phase, Predicate, Proposal, ServerName,
    Step, Undo, UnitName,
};

use crate::lab::*;
use crate::toy::{Fault, Toy};

fn unit(name: &str) -> UnitName {
    UnitName::new(name).unwrap()
}

/// Out, changed, in again.
fn node(name: &str) -> Vec<Step> {
    let mut steps = vec![
        change(
            &format!("{name}-stop"),
            Phase::Switch,
            Change::StopService {},
        ),
        Step {
            phase: Phase::Switch,
            ..create(&format!("{name}-new"), name)
        },
        step(
            &format!("{name}-start"),
            Phase::Switch,
            Body::GiveBack {
                step: id(&format!("{name}-stop")),
            },
        ),
    ];
    for step in &mut steps {
        step.unit = Some(unit(name));
    }
    steps
}

/// A change that stays, and two nodes.
fn rolling() -> Vec<Step> {
    let mut schema = create("schema", "schema");
    schema.undo = Undo::Stays {
        because: "the old version runs on it".into(),
    };
    let mut steps = vec![schema];
    steps.extend(node("n1"));
    steps.extend(node("n2"));
    steps
}

/// The same, and the second node wants an approval of its own.
fn waiting() -> Vec<Step> {
    let mut steps = rolling();
    steps[4].own_approval = Some("look at the first one".into());
    steps
}

fn approve(lab: &mut Lab) {
    lab.approvals[0].steps = vec![StepApproval {
        step: id("n2-stop"),
        reason: "looked".into(),
    }];
}

const OUT: &str = "service.stop";
const BACK: &str = "cluster.delete-document";
const IN: &str = "service.start";

fn has(lab: &Lab, document: &str) -> bool {
    lab.toy.with(|world| world.documents.contains_key(document))
}

#[tokio::test]
async fn a_run_goes_back_unit_by_unit_and_leaves_what_stays() {
    let lab = Lab::new(rolling()).await;
    assert!(lab.plan.point_of_no_return.is_none());
    assert_eq!(lab.run().await.exit, Exit::Done);
    lab.toy.with(|world| world.sent.clear());
    let end = lab.runner().await.rollback("slow", vec![]).await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert_eq!(lab.sent(), [OUT, BACK, IN, OUT, BACK, IN]);
    let taken_back: Vec<String> = lab.toy.with(|world| {
        let documents = world.sent.iter().filter_map(|(_, change)| match change {
            Change::DeleteDocument { id, .. } => Some(id.to_string()),
            _ => None,
        });
        documents.collect()
    });
    assert_eq!(taken_back, ["n2", "n1"]);
    assert!(has(&lab, "schema") && !has(&lab, "n1") && !has(&lab, "n2"));
    assert!(
        end.left_behind
            .iter()
            .any(|line| line.contains("the old version runs on it")),
        "{:?}",
        end.left_behind
    );
}

#[tokio::test]
async fn a_unit_of_which_all_stays_is_not_taken_out_again_for_nothing() {
    let mut steps = rolling();
    for step in &mut steps {
        if matches!(
            step.change().map(|planned| &planned.change),
            Some(Change::CreateDocument { .. })
        ) {
            step.undo = Undo::Stays {
                because: "the new one runs on it".into(),
            };
        }
    }
    let lab = Lab::new(steps).await;
    assert_eq!(lab.run().await.exit, Exit::Done);
    lab.toy.with(|world| world.sent.clear());
    let end = lab.runner().await.rollback("slow", vec![]).await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert!(lab.sent().is_empty(), "{:?}", lab.sent());
}

#[tokio::test]
async fn one_unit_goes_back_and_the_run_can_do_it_anew() {
    let mut lab = Lab::new(waiting()).await;
    assert_eq!(lab.run().await.exit, Exit::StepApproval);
    for _ in 0..2 {
        assert!(has(&lab, "n1"));
        lab.toy.with(|world| world.sent.clear());
        let end = lab.unit_back("n1").await;
        assert_eq!(end.exit, Exit::Done, "{}", why(&end));
        assert!(end.state.ended.is_none() && end.state.stopped.is_some());
        assert_eq!(lab.sent(), [OUT, BACK, IN]);
        assert!(!has(&lab, "n1") && has(&lab, "schema"));
        let again = lab.unit_back("n1").await;
        assert_eq!(again.exit, Exit::Usage, "{}", why(&again));
        assert_eq!(lab.resume().await.exit, Exit::StepApproval);
    }
    approve(&mut lab);
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert!(has(&lab, "n1") && has(&lab, "n2"));
    assert!(lab.toy.with(|world| world.claims.is_empty()));
    // And the whole of it goes back, in spite of what went before.
    let end = lab.runner().await.rollback("no", vec![]).await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert!(!has(&lab, "n1") && !has(&lab, "n2") && has(&lab, "schema"));
    assert!(lab.toy.with(|world| world.running));
}

#[tokio::test]
async fn killed_at_every_call_a_unit_comes_back_all_the_same_and_nothing_is_repeated() {
    let half_way = async || {
        let lab = Lab::new(waiting()).await;
        assert_eq!(lab.run().await.exit, Exit::StepApproval);
        lab.toy.with(|world| {
            world.sent.clear();
            world.calls = 0;
        });
        lab
    };
    let straight = half_way().await;
    let end = straight.unit_back("n1").await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    let mutations = straight.sent();
    let calls = straight.toy.with(|world| world.calls);
    let mut positions = 0;
    for at in 1..=calls {
        let mut lab = half_way().await;
        let runner = lab.runner().await;
        let back = runner.rollback_unit(unit("n1"), "no", vec![]);
        if !lab.dies_at(at, back).await {
            continue;
        }
        positions += 1;
        let end = if lab.state().await.unit_back.is_some() {
            lab.resume().await
        } else {
            lab.unit_back("n1").await
        };
        assert_eq!(end.exit, Exit::Done, "killed at call {at}: {}", why(&end));
        assert_eq!(lab.sent(), mutations, "killed at call {at}");
        assert!(!has(&lab, "n1") && has(&lab, "schema"), "{at}");
        approve(&mut lab);
        let end = lab.resume().await;
        assert_eq!(end.exit, Exit::Done, "killed at call {at}: {}", why(&end));
        assert!(has(&lab, "n1") && has(&lab, "n2"), "{at}");
    }
    assert!(positions > 15, "{positions} of {calls}");
}

#[tokio::test]
async fn nothing_goes_forward_while_a_unit_goes_back() {
    let lab = Lab::new(waiting()).await;
    assert_eq!(lab.run().await.exit, Exit::StepApproval);
    lab.toy.with(|world| world.faults = vec![Fault::Refuse]);
    let end = lab.unit_back("n1").await;
    assert_eq!(end.exit, Exit::RollbackFailed, "{}", why(&end));
    lab.toy.with(|world| world.sent.clear());
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert_eq!(lab.sent(), [OUT, BACK, IN]);
    assert!(lab.state().await.unit_back.is_none());
}

#[tokio::test]
async fn what_cannot_go_back_by_itself_is_refused_with_the_way_on() {
    let lab = Lab::new(rolling()).await;
    assert!(lab.run_and_die_after(1).await);
    let end = lab.unit_back("n9").await;
    assert_eq!(end.exit, Exit::Usage);
    let halt = end.halt.unwrap();
    assert!(halt.remedy.contains("`n1`, `n2`"), "{}", halt.remedy);
    let end = lab.unit_back("n1").await;
    assert!(why(&end).contains("nothing of unit"), "{}", why(&end));
    assert_eq!(lab.resume().await.exit, Exit::Done);
    let end = lab.unit_back("n1").await;
    assert!(why(&end).contains("is over"), "{}", why(&end));
}

#[tokio::test]
async fn a_loan_of_a_unit_goes_back_within_it_and_what_takes_away_does_not_stay() {
    let frozen = async |steps: Vec<Step>| {
        let proposal = Proposal {
            steps,
            ..Proposal::default()
        };
        liftlock_gate::freeze(proposal, context(), &grant(), &bindings(&Toy::new())).await
    };
    let mut steps = rolling();
    steps[3].unit = Some(unit("n2"));
    let error = frozen(steps).await.unwrap_err();
    assert!(matches!(error, FreezeError::BadReference { .. }), "{error}");
    let mut steps = whole();
    let delete = steps
        .iter_mut()
        .find(|step| step.id == id("delete"))
        .unwrap();
    delete.undo = Undo::Stays {
        because: "trust me".into(),
    };
    let error = frozen(steps).await.unwrap_err();
    assert!(
        error.to_string().contains("takes something away"),
        "{error}"
    );
}

/// A node that is taken from the balancer, stopped once that keeps requests from it, changed, and let in again; then
/// an approval is waited for.
fn behind_a_balancer() -> Vec<Step> {
    let mut drain = change(
        "n1-drain",
        Phase::Switch,
        Change::SetServerState {
            backend: BackendName::new("engines").unwrap(),
            server: ServerName::new("n1").unwrap(),
            to: Administrative::Drain,
        },
    );
    drain.unit = Some(unit("n1"));
    let mut admit = step(
        "n1-admit",
        Phase::Switch,
        Body::GiveBack {
            step: id("n1-drain"),
        },
    );
    admit.unit = Some(unit("n1"));
    let mut stopped = node("n1");
    stopped[0].opens_when = vec![Condition {
        label: "the balancer keeps requests from it".into(),
        binding: balancer(),
        predicate: Predicate::ServerInState {
            backend: "engines".into(),
            server: "n1".into(),
            administrative: Administrative::Drain,
        },
        negated: false,
        stable_for_ms: 0,
        patience_ms: 50,
        on_expiry: OnExpiry::Fail,
    }];
    let mut last = create("last", "last");
    last.phase = Phase::Switch;
    last.own_approval = Some("look at the node".into());
    let mut steps = vec![drain];
    steps.extend(stopped);
    steps.extend([admit, last]);
    steps
}

#[tokio::test]
async fn before_a_unit_goes_back_only_its_first_loan_is_asked_for() {
    let lab = Lab::new(behind_a_balancer()).await;
    assert_eq!(lab.run().await.exit, Exit::StepApproval);
    assert!(has(&lab, "n1") && lab.toy.with(|world| world.running && !world.drained));
    lab.toy.with(|world| world.sent.clear());
    // The second loan waits for what the first one brings about.
    let end = lab.unit_back("n1").await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    let state = "traffic.set-state";
    assert_eq!(lab.sent(), [state, OUT, BACK, IN, state]);
    assert!(!has(&lab, "n1") && lab.toy.with(|world| world.running && !world.drained));
}

#[tokio::test]
async fn a_unit_whose_first_loan_cannot_be_taken_again_does_not_begin_to_go_back() {
    let mut steps = behind_a_balancer();
    // What holds only once: while nothing was done.
    steps[0].opens_when = vec![Condition {
        label: "nothing is there yet".into(),
        binding: binding(),
        predicate: Predicate::CountIs {
            index: "i".into(),
            query: None,
            count: 1,
        },
        negated: false,
        stable_for_ms: 0,
        patience_ms: 50,
        on_expiry: OnExpiry::Fail,
    }];
    let lab = Lab::new(steps).await;
    assert_eq!(lab.run().await.exit, Exit::StepApproval);
    lab.toy.with(|world| world.sent.clear());
    let end = lab.unit_back("n1").await;
    assert_ne!(end.exit, Exit::Done);
    assert!(why(&end).contains("nothing is there yet"), "{}", why(&end));
    assert!(lab.sent().is_empty() && lab.state().await.unit_back.is_none());
}

#[tokio::test]
async fn killed_at_every_call_what_is_taken_again_is_not_waited_for() {
    let half_way = async || {
        let mut steps = behind_a_balancer();
        // Taken by ourselves, it does not hold.
        steps[0].opens_when = vec![Condition {
            label: "enough others serve".into(),
            binding: balancer(),
            predicate: Predicate::ServerInState {
                backend: "engines".into(),
                server: "n1".into(),
                administrative: Administrative::Ready,
            },
            negated: false,
            stable_for_ms: 0,
            patience_ms: 50,
            on_expiry: OnExpiry::Fail,
        }];
        let lab = Lab::new(steps).await;
        assert_eq!(lab.run().await.exit, Exit::StepApproval);
        lab.toy.with(|world| {
            world.sent.clear();
            world.calls = 0;
        });
        lab
    };
    for of in [None, Some(unit("n1"))] {
        let back = |runner: Runner| {
            let of = of.clone();
            async move {
                match of {
                    None => runner.rollback("no", vec![]).await,
                    Some(unit) => runner.rollback_unit(unit, "no", vec![]).await,
                }
            }
        };
        let straight = half_way().await;
        let end = back(straight.runner().await).await;
        assert_eq!(end.exit, Exit::Done, "{}", why(&end));
        let mutations = straight.sent();
        for at in 1..=straight.toy.with(|world| world.calls) {
            let lab = half_way().await;
            let dying = back(lab.runner().await);
            if !lab.dies_at(at, dying).await {
                continue;
            }
            let state = lab.state().await;
            let end = if state.rolling_back.is_some() || state.unit_back.is_some() {
                lab.resume().await
            } else {
                back(lab.runner().await).await
            };
            assert_eq!(end.exit, Exit::Done, "{of:?} at call {at}: {}", why(&end));
            assert_eq!(lab.sent(), mutations, "{of:?} at call {at}");
            assert!(!has(&lab, "n1") && lab.toy.with(|world| world.running && !world.drained));
        }
    }
}

/// What the target is told apart by: documents, and whether the service runs.
fn state(lab: &Lab) -> (Vec<String>, bool) {
    lab.toy
        .with(|world| (world.documents.keys().cloned().collect(), world.running))
}

/// A process that dies there, as a crash would end it.
struct Death {
    label: &'static str,
    step: &'static str,
    there: tokio::sync::Notify,
}

#[async_trait::async_trait]
impl liftlock_gate::Points for Death {
    async fn reach(&self, point: liftlock_gate::Point) {
        let is_of = |step: &liftlock_types::StepId| step.as_str() == self.step;
        if point.label == self.label && point.step.as_ref().is_some_and(is_of) {
            self.there.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// A run that died at each point of the step that gives back what the first node's stop had borrowed.
async fn died_while_giving_back(mut then: impl AsyncFnMut(Lab, &str)) {
    let points = [
        ("act.before", "n1-start"),
        ("act.after", "n1-start"),
        ("journal.outcome.after", "n1-start"),
        ("journal.gave-back.before", "n1-stop"),
        ("journal.gave-back.after", "n1-stop"),
    ];
    for (label, step) in points {
        let lab = Lab::new(rolling()).await;
        let death = std::sync::Arc::new(Death {
            label,
            step,
            there: tokio::sync::Notify::new(),
        });
        let runner = lab.runner().await.with_points(death.clone());
        let dying = tokio::spawn(runner.run());
        death.there.notified().await;
        dying.abort();
        let _ = dying.await;
        then(lab, &format!("{label} of {step}")).await;
    }
}

#[tokio::test]
async fn a_give_back_that_died_is_gone_on_with() {
    died_while_giving_back(async |lab, died| {
        let end = lab.resume().await;
        assert_eq!(end.exit, Exit::Done, "{died}: {}", why(&end));
        assert_eq!(end.state.ended.as_deref(), Some("done"), "{died}");
        assert!(state(&lab).1, "{died}");
    })
    .await;
}

#[tokio::test]
async fn a_unit_whose_give_back_died_goes_back() {
    died_while_giving_back(async |lab, died| {
        let end = lab.unit_back("n1").await;
        assert_eq!(end.exit, Exit::Done, "{died}: {}", why(&end));
        assert!(!has(&lab, "n1") && state(&lab).1, "{died}");
        let end = lab.resume().await;
        assert_eq!(end.exit, Exit::Done, "{died}: {}", why(&end));
    })
    .await;
}

#[tokio::test]
async fn an_abort_names_no_loan_that_went_back() {
    died_while_giving_back(async |lab, died| {
        let end = lab.runner().await.abort("enough").await;
        assert_eq!(end.exit, Exit::Done, "{died}: {}", why(&end));
        let is_named = end
            .left_behind
            .iter()
            .any(|it| it.contains("stays stopped"));
        let is_concluded = died.contains("outcome") || died.contains("gave-back");
        assert!(!(is_named && is_concluded), "{died}: {:?}", end.left_behind);
    })
    .await;
}
