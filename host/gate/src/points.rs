//! Where a test can hold or end a run. Only with the feature `test-points`, which no command line can reach.

use std::sync::Arc;

use async_trait::async_trait;
use liftlock_journal::{NewRow, Row};
use liftlock_types::StepId;

use crate::defect::Defect;
use crate::runner::Runner;

/// A place that a run passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// `journal.intent.before`, `act.after`, `probe.before`, ...
    pub label: String,
    /// At which step.
    pub step: Option<StepId>,
    /// Which attempt.
    pub attempt: u32,
}

/// Told of each point, and free never to return: the test then drops the run, as a crash would.
#[async_trait]
pub trait Points: Send + Sync {
    /// The run is here.
    async fn reach(&self, point: Point);
}

/// What a test put into a runner.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub points: Option<Arc<dyn Points>>,
    pub defect: Option<Defect>,
}

impl Runner {
    /// Tells of each point on the way.
    pub fn with_points(mut self, points: Arc<dyn Points>) -> Self {
        self.hooks.points = Some(points);
        self
    }

    pub(crate) async fn reach(&self, label: &[&str], step: Option<&StepId>, attempt: u32) {
        if let Some(points) = &self.hooks.points {
            points
                .reach(Point {
                    label: label.join("."),
                    step: step.cloned(),
                    attempt,
                })
                .await;
        }
    }

    /// Breaks one rule.
    pub fn with_defect(mut self, defect: Defect) -> Self {
        self.hooks.defect = Some(defect);
        self
    }
}

/// A row that only this process knows.
pub(crate) fn not_durable(run: &str, row: NewRow) -> Row {
    Row {
        run: run.into(),
        seq: u64::MAX,
        at_ms: crate::now_ms(),
        step: row.step,
        attempt: row.attempt,
        kind: row.kind,
        body: row.body,
        prev: liftlock_journal::Hash::GENESIS,
        hash: liftlock_journal::Hash::GENESIS,
    }
}
