//! Documents that a plugin changes.

use std::time::Instant;

use liftlock_sandbox::{Engine, FaultKind, Limit, SandboxConfig};
use liftlock_types::{ToTransform, TransformError, Transformer};

use crate::common::{limit, plugin, small_guest};

fn batch(sources: &[&str]) -> Vec<ToTransform> {
    let one = |(n, source): (usize, &&str)| ToTransform {
        id: format!("id {n}"),
        source: (*source).to_owned(),
    };
    sources.iter().enumerate().map(one).collect()
}

#[tokio::test]
async fn each_document_comes_back_changed_and_in_its_place() {
    let batch = batch(&[r#"{"n":1.50}"#, "{}"]);
    let made = plugin().transform("mark", &batch).await.unwrap();
    let made: Vec<_> = made
        .iter()
        .map(|made| made.as_ref().unwrap().as_str())
        .collect();
    assert_eq!(made, [r#"{"n":1.50,"marked":true}"#, r#"{"marked":true}"#]);
}

#[tokio::test]
async fn a_document_that_it_rejects_is_told_with_its_reason() {
    let batch = batch(&["{}", r#"{"reject":1}"#]);
    let made = plugin().transform("reject", &batch).await.unwrap();
    assert!(made[0].is_ok());
    let why = made[1].as_ref().unwrap_err();
    assert!(why.starts_with("not this one"), "{why}");
    // It goes to terminals.
    assert!(!why.chars().any(char::is_control), "{why}");
}

#[tokio::test]
async fn what_is_no_json_object_is_a_document_that_it_rejects() {
    for (name, why) in [("no-json", "no JSON"), ("no-object", "no object")] {
        let made = plugin().transform(name, &batch(&["{}"])).await.unwrap();
        let told = made[0].as_ref().unwrap_err();
        assert!(told.contains(why), "{told}");
    }
}

#[tokio::test]
async fn another_number_of_documents_or_another_id_is_no_answer() {
    for name in ["one-less", "one-more", "other-id"] {
        let batch = batch(&["{}", "{}"]);
        let fault = plugin().transform(name, &batch).await.unwrap_err();
        assert!(
            matches!(*fault.what, FaultKind::Contract(_)),
            "{name}: {fault}"
        );
        let answer = Transformer::transform(&plugin(), name, &batch).await;
        assert!(matches!(answer, Err(TransformError::Broken(_))), "{name}");
    }
}

#[tokio::test]
async fn a_document_that_it_cannot_bear_ends_this_call_alone() {
    for name in ["trap", "loop", "allocate", "huge"] {
        let poisoned = [r#"{"poison":1}"#; 20];
        let begun = Instant::now();
        let fault = plugin()
            .transform(name, &batch(&poisoned))
            .await
            .unwrap_err();
        let hit = limit(&fault);
        match name {
            "loop" => {
                assert_eq!(hit, Some(Limit::CpuMs), "{fault}");
                // Not what a call that plans may take.
                assert!(begun.elapsed().as_secs() < 25, "{:?}", begun.elapsed());
            }
            "allocate" => assert!(
                hit.is_some() || matches!(*fault.what, FaultKind::Trap(_)),
                "{fault}"
            ),
            "huge" => assert_eq!(hit, Some(Limit::CrossingBytes), "{fault}"),
            _ => assert!(matches!(*fault.what, FaultKind::Trap(_)), "{fault}"),
        }
        let answer = Transformer::transform(&plugin(), name, &batch(&poisoned[..1])).await;
        match name {
            // One alone fits.
            "huge" => assert!(answer.is_ok()),
            _ => assert!(matches!(answer, Err(TransformError::Failed(_))), "{name}"),
        }
        let made = plugin().transform(name, &batch(&["{}"])).await.unwrap();
        assert!(made[0].is_ok());
    }
}

#[tokio::test]
async fn nothing_around_it_makes_a_difference() {
    let batch = batch(&["{}", "{}"]);
    let first = plugin().transform("surroundings", &batch).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let again = plugin().transform("surroundings", &batch).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(first[0], first[1]);
}

#[tokio::test]
async fn a_plugin_without_the_export_cannot_be_asked() {
    let plugin = Engine::new(SandboxConfig::default())
        .unwrap()
        .load(&small_guest())
        .unwrap();
    let fault = plugin.transform("mark", &batch(&["{}"])).await.unwrap_err();
    assert!(matches!(*fault.what, FaultKind::Contract(_)), "{fault}");
}

/// Why each batch has an instance of its own: what it costs, beside a batch through it.
#[tokio::test]
async fn an_instance_costs_little_beside_a_batch() {
    let text = format!("{{\"x\":\"{}\"}}", "y".repeat(1_500));
    let batch = batch(&vec![text.as_str(); 1_000]);
    let plugin = plugin();
    let mut empty = std::time::Duration::MAX;
    let mut full = std::time::Duration::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        plugin.transform("identity", &[]).await.unwrap();
        empty = empty.min(begun.elapsed());
        let begun = Instant::now();
        plugin.transform("identity", &batch).await.unwrap();
        full = full.min(begun.elapsed());
    }
    eprintln!("instance {empty:?}, instance and 1,000 documents of 1.5 KB {full:?}");
    assert!(empty * 2 < full, "{empty:?} of {full:?}");
}
