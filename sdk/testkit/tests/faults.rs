//! What the faults of the simulated cluster do to a client and to the cluster.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use liftlock_testkit::suite::Client;
use liftlock_testkit::{Fault, Method, Product, SimCluster};
use serde_json::{Value, json};

async fn site(nodes: usize) -> (SimCluster, Client) {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .nodes(nodes)
        .seed(7)
        .start()
        .await
        .unwrap();
    let settings = json!({"settings": {"number_of_replicas": nodes - 1}});
    for index in ["a-1", "a-2", "b-1"] {
        assert_eq!(
            sim.call("PUT", &format!("/{index}"), &settings.to_string())
                .0,
            200
        );
    }
    let client = Client::new(&sim.url());
    (sim, client)
}

fn exists(sim: &SimCluster, index: &str) -> bool {
    sim.call("HEAD", &format!("/{index}"), "").0 == 200
}

#[tokio::test]
async fn a_request_dropped_before_has_no_effect_and_one_dropped_after_has() {
    let (sim, client) = site(1).await;
    sim.fault(Fault::nth(1).matching(Method::DELETE, "/a-*").drop_before());
    sim.fault(Fault::nth(2).matching(Method::DELETE, "/a-*").drop_after());
    assert!(client.ask("DELETE", "/a-1", Value::Null).await.is_err());
    assert!(exists(&sim, "a-1"));
    assert!(client.ask("DELETE", "/a-2", Value::Null).await.is_err());
    assert!(!exists(&sim, "a-2"));
    assert_eq!(
        client
            .ask("DELETE", "/b-1", Value::Null)
            .await
            .unwrap()
            .status,
        200
    );
    let records = sim.records();
    let seen: Vec<(String, Option<u16>, bool)> = records
        .iter()
        .map(|r| (r.line(), r.status, r.applied))
        .collect();
    assert_eq!(
        seen,
        [
            ("DELETE /a-1".to_owned(), None, false),
            ("DELETE /a-2".to_owned(), None, true),
            ("DELETE /b-1".to_owned(), Some(200), true),
        ]
    );
}

#[tokio::test]
async fn a_lie_is_acknowledged_and_changes_nothing() {
    let (sim, client) = site(1).await;
    sim.fault(Fault::nth(1).matching(Method::DELETE, "/a-1").lie_200());
    let answer = client.ask("DELETE", "/a-1", Value::Null).await.unwrap();
    assert_eq!(
        (answer.status, answer.body),
        (200, json!({"acknowledged": true}))
    );
    assert!(exists(&sim, "a-1"));
}

#[tokio::test]
async fn a_status_fault_answers_as_told_and_only_as_often_as_told() {
    let (sim, client) = site(1).await;
    let body = json!({"error": {"type": "snapshot_in_progress_exception"}, "status": 429});
    sim.fault(
        Fault::range(1, 2)
            .matching(Method::DELETE, "/a-1")
            .status(429, body.clone()),
    );
    for _ in 0..2 {
        let answer = client.ask("DELETE", "/a-1", Value::Null).await.unwrap();
        assert_eq!((answer.status, &answer.body), (429, &body));
    }
    assert_eq!(
        client
            .ask("DELETE", "/a-1", Value::Null)
            .await
            .unwrap()
            .status,
        200
    );
}

#[tokio::test]
async fn a_late_delivery_has_its_effect_when_released() {
    let (sim, client) = site(1).await;
    sim.fault(
        Fault::nth(1)
            .matching(Method::DELETE, "/a-1")
            .deliver_when_released(),
    );
    assert!(client.ask("DELETE", "/a-1", Value::Null).await.is_err());
    assert!(exists(&sim, "a-1"));
    assert_eq!(sim.late_count(), 1);
    assert_eq!(sim.release_late(), 1);
    assert!(!exists(&sim, "a-1"));
    assert!(sim.records()[0].applied);
}

#[tokio::test]
async fn a_timed_late_delivery_has_its_effect_by_itself() {
    let (sim, client) = site(1).await;
    sim.fault(
        Fault::nth(1)
            .matching(Method::DELETE, "/a-1")
            .deliver_late(30),
    );
    assert!(client.ask("DELETE", "/a-1", Value::Null).await.is_err());
    let arrived = async {
        while exists(&sim, "a-1") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), arrived)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_slow_answer_comes_after_its_delay() {
    let (sim, client) = site(1).await;
    sim.fault(Fault::nth(1).path("/").slow(50));
    let begun = std::time::Instant::now();
    assert_eq!(
        client.ask("GET", "/", Value::Null).await.unwrap().status,
        200
    );
    assert!(begun.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn a_full_disk_blocks_writes_until_space_is_back() {
    let (sim, client) = site(1).await;
    sim.fault(
        Fault::nth(1)
            .matching(Method::PUT, "/a-1/_doc/1")
            .disk_full(),
    );
    let answer = client.ask("PUT", "/a-1/_doc/1", json!({})).await.unwrap();
    assert_eq!(answer.status, 429);
    assert!(answer.reason().contains("flood-stage"), "{}", answer.body);
    sim.set_disk(0, 100 << 30, 50 << 30).unwrap();
    assert_eq!(
        client
            .ask("PUT", "/a-1/_doc/1", json!({}))
            .await
            .unwrap()
            .status,
        201
    );
}

#[tokio::test]
async fn a_lost_task_leaves_no_record() {
    let (sim, client) = site(1).await;
    for id in 0..5 {
        sim.call("PUT", &format!("/a-1/_doc/{id}?refresh=true"), "{\"x\":1}");
    }
    let body = json!({"source": {"index": "a-1", "size": 1}, "dest": {"index": "copy"}});
    let path = "/_reindex?wait_for_completion=false&requests_per_second=1";
    let task = client.ask("POST", path, body).await.unwrap().body["task"]
        .as_str()
        .unwrap()
        .to_owned();
    let look = format!("/_tasks/{task}");
    assert_eq!(
        client.ask("GET", &look, Value::Null).await.unwrap().body["completed"],
        json!(false)
    );
    sim.fault(Fault::nth(1).path(&look).task_lost());
    let answer = client.ask("GET", &look, Value::Null).await.unwrap();
    assert_eq!(
        (answer.status, answer.error_type()),
        (404, "resource_not_found_exception")
    );
    assert!(
        sim.call("GET", "/copy/_count", "").1["count"]
            .as_u64()
            .unwrap()
            < 5
    );
}

#[tokio::test]
async fn a_node_that_is_gone_refuses_connections_and_the_others_go_on() {
    let (sim, client) = site(3).await;
    let urls = sim.urls();
    sim.stop_node(0).await.unwrap();
    assert!(client.ask("GET", "/", Value::Null).await.is_err());
    let other = Client::new(&urls[1]);
    let health = other
        .ask("GET", "/_cluster/health", Value::Null)
        .await
        .unwrap()
        .body;
    assert_eq!(
        (&health["status"], &health["number_of_nodes"]),
        (&json!("yellow"), &json!(2))
    );
    assert_eq!(
        other
            .ask("PUT", "/a-1/_doc/1", json!({}))
            .await
            .unwrap()
            .status,
        201
    );
    sim.start_node(0).await.unwrap();
    assert_eq!(
        client
            .ask("GET", "/a-1/_doc/1", Value::Null)
            .await
            .unwrap()
            .status,
        200
    );
    assert_eq!(
        client
            .ask("GET", "/_cluster/health", Value::Null)
            .await
            .unwrap()
            .body["status"],
        json!("green")
    );
}

#[tokio::test]
async fn without_a_majority_there_is_no_manager() {
    let (sim, _) = site(3).await;
    let urls = sim.urls();
    sim.stop_node(0).await.unwrap();
    sim.stop_node(1).await.unwrap();
    let last = Client::new(&urls[2]);
    let answer = last.ask("PUT", "/new", json!({})).await.unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(last.ask("GET", "/", Value::Null).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_node_can_leave_at_a_chosen_request() {
    let (sim, client) = site(3).await;
    sim.fault(Fault::nth(2).method(Method::GET).node_gone(0));
    assert_eq!(
        client
            .ask("GET", "/a-1/_count", Value::Null)
            .await
            .unwrap()
            .status,
        200
    );
    assert!(client.ask("GET", "/a-1/_count", Value::Null).await.is_err());
    let other = Client::new(&sim.urls()[1]);
    assert_eq!(
        other
            .ask("GET", "/a-1/_count", Value::Null)
            .await
            .unwrap()
            .status,
        200
    );
}

#[tokio::test]
async fn a_shard_failure_is_told_beside_the_other_hits() {
    let (sim, client) = site(1).await;
    sim.call(
        "PUT",
        "/many",
        "{\"settings\":{\"number_of_shards\":2,\"number_of_replicas\":0}}",
    );
    for id in 0..20 {
        sim.call("PUT", &format!("/many/_doc/{id}?refresh=true"), "{\"x\":1}");
    }
    sim.fault(Fault::nth(1).path("/many/_count").shard_failure());
    let body = client
        .ask("GET", "/many/_count", Value::Null)
        .await
        .unwrap()
        .body;
    assert_eq!(body["_shards"]["failed"], json!(1));
    assert!(body["count"].as_u64().unwrap() < 20);
    let body = client
        .ask("GET", "/many/_count", Value::Null)
        .await
        .unwrap()
        .body;
    assert_eq!(body["count"], json!(20));
}
