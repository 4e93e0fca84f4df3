//! Traps in the database: its log, its tables, its settings, and the role that is to change them.

use std::fs;

use anyhow::Context;
use liftlock_lab::DatabaseServer;
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

/// Liquibase made the engine's tables: its next run would do again what was changed beside it.
pub(super) async fn liquibase_manages(scene: &mut Scene) -> anyhow::Result<()> {
    scene
        .sql(
            "create table databasechangelog (id varchar(255), author varchar(255), filename varchar(255)); \
             insert into databasechangelog values ('7.21.0-baseline', 'Camunda', 'camunda-changelog.xml')",
        )
        .await?;
    scene
        .finds_one(
            Blocker,
            "camunda.liquibase",
            &["DATABASECHANGELOG", "by Liquibase"],
        )
        .await?;
    Ok(())
}

/// An index of the script was begun beside writers, and broke off.
pub(super) async fn invalid_index(scene: &mut Scene) -> anyhow::Result<()> {
    let script = fs::read_to_string(scene.script()).context("the script")?;
    scene.sql(&script).await?;
    scene
        .sql_as_admin(
            "update pg_index set indisvalid = false \
             where indexrelid = 'act_idx_hi_pro_rst_pro_inst_id'::regclass",
        )
        .await?;
    scene
        .finds_one(
            Blocker,
            "camunda.index-invalid",
            &["act_idx_hi_pro_rst_pro_inst_id", "DROP INDEX"],
        )
        .await?;
    scene
        .sql("drop index act_idx_hi_pro_rst_pro_inst_id")
        .await?;
    plans_only(scene, &["create index"], &["insert into", "alter table"]).await
}

/// The engine's tables have other names.
pub(super) async fn table_prefix(scene: &mut Scene) -> anyhow::Result<()> {
    scene
        .sql(
            "do $$ declare t text; begin for t in select relname from pg_class where relkind = 'r' \
             and relname like 'act\\_%' loop execute format('alter table %I rename to %I', t, 'bpm_' || t); \
             end loop; end $$",
        )
        .await?;
    scene
        .finds_one(
            Blocker,
            "camunda.table-prefix",
            &["ACT_GE_PROPERTY", "`camunda`", "prefix"],
        )
        .await?;
    Ok(())
}

/// A batch that would go on through the window.
pub(super) async fn batch_runs(scene: &mut Scene) -> anyhow::Result<()> {
    scene
        .sql("insert into ACT_RU_BATCH (ID_, REV_, TYPE_) values ('b-1', 1, 'instance-migration')")
        .await?;
    scene
        .finds_one(
            Warning,
            "camunda.batch-running",
            &["ACT_RU_BATCH", "b-1 `instance-migration`"],
        )
        .await?;
    scene.sql("delete from ACT_RU_BATCH").await?;
    scene.is_mended().await
}

/// The engines keep no history, and the plan is to prove each node by an instance that ends.
pub(super) async fn no_history(scene: &mut Scene) -> anyhow::Result<()> {
    let level = "update ACT_GE_PROPERTY set VALUE_ = '{}' where NAME_ = 'historyLevel'";
    scene.sql(&level.replace("{}", "0")).await?;
    scene
        .finds_one(
            Blocker,
            "camunda.no-history",
            &["`batch`", "`none`", "canary-process"],
        )
        .await?;
    scene.sql(&level.replace("{}", "3")).await?;
    scene.is_mended().await
}

/// The statistics speak of more rows than the database's disk can ever hold an index over.
pub(super) async fn disk_short(scene: &mut Scene) -> anyhow::Result<()> {
    let data = scene.folder().join("database/data");
    let binding = format!(
        "[disk.data]\npath = \"{}\"\n\n[disk.engine]",
        data.display()
    );
    scene.set_site_file("[disk.engine]", &binding).await?;
    let rows = "update pg_class set reltuples = {} where relname = 'act_hi_procinst'";
    scene.sql_as_admin(&rows.replace("{}", "1e13")).await?;
    scene
        .finds(&[
            (Blocker, "camunda.disk-short"),
            (Warning, "camunda.big-table"),
        ])
        .await?;
    scene.sql_as_admin(&rows.replace("{}", "100")).await?;
    scene.is_mended().await
}

/// The same data under a server that is a Galera cluster.
pub(super) async fn galera(scene: &mut Scene) -> anyhow::Result<()> {
    let single = scene.database.address().port();
    scene.database.kill();
    let folder = scene.folder().join("database");
    scene.database = DatabaseServer::start_galera(&folder).await?;
    let port = scene.database.address().port();
    for node in &scene.place.nodes {
        let mut facts = node.facts()?;
        facts["database"] = port.into();
        node.say(&facts)?;
    }
    let [old, new] =
        [single, port].map(|port| format!("host = \"127.0.0.1\"\nport = {port}\ndatabase"));
    scene.set_site_file(&old, &new).await?;
    scene
        .finds_one(
            Blocker,
            "camunda.galera",
            &["Galera cluster", "`TOI`", "every write", "`accepted`"],
        )
        .await?;
    Ok(())
}
