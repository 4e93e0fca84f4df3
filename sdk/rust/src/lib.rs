//! For authors of Liftlock upgrade plugins.
//!
//! A plugin is a type that implements [`Plugin`], handed to [`export!`]. It reads through handles and writes by
//! proposing: what it puts into a [`Plan`] is checked, approved and done by the host. `wit/README.md` holds one
//! complete small plugin; `examples/tiny.rs` of this crate is the same text, so that it compiles.
//!
//! | module | holds |
//! |---|---|
//! | [`prelude`] | each name once: `use liftlock_sdk::prelude::*;` |
//! | [`plugin`] | the trait, and the macro that makes a component of it |
//! | [`describe`] | what a plugin says of itself: edges, requests, options |
//! | [`capability`] | cluster, snapshot, disk, service, traffic, endpoint: the handles, with the changes and conditions on them |
//! | [`observing`] | conditions that the plugin itself is asked |
//! | [`transforming`] | documents that the plugin itself changes |
//! | [`plan`] | steps |
//! | [`finding`] | results of checks |
//! | [`inventory`] | what `inspect` saw |
//! | [`run`] | what the run so far did and kept |
//! | [`rolling`] | a search cluster upgraded node by node: findings, steps, conditions |
//! | [`site`] | options, bindings, clock, log |
//! | [`told`] | lists for people: the first of them, and how many more |
//! | [`version`] | product versions and edges between them |
//! | [`error`] | the one error, and how it meets `?` |
//! | [`bindings`] | generated from the contract; not for authors |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod bindings;
pub mod capability;
pub mod describe;
pub mod error;
pub mod finding;
pub mod inventory;
pub mod observing;
pub mod plan;
pub mod plugin;
pub mod prelude;
pub mod rolling;
pub mod run;
pub mod site;
pub mod told;
pub mod transforming;
pub mod version;

pub use error::{Error, Refusal, Result};
pub use observing::{Observation, Observing};
pub use plan::Plan;
pub use plugin::Plugin;
pub use serde_json;
pub use transforming::Transforming;

#[cfg(test)]
mod tests {
    #[test]
    fn the_plugin_in_the_contracts_readme_is_the_example_that_compiles() {
        let readme = include_str!("../../../wit/README.md");
        let example = include_str!("../examples/tiny.rs");
        assert!(
            readme.contains(&format!("```rust\n{example}```")),
            "copy the example into the README"
        );
    }
}
