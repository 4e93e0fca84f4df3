//! Traps in what Kuzzle is told of its storage, and in what it says of itself.

use super::scene::Scene;
use crate::kuzzle::TOKEN;
use crate::trap::answer::Meant::Blocker;

const SEVEN: &str = "\"majorVersion\": \"7\"";

/// Somebody prepared the configuration a day early.
pub(super) async fn mode_ahead(scene: &mut Scene) -> anyhow::Result<()> {
    let eight = "\"majorVersion\": \"8\"";
    is_found(scene, eight, "kuzzle.mode-ahead").await
}

/// As Kuzzle's guide has it.
pub(super) async fn mode_a_number(scene: &mut Scene) -> anyhow::Result<()> {
    is_found(scene, "\"majorVersion\": 7", "kuzzle.mode-no-text").await
}

/// Kuzzle has a default of its own.
pub(super) async fn mode_not_said(scene: &mut Scene) -> anyhow::Result<()> {
    is_found(scene, "\"minorVersion\": \"17\"", "kuzzle.mode-not-said").await
}

async fn is_found(scene: &mut Scene, wrong: &str, id: &str) -> anyhow::Result<()> {
    scene.configure(SEVEN, wrong)?;
    scene.finds_one(Blocker, id, &["disk.kuzzle"]).await?;
    scene.configure(wrong, SEVEN)?;
    scene.is_mended().await
}

/// It ended after its hour.
pub(super) async fn token_refused(scene: &mut Scene) -> anyhow::Result<()> {
    let usual = scene.operator.clone();
    scene.operator = usual.clone().env(TOKEN, "ended");
    scene
        .finds_one(
            Blocker,
            "kuzzle.token-refused",
            &["endpoint.kuzzle", "security.token.invalid"],
        )
        .await?;
    scene.operator = usual;
    scene.is_mended().await
}

/// The options name another address than the configuration has, as after a change of one of them.
pub(super) async fn address_not_said(scene: &mut Scene) -> anyhow::Result<()> {
    let address = format!("\naddress = \"{}\"", scene.storage()?.base_url());
    let other = "\naddress = \"http://storage.example:9200\"";
    scene.set_site_file(&address, other).await?;
    scene
        .finds_one(
            Blocker,
            "kuzzle.address",
            &["http://storage.example:9200", "0 times"],
        )
        .await?;
    scene.mend_site_file().await?;
    scene.is_mended().await
}
