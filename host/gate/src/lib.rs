//! The gate: from a proposal to a frozen plan, and from a plan to a finished run.
//!
//! > A change that is recorded or proved done is never done again; a change whose outcome cannot be proved is
//! > never guessed.
//!
//! | module | what |
//! |---|---|
//! | `freeze` | checks a proposal against graph, grant and targets, and makes it a plan |
//! | `undo` | an undo takes back what its step did, and nothing else |
//! | `objections` | the host's own rules, as findings |
//! | `approval` | who agreed to what |
//! | `state` | what the journal says of a run: a pure function of its rows |
//! | `claim` | one run at a time, held in the target |
//! | `pass` | the one path of every change |
//! | `settle` | what became of a change that has an intent and no outcome |
//! | `wait`, `guard` | conditions, before and after a step, and over a span of steps |
//! | `beside` | which steps may go side by side |
//! | `watch` | whether the clusters could be reached meanwhile |
//! | `runner`, `before`, `steps`, `borrowed`, `finish` | a run from its first step to its end, or its abort |
//! | `resume`, `replan`, `takeover` | a run that goes on: after a crash or a stop, by another plan, from a dead runner |
//! | `rollback`, `unit`, `compare` | a run that goes back, whole or one unit of it, and whether all is as before |
//! | `planner`, `observer`, `clock` | what the runner needs of others |
//! | `points`, `defect` | where a test can end a run, and a gate without one of its rules: with the feature `test-points` |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod approval;
mod before;
mod beside;
mod borrowed;
mod claim;
mod clock;
mod compare;
mod defect;
mod finish;
mod freeze;
mod guard;
mod objections;
mod observer;
mod pass;
mod planner;
#[cfg(feature = "test-points")]
mod points;
mod replan;
mod resume;
mod rollback;
mod runner;
mod settle;
mod state;
mod steps;
mod takeover;
mod undo;
mod unit;
mod wait;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use liftlock_types::{Binding, Capability};

/// The targets of a site, by binding.
pub type Bindings = BTreeMap<Binding, Arc<dyn Capability>>;

pub use approval::{Approval, Missing, StepApproval, Waiver, missing};
pub use claim::this_process;
pub use clock::{boot_time_ms, iso, now_ms};
#[cfg(feature = "test-points")]
pub use defect::Defect;
pub use freeze::{FreezeError, PlanContext, differences, freeze};
pub use objections::{HOST_FINDINGS, objections};
pub use observer::{Happening, Observer, StopSignal};
pub use planner::{Asked, Planner, PlannerFault, Replanned};
#[cfg(feature = "test-points")]
pub use points::{Point, Points};
pub use replan::{carried, replan_refused};
pub use rollback::{UndoStep, rollback_plan};
pub use runner::{Decision, End, Halt, Parts, Runner, Who};
pub use settle::Timing;
pub use state::{AttemptState, RecoverError, RunState, StepState, recover};
pub use takeover::{Holder, abandon, holder_of};
pub use watch::Watched;
