//! Traps in the site's own indices: blocks, aliases, and what the upgrade deletes.

use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use super::answer::Meant::Blocker;
use super::scene::Scene;
use crate::proof::ensure;

/// An index that the upgrade does not write to; the vendor's sync fails at it all the same.
const BLOCKED: &str = "alert_v4";

async fn block(scene: &Scene<'_>, block: &str, value: Value) -> anyhow::Result<()> {
    let path = format!("/{}/_settings", scene.name(BLOCKED));
    let body = json!({ format!("index.blocks.{block}"): value });
    if value.is_null() {
        scene.mend(Method::PUT, &path, Some(body)).await.map(drop)
    } else {
        scene.set(Method::PUT, &path, Some(body)).await
    }
}

pub(super) async fn read_only(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    block(scene, "read_only", json!(true)).await?;
    scene.finds(&[(Blocker, "optimize.index-blocked")]).await?;
    block(scene, "read_only", Value::Null).await?;
    scene.is_mended().await
}

/// What the finding says of the server is what the server does.
pub(super) async fn read_only_allow_delete(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    block(scene, "read_only_allow_delete", json!(true)).await?;
    let found = scene.finds(&[(Blocker, "optimize.index-blocked")]).await?;
    let path = format!("/{}/_settings", scene.name(BLOCKED));
    let body = json!({ "index.refresh_interval": "2s" });
    let (status, _) = scene
        .ground
        .target
        .send(Method::PUT, &path, Some(&body))
        .await?;
    let says = if scene.ground.is_opensearch {
        ensure(status == 429, format!("settings got {status}, not 429"))?;
        "refuses documents, settings and mappings"
    } else {
        ensure(status == 200, format!("settings got {status}, not 200"))?;
        "refuses documents and lets settings and mappings pass"
    };
    super::says(&found[0].why, says)?;
    block(scene, "read_only_allow_delete", Value::Null).await?;
    scene.is_mended().await
}

async fn alias(scene: &Scene<'_>, action: Value) -> anyhow::Result<()> {
    let body = json!({ "actions": [action] });
    scene.set(Method::POST, "/_aliases", Some(body)).await
}

pub(super) async fn doomed_alias_missing(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let index = scene.round.facts.doomed_index.clone();
    let on = json!({ "index": index, "alias": scene.name("variable-update-instance") });
    alias(scene, json!({ "remove": on })).await?;
    scene
        .finds(&[(Blocker, "optimize.doomed-alias-missing")])
        .await?;
    let mut add = on;
    add["is_write_index"] = json!(true);
    alias(scene, json!({ "add": add })).await?;
    scene.is_mended().await
}

pub(super) async fn doomed_has_documents(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let path = format!("/{}/_doc/one", scene.round.facts.doomed_index);
    let document = json!({ "instanceId": "one", "name": "a", "type": "String", "value": "b" });
    // Not refreshed: a count that does not refresh says 0.
    scene.set(Method::PUT, &path, Some(document)).await?;
    scene
        .finds(&[(Blocker, "optimize.doomed-index-has-documents")])
        .await?;
    let path = format!("{path}?refresh=true");
    scene.mend(Method::DELETE, &path, None).await?;
    scene.is_mended().await
}

pub(super) async fn partially_deleted(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let index = scene.name("tenant_v3");
    super::identity::lose(scene, &index).await?;
    let found = scene.finds(&[(Blocker, "optimize.index-missing")]).await?;
    super::says(&found[0].all, &scene.name("tenant"))?;
    super::identity::bring_back(scene, &index).await?;
    scene.is_mended().await
}
