//! What must hold before each request that writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::Work;
use crate::Cluster;

/// How often it is looked whether the destination is still the one that is meant. A request to an index that is gone
/// would make another one of the name.
const SEEN_EVERY: Duration = Duration::from_secs(1);

/// Somebody looks at the work, and the destination is the one that is meant.
pub(crate) struct Fence {
    work: Arc<Work>,
    destination: String,
    uuid: String,
    seen_at: Mutex<Option<Instant>>,
}

impl Fence {
    pub(crate) fn new(work: Arc<Work>, destination: &str, uuid: &str) -> Self {
        Self {
            work,
            destination: destination.to_owned(),
            uuid: uuid.to_owned(),
            seen_at: Mutex::default(),
        }
    }

    /// # Errors
    /// Why nothing more may be written.
    pub(crate) async fn holds(&self, cluster: &Cluster) -> Result<(), String> {
        if !self.work.is_looked_at() {
            return Err("nobody looks at it any more".into());
        }
        let mut seen_at = self.seen_at.lock().await;
        if seen_at.is_some_and(|at| at.elapsed() < SEEN_EVERY) {
            return Ok(());
        }
        let now = Instant::now();
        let found = cluster.index(&self.destination).await;
        match found.map_err(|error| error.to_string())? {
            Some(state) if state.uuid == self.uuid => {}
            Some(state) => {
                return Err(format!(
                    "`{}` has the uuid `{}` now, `{}` is meant",
                    self.destination, state.uuid, self.uuid
                ));
            }
            None => return Err(format!("there is no index `{}` any more", self.destination)),
        }
        *seen_at = Some(now);
        Ok(())
    }
}
