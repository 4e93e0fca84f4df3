//! The servers that an upgrade of a cluster begins at or ends with, and clusters of three nodes. They take long, so this
//! is a test of its own: `cargo test -p liftlock-lab --test neighbours -- --test-threads 1`.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::print_stdout,
    reason = "measured times are for whoever runs the test"
)]

use liftlock_lab::HttpTarget;
use liftlock_lab::LabError;
use liftlock_lab::NodeSpec;
use liftlock_lab::SearchCluster;
use liftlock_lab::Server;
use liftlock_lab::ServerKind;
use serde_json::Value;
use serde_json::json;

use tokio::sync::Mutex;

/// Two cores are few for four servers that start at the same time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Documents in each index of a cluster.
const DOCUMENTS: usize = 200;

async fn keeps_its_data(kind: ServerKind) {
    let _turn = ONE_AT_A_TIME.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(kind, dir.path()).await.unwrap();
    let cold = server.start_ms();
    let document = json!({ "kept": true });
    let target = server.target();
    target.put("/a/_doc/1", &document).await.unwrap();
    server.restart().await.unwrap();
    let found = server.target().get("/a/_doc/1").await.unwrap();
    assert_eq!(found["_source"], document);
    println!(
        "{kind} {} started in {cold} ms, on its data in {} ms",
        kind.version(),
        server.start_ms()
    );
    server.stop().await;
}

#[tokio::test]
async fn opensearch_1_keeps_its_data() {
    keeps_its_data(ServerKind::OpenSearch1).await;
}

#[tokio::test]
async fn opensearch_2_11_keeps_its_data() {
    keeps_its_data(ServerKind::OpenSearch211).await;
}

#[tokio::test]
async fn elasticsearch_7_10_keeps_its_data() {
    keeps_its_data(ServerKind::Elasticsearch710).await;
}

#[tokio::test]
async fn elasticsearch_7_keeps_its_data() {
    keeps_its_data(ServerKind::Elasticsearch7).await;
}

#[tokio::test]
async fn elasticsearch_9_keeps_its_data() {
    keeps_its_data(ServerKind::Elasticsearch9).await;
}

async fn fill(target: &HttpTarget, index: &str, replicas: u32) {
    let settings = json!({ "settings": { "number_of_shards": 3, "number_of_replicas": replicas } });
    target.put(&format!("/{index}"), &settings).await.unwrap();
    let lines: String = (0..DOCUMENTS)
        .map(|id| format!("{{\"index\":{{\"_id\":\"{id}\"}}}}\n{{\"n\":{id}}}\n"))
        .collect();
    let path = format!("/{index}/_bulk?refresh=true");
    target.bulk(&path, lines).await.unwrap();
}

async fn count(target: &HttpTarget, index: &str) -> Value {
    let found = target.get(&format!("/{index}/_count")).await.unwrap();
    found["count"].clone()
}

async fn until_green(target: &HttpTarget) {
    let path = "/_cluster/health?wait_for_status=green&wait_for_nodes=3&timeout=120s";
    let health = target.get(path).await.unwrap();
    assert_eq!(health["status"], "green", "{health}");
}

/// Another version on every node, the elected manager last, as the vendors' guides say.
async fn roll(cluster: &mut SearchCluster, to: ServerKind) {
    let manager = cluster.manager().await.unwrap();
    let mut names = cluster.names();
    names.sort_by_key(|name| *name == manager);
    let allocation =
        |value: Value| json!({ "persistent": { "cluster.routing.allocation.enable": value } });
    for name in names {
        let target = cluster.target().unwrap();
        let settings = "/_cluster/settings";
        target
            .put(settings, &allocation(json!("primaries")))
            .await
            .unwrap();
        cluster.stop_node(&name).await.unwrap();
        assert!(cluster.server(&name).is_none());
        let rest = cluster.target().unwrap();
        let health = rest
            .get("/_cluster/health?wait_for_nodes=2&timeout=60s")
            .await
            .unwrap();
        assert_eq!(health["number_of_nodes"], 2, "{health}");
        cluster.start_node(&name, to).await.unwrap();
        println!(
            "{name} joined as {to} {} after {} ms",
            to.version(),
            cluster.server(&name).unwrap().start_ms()
        );
        let target = cluster.target().unwrap();
        target
            .put(settings, &allocation(Value::Null))
            .await
            .unwrap();
        until_green(target).await;
    }
    for server in cluster.servers() {
        let root = server.target().get("/").await.unwrap();
        assert_eq!(root["version"]["number"], to.version());
    }
}

async fn three(kind: ServerKind, dir: &std::path::Path) -> SearchCluster {
    let cluster = SearchCluster::start(kind, dir, &NodeSpec::usual(3))
        .await
        .unwrap();
    for server in cluster.servers() {
        println!("{kind} node of three started in {} ms", server.start_ms());
    }
    until_green(cluster.target().unwrap()).await;
    cluster
}

#[tokio::test]
async fn three_nodes_of_elasticsearch_7_become_8_one_by_one() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = three(ServerKind::Elasticsearch7, dir.path()).await;
    fill(cluster.target().unwrap(), "one", 1).await;
    fill(cluster.target().unwrap(), "two", 2).await;
    until_green(cluster.target().unwrap()).await;
    roll(&mut cluster, ServerKind::Elasticsearch8).await;
    let target = cluster.target().unwrap();
    assert_eq!(count(target, "one").await, DOCUMENTS);
    assert_eq!(count(target, "two").await, DOCUMENTS);
    cluster.stop().await;
}

/// The last hop's trap: an index that 1.3 made keeps 3.x from starting, and does no harm to the node.
#[tokio::test]
async fn three_nodes_of_opensearch_1_become_2_and_not_3() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = three(ServerKind::OpenSearch1, dir.path()).await;
    fill(cluster.target().unwrap(), "old", 1).await;
    until_green(cluster.target().unwrap()).await;
    roll(&mut cluster, ServerKind::OpenSearch2).await;
    assert_eq!(count(cluster.target().unwrap(), "old").await, DOCUMENTS);

    let manager = cluster.manager().await.unwrap();
    let other = cluster.names().into_iter().find(|name| *name != manager);
    let other = other.unwrap();
    let refused = cluster.start_node(&other, ServerKind::OpenSearch3).await;
    let Err(LabError::NotStarted { log, .. }) = refused else {
        panic!("3.x starts on an index of 1.3: {refused:?}");
    };
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("created with version [1.3.13]"), "{log}");
    cluster
        .start_node(&other, ServerKind::OpenSearch2)
        .await
        .unwrap();
    until_green(cluster.target().unwrap()).await;
    cluster.stop().await;
}
