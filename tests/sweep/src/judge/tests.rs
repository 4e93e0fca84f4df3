//! Each question must be able to find something: what it is for is put before it, and so is the like that is allowed.

use std::time::Instant;

use liftlock_types::Change;
use liftlock_types::rules::Class;
use serde_json::json;

use super::*;

const STEP: &str = "delete-1";

fn entries(seen: Vec<Seen>) -> Vec<Entry> {
    seen.into_iter()
        .enumerate()
        .map(|(at, seen)| Entry {
            at: Instant::now(),
            life: if at == 0 { 1 } else { 2 },
            seen,
        })
        .collect()
}

fn task(rerun_safe: Option<&str>) -> Change {
    Change::RunTask {
        name: "upgrade".into(),
        rerun_safe: rerun_safe.map(ToOwned::to_owned),
    }
}

fn act(change: Change, class: Class) -> Seen {
    Seen::Act {
        step: STEP.into(),
        change,
        class,
    }
}

fn stop() -> Seen {
    act(Change::StopService {}, Class::Convergent)
}

fn probe(answer: Answer) -> Seen {
    Seen::Probe {
        step: STEP.into(),
        change: Change::StopService {},
        answer,
    }
}

fn acted(how: &'static str) -> Seen {
    Seen::Acted {
        step: STEP.into(),
        how,
    }
}

fn concluded(kind: OutcomeKind, truth: Option<bool>) -> Seen {
    Seen::Concluded {
        step: STEP.into(),
        kind,
        truth,
    }
}

#[test]
fn what_is_sent_again_without_a_probe_that_said_absent_is_a_repeat() {
    assert_eq!(repeated(&entries(vec![stop(), stop()])).len(), 1);
    for answer in [
        Answer::Applied,
        Answer::InProgress,
        Answer::Partial,
        Answer::Indeterminate,
        Answer::Unreadable,
    ] {
        let found = repeated(&entries(vec![stop(), probe(answer), stop()]));
        assert_eq!(found.len(), 1, "{answer:?}");
    }
}

#[test]
fn an_absent_that_a_later_look_took_back_gives_no_right() {
    let found = repeated(&entries(vec![
        stop(),
        probe(Answer::Absent),
        probe(Answer::InProgress),
        stop(),
    ]));
    assert_eq!(found.len(), 1);
}

#[test]
fn what_a_person_decided_is_not_there_may_be_sent_again() {
    let decided = |step: &str| Seen::DecidedNotDone { step: step.into() };
    let sent_again = |seen| repeated(&entries(vec![stop(), acted("answered"), seen, stop()]));
    assert_eq!(sent_again(decided(STEP)), [""; 0]);
    assert_eq!(sent_again(decided("another")).len(), 1);
}

#[test]
fn what_is_absent_or_was_never_sent_may_be_sent_again() {
    assert_eq!(
        repeated(&entries(vec![stop(), probe(Answer::Absent), stop()])),
        [""; 0]
    );
    for how in ["refused", "not-sent"] {
        assert_eq!(
            repeated(&entries(vec![stop(), acted(how), stop()])),
            [""; 0],
            "{how}"
        );
    }
    let found = repeated(&entries(vec![stop(), acted("unanswered"), stop()]));
    assert_eq!(found.len(), 1);
}

#[test]
fn a_class_that_may_not_repeat_may_not_even_where_nothing_is_seen() {
    let once = || act(Change::StopService {}, Class::Opaque);
    assert_eq!(
        repeated(&entries(vec![once(), probe(Answer::Absent), once()])).len(),
        1
    );
}

#[test]
fn a_task_runs_again_only_where_the_plan_says_so_and_after_its_process_is_gone() {
    let again = |change: Change, answer| {
        repeated(&entries(vec![
            act(change.clone(), change.class()),
            probe(answer),
            act(change.clone(), change.class()),
        ]))
        .len()
    };
    assert_eq!(again(task(Some("it deletes")), Answer::Indeterminate), 0);
    assert_eq!(again(task(Some("it deletes")), Answer::Partial), 0);
    assert_eq!(again(task(Some("it deletes")), Answer::InProgress), 1);
    assert_eq!(again(task(None), Answer::Indeterminate), 1);
}

#[test]
fn a_conclusion_that_the_target_contradicts_is_a_guess() {
    let guess = |kind, truth| guessed(&entries(vec![stop(), concluded(kind, truth)])).len();
    assert_eq!(guess(OutcomeKind::AppliedOurs, Some(false)), 1);
    assert_eq!(guess(OutcomeKind::AppliedOurs, Some(true)), 0);
    assert_eq!(guess(OutcomeKind::AppliedOurs, None), 0);
    assert_eq!(guess(OutcomeKind::Refused, Some(true)), 1);
    assert_eq!(guess(OutcomeKind::NotSent, Some(true)), 1);
    assert_eq!(guess(OutcomeKind::Refused, Some(false)), 0);
}

#[test]
fn who_disowns_what_was_sent_guesses() {
    let ours = concluded(OutcomeKind::TrueNotOurs, Some(true));
    assert_eq!(guessed(&entries(vec![stop(), ours.clone()])).len(), 1);
    assert_eq!(
        guessed(&entries(vec![stop(), acted("not-sent"), ours.clone()])).len(),
        0
    );
    assert_eq!(guessed(&entries(vec![ours])).len(), 0);
}

#[test]
fn an_effect_that_came_more_often_or_from_nowhere_is_told() {
    let once = BTreeMap::from([("DELETE /a ".to_owned(), 1)]);
    let twice = BTreeMap::from([("DELETE /a ".to_owned(), 2)]);
    let other = BTreeMap::from([("DELETE /b ".to_owned(), 1)]);
    assert_eq!(more_than(&once, &once), [""; 0]);
    assert_eq!(more_than(&BTreeMap::new(), &once), [""; 0]);
    assert_eq!(more_than(&twice, &once).len(), 1);
    assert_eq!(more_than(&other, &once).len(), 1);
}

#[test]
fn two_states_differ_by_what_is_missing_too_much_or_another() {
    let expected = json!({"a": {"b": 1, "c": [1, 2]}, "at": "2026-11-21T09:00:18.246Z"});
    assert_eq!(differences(&expected, &expected), [""; 0]);
    let later = json!({"a": {"b": 1, "c": [1, 2]}, "at": "2026-11-21T09:00:19Z"});
    assert_eq!(differences(&expected, &later), [""; 0]);
    for (found, line) in [
        (
            json!({"a": {"c": [1, 2]}, "at": expected["at"]}),
            "`/a/b` is not there",
        ),
        (
            json!({"a": {"b": 1, "c": [1, 2], "d": 0}, "at": expected["at"]}),
            "`/a/d` is there and should not be",
        ),
        (
            json!({"a": {"b": 2, "c": [1, 2]}, "at": expected["at"]}),
            "`/a/b` is 2, it should be 1",
        ),
        (
            json!({"a": {"b": 1, "c": [1, 3]}, "at": expected["at"]}),
            "`/a/c/1` is 3, it should be 2",
        ),
        (
            json!({"a": {"b": 1, "c": [1]}, "at": expected["at"]}),
            "`/a/c` is [1], it should be [1,2]",
        ),
        (
            json!({"a": {"b": 1, "c": [1, 2]}, "at": "never"}),
            "`/at` is \"never\", it should be \"2026-11-21T09:00:18.246Z\"",
        ),
    ] {
        assert_eq!(differences(&expected, &found), [line]);
    }
}

#[test]
fn only_what_a_report_names_and_is_ours_is_taken_out() {
    let lines = || {
        vec![
            "`/indices/liftlock-trial-1` is there and should not be".to_owned(),
            "`/indices/optimize-alert_v4` is not there".to_owned(),
        ]
    };
    assert_eq!(unnamed(lines(), &[]), lines());
    let named = ["the index liftlock-trial-1 could not be removed".to_owned()];
    assert_eq!(unnamed(lines(), &named), lines()[1..]);
    let theirs = ["optimize-alert_v4 is gone".to_owned()];
    assert_eq!(unnamed(lines(), &theirs), lines());
    let records = vec!["`/indices/.tasks` is there and should not be".to_owned()];
    assert_eq!(unnamed(records.clone(), &[]), records);
    let named = ["index `.tasks` (503)".to_owned()];
    assert_eq!(unnamed(records, &named), [""; 0]);
}

#[test]
fn what_differs_from_run_to_run_is_left_out_and_nothing_else() {
    assert_eq!(VARYING.len(), VARIES.len(), "a pattern does not parse");
    for (text, without) in [
        ("at 2026-11-21T09:00:18.246Z.", "at DATE."),
        (
            r#"{"nonce":"a","pid":7,"pid_start":9,"state_dir":"x","by":"y"}"#,
            r#"{"nonce":0,"pid":0,"pid_start":0,"state_dir":0,"by":"y"}"#,
        ),
        (
            "optimize-before-8.8.0-r-sweep-take-1/_restore",
            "optimize-before-8.8.0-r-sweep-take-N/_restore",
        ),
        (
            "GET /_tasks/aaaaaaaaaaaaaaaaaaaaaa:41",
            "GET /_tasks/aaaaaaaaaaaaaaaaaaaaaa:N",
        ),
        (
            r#"{"newInstallationId":"0b9f","upsert":{"installationId":"0b9f"}}"#,
            r#"{"newInstallationId":0,"upsert":{"installationId":0}}"#,
        ),
        ("DELETE /optimize-alert_v4", "DELETE /optimize-alert_v4"),
    ] {
        assert_eq!(without_dates(text), without);
    }
}
