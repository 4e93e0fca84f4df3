//! Conditions that the plugin is asked.

use liftlock_sdk::prelude::*;

/// The condition of this name.
pub(crate) fn observe(
    _: &Site,
    name: &str,
    input: &Value,
    _: Option<&Value>,
) -> Result<Observation> {
    Err(Error::Invalid(format!(
        "`{name}` with {input} is no condition of this plugin"
    )))
}
