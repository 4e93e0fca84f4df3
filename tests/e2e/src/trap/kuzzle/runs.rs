//! Traps in what comes up when a run begins or is under way.

use std::fs;

use anyhow::Context;
use liftlock_lab::HttpTarget;
use reqwest::Method;

use super::scene::Scene;
use crate::kuzzle::ALLOCATION;
use crate::proof::ensure;
use crate::proof::last_run;
use crate::trap::until;

/// Exit code: the plan no longer fits.
const STALE: i32 = 11;

async fn elected(storage: &HttpTarget) -> anyhow::Result<String> {
    let rows = storage.get("/_cat/master?format=json&h=node").await?;
    let name = rows[0]["node"].as_str().context("nobody is elected")?;
    Ok(name.to_owned())
}

/// After the approval another node was elected.
pub(super) async fn manager_moved(scene: &mut Scene) -> anyhow::Result<()> {
    let stage = scene.rolling()?;
    let storage = stage.storage()?;
    let plan = scene.operator.approved(stage.to()).await?;
    let before = elected(&storage).await?;
    let path = format!("/_cluster/voting_config_exclusions?node_names={before}");
    storage.send(Method::POST, &path, None).await?;
    until("another node is elected", || async {
        Ok(elected(&storage).await? != before)
    })
    .await?;
    let path = "/_cluster/voting_config_exclusions?wait_for_removal=false";
    storage.send(Method::DELETE, path, None).await?;
    let state = scene.state().await?;
    let told = scene.operator.run(&["run", &plan]).await?;
    let told = told.expect(STALE)?;
    let why = "the order of the steps differs";
    ensure(
        told.says(why),
        format!("it does not say that {why}\n{told}"),
    )?;
    scene.say(format!("run: {why}"));
    scene.untouched(&state).await?;
    scene.is_mended().await
}

/// Each new version's start script starts the old one: a link that nobody follows.
pub(super) async fn wrong_join(scene: &mut Scene) -> anyhow::Result<()> {
    scene.is_spent = true;
    let stage = scene.rolling()?;
    let to = stage.to();
    let plan = scene.operator.approved(to).await?;
    let mut kept = Vec::new();
    for node in &stage.site.nodes {
        let versions = node.dir().join("versions");
        let file = versions.join(to).join("start");
        kept.push((file.clone(), fs::read(&file)?));
        let old = fs::read(versions.join(node.current()?).join("start"))?;
        fs::write(&file, old)?;
    }
    let told = scene.operator.run(&["run", &plan]).await?;
    ensure(
        told.code != Some(0) && told.says("kuzzle.wrong-join"),
        format!("it does not say that it is the wrong version\n{told}"),
    )?;
    let switched = stage
        .site
        .nodes
        .iter()
        .filter(|node| node.current().is_ok_and(|version| version == to))
        .count();
    ensure(switched == 1, format!("{switched} nodes were taken"))?;
    let settings = stage
        .storage()?
        .get("/_cluster/settings?flat_settings=true")
        .await?;
    ensure(
        !settings.to_string().contains(ALLOCATION),
        format!("allocation was not given back: {settings}"),
    )?;
    let run = last_run(&scene.operator).await?;
    for (file, text) in kept {
        fs::write(file, text)?;
    }
    // It runs the old version from the new one's folder: whoever mended the script starts it anew. A resume does not: its
    // start was done.
    let stage = scene.rolling()?;
    for node in &stage.site.nodes {
        if node.current()? == to {
            for process in node.processes() {
                process.kill();
            }
            until("the old process is gone", || async {
                Ok(node.processes().is_empty())
            })
            .await?;
            node.start()?;
        }
    }
    scene.operator.run(&["resume", &run]).await?.expect(0)?;
    scene.rolling()?.all_are_new().await?;
    let line = told.stderr.lines().find(|line| line.contains("wrong-join"));
    scene.say(format!("run: {}", line.unwrap_or_default().trim()));
    scene.say("mended and resumed: every node is new");
    Ok(())
}
