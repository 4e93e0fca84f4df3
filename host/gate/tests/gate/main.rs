//! The gate's rules, each with a test named after it, on the toy target; and a sweep that kills the run at every
//! call it makes.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod back;
mod guards;
mod lab;
mod toy;
mod units;

use std::collections::BTreeMap;

use std::time::Duration;

use lab::*;
use liftlock_gate::{
    Approval, Decision, FreezeError, PlannerFault, StepApproval, Waiver, differences, freeze,
};

use liftlock_types::event::OutcomeKind;
use liftlock_types::{
    Body, Change, Claim, Condition, Digest, DocumentId, Exit, Fill, FillValue, Finding, IndexName,
    Json, OnExpiry, Phase, Plan, Predicate, Probed, Proposal, Read, ReadError, Reading, RestsOn,
    Scope, Severity, Step, Undo,
};
use serde_json::json;
use toy::{Fault, Toy};

#[tokio::test]
async fn a_run_does_every_step_and_leaves_nothing_behind() {
    let lab = Lab::new(whole()).await;
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    lab.toy.with(|world| {
        assert_eq!(
            world.documents["meta"],
            json!({"version": "2", "id": "kept"})
        );
        assert_eq!(world.documents["d"], json!({"a": 1}));
        assert_eq!(world.index_uuid, None);
        assert_eq!(world.setting, None, "neutral state is given back");
        assert!(!world.running, "protective state is not");
        assert!(world.claims.is_empty());
    });
    assert_eq!(end.state.ended.as_deref(), Some("done"));
    assert!(
        end.left_behind
            .iter()
            .any(|line| line.contains("stays stopped")),
        "{:?}",
        end.left_behind
    );
}

#[tokio::test]
async fn a_step_costs_at_most_two_durable_writes() {
    let steps: Vec<Step> = (0..20)
        .map(|n| create(&format!("c{n}"), &format!("d{n}")))
        .collect();
    let end = Lab::new(steps).await.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    // run-begun, claimed, run-ended, released for each of three bindings beside the steps' own.
    assert!(end.durable_writes <= 20 * 2 + 8, "{}", end.durable_writes);
}

#[tokio::test]
async fn a_value_of_the_run_is_filled_in_and_stands_in_the_intent() {
    let mut steps = vec![create("create", "d")];
    if let Body::Change(planned) = &mut steps[0].body {
        planned.fills = vec![Fill {
            pointer: "/run".into(),
            value: FillValue::RunId,
        }];
    }
    let lab = Lab::new(steps).await;
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert_eq!(
        lab.toy.with(|world| world.documents["d"].clone()),
        json!({"a": 1, "run": "r1"})
    );
    let state = lab.state().await;
    let intent = state
        .step(&id("create"))
        .last()
        .unwrap()
        .intent
        .clone()
        .unwrap();
    assert!(
        matches!(intent.change, Change::CreateDocument { document, .. } if document.as_str().contains("r1"))
    );
}

// ---- 1. the path

#[tokio::test]
async fn authorise_refuses_what_the_grant_lost() {
    let mut lab = Lab::new(vec![create("create", "d")]).await;
    lab.grant.bindings[0]
        .verbs
        .retain(|verb| verb.verb.as_str() != "cluster.create-document");
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Stale);
    assert!(lab.sent().is_empty());
}

#[tokio::test]
async fn authorise_refuses_another_target_behind_the_same_address() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    lab.toy.with(|world| world.uuid = "toy-2".into());
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Stale);
    assert!(why(&end).contains("toy-2"), "{}", why(&end));
    assert!(lab.sent().is_empty());
}

#[tokio::test]
async fn authorise_refuses_an_object_that_is_not_the_one_meant() {
    let lab = Lab::new(vec![take(), prove(), delete()]).await;
    // Someone else deletes and makes the index again after the plan was compared: the facts are read again.
    lab.toy.with(|world| world.faults = vec![]);
    lab.toy
        .with(|world| world.index_uuid = Some("index-2".into()));
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Stale, "{}", why(&end));
    assert_eq!(
        lab.toy.with(|world| world.index_uuid.clone()),
        Some("index-2".into())
    );
}

#[tokio::test]
async fn authorise_reads_what_a_step_rests_on_right_before_it() {
    let mut steps = vec![create("first", "d1"), create("second", "d2")];
    steps[1].after = vec![id("first")];
    steps[1].rests_on = vec![RestsOn {
        reading: Reading {
            binding: binding(),
            read: Read::Document {
                index: "i".into(),
                id: "meta".into(),
            },
        },
        answer: Json::new(r#"{"version":"1","id":"kept"}"#).unwrap(),
    }];
    let lab = Lab::new(steps).await;
    lab.toy.with(|world| {
        world
            .documents
            .insert("meta".into(), json!({"version": "other"}));
    });
    let end = lab.run().await;
    assert_eq!(
        end.exit,
        Exit::Frozen,
        "something was sent before: {}",
        why(&end)
    );
    assert!(why(&end).contains("rests on has changed"), "{}", why(&end));
    assert_eq!(lab.sent(), ["cluster.create-document"]);
}

#[tokio::test]
async fn authorise_again_when_the_reading_is_old() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    lab.toy.with(|world| world.slow = (2_200, 1));
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    // Three times by freezing (before, and twice again in the run), twice by authorising, once after the outcome.
    assert_eq!(lab.toy.with(|world| world.facts_reads), 6);
}

#[tokio::test]
async fn a_runner_that_stood_still_between_intent_and_send_authorises_again() {
    struct Still(std::sync::atomic::AtomicBool);
    #[async_trait::async_trait]
    impl liftlock_gate::Points for Still {
        async fn reach(&self, point: liftlock_gate::Point) {
            if point.label == "act.before"
                && !self.0.swap(true, std::sync::atomic::Ordering::SeqCst)
            {
                tokio::time::sleep(Duration::from_millis(2_100)).await;
            }
        }
    }
    let lab = Lab::new(vec![create("create", "d")]).await;
    let runner = lab
        .runner()
        .await
        .with_points(std::sync::Arc::new(Still(false.into())));
    let end = runner.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    let step = end.state.step(&id("create"));
    let kinds: Vec<_> = step
        .attempts
        .iter()
        .filter_map(|attempt| Some(attempt.outcome.as_ref()?.kind))
        .collect();
    assert_eq!(kinds, [OutcomeKind::NotSent, OutcomeKind::AppliedOurs]);
    assert_eq!(lab.sent().len(), 1);
}

#[tokio::test]
async fn a_runner_that_claims_after_another_run_came_and_went_sends_nothing() {
    struct Gate(std::sync::Arc<tokio::sync::Semaphore>);
    #[async_trait::async_trait]
    impl liftlock_gate::Points for Gate {
        async fn reach(&self, point: liftlock_gate::Point) {
            if point.label == "journal.run-begun.before" {
                self.0.acquire().await.unwrap().forget();
            }
        }
    }
    let mut lab = Lab::new(whole()).await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let slow = lab
        .runner()
        .await
        .with_points(std::sync::Arc::new(Gate(gate.clone())));
    let slow = tokio::spawn(slow.run());
    // It has looked at everything, and found nobody.
    lab.until(|world| world.calls > 0).await;
    let _of_the_slow = std::mem::replace(&mut lab.dir, tempfile::tempdir().unwrap());
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    let sent = lab.sent();
    gate.add_permits(1);
    let end = slow.await.unwrap();
    assert_eq!(end.exit, Exit::Stale, "{}", why(&end));
    assert_eq!(lab.sent(), sent);
    assert_eq!(end.state.ended.as_deref(), Some("aborted"));
    assert!(lab.toy.with(|world| world.claims.is_empty()));
}

#[tokio::test]
async fn a_target_that_cannot_be_read_once_it_is_claimed_ends_no_run() {
    struct Away(Toy);
    #[async_trait::async_trait]
    impl liftlock_gate::Points for Away {
        async fn reach(&self, point: liftlock_gate::Point) {
            if point.label == "journal.claimed.after" {
                self.0.with(|world| world.unreadable = true);
            }
        }
    }
    let lab = Lab::new(whole()).await;
    let away = std::sync::Arc::new(Away(lab.toy.clone()));
    let end = lab.runner().await.with_points(away).run().await;
    assert_eq!(end.exit, Exit::Resumable, "{}", why(&end));
    assert_eq!(end.state.ended, None);
    lab.toy.with(|world| world.unreadable = false);
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
}

#[tokio::test]
async fn a_claim_that_is_confirmed_and_not_there_is_none() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    lab.toy.with(|world| world.claim_lies = true);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Unreachable, "{}", why(&end));
    assert!(lab.sent().is_empty());
    lab.toy.with(|world| world.claim_lies = false);
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
}

#[tokio::test]
async fn a_repeat_that_is_refused_because_the_first_one_landed_is_done() {
    let lab = Lab::new(vec![take()]).await;
    // The first request is on its way, and the repeat meets what it did.
    lab.toy.with(|world| {
        world.faults = vec![Fault::Late, Fault::RefuseTaken];
    });
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    let step = end.state.step(&id("take"));
    assert_eq!(step.outcome().unwrap().kind, OutcomeKind::AppliedOurs);
    assert_eq!(lab.sent().len(), 2);
}

#[tokio::test]
async fn a_request_without_an_answer_whose_object_a_later_step_changed_again_is_no_doubt() {
    let mut again = replace();
    again.id = id("again");
    if let Body::Change(planned) = &mut again.body {
        planned.change = Change::ReplaceDocument {
            index: IndexName::new("i").unwrap(),
            id: DocumentId::new("meta").unwrap(),
            while_it_contains: Json::new(r#"{"version":"2"}"#).unwrap(),
            document: Json::new(r#"{"version":"3","id":"kept"}"#).unwrap(),
        };
    }
    let lab = Lab::new(vec![replace(), again]).await;
    lab.toy.with(|world| world.faults = vec![Fault::DropBefore]);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert!(!end.state.unaccounted().is_empty());
}

#[tokio::test]
async fn a_setting_whose_request_was_never_answered_is_named_at_the_end_with_its_old_value() {
    let lab = Lab::new(vec![setting("none"), create("create", "d")]).await;
    lab.toy.with(|world| world.faults = vec![Fault::DropBefore]);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert_eq!(lab.toy.with(|world| world.setting.clone()), None);
    let left = end.left_behind.join("\n");
    assert!(
        left.contains("never answered") && left.contains("was not set"),
        "{left}"
    );
}

#[tokio::test]
async fn a_writer_that_runs_again_stops_the_run() {
    let mut create = create("create", "d");
    create.opens_when = vec![Condition {
        label: "a document is gone".into(),
        binding: binding(),
        predicate: Predicate::CountIs {
            index: "i".into(),
            query: None,
            count: 0,
        },
        negated: false,
        stable_for_ms: 0,
        patience_ms: 5_000,
        on_expiry: OnExpiry::Fail,
    }];
    let lab = Lab::new(vec![stop(), create]).await;
    let toy = lab.toy.clone();
    let other = tokio::spawn(async move {
        while toy.with(|world| world.running) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        toy.with(|world| {
            world.running = true;
            world.documents.clear();
        });
    });
    let end = lab.run().await;
    other.await.unwrap();
    assert_eq!(end.exit, Exit::Resumable, "{}", why(&end));
    assert!(why(&end).contains("runs again"), "{}", why(&end));
    assert_eq!(lab.sent(), ["service.stop"]);
}

#[tokio::test]
async fn what_is_true_already_is_not_ours_and_nothing_is_sent() {
    let lab = Lab::new(vec![stop()]).await;
    lab.toy.with(|world| world.running = false);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert!(lab.sent().is_empty());
    assert_eq!(
        end.state.step(&id("stop")).outcome().unwrap().kind,
        OutcomeKind::TrueNotOurs
    );
    assert!(
        end.state
            .borrowed(liftlock_types::rules::Borrow::Protective)
            .is_empty()
    );
}

#[tokio::test]
async fn a_yes_without_effect_is_no_evidence() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    lab.toy.with(|world| world.faults = vec![Fault::Lie]);
    let end = lab.run().await;
    assert!(
        matches!(end.exit, Exit::Resumable | Exit::Frozen),
        "{}",
        why(&end)
    );
    assert_eq!(
        end.state.step(&id("create")).outcome().unwrap().kind,
        OutcomeKind::Refused
    );
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert_eq!(
        lab.toy.with(|world| world.documents["d"].clone()),
        json!({"a": 1})
    );
}

#[tokio::test]
async fn a_target_that_cannot_be_read_is_no_evidence() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    assert!(lab.run_and_die_after(1).await);
    lab.toy.with(|world| world.unreadable = true);
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Resumable, "{}", why(&end));
    lab.toy.with(|world| world.unreadable = false);
    assert_eq!(lab.resume().await.exit, Exit::Done);
}

#[tokio::test]
async fn a_refusal_is_recorded_and_nothing_changed() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    lab.toy.with(|world| world.faults = vec![Fault::Refuse]);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Resumable, "{}", why(&end));
    assert_eq!(
        end.state.step(&id("create")).outcome().unwrap().kind,
        OutcomeKind::Refused
    );
}

#[tokio::test]
async fn what_never_left_is_exit_4_before_anything_else_was_sent() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    lab.toy
        .with(|world| world.faults = vec![Fault::Unreachable]);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Unreachable, "{}", why(&end));
    assert_eq!(lab.resume().await.exit, Exit::Done);
}

// ---- 2 and 3. effect classes, lost answers

#[tokio::test]
async fn a_lost_answer_whose_effect_is_there_is_not_sent_again() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    lab.toy.with(|world| world.faults = vec![Fault::DropAfter]);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert_eq!(lab.sent().len(), 1);
    assert_eq!(
        end.state.step(&id("create")).outcome().unwrap().kind,
        OutcomeKind::TrueUnknownWhose
    );
}

#[tokio::test]
async fn a_lost_request_is_sent_again_to_the_byte_when_it_is_repeatable() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    lab.toy.with(|world| world.faults = vec![Fault::DropBefore]);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    let sent = lab.toy.with(|world| world.sent.clone());
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1], "the token too: the first may still land");
}

#[tokio::test]
async fn a_request_that_may_still_make_something_is_named_at_the_end() {
    for (step, named) in [(take(), true), (create("create", "d"), false)] {
        let lab = Lab::new(vec![step]).await;
        lab.toy.with(|world| world.faults = vec![Fault::DropBefore]);
        let end = lab.run().await;
        assert_eq!(end.exit, Exit::Done, "{}", why(&end));
        let line = |text: &String| text.contains("was never answered");
        assert_eq!(
            end.left_behind.iter().any(line),
            named,
            "{:?}",
            end.left_behind
        );
    }
}

#[tokio::test]
async fn nothing_is_repeated_while_the_request_is_in_flight() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    lab.toy.with(|world| {
        world.faults = vec![Fault::Late];
        world.in_flight = true;
    });
    let toy = lab.toy.clone();
    let late = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(600)).await;
        toy.release_late();
    });
    let end = lab.run().await;
    late.await.unwrap();
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert_eq!(lab.sent().len(), 1);
}

#[tokio::test]
async fn an_opaque_change_without_an_answer_is_a_doubt_for_a_person() {
    let lab = Lab::new(vec![task(false)]).await;
    lab.toy.with(|world| world.faults = vec![Fault::DropAfter]);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::PersonNeeded, "{}", why(&end));
    assert_eq!(
        lab.resume().await.exit,
        Exit::PersonNeeded,
        "again, without a decision"
    );
    assert_eq!(lab.sent().len(), 1);
    let decision = Decision {
        step: id("task"),
        done: true,
        reason: "I looked".into(),
    };
    let end = lab.runner().await.resume(vec![decision]).await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert_eq!(lab.toy.with(|world| world.tasks_run), 1);
}

#[tokio::test]
async fn a_doubt_decided_as_not_done_is_sent_again() {
    let lab = Lab::new(vec![task(false)]).await;
    lab.toy.with(|world| world.faults = vec![Fault::DropBefore]);
    assert_eq!(lab.run().await.exit, Exit::PersonNeeded);
    let end = lab.runner().await.resume(vec![not_done("task")]).await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert_eq!(lab.toy.with(|world| world.tasks_run), 1);
}

#[tokio::test]
async fn a_task_that_may_be_run_again_and_ended_early_needs_no_decision() {
    let lab = Lab::new(vec![task(true)]).await;
    lab.toy
        .with(|world| world.task_ends = vec![Probed::Partial(json!("exit 1"))]);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Frozen, "{}", why(&end));
    assert!(why(&end).contains("exit 1"), "{}", why(&end));
    assert!(end.state.doubts().is_empty());
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert_eq!(lab.toy.with(|world| world.tasks_run), 2);
    let tokens = lab
        .toy
        .with(|world| (world.sent[0].0.clone(), world.sent[1].0.clone()));
    assert_ne!(tokens.0, tokens.1, "each run of it has a token of its own");
}

#[tokio::test]
async fn a_backup_that_fails_leaves_a_run_that_can_go_on_and_later_steps_rest_on_what_they_did() {
    let backup = Step {
        phase: Phase::Protect,
        ..task(true)
    };
    let lab = Lab::new(vec![backup, replace()]).await;
    let facts = |plan: &Plan, step: &str| plan.step(&id(step)).unwrap().facts.clone();
    assert_eq!(facts(&lab.plan, "replace").len(), 1);
    lab.toy
        .with(|world| world.task_ends = vec![Probed::Partial(json!("exit 1"))]);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Resumable, "{}", why(&end));
    assert!(end.state.doubts().is_empty());

    // A task of another phase may change what stands behind it.
    let before = Step {
        phase: Phase::Expand,
        ..task(true)
    };
    let lab = Lab::new(vec![before, replace()]).await;
    assert_eq!(facts(&lab.plan, "replace").len(), 0);
}

#[tokio::test]
async fn a_copy_that_ended_early_goes_on_without_a_decision() {
    for (step, then) in [
        (copy(), "copies again"),
        (transform(), "goes on after the last batch"),
    ] {
        let mut lab = Lab::new(vec![step]).await;
        // The toy has no index that a run could make; a cluster refuses a copy into another one.
        lab.approvals[0].waives = vec![Waiver {
            finding: "host.reindex-destination".into(),
            reason: "it is a toy".into(),
        }];
        lab.toy
            .with(|world| world.task_ends = vec![Probed::Partial(json!("disk full"))]);
        let end = lab.run().await;
        assert_eq!(end.exit, Exit::Frozen, "{}", why(&end));
        assert!(why(&end).contains("disk full"), "{}", why(&end));
        assert!(format!("{end:?}").contains(then), "{end:?}");
        let end = lab.resume().await;
        assert_eq!(end.exit, Exit::Done, "{}", why(&end));
        let tokens = lab
            .toy
            .with(|world| (world.sent[0].0.clone(), world.sent[1].0.clone()));
        assert_ne!(tokens.0, tokens.1, "each copy has a token of its own");
    }
}

#[tokio::test]
async fn a_task_that_may_not_be_run_again_and_ended_early_is_for_a_person() {
    let lab = Lab::new(vec![task(false)]).await;
    lab.toy
        .with(|world| world.task_ends = vec![Probed::Partial(json!("exit 1"))]);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::PersonNeeded, "{}", why(&end));
    assert_eq!(lab.resume().await.exit, Exit::PersonNeeded);
    assert_eq!(lab.toy.with(|world| world.tasks_run), 1);
}

#[tokio::test]
async fn a_task_that_went_with_its_host_is_run_again_only_where_the_plan_says_so() {
    for (rerun_safe, exit, runs) in [(true, Exit::Done, 2), (false, Exit::PersonNeeded, 1)] {
        let lab = Lab::new(vec![task(rerun_safe)]).await;
        lab.toy
            .with(|world| world.task_ends = vec![Probed::Indeterminate(json!("gone"))]);
        assert!(lab.run_and_die_after(1).await);
        let end = lab.resume().await;
        assert_eq!(end.exit, exit, "{}", why(&end));
        assert_eq!(lab.toy.with(|world| world.tasks_run), runs);
    }
}

#[tokio::test]
async fn a_run_with_a_half_done_task_that_is_aborted_names_it() {
    let lab = Lab::new(vec![task(true)]).await;
    lab.toy
        .with(|world| world.task_ends = vec![Probed::Partial(json!("exit 1"))]);
    lab.run().await;
    let end = lab.runner().await.abort("enough").await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    let named = end
        .left_behind
        .iter()
        .any(|what| what.contains("half done"));
    assert!(named, "{:?}", end.left_behind);
}

#[tokio::test]
async fn a_runner_that_lost_its_claim_concludes_no_doubt() {
    let lab = Lab::new(vec![replace()]).await;
    let frozen = lab.runner().await;
    lab.toy.with(|world| world.freeze_after_sent = Some(1));
    let frozen = tokio::spawn(frozen.run());
    lab.until(|world| world.frozen).await;
    // Who took over went on from there.
    lab.toy.with(|world| {
        world.claims.push(foreign(2));
        world
            .documents
            .insert("meta".into(), json!({"version": "9"}));
        world.freeze_after_sent = None;
    });
    let end = frozen.await.unwrap();
    assert_eq!(end.exit, Exit::ClaimLost, "{}", why(&end));
    assert!(end.state.doubts().is_empty());
}

#[tokio::test]
async fn a_third_state_is_a_doubt() {
    let lab = Lab::new(vec![replace()]).await;
    lab.toy.with(|world| world.faults = vec![Fault::DropBefore]);
    assert!(lab.run_and_die_after(1).await);
    lab.toy.with(|world| {
        world
            .documents
            .insert("meta".into(), json!({"version": "9"}))
    });
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::PersonNeeded, "{}", why(&end));
    assert_eq!(
        end.state.step(&id("replace")).outcome().unwrap().kind,
        OutcomeKind::Doubt
    );
    assert_eq!(
        lab.toy.with(|world| world.documents["meta"].clone()),
        json!({"version": "9"})
    );
    assert_eq!(lab.sent().len(), 1);
}

#[tokio::test]
async fn recorded_done_is_read_again_on_resume() {
    let lab = Lab::new(vec![create("first", "d1"), create("second", "d2")]).await;
    assert!(lab.run_and_die_after(2).await);
    // The target goes back to before the run.
    lab.toy.with(|world| world.documents.remove("d1"));
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::PersonNeeded, "{}", why(&end));
    assert!(
        why(&end).contains("does not hold any more"),
        "{}",
        why(&end)
    );
}

// ---- 4. borrowed state

#[tokio::test]
async fn neutral_state_that_somebody_changed_is_left_and_reported() {
    let mut steps = vec![setting("none"), task(true)];
    steps[1].phase = Phase::Switch;
    steps[1].own_approval = Some("a look".into());
    let lab = Lab::new(steps).await;
    let toy = lab.toy.clone();
    let other = tokio::spawn(async move {
        while toy.with(|world| world.setting.is_none()) {
            tokio::task::yield_now().await;
        }
        toy.with(|world| world.setting = Some("theirs".into()));
    });
    let end = lab.run().await;
    other.await.unwrap();
    // Either the read-back met their value (a doubt), or the give-back did.
    assert!(
        matches!(end.exit, Exit::StepApproval | Exit::PersonNeeded),
        "{}",
        why(&end)
    );
    assert_eq!(
        lab.toy.with(|world| world.setting.clone()),
        Some("theirs".into())
    );
}

#[tokio::test]
async fn neutral_state_is_given_back_when_the_run_stops_and_borrowed_again_when_it_goes_on() {
    let mut steps = vec![setting("none"), task(true)];
    steps[1].own_approval = Some("a look".into());
    let mut lab = Lab::new(steps).await;
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::StepApproval, "{}", why(&end));
    assert_eq!(lab.toy.with(|world| world.setting.clone()), None);
    lab.approvals[0].steps = vec![StepApproval {
        step: id("task"),
        reason: "looked".into(),
    }];
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert_eq!(lab.toy.with(|world| world.setting.clone()), None);
    let set: Vec<String> = lab
        .sent()
        .into_iter()
        .filter(|verb| verb.ends_with("setting"))
        .collect();
    assert_eq!(set.len(), 4, "borrowed and given back, twice");
}

#[tokio::test]
async fn neutral_state_is_given_back_also_where_a_stopped_service_runs_again() {
    let mut waits = create("create", "d");
    waits.opens_when = vec![Condition {
        label: "a document is gone".into(),
        binding: binding(),
        predicate: Predicate::CountIs {
            index: "i".into(),
            query: None,
            count: 0,
        },
        negated: false,
        stable_for_ms: 0,
        patience_ms: 5_000,
        on_expiry: OnExpiry::Fail,
    }];
    let mut steps = vec![stop(), setting("none"), waits];
    for step in &mut steps {
        step.phase = Phase::Switch;
    }
    let lab = Lab::new(steps).await;
    let toy = lab.toy.clone();
    let other = tokio::spawn(async move {
        while toy.with(|world| world.setting.is_none()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        toy.with(|world| {
            world.running = true;
            world.documents.clear();
        });
    });
    let end = lab.run().await;
    other.await.unwrap();
    assert!(why(&end).contains("runs again"), "{}", why(&end));
    assert_eq!(lab.toy.with(|world| world.setting.clone()), None);
    let end = lab.runner().await.abort("somebody else works here").await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
}

#[tokio::test]
async fn what_is_said_to_stay_stopped_is_not_started_by_a_rollback_and_is_named() {
    let because = "the old version cannot join any more";
    let mut steps = vec![stop(), task(true)];
    steps[0].undo = Undo::Stays {
        because: because.into(),
    };
    steps[1].own_approval = Some("a look".into());
    let lab = Lab::new(steps).await;
    assert_eq!(lab.run().await.exit, Exit::StepApproval);
    let end = lab.runner().await.rollback("slow", vec![]).await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert!(!lab.toy.with(|world| world.running));
    assert!(
        end.left_behind.iter().any(|line| line.contains(because)),
        "{:?}",
        end.left_behind
    );
}

#[tokio::test]
async fn protective_state_stays_when_a_run_is_aborted() {
    let mut steps = vec![stop(), task(true)];
    steps[1].own_approval = Some("a look".into());
    let lab = Lab::new(steps).await;
    assert_eq!(lab.run().await.exit, Exit::StepApproval);
    let end = lab.runner().await.abort("changed our mind").await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert!(!lab.toy.with(|world| world.running));
    assert!(
        end.left_behind
            .iter()
            .any(|line| line.contains("stays stopped")),
        "{:?}",
        end.left_behind
    );
    assert!(lab.toy.with(|world| world.claims.is_empty()));
}

#[tokio::test]
async fn an_abort_leaves_no_claim_wherever_the_run_was_killed() {
    let straight = Lab::new(vec![stop()]).await;
    straight.toy.with(|world| world.calls = 0);
    assert_eq!(straight.run().await.exit, Exit::Done);
    let mut made = 0;
    for at in 1..=straight.toy.with(|world| world.calls) {
        let lab = Lab::new(vec![stop()]).await;
        let run = lab.runner().await.run();
        if !lab.dies_at(at, run).await || lab.state_rows().await == 0 {
            continue;
        }
        made += usize::from(lab.toy.with(|world| !world.claims.is_empty()));
        let end = lab.runner().await.abort("enough").await;
        assert_eq!(end.exit, Exit::Done, "killed at call {at}: {}", why(&end));
        assert!(lab.toy.with(|world| world.claims.is_empty()), "{at}");
    }
    assert!(made > 3, "{made}");
}

#[tokio::test]
async fn an_abort_names_a_claim_that_it_cannot_look_for() {
    let mut lab = Lab::new(vec![stop()]).await;
    // Killed when the claim was made and was not written down.
    for at in 1.. {
        let run = lab.runner().await.run();
        assert!(lab.dies_at(at, run).await);
        if lab.toy.with(|world| !world.claims.is_empty()) {
            break;
        }
        lab = Lab::new(vec![stop()]).await;
    }
    assert!(lab.state().await.claims.is_empty());
    lab.toy.with(|world| world.unreadable = true);
    let end = lab.runner().await.abort("it is gone").await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    let named = end
        .left_behind
        .iter()
        .any(|line| line.contains("may be on `service.toy`"));
    assert!(named, "{:?}", end.left_behind);
}

#[tokio::test]
async fn an_abort_says_where_an_unknown_end_has_left_its_trace() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    assert!(lab.run_and_die_after(1).await);
    let end = lab.runner().await.abort("enough").await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    let named = end
        .left_behind
        .iter()
        .any(|line| line.contains("is not known; its trace") && line.contains("X-Opaque-Id"));
    assert!(named, "{:?}", end.left_behind);
}

#[tokio::test]
async fn one_key_has_one_holder() {
    let mut second = setting("all");
    second.id = id("again");
    let toy = Toy::new();
    let proposal = Proposal {
        steps: vec![setting("none"), second],
        ..Proposal::default()
    };
    let error = freeze(proposal, context(), &grant(), &bindings(&toy))
        .await
        .unwrap_err();
    assert!(
        matches!(error, FreezeError::BorrowedTwice { .. }),
        "{error}"
    );
}

// ---- 5. the claim

fn foreign(epoch: u64) -> Claim {
    Claim {
        epoch,
        run: "other".into(),
        host: "elsewhere".into(),
        pid: 1,
        pid_start: 1,
        boot_id: "b".into(),
        nonce: "n".into(),
        state_dir: "/state".into(),
        since: "then".into(),
    }
}

#[tokio::test]
async fn a_claim_of_another_run_is_refused_by_name_host_and_path() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    lab.toy.with(|world| world.claims = vec![foreign(1)]);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Claimed);
    for text in ["other", "elsewhere", "/state"] {
        assert!(why(&end).contains(text), "{}", why(&end));
    }
    assert!(lab.sent().is_empty());
}

#[tokio::test]
async fn a_claim_that_is_missing_is_lost_and_never_made_again() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    assert!(lab.run_and_die_after(1).await);
    lab.toy.with(|world| world.claims.clear());
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::ClaimLost, "{}", why(&end));
    assert!(lab.toy.with(|world| world.claims.is_empty()));
}

#[tokio::test]
async fn a_higher_epoch_takes_the_target_away() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    assert!(lab.run_and_die_after(1).await);
    let sent = lab.sent().len();
    lab.toy.with(|world| world.claims.push(foreign(2)));
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::ClaimLost, "{}", why(&end));
    assert_eq!(lab.sent().len(), sent);
    assert_eq!(
        lab.toy.with(|world| world.claims.len()),
        2,
        "each removes only its own, last"
    );
}

// ---- approvals, findings, hand-overs

#[tokio::test]
async fn without_an_approval_nothing_is_sent() {
    let mut lab = Lab::new(vec![create("create", "d")]).await;
    lab.approvals[0].plan = Digest::of(b"another plan");
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::ApprovalMissing);
    assert!(lab.sent().is_empty());
}

#[tokio::test]
async fn with_two_approvals_the_maker_does_not_count() {
    let mut lab = Lab::new(vec![create("create", "d")]).await;
    lab.wanted = 2;
    let other = |by: &str| Approval {
        by: by.into(),
        ..lab.approvals[0].clone()
    };
    let (a, b) = (other("a"), other("b"));
    lab.approvals.push(a);
    assert_eq!(lab.run().await.exit, Exit::ApprovalMissing);
    lab.approvals.push(b);
    assert_eq!(lab.run().await.exit, Exit::Done);
}

#[tokio::test]
async fn an_unproved_destruction_is_blocked_until_it_is_waived_with_a_reason() {
    let mut step = delete();
    step.undo = Undo::None {
        because: "gone".into(),
    };
    let mut lab = Lab::new(vec![step]).await;
    let blocker = lab
        .plan
        .findings
        .iter()
        .find(|finding| finding.id == "host.unproved-destruction")
        .unwrap();
    assert_eq!(blocker.severity, Severity::Blocker);
    assert_eq!(lab.run().await.exit, Exit::ApprovalMissing);
    let waiver = |reason: &str| {
        vec![Waiver {
            finding: "host.unproved-destruction".into(),
            reason: reason.into(),
        }]
    };
    lab.approvals[0].waives = waiver("  ");
    assert_eq!(
        lab.run().await.exit,
        Exit::ApprovalMissing,
        "a reason is more than blanks"
    );
    lab.approvals[0].waives = waiver("it is empty");
    assert_eq!(lab.run().await.exit, Exit::Done);
}

#[tokio::test]
async fn a_snapshot_that_was_not_proved_covers_nothing() {
    let steps = vec![take(), delete()];
    let plan = Lab::new(steps).await.plan;
    assert!(
        plan.findings
            .iter()
            .any(|finding| finding.id == "host.unproved-destruction")
    );
    let plan = Lab::new(vec![take(), prove(), delete()]).await.plan;
    assert!(
        plan.findings
            .iter()
            .all(|finding| finding.id != "host.unproved-destruction"),
        "{:?}",
        plan.findings
    );
    assert_eq!(plan.point_of_no_return, Some(id("delete")));
}

#[tokio::test]
async fn a_blocker_found_right_before_the_run_stops_it() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    lab.planner.blockers.lock().unwrap().push(Finding {
        id: "toy.bad".into(),
        severity: Severity::Blocker,
        subject: "toy".into(),
        what: "bad".into(),
        why: "so".into(),
        remedy: "mend".into(),
        evidence: vec![],
    });
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Blocked);
    assert!(lab.sent().is_empty());
    assert!(lab.toy.with(|world| world.claims.is_empty()));
}

#[tokio::test]
async fn a_target_that_the_plugin_cannot_read_is_not_the_plugins_fault() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    let with = |fault| *lab.planner.fault.lock().unwrap() = Some(fault);
    with(PlannerFault::Target {
        doing: "check the site",
        error: ReadError::Unavailable("503".into()),
    });
    assert_eq!(lab.run().await.exit, Exit::Unreachable);
    with(PlannerFault::Plugin("it trapped".into()));
    assert_eq!(lab.run().await.exit, Exit::PluginFault);
    with(PlannerFault::Refused("no".into()));
    assert_eq!(lab.run().await.exit, Exit::Blocked);
    assert!(lab.sent().is_empty());
}

#[tokio::test]
async fn a_failed_validation_freezes_the_run_with_its_claim() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    lab.planner.invalid.lock().unwrap().push(Finding {
        id: "toy.count".into(),
        severity: Severity::Blocker,
        subject: "toy".into(),
        what: "fewer documents".into(),
        why: "lost".into(),
        remedy: "restore".into(),
        evidence: vec![],
    });
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Frozen);
    assert_eq!(lab.toy.with(|world| world.claims.len()), 1);
    lab.planner.invalid.lock().unwrap().clear();
    assert_eq!(lab.resume().await.exit, Exit::Done);
}

#[tokio::test]
async fn a_hand_over_waits_for_a_person() {
    let steps = vec![
        step(
            "attest",
            Phase::Prepare,
            Body::HandOver {
                text: "is it stopped?".into(),
            },
        ),
        create("create", "d"),
    ];
    let mut lab = Lab::new(steps).await;
    assert_eq!(lab.run().await.exit, Exit::StepApproval);
    assert!(lab.sent().is_empty());
    lab.approvals[0].steps = vec![StepApproval {
        step: id("attest"),
        reason: "I stopped it".into(),
    }];
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
}

#[tokio::test]
async fn a_stop_by_a_person_comes_at_a_safe_point_and_is_resumable() {
    let lab = Lab::new(vec![create("create", "d")]).await;
    lab.stop.stop_at_safe_point();
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Resumable);
    assert!(lab.sent().is_empty());
    assert!(lab.heard("Stopping"));
}

#[tokio::test]
async fn a_condition_that_does_not_come_true_does_what_the_plan_says() {
    let with = |on_expiry| {
        let mut step = create("create", "d");
        step.opens_when = vec![Condition {
            label: "many documents".into(),
            binding: binding(),
            predicate: Predicate::CountIs {
                index: "i".into(),
                query: None,
                count: 99,
            },
            negated: false,
            stable_for_ms: 0,
            patience_ms: 50,
            on_expiry,
        }];
        vec![step]
    };
    let end = Lab::new(with(OnExpiry::Fail)).await.run().await;
    assert_eq!(end.exit, Exit::Resumable, "{}", why(&end));
    let end = Lab::new(with(OnExpiry::Ask)).await.run().await;
    assert_eq!(end.exit, Exit::PersonNeeded, "{}", why(&end));
    let end = Lab::new(with(OnExpiry::GoOnAndReport)).await.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert!(
        end.left_behind
            .iter()
            .any(|line| line.contains("many documents")),
        "{:?}",
        end.left_behind
    );
}

#[tokio::test]
async fn quiet_must_last_as_long_as_it_says() {
    let mut step = create("create", "d");
    step.opens_when = vec![Condition {
        label: "nothing is written".into(),
        binding: binding(),
        predicate: Predicate::Quiet {
            indices: vec!["i".into()],
        },
        negated: false,
        stable_for_ms: 300,
        patience_ms: 10_000,
        on_expiry: OnExpiry::Fail,
    }];
    let lab = Lab::new(vec![step]).await;
    let toy = lab.toy.clone();
    let writer = tokio::spawn(async move {
        for n in 0..8 {
            toy.with(|world| {
                world
                    .documents
                    .insert("meta".into(), json!({"version": "1", "n": n}))
            });
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let begun = std::time::Instant::now();
    let end = lab.run().await;
    writer.await.unwrap();
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert!(
        begun.elapsed() >= Duration::from_millis(900),
        "{:?}",
        begun.elapsed()
    );
}

// ---- plans

#[tokio::test]
async fn a_circle_and_a_missing_name_are_refused_when_the_plan_is_made() {
    let toy = Toy::new();
    let mut steps = vec![create("a", "1"), create("b", "2"), create("c", "3")];
    steps[0].after = vec![id("c")];
    steps[1].after = vec![id("a")];
    steps[2].after = vec![id("b")];
    let proposal = |steps| Proposal {
        steps,
        ..Proposal::default()
    };
    let error = freeze(
        proposal(steps.clone()),
        context(),
        &grant(),
        &bindings(&toy),
    )
    .await
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the steps wait for each other in a circle: a -> c -> b -> a"
    );
    steps[0].after = vec![id("nobody")];
    let error = freeze(proposal(steps), context(), &grant(), &bindings(&toy))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`nobody`, which is no step of the plan"),
        "{error}"
    );
}

#[tokio::test]
async fn a_plan_outside_the_grant_is_refused_with_the_line_that_would_allow_it() {
    let toy = Toy::new();
    let mut narrow = grant();
    narrow.bindings[0].verbs[0].scope = vec![Scope::new("other-*").unwrap()];
    let proposal = Proposal {
        steps: vec![create("a", "1")],
        ..Proposal::default()
    };
    let error = freeze(proposal, context(), &narrow, &bindings(&toy))
        .await
        .unwrap_err();
    let FreezeError::Denied { denied, .. } = error else {
        panic!("{error}")
    };
    assert!(denied.allowed_by.contains("scope = [\"i\"]"), "{denied:?}");
}

#[tokio::test]
async fn a_kind_without_automatic_undo_must_say_how_it_is_taken_back() {
    let toy = Toy::new();
    let mut step = delete();
    step.undo = Undo::Automatic;
    let proposal = Proposal {
        steps: vec![step],
        ..Proposal::default()
    };
    let error = freeze(proposal, context(), &grant(), &bindings(&toy))
        .await
        .unwrap_err();
    assert!(matches!(error, FreezeError::Undo { .. }), "{error}");
}

#[tokio::test]
async fn a_copy_goes_only_into_an_index_of_the_plan() {
    let step = change(
        "reindex",
        Phase::Expand,
        Change::Reindex {
            source: IndexName::new("i").unwrap(),
            destination: IndexName::new("j").unwrap(),
            query: None,
            script: Some(liftlock_types::Script {
                lang: "painless".into(),
                source: "ctx._index = 'k'".into(),
                params: None,
            }),
            slices: None,
            requests_per_second: None,
        },
    );
    let mut step = step;
    step.undo = Undo::None {
        because: "test".into(),
    };
    let reindexed = Lab::new(vec![step]).await.plan;
    assert!(
        reindexed
            .findings
            .iter()
            .any(|finding| finding.id == "host.reindex-destination")
    );
    let plan = Lab::new(vec![transform()]).await.plan;
    assert!(
        plan.findings
            .iter()
            .any(|finding| finding.id == "host.reindex-destination")
    );
    let plan = reindexed;
    let script = plan
        .findings
        .iter()
        .find(|finding| finding.id == "host.script")
        .unwrap();
    assert!(
        script.what.contains("ctx._index = 'k'"),
        "a person sees it whole"
    );
}

#[tokio::test]
async fn estimates_may_differ_when_the_plan_is_made_again_and_facts_may_not() {
    let lab = Lab::new(whole()).await;
    let mut other = lab.plan.clone();
    other.steps[0].work = vec![liftlock_types::Work {
        unit: "documents".into(),
        amount: 7,
    }];
    assert!(differences(&lab.plan, &other).is_empty());
    let at = other
        .steps
        .iter()
        .position(|step| step.id == id("delete"))
        .unwrap();
    other.steps[at]
        .facts
        .insert("index/uuid".into(), json!("index-2"));
    assert_eq!(
        differences(&lab.plan, &other),
        ["step `delete` differs: index/uuid was \"index-1\", is \"index-2\""]
    );
}

#[tokio::test]
async fn another_order_of_the_steps_is_told_before_what_follows_from_it() {
    let lab = Lab::new(whole()).await;
    let mut other = lab.plan.clone();
    let (first, second) = (other.steps[0].id.clone(), other.steps[1].id.clone());
    other.steps.swap(0, 1);
    other.steps[0].title = "otherwise".into();
    let lines = differences(&lab.plan, &other);
    assert_eq!(
        lines[0],
        format!("the order of the steps differs: `{second}` comes now where `{first}` was")
    );
    assert_eq!(lines.len(), 2, "{lines:?}");
    other.steps.remove(0);
    assert_eq!(
        differences(&lab.plan, &other),
        [format!("step `{second}` is not needed any more")],
        "a step less is no other order"
    );
}

#[tokio::test]
async fn a_plan_has_one_hash_and_an_edit_another() {
    let lab = Lab::new(whole()).await;
    let file = liftlock_types::PlanFile {
        hash: lab.plan.hash(),
        made_at: "now".into(),
        made_by: "me".into(),
        plan: lab.plan.clone(),
        reads: vec![],
    };
    let text = serde_json::to_string_pretty(&file).unwrap();
    assert_eq!(
        liftlock_types::PlanFile::parse(&text).unwrap().plan.hash(),
        lab.plan.hash()
    );
    let edited = text.replacen("index-1", "index-2", 1);
    assert!(
        liftlock_types::PlanFile::parse(&edited)
            .unwrap_err()
            .to_string()
            .contains("was changed after it was made")
    );
}

// ---- the sweep: killed at every call, resumed, same end

#[tokio::test]
async fn killed_at_every_call_a_run_resumes_to_the_same_end_and_repeats_nothing_that_shows() {
    let straight = Lab::new(whole()).await;
    assert_eq!(straight.run().await.exit, Exit::Done);
    let calls = straight.toy.with(|world| world.calls);
    let end_state = straight.toy.with(|world| {
        (
            world.documents.clone(),
            world.index_uuid.clone(),
            world.setting.clone(),
            world.running,
        )
    });
    let mutations = straight.sent();
    let mut positions = 0;
    for at in 1..=calls {
        let lab = Lab::new(whole()).await;
        if !lab.run_and_die(at).await {
            continue;
        }
        positions += 1;
        let journal = lab.journal().await;
        let begun = !journal.rows("r1").await.unwrap().is_empty();
        drop(journal);
        let end = if begun {
            lab.resume().await
        } else {
            lab.run().await
        };
        assert_eq!(end.exit, Exit::Done, "killed at call {at}: {}", why(&end));
        let now = lab.toy.with(|world| {
            (
                world.documents.clone(),
                world.index_uuid.clone(),
                world.setting.clone(),
                world.running,
            )
        });
        // The snapshot's document holds the token of its attempt.
        let plain = |mut state: (
            BTreeMap<String, serde_json::Value>,
            Option<String>,
            Option<String>,
            bool,
        )| {
            state.0.remove("snapshot");
            state
        };
        assert_eq!(
            plain(now),
            plain(end_state.clone()),
            "killed at call {at}: {:#?}",
            lab.ear.0.lock().unwrap()
        );
        assert!(
            lab.toy.with(|world| world.claims.is_empty()),
            "killed at call {at}"
        );
        // A toy carries a request out before it can die in it, so nothing may be seen twice.
        let mut sent = lab.sent();
        sent.sort();
        let mut want = mutations.clone();
        want.sort();
        assert_eq!(sent, want, "killed at call {at}");
    }
    assert!(positions > 60, "{positions} of {calls}");
}
