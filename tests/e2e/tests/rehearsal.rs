//! The proofs of rehearsals, on two simulated clusters: the whole way with the real binary and the real component.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use liftlock_e2e::Kit;
use liftlock_e2e::Simulated;
use liftlock_e2e::Stage;
use liftlock_e2e::Tally;
use liftlock_e2e::proof;
use liftlock_testkit::Product;

async fn holds(
    product: Product,
    proof: impl AsyncFnOnce(&Stage, &Stage, &mut Tally) -> anyhow::Result<()>,
) {
    let kit = Kit::build().unwrap();
    let other = Simulated::start_as(product, 2).await.unwrap();
    // A store of its own: two clusters that write to one destroy it.
    let store = other.repository().join("of-the-rehearsal");
    let scratch = Stage::new(&kit, other.target(), &store).await.unwrap();
    Simulated::proves(&kit, product, async |stage, tally| {
        proof(&stage, &scratch, tally).await
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rehearses_on_opensearch_2_and_plans_by_it() {
    holds(Product::OpenSearch2, proof::rehearses_and_plans_by_it).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_to_rehearse_on_what_is_real() {
    holds(
        Product::Elasticsearch8,
        proof::refuses_to_rehearse_on_the_real_site,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fills_the_targets_of_a_rehearsal_first() {
    holds(Product::OpenSearch2, proof::fills_the_targets_first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_that_a_rehearsal_fits_no_more() {
    holds(
        Product::OpenSearch2,
        proof::tells_a_rehearsal_that_fits_no_more,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_with_a_rehearsal_that_was_killed() {
    holds(Product::Elasticsearch8, proof::goes_on_with_a_rehearsal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_down_that_a_rehearsal_failed() {
    holds(Product::OpenSearch2, proof::writes_a_failed_rehearsal_down).await;
}
