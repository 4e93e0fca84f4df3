//! Conditions that the plugin is asked, and guards over a span of steps.

use liftlock_gate::{FreezeError, PlannerFault, freeze};
use liftlock_types::{
    Binding, Condition, Exit, Guard, Json, OnExpiry, PLUGIN_BINDING, Predicate, Proposal,
    ReadError, Step,
};

use crate::lab::*;
use crate::toy::Toy;

fn asked(name: &str, patience_ms: u64, on_expiry: OnExpiry) -> Condition {
    Condition {
        label: format!("{name} holds"),
        binding: Binding::new(PLUGIN_BINDING).unwrap(),
        predicate: Predicate::Asked {
            name: name.into(),
            input: Json::new("{}").unwrap(),
        },
        negated: false,
        stable_for_ms: 0,
        patience_ms,
        on_expiry,
    }
}

fn guarded(from: &str, until: &str, condition: Condition) -> Proposal {
    Proposal {
        steps: vec![create("a", "a"), create("b", "b"), create("c", "c")],
        guards: vec![Guard {
            from: id(from),
            until: id(until),
            condition,
        }],
        ..Proposal::default()
    }
}

fn closes(lab: &Lab, name: &str, times: u32) {
    let mut closed = lab.planner.closed.lock().unwrap();
    closed.insert(name.into(), times);
}

#[tokio::test]
async fn a_condition_of_the_plugin_is_waited_for_and_its_reason_told() {
    let mut waits = create("a", "a");
    waits.opens_when = vec![asked("door", 10_000, OnExpiry::Fail)];
    let lab = Lab::new(vec![waits]).await;
    closes(&lab, "door", 3);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    assert!(lab.heard("the plugin says no"));
}

#[tokio::test]
async fn a_plugin_that_fails_when_asked_stops_the_run_and_one_that_cannot_read_is_waited_for() {
    let mut waits = create("a", "a");
    waits.ends_when = vec![asked("door", 50, OnExpiry::Fail)];
    let lab = Lab::new(vec![waits]).await;
    closes(&lab, "door", u32::MAX);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Frozen, "{}", why(&end));
    assert!(why(&end).contains("door holds"), "{}", why(&end));
    closes(&lab, "door", 0);
    let planner = lab.planner.clone();
    // Only `observe` meets it: a check comes before the last conditions are waited for.
    let fault = PlannerFault::Plugin("trap".into());
    *planner.asked_fault.lock().unwrap() = Some(fault);
    let end = lab.resume().await;
    assert_eq!(end.exit, Exit::PluginFault, "{}", why(&end));
    *planner.asked_fault.lock().unwrap() = None;
    assert_eq!(lab.resume().await.exit, Exit::Done);
}

#[tokio::test]
async fn a_guard_is_looked_at_before_each_step_of_its_span_and_no_other() {
    for (from, until, sent) in [("a", "c", 0), ("b", "c", 1), ("c", "c", 2)] {
        let proposal = guarded(from, until, asked("window", 0, OnExpiry::Fail));
        let lab = Lab::of(Toy::new(), proposal).await;
        closes(&lab, "window", 1);
        let end = lab.run().await;
        assert_ne!(end.exit, Exit::Done, "{from}");
        assert!(why(&end).contains("window holds"), "{}", why(&end));
        assert_eq!(lab.sent().len(), sent, "{from}");
        // It holds again.
        let end = lab.resume().await;
        assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    }
    let lab = Lab::of(
        Toy::new(),
        guarded("a", "a", asked("window", 0, OnExpiry::Fail)),
    )
    .await;
    assert_eq!(lab.run().await.exit, Exit::Done);
}

#[tokio::test]
async fn a_guard_warns_once_or_asks_a_person() {
    let warns = guarded("a", "c", asked("window", 0, OnExpiry::GoOnAndReport));
    let lab = Lab::of(Toy::new(), warns).await;
    closes(&lab, "window", u32::MAX);
    let end = lab.run().await;
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    let told = end
        .left_behind
        .iter()
        .filter(|line| line.contains("window holds"));
    assert_eq!(told.count(), 1, "{:?}", end.left_behind);
    let asks = guarded("b", "c", asked("window", 0, OnExpiry::Ask));
    let lab = Lab::of(Toy::new(), asks).await;
    closes(&lab, "window", u32::MAX);
    assert_eq!(lab.run().await.exit, Exit::PersonNeeded);
    assert_eq!(lab.sent().len(), 1);
}

#[tokio::test]
async fn a_guard_asks_nobody_while_its_target_is_silent_for_a_moment() {
    let asks = guarded("b", "c", asked("window", 0, OnExpiry::Ask));
    let mut lab = Lab::of(Toy::new(), asks).await;
    lab.timing.unreadable_ms = 60_000;
    let silent = PlannerFault::Target {
        doing: "look",
        error: ReadError::Unavailable("no answer".into()),
    };
    let planner = lab.planner.clone();
    *planner.asked_fault.lock().unwrap() = Some(silent.clone());
    let speaks_again = async {
        while !lab.heard("cannot look") {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        *planner.asked_fault.lock().unwrap() = None;
    };
    let (end, ()) = tokio::join!(lab.run(), speaks_again);
    assert_eq!(end.exit, Exit::Done, "{}", why(&end));
    // For longer than the run waits for any read it is a person's.
    let asks = guarded("b", "c", asked("window", 0, OnExpiry::Ask));
    let lab = Lab::of(Toy::new(), asks).await;
    *lab.planner.asked_fault.lock().unwrap() = Some(silent);
    assert_eq!(lab.run().await.exit, Exit::PersonNeeded);
}

#[tokio::test]
async fn a_guard_over_what_is_not_there_or_not_granted_is_no_plan() {
    let none = |condition| guarded("a", "c", condition);
    let frozen = async |proposal: Proposal| {
        freeze(proposal, context(), &grant(), &bindings(&Toy::new())).await
    };
    let mut missing = none(asked("w", 0, OnExpiry::Fail));
    missing.guards[0].until = id("x");
    let mut backwards = none(asked("w", 0, OnExpiry::Fail));
    backwards.guards[0].from = id("c");
    backwards.guards[0].until = id("a");
    for proposal in [missing, backwards] {
        let error = frozen(proposal).await.unwrap_err();
        assert!(matches!(error, FreezeError::Guard { .. }), "{error}");
    }
    let mut other = asked("w", 0, OnExpiry::Fail);
    other.binding = Binding::new("cluster.other").unwrap();
    other.predicate = Predicate::Quiet {
        indices: vec!["i".into()],
    };
    let error = frozen(none(other)).await.unwrap_err();
    assert!(matches!(error, FreezeError::Denied { .. }), "{error}");
}

#[tokio::test]
async fn an_other_guard_is_another_plan() {
    let one = guarded("a", "c", asked("w", 0, OnExpiry::Fail));
    let lab = Lab::of(Toy::new(), one).await;
    let steps: Vec<Step> = lab.plan.steps.clone();
    let two = Proposal {
        steps,
        ..guarded("a", "c", asked("w", 0, OnExpiry::Ask))
    };
    let now = freeze(two, context(), &grant(), &bindings(&lab.toy))
        .await
        .unwrap();
    assert_ne!(now.hash(), lab.plan.hash());
    let lines = liftlock_gate::differences(&lab.plan, &now);
    assert!(
        lines.iter().any(|line| line.contains("w holds")),
        "{lines:?}"
    );
}
