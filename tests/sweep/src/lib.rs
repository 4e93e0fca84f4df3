//! The sweep.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]
pub mod guest;
pub mod image;
pub mod judge;
pub mod ledger;
pub mod life;
pub mod perform;
pub mod position;
pub mod reference;
pub mod service;
pub mod truth;
pub mod watch;
pub mod ways;
pub mod world;
