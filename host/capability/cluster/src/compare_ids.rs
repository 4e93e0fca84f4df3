//! Is every id of one index in another? Read in slices, so that no look takes minutes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use liftlock_types::ReadError;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::Cluster;
use crate::call::Call;
use crate::reads::{Hit, list, text};
use crate::scroll::Scroll;

/// How long one look compares before it gives an interim result.
///
/// A minute: a thousand ids take some 50 ms on a small node, so a million documents are one look.
const SLICE: Duration = Duration::from_secs(60);

/// Missing ids that are named.
const EXAMPLES_MAX: usize = 10;

/// Comparisons that are under way, by name.
#[derive(Debug, Default)]
pub(crate) struct Comparisons(Mutex<HashMap<String, Comparison>>);

#[derive(Debug)]
struct Comparison {
    scroll: Scroll,
    missing: u64,
    examples: Vec<String>,
}

/// What a look came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Compared {
    /// Go on.
    Some { done: u64, total: u64 },
    /// All ids were looked for.
    All {
        total: u64,
        missing: u64,
        examples: Vec<String>,
    },
}

impl Cluster {
    /// Looks whether the destination has each id that the query selects in the source.
    ///
    /// Both sides are refreshed and the destination flushed at the beginning. The name keeps a comparison that
    /// took longer than one look; the next look with it goes on.
    pub(crate) async fn compare_ids(
        &self,
        name: &str,
        source: &str,
        query: Option<&str>,
        destination: &str,
    ) -> Result<Compared, ReadError> {
        let begun = Instant::now();
        let kept = self.comparisons.0.lock().await.remove(name);
        let mut comparison = match kept {
            Some(comparison) => comparison,
            None => {
                self.refresh(source).await?;
                self.refresh(destination).await?;
                // What is only in memory and translog of the destination is not yet what may replace a source.
                self.ask(&Call::post([destination, "_flush"])).await?;
                Comparison {
                    scroll: Scroll::open(self, source, query, false).await?,
                    missing: 0,
                    examples: Vec::new(),
                }
            }
        };
        loop {
            let Some(page) = comparison.scroll.next(self).await? else {
                let Comparison {
                    scroll,
                    missing,
                    examples,
                } = comparison;
                let total = scroll.total();
                scroll.close(self).await;
                return Ok(Compared::All {
                    total,
                    missing,
                    examples,
                });
            };
            for id in self.missing_of(destination, &page).await? {
                comparison.missing += 1;
                if comparison.examples.len() < EXAMPLES_MAX {
                    comparison.examples.push(id);
                }
            }
            if begun.elapsed() > SLICE {
                let (done, total) = (comparison.scroll.seen(), comparison.scroll.total());
                self.comparisons
                    .0
                    .lock()
                    .await
                    .insert(name.to_owned(), comparison);
                return Ok(Compared::Some { done, total });
            }
        }
    }

    async fn missing_of(&self, destination: &str, page: &[Hit]) -> Result<Vec<String>, ReadError> {
        let docs: Vec<Value> = page
            .iter()
            .map(|hit| match &hit.routing {
                Some(routing) => json!({"_id": hit.id, "routing": routing}),
                None => json!({"_id": hit.id}),
            })
            .collect();
        let call = Call::post([destination, "_mget"])
            .param("_source", "false")
            .json(&json!({"docs": docs}));
        let value = self.ask(&call).await?;
        let found = list(value.get("docs"));
        if found.len() != page.len() {
            return Err(ReadError::Unavailable(format!(
                "{} documents asked for, {} answered",
                page.len(),
                found.len()
            )));
        }
        let mut missing = Vec::new();
        for doc in found {
            if let Some(error) = doc.get("error") {
                return Err(ReadError::Unavailable(format!(
                    "a document could not be read: {error}"
                )));
            }
            if doc.get("found") != Some(&Value::Bool(true)) {
                missing.push(text(doc, "_id").to_owned());
            }
        }
        Ok(missing)
    }
}
