//! Types that every part of the host shares: data and pure rules, no socket, no file.
//!
//! | module | what |
//! |---|---|
//! | `names` | newtypes that parse and refuse |
//! | `json` | JSON text in its canonical form |
//! | [`facts`] | what capabilities read |
//! | `read`, `change`, `condition` | reads, effects and predicates as data |
//! | `raw` | requests that no other kind of change covers |
//! | `endpoint` | requests to a product's own API |
//! | [`rules`] | the host's table of kinds of change |
//! | `scope`, `policy` | what a scope covers; grants, and the three inclusions |
//! | `options` | the operator's values in what a plugin asks for |
//! | [`sql`] | statements and queries, understood before they are sent |
//! | `undo` | what takes a change back |
//! | `plugin` | descriptor, inventory, findings |
//! | `plan` | steps, plan, plan file |
//! | `shape` | what of a plan is the same on another target |
//! | `exit` | exit codes |
//! | `secret` | references to secrets |
//! | [`event`] | what the journal keeps |
//! | `capability` | the trait between the gate and each capability |
//! | `transform` | documents on their way through a plugin's pure function |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod capability;
mod change;
mod condition;
mod endpoint;
pub mod event;
mod exit;
pub mod facts;
mod json;
mod names;
mod options;
mod plan;
mod plugin;
mod policy;
mod raw;
mod read;
pub mod rules;
mod scope;
mod secret;
mod shape;
pub mod sql;
mod transform;
mod undo;

pub use capability::{Acted, Attempt, Capability, Claim, Evaluated, Observed, Probed, Progress};
pub use change::{
    ARCHIVED, AliasAction, Change, Fill, FillError, FillValue, Hunk, OnRejected, Planned, Script,
};
pub use condition::{Condition, Guard, OnExpiry, PATIENCE_MS_DEFAULT, PLUGIN_BINDING, Predicate};
pub use endpoint::{EndpointPath, EndpointRequest, RUN_ID_PLACEHOLDER, check_endpoint_query};
pub use exit::Exit;
pub use json::{JSON_BYTES_MAX, JSON_DEPTH_MAX, Json, JsonError, contains};
pub use names::{
    AliasName, BackendName, Binding, Digest, DocumentId, FileName, IndexName, NameError, RunId,
    STEP_ID_PLANNED_MAX, ServerName, SnapshotName, StepId, TemplateName, UnitName, Verb, hex,
    is_invisible,
};
pub use options::{resolve, resolve_options, resolve_verb, waits};
pub use plan::{
    Body, Facts, HandOver, PLAN_FORMAT, PLAN_STEPS_MAX, Phase, Plan, PlanFile, PlanFileError,
    PluginRef, Proposal, RecordedRead, RestsOn, Step, TargetIdentity, Undo, Work,
};
pub use plugin::{
    Descriptor, Edge, Fact, Finding, Inventory, KnownFinding, Moment, Need, OptionKind, OptionSpec,
    Request, Severity, Target, VerbRequest,
};
pub use policy::{Denied, Grant, GrantedBinding, GrantedVerb, binding_matches};
pub use raw::{DoneWhen, Method, RawRequest, RequestPath};
pub use read::{Read, ReadError, Reading, path_of};
pub use scope::Scope;
pub use secret::SecretRef;
pub use transform::{
    TRANSFORM_BATCH_BYTES, TRANSFORM_BATCH_MAX, ToTransform, TransformError, Transformed,
    Transformer,
};
pub use undo::{KEPT_BINDING, UNDONE_BY};
