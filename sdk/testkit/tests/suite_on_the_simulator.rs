//! The behaviour suite on the simulated cluster, for each product and with one and three nodes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use liftlock_testkit::{Product, SimCluster, suite};

async fn passes(product: Product, nodes: usize) {
    let sim = SimCluster::builder(product)
        .nodes(nodes)
        .seed(1)
        .start()
        .await
        .unwrap();
    let failed: Vec<String> = suite::run_suite(&sim.url(), product)
        .await
        .into_iter()
        .filter_map(|(name, outcome)| outcome.err().map(|e| format!("{name}: {e}")))
        .collect();
    assert!(
        failed.is_empty(),
        "{} checks failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[tokio::test]
async fn opensearch_2_behaves_like_a_real_one() {
    passes(Product::OpenSearch2, 1).await;
}

#[tokio::test]
async fn opensearch_3_behaves_like_a_real_one() {
    passes(Product::OpenSearch3, 1).await;
}

#[tokio::test]
async fn elasticsearch_8_behaves_like_a_real_one() {
    passes(Product::Elasticsearch8, 1).await;
}

#[tokio::test]
async fn three_nodes_behave_like_one() {
    passes(Product::OpenSearch2, 3).await;
}
