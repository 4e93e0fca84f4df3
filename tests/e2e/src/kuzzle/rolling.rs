//! Node by node.

use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use serde_json::Value;
use serde_json::json;

use super::KuzzleStage;
use super::stage::ALLOCATION;
use crate::proof::last_run;
use crate::tally::Tally;

/// An index of somebody who has nothing to do with Kuzzle, made while versions are mixed.
const IN_THE_MIDDLE: &str = "made-in-the-middle";

/// A setting of the cluster that 7.17 takes and 8 does not know.
const UNKNOWN_TO_8: &str = "cluster.routing.allocation.disk.include_relocations";

/// How long a node's turn is waited for, on a machine that does other things.
const TURN_PATIENCE: Duration = Duration::from_secs(240);

/// Plans, approves and runs; then looks at nodes, collections, an old token, and what was borrowed.
pub async fn upgrades_node_by_node(stage: &KuzzleStage, tally: &mut Tally) -> anyhow::Result<()> {
    set_allocation(stage, "persistent", json!("all")).await?;
    for scope in ["persistent", "transient"] {
        set(stage, scope, UNKNOWN_TO_8, json!("true")).await?;
    }
    let plan = stage.approved().await?;
    let arguments = ["run", plan.as_str()];
    let child = stage.operator.start(&arguments)?;
    let (told, middle) = tokio::join!(
        stage.operator.wait(&arguments, child),
        makes_an_index_in_the_middle(stage)
    );
    tally.check("an index could be made while versions were mixed", middle);
    tally.check("the run is done", told?.expect(0).map(drop));
    ends_well(stage, tally).await?;
    tally.check(
        "allocation is as the operator had it",
        is("persistent", stage, &json!("all")).await,
    );
    tally.check(
        "what 8 does not know was taken off, and nothing was put aside",
        has_no_unknown_setting(stage).await,
    );
    tally.check(
        "a rollback leaves it off, and names the value that it had",
        a_rollback_names_what_stays(stage).await,
    );
    Ok(())
}

async fn a_rollback_names_what_stays(stage: &KuzzleStage) -> anyhow::Result<()> {
    let run = last_run(&stage.operator).await?;
    let arguments = ["rollback", &run, "--reason", "to see what stays", "--yes"];
    let told = stage.operator.run(&arguments).await?.expect(0)?;
    let had = format!("`{UNKNOWN_TO_8}: true`");
    if !told.says(&had) {
        bail!("it does not name {had}\n{told}");
    }
    has_no_unknown_setting(stage).await
}

async fn has_no_unknown_setting(stage: &KuzzleStage) -> anyhow::Result<()> {
    let path = "/_cluster/settings?flat_settings=true";
    let text = stage.storage()?.get(path).await?.to_string();
    if text.contains(UNKNOWN_TO_8) || text.contains("archived.") {
        bail!("the cluster has the settings {text}");
    }
    Ok(())
}

/// Liftlock is killed while a node is down; whoever resumes brings it to the same end.
pub async fn goes_on_after_a_kill(stage: &KuzzleStage, tally: &mut Tally) -> anyhow::Result<()> {
    set_allocation(stage, "transient", json!("all")).await?;
    let plan = stage.approved().await?;
    let arguments = ["run", plan.as_str()];
    let mut child = stage.operator.start(&arguments)?;
    let down = until(|| {
        stage
            .site
            .nodes
            .iter()
            .any(|node| node.processes().is_empty())
    })
    .await;
    child.kill().await?;
    tally.check("it was killed while a node was down", down);
    let run = last_run(&stage.operator).await?;
    let told = stage.operator.run(&["resume", &run]).await?;
    tally.check("the resumed run is done", told.expect(0).map(drop));
    ends_well(stage, tally).await?;
    tally.check(
        "allocation is as the operator had it",
        is("transient", stage, &json!("all")).await,
    );
    Ok(())
}

/// A collection without a replica is refused by name, and goes along once the operator accepts that; one with a copy on
/// every node goes along in any case.
pub async fn goes_by_replicas(stage: &KuzzleStage, tally: &mut Tally) -> anyhow::Result<()> {
    let [alone, everywhere] = [0, 1].map(|at| &stage.site.seeded.collections[at]);
    for (collection, replicas) in [(alone, 0), (everywhere, 2)] {
        let path = format!("/{}/_settings", collection.stored_as().replace('&', "%26"));
        let settings = json!({ "index.number_of_replicas": replicas });
        stage.storage()?.put(&path, &settings).await?;
    }
    let green = "/_cluster/health?wait_for_status=green&timeout=60s";
    stage.storage()?.get(green).await?;
    stage.granted().await?;
    let told = stage.operator.run(&["plan", stage.to()]).await?;
    let names = told.says("kuzzle.no-replica") && told.says(&alone.stored_as());
    tally.check(
        "a collection without a replica is refused by its name",
        if told.code != Some(0) && names {
            Ok(())
        } else {
            Err(anyhow::anyhow!("{told}"))
        },
    );
    stage
        .change_options(
            "method = \"rolling\"\nquiet-seconds = 2\nwatch-seconds = 2\noutages = \"accepted\"",
        )
        .await?;
    let plan = stage.operator.approved(stage.to()).await?;
    tally.check(
        "the run is done",
        stage.run(&plan).await?.expect(0).map(drop),
    );
    ends_well(stage, tally).await
}

/// The new version does not start: the run stops there with its loan given back, and goes on once that is mended.
pub async fn a_node_does_not_come_back(
    stage: &KuzzleStage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    set_allocation(stage, "persistent", json!("all")).await?;
    let plan = stage.approved().await?;
    let mut kept = Vec::new();
    for node in &stage.site.nodes {
        let file = node.dir().join("versions").join(stage.to()).join("start");
        kept.push((file.clone(), std::fs::read(&file)?));
        std::fs::write(&file, "echo unknown setting; exit 1\n")?;
    }
    let told = stage.run(&plan).await?;
    let down = stage
        .site
        .nodes
        .iter()
        .filter(|node| node.processes().is_empty())
        .count();
    tally.check(
        "the run stops at that node, and no other is taken",
        if told.code != Some(0) && down == 1 {
            Ok(())
        } else {
            Err(anyhow::anyhow!("{down} nodes are down\n{told}"))
        },
    );
    let up = stage
        .site
        .nodes
        .iter()
        .find(|node| !node.processes().is_empty());
    let settings = match up {
        Some(node) => {
            node.target()?
                .get("/_cluster/settings?flat_settings=true")
                .await?
        }
        None => Value::Null,
    };
    tally.check(
        "allocation is as the operator had it",
        if settings["persistent"][ALLOCATION] == "all" {
            Ok(())
        } else {
            Err(anyhow::anyhow!("{settings}"))
        },
    );
    for (file, text) in kept {
        std::fs::write(file, text)?;
    }
    let run = last_run(&stage.operator).await?;
    let told = stage.operator.run(&["resume", &run]).await?;
    tally.check("the resumed run is done", told.expect(0).map(drop));
    ends_well(stage, tally).await
}

async fn ends_well(stage: &KuzzleStage, tally: &mut Tally) -> anyhow::Result<()> {
    tally.check("every node is new", stage.all_are_new().await);
    tally.check(
        "each collection is whole, with the token of before",
        stage.client().finds_all().await,
    );
    tally.check(
        "Kuzzle works in mode 8",
        stage.client().deletes_by_query().await,
    );
    let told = stage.operator.run(&["status"]).await?;
    tally.check("the status is told", told.expect(0).map(drop));
    let again = ["plan", stage.to(), "--detailed-exitcode"];
    let told = stage.operator.run(&again).await?;
    tally.check("nothing is left to do", told.expect(0).map(drop));
    Ok(())
}

async fn set_allocation(stage: &KuzzleStage, scope: &str, value: Value) -> anyhow::Result<()> {
    set(stage, scope, ALLOCATION, value).await
}

async fn set(stage: &KuzzleStage, scope: &str, key: &str, value: Value) -> anyhow::Result<()> {
    let settings = json!({ scope: { key: value } });
    stage
        .storage()?
        .put("/_cluster/settings", &settings)
        .await?;
    Ok(())
}

async fn is(scope: &str, stage: &KuzzleStage, expected: &Value) -> anyhow::Result<()> {
    let found = stage.setting(scope, ALLOCATION).await?;
    if found != *expected {
        bail!("the {scope} value is {found}, not {expected}");
    }
    Ok(())
}

async fn until(holds: impl Fn() -> bool) -> anyhow::Result<()> {
    let end = Instant::now() + TURN_PATIENCE;
    while !holds() {
        if Instant::now() >= end {
            bail!("it never came to that");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Once one node is new and another is not: its primary may go to the new one, and its replica then has no place.
async fn makes_an_index_in_the_middle(stage: &KuzzleStage) -> anyhow::Result<()> {
    let end = Instant::now() + TURN_PATIENCE;
    loop {
        for node in &stage.site.nodes {
            let target = node.target()?;
            let Ok((200, root)) = target.send(reqwest::Method::GET, "/", None).await else {
                continue;
            };
            if root["version"]["number"] != stage.to() {
                continue;
            }
            let path = format!("/{IN_THE_MIDDLE}");
            let body = json!({ "settings": { "number_of_replicas": 1 } });
            let made = target.send(reqwest::Method::PUT, &path, Some(&body)).await;
            if let Ok((200, _)) = made {
                return Ok(());
            }
        }
        if Instant::now() >= end {
            bail!("no node became new");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
