//! The lab against real servers. Needs a JDK and Maven; without them it fails and says so.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::print_stdout,
    reason = "measured times are for whoever runs the test"
)]

mod camunda;

use std::time::Duration;

use liftlock_lab::HttpTarget;
use liftlock_lab::Server;
use liftlock_lab::ServerKind;
use liftlock_lab::SiteSpec;
use liftlock_lab::SiteStatus;
use liftlock_lab::build;
use liftlock_lab::diff;
use liftlock_lab::dump;
use liftlock_lab::kuzzle::Redis;
use serde_json::json;
use tokio::sync::Mutex;

/// Two cores are few for four servers that start at the same time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Builds the site on a server and checks that a dump sees all of it, and any change of it.
async fn builds_and_compares_a_site(server: &Server) {
    let target = server.target();
    let spec = SiteSpec::default();
    let facts = build(target, &spec).await.unwrap();
    assert_eq!(facts.indices.len(), 25);
    assert_eq!(facts.neighbours.len(), 4);
    assert_eq!(facts.templates.len(), 2);
    let before = dump(target, "optimize").await.unwrap();
    println!(
        "{} started in {} ms, site of {} documents built in {} ms",
        server.kind(),
        server.start_ms(),
        facts.document_count(),
        facts.build_ms
    );

    // Every index is there with its documents; health is what replicas on one node make it.
    let expected: Vec<&str> = facts
        .indices
        .keys()
        .chain(facts.neighbours.keys())
        .map(String::as_str)
        .collect();
    let mut expected = expected;
    expected.sort_unstable();
    assert_eq!(before.names("indices"), expected);
    for (index, count) in facts.indices.iter().chain(&facts.neighbours) {
        let listed = before.names("documents").contains(&index.as_str());
        assert!(listed, "{index}");
        let documents = before
            .get(&format!("/documents/{index}"))
            .unwrap()
            .as_object()
            .unwrap();
        assert_eq!(documents.len() as u64, *count, "{index}");
        let is_tuned = facts.without_replicas.contains(index);
        let health = if is_tuned { "green" } else { "yellow" };
        assert_eq!(
            before.get(&format!("/indices/{index}/health")),
            Some(&json!(health)),
            "{index}"
        );
    }
    assert_eq!(
        before.get("/metadata"),
        Some(&json!({ "schemaVersion": "8.7.0", "installationId": facts.installation_id }))
    );
    assert_eq!(before.get("/update-log"), Some(&json!(null)));
    assert_eq!(
        before.get("/settings/optimize-variable-update-instance_v2-000001/index/sort/order"),
        Some(&json!("asc"))
    );
    assert_eq!(
        before.get("/aliases/optimize-process-instance-invoice_v8/optimize-process-instance"),
        Some(&json!({
            "filter": "-", "routing.index": "-", "routing.search": "-", "is_write_index": "false",
        }))
    );
    let legacy = before
        .get("/templates/legacy")
        .unwrap()
        .as_object()
        .unwrap();
    assert!(
        facts.templates.iter().all(|name| legacy.contains_key(name)),
        "{legacy:?}"
    );

    assert_eq!(
        diff(&before, &dump(target, "optimize").await.unwrap()),
        Vec::<String>::new()
    );

    // One document that changes, one alias that moves, and one setting are each noticed.
    let path = "/optimize-settings_v3/_update/1";
    target
        .post(path, &json!({ "doc": { "sharingEnabled": false } }))
        .await
        .unwrap();
    let changed = diff(&before, &dump(target, "optimize").await.unwrap());
    assert_eq!(changed.len(), 1, "{changed:#?}");
    assert!(
        changed[0].starts_with("~ documents/optimize-settings_v3/1: "),
        "{changed:?}"
    );
    target
        .post(path, &json!({ "doc": { "sharingEnabled": true } }))
        .await
        .unwrap();
    assert_eq!(
        diff(&before, &dump(target, "optimize").await.unwrap()),
        Vec::<String>::new()
    );

    let settings = json!({ "index": { "blocks": { "write": true } } });
    target
        .put("/optimize-alert_v4/_settings", &settings)
        .await
        .unwrap();
    target
        .delete("/_template/optimize-variable-update-instance_v2")
        .await
        .unwrap();
    target
        .delete("/optimize-variable-update-instance_v2-000001")
        .await
        .unwrap();
    assert_eq!(
        diff(&before, &dump(target, "optimize").await.unwrap()),
        [
            "- aliases/optimize-variable-update-instance_v2-000001",
            "- documents/optimize-variable-update-instance_v2-000001",
            "- indices/optimize-variable-update-instance_v2-000001",
            "- mappings/optimize-variable-update-instance_v2-000001",
            "+ settings/optimize-alert_v4/index/blocks",
            "- settings/optimize-variable-update-instance_v2-000001",
            "- templates/legacy/optimize-variable-update-instance_v2",
        ]
    );
}

#[tokio::test]
async fn opensearch_2_carries_a_site_and_survives_a_crash() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(ServerKind::OpenSearch2, dir.path())
        .await
        .unwrap();
    builds_and_compares_a_site(&server).await;

    let before = dump(server.target(), "optimize").await.unwrap();
    let process = server.process().clone();
    server.kill();
    assert!(!process.is_alive());
    server.restart().await.unwrap();
    assert_ne!(&process, server.process());
    assert_eq!(
        diff(&before, &dump(server.target(), "optimize").await.unwrap()),
        Vec::<String>::new()
    );

    let process = server.process().clone();
    server.stop().await;
    assert!(process.wait_gone(Duration::from_secs(1)).await);
}

#[tokio::test]
async fn opensearch_3_carries_a_site() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(ServerKind::OpenSearch3, dir.path())
        .await
        .unwrap();
    builds_and_compares_a_site(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn elasticsearch_8_carries_a_site() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(ServerKind::Elasticsearch8, dir.path())
        .await
        .unwrap();
    builds_and_compares_a_site(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn secured_elasticsearch_8_carries_a_site_and_asks_who_is_there() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(ServerKind::Elasticsearch8Secured, dir.path())
        .await
        .unwrap();
    builds_and_compares_a_site(&server).await;
    let ca = &server.authority().unwrap().pem;
    let trusting = || HttpTarget::with_ca(server.base_url(), Some(ca)).unwrap();
    let status = async |target: HttpTarget| {
        target
            .send(reqwest::Method::GET, "/", None)
            .await
            .map(|(status, _)| status)
    };
    let credentials = server.credentials().unwrap();
    assert_eq!(status(trusting()).await.unwrap(), 401);
    assert_eq!(
        status(trusting().api_key(credentials.api_key.clone()))
            .await
            .unwrap(),
        200
    );
    let wrong = liftlock_lab::Secret::new("wrong");
    assert_eq!(
        status(trusting().basic(&credentials.user, wrong))
            .await
            .unwrap(),
        401
    );
    let stranger = HttpTarget::new(server.base_url()).unwrap();
    assert!(
        status(stranger).await.is_err(),
        "a client without the authority must not trust it"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_lab_site_stays_until_it_is_taken_down() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let spec = SiteSpec {
        process_instances: 5,
        ..SiteSpec::default()
    };
    for kind in [ServerKind::OpenSearch2, ServerKind::Elasticsearch8Secured] {
        let site = liftlock_lab::up(root, "one", kind, Some(&spec))
            .await
            .unwrap();
        let SiteStatus::Up(seen) = liftlock_lab::status(root, "one").unwrap() else {
            panic!("{kind} is not up");
        };
        assert_eq!(*seen, site);
        let found = dump(&seen.target().unwrap(), "optimize").await.unwrap();
        assert_eq!(found.get("/metadata/schemaVersion"), Some(&json!("8.7.0")));
        let log = liftlock_lab::logs(root, "one", 5).unwrap();
        assert_eq!(log.lines().count(), 5, "{log}");
        let target = seen.target().unwrap();
        assert_eq!(
            liftlock_lab::down(root, "one").await.unwrap(),
            SiteStatus::Up(seen)
        );
        target.get("/").await.unwrap_err();
        assert_eq!(
            liftlock_lab::status(root, "one").unwrap(),
            SiteStatus::Absent
        );
        assert!(!root.join("one").exists());
    }
}

#[tokio::test]
async fn redis_answers_and_keeps_nothing_when_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let redis = Redis::start(dir.path()).await.unwrap();
    assert_eq!(redis.ask("SET lab 1").await.unwrap(), "+OK");
    assert_eq!(redis.ask("EXISTS lab").await.unwrap(), ":1");
    let process = redis.process().clone();
    redis.stop().await;
    assert!(!process.is_alive());
    let redis = Redis::start(dir.path()).await.unwrap();
    assert_eq!(redis.ask("EXISTS lab").await.unwrap(), ":0");
    redis.stop().await;
}
