//! The suite on the servers that only an upgrade of the cluster itself meets. They take as long again as all others, so
//! this is a test of its own: `cargo test -p liftlock-cluster --test neighbours -- --test-threads 1`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod suite;

use liftlock_lab::ServerKind;
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
