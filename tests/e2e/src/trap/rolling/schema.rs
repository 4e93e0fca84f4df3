//! Traps in the database: its log, its tables, its settings, and the role that is to change them.

use std::fs;

use anyhow::Context;
use liftlock_lab::Login;
use serde_json::Value;

use super::scene::Scene;
use crate::proof::ensure;
use crate::trap::answer::Meant::Blocker;
use crate::trap::answer::Meant::Warning;

/// What the script begins with was done, and nothing else: as if its client had been killed there.
pub(super) async fn row_without_columns(scene: &mut Scene) -> anyhow::Result<()> {
    scene
        .sql("insert into ACT_GE_SCHEMA_LOG values ('1100', current_timestamp, '7.22.0')")
        .await?;
    scene
        .finds_one(
            Warning,
            "camunda.half-a-script",
            &["from 7.21 to 7.22", "0 of 6 objects"],
        )
        .await?;
    plans_only(scene, &["task_state_", "create index"], &["insert into"]).await
}

/// Somebody ran the rest of it by hand.
pub(super) async fn columns_without_row(scene: &mut Scene) -> anyhow::Result<()> {
    let script = fs::read_to_string(scene.script()).context("the script")?;
    let (_, after) = script
        .split_once("'7.22.0');")
        .context("its first statement")?;
    scene.sql(after).await?;
    scene
        .finds_one(
            Warning,
            "camunda.columns-without-row",
            &["from 7.21 to 7.22", "6 of 6 objects"],
        )
        .await?;
    plans_only(scene, &["insert into"], &["alter table", "create index"]).await
}

/// The statements of the plan: for what lacks, and none for what is there.
async fn plans_only(scene: &mut Scene, has: &[&str], lacks: &[&str]) -> anyhow::Result<()> {
    let file = scene.approved().await?;
    let plan: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let mut statements = Vec::new();
    collect(&plan, &mut statements);
    for part in has {
        let is_there = statements.iter().any(|text| text.contains(part));
        ensure(
            is_there,
            format!("no statement has `{part}`: {statements:?}"),
        )?;
    }
    for part in lacks {
        let is_there = statements.iter().any(|text| text.contains(part));
        ensure(
            !is_there,
            format!("a statement has `{part}`: {statements:?}"),
        )?;
    }
    scene.say("the plan does what lacks, and nothing of what is there");
    Ok(())
}

/// Every text beneath a member `sql`.
fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str() {
                    Some(text) if name == "sql" => found.push(text.to_lowercase()),
                    _ => collect(member, found),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, found)),
        _ => {}
    }
}

/// The row that Operaton's first release writes.
pub(super) async fn fork(scene: &mut Scene) -> anyhow::Result<()> {
    scene
        .sql("insert into ACT_GE_SCHEMA_LOG values ('1400', current_timestamp, '7.25.0')")
        .await?;
    scene
        .finds_one(Blocker, "camunda.fork", &["Operaton", "7.25.0"])
        .await?;
    scene
        .sql("delete from ACT_GE_SCHEMA_LOG where ID_ = '1400'")
        .await?;
    scene.is_mended().await
}

/// Sessions that say nothing get another level than the engine takes.
pub(super) async fn isolation(scene: &mut Scene) -> anyhow::Result<()> {
    scene
        .sql("alter database camunda set default_transaction_isolation = 'repeatable read'")
        .await?;
    scene
        .finds_one(
            Blocker,
            "camunda.isolation",
            &["repeatable-read", "read committed"],
        )
        .await?;
    scene
        .sql("alter database camunda reset default_transaction_isolation")
        .await?;
    scene.is_mended().await
}

/// The binding's role may read and write rows, and alter nothing.
pub(super) async fn owns_nothing(scene: &mut Scene) -> anyhow::Result<()> {
    let secret = scene.database.address().password(Login::Guest);
    let guest = scene
        .operator()
        .clone()
        .env("LIFTLOCK_LAB_GUEST", secret.reveal());
    let usual = std::mem::replace(&mut scene.place.operator, guest);
    scene
        .set_site_file(
            "user = \"owner\"\npassword = { env = \"LIFTLOCK_LAB_DATABASE_PASSWORD\" }",
            "user = \"guest\"\npassword = { env = \"LIFTLOCK_LAB_GUEST\" }",
        )
        .await?;
    let found = scene
        .finds_one(
            Blocker,
            "camunda.not-owner",
            &["`guest`", "may not alter", "act_", "tables' owner"],
        )
        .await;
    scene.place.operator = usual;
    found.map(drop)
}

/// Liquibase was killed while it held its lock. Its change sets are somebody else's, so that the schema itself is not
/// managed by it.
pub(super) async fn liquibase_lock(scene: &mut Scene) -> anyhow::Result<()> {
    scene
        .sql(
            "create table databasechangelog (id varchar(255), author varchar(255), filename varchar(255)); \
             insert into databasechangelog values ('1', 'shop', 'shop.xml'); \
             create table databasechangeloglock (id int, locked boolean, lockgranted timestamp, lockedby varchar(255)); \
             insert into databasechangeloglock values (1, true, current_timestamp, 'deployer (10.0.0.7)')",
        )
        .await?;
    scene
        .finds_one(
            Blocker,
            "camunda.liquibase-lock",
            &[
                "DATABASECHANGELOGLOCK",
                "deployer (10.0.0.7)",
                "release-locks",
            ],
        )
        .await?;
    scene
        .sql("update databasechangeloglock set locked = false, lockedby = null")
        .await?;
    scene.is_mended().await
}
