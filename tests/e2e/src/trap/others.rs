//! Traps that somebody else sets: a server task, a snapshot, an Optimize that runs, a second upgrader.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use liftlock_lab::Fault;
use liftlock_lab::Hold;
use liftlock_lab::HttpTarget;
use liftlock_lab::Rule;
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;
use tokio::task::JoinHandle;

use super::answer::Meant::Blocker;
use super::answer::Meant::Warning;
use super::identity::write_log;
use super::scene::Scene;
use crate::proof;
use crate::proof::TO;
use crate::proof::ensure;
use crate::tally::same;

/// Seconds that a throttled task of a real server waits after its first document: longer than a
/// trap takes.
const TASK_PAUSE_SECONDS: f64 = 1_000.0;

pub(super) async fn reindex_running(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let alias = scene.name("external-process-variable");
    let (source, copy) = (
        scene.name("external-process-variable_v2-000001"),
        scene.name("external-process-variable_v3-000001"),
    );
    // As the vendor's own step stands when its upgrader was killed in it.
    scene.moves(&copy);
    let body = json!({ "aliases": { &alias: { "is_write_index": false } } });
    scene
        .set(Method::PUT, &format!("/{copy}"), Some(body))
        .await?;
    let body = json!({
        "source": { "index": source, "size": 1 },
        "dest": { "index": copy },
        "script": { "lang": "painless", "source": "ctx._source.remove('serializationDataFormat')" },
    });
    let pace = 1.0 / TASK_PAUSE_SECONDS;
    let path = format!("/_reindex?wait_for_completion=false&requests_per_second={pace}");
    scene.set(Method::POST, &path, Some(body)).await?;
    let found = scene.finds(&[(Blocker, "optimize.task-running")]).await?;
    super::says(&found[0].all, "updated with Script")?;
    let path = "/_tasks/_cancel?actions=*reindex&wait_for_completion=true";
    scene.mend(Method::POST, path, None).await?;
    scene
        .mend(Method::DELETE, &format!("/{copy}"), None)
        .await?;
    scene.is_mended().await
}

/// Name of somebody else's snapshot.
const NIGHTLY: &str = "nightly";

/// Bytes of the index that makes a real snapshot slow; half of them once the server has compressed
/// them. How many the repository may write in a second. That is more than half a minute, in which a
/// check and a plan are done on a busy machine; then it is ended.
const BALLAST_BYTES: usize = 8 << 20;
const SLOW_BYTES: &str = "100kb";

/// Starts a snapshot of the doomed index that runs for a while.
pub(super) async fn start_snapshot(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let location = scene.ground.repositories.join(NIGHTLY);
    let body = json!({ "type": "fs", "settings": {
        "location": location.to_string_lossy(),
        "max_snapshot_bytes_per_sec": SLOW_BYTES,
    }});
    scene
        .mend(Method::PUT, &format!("/_snapshot/{NIGHTLY}"), Some(body))
        .await?;
    // A simulated snapshot runs for a number of requests, whatever is in it.
    let bytes = match scene.ground.simulated_cluster() {
        Some(_) => 1,
        None => BALLAST_BYTES,
    };
    // Text that does not compress.
    let mut state: u64 = 87;
    let mut text = String::with_capacity(bytes);
    while text.len() < bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        text.push_str(&format!("{state:016x}"));
    }
    let body = json!({ "mappings": { "properties": { "text": { "type": "binary" } } } });
    scene.mend(Method::PUT, "/ballast", Some(body)).await?;
    scene
        .mend(
            Method::PUT,
            "/ballast/_doc/1?refresh=true",
            Some(json!({ "text": text })),
        )
        .await?;
    let indices = format!("{},ballast", scene.round.facts.doomed_index);
    let body = json!({ "indices": indices, "include_global_state": false });
    let path = format!("/_snapshot/{NIGHTLY}/1?wait_for_completion=false");
    scene.mend(Method::PUT, &path, Some(body)).await?;
    Ok(())
}

/// Ends it, where it still runs, and takes it away.
pub(super) async fn end_snapshot(scene: &Scene<'_>) -> anyhow::Result<()> {
    scene.ground.let_time_pass();
    for path in ["/_snapshot/nightly/1", "/_snapshot/nightly", "/ballast"] {
        scene.ground.target.send(Method::DELETE, path, None).await?;
    }
    Ok(())
}

/// Looks that a waiting run takes at the snapshot before it is ended: more than its check and its
/// plan, which look too.
const LOOKS: usize = 8;

/// Ends it once a run has waited for it.
pub(super) async fn end_snapshot_when_waited_for(scene: &Scene<'_>) -> anyhow::Result<()> {
    super::until("the run waits for the snapshot", || async {
        let records = scene.stage.proxy.records();
        let looks = records
            .iter()
            .filter(|record| record.path.starts_with("/_snapshot/_status"));
        Ok(looks.count() >= LOOKS)
    })
    .await?;
    end_snapshot(scene).await
}

pub(super) async fn snapshot_running(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    start_snapshot(scene).await?;
    let found = scene.finds(&[(Warning, "optimize.snapshot-running")]).await;
    end_snapshot(scene).await?;
    found?;
    scene.is_mended().await
}

/// The id of a second upgrader's finding.
const SECOND: &str = "optimize.second-upgrader";

/// The vendor's first step, as another upgrader does it: the deletion, then its entry in the log.
async fn do_first_step(scene: &Scene<'_>) -> anyhow::Result<()> {
    let doomed = format!("/{}", scene.round.facts.doomed_index);
    scene.set(Method::DELETE, &doomed, None).await?;
    write_log(scene, 1).await
}

/// The first look of a check asks for it, and nothing else does.
const FIRST_LOOK: &str = "position-based-import-index_v3/_search";

/// It works while the check looks: the check stands at one of its own requests meanwhile.
pub(super) async fn second_upgrader_now(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    scene.stage.proxy.clear();
    let hold = Hold::new();
    let first_look = Rule::new(Fault::Hold(hold.clone())).path(FIRST_LOOK);
    scene.stage.proxy.add_rule(first_look);
    let arguments = ["check", TO, "--json"];
    let child = scene.round.operator.start(&arguments)?;
    let asked = scene
        .stage
        .proxy
        .wait_for(super::PATIENCE, |record| record.path.contains(FIRST_LOOK))
        .await;
    let acted = do_first_step(scene).await;
    hold.release();
    let told = scene.round.operator.wait(&arguments, child).await?;
    asked.context("the check never looked")?;
    acted?;
    let found = scene.judge(&told.expect(3)?, &[(Blocker, SECOND)])?;
    super::says(
        &found[0].what,
        "variable-update-instance_v2-000001` is gone",
    )?;
    super::says(&found[0].what, "the update log got")?;
    scene.show(&found);
    same(&[], &scene.stage.changes()).context("changing requests")?;
    scene.say("untouched: no changing request was sent");
    scene.stage.proxy.clear_rules();
    let told = scene.round.operator.run(&arguments).await?.expect(0)?;
    scene.judge(&told, &[]).context("after it has ended")?;
    scene.say("after it has ended it is found no more");
    Ok(())
}

/// It works between the approval and the run.
pub(super) async fn second_upgrader_since_plan(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let plan = proof::plan(&scene.round).await?;
    scene.round.operator.approve(&plan).await?;
    do_first_step(scene).await?;
    let before = scene.dump().await?;
    scene.stage.proxy.clear();
    let told = scene.run(&["run", &plan]).await?.expect(3)?;
    ensure(
        told.says(SECOND),
        format!("it does not say {SECOND}\n{told}"),
    )?;
    scene.say(format!("run: exit 3, {SECOND}"));
    scene.untouched(&before).await?;
    let told = scene.round.operator.run(&["plan", TO]).await?.expect(0)?;
    let skips = "done already at";
    ensure(
        told.says(skips),
        format!("it does not say `{skips}`\n{told}"),
    )?;
    scene.say("after the remedy a new plan skips what the other one has done");
    Ok(())
}

/// Between two writes of the stand-in for a busy importer. Optimize writes its positions every few
/// seconds; two looks of a check are a fraction of a second apart.
const WRITE_EVERY: Duration = Duration::from_millis(10);

/// Moves an import position all the time, as an Optimize does that imports.
struct Importer(JoinHandle<()>);

impl Importer {
    fn start(target: &HttpTarget, index: &str) -> Self {
        let target = target.clone();
        let path = format!("/{index}/_doc/moving?refresh=true");
        Self(tokio::spawn(async move {
            for position in 1_u64.. {
                let body = json!({ "positionOfLastEntity": position.to_string() });
                // It ends with the trap; a write that fails shows as a position that stands still.
                let _ = target.send(Method::PUT, &path, Some(&body)).await;
                tokio::time::sleep(WRITE_EVERY).await;
            }
        }))
    }
}

impl Drop for Importer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A second Optimize, of which `site.toml` knows nothing: the check sees it write, and a run, which
/// stops the one it knows, waits and says what is written, with nothing changed.
pub(super) async fn optimize_running(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let positions = scene.name("position-based-import-index_v3");
    scene.moves(&positions);
    let plan = proof::plan(&scene.round).await?;
    scene.round.operator.approve(&plan).await?;
    let importer = Importer::start(&scene.ground.target, &positions);
    let before = scene.dump().await?;
    scene.stage.proxy.clear();
    run_until_it_waits(scene, &plan, &positions).await?;
    let run = proof::last_run(&scene.round.operator).await?;
    let reason = "another Optimize runs";
    let told = scene.run(&["abort", &run, "--reason", reason]).await?;
    told.expect(0)?;
    scene.borrowed_only(&before).await?;
    // Now the bound Optimize is stopped, and yet somebody imports.
    let found = scene.finds(&[(Warning, "optimize.still-writing")]).await?;
    super::says(&found[0].what, "position-based-import-index")?;
    drop(importer);
    scene.is_mended().await?;
    scene.renew().await
}

/// Starts a run and ends it with Ctrl-C once it says that it waits because of that index.
async fn run_until_it_waits(scene: &Scene<'_>, plan: &str, index: &str) -> anyhow::Result<()> {
    let arguments = ["run", plan];
    let mut child = scene.round.operator.start(&arguments)?;
    let pid = child.id().context("the run ended at once")?;
    let output = child.stderr.take().context("the run has no output")?;
    let mut lines = BufReader::new(output).lines();
    let mut said = Vec::new();
    let waits = async {
        while let Some(line) = lines.next_line().await? {
            let is_it = line.contains("written since the last look") && line.contains(index);
            said.push(line);
            if is_it {
                return anyhow::Ok(true);
            }
        }
        Ok(false)
    };
    let waits = tokio::time::timeout(super::PATIENCE, waits).await;
    // Also where it never waited: a run must not outlive its trap.
    let interrupt = tokio::process::Command::new("kill")
        .args(["-INT", &pid.to_string()])
        .stdout(Stdio::null())
        .status()
        .await
        .context("cannot send the signal of Ctrl-C")?;
    let drained = async { while let Ok(Some(_)) = lines.next_line().await {} };
    let (told, ()) = tokio::join!(scene.round.operator.wait(&arguments, child), drained);
    let told = told?;
    ensure(
        matches!(waits, Ok(Ok(true))),
        format!("it did not wait for `{index}`: {}", said.join("\n")),
    )?;
    ensure(interrupt.success(), "the run was gone before the signal")?;
    told.expect(20)?;
    Ok(())
}
