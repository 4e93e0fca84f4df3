//! Real engines behind HAProxy on both databases.

use std::time::Duration;

use liftlock_lab::DatabaseKind;
use liftlock_lab::Login;
use liftlock_lab::SiteStatus;
use liftlock_lab::camunda::CamundaSpec;
use liftlock_lab::camunda::CamundaStatus;
use liftlock_lab::camunda::Traffic;
use liftlock_lab::camunda::rest;
use liftlock_lab::camunda::site;
use liftlock_lab::camunda::traffic;

use crate::ONE_AT_A_TIME;

/// A job of the site's own process takes 50 ms, and is looked for every 500 ms to 2 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// A seeded site with one node: works, serves traffic without a failure, and leaves nothing.
async fn serves(kind: DatabaseKind) {
    let _turn = ONE_AT_A_TIME.lock().await;
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let spec = CamundaSpec {
        database: kind,
        nodes: 1,
        ..CamundaSpec::default()
    };
    let site = site::up(root, "one", &spec).await.unwrap();
    let status = site::status(root, "one").unwrap();
    assert_eq!(status, CamundaStatus::Up(Box::new(site.clone())));
    // A search server is not put in its place.
    let kind_of_other = liftlock_lab::ServerKind::OpenSearch2;
    let taken = liftlock_lab::up(root, "one", kind_of_other, None).await;
    assert!(taken.unwrap_err().to_string().contains("Camunda site"));
    assert_eq!(
        liftlock_lab::status(root, "one").unwrap(),
        SiteStatus::Absent
    );

    let rest = site.rest().unwrap();
    for (path, expected) in [
        ("/task/count", 120),
        ("/job/count?timers=true", 60),
        ("/external-task/count", 20),
        ("/incident/count", 0),
    ] {
        assert_eq!(rest::count(&rest, path).await.unwrap(), expected, "{path}");
    }
    rest::complete_an_instance(&rest, PATIENCE).await.unwrap();
    // The engine's own records have the node's name.
    let database = site.database_address().unwrap();
    let hosts = "select distinct HOSTNAME_ from ACT_HI_JOB_LOG where HOSTNAME_ <> 'seed'";
    let hosts = database
        .sql_as(Login::Guest, site::DATABASE_NAME, hosts)
        .await;
    assert_eq!(hosts.unwrap(), "n1");

    let traffic = Traffic::begin(&site.base_url, traffic::CLIENTS).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let report = traffic.end().await;
    println!(
        "{kind}: node started in {} ms\n{report}",
        site.nodes[0].start_ms
    );
    assert_eq!(report.last_line(), "failed=0");
    assert!(
        report.ok() >= 2 * traffic::CLIENTS * 6,
        "hardly any traffic"
    );

    let pid_file = site.nodes[0].dir.join("node.pid");
    let pid = std::fs::read_to_string(pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let node = liftlock_lab::ProcessId::of(pid).unwrap();
    let before = site::down(root, "one").await.unwrap();
    assert_eq!(before, CamundaStatus::Up(Box::new(site)));
    assert!(!node.is_alive());
    assert!(!root.join("one").exists());
    assert_eq!(site::status(root, "one").unwrap(), CamundaStatus::Absent);
}

#[tokio::test]
async fn a_camunda_site_on_postgresql_serves_and_leaves_nothing() {
    serves(DatabaseKind::PostgreSql).await;
}

#[tokio::test]
async fn a_camunda_site_on_mariadb_serves_and_leaves_nothing() {
    serves(DatabaseKind::MariaDb).await;
}
