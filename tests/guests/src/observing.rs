//! Conditions that it is asked, answered well and badly.

use crate::host::cluster;
use crate::host::run::Run;
use crate::host::site::Site;
use crate::host::types::Error;
use crate::{Guest, HOSTILE_TEXT};

#[expect(unsafe_code, reason = "generated bindings")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "observing",
        with: {
            "liftlock:upgrade/types@0.1.0": crate::bindings::liftlock::upgrade::types,
            "liftlock:upgrade/site@0.1.0": crate::bindings::liftlock::upgrade::site,
            "liftlock:upgrade/run@0.1.0": crate::bindings::liftlock::upgrade::run,
        },
    });

    use super::Guest;
    export!(Guest);
}

use bindings::exports::liftlock::upgrade::observe as exported;

impl exported::Guest for Guest {
    fn observe(
        on: &Site,
        at: &Run,
        name: String,
        input: String,
        last: Option<String>,
    ) -> Result<exported::Observation, Error> {
        let seen = |holds, seen: String| exported::Observation {
            holds,
            seen,
            why: HOSTILE_TEXT.into(),
        };
        Ok(match name.as_str() {
            "echo" => seen(
                false,
                format!(
                    "{{\"input\":{input},\"last\":{},\"steps\":{}}}",
                    last.unwrap_or("null".into()),
                    at.steps().len()
                ),
            ),
            "no-json" => seen(true, "no json".into()),
            "denied" => {
                let on = cluster::open(on, "cluster.database")?;
                seen(true, on.indices("b-*")?.len().to_string())
            }
            _ => panic!("no such condition"),
        })
    }
}
