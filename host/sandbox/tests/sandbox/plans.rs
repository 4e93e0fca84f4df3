//! Drafts: what the host holds after `plan`, what it refuses, and whether it comes out the same again.

use std::sync::Arc;

use liftlock_sandbox::{FaultKind, Refusal, Replay};
use liftlock_types::{
    Body, Change, FillValue, OnExpiry, PLAN_STEPS_MAX, Phase, Predicate, Proposal, Read, ReadError,
    Undo,
};
use serde_json::json;

use crate::common::{Table, call, call_on, plugin};

async fn plan(options: &[(&str, &str)]) -> Result<Proposal, Refusal> {
    plugin().plan(&call(options)).await.unwrap().value
}

#[tokio::test]
async fn a_plan_is_what_the_host_holds_in_its_own_types() {
    let proposal = plan(&[("do", "plan-ok")]).await.unwrap();
    let ids: Vec<&str> = proposal.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "stop", "baseline", "snapshot", "prove", "keep", "log", "delete", "start"
        ]
    );
    let step = |id: &str| {
        proposal
            .steps
            .iter()
            .find(|step| step.id.as_str() == id)
            .unwrap()
    };

    let stop = step("stop");
    assert_eq!(stop.phase, Phase::Prepare);
    assert_eq!(stop.change().unwrap().change, Change::StopService {});
    assert_eq!(stop.undo, Undo::Automatic);
    assert_eq!(stop.because, "it must not write\nwhile this runs");
    assert_eq!(stop.ends_when[0].label, "it is stopped");
    assert_eq!(stop.ends_when[0].predicate, Predicate::Stopped);
    assert_eq!(stop.ends_when[0].patience_ms, 300_000);
    assert_eq!(
        (stop.work[0].unit.as_str(), stop.work[0].amount),
        ("restarts", 1)
    );

    let baseline = step("baseline");
    assert_eq!(baseline.after[0].as_str(), "stop");
    assert!(matches!(
        &baseline.body,
        Body::Capture { name, reads } if name == "baseline" && reads.len() == 2
    ));

    let snapshot = step("snapshot");
    assert_eq!(snapshot.opens_when[0].on_expiry, OnExpiry::Ask);
    assert_eq!(snapshot.opens_when[0].patience_ms, 60_000);
    assert_eq!(snapshot.peak_disk["node-1"], 11);

    let log = step("log");
    let planned = log.change().unwrap();
    let Change::CreateDocument { document, .. } = &planned.change else {
        panic!("{planned:?}")
    };
    assert_eq!(document.as_str(), r#"{"b":1,"at":""}"#);
    assert_eq!(planned.fills.len(), 2);
    assert_eq!(planned.fills[1].value, FillValue::RunId);
    assert_eq!(log.rests_on[0].answer.as_str(), "5");
    assert_eq!(log.memo.as_ref().unwrap().as_str(), r#"{"mine":1.50}"#);
    assert_eq!(log.own_approval.as_deref(), Some("it is seen"));

    let delete = step("delete");
    assert!(matches!(&delete.undo, Undo::ByRestore(id) if id.as_str() == "snapshot"));
    assert!(delete.ends_when[0].negated);
    assert_eq!(delete.ends_when[0].stable_for_ms, 1_000);

    assert!(matches!(&step("start").body, Body::GiveBack { step } if step.as_str() == "stop"));
    assert_eq!(proposal.summary[0], "From Some(\"1.0\") to 2.0\\u{1b}[1m");
    assert!(
        proposal.summary[1].starts_with("invalid: cannot fill `/b/c`"),
        "{:?}",
        proposal.summary
    );
    assert_eq!(proposal.not_done, ["The rest"]);
    assert_eq!(proposal.hand_overs[0].text, "the\nload balancer");
}

#[tokio::test]
async fn units_guards_and_what_stays_are_held_as_they_were_said() {
    let proposal = plan(&[("do", "rolling")]).await.unwrap();
    let units: Vec<Option<&str>> = proposal
        .steps
        .iter()
        .map(|step| step.unit.as_ref().map(AsRef::as_ref))
        .collect();
    assert_eq!(units, [Some("n1"), Some("n1"), None]);
    assert_eq!(
        proposal.steps[2].undo,
        Undo::Stays {
            because: "the old version runs on it".into()
        }
    );
    let guard = &proposal.guards[0];
    assert_eq!(
        (guard.from.as_str(), guard.until.as_str()),
        ("stop", "settle")
    );
    assert_eq!(guard.condition.label, "nobody deploys");
    assert_eq!(guard.condition.on_expiry, OnExpiry::Ask);
    assert_eq!(guard.condition.patience_ms, 0);
    assert!(
        matches!(&guard.condition.predicate, Predicate::Asked { name, input }
            if name == "window" && input.as_str() == r#"{"deployments":3}"#),
        "{guard:?}"
    );
    let refusal = plan(&[("do", "two-units")]).await.unwrap_err();
    assert!(
        matches!(&refusal, Refusal::Failed(ReadError::Invalid(text)) if text.contains("`n1`")),
        "{refusal}"
    );
}

#[tokio::test]
async fn what_a_step_rests_on_is_read_and_recorded_while_planning() {
    let called = plugin().plan(&call(&[("do", "plan-ok")])).await.unwrap();
    let counts = called
        .reads
        .iter()
        .filter(|(reading, _)| matches!(reading.read, Read::Count { .. }))
        .count();
    assert_eq!(counts, 1);
}

#[tokio::test]
async fn a_step_that_does_nothing_is_a_fault_that_names_it() {
    let fault = plugin()
        .plan(&call(&[("do", "step-without-body")]))
        .await
        .unwrap_err();
    assert!(
        matches!(&*fault.what, FaultKind::Contract(text) if text.contains("`empty`")),
        "{fault}"
    );
}

#[tokio::test]
async fn a_million_steps_stop_at_the_first_too_many() {
    let refusal = plan(&[("do", "million-steps")]).await.unwrap_err();
    let Refusal::Failed(ReadError::Invalid(text)) = refusal else {
        panic!("{refusal}")
    };
    assert!(text.contains(&PLAN_STEPS_MAX.to_string()), "{text}");
}

#[tokio::test]
async fn what_stands_once_is_refused_twice() {
    let proposal = plan(&[("do", "twice")]).await.unwrap();
    assert_eq!(proposal.steps.len(), 1);
    assert_eq!(proposal.summary.len(), 6);
    for text in &proposal.summary {
        assert!(text.starts_with("invalid: "), "{text}");
    }
}

#[tokio::test]
async fn two_ways_to_undo_are_a_fault() {
    let fault = plugin()
        .plan(&call(&[("do", "two-undos")]))
        .await
        .unwrap_err();
    assert!(
        matches!(&*fault.what, FaultKind::Contract(text) if text.contains("undone")),
        "{fault}"
    );
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    let refusal = plan(&[("do", "blocked")]).await.unwrap_err();
    assert!(
        matches!(&refusal, Refusal::Blocked(found) if found[0].what == "no\\u{7}"),
        "{refusal}"
    );
    let refusal = plan(&[("do", "denied")]).await.unwrap_err();
    assert!(
        matches!(&refusal, Refusal::Failed(ReadError::Denied { .. })),
        "{refusal}"
    );
}

#[tokio::test]
async fn the_same_reads_give_the_same_plan_in_whatever_the_site_became() {
    let table = Arc::new(Table::new());
    let call = call_on(&[("do", "by-reads")], table.clone());
    let called = plugin().plan(&call).await.unwrap();
    let count = liftlock_types::Read::Count {
        index: "a-1".into(),
        query: None,
    };
    table.set("cluster.database", &count, Ok(json!(99)));
    assert!(plugin().is_deterministic(&call, &called).await.unwrap());
    let now = plugin().plan(&call).await.unwrap();
    assert_ne!(now.value, called.value);
}

#[tokio::test]
async fn a_plan_from_the_clock_or_a_hash_map_does_not_replay() {
    for what in ["clock", "hash-order"] {
        let call = call(&[("do", what)]);
        let called = plugin().plan(&call).await.unwrap();
        assert_eq!(
            plugin().replay(&call, &called).await.unwrap(),
            Replay::Different(vec!["step `tell` differs".into()]),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_good_plan_replays() {
    let call = call(&[("do", "plan-ok")]);
    let called = plugin().plan(&call).await.unwrap();
    assert_eq!(plugin().replay(&call, &called).await.unwrap(), Replay::Same);
}
