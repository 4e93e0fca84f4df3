//! The suite on the servers that only an upgrade of the cluster itself meets. They take as long again as all others, so
//! this is a test of its own: `cargo test -p liftlock-cluster --test neighbours -- --test-threads 1`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod suite;

use liftlock_lab::{NodeSpec, SearchCluster, ServerKind};
use liftlock_types::facts::cluster::SettingScope;
use liftlock_types::{Acted, Capability, Change, IndexName, Read};
use serde_json::{Value, json};
use suite::on_server;

#[tokio::test]
async fn holds_on_opensearch_1() {
    on_server(ServerKind::OpenSearch1).await;
}

#[tokio::test]
async fn holds_on_elasticsearch_7_10() {
    on_server(ServerKind::Elasticsearch710).await;
}

#[tokio::test]
async fn holds_on_elasticsearch_7() {
    on_server(ServerKind::Elasticsearch7).await;
}

#[tokio::test]
async fn holds_on_elasticsearch_9() {
    on_server(ServerKind::Elasticsearch9).await;
}

/// The keys of flat settings that begin so.
fn archived(settings: &Value) -> Vec<String> {
    let members = settings.as_object().unwrap();
    members
        .keys()
        .filter(|key| key.starts_with("archived."))
        .cloned()
        .collect()
}

/// A setting that version 7 knows and version 8 does not.
#[tokio::test]
async fn what_elasticsearch_8_puts_aside_is_removed() {
    const KEY: &str = "cluster.routing.allocation.disk.include_relocations";
    let dir = tempfile::tempdir().unwrap();
    let mut node =
        SearchCluster::start(ServerKind::Elasticsearch7, dir.path(), &NodeSpec::usual(1))
            .await
            .unwrap();
    let target = node.target().unwrap();
    let settings = json!({"persistent": {KEY: "false", "cluster.max_shards_per_node": "2000"}});
    target.put("/_cluster/settings", &settings).await.unwrap();
    node.start_node("n1", ServerKind::Elasticsearch8)
        .await
        .unwrap();
    let cluster = suite::open(node.target().unwrap().base_url());
    let read = Read::ClusterSettings {
        scope: SettingScope::Persistent,
    };
    let keys = archived(&cluster.read(&read).await.unwrap());
    assert_eq!(keys, [format!("archived.{KEY}")]);
    let change = Change::RemoveArchivedSettings { keys };
    let done = suite::Hand::new(&cluster).pass(&change).await;
    assert_eq!(cluster.automatic_undo(&change, &done), None);
    let left = cluster.read(&read).await.unwrap();
    assert_eq!(left, json!({"cluster.max_shards_per_node": "2000"}));
    node.stop().await;
}

/// Of an index, Elasticsearch 8 knows all settings of version 7; OpenSearch 3 has forgotten one of version 2, and lets go
/// of it only while the index is closed.
#[tokio::test]
async fn what_opensearch_3_puts_aside_of_an_index_is_removed() {
    const KEY: &str = "index.store.hybrid.mmap.extensions";
    let dir = tempfile::tempdir().unwrap();
    let mut node = SearchCluster::start(ServerKind::OpenSearch2, dir.path(), &NodeSpec::usual(1))
        .await
        .unwrap();
    let target = node.target().unwrap();
    for index in ["old", "other"] {
        let body = json!({"settings": {KEY: ["dvd", "tim"], "index.refresh_interval": "7s"}});
        target.put(&format!("/{index}"), &body).await.unwrap();
    }
    node.start_node("n1", ServerKind::OpenSearch3)
        .await
        .unwrap();
    let target = node.target().unwrap();
    let yellow = "/_cluster/health?wait_for_status=yellow&timeout=60s";
    target.get(yellow).await.unwrap();
    let cluster = suite::open(target.base_url());
    let read = async |index: &str| {
        let read = Read::IndexSettings {
            index: index.into(),
        };
        cluster.read(&read).await.unwrap()
    };
    let keys = archived(&read("old").await);
    assert_eq!(keys, [format!("archived.{KEY}")]);
    let change = Change::RemoveArchivedIndexSettings {
        index: IndexName::new("old").unwrap(),
        keys: keys.clone(),
    };
    let mut hand = suite::Hand::new(&cluster);
    let attempt = hand.attempt(&change).await;
    let acted = cluster.act(&change, &attempt).await;
    assert!(
        matches!(&acted, Acted::Refused { status: 400, text, .. } if text.contains("non dynamic")),
        "{acted:?}"
    );
    target.post("/old/_close", &json!({})).await.unwrap();
    hand.pass(&change).await;
    target.post("/old/_open", &json!({})).await.unwrap();
    let left = read("old").await;
    assert_eq!(archived(&left), Vec::<String>::new());
    assert_eq!(left["index.refresh_interval"], "7s");
    assert_eq!(archived(&read("other").await), keys);
    node.stop().await;
}

/// Each copy's highest sequence number, and the one that its last commit holds.
fn written(stats: &Value, index: &str) -> Vec<(String, String)> {
    let shards = stats["indices"][index]["shards"].as_object().unwrap();
    shards
        .values()
        .flat_map(|copies| copies.as_array().unwrap())
        .map(|copy| {
            let committed = copy["commit"]["user_data"]["max_seq_no"].as_str().unwrap();
            (copy["seq_no"]["max_seq_no"].to_string(), committed.into())
        })
        .collect()
}

#[tokio::test]
async fn a_flush_reaches_every_copy_of_a_cluster_of_three() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = SearchCluster::start(ServerKind::Elasticsearch7, dir.path(), &NodeSpec::usual(3))
        .await
        .unwrap();
    let target = nodes.target().unwrap();
    for (index, replicas) in [("&a.b", 1), ("&a.c", 2)] {
        let path = index.replace('&', "%26");
        let body = json!({"settings": {"number_of_shards": 2, "number_of_replicas": replicas}});
        target.put(&format!("/{path}"), &body).await.unwrap();
        for id in 0..20 {
            let document = format!("/{path}/_doc/{id}");
            target.put(&document, &json!({"n": id})).await.unwrap();
        }
    }
    let green = "/_cluster/health?wait_for_status=green&timeout=120s";
    target.get(green).await.unwrap();
    let cluster = suite::open(target.base_url());
    let change = Change::Flush {
        indices: vec!["&a.*".into()],
        except: vec![],
    };
    suite::Hand::new(&cluster).pass(&change).await;
    for (index, copies) in [("&a.b", 4), ("&a.c", 6)] {
        let path = index.replace('&', "%26");
        let path = format!("/{path}/_stats/docs?level=shards");
        let found = written(&target.get(&path).await.unwrap(), index);
        assert_eq!(found.len(), copies);
        assert!(
            found.iter().all(|(given, committed)| given == committed),
            "{found:?}"
        );
    }
    nodes.stop().await;
}
