//! How a plugin fails: named by plugin, export and what was hit. Material of exit code 40.

use std::fmt;

use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, WasmBacktrace};

use crate::call::Denial;
use crate::limits::{Limit, LimitHit, Limits, STACK_BYTES_MAX};
use crate::text;

/// Frames of a trace that are kept.
const TRACE_FRAMES_MAX: usize = 20;

/// An export of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// What the plugin is and asks for.
    Describe,
    /// What is there.
    Inspect,
    /// What stands in the way.
    Check,
    /// What to do.
    Plan,
    /// Whether it is done.
    Validate,
    /// Whether a condition of its own holds.
    Observe,
    /// What documents become.
    Transform,
}

impl Export {
    /// Its name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Inspect => "inspect",
            Self::Check => "check",
            Self::Plan => "plan",
            Self::Validate => "validate",
            Self::Observe => "observe",
            Self::Transform => "transform",
        }
    }
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a plugin ran into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// A bound of the sandbox.
    #[error(transparent)]
    Limit(LimitHit),
    /// Its code trapped: a panic, a division by zero, memory out of bounds.
    #[error("it trapped: {0}")]
    Trap(String),
    /// It ended itself.
    #[error("it called exit with code {0}")]
    Exit(i32),
    /// It used a handle that it does not have.
    #[error("it used a handle that it does not have: {0}")]
    Handle(String),
    /// It broke a rule of the contract.
    #[error("it broke the contract: {0}")]
    Contract(String),
}

/// A plugin's failure. Nothing was changed: a call only reads and proposes.
#[derive(Debug, Clone, thiserror::Error)]
#[error("plugin `{plugin}` failed in `{export}`: {what}")]
pub struct PluginFault {
    /// Its name, or its digest before it said its name.
    pub plugin: String,
    /// Where.
    pub export: Export,
    /// What was hit.
    pub what: Box<FaultKind>,
    /// Where in its code, innermost first; empty where that is not known.
    pub trace: Vec<String>,
    /// What it said until then.
    pub log: Vec<String>,
    /// What the policy refused until then.
    pub denials: Box<[Denial]>,
}

/// A rule of the contract that the host saw broken; ends the call.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ContractBroken(pub(crate) String);

/// What a wasmtime error means, and where it was.
pub(crate) fn explain(error: &wasmtime::Error, limits: &Limits) -> (FaultKind, Vec<String>) {
    let trace = error
        .downcast_ref::<WasmBacktrace>()
        .map(trace_of)
        .unwrap_or_default();
    (kind_of(error, limits), trace)
}

fn kind_of(error: &wasmtime::Error, limits: &Limits) -> FaultKind {
    if let Some(hit) = error.downcast_ref::<LimitHit>() {
        return FaultKind::Limit(*hit);
    }
    if let Some(broken) = error.downcast_ref::<ContractBroken>() {
        return FaultKind::Contract(broken.0.clone());
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return FaultKind::Exit(exit.0);
    }
    if let Some(handle) = error.downcast_ref::<ResourceTableError>() {
        return FaultKind::Handle(handle.to_string());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            return FaultKind::Limit(LimitHit::new(Limit::StackBytes, STACK_BYTES_MAX));
        }
        Some(trap) => return FaultKind::Trap(trap.to_string()),
        None => {}
    }
    // These have no public type in wasmtime 48; the tests with hostile guests fail when the texts change.
    let text = error.root_cause().to_string();
    if text.contains("fuel allocated for hostcalls has been exhausted") {
        let most = limits.crossing_bytes_max;
        return FaultKind::Limit(LimitHit::new(Limit::CrossingBytes, most));
    }
    if text.contains("store handle limit exceeded") {
        return FaultKind::Limit(LimitHit::new(Limit::Handles, limits.handles_max));
    }
    if text.contains("resource limit exceeded: ") {
        return FaultKind::Limit(LimitHit::new(Limit::Instances, limits.instances_max));
    }
    if text.contains("handle index") || text.contains("is not a resource") {
        return FaultKind::Handle(text);
    }
    FaultKind::Trap(text::one_line(&text))
}

fn trace_of(trace: &WasmBacktrace) -> Vec<String> {
    trace
        .frames()
        .iter()
        .take(TRACE_FRAMES_MAX)
        .map(|frame| match frame.func_name() {
            Some(name) => text::one_line(name),
            None => format!("function {}", frame.func_index()),
        })
        .collect()
}
