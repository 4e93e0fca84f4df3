//! Upgrades a self-managed Camunda Optimize with the vendor's own steps, without the vendor's tool or by it.
//!
//! | module | holds |
//! |---|---|
//! | `edges` | the ways between versions, as data: the vendor's steps |
//! | `step` | kinds of the vendor's steps, and one of them on one site |
//! | `known` | what each finding means, its remedy and where that is known from |
//! | `lines` | what each line of the product wants around it |
//! | `names` | what an index name says |
//! | `descriptor` | edges, requests and options for the host |
//! | `seen` | what stands there now, read once |
//! | `by_name` | what was seen, by name |
//! | `inspect` | the inventory |
//! | `archives` | archives of process instances, told from processes that are named like them |
//! | `standing` | how far each of the vendor's steps is on this site |
//! | `way` | a way of several hops |
//! | `check` | what speaks against the upgrade: pure functions over `seen` |
//! | `outline` | what is left to do: pure |
//! | `around` | what every plan does around its own steps: Optimize stopped, the state of before kept, a snapshot |
//! | `plan` | the steps |
//! | `renew` | the steps that bring one index to a new version |
//! | `vendor` | the steps by the vendor's own upgrader, and what must be true before and after it |
//! | `told` | the configuration that the vendor's upgrader will read |
//! | `tuned` | settings that the vendor's sync resets |
//! | `shipped` | the new distribution: its release, the configuration carried into it |
//! | `rolling` | the database's own upgrade before Optimize's: a plan of its own |
//! | `heap` | the database's heap |
//! | `upgraded` | the start of the new release |
//! | `handover` | what people have to do, with the values of the site |
//! | `validate` | the end compared with the beginning |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod archives;
mod around;
mod by_name;
mod check;
mod descriptor;
mod edges;
#[cfg(test)]
mod fixture;
mod handover;
mod heap;
mod inspect;
mod known;
mod lines;
mod names;
mod outline;
mod plan;
mod renew;
mod rolling;
mod seen;
mod shipped;
mod standing;
mod step;
mod told;
mod tuned;
mod upgraded;
mod validate;
mod vendor;
mod way;

use liftlock_sdk::prelude::*;

use check::Goal;
use seen::Seen;

/// The plugin.
#[derive(Debug)]
pub struct Optimize;

impl Plugin for Optimize {
    fn describe() -> Descriptor {
        descriptor::descriptor()
    }

    fn inspect(site: &Site) -> Result<Inventory> {
        Ok(inspect::inventory(&Seen::gather(site)?))
    }

    fn check(site: &Site, run: &Run, target: &Target) -> Result<Vec<Finding>> {
        let first = check::Look::take(site)?;
        let seen = Seen::gather(site)?;
        let goal = Goal::new(&seen, target, run)?;
        if let Some(wanted) = rolling::first(&seen, &goal) {
            let mut found = rolling::findings(site, &seen, &goal, wanted)?;
            // A run that goes on is in the middle of it: its own conditions look at what it has not left whole.
            if goal.moment != Moment::OnResume {
                found.extend(check::findings(&seen, &goal));
                heap::remedy(&seen, site, &mut found);
                check::others(site, &seen, &goal, run, &first, &mut found)?;
            }
            return Ok(check::graded(found, &goal));
        }
        let ways = vendor::Ways::gather(site)?;
        let mut found = check::findings(&seen, &goal);
        heap::remedy(&seen, site, &mut found);
        vendor::check(&seen, &goal, &ways, &mut found);
        upgraded::check(site, &goal, &mut found)?;
        if let Some(shipped) = &ways.shipped {
            shipped::check(&seen, site, shipped, &mut found)?;
        }
        check::others(site, &seen, &goal, run, &first, &mut found)?;
        Ok(check::graded(found, &goal))
    }

    fn plan(
        site: &Site,
        run: &Run,
        target: &Target,
        plan: &Plan<'_>,
    ) -> std::result::Result<(), Refusal> {
        let seen = Seen::gather(site)?;
        let goal = Goal::new(&seen, target, run)?;
        match rolling::first(&seen, &goal) {
            Some(wanted) => rolling::propose(site, &seen, &goal, run, wanted, plan),
            None => plan::propose(site, &seen, &goal, plan),
        }
    }

    fn validate(site: &Site, run: &Run, target: &Target) -> Result<Vec<Finding>> {
        let seen = Seen::gather(site)?;
        let goal = Goal::new(&seen, target, run)?;
        let kept = validate::Kept::of(run)?;
        let neighbours = seen.indices_of_neighbours(site)?;
        let settled = upgraded::settled(seen.clone(), run)?;
        if let Some(wanted) = rolling::first(&seen, &goal) {
            return Ok(rolling::validate(
                &seen,
                &settled,
                wanted,
                &kept,
                &neighbours,
            ));
        }
        let mut found = validate::findings(&settled, &goal, &kept, &neighbours);
        found.extend(vendor::findings(run)?);
        found.extend(upgraded::findings(&seen, &settled));
        found.extend(heap::findings(&seen, run));
        Ok(found)
    }
}

impl Observing for Optimize {
    fn observe(
        site: &Site,
        _: &Run,
        name: &str,
        input: &Value,
        _: Option<&Value>,
    ) -> Result<Observation> {
        rolling::observe(site, name, input)
    }
}

liftlock_sdk::export!(Optimize, observing);
