//! Traps in the nodes and their places in the balancer.

use anyhow::Context;
use liftlock_lab::AdminState;
use serde_json::json;

use super::place::CHECK;
use super::scene::Scene;
use crate::machine;
use crate::proof::ensure;
use crate::trap::answer::Meant::Blocker;
use crate::trap::answer::Meant::Warning;

/// One of three was forgotten when the others were upgraded the last time.
pub(super) async fn of_another_minor(scene: &mut Scene) -> anyhow::Result<()> {
    let node = &scene.place.nodes[1];
    let older = node.home("7.20.0");
    std::fs::create_dir(&older)?;
    node.kill().await?;
    node.run_from("7.20.0")?;
    node.start().await?;
    scene
        .finds_one(
            Blocker,
            "camunda.node-of-another-version",
            &["n2 7.20.0", "n1 7.21.0"],
        )
        .await?;
    let node = &scene.place.nodes[1];
    node.kill().await?;
    node.run_from(scene.from())?;
    node.start().await?;
    std::fs::remove_dir(&older)?;
    scene.is_mended().await
}

/// Its data source leads elsewhere: it tells another installation's id.
pub(super) async fn on_another_database(scene: &mut Scene) -> anyhow::Result<()> {
    let node = &scene.place.nodes[2];
    let good = node.facts()?;
    let mut facts = good.clone();
    facts["installation"] = json!("6a1f0000-0000-4000-8000-000000000000");
    node.say(&facts)?;
    let ours = good["installation"].as_str().context("an id")?.to_owned();
    scene
        .finds_one(
            Blocker,
            "camunda.node-on-another-database",
            &["\"n3\"", "6a1f0000-", &ours],
        )
        .await?;
    scene.place.nodes[2].say(&good)?;
    scene.is_mended().await
}

/// The label names a server that the balancer's configuration has lost.
pub(super) async fn not_in_balancer(scene: &mut Scene) -> anyhow::Result<()> {
    let all = scene.place.behind();
    scene.place.balancer.reload(&all[..2], CHECK).await?;
    scene
        .finds_one(
            Blocker,
            "camunda.node-not-in-balancer",
            &["\"n3\"", "`camunda/n3`", "site.toml"],
        )
        .await?;
    scene.place.balancer.reload(&all, CHECK).await?;
    for server in &all {
        let patience = std::time::Duration::from_secs(20);
        let balancer = &scene.place.balancer;
        balancer.wait_status(&server.name, "UP", patience).await?;
    }
    scene.is_mended().await
}

/// First of one node, whose data source leads to nobody; then of all, with the server itself.
pub(super) async fn database_down(scene: &mut Scene) -> anyhow::Result<()> {
    let node = &scene.place.nodes[0];
    let good = node.facts()?;
    let mut facts = good.clone();
    facts["database"] = json!(machine::free_port()?);
    node.say(&facts)?;
    scene
        .finds_one(
            Blocker,
            "camunda.database-down",
            &["\"n1\"", "needs the database"],
        )
        .await?;
    scene.place.nodes[0].say(&good)?;
    scene.is_mended().await?;

    let before = scene.state().await?;
    scene.database.kill();
    let serving = scene.place.balancer.stats().await?;
    ensure(
        serving.values().all(|row| row.status == "UP"),
        format!("the balancer noticed: {serving:?}"),
    )?;
    for command in ["check", "plan"] {
        let told = scene
            .operator()
            .run(&[command, scene.to()])
            .await?
            .expect(4)?;
        for part in [
            "database.engine",
            &scene.database.address().port().to_string(),
        ] {
            ensure(told.says(part), format!("`{part}` is not named\n{told}"))?;
        }
        let line = told.stderr.lines().find(|line| line.contains("error"));
        scene.say(format!("{command}: {}", line.unwrap_or_default()));
    }
    scene.database.restart().await?;
    scene.untouched(&before).await?;
    scene.is_mended().await
}

/// The engines' driver keeps prepared statements, and the operator says that all is well.
pub(super) async fn cached_plans(scene: &mut Scene) -> anyhow::Result<()> {
    let safe = "cached-plans = \"safe\"";
    let url = "jdbc-url = \"jdbc:postgresql://db/camunda?ApplicationName=n1\"";
    scene.set_site_file(safe, &format!("{safe}\n{url}")).await?;
    scene
        .finds_one(
            Blocker,
            "camunda.jdbc-cached-plans",
            &["option jdbc-url", "autosave=conservative"],
        )
        .await?;
    scene
        .set_site_file(
            safe,
            &format!("{}&autosave=conservative\"", &url[..url.len() - 1]),
        )
        .await?;
    scene.is_mended().await?;

    let conf = scene.place.nodes[1].dir.join("conf");
    std::fs::create_dir(&conf)?;
    let file = conf.join("application.properties");
    let line = "spring.datasource.url=jdbc:postgresql://db/camunda";
    std::fs::write(&file, line)?;
    let binding = format!(
        "[disk.node-n2]\npath = \"{}\"\n\n[disk.engine]",
        conf.display()
    );
    scene.set_site_file("[disk.engine]", &binding).await?;
    scene
        .finds_one(
            Blocker,
            "camunda.jdbc-cached-plans",
            &["\"n2\"", "the file of n2", "autosave=conservative"],
        )
        .await?;
    std::fs::write(&file, format!("{line}?prepareThreshold=0"))?;
    scene.is_mended().await
}

/// No node runs jobs.
pub(super) async fn executor_off(scene: &mut Scene) -> anyhow::Result<()> {
    scene
        .set_site_file_everywhere("jobs = \"yes\"", "jobs = \"no\"")
        .await?;
    scene
        .finds_one(
            Warning,
            "camunda.executor-off",
            &["jobs = \\\"no\\\"", "timers"],
        )
        .await?;
    Ok(())
}

/// A run that was aborted left a server in maintenance.
pub(super) async fn left_out(scene: &mut Scene) -> anyhow::Result<()> {
    let balancer = &scene.place.balancer;
    balancer.set_state("n2", AdminState::Maint).await?;
    scene
        .finds_one(
            Warning,
            "camunda.server-left-out",
            &["\"camunda/n2\"", "`traffic.balancer`", "state ready"],
        )
        .await?;
    let balancer = &scene.place.balancer;
    balancer.set_state("n2", AdminState::Ready).await?;
    let patience = std::time::Duration::from_secs(20);
    balancer.wait_status("n2", "UP", patience).await?;
    scene.is_mended().await
}
