//! What an expression of names means, and which aliases a new index may bring.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use liftlock_testkit::{Product, SimCluster};
use serde_json::Value;

async fn with(indices: &[&str]) -> SimCluster {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .start()
        .await
        .unwrap();
    for index in indices {
        assert_eq!(sim.call("PUT", &format!("/{index}"), "{}").0, 200);
    }
    sim
}

fn meant(sim: &SimCluster, expression: &str) -> Vec<String> {
    let (status, body) = sim.call("GET", &format!("/{expression}/_settings"), "");
    assert_eq!(status, 200, "{body}");
    body.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn a_name_is_meant_once_however_often_it_is_said() {
    let sim = with(&["a-1", "a-2", "b-1"]).await;
    assert_eq!(meant(&sim, "a-2,a-*,a-1"), ["a-2", "a-1"]);
    assert_eq!(meant(&sim, "*,-a-*"), ["b-1"]);
    // What was left out can be named again.
    assert_eq!(meant(&sim, "*,-a-*,a-1"), ["b-1", "a-1"]);
    assert_eq!(meant(&sim, "*,-a-*,*"), ["b-1", "a-1", "a-2"]);
}

#[tokio::test]
async fn an_alias_has_one_write_index_whoever_brings_the_second() {
    let sim = with(&[]).await;
    let writing = r#"{"aliases":{"w":{"is_write_index":true}}}"#;
    assert_eq!(sim.call("PUT", "/a", writing).0, 200);
    let (status, body) = sim.call("PUT", "/b", writing);
    assert_eq!(status, 500);
    assert_eq!(
        body["error"]["reason"],
        Value::from("alias [w] has more than one write index [a,b]")
    );
    assert_eq!(sim.call("HEAD", "/b", "").0, 404);
    let reading = r#"{"aliases":{"w":{"is_write_index":false}}}"#;
    assert_eq!(sim.call("PUT", "/c", reading).0, 200);
    let second = r#"{"actions":[{"add":{"index":"c","alias":"w","is_write_index":true}}]}"#;
    assert_eq!(sim.call("POST", "/_aliases", second).0, 500);
}
