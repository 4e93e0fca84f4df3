//! Each name once: `use liftlock_sdk::prelude::*;`.

pub use crate::bindings::exports::liftlock::upgrade::upgrade::{
    Descriptor, Edge, KnownFinding, Need, OptionSpec, Refusal, Request,
};
pub use crate::bindings::liftlock::upgrade::run::{Moment, Run, StepView};
pub use crate::bindings::liftlock::upgrade::types::{
    Error, Fact, Finding, Inventory, Severity, Target,
};
pub use crate::capability::{
    Administrative, Alias, AliasAction, Answer, Artifact, BalancedServer, Balancer, Change,
    ChangeExt, Cluster, Condition, ConditionExt, Directory, Distribution, Document, Endpoint,
    EndpointMethod, EndpointRequest, Health, Hunk, Identity, Index, Node, OnExpiry, OnRejected,
    RUN_ID, Reading, Reindexing, Repository, Script, Search, Service, SettingScope, Shard,
    Snapshot, State, Status, Task, Template, TemplateKind, TransformingInto,
};
pub use crate::capability::{Database, LockPatience, Rows};
pub use crate::error::{Maybe, Result};
pub use crate::observing::{Observation, Observing};
pub use crate::plan::{Phase, Plan, StepBuilder, asked};
pub use crate::plugin::Plugin;
pub use crate::run::Captured;
pub use crate::site::{Bound, Level, Site};
pub use crate::transforming::Transforming;
pub use crate::version::Version;
pub use crate::{describe, export};
pub use serde_json::{Value, json};
