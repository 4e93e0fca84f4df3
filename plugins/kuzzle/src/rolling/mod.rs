//! Method `rolling`: the nodes of one cluster, one after another.

use liftlock_sdk::prelude::*;

use crate::kuzzle::Kuzzles;
use crate::options::Options;
use crate::seen::Seen;

pub(crate) fn findings(_: &Seen, _: &Kuzzles, _: &Options, _: &Target, _: Moment) -> Vec<Finding> {
    Vec::new()
}

pub(crate) fn propose(
    _: &Site,
    _: &Seen,
    _: &Kuzzles,
    _: &Options,
    _: &Target,
    plan: &Plan<'_>,
) -> std::result::Result<(), Refusal> {
    plan.summary("nothing to do");
    Ok(())
}
