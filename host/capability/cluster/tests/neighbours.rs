//! The suite on the servers that only an upgrade of the cluster itself meets. They take as long again as all others, so
//! this is a test of its own: `cargo test -p liftlock-cluster --test neighbours -- --test-threads 1`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod suite;

use liftlock_lab::{Server, ServerKind};

async fn on(kind: ServerKind) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(kind, dir.path()).await.unwrap();
    let cluster = suite::open(server.base_url());
    suite::everything(&cluster, &kind.product()).await;
    suite::shows_what_a_task_moves(&cluster).await;
    server.stop().await;
}

#[tokio::test]
async fn holds_on_opensearch_1() {
    on(ServerKind::OpenSearch1).await;
}

#[tokio::test]
async fn holds_on_elasticsearch_7_10() {
    on(ServerKind::Elasticsearch710).await;
}

#[tokio::test]
async fn holds_on_elasticsearch_7() {
    on(ServerKind::Elasticsearch7).await;
}

#[tokio::test]
async fn holds_on_elasticsearch_9() {
    on(ServerKind::Elasticsearch9).await;
}
