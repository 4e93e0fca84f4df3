//! The proof of takeover, replan and decisions, on simulated clusters: the whole way with the real binary
//! and the real component.
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

async fn cluster(product: Product) -> Simulated {
    Simulated::start_as(product, 1).await.unwrap()
}

fn tally() -> Tally {
    let mut tally = Tally::default();
    tally.about("simulated");
    tally
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_a_run_over_and_stops_the_old_runner_when_it_thaws() {
    let cluster = cluster(Product::OpenSearch2).await;
    let mut tally = tally();
    proof::is_taken_over(&stage(&cluster).await, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_by_another_plan_and_back_over_both() {
    let cluster = cluster(Product::Elasticsearch8).await;
    let stage = stage(&cluster).await;
    let mut tally = tally();
    proof::goes_on_by_another_plan(&stage, &mut tally)
        .await
        .unwrap();
    proof::goes_back_over_two_plans(&stage, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_decides_what_cannot_be_proved() {
    let cluster = cluster(Product::OpenSearch2).await;
    let mut tally = tally();
    proof::decides_a_doubt(&stage(&cluster).await, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_interrupt_stops_a_run_now() {
    let cluster = cluster(Product::OpenSearch2).await;
    let mut tally = tally();
    proof::stops_now_at_the_second_interrupt(&stage(&cluster).await, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}
