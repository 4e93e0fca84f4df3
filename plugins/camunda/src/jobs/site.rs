//! Jobs as the site has them: asked of the database and of nodes' health.

use liftlock_sdk::prelude::*;
use serde::Deserialize;

use super::{Lock, Look, Owners, is_taking, left, locks, owner, told};
use crate::check::found;
use crate::descriptor::{DATABASE, NODES};
use crate::goal::Goal;
use crate::nodes::{self, Node, Nodes};
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

/// Jobs are taken, or none waits.
fn are_taken(to: Minor) -> Result<Condition> {
    asked(TAKEN, &json!({ "to": to.to_string() }))
}

/// The condition [`LOCKS`]: nothing stays locked by a node that is down.
pub(crate) fn observe_locks(site: &Site, last: Option<&Value>) -> Result<Observation> {
    let now = locked(&Database::open(site, DATABASE)?)?;
    let owners = owners(site, &now)?;
    let last = last.map(Vec::<Lock>::deserialize).transpose()?;
    let left = left(&now, &owners, last.as_deref());
    Ok(Observation {
        holds: left.is_empty(),
        why: told(&left, &owners),
        seen: json!(left),
    })
}

/// What is locked now.
fn locked(database: &Database) -> Result<Vec<Lock>> {
    Ok(locks(&database.query(reads::LOCKED_JOBS, &[])?.rows))
}

/// Asks the nodes that run jobs for the owners of these locks, until each is known: of a thousand nodes few hold any.
fn owners(site: &Site, locks: &[Lock]) -> Result<Owners> {
    let mut owners = Owners::default();
    if locks.is_empty() {
        return Ok(owners);
    }
    for bound in site.bindings() {
        if locks.iter().all(|lock| owners.told.contains(&lock.owner)) {
            break;
        }
        let Some(name) = bound.binding.strip_prefix(NODES) else {
            continue;
        };
        let service = Service::open(site, &bound.binding)?;
        let labels = nodes::Labels::of(&service)?;
        let Some(endpoint) = labels.endpoint().filter(|_| labels.runs_jobs()) else {
            continue;
        };
        let answer = match Endpoint::open(site, endpoint)?.get(HEALTH, &[]) {
            // 503 where its job executor is off, with the same members.
            Ok(answer) => owner(&answer.body),
            // It holds none that is its own.
            Err(Error::Unavailable(_)) if matches!(service.status()?.state, State::Stopped) => {
                continue;
            }
            Err(Error::Unavailable(_) | Error::Denied(_)) => None,
            Err(error) => return Err(error),
        };
        match answer {
            Some(owner) => {
                owners.told.insert(owner);
            }
            None => owners.silent.push(name.to_owned()),
        }
    }
    Ok(owners)
}

/// Keeps what is locked when a node has stopped.
pub(crate) fn locks_step(
    site: &Site,
    node: &Node,
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
            asked(LOCKS, &json!({}))
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
        locks: locked(&database)?,
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
    let now = locked(&Database::open(site, DATABASE)?)?;
    let owners = owners(site, &now)?;
    let is_kept = |lock: &Lock| kept.iter().any(|other| other.is_same(lock));
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
