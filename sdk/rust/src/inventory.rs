//! What `inspect` saw.

pub use crate::bindings::liftlock::upgrade::types::{Fact, Inventory};

use serde_json::Value;

impl Fact {
    /// One thing that was seen.
    pub fn new(name: &str, value: impl Into<Value>) -> Self {
        Self {
            name: name.to_owned(),
            value: value.into().to_string(),
        }
    }
}
