//! Conditions that the plugin is asked.

use liftlock_sdk::prelude::*;

use crate::rolling;

/// The condition of this name.
pub(crate) fn observe(site: &Site, name: &str, input: &Value) -> Result<Observation> {
    rolling::observe(site, name, input)?.ok_or_else(|| {
        Error::Invalid(format!(
            "`{name}` with {input} is no condition of this plugin"
        ))
    })
}
