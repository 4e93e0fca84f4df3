//! The capability `disk`: one directory of the site.
//!
//! No path leaves the directory: names go down one by one, links are resolved beneath it, and a link or a mount
//! point is never the target of a change. Every write is a temporary file, a sync, a rename and a sync of the
//! directory. What an edit or a removal takes away is kept first, beside the journal and not in it.
//!
//! | module | what |
//! |---|---|
//! | `config` | what the operator writes in `site.toml`, and what can be wrong with it |
//! | `redact` | takes secrets out of text before a plugin or a log sees it |
//! | `hunks` | edits of a text, pure |
//! | `root` | the directory: reads, and where a change may go |
//! | `kept` | copies in the state directory, by hash |
//! | `write` | temporary file, sync, rename; marks of what this run made |
//! | `directory` | [`Directory`], the capability itself |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod config;
mod directory;
mod hunks;
mod kept;
mod redact;
mod root;
mod write;

pub use config::{DiskConfig, DiskError};
pub use directory::Directory;
pub use liftlock_types::KEPT_BINDING;
pub use redact::{KEYS_DEFAULT, REDACTED, RedactError, Redactor};
pub use root::{COPY_BYTES_MAX, ENTRIES_MAX, READ_BYTES_MAX, TEXT_BYTES_MAX};
