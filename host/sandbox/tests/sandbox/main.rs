//! The sandbox with a real guest: the component of `tests/guests` behind the real contract.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::print_stdout,
    reason = "the measurement prints what it measured"
)]

mod common;
mod contract;
mod denials;
mod faults;
mod loading;
mod measure;
mod plans;
