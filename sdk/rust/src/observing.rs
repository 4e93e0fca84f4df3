//! Conditions that a plugin itself is asked: an export of its own, for plugins that have some.

use serde_json::Value;

use crate::bindings::liftlock::upgrade::run::Run;
use crate::bindings::liftlock::upgrade::site::Site;
use crate::bindings::liftlock::upgrade::types::Error;
use crate::{Plugin, Result};

/// What was seen of a condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// It holds.
    pub holds: bool,
    /// Handed back at the next look, so that "nothing moved" can be told.
    pub seen: Value,
    /// Why it does not hold, and what would make it.
    pub why: String,
}

/// A plugin that is asked about conditions, which it made by [`asked`](crate::plan::asked).
pub trait Observing: Plugin {
    /// Whether this condition holds now. Called again and again while the host waits, and for a guard before each step;
    /// each call runs in a fresh instance.
    ///
    /// # Errors
    /// What the host answered to a read that it could not do without; `unavailable` is waited for.
    fn observe(
        site: &Site,
        run: &Run,
        name: &str,
        input: &Value,
        last: Option<&Value>,
    ) -> Result<Observation>;
}

/// What `wit-bindgen` makes of the optional export, in the types of [`crate::bindings`].
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        world: "observing",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export_observing",
        default_bindings_module: "liftlock_sdk::observing::bindings",
        with: {
            "liftlock:upgrade/types@0.1.0": crate::bindings::liftlock::upgrade::types,
            "liftlock:upgrade/site@0.1.0": crate::bindings::liftlock::upgrade::site,
            "liftlock:upgrade/run@0.1.0": crate::bindings::liftlock::upgrade::run,
        },
    });
}

use bindings::exports::liftlock::upgrade::observe::{Guest, Observation as Answer};

impl<P: Observing> Guest for P {
    fn observe(
        on: &Site,
        at: &Run,
        name: String,
        input: String,
        last: Option<String>,
    ) -> std::result::Result<Answer, Error> {
        let parsed = |text: &str| serde_json::from_str::<Value>(text);
        let input = parsed(&input)?;
        let last = last.as_deref().map(parsed).transpose()?;
        let seen = P::observe(on, at, &name, &input, last.as_ref())?;
        Ok(Answer {
            holds: seen.holds,
            seen: seen.seen.to_string(),
            why: seen.why,
        })
    }
}
