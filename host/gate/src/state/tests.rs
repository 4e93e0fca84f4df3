//! What a run's rows make of its state.

use liftlock_journal::Hash;
use liftlock_types::event::Captured;
use liftlock_types::{Change, Facts, Read, Reading};
use serde_json::json;

use super::*;

fn row(state: &RunState, step: &str, event: &Event) -> Row {
    Row {
        seq: state.rows + 1,
        run: "r-1".into(),
        step: Some(step.into()),
        attempt: 1,
        kind: event.kind().into(),
        body: serde_json::to_string(event).unwrap(),
        at_ms: 0,
        prev: Hash::GENESIS,
        hash: Hash::GENESIS,
    }
}

fn capture(state: &mut RunState, name: &str) {
    let reading = Reading {
        binding: Binding::new("cluster.new").unwrap(),
        read: Read::Health,
    };
    let answers = vec![Captured {
        reading,
        answer: Ok(json!("green")),
    }];
    let name_of = name.to_owned();
    let event = Event::Captured {
        name: name_of,
        answers,
    };
    state.apply(&row(state, name, &event)).unwrap();
}

/// The intent of a step that fills another cluster.
fn restore() -> Event {
    let change = Change::RestoreInto {
        taken_by: StepId::new("take").unwrap(),
        indices: vec!["a*".into()],
        except: Vec::new(),
        replicas: None,
    };
    Event::Intent(Intent {
        epoch: 1,
        binding: Binding::new("snapshot.new").unwrap(),
        change_hash: Digest::of(b"change"),
        class: change.class(),
        change,
        token: "t".into(),
        facts: Facts::new(),
        kept: Value::Null,
        borrowed: None,
        deadline_ms: 1,
    })
}

#[test]
fn what_is_kept_after_another_cluster_was_filled_is_no_state_of_before() {
    let mut state = RunState::new("r-1");
    state.rows = 1;
    capture(&mut state, "old");
    let row = row(&state, "fill", &restore());
    state.apply(&row).unwrap();
    capture(&mut state, "new");
    assert_eq!(state.captured_before, ["old"]);
}

#[test]
fn what_a_step_has_made_is_known_by_its_facts() {
    let mut state = RunState::new("r-1");
    state.rows = 1;
    let fill = StepId::new("fill").unwrap();
    let intended = row(&state, "fill", &restore());
    state.apply(&intended).unwrap();
    assert_eq!(state.step(&fill).indices().count(), 0);
    let facts = [
        "index/&a.b/uuid",
        "index/&a.b/docs",
        "snapshot/s/uuid",
        "index/&c.d/uuid",
    ];
    let outcome = Event::Outcome(Outcome {
        binding: Binding::new("snapshot.new").unwrap(),
        kind: OutcomeKind::AppliedOurs,
        evidence: Value::Null,
        facts_after: facts.map(|key| (key.to_owned(), json!("u"))).into(),
        accounted: true,
        why: String::new(),
    });
    let done = row(&state, "fill", &outcome);
    state.apply(&done).unwrap();
    let step = state.step(&fill);
    assert_eq!(step.indices().collect::<Vec<_>>(), ["&a.b", "&c.d"]);
}
