//! Going back, taking over, going on by another plan, and going side by side.

use std::collections::BTreeMap;
use std::time::Duration;

use liftlock_gate::{Decision, Holder, holder_of, this_process};
use liftlock_types::event::OutcomeKind;
use liftlock_types::{Body, Change, Claim, Exit, Json, Phase, Probed, Read, Reading, Step, Undo};
use serde_json::{Value, json};

use crate::lab::*;
use crate::toy::{self, Fault, Toy};

fn baseline() -> Step {
    step(
        "baseline",
        Phase::Protect,
        Body::Capture {
            name: "baseline".into(),
            reads: vec![Reading {
                binding: binding(),
                read: Read::Document {
                    index: "i".into(),
                    id: "meta".into(),
                },
            }],
        },
    )
}

/// With a capture of before, and a deletion that only a restore takes back.
fn way() -> Vec<Step> {
    let mut steps = whole();
    steps.insert(4, baseline());
    steps
}

fn world(toy: &Toy) -> (BTreeMap<String, Value>, bool, Option<String>, bool) {
    toy.with(|world| {
        let mut documents = world.documents.clone();
        // Kept, and named in the report.
        documents.remove("snapshot");
        (
            documents,
            world.index_uuid.is_some(),
            world.setting.clone(),
            world.running,
        )
    })
}

#[tokio::test]
async fn a_rollback_takes_every_step_back_and_then_starts_what_was_stopped() {
    let lab = Lab::new(way()).await;
    let before = world(&lab.toy);
    assert_eq!(lab.run().await.exit, Exit::Done);
    assert_ne!(world(&lab.toy), before);
    lab.toy.with(|world| world.sent.clear());
    let end = lab.runner().await.rollback("it is slow", vec![]).await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert_eq!(end.state.ended.as_deref(), Some("rolled-back"));
    assert_eq!(world(&lab.toy), before);
    assert_eq!(
        lab.sent(),
        [
            "cluster.replace-document",
            "snapshot.restore",
            "cluster.delete-document",
            "service.start"
        ]
    );
    assert!(lab.toy.with(|world| world.claims.is_empty()));
}

#[tokio::test]
async fn a_run_that_stopped_half_way_is_taken_back_as_far_as_it_came() {
    let lab = Lab::new(way()).await;
    let before = world(&lab.toy);
    assert!(lab.run_and_die_after(5).await);
    let end = lab.runner().await.rollback("enough", vec![]).await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert_eq!(world(&lab.toy), before);
}

#[tokio::test]
async fn nothing_goes_forward_after_a_rollback_began_and_resume_continues_it() {
    let lab = Lab::new(way()).await;
    let before = world(&lab.toy);
    assert_eq!(lab.run().await.exit, Exit::Done);
    let runner = lab.runner().await;
    lab.toy.with(|world| world.sent.clear());
    assert!(lab.dies_at(40, runner.rollback("no", vec![])).await);
    assert!(lab.state().await.rolling_back.is_some());
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert_eq!(end.state.ended.as_deref(), Some("rolled-back"));
    assert_eq!(world(&lab.toy), before);
    assert!(!lab.sent().contains(&"cluster.delete-index".to_owned()));
    // Once: there is nothing left to take back, and nothing to run again.
    lab.toy.with(|world| world.sent.clear());
    let again = lab.runner().await.rollback("again", vec![]).await;
    assert_eq!(again.exit, Exit::Done);
    assert!(lab.sent().is_empty());
    assert_ne!(lab.run().await.exit, Exit::Done);
    assert!(lab.sent().is_empty());
}

#[tokio::test]
async fn killed_at_every_call_a_rollback_goes_on_to_the_same_end_and_repeats_nothing() {
    goes_back_from_every_call(way).await;
}

#[tokio::test]
async fn killed_at_every_call_what_was_borrowed_again_for_the_way_back_is_given_back_once() {
    goes_back_from_every_call(|| {
        let mut steps = way();
        let body = Body::GiveBack { step: id("stop") };
        steps.push(step("start", Phase::Contract, body));
        steps
    })
    .await;
}

async fn goes_back_from_every_call(way: impl Fn() -> Vec<Step>) {
    let straight = Lab::new(way()).await;
    let before = world(&straight.toy);
    assert_eq!(straight.run().await.exit, Exit::Done);
    straight.toy.with(|world| {
        world.sent.clear();
        world.calls = 0;
    });
    let end = straight.runner().await.rollback("no", vec![]).await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    let mut mutations = straight.sent();
    mutations.sort();
    let calls = straight.toy.with(|world| world.calls);
    let mut positions = 0;
    for at in 1..=calls {
        let lab = Lab::new(way()).await;
        assert_eq!(lab.run().await.exit, Exit::Done);
        lab.toy.with(|world| world.sent.clear());
        let runner = lab.runner().await;
        if !lab.dies_at(at, runner.rollback("no", vec![])).await {
            continue;
        }
        positions += 1;
        let end = if lab.state().await.rolling_back.is_some() {
            lab.resume().await
        } else {
            lab.runner().await.rollback("no", vec![]).await
        };
        assert_eq!(end.exit, Exit::Done, "killed at call {at}: {}", why(&end));
        assert_eq!(world(&lab.toy), before, "killed at call {at}");
        assert!(lab.toy.with(|world| world.claims.is_empty()), "{at}");
        let mut sent = lab.sent();
        sent.sort();
        assert_eq!(sent, mutations, "killed at call {at}");
    }
    assert!(positions > 30, "{positions} of {calls}");
}

#[tokio::test]
async fn killed_at_every_call_a_run_can_be_taken_back() {
    let straight = Lab::new(way()).await;
    let before = world(&straight.toy);
    straight.toy.with(|world| world.calls = 0);
    assert_eq!(straight.run().await.exit, Exit::Done);
    let calls = straight.toy.with(|world| world.calls);
    for at in 1..=calls {
        let lab = Lab::new(way()).await;
        if !lab.run_and_die(at).await || lab.state_rows().await == 0 {
            continue;
        }
        let end = lab.runner().await.rollback("no", vec![]).await;
        assert_eq!(end.exit, Exit::Done, "killed at call {at}: {}", why(&end));
        assert_eq!(world(&lab.toy), before, "killed at call {at}");
        assert!(lab.toy.with(|world| world.claims.is_empty()), "{at}");
    }
}

#[tokio::test]
async fn a_request_that_lands_late_after_a_rollback_is_seen_and_the_service_stays_stopped() {
    let lab = Lab::new(way()).await;
    // The creation gets no answer, and the process dies looking for its effect.
    lab.toy.with(|world| {
        world.faults = vec![];
    });
    assert!(lab.run_and_die_after(4).await);
    lab.toy.with(|world| world.faults = vec![Fault::Late]);
    let runner = lab.runner().await;
    let handle = tokio::spawn(runner.resume(vec![]));
    lab.until(|world| !world.late.is_empty()).await;
    handle.abort();
    let _ = handle.await;
    let toy = lab.toy.clone();
    // It lands while the rollback waits for what may still come.
    let late = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(30)).await;
        toy.release_late();
    });
    let end = lab.runner().await.rollback("no", vec![]).await;
    late.await.unwrap();
    // Either it was seen in time and taken back, or the run says that a person must look; never a silent 0.
    let there = lab.toy.with(|world| world.documents.contains_key("d"));
    assert!(
        (end.exit == Exit::Done && !there) || end.exit == Exit::PersonNeeded,
        "{:?} {}",
        end.exit,
        why(&end)
    );
}

#[tokio::test]
async fn a_rollback_that_does_not_bring_back_what_was_keeps_the_service_stopped() {
    let lab = Lab::new(way()).await;
    assert_eq!(lab.run().await.exit, Exit::Done);
    // Somebody changed what the run did not touch by that step.
    lab.toy.with(|world| {
        world
            .documents
            .insert("meta".into(), json!({"version": "2", "id": "other"}));
    });
    let end = lab.runner().await.rollback("no", vec![]).await;
    assert!(
        matches!(end.exit, Exit::RollbackFailed | Exit::PersonNeeded),
        "{:?}",
        end.exit
    );
    assert!(lab.toy.with(|world| !world.running));
    assert!(end.state.ended.is_none());
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_said_before_anything_is() {
    let mut steps = way();
    if let Some(last) = steps.last_mut() {
        last.undo = Undo::None {
            because: "the vendor has no way".into(),
        };
    }
    let lab = Lab::new(steps).await;
    assert_eq!(lab.run().await.exit, Exit::Done);
    lab.toy.with(|world| world.sent.clear());
    let end = lab.runner().await.rollback("no", vec![]).await;
    assert_eq!(end.exit, Exit::PersonNeeded);
    assert!(why(&end).contains("the vendor has no way"));
    assert!(lab.sent().is_empty());
    assert!(lab.state().await.rolling_back.is_none());
}

#[tokio::test]
async fn a_doubt_is_decided_before_anything_is_taken_back() {
    let lab = Lab::new(vec![stop(), create("create", "d"), task(false)]).await;
    lab.toy.with(|world| world.faults = vec![]);
    assert!(lab.run_and_die_after(3).await);
    let end = lab.runner().await.rollback("no", vec![]).await;
    assert_eq!(end.exit, Exit::PersonNeeded, "{}", why(&end));
    let decided = vec![not_done("task")];
    let end = lab.runner().await.rollback("no", decided).await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert!(lab.toy.with(|world| world.running));
}

#[tokio::test]
async fn what_is_half_done_is_taken_back_whatever_a_person_decided() {
    for done in [true, false] {
        let mut half = task(false);
        half.undo = Undo::ByRestore(id("take"));
        let lab = Lab::new(vec![stop(), take(), prove(), half]).await;
        lab.toy
            .with(|world| world.task_ends = vec![Probed::Partial(json!("exit 1"))]);
        let end = lab.run().await;
        assert_eq!(end.exit, Exit::PersonNeeded, "{}", why(&end));
        // What the half of it did.
        lab.toy.with(|world| world.index_uuid = None);
        let decision = Decision {
            step: id("task"),
            done,
            reason: "I looked".into(),
        };
        let end = lab.runner().await.rollback("enough", vec![decision]).await;
        assert_eq!(end.exit, Exit::Done, "{}", why(&end));
        let restored = lab.toy.with(|world| world.index_uuid.clone());
        assert_eq!(restored.as_deref(), Some("index-restored"), "done: {done}");
    }
}

#[tokio::test]
async fn a_rollback_that_died_after_its_last_give_back_only_ends() {
    struct Death(tokio::sync::Notify);
    #[async_trait::async_trait]
    impl liftlock_gate::Points for Death {
        async fn reach(&self, point: liftlock_gate::Point) {
            if point.label == "journal.run-ended.before" {
                self.0.notify_one();
                std::future::pending::<()>().await;
            }
        }
    }
    let lab = Lab::new(way()).await;
    let before = world(&lab.toy);
    assert_eq!(lab.run().await.exit, Exit::Done);
    let death = std::sync::Arc::new(Death(tokio::sync::Notify::new()));
    let runner = lab.runner().await.with_points(death.clone());
    let dying = tokio::spawn(runner.rollback("enough", vec![]));
    death.0.notified().await;
    dying.abort();
    let _ = dying.await;
    lab.toy.with(|world| world.sent.clear());
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert_eq!(end.state.ended.as_deref(), Some("rolled-back"));
    assert!(lab.sent().is_empty());
    assert_eq!(world(&lab.toy), before);
}

#[tokio::test]
async fn a_rollback_of_a_run_that_ended_claims_under_another_name() {
    let lab = Lab::new(way()).await;
    assert_eq!(lab.run().await.exit, Exit::Done);
    let runner = lab.runner().await;
    assert!(lab.dies_at(40, runner.rollback("no", vec![])).await);
    let epochs = lab.toy.with(|world| {
        world
            .claims
            .iter()
            .map(|claim| claim.epoch)
            .collect::<Vec<_>>()
    });
    assert!(!epochs.is_empty());
    assert!(epochs.iter().all(|epoch| *epoch > 1), "{epochs:?}");
}

#[tokio::test]
async fn an_id_of_the_hosts_own_is_refused_in_a_plan() {
    let toy = Toy::new();
    let proposal = liftlock_types::Proposal {
        steps: vec![create("undo.create.1", "d")],
        ..Default::default()
    };
    let refused = liftlock_gate::freeze(proposal, context(), &grant(), &bindings(&toy)).await;
    assert!(refused.unwrap_err().to_string().contains("undo."));
}

// Taking over.

#[tokio::test]
async fn a_journal_that_was_copied_elsewhere_takes_over_and_the_thawed_runner_gets_31() {
    let mut lab = Lab::new(way()).await;
    // The first runner is frozen in the middle of a call.
    let frozen = lab.runner().await;
    lab.toy.with(|world| {
        world.calls = 0;
        world.freeze_after_sent = Some(5);
    });
    let frozen = tokio::spawn(frozen.run());
    lab.until(|world| world.frozen).await;
    let copied = lab.copy_journal();
    let _of_the_frozen = std::mem::replace(&mut lab.dir, copied);
    lab.host = "there".into();
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Claimed, "{}", why(&end));
    assert!(why(&end).contains("is claimed"));
    assert_eq!(
        end.state.stopped, None,
        "it writes nothing into a journal of another's run"
    );
    let end = lab.runner().await.takeover(None, vec![]).await;
    assert_eq!(end.exit, Exit::Claimed, "{}", why(&end));
    assert!(why(&end).contains("nothing proves its holder dead"));
    let attested = Some("its machine is off".to_owned());
    let end = lab.runner().await.takeover(attested, vec![]).await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert!(lab.toy.with(|world| world.claims.is_empty()));
    let after = world(&lab.toy);
    let sent = lab.sent().len();
    lab.toy.with(|world| world.freeze_after_sent = None);
    let thawed = frozen.await.unwrap();
    assert_eq!(thawed.exit, Exit::ClaimLost, "{}", why(&thawed));
    assert_eq!(world(&lab.toy), after);
    assert_eq!(lab.sent().len(), sent);
}

#[tokio::test]
async fn a_claim_whose_row_was_never_written_goes_with_the_run_that_took_over() {
    let mut lab = Lab::new(way()).await;
    // The first runner stands still right after its first claim, before its row.
    let frozen = lab.runner().await;
    lab.toy.with(|world| world.freeze_when_claimed = true);
    let frozen = tokio::spawn(frozen.run());
    lab.until(|world| world.frozen).await;
    let copied = lab.copy_journal();
    let _of_the_frozen = std::mem::replace(&mut lab.dir, copied);
    let attested = Some("its machine is off".to_owned());
    let end = lab.runner().await.takeover(attested, vec![]).await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert!(lab.toy.with(|world| world.claims.is_empty()));
    let sent = lab.sent().len();
    lab.toy.with(|world| world.freeze_when_claimed = false);
    let thawed = frozen.await.unwrap();
    // It reads its claim before it believes in it, and it is gone.
    assert_eq!(thawed.exit, Exit::Unreachable, "{}", why(&thawed));
    assert_eq!(lab.sent().len(), sent);
}

#[tokio::test]
async fn a_runner_that_froze_between_two_claims_leaves_none_behind() {
    struct Freezes(Toy, tokio::sync::Semaphore);
    #[async_trait::async_trait]
    impl liftlock_gate::Points for Freezes {
        async fn reach(&self, point: liftlock_gate::Point) {
            let is_first = |world: &mut toy::World| {
                let now = point.label == "journal.claimed.after" && !world.frozen;
                world.frozen |= now;
                now
            };
            if self.0.with(is_first) {
                self.1.acquire().await.unwrap().forget();
            }
        }
    }
    let mut lab = Lab::new(way()).await;
    let held = tokio::sync::Semaphore::new(0);
    let points = std::sync::Arc::new(Freezes(lab.toy.clone(), held));
    let frozen = lab.runner().await.with_points(points.clone());
    let frozen = tokio::spawn(frozen.run());
    lab.until(|world| world.frozen).await;
    let copied = lab.copy_journal();
    let _of_the_frozen = std::mem::replace(&mut lab.dir, copied);
    let attested = Some("its machine is off".to_owned());
    let end = lab.runner().await.takeover(attested, vec![]).await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    points.1.add_permits(1);
    let thawed = frozen.await.unwrap();
    assert_eq!(thawed.exit, Exit::ClaimLost, "{}", why(&thawed));
    let left = lab.toy.with(|world| world.claims.clone());
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn what_could_not_be_taken_off_is_tried_again_by_whoever_ends_the_run() {
    let lab = Lab::new(way()).await;
    lab.toy.with(|world| world.dirty = true);
    assert!(lab.run_and_die_after(6).await);
    assert!(lab.toy.with(|world| world.documents.contains_key("proof")));
    lab.toy.with(|world| world.dirty = false);
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert!(lab.toy.with(|world| !world.documents.contains_key("proof")));
    let named = end.left_behind.iter().any(|what| what.contains("507"));
    assert!(!named, "{:?}", end.left_behind);
}

#[tokio::test]
async fn what_a_failed_trial_left_beside_is_taken_off_wherever_the_process_dies() {
    for next in ["resume", "rollback", "abort"] {
        for at in 1.. {
            let lab = Lab::new(vec![take(), prove()]).await;
            lab.toy
                .with(|world| world.trial_ends = vec![Probed::Partial(json!("a copy differs"))]);
            let died = lab.run_and_die(at).await;
            lab.toy.with(|world| world.die_at = None);
            let mut is_open = false;
            for decisions in [vec![], vec![not_done("prove")]] {
                let runner = lab.runner().await;
                let end = match next {
                    "resume" => runner.resume(decisions).await,
                    "rollback" => runner.rollback("enough", decisions).await,
                    _ => runner.abort("enough").await,
                };
                is_open = end.state.step(&id("prove")).open().is_some();
                if end.exit != Exit::PersonNeeded {
                    break;
                }
            }
            // A run that is aborted names what it does not know the end of, and leaves it.
            let stays = lab.toy.with(|world| world.documents.contains_key("proof"));
            assert!(!stays || is_open, "{next} after {at}");
            if !died {
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_stays_beside_an_effect_is_named_at_the_end() {
    let lab = Lab::new(way()).await;
    lab.toy.with(|world| world.dirty = true);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    let named = end.left_behind.iter().any(|what| what.contains("507"));
    assert!(named, "{:?}", end.left_behind);
}

#[test]
fn a_process_that_lives_is_no_proof_and_one_that_is_gone_is() {
    let (pid, pid_start, boot_id) = this_process();
    let claim = Claim {
        epoch: 1,
        run: "r".into(),
        host: "h".into(),
        pid,
        pid_start,
        boot_id,
        nonce: "n".into(),
        state_dir: "d".into(),
        since: "now".into(),
    };
    assert!(matches!(holder_of(&claim, "h"), Holder::Unknown(_)));
    assert!(matches!(holder_of(&claim, "other"), Holder::Unknown(_)));
    let reused = Claim {
        pid_start: pid_start + 1,
        ..claim.clone()
    };
    assert!(matches!(holder_of(&reused, "h"), Holder::Dead(_)));
    let before_boot = Claim {
        boot_id: "another-boot/pid:[1]".into(),
        ..claim.clone()
    };
    assert!(matches!(holder_of(&before_boot, "h"), Holder::Dead(_)));
    let namespace = claim.boot_id.split('/').next().unwrap_or_default();
    let elsewhere = Claim {
        boot_id: format!("{namespace}/pid:[1]"),
        ..claim
    };
    assert!(matches!(holder_of(&elsewhere, "h"), Holder::Unknown(_)));
}

// Another plan.

/// The lab with another plan in place of its own.
async fn replanned(lab: &mut Lab, steps: Vec<Step>) {
    let other = Lab::on(lab.toy.clone(), steps).await;
    lab.earlier.push(lab.plan.clone());
    lab.plan = other.plan.clone();
    lab.planner = other.planner.clone();
    lab.approvals = other.approvals.clone();
}

#[tokio::test]
async fn a_run_goes_on_by_another_plan_and_does_nothing_again() {
    let mut steps = whole();
    // A plugin's mistake: it expects what is not there.
    steps[6] = {
        let mut wrong = replace();
        if let Body::Change(planned) = &mut wrong.body
            && let Change::ReplaceDocument {
                while_it_contains, ..
            } = &mut planned.change
        {
            *while_it_contains = Json::new(r#"{"version":"0"}"#).unwrap();
        }
        wrong
    };
    let mut lab = Lab::new(steps).await;
    lab.toy.with(|world| world.refuse_unmet = true);
    assert_ne!(lab.run().await.exit, Exit::Done);
    let mut mended = whole();
    mended[6].id = id("replace-mended");
    replanned(&mut lab, mended).await;
    lab.toy.with(|world| world.sent.clear());
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    // The setting went back when the run stopped, so it is borrowed again; all else was done.
    assert!(!lab.sent().contains(&"cluster.delete-index".to_owned()));
    assert!(!lab.sent().contains(&"snapshot.take".to_owned()));
    assert!(lab.sent().contains(&"cluster.replace-document".to_owned()));
    assert_eq!(end.state.plan, Some(lab.plan.hash()));
    let end = lab.runner().await.rollback("no", vec![]).await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
}

#[tokio::test]
async fn a_plan_that_nobody_made_for_this_run_is_refused() {
    let mut lab = Lab::new(whole()).await;
    assert!(lab.run_and_die_after(3).await);
    replanned(&mut lab, vec![stop()]).await;
    lab.earlier.clear();
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Stale, "{}", why(&end));
}

#[tokio::test]
async fn another_plan_wants_its_own_approval_and_no_open_intent() {
    let mut lab = Lab::new(whole()).await;
    assert!(lab.run_and_die_after(5).await);
    let open = lab.state().await.steps.values().any(|s| s.open().is_some());
    assert!(open, "it died between an intent and its outcome");
    let old = lab.approvals.clone();
    replanned(&mut lab, whole().into_iter().take(6).collect()).await;
    let new = std::mem::replace(&mut lab.approvals, old);
    assert_eq!(lab.resume().await.exit, Exit::ApprovalMissing);
    lab.approvals = new;
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::PersonNeeded, "{}", why(&end));
    assert!(why(&end).contains("under way"));
}

#[tokio::test]
async fn what_was_done_is_not_something_else_in_another_plan() {
    let mut lab = Lab::new(vec![create("create", "d"), create("second", "e")]).await;
    lab.toy.with(|world| world.refuse_id = Some("e".into()));
    assert_ne!(lab.run().await.exit, Exit::Done);
    replanned(&mut lab, vec![create("create", "other")]).await;
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Stale, "{}", why(&end));
    assert!(why(&end).contains("something else under its id"));
}

// Side by side.

fn creates(n: usize, after: &str) -> Vec<Step> {
    let mut steps = vec![create("first", "d0")];
    for at in 1..=n {
        let mut step = create(&format!("create-{at}"), &format!("d{at}"));
        if let Body::Change(planned) = &mut step.body
            && let Change::CreateDocument { index, .. } = &mut planned.change
        {
            *index = liftlock_types::IndexName::new(format!("i{at}")).unwrap();
        }
        if !after.is_empty() {
            step.after = vec![id(after)];
        }
        steps.push(step);
    }
    steps
}

async fn most_at_once(lab: &Lab) -> usize {
    lab.toy.with(|world| {
        world.act_ms = 40;
        world.acting_most = 0;
    });
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    lab.toy.with(|world| world.acting_most)
}

#[tokio::test]
async fn steps_that_share_nothing_go_side_by_side_up_to_the_limit() {
    let mut lab = Lab::new(creates(6, "first")).await;
    lab.side_by_side = 3;
    assert_eq!(most_at_once(&lab).await, 3);
    let documents = lab.toy.with(|world| world.documents.len());
    assert_eq!(documents, 8);
}

#[tokio::test]
async fn steps_that_name_nothing_come_one_after_another() {
    let mut lab = Lab::new(creates(4, "")).await;
    lab.side_by_side = 8;
    assert_eq!(most_at_once(&lab).await, 1);
}

#[tokio::test]
async fn steps_of_one_object_come_one_after_another() {
    let mut steps = creates(4, "first");
    for step in &mut steps[1..] {
        if let Body::Change(planned) = &mut step.body
            && let Change::CreateDocument { index, .. } = &mut planned.change
        {
            *index = liftlock_types::IndexName::new("one").unwrap();
        }
    }
    let mut lab = Lab::new(steps).await;
    lab.side_by_side = 8;
    assert_eq!(most_at_once(&lab).await, 1);
}

#[tokio::test]
async fn what_goes_beside_a_failure_comes_to_its_end_and_nothing_begins_after_it() {
    let mut lab = Lab::new(creates(6, "first")).await;
    lab.side_by_side = 2;
    lab.toy.with(|world| {
        world.act_ms = 30;
        world.refuse_id = Some("d1".into());
    });
    let end = lab.run().await;
    assert_ne!(end.exit, Exit::Done);
    let open = end
        .state
        .steps
        .values()
        .filter(|step| step.open().is_some());
    assert_eq!(open.count(), 0);
    assert!(end.state.step(&id("create-2")).is_done());
    assert!(end.state.step(&id("create-6")).attempts.is_empty());
    lab.toy.with(|world| world.refuse_id = None);
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
}

#[tokio::test]
async fn killed_while_many_go_side_by_side_a_run_resumes_and_repeats_nothing() {
    for at in [12, 20, 26, 30, 33, 36, 40, 44, 50] {
        let mut lab = Lab::new(creates(6, "first")).await;
        lab.side_by_side = 4;
        lab.toy.with(|world| world.act_ms = 5);
        if !lab.run_and_die(at).await {
            continue;
        }
        let end = lab.resume().await;
        assert_eq!(end.exit, Exit::Done, "killed at call {at}: {}", why(&end));
        // What died on its way is sent again to the byte; nothing else is sent twice.
        let mut sent = lab.toy.with(|world| world.sent.clone());
        sent.sort_by(|a, b| a.0.cmp(&b.0));
        sent.dedup();
        assert_eq!(sent.len(), 7, "killed at call {at}");
        let ours = end
            .state
            .steps
            .values()
            .filter_map(|step| step.outcome())
            .all(|outcome| {
                matches!(
                    outcome.kind,
                    OutcomeKind::AppliedOurs | OutcomeKind::TrueUnknownWhose
                )
            });
        assert!(ours);
    }
}

#[tokio::test]
async fn the_report_says_how_long_a_cluster_gave_no_answer() {
    let mut lab = Lab::new(vec![create("create", "d")]).await;
    lab.timing.watch_every_ms = 10;
    lab.timing.unreadable_ms = 5_000;
    lab.toy.with(|world| world.act_ms = 60);
    let runner = lab.runner().await;
    let run = tokio::spawn(runner.run());
    lab.until(|world| !world.sent.is_empty()).await;
    lab.toy.with(|world| world.unreadable = true);
    tokio::time::sleep(Duration::from_millis(150)).await;
    lab.toy.with(|world| world.unreadable = false);
    let end = run.await.unwrap();
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    let seen = &end.watched[0];
    assert!(seen.failed > 0 && seen.looks > seen.failed, "{seen:?}");
    assert!(seen.longest_gap_ms >= 50, "{seen:?}");
}
