//! Traps in the database itself: its version, its heap, its disks.

use liftlock_lab::Fault;
use liftlock_lab::Rule;
use serde_json::Value;
use serde_json::json;

use super::answer::Meant::Blocker;
use super::answer::Meant::Warning;
use super::ground::Ground;
use super::scene::Scene;

/// Heap of a node that is too small: half of what the vendor asks for.
const SMALL_HEAP: u64 = 512 << 20;

/// Answers a path with what the server says, changed: a server of another version or size cannot be
/// had for each trap.
async fn pretend(
    scene: &Scene<'_>,
    path: &str,
    pattern: &str,
    change: impl FnOnce(&mut Value),
) -> anyhow::Result<()> {
    let mut answer = scene.ground.target.get(path).await?;
    change(&mut answer);
    let answer = Fault::Answer {
        status: 200,
        body: answer.to_string(),
    };
    let rule = Rule::new(answer).method("GET").path_pattern(pattern)?;
    scene.stage.proxy.add_rule(rule);
    Ok(())
}

pub(super) async fn too_old(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let old = if scene.ground.is_opensearch {
        "2.16.0"
    } else {
        "8.15.3"
    };
    pretend(scene, "/", "^/$", |answer| {
        answer["version"]["number"] = json!(old);
    })
    .await?;
    let found = scene
        .finds(&[(Blocker, "optimize.database-too-old")])
        .await?;
    super::says(&found[0].what, old)?;
    scene.stage.proxy.clear_rules();
    scene.is_mended().await
}

pub(super) async fn small_heap(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    // The lab's real servers have such a heap anyway.
    if let Some(cluster) = scene.ground.simulated_cluster() {
        cluster.set_heap(0, SMALL_HEAP)?;
    }
    let found = scene.finds(&[(Warning, "optimize.heap-small")]).await;
    if let Some(cluster) = scene.ground.simulated_cluster() {
        cluster.set_heap(0, liftlock_testkit::HEAP_BYTES_DEFAULT)?;
    }
    super::says(&found?[0].what, "its heap is")?;
    scene.is_mended().await
}

/// Low, high and flood-stage watermark, as free bytes.
pub(super) struct Watermarks(&'static str, &'static str, &'static str);

/// More than any disk has free.
const MORE_THAN_THERE_IS: &str = "900tb";

/// Every disk is past its flood stage.
const FLOOD: Watermarks = Watermarks(MORE_THAN_THERE_IS, MORE_THAN_THERE_IS, MORE_THAN_THERE_IS);

/// Every disk is past its low watermark only. What a disk of a shared machine has free changes all
/// the time; these hold whatever it is.
const LOW: Watermarks = Watermarks(MORE_THAN_THERE_IS, "2b", "1b");

/// Sets them on a real server; none puts back what it was started with.
pub(super) async fn watermarks(ground: &Ground, marks: Option<&Watermarks>) -> anyhow::Result<()> {
    let of = |pick: fn(&Watermarks) -> &'static str| marks.map(pick);
    let body = json!({ "transient": {
        "cluster.routing.allocation.disk.threshold_enabled": of(|_| "true"),
        "cluster.routing.allocation.disk.watermark.low": of(|marks| marks.0),
        "cluster.routing.allocation.disk.watermark.high": of(|marks| marks.1),
        "cluster.routing.allocation.disk.watermark.flood_stage": of(|marks| marks.2),
        // How often the server looks at its disks; it takes no shorter time.
        "cluster.info.update.interval": of(|_| "10s"),
    }});
    ground.target.put("/_cluster/settings", &body).await?;
    Ok(())
}

/// Disk of a simulated node, and what of it is free past the flood stage and past the low watermark
/// of 85 per cent.
const DISK: u64 = 100 << 30;
const FREE_IN_FLOOD: u64 = 1 << 30;
const FREE_WHEN_LOW: u64 = 14 << 30;

async fn fill(scene: &Scene<'_>, free: u64, marks: &Watermarks) -> anyhow::Result<()> {
    match scene.ground.simulated_cluster() {
        Some(cluster) => cluster.set_disk(0, DISK, free)?,
        None => watermarks(scene.ground, Some(marks)).await?,
    }
    Ok(())
}

async fn empty(scene: &Scene<'_>) -> anyhow::Result<()> {
    let (total, free) = liftlock_testkit::DISK_BYTES_DEFAULT;
    match scene.ground.simulated_cluster() {
        Some(cluster) => cluster.set_disk(0, total, free)?,
        None => watermarks(scene.ground, None).await?,
    }
    Ok(())
}

/// The block of a full disk, and the one that OpenSearch puts on the whole cluster then.
const FULL_DISK: &str = "index.blocks.read_only_allow_delete";
const NO_NEW_INDEX: &str = "cluster.blocks.create_index";

/// Takes the blocks of a full disk off, and the one that a trap sets.
pub(super) async fn unblock(ground: &Ground) -> anyhow::Result<()> {
    // One after another: together with another block OpenSearch lifts neither.
    for block in ["index.blocks.read_only", FULL_DISK] {
        let body = json!({ block: null });
        ground.target.put("/_all/_settings", &body).await?;
    }
    if ground.is_opensearch {
        let none = json!({ NO_NEW_INDEX: null });
        let body = json!({ "persistent": none, "transient": none });
        ground.target.put("/_cluster/settings", &body).await?;
    }
    Ok(())
}

pub(super) async fn flood(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    fill(scene, FREE_IN_FLOOD, &FLOOD).await?;
    let mut expected = vec![
        (Blocker, "optimize.disk-flood"),
        (Blocker, "optimize.index-blocked"),
        (Blocker, "optimize.no-room-for-trial-restore"),
    ];
    let path = format!("/{}/_settings?flat_settings=true", scene.name("alert_v4"));
    let mut signs = vec![(path, FULL_DISK)];
    // Seen on real ones: with every node past its mark OpenSearch makes no index any more, anywhere.
    if scene.ground.is_opensearch && scene.ground.simulated_cluster().is_none() {
        expected.push((Blocker, "optimize.cluster-blocked"));
        let path = "/_cluster/settings?flat_settings=true".to_owned();
        signs.push((path, NO_NEW_INDEX));
    }
    for (path, sign) in &signs {
        let set = format!("\"{sign}\":\"true\"");
        super::until(&format!("the server sets `{sign}`"), || async {
            let answer = scene.ground.target.get(path).await?;
            Ok(answer.to_string().contains(&set))
        })
        .await?;
    }
    let found = scene.finds(&expected).await;
    empty(scene).await?;
    unblock(scene.ground).await?;
    super::says(&found?[0].what, "below the watermark")?;
    scene.is_mended().await
}

pub(super) async fn too_little(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    fill(scene, FREE_WHEN_LOW, &LOW).await?;
    let found = scene
        .finds(&[
            (Blocker, "optimize.no-room-for-trial-restore"),
            (Warning, "optimize.disk-low"),
        ])
        .await;
    empty(scene).await?;
    found?;
    scene.is_mended().await
}
