//! The capability `snapshot`: one repository of a search cluster.
//!
//! | module | what |
//! |---|---|
//! | `config` | what `site.toml` says |
//! | `repository` | the repository as a [`liftlock_types::Capability`] |
//! | `reads` | verify, list, running |
//! | `inventory` | what was in the indices when the snapshot was taken, kept beside it |
//! | `take`, `trial`, `restore`, `into`, `register` | the kinds of change |
//! | `back` | what a roll-back restores, and what it deletes first |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod back;
mod config;
mod into;
mod inventory;
mod reads;
mod register;
mod repository;
mod restore;
mod take;
mod trial;

pub use config::SnapshotConfig;
pub use repository::{Repository, SnapshotError};
