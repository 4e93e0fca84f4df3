//! Conditions that a plugin is asked.

use liftlock_sandbox::{Asked, Engine, FaultKind, SandboxConfig};
use liftlock_types::{Json, ReadError};
use serde_json::json;

use crate::common::{call, plugin, small_guest};

fn asked(name: &str, last: Option<&str>) -> Asked {
    Asked {
        name: name.into(),
        input: Json::new(r#"{"a":1.50}"#).unwrap(),
        last: last.map(|text| Json::new(text).unwrap()),
    }
}

#[tokio::test]
async fn a_plugin_is_given_its_own_input_and_what_it_saw_last() {
    let look = async |last| {
        let called = plugin().observe(&call(&[]), &asked("echo", last)).await;
        called.unwrap().value.unwrap()
    };
    let first = look(None).await;
    assert!(!first.holds);
    assert_eq!(first.seen["last"], json!(null));
    assert_eq!(first.seen["input"], json!({"a": 1.5}));
    // Its text goes to terminals.
    assert!(!first.why.chars().any(char::is_control), "{}", first.why);
    let again = look(Some(&first.seen.to_string())).await;
    assert_eq!(again.seen["last"]["input"], json!({"a": 1.5}));
}

#[tokio::test]
async fn it_reads_under_its_grant() {
    let called = plugin().observe(&call(&[]), &asked("denied", None)).await;
    let error = called.unwrap().value.unwrap_err();
    assert!(matches!(error, ReadError::Denied { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_none_is_a_fault() {
    for name in ["no-json", "panics"] {
        let fault = plugin()
            .observe(&call(&[]), &asked(name, None))
            .await
            .unwrap_err();
        assert_eq!(fault.export.as_str(), "observe");
    }
}

#[tokio::test]
async fn a_plugin_without_the_export_cannot_be_asked() {
    let plugin = Engine::new(SandboxConfig::default())
        .unwrap()
        .load(&small_guest())
        .unwrap();
    let fault = plugin
        .observe(&call(&[]), &asked("echo", None))
        .await
        .unwrap_err();
    assert!(
        matches!(*fault.what, FaultKind::Contract(_)),
        "{:?}",
        fault.what
    );
}
