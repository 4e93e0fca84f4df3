//! The folders that repositories lie in. Several clusters can have them mounted, as a shared file system is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::snapshot::Store;

/// What lies where, by its location. Clones are the same folders.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folders(Arc<Mutex<BTreeMap<String, Store>>>);

impl Folders {
    /// Whoever holds it holds at most one cluster's lock, and takes none.
    pub(crate) fn held(&self) -> MutexGuard<'_, BTreeMap<String, Store>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
