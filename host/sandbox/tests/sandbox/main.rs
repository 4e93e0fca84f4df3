//! The sandbox with a real guest: the component of `tests/guests` behind the real contract.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
mod compiling;
mod contract;
mod denials;
mod faults;
mod loading;
mod observing;
mod plans;
mod traffic;
mod transforming;
