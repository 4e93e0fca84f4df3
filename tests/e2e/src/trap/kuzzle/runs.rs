//! Traps in what comes up when a run begins or is under way.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use liftlock_lab::HttpTarget;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use super::scene::Scene;
use crate::kuzzle::ALLOCATION;
use crate::kuzzle::KuzzleStage;
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

/// While the first node is down somebody sets a filter that keeps collections from every node. The run waits, says what
/// for in the server's own words, and goes on once it is taken off.
pub(super) async fn replica_held_back(scene: &mut Scene) -> anyhow::Result<()> {
    scene.is_spent = true;
    let stage = scene.rolling()?;
    let plan = scene.operator.approved(stage.to()).await?;
    let arguments = ["run", plan.as_str()];
    let child = scene.operator.start(&arguments)?;
    let (told, held) = tokio::join!(scene.operator.wait(&arguments, child), hold_back(stage));
    held?;
    let told = told?.expect(0)?;
    let why = "away: node matches index setting [index.routing.allocation.exclude";
    let line = told.stderr.lines().find(|line| line.contains(why));
    let line = line.with_context(|| format!("it does not say `{why}`\n{told}"))?;
    scene.rolling()?.all_are_new().await?;
    scene.say(format!("run: {}", line.trim()));
    scene.say("mended while it waited: every node is new");
    Ok(())
}

/// How long a run has to notice and to say that it waits.
const HELD_BACK: Duration = Duration::from_secs(15);

/// Lets collections be on no node from when the first one is down until it is back and some time longer.
async fn hold_back(stage: &KuzzleStage) -> anyhow::Result<()> {
    let nodes = &stage.site.nodes;
    let down = || nodes.iter().position(|node| node.processes().is_empty());
    until("a node is down", || async { Ok(down().is_some()) }).await?;
    let at = down().context("no node is down")?;
    let other = nodes[(at + 1) % nodes.len()].target()?;
    let filter = async |value: Value| {
        let settings = json!({ "index.routing.allocation.exclude._name": value });
        other.put("/%26*/_settings", &settings).await
    };
    filter(json!("n*")).await?;
    until("it is back in its new version", || async {
        let path = "/_cat/nodes?format=json&h=version";
        let rows = other.get(path).await?;
        let mut rows = rows.as_array().context("no list of nodes")?.iter();
        Ok(rows.any(|row| row["version"] == stage.to()))
    })
    .await?;
    tokio::time::sleep(HELD_BACK).await;
    filter(Value::Null).await?;
    Ok(())
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
