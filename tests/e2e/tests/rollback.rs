//! The proof of the ways back, on simulated clusters: the whole way with the real binary and the
//! real component.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use liftlock_e2e::Kit;
use liftlock_e2e::Simulated;
use liftlock_e2e::Stage;
use liftlock_e2e::Tally;
use liftlock_e2e::proof;
use liftlock_testkit::Product;

async fn stage(cluster: &Simulated) -> Stage {
    let kit = Kit::build().unwrap();
    Stage::new(&kit, cluster.target(), &cluster.repository())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_a_run_back_after_its_point_of_no_return() {
    let cluster = Simulated::start_as(Product::OpenSearch2, 1).await.unwrap();
    let mut tally = Tally::default();
    tally.about("simulated");
    proof::goes_back_after_the_point_of_no_return(&stage(&cluster).await, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_a_run_back_before_its_point_of_no_return() {
    let cluster = Simulated::start_as(Product::Elasticsearch8, 1)
        .await
        .unwrap();
    let mut tally = Tally::default();
    tally.about("simulated");
    proof::goes_back_before_the_point_of_no_return(&stage(&cluster).await, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_a_run_back_that_had_come_to_its_end() {
    let cluster = Simulated::start_as(Product::Elasticsearch8, 2)
        .await
        .unwrap();
    let mut tally = Tally::default();
    tally.about("simulated");
    proof::goes_back_from_the_end(&stage(&cluster).await, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}
