//! The database's heap: raised by the plan where its configuration and its service are bound, though the database
//! is away meanwhile, and taken back by a rollback.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::time::Duration;

use liftlock_e2e::Kit;
use liftlock_e2e::Simulated;
use liftlock_e2e::Stage;
use liftlock_e2e::proof;
use liftlock_e2e::stage::Pretend;
use liftlock_lab::SiteSpec;
use liftlock_testkit::Product;

/// What the database's node is started with.
const OPTIONS: &str = "## -Xms4g\n-Xms512m\n-Xmx512m\n-XX:+UseG1GC\n";

/// How long the restarted database does not answer, beyond the restart of its process.
const AWAY: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_small_heap_is_raised_while_the_run_waits_for_the_database() {
    let kit = Kit::build().unwrap();
    let cluster = Simulated::start_as(Product::OpenSearch2, 1).await.unwrap();
    cluster.set_heap(512 << 20).unwrap();
    let stage = Stage::new(&kit, cluster.target(), &cluster.repository())
        .await
        .unwrap();
    let round = stage.fresh(&SiteSpec::default()).await.unwrap();
    let operator = &round.operator;

    // A process that is restarted in the database's place; with it the simulated node goes away and comes back.
    let pid_file = round.folder().join("database.pid");
    let database = Pretend::start(&round.folder().join("optimize-server"), &pid_file).unwrap();
    let config = round.folder().join("database-config");
    fs::create_dir(&config).unwrap();
    fs::write(config.join("jvm.options"), OPTIONS).unwrap();
    let site = operator.site().join("site.toml");
    let text = fs::read_to_string(&site).unwrap()
        + "\n"
        + &database
            .site_toml()
            .replace("[service.optimize]", "[service.database]")
        + &format!(
            "\n[disk.database-config]\npath = \"{}\"\n",
            config.display()
        );
    fs::write(&site, text).unwrap();

    proof::introduce(&round).await.unwrap();
    let checked = operator.run(&["check", proof::TO]).await.unwrap();
    assert!(checked.says("the plan sets the heap to 1g"), "{checked}");
    let plan = proof::approved(&round).await.unwrap();
    let command = ["run", plan.as_str()];
    let run = operator.start(&command).unwrap();
    let watch = async {
        while database.is_running() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        cluster.stop_node().await.unwrap();
        tokio::time::sleep(AWAY).await;
        cluster.set_heap(1 << 30).unwrap();
        cluster.start_node().await.unwrap();
    };
    let (told, ()) = tokio::join!(operator.wait(&command, run), watch);
    let told = told.unwrap().expect(0).unwrap();
    assert!(!told.says("optimize.heap-not-raised"), "{told}");
    let raised = fs::read_to_string(config.join("jvm.options")).unwrap();
    assert_eq!(
        raised,
        OPTIONS.replace("\n-Xms512m\n-Xmx512m", "\n-Xms1g\n-Xmx1g")
    );

    let run = proof::last_run(operator).await.unwrap();
    let back = ["rollback", &run, "--yes", "--reason", "only a trial"];
    operator.run(&back).await.unwrap().expect(0).unwrap();
    assert_eq!(
        fs::read_to_string(config.join("jvm.options")).unwrap(),
        OPTIONS
    );
    let started = fs::read_to_string(&pid_file).unwrap();
    if let Some(process) = started
        .trim()
        .parse()
        .ok()
        .and_then(liftlock_lab::ProcessId::of)
    {
        process.kill();
    }
}
