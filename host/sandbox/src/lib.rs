//! The sandbox: runs plugins, WebAssembly components that read through handles and write by proposing.
//!
//! A guest reaches nothing but the contract's imports. Each of them goes through [`session`](self), where the policy
//! is asked first; none of them acts. Every call runs in a store of its own, under bounds that are on by default,
//! and the store is dropped after it.
//!
//! | module | what |
//! |---|---|
//! | `engine` | wasmtime's configuration, the epoch's tick, loading |
//! | `cache` | compiled components on disk |
//! | `compile` | compiling, in a process that may use so much and no more |
//! | `plugin` | a loaded plugin and its exports |
//! | `call` | what goes into a call, and what comes out |
//! | `replay` | the same call again from recorded reads: determinism |
//! | `session` | the one path of reads and proposals |
//! | `draft` | the plan in the making |
//! | `bounds`, [`limits`] | of reads; of calls |
//! | `wasi` | an inert shim |
//! | `log`, [`text`] | what a plugin says, bounded and escaped |
//! | `fault` | how a plugin fails |
//! | `doors` | ways in for the fuzz targets |
//! | `edge_v0_1` | the contract 0.1 in terms of the host's own types |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod bounds;
mod cache;
mod call;
mod compile;
#[cfg(feature = "doors")]
pub mod doors;
mod draft;
mod edge_v0_1;
mod engine;
mod fault;
pub mod limits;
mod log;
mod plugin;
mod replay;
mod session;
pub mod text;
mod wasi;

pub use cache::CacheError;
pub use call::{
    Asked, Call, Called, Denial, ReadMade, ReadSource, Refusal, RunView, SiteView, StepView,
};
pub use compile::{CompileError, Compiler, CompilerProcess, compile_main};
pub use engine::{Engine, EngineError, LoadError, SandboxConfig};
pub use fault::{Export, FaultKind, PluginFault};
pub use limits::{CompileLimits, Limit, LimitHit, Limits};
pub use log::{Level, LogSink, NoLog};
pub use plugin::{Import, Plugin};
pub use replay::{Recorded, Replay};
