//! A stand-in for the upgrader that the vendor ships with Optimize, for tests only.
//!
//! The vendor's archives cannot be had by the test suite. This program asks a database for the same requests in
//! the same order, writes the same log lines and ends with the same exit codes as a run of the vendor's was seen
//! to, its defects included: it succeeds on the wrong prefix, skips by a kept update log, loses data where two
//! counts are equal, puts tuned settings back, and has no lock. None of the vendor's code is in it.
//!
//! | module | holds |
//! |---|---|
//! | [`settings`] | the vendor's environment and arguments, and what tests ask for beside them |
//! | [`say`] | log lines in the vendor's form |
//! | [`wire`] | requests to the database, and where a test stops the program |
//! | [`schema`] | what the indices of a release look like |
//! | [`plan`] | the plans of the releases 8.6, 8.7 and 8.8 |
//! | [`steps`] | what each kind of step asks for |
//! | [`reindex`] | a reindex with its wait |
//! | [`metadata`] | the schema version and the update log |
//! | [`sync`] | settings and mappings of every index, after the steps |
//! | [`upgrade`] | the whole of it |
//!
//! Not imitated: the configuration files (only the environment counts), TLS, and the Java process around it.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod metadata;
pub mod plan;
pub mod reindex;
pub mod say;
pub mod schema;
pub mod settings;
pub mod steps;
pub mod sync;
pub mod upgrade;
pub mod wire;

/// What ends an upgrade.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Of the kind that the vendor's tool throws itself.
    #[error("{0}")]
    Upgrade(String),
    /// Anything else: a client's error, a bug.
    #[error("{0}")]
    Other(String),
}

impl From<liftlock_lab::LabError> for Failure {
    fn from(error: liftlock_lab::LabError) -> Self {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::Other(text)
    }
}
