//! Traps in the step that brings an index to a new version, of the vendor's plan from 3.13 to 8.6: here its own
//! upgrader loses documents and ends with exit 0.

use liftlock_lab::Dump;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use super::answer::Meant::Blocker;
use super::answer::Meant::Warning;
use super::runs::ARCHIVE;
use super::runs::put_archive_named;
use super::scene::Scene;
use crate::proof;
use crate::proof::ensure;
use crate::tally::same;

const OLD: &str = "settings_v2";
const NEW: &str = "settings_v3";

/// Ids of the documents that must be there at the end.
const IDS: [&str; 3] = ["a", "b", "c"];

fn document(lock: &str) -> Value {
    json!({ "sharingEnabled": true, "lastModifier": lock, "metadataTelemetryEnabled": false })
}

/// Lets the old index hold exactly [`IDS`]; `refresh` says whether a search sees them.
async fn fill_old(scene: &Scene<'_>, refresh: bool) -> anyhow::Result<()> {
    let old = scene.name(OLD);
    let path = format!("/{old}/_doc/1?refresh=true");
    scene.set(Method::DELETE, &path, None).await?;
    for id in IDS {
        let path = format!("/{old}/_doc/{id}?refresh={refresh}");
        scene.set(Method::PUT, &path, Some(document(id))).await?;
    }
    Ok(())
}

/// The ids of the new index are these, and the old one is gone.
fn arrived(scene: &Scene<'_>, after: &Dump) -> anyhow::Result<()> {
    let ids = after.get(&format!("/documents/{}", scene.name(NEW)));
    let ids = ids.and_then(Value::as_object);
    let mut found: Vec<String> = ids
        .into_iter()
        .flat_map(|all| all.keys().cloned())
        .collect();
    found.sort();
    same(&IDS.map(str::to_owned), &found)?;
    let old = after.get(&format!("/indices/{}", scene.name(OLD)));
    ensure(old.is_none(), "the old index is still there")
}

pub(super) async fn unrefreshed(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    put_archive_named(scene).await?;
    // As in the moment before the next refresh, for as long as the trap takes. Before the plan, which
    // makes the new index with the settings of the old one.
    let path = format!("/{}/_settings", scene.name(OLD));
    let body = json!({ "index.refresh_interval": "-1" });
    scene.set(Method::PUT, &path, Some(body)).await?;
    let plan = proof::plan(&scene.round).await?;
    scene.round.operator.approve(&plan).await?;
    fill_old(scene, false).await?;
    let path = format!("/{}/_count", scene.name(OLD));
    let seen = scene.ground.target.get(&path).await?["count"].clone();
    ensure(
        seen == 0,
        format!("a count without a refresh says {seen}, so that nothing is hidden from it"),
    )?;
    scene.run(&["run", &plan]).await?.expect(0)?;
    let after = scene.dump().await?;
    arrived(scene, &after)?;
    let kept = scene.name(&format!("{ARCHIVE}_v8"));
    ensure(
        after.get(&format!("/indices/{kept}")).is_some(),
        format!("`{kept}` of a live process was deleted"),
    )?;
    scene.say("run: all 3 documents that no count had seen are in the new index");
    scene.renew().await
}

pub(super) async fn equal_counts(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    fill_old(scene, true).await?;
    let new = scene.name(NEW);
    let body = json!({ "settings": { "index.number_of_replicas": 1 } });
    scene
        .set(Method::PUT, &format!("/{new}"), Some(body))
        .await?;
    for number in 1..=IDS.len() {
        let path = format!("/{new}/_doc/other-{number}?refresh=true");
        let body = json!({ "sharingEnabled": false });
        scene.set(Method::PUT, &path, Some(body)).await?;
    }
    let found = scene
        .finds(&[(Blocker, "optimize.update-half-done")])
        .await?;
    super::says(&found[0].what, "3 documents there, 3 in")?;
    super::says(&found[0].remedy, "3 documents are in the new version alone")?;
    scene.mend(Method::DELETE, &format!("/{new}"), None).await?;
    let plan = proof::plan(&scene.round).await?;
    scene.round.operator.approve(&plan).await?;
    scene.run(&["run", &plan]).await?.expect(0)?;
    arrived(scene, &scene.dump().await?)?;
    scene.say("after the remedy the run brings the 3 right documents into the new index");
    scene.renew().await
}

/// The new index would have the alias and not its routing.
pub(super) async fn alias_with_routing(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let on = json!({ "index": scene.name(OLD), "alias": scene.name("settings") });
    let mut routed = on.clone();
    routed["search_routing"] = json!("a");
    routed["is_write_index"] = json!(true);
    let body = json!({ "actions": [{ "add": routed }] });
    scene.set(Method::POST, "/_aliases", Some(body)).await?;
    let found = scene.finds(&[(Blocker, "optimize.alias-has-more")]).await?;
    super::says(&found[0].what, "search_routing")?;
    let mut plain = on;
    plain["is_write_index"] = json!(true);
    let body = json!({ "actions": [{ "add": plain }] });
    scene.mend(Method::POST, "/_aliases", Some(body)).await?;
    scene.is_mended().await
}

/// To the plan that deletes archives it is a live process, and it says why.
pub(super) async fn archive_named(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    put_archive_named(scene).await?;
    let found = scene
        .finds(&[(Warning, "optimize.archive-named-process")])
        .await?;
    super::says(&found[0].all, ARCHIVE)?;
    let path = format!("/{}_v8", scene.name(ARCHIVE));
    scene.mend(Method::DELETE, &path, None).await?;
    scene.is_mended().await
}
