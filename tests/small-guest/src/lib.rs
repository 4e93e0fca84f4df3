//! The least plugin behind the contract: it says who it is and finds nothing.
//!
//! For cases in which the host compiles a plugin each time, which takes a debug build of the compiler as many seconds
//! as the plugin has functions by the thousand.

#[expect(unsafe_code, reason = "generated bindings")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "plugin",
        generate_all,
    });

    use super::Guest;
    export!(Guest);
}

use bindings::exports::liftlock::upgrade::upgrade as exported;
use bindings::liftlock::upgrade as host;
use host::draft::Draft;
use host::run::Run;
use host::site::Site;
use host::types::{Error, Finding, Inventory, Target};

struct Guest;

impl exported::Guest for Guest {
    fn describe() -> exported::Descriptor {
        exported::Descriptor {
            product: "small".into(),
            name: "small".into(),
            version: "0.1.0".into(),
            summary: String::new(),
            edges: Vec::new(),
            requests: Vec::new(),
            options: Vec::new(),
            findings: Vec::new(),
            more: Vec::new(),
        }
    }

    fn inspect(_on: &Site) -> Result<Inventory, Error> {
        Ok(Inventory {
            product: "small".into(),
            version: None,
            facts: Vec::new(),
        })
    }

    fn check(_on: &Site, _at: &Run, _target: Target) -> Result<Vec<Finding>, Error> {
        Ok(Vec::new())
    }

    fn plan(
        _on: &Site,
        _at: &Run,
        _target: Target,
        _into: &Draft,
    ) -> Result<(), exported::Refusal> {
        Ok(())
    }

    fn validate(_on: &Site, _at: &Run, _target: Target) -> Result<Vec<Finding>, Error> {
        Ok(Vec::new())
    }
}
