//! Jobs around a node's restart: what it leaves locked when it stops, and that jobs are taken again when it is back.
//!
//! A lock names its owner, a random id of one start of one node. A node with Spring Boot's health endpoint tells its own;
//! locks whose owner no running node claims are those of a node that is down. They are told with their expiry and never
//! cleared: when it has passed another node takes the job.

mod site;

use std::collections::BTreeSet;

use liftlock_sdk::prelude::*;
use liftlock_sdk::told;
use serde::{Deserialize, Serialize};

use crate::reads;

pub(crate) use site::{
    LOCKS, TAKEN, findings, locks_step, observe_locks, observe_taken, taken_step,
};

/// The owner in it, where the endpoint shows details.
const OWNER: &str = "/components/jobExecutor/details/jobExecutor/lockOwner";

/// Locks of one owner that expire at the same time: they were taken together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lock {
    /// A random id of one start of one node.
    pub owner: String,
    /// When they expire, as that node wrote it: by its own clock, without a zone.
    pub until: String,
    /// How many jobs.
    pub jobs: u64,
}

impl Lock {
    /// Taken together with the other one; some of its jobs may be done.
    fn is_same(&self, other: &Self) -> bool {
        self.owner == other.owner && self.until == other.until
    }
}

/// Reads what [`reads::LOCKED_JOBS`] gives. A lock without an expiry cannot be; its text is empty then.
pub fn locks(rows: &[Vec<Option<String>>]) -> Vec<Lock> {
    rows.iter()
        .map(|row| {
            let text = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
            Lock {
                owner: text(0),
                until: text(1),
                jobs: text(2).parse().unwrap_or(0),
            }
        })
        .collect()
}

/// The owner that a node tells in its health.
fn owner(health: &str) -> Option<String> {
    let health: Value = health.parse().ok()?;
    Some(health.pointer(OWNER)?.as_str()?.to_owned())
}

/// What nodes say of the locks that are theirs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Owners {
    /// Ids that nodes which run call their own.
    pub told: BTreeSet<String>,
    /// Nodes that say nothing: their locks look like those of a node that is down.
    pub silent: Vec<String>,
}

/// Locks that no running node calls its own. Where some node is silent a lock of its own may be among them, so that a
/// lock has to be there at two looks at least: most jobs end in the meantime, and those of a node that is down never do.
pub fn left(now: &[Lock], owners: &Owners, last: Option<&[Lock]>) -> Vec<Lock> {
    now.iter()
        .filter(|lock| !owners.told.contains(&lock.owner))
        .filter(|lock| {
            let was_there = |last: &[Lock]| last.iter().any(|other| other.is_same(lock));
            owners.silent.is_empty() || last.is_none_or(was_there)
        })
        .cloned()
        .collect()
}

/// In words: how many, by whom, until when.
fn told(left: &[Lock], owners: &Owners) -> String {
    let all: Vec<String> = left
        .iter()
        .map(|Lock { owner, until, jobs }| format!("{jobs} by `{owner}` until {until}"))
        .collect();
    let jobs: u64 = left.iter().map(|lock| lock.jobs).sum();
    let mut text = format!(
        "jobs are locked, {jobs} in all, and no running node says that it is the owner: {} (by the clock of the node that \
         locked them)",
        told::first(&all, "; ")
    );
    if !owners.silent.is_empty() {
        text.push_str(&format!(
            "; {} do not say which locks are theirs, so that some of these may be",
            told::first(&owners.silent, ", ")
        ));
    }
    text
}

/// One look at jobs.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Locks.
    pub locks: Vec<Lock>,
    /// Ids of jobs that could be taken, in order; at most [`reads::WAITING_JOBS_MAX`].
    pub waiting: Vec<String>,
}

/// Whether jobs are taken: a lock is new since the last look, or a job that waited is gone. Where none waits nothing
/// stands still. Jobs that waited before any node was touched are no matter: whatever keeps them was there before.
pub fn is_taking(
    now: &Look,
    last: Option<&Look>,
    before: &[String],
) -> std::result::Result<(), usize> {
    let waits = now.waiting.iter().filter(|id| !before.contains(id)).count();
    let Some(last) = last else {
        return if waits == 0 { Ok(()) } else { Err(waits) };
    };
    let is_new = |lock: &Lock| !last.locks.contains(lock);
    // Behind the last of a full answer nothing can be told.
    let end = match now.waiting.last() {
        Some(end) if now.waiting.len() >= reads::WAITING_JOBS_MAX => Some(end),
        _ => None,
    };
    let is_gone = |id: &String| end.is_none_or(|end| id < end) && !now.waiting.contains(id);
    if waits == 0 || now.locks.iter().any(is_new) || last.waiting.iter().any(is_gone) {
        return Ok(());
    }
    Err(waits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(owner: &str, until: &str, jobs: u64) -> Lock {
        Lock {
            owner: owner.into(),
            until: until.into(),
            jobs,
        }
    }

    fn owners(told: &[&str], silent: &[&str]) -> Owners {
        Owners {
            told: told.iter().map(ToString::to_string).collect(),
            silent: silent.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_lock_that_no_running_node_owns_is_left_and_is_told_with_its_expiry() {
        let row = |texts: [&str; 3]| texts.map(|text| Some(text.to_owned())).to_vec();
        let now = locks(&[row(["a", "09:15", "3"]), row(["b", "09:16", "1"])]);
        let all = owners(&["b"], &[]);
        let stays = left(&now, &all, None);
        assert_eq!(stays, [lock("a", "09:15", 3)]);
        let text = told(&stays, &all);
        assert!(
            text.contains("3 by `a` until 09:15") && !text.contains("`b`"),
            "{text}"
        );
        assert!(!text.contains("do not say"), "{text}");
        assert_eq!(left(&now, &owners(&["a", "b"], &[]), None), []);
    }

    #[test]
    fn where_a_node_is_silent_only_what_stays_is_left_and_it_is_said_so() {
        let silent = owners(&["b"], &["n3"]);
        let first = [lock("a", "09:15", 3), lock("c", "09:15", 2)];
        let now = [
            lock("a", "09:15", 3),
            lock("c", "09:17", 2),
            lock("b", "09:15", 1),
        ];
        let stays = left(&now, &silent, Some(&first));
        assert_eq!(stays, [lock("a", "09:15", 3)]);
        assert!(told(&stays, &silent).contains("n3 do not say"));
        // Some of the jobs that were locked together are done: the rest is locked all the same.
        let fewer = [lock("a", "09:15", 1)];
        assert_eq!(left(&fewer, &silent, Some(&stays)), fewer);
    }

    #[test]
    fn the_owner_is_read_from_health_with_details() {
        let health = r#"{"status":"UP","components":{"jobExecutor":{"status":"UP","details":{"jobExecutor":
            {"name":"x","lockOwner":"1f-2e","lockTimeInMillis":300000}}}}}"#;
        assert_eq!(owner(health).as_deref(), Some("1f-2e"));
        for other in [
            r#"{"status":"UP"}"#,
            "<html>",
            r#"{"type":"NotFoundException"}"#,
        ] {
            assert_eq!(owner(other), None, "{other}");
        }
    }

    fn look(locks: &[Lock], waiting: &[&str]) -> Look {
        Look {
            locks: locks.to_vec(),
            waiting: waiting.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn jobs_that_wait_are_waited_for_until_one_is_taken() {
        let stands = look(&[lock("a", "1", 1)], &["j1", "j2"]);
        assert_eq!(is_taking(&stands, None, &[]), Err(2));
        assert_eq!(is_taking(&stands, Some(&stands), &[]), Err(2));
        // A new lock; one done without its lock being seen; more jobs alone are no sign.
        let locked = look(&[lock("a", "1", 1), lock("b", "2", 1)], &["j1", "j2"]);
        assert_eq!(is_taking(&locked, Some(&stands), &[]), Ok(()));
        let done = look(&[lock("a", "1", 1)], &["j2", "j3"]);
        assert_eq!(is_taking(&done, Some(&stands), &[]), Ok(()));
        let more = look(&[lock("a", "1", 1)], &["j1", "j2", "j3"]);
        assert_eq!(is_taking(&more, Some(&stands), &[]), Err(3));
    }

    #[test]
    fn nothing_is_waited_for_where_no_job_waits_but_those_of_before() {
        assert_eq!(is_taking(&look(&[], &[]), None, &[]), Ok(()));
        let before = ["old".to_owned()];
        assert_eq!(is_taking(&look(&[], &["old"]), None, &before), Ok(()));
        assert_eq!(
            is_taking(&look(&[], &["new", "old"]), None, &before),
            Err(1)
        );
    }

    #[test]
    fn a_job_behind_the_last_of_a_full_answer_counts_as_there() {
        let names: Vec<String> = (0..=reads::WAITING_JOBS_MAX)
            .map(|n| format!("j{n:04}"))
            .collect();
        let full = |from: usize| Look {
            locks: Vec::new(),
            waiting: names[from..from + reads::WAITING_JOBS_MAX].to_vec(),
        };
        // One came before all others and pushed the last one out.
        assert!(is_taking(&full(0), Some(&full(1)), &[]).is_err());
        assert_eq!(is_taking(&full(1), Some(&full(0)), &[]), Ok(()));
    }
}
