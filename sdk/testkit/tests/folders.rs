//! Two simulated clusters on one shared file system.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use liftlock_testkit::{Product, SimCluster};
use serde_json::{Value, json};

const REGISTERED: &str = r#"{"type":"fs","settings":{"location":"/snapshots/shared"}}"#;

fn call(sim: &SimCluster, method: &str, path: &str, body: &str) -> Value {
    let (status, answer) = sim.call(method, path, body);
    assert!(status < 300, "{method} {path}: {status} {answer}");
    answer
}

async fn pair() -> [SimCluster; 2] {
    let first = SimCluster::builder(Product::Elasticsearch8);
    let first = first.start().await.unwrap();
    let second = SimCluster::builder(Product::Elasticsearch8).seed(1);
    let second = second.folders_of(&first).start().await.unwrap();
    for sim in [&first, &second] {
        call(sim, "PUT", "/_snapshot/r", REGISTERED);
    }
    call(&first, "PUT", "/logs/_doc/1?refresh=true", r#"{"a":1}"#);
    [first, second]
}

#[tokio::test]
async fn what_one_takes_the_other_finds_once_it_is_finished() {
    let [first, second] = pair().await;
    call(&first, "PUT", "/_snapshot/r/s", "");
    assert_eq!(second.call("GET", "/_snapshot/r/s", "").0, 404);
    // Nor does its time go by with what the other is asked.
    second.advance_ms(60_000);
    second.advance_ms(60_000);
    let running = call(&first, "GET", "/_snapshot/r/s", "");
    assert_eq!(running["snapshots"][0]["state"], "IN_PROGRESS");
    first.advance_ms(60_000);
    let finished = call(&second, "GET", "/_snapshot/r/s", "");
    assert_eq!(finished["snapshots"][0]["state"], "SUCCESS");
    call(&second, "POST", "/_snapshot/r/s/_restore", "");
    let (_, document) = second.call("GET", "/logs/_doc/1", "");
    assert_eq!(document["_source"], json!({"a": 1}));
}

#[tokio::test]
async fn a_cluster_that_is_rewound_takes_its_folders_back_with_it() {
    let [first, second] = pair().await;
    let before = first.snapshot_state();
    call(&first, "PUT", "/_snapshot/r/s?wait_for_completion=true", "");
    assert_eq!(second.call("GET", "/_snapshot/r/s", "").0, 200);
    first.restore_state(&before);
    assert_eq!(first.call("GET", "/_snapshot/r/s", "").0, 404);
    assert_eq!(second.call("GET", "/_snapshot/r/s", "").0, 404);
    call(&first, "PUT", "/_snapshot/r/s?wait_for_completion=true", "");
    assert_eq!(second.call("GET", "/_snapshot/r/s", "").0, 200);
}
