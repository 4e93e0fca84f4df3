//! The proof of the Optimize plugin, on simulated clusters: the whole way with the real binary and
//! the real component.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use liftlock_e2e::Kit;
use liftlock_e2e::Login;
use liftlock_e2e::Simulated;
use liftlock_e2e::Stage;
use liftlock_e2e::Tally;
use liftlock_e2e::proof;
use liftlock_e2e::proof::Position;
use liftlock_testkit::Product;

/// A password that is in nothing that is printed or kept.
fn login() -> Login {
    Login::Basic {
        user: "nobody".into(),
        password: "canary-4f1d-must-be-nowhere".into(),
    }
}

async fn holds(
    product: Product,
    proof: impl AsyncFnOnce(&Stage, &mut Tally) -> anyhow::Result<()>,
) {
    holds_with(&Kit::build().unwrap(), product, proof).await;
}

async fn holds_with(
    kit: &Kit,
    product: Product,
    proof: impl AsyncFnOnce(&Stage, &mut Tally) -> anyhow::Result<()>,
) {
    Simulated::proves(kit, product, async |stage, tally| {
        proof(&stage.with_login(login()), tally).await
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_a_site_on_opensearch_2() {
    holds(Product::OpenSearch2, proof::upgrades_cleanly).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_a_site_on_opensearch_3() {
    holds(Product::OpenSearch3, proof::upgrades_cleanly).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_a_site_on_elasticsearch_8() {
    holds(Product::Elasticsearch8, proof::upgrades_cleanly).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_what_was_not_approved_and_runs_what_was() {
    let kit = Kit::build().unwrap();
    let cluster = Simulated::start_as(Product::OpenSearch2, 2).await.unwrap();
    let other = Stage::new(&kit, cluster.target(), &cluster.repository())
        .await
        .unwrap()
        .with_login(login());
    holds_with(
        &kit,
        Product::OpenSearch2,
        async |stage: &Stage, tally: &mut Tally| {
            proof::refuses_what_is_not_approved(stage, &other, tally).await
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_a_site_without_backups_only_with_a_waiver() {
    let kit = Kit::build().unwrap();
    Simulated::proves(&kit, Product::OpenSearch3, async |stage, tally| {
        proof::upgrades_with_a_waiver(&stage.without_backups(), tally).await
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_the_nodes_of_the_database_first_where_the_option_says_so() {
    let mut tally = Tally::default();
    let kit = Kit::build().unwrap();
    proof::plans_the_database_first(&kit, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_after_a_kill_at_each_position_of_the_proof() {
    holds(
        Product::Elasticsearch8,
        async |stage: &Stage, tally: &mut Tally| {
            for position in &Position::PROOF {
                proof::goes_on_after_a_kill(stage, position, tally).await?;
            }
            Ok(())
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_from_3_13_to_8_8_hop_by_hop_on_opensearch_2() {
    holds(Product::OpenSearch2, proof::goes_hop_by_hop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_from_3_13_to_8_8_hop_by_hop_on_elasticsearch_8() {
    holds(Product::Elasticsearch8, proof::goes_hop_by_hop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_update_goes_on_after_each_kill() {
    holds(
        Product::OpenSearch2,
        async |stage: &Stage, tally: &mut Tally| {
            proof::updates_an_index_through_kills(stage, &proof::OF_AN_UPDATE, tally).await
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_update_is_taken_back() {
    holds(
        Product::Elasticsearch8,
        proof::goes_back_from_an_index_update,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_indices_get_a_new_version_under_readers() {
    let kit = Kit::build().unwrap().with_hop_for_tests().unwrap();
    holds_with(
        &kit,
        Product::OpenSearch2,
        proof::renews_many_indices_under_readers,
    )
    .await;
}
