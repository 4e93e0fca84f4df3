//! Documents that a plugin changes on their way into another index.
//!
//! ```text
//! search, shard by shard -> batch -> the plugin's function -> bulk -> record
//! ```
//!
//! | module | what |
//! |---|---|
//! | `pages` | one shard's documents in the order of their sequence numbers |
//! | `ask` | a batch through the plugin; the one document that it fails on is found by halves |
//! | `bulk` | a batch into the destination, until each document of it is there or refused for good |
//! | `fence` | what must hold before each request that writes |
//! | `record` | how far each shard is, and the documents kept aside, in the state directory |
//! | `job` | all of it together, and the comparison at the end |
//!
//! No server task does this work, a task of this process does: it lives while somebody looks at it (see
//! [`LOOKED_AT_MS_MAX`]), and what it has done is in the record.

mod ask;
mod bulk;
mod fence;
mod job;
mod pages;
mod record;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use liftlock_types::{Attempt, Progress, Transformer};
use serde_json::Value;

use crate::Cluster;

pub(crate) use job::{Job, What};
pub(crate) use record::{About, Record};

/// How long the work goes on when nobody looks at it.
///
/// 15 s: the gate looks every second while it waits for the end, and each look waits for no target. A runner that
/// stopped, lost its claim or stood still for so long writes nothing any more.
const LOOKED_AT_MS_MAX: u64 = 15_000;

/// The plugin, and where records lie.
struct Lent {
    transformer: Arc<dyn Transformer>,
    dir: PathBuf,
    cluster: Weak<Cluster>,
}

/// What this process works on, by token.
#[derive(Default)]
pub(crate) struct Transforms {
    lent: OnceLock<Lent>,
    works: Mutex<HashMap<String, Arc<Work>>>,
}

/// How one job stands.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// It goes on.
    Works(Progress),
    /// All is there, with the evidence.
    Done(Value),
    /// It ended before that, with what is to be known of it.
    Ended(Value),
}

/// A job as it is looked at.
#[derive(Debug)]
pub(crate) struct Work {
    standing: Mutex<Standing>,
    looked_at: Mutex<Instant>,
}

impl Work {
    fn new() -> Self {
        let progress = Progress {
            done: 0,
            total: 0,
            unit: "documents".into(),
            note: String::new(),
        };
        Self {
            standing: Mutex::new(Standing::Works(progress)),
            looked_at: Mutex::new(Instant::now()),
        }
    }

    /// Looks at it, which keeps it going. Too late a look does not: a runner that stood still for so long may have lost its
    /// claim meanwhile, and what it began ends.
    pub(crate) fn look(&self) -> Standing {
        let mut looked_at = self.looked_at();
        if is_recent(*looked_at) {
            *looked_at = Instant::now();
        }
        drop(looked_at);
        self.standing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn tell(&self, standing: Standing) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    fn is_looked_at(&self) -> bool {
        is_recent(*self.looked_at())
    }

    fn looked_at(&self) -> MutexGuard<'_, Instant> {
        self.looked_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_recent(look: Instant) -> bool {
    look.elapsed() < Duration::from_millis(LOOKED_AT_MS_MAX)
}

impl Transforms {
    /// The job of this token, where this process has it.
    pub(crate) fn work(&self, token: &str) -> Option<Arc<Work>> {
        self.works().get(token).cloned()
    }

    /// Forgets a job that is over.
    pub(crate) fn forget(&self, token: &str) {
        self.works().remove(token);
    }

    /// Where the record of this step lies. `None`: nothing was lent.
    pub(crate) fn place(&self, attempt: &Attempt) -> Option<PathBuf> {
        let dir = self.lent.get()?.dir.join(attempt.run.as_str());
        Some(dir.join(attempt.step.as_str()))
    }

    /// Begins a job, which goes on beside the caller.
    pub(crate) fn begin(&self, what: What, record: Record) -> Result<(), &'static str> {
        let Some((lent, cluster)) = self
            .lent
            .get()
            .and_then(|lent| Some((lent, lent.cluster.upgrade()?)))
        else {
            return Err("no plugin was lent to this cluster");
        };
        let work = Arc::new(Work::new());
        self.works().insert(what.token.clone(), work.clone());
        let job = Job::new(cluster, lent.transformer.clone(), what, record, work);
        tokio::spawn(Arc::new(job).run());
        Ok(())
    }

    fn works(&self) -> MutexGuard<'_, HashMap<String, Arc<Work>>> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// Lends it the plugin through which documents go, and the directory where it keeps how far it is: `DIR/RUN/STEP.json`,
    /// and beside it `STEP.rejected.ndjson` with the documents that were not taken over. Once; a second one is not taken.
    ///
    /// Without it a transform is refused before anything is sent.
    pub fn lend(self: &Arc<Self>, transformer: Arc<dyn Transformer>, dir: PathBuf) {
        let lent = Lent {
            transformer,
            dir,
            cluster: Arc::downgrade(self),
        };
        if self.transforms.lent.set(lent).is_err() {
            tracing::debug!("a plugin was lent already");
        }
    }
}
