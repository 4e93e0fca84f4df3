//! Servers of a load balancer: what a guest sees of them, and what it can propose.

use std::sync::Arc;

use liftlock_sandbox::{Call, Called};
use liftlock_types::facts::traffic::Administrative;
use liftlock_types::{Body, Change, GrantedBinding, GrantedVerb, Predicate, Proposal, Scope, Verb};
use serde_json::json;

use crate::common::{Table, binding, call_on, plugin, read};

/// Asks this of a balancer on which `a-be/n*` except `a-be/n9` is granted.
fn asking(what: &str, fields: &[(&str, &str)]) -> Call {
    let server = |name: &str| {
        json!({
            "backend": "a-be", "name": name, "address": "127.0.0.1:1", "administrative": "drain",
            "up": true, "serving": false, "current": 2, "queued": null, "total": 7, "weight": 1,
            "sticky": true, "more": [["status", "DRAIN"]],
        })
    };
    let table = Table::new();
    let all = read(json!({"read": "traffic-servers", "backend": "a-be", "server": null}));
    table.set(
        "traffic.front",
        &all,
        Ok(json!([server("n1"), server("n9")])),
    );
    let mut options = vec![("do", "ask"), ("call", what), ("on", "traffic.front")];
    options.extend(fields);
    let mut call = call_on(&options, Arc::new(table));
    let verb = |verb: &str, scope: &str| GrantedVerb {
        verb: Verb::new(verb).unwrap(),
        scope: vec![Scope::new(scope).unwrap()],
        except: vec![Scope::new("a-be/n9").unwrap()],
        at_most: None,
    };
    let front = binding("traffic.front");
    call.site.bindings.insert(front.clone(), "HAProxy".into());
    call.site.grant.bindings.push(GrantedBinding {
        binding: front,
        identity: "u".into(),
        verbs: vec![
            verb("traffic.read", "a-be/*"),
            verb("traffic.set-state", "a-be/n*"),
        ],
    });
    call
}

async fn asked(what: &str, fields: &[(&str, &str)]) -> Called<Proposal> {
    let called = plugin().plan(&asking(what, fields)).await.unwrap();
    Called {
        value: called.value.unwrap(),
        reads: called.reads,
        denials: called.denials,
        log: called.log,
        peak_memory_bytes: called.peak_memory_bytes,
        ms: called.ms,
    }
}

const N1: [(&str, &str); 2] = [("backend", "a-be"), ("server", "n1")];

#[tokio::test]
async fn a_server_that_the_grant_takes_away_is_not_even_seen() {
    let called = asked("traffic.servers", &[("backend", "a-be")]).await;
    let seen = &called.value.summary[0];
    assert!(seen.starts_with("ok: ") && seen.contains("n1"), "{seen}");
    let recorded = serde_json::to_string(&called.reads[0].1.as_ref().unwrap()).unwrap();
    assert!(recorded.contains("\"n1\""), "{recorded}");
    assert!(!recorded.contains("n9"), "{recorded}");
}

#[tokio::test]
async fn a_proposed_state_and_its_conditions_are_the_hosts_own() {
    let called = asked("traffic-changes.set-state", &N1).await;
    let Body::Change(planned) = &called.value.steps[0].body else {
        panic!("no change");
    };
    assert_eq!(planned.change.names(), ["a-be/n1"]);
    assert!(matches!(
        planned.change,
        Change::SetServerState {
            to: Administrative::Drain,
            ..
        }
    ));
    for (what, predicate) in [
        (
            "traffic-changes.idle",
            Predicate::ServerIdle {
                backend: "a-be".into(),
                server: "n1".into(),
            },
        ),
        (
            "traffic-changes.in-state",
            Predicate::ServerInState {
                backend: "a-be".into(),
                server: "n1".into(),
                administrative: Administrative::Drain,
            },
        ),
    ] {
        let called = asked(what, &N1).await;
        assert_eq!(called.value.steps[0].ends_when[0].predicate, predicate);
    }
}

#[tokio::test]
async fn what_is_outside_the_grant_is_denied_and_what_is_no_name_is_invalid() {
    for (what, fields, answer) in [
        (
            "traffic-changes.set-state",
            [("backend", "a-be"), ("server", "n9")],
            "denied: ",
        ),
        (
            "traffic-changes.set-state",
            [("backend", "b-be"), ("server", "n1")],
            "denied: ",
        ),
        ("traffic-changes.set-weight", N1, "denied: "),
        (
            "traffic-changes.idle",
            [("backend", "a-be"), ("server", "n9")],
            "denied: ",
        ),
        (
            "traffic-changes.set-state",
            [("backend", "a-be"), ("server", "n1;show info")],
            "invalid: ",
        ),
        (
            "traffic.servers",
            [("backend", "a-be;x"), ("server", "")],
            "denied: ",
        ),
    ] {
        let called = asked(what, &fields).await;
        let said = &called.value.summary[0];
        assert!(said.starts_with(answer), "{what} {fields:?}: {said}");
        assert!(called.reads.iter().all(|(_, read)| read.is_err()));
    }
}
