//! The suite on the simulated cluster, and what only a simulated one does on purpose.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod suite;

use liftlock_testkit::{Product, SimCluster};

async fn on(product: Product, name: &str) {
    let sim = SimCluster::builder(product).start().await.unwrap();
    suite::everything(&suite::open(&sim.url()), name).await;
}

#[tokio::test]
async fn holds_on_a_simulated_opensearch_2() {
    on(Product::OpenSearch2, "OpenSearch 2.19").await;
}

#[tokio::test]
async fn holds_on_a_simulated_opensearch_3() {
    on(Product::OpenSearch3, "OpenSearch 3.3").await;
}

#[tokio::test]
async fn holds_on_a_simulated_elasticsearch_8() {
    on(Product::Elasticsearch8, "Elasticsearch 8.19").await;
}
