//! The append-only, hash-chained record of every run.
//!
//! The journal knows rows, not what they mean: the gate owns the typed events. What it promises
//! is that a row returned by [`Journal::append`] survives a power cut, that a row is written once
//! however often it is asked for, and that damage is named and never read as history.
//!
//! | module | what it holds |
//! |---|---|
//! | `journal` | [`Journal`]: open, recover, read, verify, heads |
//! | `write` | the one path of every write, and what an unknown outcome does |
//! | `chain` | [`NewRow`], [`Row`], [`struct@Hash`] and the check of one row against the one before |
//! | `schema` | the tables, the connection and its switches |
//! | `sql` | the statements on rows and pins |
//! | `head` | the file that says how far the journal must reach |
//! | `place` | the directory: where it may be, its modes, durable files |
//! | `lock` | one writing process, and who it is |
//! | `reserve` | disk space kept back for the rows that close open work |
//! | `pins` | bytes a run rests on (plugin, plan, approval), kept beside it |
//! | `transfer` | a run as one file, out and in |
//! | `error` | [`JournalError`] |
//!
//! What it cannot see: someone who rewrites rows, hashes *and* head file. The chain is against
//! accidents and against edits by other tools, not against the owner of the directory.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod chain;
mod error;
mod head;
mod journal;
mod lock;
mod pins;
mod place;
mod reserve;
mod schema;
mod sql;
mod transfer;
mod write;

pub use chain::{
    BODY_BYTES_MAX, BreakReason, Hash, NAME_BYTES_MAX, NewRow, ROWS_PER_APPEND_MAX, Row,
};
pub use error::JournalError;
pub use journal::{Journal, JournalState, RunSummary, Verified};
pub use lock::Holder;
pub use pins::PIN_BYTES_MAX;
pub use place::OpenOptions;
pub use schema::{SCHEMA_VERSION, SQLITE_VERSION_MIN};
pub use transfer::EXPORT_BYTES_MAX;
