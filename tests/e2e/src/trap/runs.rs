//! Traps that keep nobody from upgrading: the run goes through, and is right where the vendor's tool is not.

use liftlock_lab::Dump;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use super::answer::Meant::Info;
use super::answer::Meant::Warning;
use super::others::end_snapshot_when_waited_for;
use super::others::start_snapshot;
use super::scene::Scene;
use super::templates::put_provider;
use super::templates::remove_provider;
use crate::proof;
use crate::proof::TO;
use crate::proof::ensure;
use crate::proof::expected_difference;
use crate::tally::same;

/// Somebody else's alias, which the vendor's upgrader takes for a decision instance's.
const FOREIGN_ALIAS: &str = "decision-instance-foo";
const FOREIGN_INDEX: &str = "decisions-of-somebody";

async fn put_foreign_alias(scene: &Scene<'_>) -> anyhow::Result<()> {
    let body = json!({
        "settings": { "index": { "number_of_replicas": 0 } },
        "aliases": { FOREIGN_ALIAS: {} },
    });
    let path = format!("/{FOREIGN_INDEX}");
    scene.set(Method::PUT, &path, Some(body)).await
}

pub(super) async fn foreign_alias(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    put_foreign_alias(scene).await?;
    let found = scene
        .finds(&[(Warning, "optimize.stray-decision-alias")])
        .await?;
    super::says(&found[0].all, FOREIGN_ALIAS)?;
    scene
        .mend(Method::DELETE, &format!("/{FOREIGN_INDEX}"), None)
        .await?;
    scene.is_mended().await
}

/// A process whose key begins as the archives of older releases do.
pub(super) const ARCHIVE: &str = "process-instance-archive-orders";

pub(super) async fn put_archive_named(scene: &Scene<'_>) -> anyhow::Result<()> {
    let (index, alias) = (scene.name(&format!("{ARCHIVE}_v8")), scene.name(ARCHIVE));
    let body = json!({
        "settings": { "index": { "number_of_replicas": 1 } },
        "aliases": {
            alias: { "is_write_index": true },
            scene.name("process-instance"): { "is_write_index": false },
        },
        "mappings": { "properties": { "processDefinitionKey": { "type": "keyword" } } },
    });
    scene
        .set(Method::PUT, &format!("/{index}"), Some(body))
        .await?;
    let document = json!({ "processDefinitionKey": "archive-orders" });
    let path = format!("/{index}/_doc/1?refresh=true");
    scene.set(Method::PUT, &path, Some(document)).await
}

/// Indices whose replicas somebody has set by hand.
const TUNED: [&str; 2] = ["settings_v3", "process-instance-invoice_v8"];

async fn tune(scene: &Scene<'_>) -> anyhow::Result<()> {
    for name in TUNED {
        let path = format!("/{}/_settings", scene.name(name));
        let body = json!({ "index.number_of_replicas": 0 });
        scene.set(Method::PUT, &path, Some(body)).await?;
    }
    Ok(())
}

/// Everything at once that is told and keeps nobody from upgrading; then the upgrade, to its end.
pub(super) async fn tuned_replicas(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    tune(scene).await?;
    scene.finds(&[(Info, "optimize.replicas-tuned")]).await?;
    put_foreign_alias(scene).await?;
    put_archive_named(scene).await?;
    put_provider(scene).await?;
    let plan = proof::plan(&scene.round).await?;
    scene.round.operator.approve(&plan).await?;
    let before = scene.dump().await?;
    start_snapshot(scene).await?;
    scene.stage.proxy.clear();
    let ended = end_snapshot_when_waited_for(scene);
    scene.run_while(&["run", &plan], ended).await?.expect(0)?;
    let after = scene.dump().await?;
    same(
        &expected_difference(&scene.round.facts),
        &without_values(scene.differences(&before, &after)),
    )?;
    for name in TUNED {
        let replicas = replicas(&after, &scene.name(name));
        ensure(replicas == "0", format!("`{name}` has {replicas} replicas"))?;
    }
    // The provider's template would have given it other replicas, another refresh interval and a field.
    let log = scene.name("update-log_v1");
    let own = replicas(&after, &scene.name("metadata_v3"));
    ensure(
        replicas(&after, &log) == own,
        format!("the update log has {} replicas", replicas(&after, &log)),
    )?;
    scene.say(
        "the run goes to its end with the foreign alias, the archive-named process, the wildcard template and a \
         running snapshot there as well: exactly the documented difference, replicas kept",
    );
    remove_provider(scene).await?;
    scene.renew().await
}

fn replicas(dump: &Dump, index: &str) -> String {
    let value = dump.get(&format!("/settings/{index}/index/number_of_replicas"));
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The lines of a difference as they are documented, without values.
fn without_values(lines: Vec<String>) -> Vec<String> {
    let mut lines: Vec<String> = lines
        .into_iter()
        .map(|line| match line.split_once(": ") {
            Some((place, _))
                if line.starts_with("~ documents") || line.starts_with("~ update-log") =>
            {
                place.to_owned()
            }
            _ => line,
        })
        .collect();
    lines.sort();
    lines
}

/// What binds the snapshots in `site.toml`.
const BACKUPS: &str =
    "[snapshot.backups]\ncluster = \"cluster.database\"\nrepository = \"backups\"\n\n";

/// The host's finding on a deletion that no proved copy covers.
const UNPROVED: &str = "host.unproved-destruction";

/// No snapshot: only with a person's word, which plan and report show.
pub(super) async fn snapshot_waived(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    scene.set_site_file(BACKUPS, "").await?;
    let operator = scene.round.operator.clone();
    let before = scene.dump().await?;
    scene.stage.proxy.clear();
    let told = operator.run(&["check", TO, "--json"]).await?.expect(0)?;
    let found = scene.judge(&told, &[(Warning, "optimize.no-snapshot")])?;
    scene.show(&found);
    let told = operator.run(&["plan", TO]).await?.expect(3)?;
    ensure(
        told.says(UNPROVED),
        format!("it does not say {UNPROVED}\n{told}"),
    )?;
    operator
        .run(&["plan", TO, "--with-blockers"])
        .await?
        .expect(0)?;
    let plan = scene.round.plan_file()?.to_string_lossy().into_owned();
    operator.approve(&plan).await?;
    scene.run(&["run", &plan]).await?.expect(12)?;
    scene.untouched(&before).await?;
    let reason = "the data can be imported again";
    let waive = ["approve", &plan, "--waive", UNPROVED, "--reason", reason];
    operator.run(&waive).await?.expect(0)?;
    let told = operator.run(&["show", &plan]).await?.expect(0)?;
    ensure(
        told.says("WAIVED") && told.says(reason),
        format!("the plan does not show the waiver\n{told}"),
    )?;
    let told = scene.run(&["run", &plan]).await?.expect(0)?;
    ensure(
        told.says("WAIVED") && told.says(reason),
        format!("the report does not show the waiver\n{told}"),
    )?;
    scene.say("run: refused with 12 until it is waived by name; plan and report show the waiver and its reason");
    ensure(!scene.snapshot_taken().await?, "there is a snapshot")?;
    scene.renew().await
}
