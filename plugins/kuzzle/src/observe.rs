//! Conditions that the plugin is asked.

use liftlock_sdk::prelude::*;

use crate::{rolling, watch};

/// The condition of this name.
pub(crate) fn observe(site: &Site, name: &str, input: &Value) -> Result<Observation> {
    if let Some(seen) = watch::observe(site, name, input)? {
        return Ok(seen);
    }
    rolling::observe(site, name, input)?.ok_or_else(|| {
        Error::Invalid(format!(
            "`{name}` with {input} is no condition of this plugin"
        ))
    })
}
