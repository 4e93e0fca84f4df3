//! The capability `service`: processes that the operator defined.
//!
//! A plugin can only name them. A started service and a task run under a small supervisor in a session of its own,
//! which writes process id, start time, boot id, output and exit status to files before and after; whoever comes
//! later attaches by process id and start time. A second one is never started while one lives. *Stopped* is
//! proved: no process, port closed, health refused.
//!
//! | module | what |
//! |---|---|
//! | `config` | what the operator writes in `site.toml` |
//! | `process` | processes of this machine, by id and start time |
//! | `record` | the supervisor's files |
//! | `output` | bounded output, written and read |
//! | `supervise` | [`supervise_main`], what the supervisor does |
//! | `launch` | how a supervisor is started |
//! | `find` | which processes are the service's |
//! | `signs` | port, health, log line: what a service shows of itself |
//! | `status` | signs to state, pure |
//! | `command` | short commands with bounded output |
//! | `stop` | signal, grace, kill |
//! | `artifact` | the link to the version that it runs |
//! | `task` | what is to be seen of a task |
//! | `service` | [`Service`], the capability itself |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod artifact;
mod command;
mod config;
mod find;
mod launch;
mod output;
mod process;
mod record;
mod service;
mod signs;
mod status;
mod stop;
mod supervise;
mod task;

pub use config::{
    ArtifactConfig, AskConfig, GRACE_MS_MAX, RESTART_GRACE_MS_MAX, Ready, ServiceConfig,
    ServiceError, Setting, Stop, StopSignal, TaskConfig,
};
pub use output::{LOG_BYTES_MAX, LOG_LINES_MAX, OUTPUT_BYTES_MAX};
pub use service::{Secrets, Service, ServicePlace, SupervisorCommand};
pub use supervise::supervise_main;
