//! Method `rolling`: the nodes of one cluster, one after another, by the SDK's module of that name.
//!
//! - [`plan`]: the steps, with Kuzzle's own around those of the nodes
//! - [`index_settings`]: what indices and templates are set to that 8 does not know

mod index_settings;
mod plan;

pub(crate) use plan::propose;

use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling::{self, Rolling};

use crate::check::warning;
use crate::descriptor::{NODES, STORAGE};
use crate::options::Options;
use crate::seen::Seen;

/// What ids of findings begin with.
pub(crate) const IDS: &str = "kuzzle";

/// Why nothing of a node goes back.
const NODE_STAYS: &str = "a node that once ran 8.x does not start as 7.17 again: going back is a new cluster of 7.17 and a restore of the \
     snapshot. What is not upgraded yet stays 7.17, and both serve together until the run goes on";

fn of<'a>(options: &Options, to: &'a str, flushed: &'a [String]) -> Rolling<'a> {
    Rolling {
        ids: IDS,
        to,
        flushed,
        outages_accepted: options.outages_accepted,
        settle_ms: options.settle_ms,
        stays: NODE_STAYS,
    }
}

/// What speaks against it, or should be known before.
pub(crate) fn findings(
    site: &Site,
    seen: &Seen,
    options: &Options,
    target: &Target,
    moment: Moment,
) -> Result<Vec<Finding>> {
    let rolling = of(options, &target.to, &[]);
    let view = seen.rolling();
    let mut all = rolling.cannot(view, &rolling::gather(site, NODES)?);
    all.extend(rolling.outages(view, moment));
    if !seen.all_are(&target.to) {
        let storage = Cluster::open(site, STORAGE)?;
        all.extend(index_settings::Given::gather(&storage)?.findings());
    }
    let is_begun = moment == Moment::OnResume || seen.all_are(&target.to);
    if options.serves_meanwhile && !is_begun {
        all.push(warning(
            "kuzzle.serves-meanwhile",
            "option meanwhile",
            "Kuzzle goes on in mode 7",
        ));
    }
    Ok(all)
}

/// A condition of this method, by its name.
pub(crate) fn observe(site: &Site, name: &str, input: &Value) -> Result<Option<Observation>> {
    rolling::observe(site, IDS, STORAGE, name, input)
}
