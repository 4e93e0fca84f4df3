//! Traps in the jobs that nodes take: locks that a stop leaves, and jobs that nobody takes any more.

use std::fs;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;

use super::runs::goes_on;
use super::runs::stopped;
use super::scene::Scene;
use crate::proof::ensure;

/// When the locks of these traps expire.
const UNTIL: &str = "2031-01-02 03:04:05";

/// How long a run may take to get to a node.
const PATIENCE: Duration = Duration::from_secs(60);

/// A job as an engine writes it.
async fn job(scene: &Scene, id: &str, owner: Option<&str>) -> anyhow::Result<()> {
    let lock = match owner {
        Some(owner) => format!("'{owner}', '{UNTIL}'"),
        None => "null, null".into(),
    };
    let sql = format!(
        "insert into ACT_RU_JOB (ID_, REV_, TYPE_, RETRIES_, SUSPENSION_STATE_, LOCK_OWNER_, LOCK_EXP_TIME_) \
         values ('{id}', 1, 'message', 3, 1, {lock})"
    );
    scene.sql(&sql).await.map(drop)
}

/// Whose locks are those of a node, as its health says.
fn owner(scene: &Scene, node: usize) -> anyhow::Result<String> {
    let pids = scene.place.nodes[node].pids();
    let pid = pids.first().context("the node does not run")?;
    Ok(format!("owner-{pid}"))
}

/// Waits until a node runs from the new version's files.
async fn until_switched(scene: &Scene, node: usize) -> anyhow::Result<()> {
    let link = scene.place.nodes[node].dir.join("current");
    let end = Instant::now() + PATIENCE;
    while !fs::read_link(&link)?.ends_with(scene.to()) {
        ensure(Instant::now() < end, "the node is not taken")?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The first node ends without giving a job back. The third one has a lock as well, which is its own as long as it runs.
pub(super) async fn locked(scene: &mut Scene) -> anyhow::Result<()> {
    let [gone, runs] = [owner(scene, 0)?, owner(scene, 2)?];
    job(scene, "j-gone", Some(&gone)).await?;
    job(scene, "j-runs", Some(&runs)).await?;
    let plan = scene.approved().await?;
    let done = async {
        until_switched(scene, 0).await?;
        scene
            .sql("delete from ACT_RU_JOB where ID_ = 'j-runs'")
            .await?;
        Ok(())
    };
    let told = scene.runs_while(&["run", &plan], done).await?.expect(0)?;
    for part in [
        "n1: no job stays locked by a node that is down (camunda.jobs-locked)",
        "1 in all",
        &format!("1 by `{gone}` until {UNTIL}"),
    ] {
        ensure(told.says(part), format!("`{part}` is not said\n{told}"))?;
    }
    ensure(
        !told.says(&runs),
        format!("the lock of a node that runs is told\n{told}"),
    )?;
    let lock = scene
        .sql("select LOCK_OWNER_, LOCK_EXP_TIME_ from ACT_RU_JOB where ID_ = 'j-gone'")
        .await?;
    ensure(
        lock.contains(&gone) && lock.contains(UNTIL),
        format!("the lock was touched: {lock}"),
    )?;
    scene.say(
        "told with its expiry when the node had stopped and when the run ended, and left as it is",
    );
    Ok(())
}

/// A job waits when the first node is back, and nobody takes it.
pub(super) async fn stand_still(scene: &mut Scene) -> anyhow::Result<()> {
    job(scene, "j-before", None).await?;
    let usual = "soak-seconds = 0";
    let short = format!("{usual}\non-trouble = \"pause\"\njobs-seconds = 2");
    scene.set_site_file(usual, &short).await?;
    let plan = scene.approved().await?;
    let comes = async {
        until_switched(scene, 0).await?;
        job(scene, "j-waits", None).await
    };
    let told = scene.runs_while(&["run", &plan], comes).await?;
    let reason = stopped(
        told,
        21,
        &["camunda.jobs-stand-still", "n1-jobs", "1 jobs wait"],
    )?;
    scene.say(reason);
    let third = &scene.place.nodes[2];
    ensure(
        fs::read_link(third.dir.join("current"))?.ends_with(scene.from()),
        "the third node was taken",
    )?;
    scene
        .sql("delete from ACT_RU_JOB where ID_ = 'j-waits'")
        .await?;
    goes_on(scene).await
}
