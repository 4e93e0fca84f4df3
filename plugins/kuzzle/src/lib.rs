//! Takes the storage of Kuzzle from Elasticsearch 7.17 to 8: node by node, or by a snapshot into a new cluster.
//!
//! What was read is plain values, and the knowledge is functions over them; what asks the host stands apart.
//!
//! | module | holds |
//! |---|---|
//! | `descriptor`, `options` | what the plugin says of itself and asks for; the operator's choices |
//! | `seen` | the cluster as it stands, read once |
//! | `kuzzle` | the Kuzzles of the site: services, configurations, what they say of themselves |
//! | `mode` | which Elasticsearch a configuration names, and the edit that names another |
//! | `releases` | which release leads to which |
//! | `check` | findings that both methods share, and the way to those of each |
//! | `around` | what both methods do around the storage: Kuzzles stopped and started, collections kept |
//! | `rolling` | method `rolling`: the nodes of one cluster, one after another |
//! | `by_snapshot` | method `snapshot`: a new cluster beside the old one |
//! | `watch` | both stay well after the run, and what the nodes counted |
//! | `observe` | conditions that the plugin is asked |
//! | `inspect`, `validate` | what is shown; what is so afterwards |
//! | `known` | what each finding means, its remedy and where that is known from |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod around;
mod by_snapshot;
mod check;
mod descriptor;
#[cfg(test)]
mod fixture;
mod inspect;
mod known;
mod kuzzle;
mod mode;
mod observe;
mod options;
mod releases;
mod rolling;
mod seen;
mod validate;
mod watch;

use liftlock_sdk::finding::with_command;
use liftlock_sdk::prelude::*;

use kuzzle::Kuzzles;
use options::{Method, Options};
use seen::Seen;

/// The plugin.
#[derive(Debug)]
pub struct Kuzzle;

impl Plugin for Kuzzle {
    fn describe() -> Descriptor {
        descriptor::descriptor()
    }

    fn inspect(site: &Site) -> Result<Inventory> {
        let options = Options::of(site)?;
        Ok(inspect::inventory(
            &Seen::gather(site)?,
            &Kuzzles::gather(site, &options)?,
        ))
    }

    fn check(site: &Site, run: &Run, target: &Target) -> Result<Vec<Finding>> {
        let options = Options::of(site)?;
        let seen = Seen::gather(site)?;
        let kuzzles = Kuzzles::gather(site, &options)?;
        let moment = run.moment();
        let mut found = check::findings(&seen, &kuzzles, &options, target, moment);
        if options.method == Method::Snapshot {
            found = by_snapshot::of_shared(site, found, moment)?;
        }
        found.extend(match options.method {
            Method::Rolling => rolling::findings(site, &seen, &options, target, moment)?,
            Method::Snapshot => {
                by_snapshot::findings(site, &seen, &kuzzles, &options, target, moment)?
            }
        });
        Ok(with_command(found, moment, &target.to))
    }

    fn plan(
        site: &Site,
        _: &Run,
        target: &Target,
        plan: &Plan<'_>,
    ) -> std::result::Result<(), Refusal> {
        let options = Options::of(site)?;
        let seen = Seen::gather(site)?;
        let kuzzles = Kuzzles::gather(site, &options)?;
        match options.method {
            Method::Rolling => rolling::propose(site, &seen, &kuzzles, &options, target, plan),
            Method::Snapshot => by_snapshot::propose(site, &seen, &kuzzles, &options, target, plan),
        }
    }

    fn validate(site: &Site, run: &Run, target: &Target) -> Result<Vec<Finding>> {
        let options = Options::of(site)?;
        let seen = Seen::gather(site)?;
        let kuzzles = Kuzzles::gather(site, &options)?;
        let (mut found, storage) = match options.method {
            Method::Rolling => {
                let found = validate::findings(run, &seen, &kuzzles, &options, target)?;
                (found, descriptor::STORAGE)
            }
            Method::Snapshot => {
                let mut found = by_snapshot::validate(site, run, target)?;
                validate::of_kuzzles(&kuzzles, target, &mut found);
                (found, by_snapshot::asks::NEW)
            }
        };
        if site.has(storage) {
            validate::of_the_watch(run, &Cluster::open(site, storage)?, &mut found)?;
        }
        Ok(found)
    }
}

impl Observing for Kuzzle {
    fn observe(
        site: &Site,
        run: &Run,
        name: &str,
        input: &Value,
        _: Option<&Value>,
    ) -> Result<Observation> {
        match by_snapshot::observe(site, run, name)? {
            Some(seen) => Ok(seen),
            None => observe::observe(site, name, input),
        }
    }
}

liftlock_sdk::export!(Kuzzle, observing);
