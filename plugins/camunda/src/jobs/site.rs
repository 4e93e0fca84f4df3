//! Jobs as the site has them: asked of the database and of nodes' health.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Lock, Look, Owners, is_taking, left, locks, owner, told};
use crate::check::found;
use crate::descriptor::DATABASE;
use crate::goal::Goal;
use crate::nodes::{Node, Nodes};
use crate::observe::{self, Rows};
use crate::options::Options;
use crate::plan::BASELINE;
use crate::reads;
use crate::version::Minor;
use crate::window;

/// Names of the conditions.
pub(crate) const LOCKS: &str = "locks";
pub(crate) const TAKEN: &str = "jobs-taken";

/// Where a node's health stands, beneath its REST interface.
const HEALTH: &str = "/actuator/health";

/// How long a lock is given that is there when a node has stopped: where nodes do not say which are theirs, most of those
/// of others end meanwhile.
const LEFT_MS: u64 = 5_000;

/// What the plugin is told again when it is asked for the locks that a stopped node left.
#[derive(Debug, Serialize, Deserialize)]
struct Others {
    /// Nodes that run jobs and may run now, with the binding of their REST interface.
    others: BTreeMap<String, String>,
}

/// Nothing stays locked by a node that is down.
fn none_left(nodes: &Nodes, stopped: &[&Node]) -> Result<Condition> {
    let is_stopped = |node: &&Node| stopped.iter().any(|other| other.name == node.name);
    let others = nodes
        .all
        .iter()
        .filter(|node| node.runs_jobs && !is_stopped(node))
        .map(|node| (node.name.clone(), node.endpoint.clone()))
        .collect();
    asked(LOCKS, &Others { others })
}

/// Jobs are taken, or none waits.
fn are_taken(to: Minor) -> Result<Condition> {
    asked(TAKEN, &json!({ "to": to.to_string() }))
}

/// The condition [`LOCKS`].
pub(crate) fn observe_locks(
    site: &Site,
    input: &Value,
    last: Option<&Value>,
) -> Result<Observation> {
    let Others { others } = Others::deserialize(input)?;
    let owners = owners(site, others.iter())?;
    let now = locks(
        &Database::open(site, DATABASE)?
            .query(reads::LOCKED_JOBS, &[])?
            .rows,
    );
    let last = last.map(Vec::<Lock>::deserialize).transpose()?;
    let left = left(&now, &owners, last.as_deref());
    Ok(Observation {
        holds: left.is_empty(),
        why: told(&left, &owners),
        seen: json!(left),
    })
}

/// Asks nodes for their own.
fn owners<'a>(
    site: &Site,
    nodes: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<Owners> {
    let mut owners = Owners::default();
    for (name, endpoint) in nodes {
        let answer = match Endpoint::open(site, endpoint)?.get(HEALTH, &[]) {
            // 503 where its job executor is off, with the same members.
            Ok(answer) => owner(&answer.body),
            Err(Error::Unavailable(_) | Error::Denied(_)) => None,
            Err(error) => return Err(error),
        };
        match answer {
            Some(owner) => {
                owners.told.insert(owner);
            }
            None => owners.silent.push(name.clone()),
        }
    }
    Ok(owners)
}

/// Keeps what is locked when a node has stopped. `stopped`: this node, and those of its group that were stopped before.
pub(crate) fn locks_step(
    site: &Site,
    nodes: &Nodes,
    node: &Node,
    stopped: &[&Node],
    plan: &Plan<'_>,
) -> std::result::Result<(), Refusal> {
    let database = Database::open(site, DATABASE)?;
    let name = capture_of(&node.name);
    plan.step(&name, Phase::Switch, &format!("{}: what it left locked", node.name))
        .because("a job that it could not finish stays locked until its lock expires, and is done again then")
        .unit(&node.name)
        .captures(&name, [database.read_query(reads::LOCKED_JOBS, &[])])
        .opens_when(
            &format!("{}: no job stays locked by a node that is down (camunda.jobs-locked)", node.name),
            none_left(nodes, stopped)
                .patience_ms(LEFT_MS)
                .when_expired(OnExpiry::GoOnAndReport),
        )
        .add()?;
    Ok(())
}

/// Waits until jobs are taken, now that a node is back. Its step.
pub(crate) fn taken_step(
    site: &Site,
    node: &Node,
    goal: &Goal,
    options: &Options,
    plan: &Plan<'_>,
) -> std::result::Result<String, Refusal> {
    let database = Database::open(site, DATABASE)?;
    let name = format!("{}-jobs", node.name);
    Ok(plan
        .step(
            &name,
            Phase::Switch,
            &format!("{}: jobs are taken again", node.name),
        )
        .because("a node that answers may have its job executor off, or fail at each job")
        .unit(&node.name)
        .captures(&name, [database.read_query(reads::LOCKED_JOBS, &[])])
        .opens_when(
            &format!(
                "{}: jobs are taken, or none waits (camunda.jobs-stand-still)",
                node.name
            ),
            are_taken(goal.to.minor)
                .patience_ms(options.jobs_ms)
                .when_expired(observe::on_expiry(options.policy.trouble)),
        )
        .add()?)
}

/// The condition [`TAKEN`].
pub(crate) fn observe_taken(
    site: &Site,
    run: &Run,
    input: &Value,
    last: Option<&Value>,
) -> Result<Observation> {
    let to: Minor = input
        .get("to")
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::Invalid(format!("the condition `{TAKEN}` with {input}")))?;
    let database = Database::open(site, DATABASE)?;
    let now = Look {
        locks: locks(&database.query(reads::LOCKED_JOBS, &[])?.rows),
        waiting: ids(database.query(reads::WAITING_JOBS, &[])?.rows),
    };
    let last = last.map(Look::deserialize).transpose()?;
    let taking = is_taking(&now, last.as_ref(), &waited_before(run, to)?);
    Ok(Observation {
        holds: taking.is_ok(),
        why: match taking {
            Ok(()) => String::new(),
            Err(waits) => format!(
                "{waits} jobs wait that did not when the window began, and no node took one since the last look"
            ),
        },
        seen: json!(now),
    })
}

fn ids(rows: Vec<Vec<Option<String>>>) -> Vec<String> {
    let first = |row: Vec<Option<String>>| row.into_iter().next().flatten();
    rows.into_iter().filter_map(first).collect()
}

/// What the baseline has behind everything that the window watches.
fn waited_before(run: &Run, to: Minor) -> Result<Vec<String>> {
    let kept = run.capture(BASELINE)?.unwrap_or_default();
    let Some(captured) = kept.get(window::subjects(to).len()) else {
        return Ok(Vec::new());
    };
    Ok(ids(captured.parse::<Rows>()?.rows))
}

/// The name under which the locks are kept that are there when a node has stopped.
pub(crate) fn capture_of(node: &str) -> String {
    format!("{node}-locks")
}

/// What a stop of this run left locked and is so still.
pub(crate) fn findings(site: &Site, run: &Run, nodes: &Nodes) -> Result<Option<Finding>> {
    let mut kept: Vec<Lock> = Vec::new();
    for node in &nodes.all {
        for captured in run.capture(&capture_of(&node.name))?.unwrap_or_default() {
            kept.extend(locks(&captured.parse::<Rows>()?.rows));
        }
    }
    if kept.is_empty() {
        return Ok(None);
    }
    let with_jobs = nodes.all.iter().filter(|node| node.runs_jobs);
    let owners = owners(site, with_jobs.map(|node| (&node.name, &node.endpoint)))?;
    let now = locks(
        &Database::open(site, DATABASE)?
            .query(reads::LOCKED_JOBS, &[])?
            .rows,
    );
    let is_kept = |lock: &Lock| {
        let is_same = |other: &Lock| other.owner == lock.owner && other.until == lock.until;
        kept.iter().any(is_same)
    };
    let left: Vec<Lock> = left(&now, &owners, None)
        .into_iter()
        .filter(is_kept)
        .collect();
    Ok((!left.is_empty()).then(|| {
        found(
            "camunda.jobs-locked",
            Severity::Warning,
            "ACT_RU_JOB",
            told(&left, &owners),
        )
    }))
}
