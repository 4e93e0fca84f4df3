//! Same seed and same requests: same cluster. A kept state can be gone back to.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use liftlock_testkit::suite::Client;
use liftlock_testkit::{Product, SimCluster};
use serde_json::{Value, json};

async fn run(seed: u64) -> SimCluster {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .nodes(3)
        .seed(seed)
        .start()
        .await
        .unwrap();
    let client = Client::new(&sim.url());
    client
        .ask("PUT", "/a", json!({"aliases": {"x": {}}}))
        .await
        .unwrap();
    for id in 0..10 {
        client
            .ask("PUT", &format!("/a/_doc/{id}"), json!({"n": id}))
            .await
            .unwrap();
    }
    client
        .ask("POST", "/a/_refresh", Value::Null)
        .await
        .unwrap();
    let body = json!({"source": {"index": "a"}, "dest": {"index": "b"}});
    client
        .ask("POST", "/_reindex?wait_for_completion=false", body)
        .await
        .unwrap();
    client.ask("GET", "/_tasks", Value::Null).await.unwrap();
    client
        .ask("POST", "/a/_doc", json!({"n": 99}))
        .await
        .unwrap();
    sim
}

#[tokio::test]
async fn the_same_seed_and_requests_give_the_same_cluster() {
    let (one, two, other) = (run(7).await, run(7).await, run(8).await);
    assert_eq!(one.full_state_json(), two.full_state_json());
    assert_ne!(one.full_state_json(), other.full_state_json());
    assert_eq!(one.identity_uuid(), two.identity_uuid());
}

#[tokio::test]
async fn the_comparable_state_ignores_uuids_and_times() {
    let build = |detour: bool| async move {
        let sim = SimCluster::builder(Product::OpenSearch2)
            .start()
            .await
            .unwrap();
        if detour {
            sim.call("PUT", "/a", "{}");
            sim.call("PUT", "/a/_doc/1", "{\"n\":0}");
            sim.call("DELETE", "/a", "");
        }
        sim.call("PUT", "/a", "{}");
        sim.call("PUT", "/a/_doc/1", "{\"n\":1}");
        sim
    };
    let (straight, detour) = (build(false).await, build(true).await);
    assert_eq!(straight.state_json(), detour.state_json());
    assert_ne!(straight.full_state_json(), detour.full_state_json());
    straight.call("PUT", "/a/_doc/1", "{\"n\":2}");
    assert_ne!(straight.state_json(), detour.state_json());
}

#[tokio::test]
async fn a_kept_state_is_gone_back_to_whole() {
    let sim = run(3).await;
    let (before, saved) = (sim.full_state_json(), sim.snapshot_state());
    sim.call("DELETE", "/a", "");
    sim.call("PUT", "/_component_template/claim", "{\"template\":{}}");
    sim.advance_ms(5_000);
    assert_ne!(sim.full_state_json(), before);
    sim.restore_state(&saved);
    assert_eq!(sim.full_state_json(), before);
}

#[tokio::test]
async fn time_moves_with_requests_and_when_told() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .tick_ms(10)
        .start()
        .await
        .unwrap();
    let begun = sim.now_ms();
    sim.call("PUT", "/a", "{}");
    sim.call("PUT", "/a/_doc/1", "{}");
    assert_eq!(sim.now_ms() - begun, 20);
    assert_eq!(sim.call("GET", "/a/_count", "").1["count"], json!(0));
    sim.advance_ms(1_000);
    assert_eq!(sim.call("GET", "/a/_count", "").1["count"], json!(1));
}

#[tokio::test]
async fn a_mixed_cluster_tells_each_nodes_own_version() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .nodes(2)
        .node_version(1, "2.18.0")
        .start()
        .await
        .unwrap();
    let mut versions = Vec::new();
    for url in sim.urls() {
        let body = Client::new(&url)
            .ask("GET", "/", Value::Null)
            .await
            .unwrap()
            .body;
        versions.push(body["version"]["number"].as_str().unwrap().to_owned());
    }
    assert_eq!(versions, ["2.19.1", "2.18.0"]);
}

#[tokio::test]
async fn credentials_are_asked_for_when_set() {
    let sim = SimCluster::builder(Product::Elasticsearch8)
        .basic_auth("elastic", "secret")
        .start()
        .await
        .unwrap();
    let client = Client::new(&sim.url());
    let answer = client.ask("GET", "/", Value::Null).await.unwrap();
    assert_eq!(
        (answer.status, answer.error_type()),
        (401, "security_exception")
    );
    let headers = [("authorization", "Basic ZWxhc3RpYzpzZWNyZXQ=")];
    assert_eq!(
        client
            .send("GET", "/", &headers, String::new())
            .await
            .unwrap()
            .status,
        200
    );
}

#[tokio::test]
async fn the_deprecation_api_is_there_when_it_was_given_an_answer() {
    let sim = SimCluster::builder(Product::Elasticsearch8)
        .start()
        .await
        .unwrap();
    assert!(matches!(
        sim.call("GET", "/_migration/deprecations", "").0,
        400 | 405
    ));
    let answer = json!({"cluster_settings": [], "index_settings": {}});
    sim.set_deprecations(Some(answer.clone()));
    assert_eq!(
        sim.call("GET", "/_migration/deprecations", ""),
        (200, answer)
    );
}

#[tokio::test]
async fn a_running_snapshot_keeps_its_indices_from_being_deleted() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .snapshot_requests(3)
        .start()
        .await
        .unwrap();
    sim.call("PUT", "/a", "{}");
    sim.call(
        "PUT",
        "/_snapshot/r",
        "{\"type\":\"fs\",\"settings\":{\"location\":\"r\"}}",
    );
    assert_eq!(
        sim.call("PUT", "/_snapshot/r/s", "{\"indices\":\"a\"}").0,
        200
    );
    let (status, body) = sim.call("DELETE", "/a", "");
    assert_eq!(
        (status, body["error"]["type"].as_str()),
        (400, Some("snapshot_in_progress_exception"))
    );
    let state =
        |sim: &SimCluster| sim.call("GET", "/_snapshot/r/s", "").1["snapshots"][0]["state"].clone();
    assert_eq!(state(&sim), json!("IN_PROGRESS"));
    assert_eq!(state(&sim), json!("SUCCESS"));
    assert_eq!(sim.call("DELETE", "/a", "").0, 200);
}
