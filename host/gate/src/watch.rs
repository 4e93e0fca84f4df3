//! Whether the clusters of a run could be reached while it went.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use liftlock_types::Binding;

use crate::{Bindings, boot_time_ms};

/// Longest answer that counts as one: what is slower is down for those who use it.
const ANSWER_MS_MAX: u64 = 5_000;

/// What was seen of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Which.
    pub binding: Binding,
    /// How often it was asked.
    pub looks: u32,
    /// How often it gave no answer within 5 s.
    pub failed: u32,
    /// The longest time without an answer, milliseconds: 0 where each look had one.
    pub longest_gap_ms: u64,
}

/// Looks at every cluster until it is dropped.
pub(crate) struct Watch {
    seen: Arc<Mutex<Vec<Watched>>>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Watch {
    /// `every_ms` 0: does not look at all.
    pub(crate) fn begin(bindings: &Bindings, every_ms: u64) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let clusters: Vec<_> = bindings
            .iter()
            .filter(|(_, capability)| capability.holds_claims())
            .map(|(binding, capability)| (binding.clone(), Arc::clone(capability)))
            .collect();
        if every_ms == 0 || clusters.is_empty() {
            return Self { seen, task: None };
        }
        let told = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut down_since: Vec<Option<u64>> = vec![None; clusters.len()];
            {
                let mut seen = told.lock().unwrap_or_else(PoisonError::into_inner);
                seen.extend(clusters.iter().map(|(binding, _)| Watched {
                    binding: binding.clone(),
                    looks: 0,
                    failed: 0,
                    longest_gap_ms: 0,
                }));
            }
            loop {
                tokio::time::sleep(Duration::from_millis(every_ms)).await;
                for (at, (_, capability)) in clusters.iter().enumerate() {
                    let begun = boot_time_ms();
                    let answer = tokio::time::timeout(
                        Duration::from_millis(ANSWER_MS_MAX),
                        capability.identity(),
                    )
                    .await;
                    let up = matches!(answer, Ok(Ok(_)));
                    let mut seen = told.lock().unwrap_or_else(PoisonError::into_inner);
                    seen[at].looks += 1;
                    if !up {
                        seen[at].failed += 1;
                        down_since[at].get_or_insert(begun);
                    }
                    if let Some(since) = down_since[at] {
                        let gap = boot_time_ms().saturating_sub(since);
                        seen[at].longest_gap_ms = seen[at].longest_gap_ms.max(gap);
                    }
                    if up {
                        down_since[at] = None;
                    }
                }
            }
        });
        Self {
            seen,
            task: Some(task),
        }
    }

    /// What was seen until now.
    pub(crate) fn seen(&self) -> Vec<Watched> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
