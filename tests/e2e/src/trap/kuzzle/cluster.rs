//! Traps in settings, nodes, the repository and the new cluster.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use liftlock_lab::HandedNode;
use liftlock_lab::HttpTarget;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use super::scene::Scene;
use crate::kuzzle::ALLOCATION;
use crate::kuzzle::KuzzleStage;
use crate::proof::ensure;
use crate::trap::answer::Meant::Blocker;
use crate::trap::answer::Meant::Info;
use crate::trap::says;
use crate::trap::until;

async fn set(storage: &HttpTarget, scope: &str, settings: Value) -> anyhow::Result<()> {
    let body = json!({ scope: settings });
    storage.put("/_cluster/settings", &body).await?;
    Ok(())
}

/// A shard that may go to no node.
pub(super) async fn red(scene: &mut Scene) -> anyhow::Result<()> {
    let storage = scene.storage()?;
    let settings = json!({ "settings": {
        "number_of_replicas": 1,
        "index.routing.allocation.require._name": "nobody",
    } });
    storage
        .put("/trap?wait_for_active_shards=0", &settings)
        .await?;
    scene
        .finds(&[
            (Blocker, "kuzzle.storage-red"),
            (Blocker, "kuzzle.not-settled"),
            // It asks the storage for its health.
            (Blocker, "kuzzle.unhealthy"),
        ])
        .await?;
    storage.send(Method::DELETE, "/trap", None).await?;
    scene.is_mended().await
}

/// An upgrade by hand was broken off in the middle.
pub(super) async fn allocation_left(scene: &mut Scene) -> anyhow::Result<()> {
    let storage = scene.storage()?;
    set(&storage, "transient", json!({ ALLOCATION: "primaries" })).await?;
    scene
        .finds_one(
            Blocker,
            "kuzzle.allocation-restricted",
            &[ALLOCATION, "primaries"],
        )
        .await?;
    set(&storage, "transient", json!({ ALLOCATION: null })).await?;
    scene.is_mended().await
}

/// The watermark is above what any disk has free; the lab's servers do not look at their disks by themselves.
pub(super) async fn disk_low(scene: &mut Scene) -> anyhow::Result<()> {
    let storage = scene.storage()?;
    let key = |name: &str| format!("cluster.routing.allocation.disk.{name}");
    let keys = [
        "threshold_enabled",
        "watermark.low",
        "watermark.high",
        "watermark.flood_stage",
    ]
    .map(key);
    let settings =
        |values: [Value; 4]| Value::Object(keys.clone().into_iter().zip(values).collect());
    let high = [json!(true), json!("9000tb"), json!("1mb"), json!("1mb")];
    set(&storage, "persistent", settings(high)).await?;
    scene
        .finds_one(Blocker, "kuzzle.disk-low", &["bytes are free"])
        .await?;
    set(&storage, "persistent", settings([const { Value::Null }; 4])).await?;
    scene.is_mended().await
}

/// Somebody took it off the cluster; its files are there.
pub(super) async fn repository_gone(scene: &mut Scene) -> anyhow::Result<()> {
    let storage = scene.storage()?;
    let registered = storage.get("/_snapshot/backups").await?["backups"].clone();
    storage
        .send(Method::DELETE, "/_snapshot/backups", None)
        .await?;
    scene
        .finds_one(Blocker, "kuzzle.backups-not-reached", &["backups"])
        .await?;
    storage.put("/_snapshot/backups", &registered).await?;
    scene.is_mended().await
}

/// A label with a typing error.
pub(super) async fn node_without_service(scene: &mut Scene) -> anyhow::Result<()> {
    scene
        .set_site_file("node = \"n2\"", "node = \"n22\"")
        .await?;
    scene
        .finds_one(Blocker, "kuzzle.node-without-service", &["n2"])
        .await?;
    scene.mend_site_file().await?;
    scene.is_mended().await
}

/// The new version was laid on two machines of three.
pub(super) async fn artifact_missing(scene: &mut Scene) -> anyhow::Result<()> {
    let stage = scene.rolling()?;
    let versions = stage.site.nodes[1].dir().join("versions");
    let [here, away] = [versions.join(stage.to()), versions.join("elsewhere")];
    fs::rename(&here, &away).context("cannot move the new version")?;
    scene
        .finds_one(
            Blocker,
            "kuzzle.artifact-missing",
            &["service.node-n2", "7.17"],
        )
        .await?;
    fs::rename(&away, &here).context("cannot move the new version back")?;
    scene.is_mended().await
}

/// The third node holds data and may not be elected: whichever of the other two is stopped, nobody is.
pub(super) async fn two_managers(scene: &mut Scene) -> anyhow::Result<()> {
    let stage = scene.rolling()?;
    let node = &stage.site.nodes[2];
    let (file, text) = configuration(node)?;
    let (old, new) = ("node.roles: [master,", "node.roles: [");
    ensure(
        text.contains(old),
        format!("`{old}` is not in `{}`", file.display()),
    )?;
    fs::write(&file, text.replace(old, new))?;
    start_anew(stage, node).await?;
    scene
        .finds_one(
            Blocker,
            "kuzzle.manager-outage",
            &["only n1 and n2 can be elected"],
        )
        .await?;
    fs::write(&file, text)?;
    let stage = scene.rolling()?;
    start_anew(stage, &stage.site.nodes[2]).await?;
    scene.is_mended().await
}

/// The file that a node was started with, and its text.
fn configuration(node: &HandedNode) -> anyhow::Result<(PathBuf, String)> {
    let configuration = format!("conf-{}/elasticsearch.yml", node.current()?);
    let file = node.dir().join(configuration);
    let text = fs::read_to_string(&file).context("cannot read the node's configuration")?;
    Ok((file, text))
}

/// Ends a node, starts it, and waits until the cluster is whole again.
async fn start_anew(stage: &KuzzleStage, node: &HandedNode) -> anyhow::Result<()> {
    let storage = stage.storage()?;
    let all = stage.site.nodes.len();
    for process in node.processes() {
        process.kill();
    }
    let is = async |nodes: usize, status: &str| {
        let path = format!("/_cluster/health?wait_for_nodes={nodes}&timeout=1s{status}");
        let health = storage.get(&path).await;
        Ok(health.is_ok_and(|health| health["timed_out"] == false))
    };
    until("the cluster is without the node", || is(all - 1, "")).await?;
    node.start()?;
    let whole = "&wait_for_status=green&wait_for_no_relocating_shards=true";
    until("the node is back", || is(all, whole)).await
}

/// A node's file has a setting that 8 does not know.
pub(super) async fn setting_removed(scene: &mut Scene) -> anyhow::Result<()> {
    let line = "cluster.join.timeout: 61s";
    let stage = scene.rolling()?;
    let (file, text) = configuration(&stage.site.nodes[2])?;
    fs::write(&file, format!("{text}{line}\n"))?;
    start_anew(stage, &stage.site.nodes[2]).await?;
    scene
        .finds_one(Blocker, "kuzzle.setting-removed", &["n3", line])
        .await?;
    fs::write(&file, text)?;
    let stage = scene.rolling()?;
    start_anew(stage, &stage.site.nodes[2]).await?;
    scene.is_mended().await
}

/// A collection is held to a tier as 7.17 alone understands it; beside that it has a setting without effect in 8, which
/// is told and holds nothing up.
pub(super) async fn tier_filter(scene: &mut Scene) -> anyhow::Result<()> {
    let stored = scene.rolling()?.site.seeded.collections[0].stored_as();
    let path = format!("/{}/_settings", stored.replace('&', "%26"));
    let storage = scene.storage()?;
    let [tier, level] = [
        "index.routing.allocation.include._tier",
        "index.search.slowlog.level",
    ];
    let preference = json!({ "index.routing.allocation.include._tier_preference": "data_content" });
    storage.put(&path, &json!({ level: "info" })).await?;
    storage.put(&path, &json!({ tier: "data_content" })).await?;
    let found = scene
        .finds(&[
            (Blocker, "kuzzle.tier-filter"),
            (Info, "kuzzle.index-setting-removed"),
        ])
        .await?;
    for (found, key) in found.iter().zip([tier, level]) {
        says(&found.all, &stored)?;
        says(&found.all, key)?;
    }
    storage.put(&path, &preference).await?;
    storage.put(&path, &json!({ tier: null })).await?;
    storage.put(&path, &json!({ level: null })).await?;
    scene.is_mended().await
}

/// A template for collections has a setting that no index of 8 can be made with.
pub(super) async fn template_of_removed(scene: &mut Scene) -> anyhow::Result<()> {
    let storage = scene.storage()?;
    let key = "index.max_adjacency_matrix_filters";
    let template = json!({ "index_patterns": ["&*"], "settings": { key: 50 } });
    storage.put("/_template/trap", &template).await?;
    scene
        .finds_one(Blocker, "kuzzle.template-of-removed", &["trap", key])
        .await?;
    storage
        .send(Method::DELETE, "/_template/trap", None)
        .await?;
    scene.is_mended().await
}

/// A Kuzzle was started on it to see whether it works.
pub(super) async fn new_not_empty(scene: &mut Scene) -> anyhow::Result<()> {
    let new = scene.beside()?.site.new.target().clone();
    new.put("/%25kuzzle.users", &json!({})).await?;
    scene
        .finds_one(Blocker, "kuzzle.new-not-empty", &["%kuzzle.users"])
        .await?;
    new.send(Method::DELETE, "/%25kuzzle.users", None).await?;
    scene.is_mended().await
}

/// The site file names the same cluster twice.
pub(super) async fn new_is_the_old(scene: &mut Scene) -> anyhow::Result<()> {
    let [old, new] = {
        let site = &scene.beside()?.site;
        [&site.old, &site.new].map(|it| format!("nodes = [\"{}\"]", it.base_url()))
    };
    scene.set_site_file(&new, &old).await?;
    let before = scene.state().await?;
    let told = scene.operator.run(&["check", scene.beside()?.to()]).await?;
    ensure(
        told.code == Some(3) && told.says("kuzzle.new-is-the-old"),
        told.to_string(),
    )?;
    scene.untouched(&before).await?;
    scene.mend_site_file().await?;
    scene.is_mended().await
}
