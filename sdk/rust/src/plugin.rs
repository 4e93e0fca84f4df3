//! The trait that a plugin implements, and the macro that makes a component of it.

use crate::bindings::exports::liftlock::upgrade::upgrade::{Descriptor, Guest};
use crate::bindings::liftlock::upgrade::draft::Draft;
use crate::bindings::liftlock::upgrade::run::Run;
use crate::bindings::liftlock::upgrade::site::Site;
use crate::bindings::liftlock::upgrade::types::{Error, Finding, Inventory, Target};
use crate::{Plan, Refusal, Result};

/// An upgrade plugin for one product.
///
/// Each call runs in a fresh instance: a plugin has no memory but what [`Run`] shows it. The same reads must
/// lead to the same plan, since the host plans again before a run and compares the steps.
pub trait Plugin {
    /// What it is, which ways it knows and what it asks for. Called with no handle at all.
    fn describe() -> Descriptor;

    /// What stands there now.
    ///
    /// # Errors
    /// What the host answered to a read that it could not do without.
    fn inspect(site: &Site) -> Result<Inventory>;

    /// What speaks against the upgrade. Called before a plan, before a run and on resume: `run` says which and
    /// what is done already, so that a half-upgraded site is not called broken.
    ///
    /// # Errors
    /// What the host answered to a read that it could not do without.
    fn check(site: &Site, run: &Run, target: &Target) -> Result<Vec<Finding>>;

    /// Proposes the steps.
    ///
    /// # Errors
    /// The host's answer to a read or proposal, or the findings because of which there can be no plan.
    fn plan(
        site: &Site,
        run: &Run,
        target: &Target,
        plan: &Plan<'_>,
    ) -> std::result::Result<(), Refusal>;

    /// Compares what stands there now with what should, and with the captures of the run.
    ///
    /// # Errors
    /// What the host answered to a read that it could not do without.
    fn validate(site: &Site, run: &Run, target: &Target) -> Result<Vec<Finding>>;
}

impl<P: Plugin> Guest for P {
    fn describe() -> Descriptor {
        P::describe()
    }

    fn inspect(on: &Site) -> std::result::Result<Inventory, Error> {
        P::inspect(on)
    }

    fn check(on: &Site, at: &Run, target: Target) -> std::result::Result<Vec<Finding>, Error> {
        P::check(on, at, &target)
    }

    fn plan(on: &Site, at: &Run, target: Target, into: &Draft) -> std::result::Result<(), Refusal> {
        P::plan(on, at, &target, &Plan::new(into))
    }

    fn validate(on: &Site, at: &Run, target: Target) -> std::result::Result<Vec<Finding>, Error> {
        P::validate(on, at, &target)
    }
}

/// Exports a type that implements [`Plugin`] as the component. Once per crate, with the type's plain name; with
/// `observing`, `transforming` or both in this order behind it where it implements [`Observing`](crate::Observing) or
/// [`Transforming`](crate::Transforming) too.
///
/// Only for wasm32: on the machine that builds it the crate is an ordinary library, for unit tests.
#[macro_export]
macro_rules! export {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::export!($plugin with_types_in $crate::bindings);
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $crate::describe::Descriptor = <$plugin as $crate::Plugin>::describe;
    };
    ($plugin:ident, observing) => {
        $crate::export!($plugin);
        #[cfg(target_arch = "wasm32")]
        $crate::observing::bindings::export_observing!($plugin with_types_in $crate::observing::bindings);
    };
    ($plugin:ident, transforming) => {
        $crate::export!($plugin);
        $crate::export!(@transforming $plugin);
    };
    ($plugin:ident, observing, transforming) => {
        $crate::export!($plugin, observing);
        $crate::export!(@transforming $plugin);
    };
    (@transforming $plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::transforming::bindings::export_transforming!($plugin with_types_in $crate::transforming::bindings);
    };
}
