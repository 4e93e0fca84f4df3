//! Traps in indices and aliases.

use liftlock_lab::HttpTarget;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use super::scene::Scene;
use crate::proof::ensure;
use crate::trap::answer::Meant;
use crate::trap::answer::Meant::Blocker;
use crate::trap::answer::Meant::Warning;

/// A collection that only a trap has, and its alias.
const OF_TRAP: &str = "/%26trap.collection";
const ALIAS_OF_TRAP: &str = "@%26trap.collection";

async fn make(storage: &HttpTarget, replicas: u32) -> anyhow::Result<()> {
    let body = json!({
        "settings": { "number_of_replicas": replicas },
        "aliases": { "@&trap.collection": {} },
    });
    storage.put(OF_TRAP, &body).await?;
    is_green(storage, OF_TRAP).await
}

/// Copies of an index that is new, or was closed, are started one after the other, which is a finding of its own.
async fn is_green(storage: &HttpTarget, index: &str) -> anyhow::Result<()> {
    let path = format!("/_cluster/health{index}?wait_for_status=green&timeout=30s");
    storage.get(&path).await?;
    Ok(())
}

async fn remove(storage: &HttpTarget, path: &str) -> anyhow::Result<()> {
    storage.send(Method::DELETE, path, None).await?;
    Ok(())
}

/// A collection that has this is found.
async fn is_found(
    scene: &mut Scene,
    replicas: u32,
    (meant, id): (Meant, &str),
    spoil: (Method, &str, Option<Value>),
) -> anyhow::Result<()> {
    let storage = scene.storage()?;
    make(&storage, replicas).await?;
    scene.is_mended().await?;
    let (method, path, body) = spoil;
    let (status, answer) = storage
        .send(method, &format!("{OF_TRAP}{path}"), body.as_ref())
        .await?;
    ensure(status == 200, format!("{path}: {status} {answer}"))?;
    is_green(&storage, OF_TRAP).await?;
    scene.finds_one(meant, id, &["&trap.collection"]).await?;
    remove(&storage, OF_TRAP).await?;
    scene.is_mended().await
}

/// It was put aside and forgotten.
pub(super) async fn closed(scene: &mut Scene) -> anyhow::Result<()> {
    let close = (Method::POST, "/_close", None);
    is_found(scene, 1, (Warning, "kuzzle.closed"), close).await
}

/// Its index is no part of any snapshot.
pub(super) async fn closed_beside(scene: &mut Scene) -> anyhow::Result<()> {
    let storage = scene.storage()?;
    make(&storage, 0).await?;
    storage
        .send(Method::POST, &format!("{OF_TRAP}/_close"), None)
        .await?;
    scene
        .finds_one(Blocker, "kuzzle.closed-index", &["&trap.collection"])
        .await?;
    remove(&storage, OF_TRAP).await?;
    scene.is_mended().await
}

/// Somebody made it read-only.
pub(super) async fn blocked(scene: &mut Scene) -> anyhow::Result<()> {
    let block = json!({ "index.blocks.write": true });
    let block = (Method::PUT, "/_settings", Some(block));
    is_found(scene, 1, (Warning, "kuzzle.blocked"), block).await
}

/// A copy on one node only.
pub(super) async fn no_replica(scene: &mut Scene) -> anyhow::Result<()> {
    let alone = json!({ "index.number_of_replicas": 0 });
    let alone = (Method::PUT, "/_settings", Some(alone));
    is_found(scene, 1, (Blocker, "kuzzle.no-replica"), alone).await
}

/// Made by somebody who worked around Kuzzle.
pub(super) async fn stray(scene: &mut Scene) -> anyhow::Result<()> {
    let storage = scene.storage()?;
    make(&storage, 1).await?;
    remove(&storage, &format!("{OF_TRAP}/_alias/{ALIAS_OF_TRAP}")).await?;
    scene
        .finds_one(Warning, "kuzzle.stray-index", &["&trap.collection"])
        .await?;
    remove(&storage, OF_TRAP).await?;
    scene.is_mended().await
}

/// Left by a copy that was broken off.
pub(super) async fn alias_of_several(scene: &mut Scene) -> anyhow::Result<()> {
    let storage = scene.storage()?;
    make(&storage, 1).await?;
    let copy = json!({ "aliases": { "@&trap.collection": {} } });
    storage.put("/copy-of-trap", &copy).await?;
    is_green(&storage, "/copy-of-trap").await?;
    scene
        .finds_one(
            Blocker,
            "kuzzle.alias-of-several",
            &["@&trap.collection", "copy-of-trap"],
        )
        .await?;
    for path in ["/copy-of-trap", OF_TRAP] {
        remove(&storage, path).await?;
    }
    scene.is_mended().await
}
