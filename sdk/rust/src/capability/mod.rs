//! The handles, and on each the changes and conditions that can be proposed for it.
//!
//! The reads are methods that the contract defines; the inert constructors are put beside them here, so that
//! everything about one thing is reached from its handle. What a plugin does not call is not imported by its
//! component: the import section says what it can ever read and propose.

mod cluster;
mod database;
mod disk;
mod endpoint;
mod service;
mod snapshot;
mod traffic;

pub use crate::bindings::liftlock::upgrade::cluster::{
    Alias, Cluster, Deprecation, Distribution, Document, Health, Identity, Index, Node, RawAnswer,
    Scope as SettingScope, Search, Shard, Task, Template, TemplateKind,
};
pub use crate::bindings::liftlock::upgrade::cluster_changes::{
    AliasAction, Method, OnRejected, RawRequest, Reindexing, Script,
    Transforming as TransformingInto,
};
pub use crate::bindings::liftlock::upgrade::disk::{Directory, Entry, EntryKind, Space};
pub use crate::bindings::liftlock::upgrade::disk_changes::Hunk;
pub use crate::bindings::liftlock::upgrade::draft::{Change, Condition, OnExpiry, Reading};
pub use crate::bindings::liftlock::upgrade::endpoint::{Answer, Endpoint};
pub use crate::bindings::liftlock::upgrade::endpoint_changes::{
    ApiRequest as EndpointRequest, Method as EndpointMethod,
};
pub use crate::bindings::liftlock::upgrade::service::{
    Artifact, CommandOutput, Service, State, Status,
};
pub use crate::bindings::liftlock::upgrade::snapshot::{Repository, Taken as Snapshot};
pub use crate::bindings::liftlock::upgrade::traffic::{
    Administrative, Balancer, Server as BalancedServer,
};

pub use cluster::Archived;
pub use endpoint::RUN_ID;

pub use crate::bindings::liftlock::upgrade::database::{
    Column, Constraint, Database, Identity as DatabaseIdentity, Index as TableIndex, Product, Rows,
    Session as DatabaseSession, Table,
};
pub use crate::bindings::liftlock::upgrade::database_changes::LockPatience;

use crate::Result;

/// Values that exist only when the step runs, filled in by the host.
pub trait ChangeExt: Sized {
    /// The instant (ISO-8601, UTC, milliseconds) at this JSON pointer of the document.
    ///
    /// # Errors
    /// The error that it was called on, or `invalid` for a pointer into nothing.
    fn fill_now(self, pointer: &str) -> Result<Change>;

    /// The run's id at this JSON pointer.
    ///
    /// # Errors
    /// As above.
    fn fill_run_id(self, pointer: &str) -> Result<Change>;
}

impl ChangeExt for Result<Change> {
    fn fill_now(self, pointer: &str) -> Result<Change> {
        let change = self?;
        change.fill_now(pointer)?;
        Ok(change)
    }

    fn fill_run_id(self, pointer: &str) -> Result<Change> {
        let change = self?;
        change.fill_run_id(pointer)?;
        Ok(change)
    }
}

/// How a condition is waited for.
pub trait ConditionExt: Sized {
    /// It must not hold.
    ///
    /// # Errors
    /// The error that it was called on.
    fn negated(self) -> Result<Condition>;

    /// It must hold this long without a break.
    ///
    /// # Errors
    /// The error that it was called on.
    fn stable_for_ms(self, ms: u64) -> Result<Condition>;

    /// How long the host waits for it; five minutes otherwise.
    ///
    /// # Errors
    /// The error that it was called on.
    fn patience_ms(self, ms: u64) -> Result<Condition>;

    /// What happens then; the step fails otherwise.
    ///
    /// # Errors
    /// The error that it was called on.
    fn when_expired(self, what: OnExpiry) -> Result<Condition>;
}

impl ConditionExt for Result<Condition> {
    fn negated(self) -> Result<Condition> {
        self.inspect(Condition::negate)
    }

    fn stable_for_ms(self, ms: u64) -> Result<Condition> {
        self.inspect(|condition| condition.stable_for(ms))
    }

    fn patience_ms(self, ms: u64) -> Result<Condition> {
        self.inspect(|condition| condition.patience(ms))
    }

    fn when_expired(self, what: OnExpiry) -> Result<Condition> {
        self.inspect(|condition| condition.on_expiry(what))
    }
}
