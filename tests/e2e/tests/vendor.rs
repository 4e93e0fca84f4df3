//! The strategy `vendor` on simulated clusters, with the stand-in for the vendor's upgrader.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use liftlock_e2e::Kit;
use liftlock_e2e::Simulated;
use liftlock_e2e::Stage;
use liftlock_e2e::Tally;
use liftlock_e2e::artifacts;
use liftlock_e2e::proof;
use liftlock_e2e::proof::Upgrader;
use liftlock_testkit::Product;

/// Does this on a simulated cluster and with the stand-in; every check of it must be good.
async fn holds(
    product: Product,
    proof: impl AsyncFnOnce(&Stage, &Upgrader, &mut Tally) -> anyhow::Result<()>,
) {
    holds_with(&Upgrader::stand_in().unwrap(), product, proof).await;
}

async fn holds_with(
    upgrader: &Upgrader,
    product: Product,
    proof: impl AsyncFnOnce(&Stage, &Upgrader, &mut Tally) -> anyhow::Result<()>,
) {
    let kit = Kit::build().unwrap();
    Simulated::proves(&kit, product, async |stage, tally| {
        proof(&stage, upgrader, tally).await
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_tool_leaves_what_the_native_strategy_leaves() {
    for product in [Product::OpenSearch2, Product::Elasticsearch8] {
        holds(product, proof::upgrades_by_the_vendors_tool).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_laid_out_as_a_distribution_is_taken_as_one() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Upgrader::distribution(folder.path()).is_err());
    Upgrader::lay_out(
        &artifacts::stand_in_upgrader().unwrap(),
        proof::TO,
        folder.path(),
    )
    .unwrap();
    let upgrader = Upgrader::distribution(folder.path()).unwrap();
    holds_with(
        &upgrader,
        Product::OpenSearch2,
        proof::upgrades_by_the_vendors_tool,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_host_finds_its_upgrader_again() {
    holds(Product::OpenSearch2, proof::finds_its_upgrader_again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_native_strategy_goes_on_with_the_work_of_a_dead_upgrader() {
    holds(
        Product::Elasticsearch8,
        proof::goes_on_natively_with_its_work,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrader_that_lies_is_found_out() {
    holds(
        Product::OpenSearch2,
        async |stage: &Stage, upgrader: &Upgrader, tally: &mut Tally| {
            proof::finds_out_a_lying_upgrader(stage, upgrader, true, tally).await
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_the_upgrader_would_ruin_is_refused_before() {
    holds(
        Product::OpenSearch2,
        proof::refuses_what_the_upgrader_would_ruin,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_vendors_tool_did_is_taken_back() {
    holds(Product::OpenSearch2, proof::takes_the_vendors_work_back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrader_that_died_is_run_again() {
    holds(
        Product::OpenSearch2,
        proof::runs_again_an_upgrader_that_died,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_tool_goes_on_with_the_work_of_a_dead_native_run() {
    holds(Product::OpenSearch2, proof::goes_on_by_the_vendors_tool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reindex_of_the_vendors_tool_loses_nothing() {
    holds(
        Product::Elasticsearch8,
        proof::reindexes_by_the_vendors_tool,
    )
    .await;
}
