//! Traps that a run comes upon when it is under way: it stops where it is, and goes on when they are mended.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::AdminState;
use tokio::task::JoinSet;

use super::scene::Scene;
use crate::operator::Told;
use crate::proof::ensure;
use crate::proof::last_run;
use crate::trap::answer::Meant;

/// A run stopped with this code, and said all of this; its line with the first of it.
pub(super) fn stopped(told: Told, code: i32, says: &[&str]) -> anyhow::Result<String> {
    let told = told.expect(code)?;
    for part in says {
        ensure(told.says(part), format!("`{part}` is not said\n{told}"))?;
    }
    let reason = says.first().copied().unwrap_or_default();
    let lines = told.stderr.lines().chain(told.stdout.lines());
    let mut lines = lines.filter(|line| line.contains(reason));
    Ok(lines.next().unwrap_or_default().trim().to_owned())
}

/// Goes on with the last run, to its end.
pub(super) async fn goes_on(scene: &mut Scene) -> anyhow::Result<()> {
    let run = last_run(scene.operator()).await?;
    scene.runs(&["resume", &run]).await?.expect(0)?;
    is_upgraded(scene).await?;
    scene.say("mended and resumed, the run came to its end");
    Ok(())
}

async fn is_upgraded(scene: &Scene) -> anyhow::Result<()> {
    for node in &scene.place.nodes {
        let link = fs::read_link(node.dir.join("current"))?;
        ensure(
            link.ends_with(scene.to()),
            format!("`{}` runs from `{}`", node.name, link.display()),
        )?;
    }
    let stats = scene.place.balancer.stats().await?;
    ensure(
        stats.values().all(|row| row.status == "UP"),
        format!("{stats:?}"),
    )
}

/// Nodes and servers of a state, without what the schema's steps change.
async fn nodes(scene: &Scene) -> anyhow::Result<Vec<String>> {
    let all = scene.state().await?;
    let is_of_nodes = |line: &String| line.starts_with('n') || line.starts_with("server ");
    Ok(all.into_iter().filter(is_of_nodes).collect())
}

/// A report holds a table for longer than the run is willing to let others wait behind it.
pub(super) async fn foreign_lock(scene: &mut Scene) -> anyhow::Result<()> {
    scene
        .set_site_file("soak-seconds = 0", "soak-seconds = 0\nlock-tries = 1")
        .await?;
    let plan = scene.approved().await?;
    let before = scene.state().await?;
    let address = scene.database.address().clone();
    let report = tokio::spawn(async move {
        let sql = "begin; lock table act_ru_task in access share mode; select pg_sleep(600)";
        address.sql(super::place::DATABASE, sql).await
    });
    let holder = "select pid from pg_locks where relation = 'act_ru_task'::regclass and granted \
                  and mode = 'AccessShareLock'";
    let end = std::time::Instant::now() + Duration::from_secs(10);
    let pid = loop {
        let told = scene.sql_as_admin(holder).await?;
        match told.lines().next() {
            Some(pid) => break pid.to_owned(),
            None if std::time::Instant::now() > end => bail!("nobody holds the lock"),
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let told = scene.runs(&["run", &plan]).await?;
    let reason = stopped(
        told,
        20,
        &[
            &format!("held by session {pid}"),
            "schema-columns",
            "nothing was changed",
        ],
    )?;
    scene.say(reason);
    let after = without_ours(scene.state().await?);
    crate::tally::same(&before, &after).context("the site")?;
    scene
        .sql_as_admin(&format!("select pg_terminate_backend({pid})"))
        .await?;
    // Its client ends with an error, as the session was ended.
    let _ = report.await;
    goes_on(scene).await
}

/// Without the tables of a run that is not over: its claim and its marks.
fn without_ours(state: Vec<String>) -> Vec<String> {
    state
        .into_iter()
        .filter(|line| !line.contains("liftlock_"))
        .collect()
}

/// Rows that an index is made over, and the room that its sorting may take. A full file system would need one of its
/// own, which nobody may mount; to the statement a limit of the role is the same: it fails with insufficient resources
/// when it is half done.
const ROWS: &str = "insert into ACT_HI_PROCINST (ID_, PROC_INST_ID_, PROC_DEF_ID_, START_TIME_) \
    select 'full-' || n, 'full-' || n, 'x', current_timestamp from generate_series(1, 100000) n";

pub(super) async fn disk_full(scene: &mut Scene) -> anyhow::Result<()> {
    scene.sql(ROWS).await?;
    for setting in ["maintenance_work_mem = '1MB'", "temp_file_limit = '64kB'"] {
        scene
            .sql_as_admin(&format!("alter role owner set {setting}"))
            .await?;
    }
    let plan = scene.approved().await?;
    let before = nodes(scene).await?;
    let told = scene.runs(&["run", &plan]).await?;
    let reason = stopped(told, 22, &["temp_file_limit", "schema-index-1"])?;
    scene.say(reason);
    crate::tally::same(&before, &nodes(scene).await?).context("nodes and balancer")?;
    let left = scene
        .sql("select count(*) from pg_class where relname = 'act_idx_hi_pro_rst_pro_inst_id'")
        .await?;
    ensure(left.trim() == "0", "half an index is left")?;
    for setting in ["maintenance_work_mem", "temp_file_limit"] {
        scene
            .sql_as_admin(&format!("alter role owner reset {setting}"))
            .await?;
    }
    goes_on(scene).await
}

/// HAProxy is reloaded while the first node is drained and still at work: what was asked of it is forgotten.
pub(super) async fn balancer_reloaded(scene: &mut Scene) -> anyhow::Result<()> {
    let plan = scene.approved().await?;
    let before = nodes(scene).await?;
    let polls = polls(scene);
    let reload = async {
        until_drained(scene, "n1").await?;
        reload(scene)
    };
    let told = scene.runs_while(&["run", &plan], reload).await?;
    let reason = stopped(
        told,
        21,
        &[
            "camunda.balancer-forgot",
            "`n1` is in state ready, not drain",
            "n1-stop",
        ],
    )?;
    scene.say(reason);
    drop(polls);
    crate::tally::same(&before, &nodes(scene).await?).context("nodes and balancer")?;
    scene.say("untouched: no node was stopped, and every server is ready");
    let again = scene.place.balancer.set_state("n1", AdminState::Drain);
    again.await?;
    goes_on(scene).await
}

/// A long poll at each node, so that none of them is idle as soon as it is drained.
fn polls(scene: &Scene) -> JoinSet<()> {
    let url = format!(
        "{}/engine-rest/external-task/fetchAndLock",
        scene.place.balancer.base_url()
    );
    let mut all = JoinSet::new();
    for _ in &scene.place.nodes {
        let poll = reqwest::Client::new().post(&url).send();
        all.spawn(async move {
            let _ = poll.await;
        });
    }
    all
}

async fn until_drained(scene: &Scene, node: &str) -> anyhow::Result<()> {
    let end = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let stats = scene.place.balancer.stats().await?;
        let status = stats.get(node).map(|row| row.status.clone());
        if status.is_some_and(|status| status.starts_with("DRAIN")) {
            return Ok(());
        }
        if std::time::Instant::now() > end {
            bail!("`{node}` was never drained: {stats:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn reload(scene: &Scene) -> anyhow::Result<()> {
    let pid = scene.place.balancer.process().pid.to_string();
    let ended = Command::new("kill").args(["-USR2", &pid]).status()?;
    ensure(ended.success(), "cannot signal HAProxy")
}

/// The second node's new version ends at once. The first one goes back by itself; mended, both are done.
pub(super) async fn never_comes_up(scene: &mut Scene) -> anyhow::Result<()> {
    let plan = scene.approved().await?;
    let broken = scene.place.nodes[1].home(scene.to()).join("broken");
    fs::write(&broken, "")?;
    let told = scene.runs(&["run", &plan]).await?;
    let reason = stopped(told, 22, &["n2-start", "n2"])?;
    scene.say(reason);
    let third = &scene.place.nodes[2];
    let link = fs::read_link(third.dir.join("current"))?;
    ensure(
        link.ends_with(scene.from()) && !third.pids().is_empty(),
        "the third node was taken",
    )?;
    let run = last_run(scene.operator()).await?;
    scene
        .runs(&["rollback", &run, "--unit", "n1", "--yes"])
        .await?
        .expect(0)?;
    fs::remove_file(&broken)?;
    goes_on(scene).await?;
    let keys: Vec<String> = scene.place.instances().lines().map(str::to_owned).collect();
    let wanted = [
        format!("{run}-n1"),
        format!("{run}.again-1-n1"),
        format!("{run}-n2"),
        format!("{run}-n3"),
    ];
    crate::tally::same(&wanted, &keys).context("canaries")?;
    scene.say("each start of a node was tried by an instance of its own");
    Ok(())
}

/// Somebody deploys when the first node is new and the others are not.
pub(super) async fn deployment(scene: &mut Scene) -> anyhow::Result<()> {
    let plan = scene.approved().await?;
    let deploy = async {
        let first = &scene.place.nodes[0];
        let end = std::time::Instant::now() + Duration::from_secs(60);
        while !fs::read_link(first.dir.join("current"))?.ends_with(scene.to()) {
            ensure(
                std::time::Instant::now() < end,
                "the first node is not taken",
            )?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // As an engine writes it.
        scene
            .sql(
                "insert into ACT_RE_DEPLOYMENT (ID_, NAME_, DEPLOY_TIME_) \
                 values ('d-window', 'in the window', current_timestamp)",
            )
            .await?;
        Ok(())
    };
    let told = scene.runs_while(&["run", &plan], deploy).await?;
    let reason = stopped(told, 21, &["in the window", "d-window"])?;
    scene.say(reason);
    let third = &scene.place.nodes[2];
    ensure(
        fs::read_link(third.dir.join("current"))?.ends_with(scene.from()),
        "the third node was taken",
    )?;
    scene
        .sql("delete from ACT_RE_DEPLOYMENT where ID_ = 'd-window'")
        .await?;
    goes_on(scene).await
}

/// A script that was killed on MariaDB, where each statement commits by itself: the row and the first column are there.
pub(super) async fn half_a_script(scene: &mut Scene) -> anyhow::Result<()> {
    let script = fs::read_to_string(scene.script()).context("the script")?;
    let (half, _) = script
        .rsplit_once("alter table")
        .context("its last statement")?;
    scene.sql(half).await?;
    scene
        .finds_one(
            Meant::Warning,
            "camunda.half-a-script",
            &["from 7.22 to 7.23", "1 of 2 objects"],
        )
        .await?;
    let plan = scene.approved().await?;
    let told = scene.runs(&["run", &plan]).await?.expect(0)?;
    ensure(
        told.says("schema-column-1") && !told.says("schema-column-2"),
        format!("it did not do what lacks, and that alone\n{told}"),
    )?;
    is_upgraded(scene).await?;
    let columns = scene
        .sql(
            "select count(*) from information_schema.columns where table_schema = database() and \
             (table_name, column_name) in (('ACT_HI_COMMENT', 'REV_'), ('ACT_RU_EXECUTION', 'PROC_DEF_KEY_'))",
        )
        .await?;
    ensure(columns.trim() == "2", format!("{columns} of 2 columns"))?;
    scene.say("the run did the rest, and nothing twice");
    Ok(())
}
