//! Method `snapshot`: a new cluster gets a snapshot of the old one, which stays as it is.

use liftlock_sdk::prelude::*;

use crate::check;
use crate::kuzzle::Kuzzles;
use crate::options::Options;
use crate::seen::Seen;

fn not_there() -> Finding {
    check::blocker(
        "kuzzle.method-missing",
        "option method",
        "this build of the plugin has no method `snapshot`",
    )
}

pub(crate) fn findings(
    _: &Site,
    _: &Seen,
    _: &Kuzzles,
    _: &Options,
    _: &Target,
    _: Moment,
) -> Result<Vec<Finding>> {
    Ok(vec![not_there()])
}

pub(crate) fn propose(
    _: &Site,
    _: &Seen,
    _: &Kuzzles,
    _: &Options,
    _: &Target,
    _: &Plan<'_>,
) -> std::result::Result<(), Refusal> {
    Err(Refusal::Blocked(vec![not_there()]))
}
