//! The stage itself: what the proof rests on.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use liftlock_e2e::Kit;
use liftlock_e2e::Simulated;
use liftlock_e2e::Stage;
use liftlock_lab::SiteSpec;
use liftlock_lab::diff;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_site_is_the_same_whatever_was_there_before() {
    let kit = Kit::build().unwrap();
    let cluster = Simulated::start().await.unwrap();
    let stage = Stage::new(&kit, cluster.target(), &cluster.repository())
        .await
        .unwrap();
    let spec = SiteSpec::default();
    let first = stage.fresh(&spec).await.unwrap();
    let target = cluster.target();
    target
        .put("/liftlock-left-behind", &json!({}))
        .await
        .unwrap();
    let claim = json!({ "template": {} });
    target
        .put("/_component_template/liftlock-claim.1", &claim)
        .await
        .unwrap();
    target
        .delete("/optimize-variable-update-instance_v2-000001")
        .await
        .unwrap();
    let second = stage.fresh(&spec).await.unwrap();
    assert_eq!(diff(&first.before, &second.before), Vec::<String>::new());
    assert_eq!(
        stage.changes(),
        Vec::<String>::new(),
        "the stage's own requests are not watched"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_through_the_switch_is_seen_by_the_proxy() {
    let kit = Kit::build().unwrap();
    let cluster = Simulated::start().await.unwrap();
    let stage = Stage::new(&kit, cluster.target(), &cluster.repository())
        .await
        .unwrap();
    let client = liftlock_lab::HttpTarget::new(stage.switch.url()).unwrap();
    client.put("/a", &json!({})).await.unwrap();
    client.post("/a/_search", &json!({})).await.unwrap();
    assert_eq!(stage.changes(), ["PUT /a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_for_optimize_answers_until_it_is_ended() {
    let kit = Kit::build().unwrap();
    let cluster = Simulated::start().await.unwrap();
    let stage = Stage::new(&kit, cluster.target(), &cluster.repository())
        .await
        .unwrap();
    let round = stage.fresh(&SiteSpec::default()).await.unwrap();
    let text = std::fs::read_to_string(round.operator.site().join("site.toml")).unwrap();
    let url = text
        .lines()
        .find_map(|line| line.strip_prefix("ready = { http = \""))
        .and_then(|rest| rest.split('"').next())
        .unwrap();
    let base = url.trim_end_matches("/api/readyz");
    let client = liftlock_lab::HttpTarget::new(base).unwrap();
    assert_eq!(client.get("/api/readyz").await.unwrap()["status"], "UP");
    let pid: u32 = std::fs::read_to_string(round.folder().join("optimize.pid"))
        .unwrap()
        .parse()
        .unwrap();
    let process = liftlock_lab::ProcessId::of(pid).unwrap();
    drop(round);
    assert!(process.wait_gone(Duration::from_secs(5)).await);
}
