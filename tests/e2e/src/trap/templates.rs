//! Traps in templates: those of others that catch our names, and ours in another kind.

use reqwest::Method;
use serde_json::json;

use super::answer::Meant::Info;
use super::answer::Meant::Warning;
use super::scene::Scene;

/// Name of the template that a provider puts over everything.
const PROVIDER: &str = "provider-everything";

/// Puts the provider's template there.
pub(super) async fn put_provider(scene: &Scene<'_>) -> anyhow::Result<()> {
    let body = json!({
        "index_patterns": ["*"],
        "priority": 0,
        "template": {
            "settings": { "index": { "number_of_replicas": 0, "refresh_interval": "30s" } },
            "mappings": { "properties": { "provider-note": { "type": "keyword" } } },
        },
    });
    let path = format!("/_index_template/{PROVIDER}");
    scene.set(Method::PUT, &path, Some(body)).await
}

/// Takes it away.
pub(super) async fn remove_provider(scene: &Scene<'_>) -> anyhow::Result<()> {
    let path = format!("/_index_template/{PROVIDER}");
    scene.mend(Method::DELETE, &path, None).await?;
    Ok(())
}

pub(super) async fn wildcard(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    put_provider(scene).await?;
    let found = scene
        .finds(&[(Warning, "optimize.template-catches-ours")])
        .await?;
    super::says(&found[0].all, PROVIDER)?;
    remove_provider(scene).await?;
    scene.is_mended().await
}

pub(super) async fn composable_twin(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let name = scene.name("external-process-variable_v2");
    let body = json!({ "index_patterns": [format!("{name}*")], "priority": 1, "template": {} });
    let path = format!("/_index_template/{name}");
    scene.set(Method::PUT, &path, Some(body)).await?;
    scene
        .finds(&[(Info, "optimize.template-of-other-kind")])
        .await?;
    scene.mend(Method::DELETE, &path, None).await?;
    scene.is_mended().await
}
