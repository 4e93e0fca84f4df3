//! Method `rolling`: the nodes of one cluster, one after another.
//!
//! - [`members`]: the nodes, and the services that they are
//! - [`check`]: what speaks against it
//! - [`plan`]: the steps
//! - [`conditions`]: what is waited for between them

mod check;
mod conditions;
mod members;
mod plan;

pub(crate) use conditions::observe;
pub(crate) use plan::propose;

use liftlock_sdk::prelude::*;

use crate::options::Options;
use crate::seen::Seen;

/// What speaks against it, or should be known before.
pub(crate) fn findings(
    site: &Site,
    seen: &Seen,
    options: &Options,
    target: &Target,
    moment: Moment,
) -> Result<Vec<Finding>> {
    let mut all = check::cannot(seen, &members::gather(site)?, target);
    all.extend(check::outages(seen, options, target, moment));
    Ok(all)
}
