//! The capability on a real HAProxy and a real nginx.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod suite;
