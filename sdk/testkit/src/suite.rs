//! Behaviour that an upgrade relies on, checked over plain HTTP.
//!
//! The same checks run on the simulated cluster and on real servers: a check that passes on one and
//! fails on the other is a lie of the simulator. Each check uses names of its own that begin with
//! `suite-`, removes what an earlier run left, and needs nothing from another check. The server
//! must allow an `fs` repository at a relative location and should hold nothing of value: one check
//! restores a global state.

mod aliases;
mod client;
mod cluster;
mod documents;
mod indices;
mod pipelines;
mod searches;
mod snapshots;
mod tasks;
mod templates;

use std::future::Future;
use std::pin::Pin;

use crate::product::Product;

pub use client::{Answer, Client};

/// Why a check did not pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuiteError {
    /// The server gave no answer.
    #[error("no answer to `{request}`: {why}")]
    NoAnswer {
        /// Method and path.
        request: String,
        /// What the connection said.
        why: String,
    },
    /// The server behaves in another way.
    #[error("{0}")]
    Unexpected(String),
}

/// What a check answers.
pub type Outcome = Result<(), SuiteError>;

type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// One named behaviour.
pub struct Check {
    /// A sentence about the behaviour.
    pub name: &'static str,
    run: for<'a> fn(&'a Client, Product) -> Running<'a>,
}

impl Check {
    /// Runs the check against the server behind `client`.
    ///
    /// # Errors
    /// When the server does not answer, or behaves in another way.
    pub async fn run(&self, client: &Client, product: Product) -> Outcome {
        (self.run)(client, product).await
    }
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Lists async functions as checks under their own names.
macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        /// The checks of this area.
        pub(super) const CHECKS: &[$crate::suite::Check] = &[
            $($crate::suite::Check {
                name: stringify!($name),
                run: |client, product| Box::pin($name(client, product)),
            }),*
        ];
    };
}
use checks;

/// Every check, in a fixed order.
pub fn all() -> Vec<&'static Check> {
    [
        cluster::CHECKS,
        indices::CHECKS,
        aliases::CHECKS,
        templates::CHECKS,
        pipelines::CHECKS,
        documents::CHECKS,
        searches::CHECKS,
        tasks::CHECKS,
        snapshots::CHECKS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Runs every check against `base_url` (`http://host:port`), one after the other.
pub async fn run_suite(base_url: &str, product: Product) -> Vec<(&'static str, Outcome)> {
    let client = Client::new(base_url);
    let mut out = Vec::new();
    for check in all() {
        out.push((check.name, check.run(&client, product).await));
    }
    out
}

/// Fails with `what` unless `holds`.
fn expect(holds: bool, what: impl Into<String>) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(SuiteError::Unexpected(what.into()))
    }
}

/// Fails unless both are equal; says what was seen.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, wanted: T) -> Outcome {
    expect(
        seen == wanted,
        format!("{what}: saw {seen:?}, wanted {wanted:?}"),
    )
}
