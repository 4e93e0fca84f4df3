//! Traps in which nobody knows what site this is: metadata, prefixes, versions, the update log.

use std::fs;

use anyhow::Context;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use super::answer::Meant::Blocker;
use super::answer::Meant::Info;
use super::scene::Scene;
use crate::proof::ensure;
use crate::stage::REPOSITORY;

/// The document with the schema version.
fn metadata(scene: &Scene<'_>) -> String {
    format!("/{}/_doc/1", scene.name("metadata_v3"))
}

async fn set_version(scene: &Scene<'_>, version: &str) -> anyhow::Result<()> {
    let document = json!({
        "schemaVersion": version,
        "installationId": scene.round.facts.installation_id,
    });
    let path = format!("{}?refresh=true", metadata(scene));
    scene.set(Method::PUT, &path, Some(document)).await
}

async fn put_version_back(scene: &Scene<'_>) -> anyhow::Result<()> {
    let document = json!({
        "schemaVersion": scene.round.facts.schema_version,
        "installationId": scene.round.facts.installation_id,
    });
    let path = format!("{}?refresh=true", metadata(scene));
    scene.mend(Method::PUT, &path, Some(document)).await?;
    Ok(())
}

pub(super) async fn document_missing(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let path = format!("{}?refresh=true", metadata(scene));
    scene.set(Method::DELETE, &path, None).await?;
    scene
        .finds(&[(Blocker, "optimize.metadata-document-missing")])
        .await?;
    put_version_back(scene).await?;
    scene.is_mended().await
}

pub(super) async fn index_missing(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let index = scene.name("metadata_v3");
    lose(scene, &index).await?;
    scene
        .finds(&[(Blocker, "optimize.metadata-missing")])
        .await?;
    bring_back(scene, &index).await?;
    scene.is_mended().await
}

/// Where [`lose`] keeps what it takes away.
const KEPT: &str = "before-it-was-lost";

/// Deletes an index of which there is a snapshot.
pub(super) async fn lose(scene: &Scene<'_>, index: &str) -> anyhow::Result<()> {
    let body = json!({ "indices": index, "include_global_state": false });
    let path = format!("/_snapshot/{REPOSITORY}/{KEPT}?wait_for_completion=false");
    scene.mend(Method::PUT, &path, Some(body)).await?;
    scene.ground.let_time_pass();
    super::until("the snapshot is whole", || async {
        let path = format!("/_snapshot/{REPOSITORY}/{KEPT}");
        let answer = scene.ground.target.get(&path).await?;
        Ok(answer["snapshots"][0]["state"] == "SUCCESS")
    })
    .await?;
    scene.set(Method::DELETE, &format!("/{index}"), None).await
}

/// Restores it.
pub(super) async fn bring_back(scene: &Scene<'_>, index: &str) -> anyhow::Result<()> {
    let body = json!({ "indices": index, "include_global_state": false, "include_aliases": true });
    let path = format!("/_snapshot/{REPOSITORY}/{KEPT}/_restore?wait_for_completion=true");
    scene.mend(Method::POST, &path, Some(body)).await?;
    let path = format!("/_snapshot/{REPOSITORY}/{KEPT}");
    scene.mend(Method::DELETE, &path, None).await?;
    Ok(())
}

pub(super) async fn wrong_prefix(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    scene
        .set_site_file("prefix = \"optimize\"", "prefix = \"acme\"")
        .await?;
    let found = scene.finds(&[(Blocker, "optimize.wrong-prefix")]).await?;
    super::says(&found[0].remedy, "prefix = \"optimize\"")?;
    scene.mend_site_file().await?;
    scene.is_mended().await
}

pub(super) async fn overlapping_prefix(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    scene
        .set_site_file("neighbours = \"optimize-team-a\"\n", "")
        .await?;
    let found = scene
        .finds(&[(Blocker, "optimize.overlapping-prefix")])
        .await?;
    super::says(&found[0].remedy, "neighbours = \"optimize-team-a\"")?;
    scene.mend_site_file().await?;
    scene.is_mended().await
}

pub(super) async fn schema_newer(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    set_version(scene, "8.9.0").await?;
    scene.finds(&[(Blocker, "optimize.schema-newer")]).await?;
    put_version_back(scene).await?;
    scene.is_mended().await
}

pub(super) async fn minor_skipped(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    set_version(scene, "8.6.5").await?;
    let found = scene.finds(&[(Info, "optimize.several-hops")]).await?;
    super::says(&found[0].all, "8.6.5 to 8.7.0")?;
    super::says(
        &found[0].all,
        "Schema version saved in Metadata [8.6.5] must be one of [8.7, 8.8.0]",
    )?;
    // Whatever was asked for: the plan is of the first hop.
    let plan = fs::read_to_string(scene.round.plan_file()?)?;
    let plan: Value = serde_json::from_str(&plan).context("the plan is no JSON")?;
    ensure(
        plan["plan"]["steps"]
            .to_string()
            .contains("\\\"schemaVersion\\\":\\\"8.7.0\\\""),
        "the plan does not end at 8.7.0",
    )?;
    scene.say("the plan that is written is of the first hop, to 8.7.0");
    put_version_back(scene).await?;
    scene.is_mended().await
}

/// The vendor's update log of a finished upgrade to 8.8.0.
const LOGGED: [(&str, &str); 3] = [
    ("schema-delete-index", "variable-update-instance_v2"),
    (
        "schema-delete-template",
        "variable-update-instance_v2[Template]",
    ),
    (
        "schema-delete-template",
        "external-process-variable_v2[Template]",
    ),
];

/// The id of such an entry, as it stands in a path.
fn log_path(scene: &Scene<'_>, kind: &str, name: &str) -> String {
    let id = format!("8.8.0_{kind}_{name}")
        .replace('[', "%5B")
        .replace(']', "%5D");
    format!("/{}/_doc/{id}?refresh=true", scene.name("update-log_v1"))
}

/// Makes the vendor's update log with its first `count` entries.
pub(super) async fn write_log(scene: &Scene<'_>, count: usize) -> anyhow::Result<()> {
    let keyword = json!({ "type": "keyword" });
    let body = json!({
        "aliases": { scene.name("update-log"): { "is_write_index": true } },
        "settings": { "index": { "number_of_replicas": 1, "refresh_interval": "2s" } },
        "mappings": { "dynamic": "strict", "properties": {
            "indexName": keyword, "optimizeVersion": keyword, "stepType": keyword,
            "stepNumber": { "type": "long" }, "appliedDate": { "type": "date" },
        } },
    });
    let path = format!("/{}", scene.name("update-log_v1"));
    scene.set(Method::PUT, &path, Some(body)).await?;
    for (at, (kind, name)) in LOGGED.iter().take(count).enumerate() {
        let entry = json!({
            "indexName": name, "optimizeVersion": "8.8.0", "stepType": kind,
            "stepNumber": at + 1, "appliedDate": "2026-11-21T09:05:59.626Z",
        });
        let path = log_path(scene, kind, name);
        scene.set(Method::PUT, &path, Some(entry)).await?;
    }
    Ok(())
}

pub(super) async fn log_kept(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    write_log(scene, LOGGED.len()).await?;
    scene
        .finds(&[(Blocker, "optimize.update-log-contradicts")])
        .await?;
    for (kind, name) in LOGGED {
        let path = log_path(scene, kind, name);
        scene.mend(Method::DELETE, &path, None).await?;
    }
    scene.is_mended().await?;
    let path = format!("/{}", scene.name("update-log_v1"));
    scene.mend(Method::DELETE, &path, None::<Value>).await?;
    Ok(())
}
