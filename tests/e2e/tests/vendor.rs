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

async fn stage(kit: &Kit, product: Product) -> (Simulated, Stage) {
    let cluster = Simulated::start_as(product, 1).await.unwrap();
    let stage = Stage::new(kit, cluster.target(), &cluster.repository())
        .await
        .unwrap();
    (cluster, stage)
}

fn tally() -> Tally {
    let mut tally = Tally::default();
    tally.about("simulated");
    tally
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_tool_leaves_what_the_native_strategy_leaves() {
    let kit = Kit::build().unwrap();
    let upgrader = Upgrader::stand_in().unwrap();
    for product in [Product::OpenSearch2, Product::Elasticsearch8] {
        let (_cluster, stage) = stage(&kit, product).await;
        let mut tally = tally();
        proof::upgrades_by_the_vendors_tool(&stage, &upgrader, &mut tally)
            .await
            .unwrap();
        tally.into_count().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_laid_out_as_a_distribution_is_taken_as_one() {
    let kit = Kit::build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    assert!(Upgrader::distribution(folder.path()).is_err());
    Upgrader::lay_out(
        &artifacts::stand_in_upgrader().unwrap(),
        proof::TO,
        folder.path(),
    )
    .unwrap();
    let upgrader = Upgrader::distribution(folder.path()).unwrap();
    let (_cluster, stage) = stage(&kit, Product::OpenSearch2).await;
    let mut tally = tally();
    proof::upgrades_by_the_vendors_tool(&stage, &upgrader, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_host_finds_its_upgrader_again() {
    let kit = Kit::build().unwrap();
    let upgrader = Upgrader::stand_in().unwrap();
    let (_cluster, stage) = stage(&kit, Product::OpenSearch2).await;
    let mut tally = tally();
    proof::finds_its_upgrader_again(&stage, &upgrader, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_native_strategy_goes_on_with_the_work_of_a_dead_upgrader() {
    let kit = Kit::build().unwrap();
    let upgrader = Upgrader::stand_in().unwrap();
    let (_cluster, stage) = stage(&kit, Product::Elasticsearch8).await;
    let mut tally = tally();
    proof::goes_on_natively_with_its_work(&stage, &upgrader, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrader_that_lies_is_found_out() {
    let kit = Kit::build().unwrap();
    let upgrader = Upgrader::stand_in().unwrap();
    let (_cluster, stage) = stage(&kit, Product::OpenSearch2).await;
    let mut tally = tally();
    proof::finds_out_a_lying_upgrader(&stage, &upgrader, true, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_the_upgrader_would_ruin_is_refused_before() {
    let kit = Kit::build().unwrap();
    let upgrader = Upgrader::stand_in().unwrap();
    let (_cluster, stage) = stage(&kit, Product::OpenSearch2).await;
    let mut tally = tally();
    proof::refuses_what_the_upgrader_would_ruin(&stage, &upgrader, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_vendors_tool_did_is_taken_back() {
    let kit = Kit::build().unwrap();
    let upgrader = Upgrader::stand_in().unwrap();
    let (_cluster, stage) = stage(&kit, Product::OpenSearch2).await;
    let mut tally = tally();
    proof::takes_the_vendors_work_back(&stage, &upgrader, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrader_that_died_is_run_again() {
    let kit = Kit::build().unwrap();
    let upgrader = Upgrader::stand_in().unwrap();
    let (_cluster, stage) = stage(&kit, Product::OpenSearch2).await;
    let mut tally = tally();
    proof::runs_again_an_upgrader_that_died(&stage, &upgrader, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_tool_goes_on_with_the_work_of_a_dead_native_run() {
    let kit = Kit::build().unwrap();
    let upgrader = Upgrader::stand_in().unwrap();
    let (_cluster, stage) = stage(&kit, Product::OpenSearch2).await;
    let mut tally = tally();
    proof::goes_on_by_the_vendors_tool(&stage, &upgrader, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reindex_of_the_vendors_tool_loses_nothing() {
    let kit = Kit::build().unwrap();
    let upgrader = Upgrader::stand_in().unwrap();
    let (_cluster, stage) = stage(&kit, Product::Elasticsearch8).await;
    let mut tally = tally();
    proof::reindexes_by_the_vendors_tool(&stage, &upgrader, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}
