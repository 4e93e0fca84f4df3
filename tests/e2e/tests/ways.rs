//! The proofs of takeover, replan, decisions and the ways back, on simulated clusters: the whole way with the real binary
//! and the real component.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use liftlock_e2e::Kit;
use liftlock_e2e::Simulated;
use liftlock_e2e::Stage;
use liftlock_e2e::Tally;
use liftlock_e2e::proof;
use liftlock_testkit::Product;

async fn holds(
    product: Product,
    proof: impl AsyncFnOnce(&Stage, &mut Tally) -> anyhow::Result<()>,
) {
    let kit = Kit::build().unwrap();
    Simulated::proves(&kit, product, async |stage, tally| {
        proof(&stage, tally).await
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_a_run_over_and_stops_the_old_runner_when_it_thaws() {
    holds(Product::OpenSearch2, proof::is_taken_over).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_by_another_plan_and_back_over_both() {
    holds(
        Product::Elasticsearch8,
        async |stage: &Stage, tally: &mut Tally| {
            proof::goes_on_by_another_plan(stage, tally).await?;
            proof::goes_back_over_two_plans(stage, tally).await
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_decides_what_cannot_be_proved() {
    holds(Product::OpenSearch2, proof::decides_a_doubt).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_interrupt_stops_a_run_now() {
    holds(
        Product::OpenSearch2,
        proof::stops_now_at_the_second_interrupt,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_a_run_back_after_its_point_of_no_return() {
    holds(
        Product::OpenSearch2,
        proof::goes_back_after_the_point_of_no_return,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_a_run_back_before_its_point_of_no_return() {
    holds(
        Product::Elasticsearch8,
        proof::goes_back_before_the_point_of_no_return,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_a_run_back_that_had_come_to_its_end() {
    holds(Product::Elasticsearch8, proof::goes_back_from_the_end).await;
}
