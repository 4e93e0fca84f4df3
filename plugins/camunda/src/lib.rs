//! Upgrades Camunda 7 from one minor version to the next while it serves: the schema first, then node by node.
//!
//! The knowledge of the product is data and pure functions over plain values; what asks the host stands apart from it.
//!
//! | module | holds |
//! |---|---|
//! | `version` | the versions |
//! | `edges` | the ways between them as data: one minor version at a time |
//! | `log` | what the schema's own log says of its version, and whose product wrote it |
//! | `catalog` | what a database says of its tables, in plain values |
//! | `manifest` | what the tables of each version are, compared with what is there |
//! | `standing` | which version a schema is of, and how far a script got |
//! | `script` | the vendor's upgrade scripts: where they lie, by which digest they are known, their statements |
//! | `jar` | one file out of the vendor's jar, read in pieces |
//! | `groups` | in which order and how many at a time the nodes are taken |
//! | `window` | what must not happen while two versions run side by side |
//! | `estimate` | how much work a statement is |
//! | `room` | what the script's indexes take, and what is free |
//! | `jdbc` | what a node's JDBC address does when a column is added |
//! | `reads` | the queries of the checks |
//! | `descriptor`, `options` | what the plugin says of itself and asks for; the operator's choices |
//! | `schema`, `nodes` | the site as it stands: its database, its nodes and their servers in balancers |
//! | `goal` | where the upgrade goes from there |
//! | `bound` | the script out of what the operator bound: the engine's jar, or a folder |
//! | `backup` | the dump before the schema changes: taken, restored on trial, compared |
//! | `restore` | the whole way back, from a dump that the operator names |
//! | `check`, `plan`, `observe`, `validate`, `inspect` | findings, steps, the window's guard, what is so afterwards, what is shown |
//! | `jobs` | what a stopped node leaves locked, and that jobs are taken again when it is back |
//! | `busy` | what goes on in the database before an upgrade begins |
//! | `known` | what each finding means, its remedy and where that is known from |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod bound;
mod busy;
mod check;
mod descriptor;
mod goal;
mod inspect;
mod nodes;
mod observe;
mod options;
mod plan;
mod restore;
mod schema;
mod validate;

pub mod backup;
pub mod catalog;
pub mod edges;
pub mod estimate;
pub mod groups;
pub mod jar;
pub mod jdbc;
pub mod jobs;
pub mod known;
pub mod log;
pub mod manifest;
pub mod reads;
pub mod room;
pub mod script;
pub mod standing;
pub mod version;
pub mod window;

use liftlock_sdk::finding::with_command;
use liftlock_sdk::prelude::*;

use backup::Backup;
use goal::Goal;
use nodes::Nodes;
use options::Options;
use restore::Restore;
use schema::Schema;

/// The plugin.
#[derive(Debug)]
pub struct Camunda;

impl Plugin for Camunda {
    fn describe() -> Descriptor {
        descriptor::descriptor()
    }

    fn inspect(site: &Site) -> Result<Inventory> {
        Ok(inspect::inventory(
            &Schema::gather(site)?,
            &Nodes::gather(site)?,
        ))
    }

    fn check(site: &Site, run: &Run, target: &Target) -> Result<Vec<Finding>> {
        let schema = Schema::gather(site)?;
        let nodes = Nodes::gather(site)?;
        let options = Options::of(site)?;
        if let Some(sha256) = &options.restore {
            let restore = Restore::of(site, &schema, &nodes, target, &options, sha256)?;
            let found = restore.findings();
            return Ok(with_command(found, run.moment(), &target.to));
        }
        let goal = Goal::of(site, &schema, &nodes, target);
        let mut found = check::findings(&schema, &nodes, &goal, &options);
        // What a run that goes on took out is out, and it knows it.
        if run.moment() != Moment::OnResume {
            found.extend(nodes.all.iter().flat_map(check::left_out));
        }
        found.extend(busy::findings(site, &schema, goal.as_ref().ok(), &options)?);
        found.extend(room::findings(site, &schema, goal.as_ref().ok())?);
        if goal.is_ok_and(|goal| goal.script.is_some()) {
            found.extend(Backup::of(site)?.findings(options.without_backup));
        }
        Ok(with_command(found, run.moment(), &target.to))
    }

    fn plan(
        site: &Site,
        run: &Run,
        target: &Target,
        plan: &Plan<'_>,
    ) -> std::result::Result<(), Refusal> {
        let schema = Schema::gather(site)?;
        let nodes = Nodes::gather(site)?;
        let options = Options::of(site)?;
        let proposed = if let Some(sha256) = &options.restore {
            let restore = Restore::of(site, &schema, &nodes, target, &options, sha256)?;
            restore.propose(site, &nodes, &options, plan)
        } else {
            match Goal::of(site, &schema, &nodes, target) {
                Ok(goal) => plan::propose(site, &schema, &nodes, &goal, &options, plan),
                Err(error) => Err(Refusal::Blocked(check::no_goal(&error, &schema))),
            }
        };
        proposed.map_err(|refusal| match refusal {
            Refusal::Blocked(found) => {
                Refusal::Blocked(with_command(found, run.moment(), &target.to))
            }
            other => other,
        })
    }

    fn validate(site: &Site, run: &Run, target: &Target) -> Result<Vec<Finding>> {
        let schema = Schema::gather(site)?;
        let nodes = Nodes::gather(site)?;
        validate::findings(site, run, &schema, &nodes, target)
    }
}

impl Observing for Camunda {
    fn observe(
        site: &Site,
        run: &Run,
        name: &str,
        input: &Value,
        last: Option<&Value>,
    ) -> Result<Observation> {
        observe::observe(site, run, name, input, last)
    }
}

liftlock_sdk::export!(Camunda, observing);
