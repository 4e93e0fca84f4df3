//! The way in: options, bindings, clock, log.

pub use crate::bindings::liftlock::upgrade::site::{Bound, Level, Site};

use crate::{Error, Result};

impl Site {
    /// The value of an option that the descriptor declares.
    ///
    /// # Errors
    /// `invalid` where there is no such option.
    pub fn option(&self, name: &str) -> Result<String> {
        self.options()
            .into_iter()
            .find(|option| option.name == name)
            .map(|option| option.value)
            .ok_or_else(|| Error::Invalid(format!("the option `{name}` is not set")))
    }

    /// Names of the bindings of one capability that are granted: the nodes of a set, where a request is `many`.
    pub fn bindings_of(&self, capability: &str) -> Vec<String> {
        self.bindings()
            .into_iter()
            .map(|bound| bound.binding)
            .filter(|binding| {
                binding
                    .strip_prefix(capability)
                    .is_some_and(|rest| rest.starts_with('.'))
            })
            .collect()
    }

    /// Is this optional binding there and granted?
    pub fn has(&self, binding: &str) -> bool {
        self.bindings().iter().any(|bound| bound.binding == binding)
    }
}
