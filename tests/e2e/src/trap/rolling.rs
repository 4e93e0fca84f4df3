//! Traps of a rolling upgrade of Camunda 7: a schema, a script, nodes or a balancer that are not what they should be.
//!
//! Database, balancer, processes and files are real. The nodes are stand-ins (see [`place`]): where a trap is in what an
//! engine answers or does, they answer and do it.
//!
//! - [`place`]: the site; [`scene`]: what is seen and judged of it
//! - `schema`: what the database holds; `script`: what the operator brought along
//! - `nodes`: nodes and their places in the balancer; `jobs`: what they take and leave locked
//! - `runs`: what comes up while a run is under way

mod jobs;
mod nodes;
pub mod place;
mod runs;
pub mod scene;
mod schema;
mod script;

use std::time::Instant;

use liftlock_lab::DatabaseKind;

pub use scene::Kit;
pub use scene::Scene;

use super::Springing;
use super::TrapOn;
use crate::tally::Tally;

/// One trap of Camunda 7, and the server that it is set on.
pub type Trap = TrapOn<DatabaseKind, for<'a> fn(&'a mut Scene) -> Springing<'a>>;

traps! {
    DatabaseKind;
    PostgreSql "script-of-another-version", script::of_another_version,
        "fails at its first statement, or adds what belongs to another version";
    PostgreSql "script-changed", script::changed,
        "runs whatever the file says";
    PostgreSql "log-row-without-columns", schema::row_without_columns,
        "the script ends at its first statement: duplicate key; psql's exit code is 0";
    PostgreSql "columns-without-log-row", schema::columns_without_row,
        "the script fails at its first column";
    PostgreSql "fork", schema::fork,
        "the script runs: nothing in it looks at the log (read)";
    PostgreSql "isolation", schema::isolation,
        "the engine refuses to start, after it was stopped";
    PostgreSql "role-owns-nothing", schema::owns_nothing,
        "must be owner of table, at the second statement: the log's row is written";
    PostgreSql "liquibase-lock", schema::liquibase_lock,
        "the script runs beside Liquibase (read)";
    PostgreSql "node-of-another-minor", nodes::of_another_minor,
        "nobody looks: two minor versions apart, executions are damaged (reported)";
    PostgreSql "node-on-another-database", nodes::on_another_database,
        "nobody looks: the node is newer than its schema, and fails at its first write";
    PostgreSql "node-not-in-balancer", nodes::not_in_balancer,
        "the balancer's command fails, the node is stopped under its requests";
    PostgreSql "database-down", nodes::database_down,
        "`/engine` says 200, so that the balancer goes on sending requests";
    PostgreSql "foreign-lock", runs::foreign_lock,
        "the ALTER waits, and every request of the table behind it";
    PostgreSql "disk-full-in-index-build", runs::disk_full,
        "the index lacks, and nothing says so afterwards";
    PostgreSql "balancer-reloaded", runs::balancer_reloaded,
        "the drained node gets requests while it is stopped";
    PostgreSql "node-never-comes-up", runs::never_comes_up,
        "the next node is taken all the same";
    PostgreSql "deployment-in-the-window", runs::deployment,
        "nobody looks: the older engines may not be able to run it";
    PostgreSql "jobs-locked", jobs::locked,
        "nobody looks: the jobs stand still until their locks expire, and are then done again";
    PostgreSql "jobs-stand-still", jobs::stand_still,
        "the next node is taken, until none is left that takes jobs (read)";
    PostgreSql "liquibase-manages", schema::liquibase_manages,
        "Liquibase's next run fails at the first column (read)";
    PostgreSql "index-invalid", schema::invalid_index,
        "nobody looks: no query uses the index, and each write pays for it";
    PostgreSql "table-prefix", schema::table_prefix,
        "the script fails at its first statement: no such table";
    PostgreSql "batch-running", schema::batch_runs,
        "its jobs are written by one version and executed by both (read)";
    PostgreSql "cached-plans", nodes::cached_plans,
        "7 of 924 requests were answered with 500 when columns were added";
    PostgreSql "executor-off", nodes::executor_off,
        "nobody looks: timers stand still";
    PostgreSql "no-history", schema::no_history,
        "nobody looks: that the new node's write came to its end can be seen nowhere (read)";
    PostgreSql "disk-short", schema::disk_short,
        "the statement fails when the disk is full, and the database with it (read)";
    PostgreSql "server-left-out", nodes::left_out,
        "the node is upgraded and serves nobody";
    MariaDb "half-a-script", runs::half_a_script,
        "the script ends at its first statement: duplicate entry";
    MariaDb "galera", schema::galera,
        "every write of the site waits while a table is changed (read)";
}

/// Sets these traps one after another; each is one check.
pub async fn spring(kit: &Kit, traps: &[Trap], tally: &mut Tally) -> anyhow::Result<()> {
    let mut scene: Option<Scene> = None;
    for trap in traps {
        let begun = Instant::now();
        tally.about(trap.on.name());
        if scene
            .as_ref()
            .is_none_or(|scene| scene.database.kind() != trap.on)
        {
            scene = Some(Scene::new(kit, trap.on).await?);
        }
        let Some(scene) = &mut scene else { continue };
        let result = (trap.spring)(scene).await;
        let mut lines = vec![format!("by hand: {}", trap.without)];
        lines.extend(scene.take_lines());
        super::report(tally, trap.name, begun, result, &lines);
        scene.reset().await?;
    }
    Ok(())
}
