//! One snapshot repository.

use serde_json::Value;

use super::{Change, Condition, Repository};
use crate::Result;
use crate::bindings::liftlock::upgrade::{snapshot, snapshot_changes};
use crate::site::Site;

impl Repository {
    /// The handle of a binding: `snapshot.backups`.
    ///
    /// # Errors
    /// The host's: no such binding, or not granted.
    pub fn open(site: &Site, binding: &str) -> Result<Self> {
        snapshot::open(site, binding)
    }

    /// Proposes to register it: `fs`, `s3`, ..., with the server's settings, without secrets.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn register(&self, kind: &str, settings: &Value) -> Result<Change> {
        snapshot_changes::register(self, kind, &settings.to_string())
    }

    /// Proposes to take it off the cluster, while it is registered with this kind and these settings.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn unregister(&self, kind: &str, settings: &Value) -> Result<Change> {
        snapshot_changes::unregister(self, kind, &settings.to_string())
    }

    /// Proposes to take a snapshot: patterns, resolved when it is taken, without those of `except`.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn take(&self, name: &str, indices: &[String], except: &[String]) -> Result<Change> {
        snapshot_changes::take(self, name, indices, except)
    }

    /// Proposes a trial restore of what that step took: compared, and removed again.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn prove(&self, taken_by: &str) -> Result<Change> {
        snapshot_changes::prove(self, taken_by)
    }

    /// Proposes to restore indices that were deleted.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn restore(&self, taken_by: &str, indices: &[String]) -> Result<Change> {
        snapshot_changes::restore(self, taken_by, indices)
    }

    /// Proposes to restore into this repository's cluster what a step took in another one, through a repository of the same
    /// store: patterns, resolved against what it took, without those of `except`. `replicas`: of each index; none: as many
    /// as it had.
    ///
    /// # Errors
    /// The host's: outside the grant, no pattern or more than 100, or no such name.
    pub fn restore_into(
        &self,
        taken_by: &str,
        indices: &[String],
        except: &[String],
        replicas: Option<u32>,
    ) -> Result<Change> {
        snapshot_changes::restore_into(self, taken_by, indices, except, replicas)
    }

    /// Proposes to delete a snapshot.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn delete(&self, name: &str) -> Result<Change> {
        snapshot_changes::delete(self, name)
    }

    /// No snapshot runs, in any repository.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn none_running(&self) -> Result<Condition> {
        snapshot_changes::none_running(self)
    }
}
