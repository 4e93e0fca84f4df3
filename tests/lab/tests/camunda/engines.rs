//! Real engines behind HAProxy on both databases.

use std::time::Duration;
use std::time::Instant;

use liftlock_lab::DatabaseKind;
use liftlock_lab::DatabaseServer;
use liftlock_lab::Login;
use liftlock_lab::SiteStatus;
use liftlock_lab::camunda::CamundaSpec;
use liftlock_lab::camunda::CamundaStatus;
use liftlock_lab::camunda::EngineDatabase;
use liftlock_lab::camunda::EngineVersion;
use liftlock_lab::camunda::Node;
use liftlock_lab::camunda::NodeSpec;
use liftlock_lab::camunda::PgJdbc;
use liftlock_lab::camunda::StartCommand;
use liftlock_lab::camunda::Traffic;
use liftlock_lab::camunda::rest;
use liftlock_lab::camunda::schema;
use liftlock_lab::camunda::seed;
use liftlock_lab::camunda::site;
use liftlock_lab::camunda::traffic;
use serde_json::json;

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

    // The seed stays as it was made: the next copy has no more instances than the first had.
    let begun = Instant::now();
    database.copy(seed::TEMPLATE, "again").await.unwrap();
    let copy_ms = begun.elapsed().as_millis();
    let tasks = "select count(*) from ACT_RU_TASK";
    assert_eq!(database.sql("again", tasks).await.unwrap(), "120");

    let traffic = Traffic::begin(&site.base_url, traffic::CLIENTS).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let report = traffic.end().await;
    println!(
        "{kind}: seed copied in {copy_ms} ms, node started in {} ms\n{report}",
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

#[tokio::test]
async fn an_engine_holds_its_jobs_survives_a_crash_and_leaves_nothing() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let server = DatabaseServer::start(DatabaseKind::PostgreSql, dir.path().join("database"))
        .await
        .unwrap();
    let address = server.address();
    address.create("camunda").await.unwrap();
    schema::create(address, "camunda", EngineVersion::V7_22)
        .await
        .unwrap();
    let log = "select VERSION_ from ACT_GE_SCHEMA_LOG";
    assert_eq!(address.sql("camunda", log).await.unwrap(), "7.22.0");

    let database = EngineDatabase::owned(address, "camunda");
    let mut spec = NodeSpec::new(EngineVersion::V7_22, "alone", database);
    spec.has_quiesce = true;
    spec.pgjdbc = PgJdbc::ConservativeAutosave;
    spec.application_name = Some("its-sessions".into());
    // A secret is in no argument, nor in what is shown of the command.
    let command = StartCommand::new(&spec, 1, dir.path().join("node"));
    let command = format!("{:?}", command.await.unwrap());
    let password = address.password(Login::Owner);
    assert!(!command.contains(password.reveal()), "{command}");
    let mut node = Node::start(spec, dir.path().join("node")).await.unwrap();
    let pid = std::fs::read_to_string(node.pid_file()).unwrap();
    assert_eq!(pid.trim(), node.process().pid.to_string());
    let sessions =
        "select count(*) > 0 from pg_stat_activity where application_name = 'its-sessions'";
    assert_eq!(address.sql("camunda", sessions).await.unwrap(), "t");
    rest::deploy(node.rest(), "lab").await.unwrap();
    rest::complete_an_instance(node.rest(), PATIENCE)
        .await
        .unwrap();

    // Held, a job stays where it is; let go, it runs.
    let endpoint = "/actuator/jobexecutor";
    let hold = json!({ "active": false });
    let held = node.rest().post(endpoint, &hold).await.unwrap();
    assert_eq!(held["active"], false);
    rest::start(node.rest(), "batch", &[("ms", json!(10))])
        .await
        .unwrap();
    let open = "/job/count";
    assert_eq!(rest::count(node.rest(), open).await.unwrap(), 1);

    // After a crash it has the same port, and takes its jobs up again.
    let process = node.process().clone();
    node.kill();
    assert!(!process.is_alive());
    node.restart().await.unwrap();
    assert_ne!(&process, node.process());
    let end = Instant::now() + PATIENCE;
    while rest::count(node.rest(), open).await.unwrap() > 0 {
        assert!(Instant::now() < end, "the job does not run");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let process = node.process().clone();
    let begun = Instant::now();
    node.stop().await;
    println!("stopped in {} ms", begun.elapsed().as_millis());
    assert!(!process.is_alive());
    let left = "select count(*) from ACT_RU_JOB where LOCK_OWNER_ is not null";
    assert_eq!(address.sql("camunda", left).await.unwrap(), "0");
    server.stop().await;
}
