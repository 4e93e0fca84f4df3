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

async fn stage(kit: &Kit, cluster: &Simulated) -> Stage {
    let login = Login::Basic {
        user: "nobody".into(),
        password: "canary-4f1d-must-be-nowhere".into(),
    };
    Stage::new(kit, cluster.target(), &cluster.repository())
        .await
        .unwrap()
        .with_login(login)
}

async fn upgrades_cleanly_on(product: Product) {
    let kit = Kit::build().unwrap();
    let cluster = Simulated::start_as(product, 1).await.unwrap();
    let mut tally = Tally::default();
    tally.about(format!("{product:?}"));
    proof::upgrades_cleanly(&stage(&kit, &cluster).await, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_a_site_on_opensearch_2() {
    upgrades_cleanly_on(Product::OpenSearch2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_a_site_on_opensearch_3() {
    upgrades_cleanly_on(Product::OpenSearch3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_a_site_on_elasticsearch_8() {
    upgrades_cleanly_on(Product::Elasticsearch8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_what_was_not_approved_and_runs_what_was() {
    let kit = Kit::build().unwrap();
    let cluster = Simulated::start_as(Product::OpenSearch2, 1).await.unwrap();
    let other = Simulated::start_as(Product::OpenSearch2, 2).await.unwrap();
    let mut tally = Tally::default();
    tally.about("simulated");
    let (stage, other) = (stage(&kit, &cluster).await, stage(&kit, &other).await);
    proof::refuses_what_is_not_approved(&stage, &other, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_a_site_without_backups_only_with_a_waiver() {
    let kit = Kit::build().unwrap();
    let cluster = Simulated::start_as(Product::OpenSearch3, 1).await.unwrap();
    let stage = stage(&kit, &cluster).await.without_backups();
    let mut tally = Tally::default();
    tally.about("simulated");
    proof::upgrades_with_a_waiver(&stage, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_after_a_kill_at_each_position_of_the_proof() {
    let kit = Kit::build().unwrap();
    let cluster = Simulated::start_as(Product::Elasticsearch8, 1)
        .await
        .unwrap();
    let stage = stage(&kit, &cluster).await;
    let mut tally = Tally::default();
    tally.about("simulated");
    for position in &Position::PROOF {
        proof::goes_on_after_a_kill(&stage, position, &mut tally)
            .await
            .unwrap();
    }
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_from_3_13_to_8_8_hop_by_hop_on_opensearch_2() {
    goes_hop_by_hop_on(Product::OpenSearch2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_from_3_13_to_8_8_hop_by_hop_on_elasticsearch_8() {
    goes_hop_by_hop_on(Product::Elasticsearch8).await;
}

async fn goes_hop_by_hop_on(product: Product) {
    let kit = Kit::build().unwrap();
    let cluster = Simulated::start_as(product, 1).await.unwrap();
    let mut tally = Tally::default();
    tally.about(format!("{product:?}"));
    proof::goes_hop_by_hop(&stage(&kit, &cluster).await, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_update_goes_on_after_each_kill() {
    let kit = Kit::build().unwrap();
    let cluster = Simulated::start_as(Product::OpenSearch2, 1).await.unwrap();
    let mut tally = Tally::default();
    tally.about("simulated");
    let stage = stage(&kit, &cluster).await;
    proof::updates_an_index_through_kills(&stage, &proof::OF_AN_UPDATE, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_update_is_taken_back() {
    let kit = Kit::build().unwrap();
    let cluster = Simulated::start_as(Product::Elasticsearch8, 1)
        .await
        .unwrap();
    let mut tally = Tally::default();
    tally.about("simulated");
    proof::goes_back_from_an_index_update(&stage(&kit, &cluster).await, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_indices_get_a_new_version_under_readers() {
    let kit = Kit::build().unwrap().with_hop_for_tests().unwrap();
    let cluster = Simulated::start_as(Product::OpenSearch2, 1).await.unwrap();
    let mut tally = Tally::default();
    tally.about("simulated");
    proof::renews_many_indices_under_readers(&stage(&kit, &cluster).await, &mut tally)
        .await
        .unwrap();
    tally.into_count().unwrap();
}
