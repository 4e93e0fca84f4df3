//! A product's own HTTP API.

use super::{Change, Condition, Endpoint, EndpointRequest, Reading};
use crate::Result;
use crate::bindings::liftlock::upgrade::{endpoint, endpoint_changes};
use crate::site::Site;

/// Stands for the run's id in any text of a request, of its post-condition or of a condition of an endpoint.
///
/// In a request that is done anew, after its unit was taken back, followed by `.again-1`, `.again-2`: it makes another one.
pub const RUN_ID: &str = "{run-id}";

impl Endpoint {
    /// The handle of a binding: `endpoint.engine`.
    ///
    /// # Errors
    /// The host's: no such binding, or not granted.
    pub fn open(site: &Site, binding: &str) -> Result<Self> {
        endpoint::open(site, binding)
    }

    /// Proposes one request; done when `done_when`, an [`Endpoint::answers`] of this endpoint, reads true. It must read
    /// false before, or nothing is sent; a crash in between is a doubt unless it reads true.
    ///
    /// # Errors
    /// The host's: outside the grant, a path that means more than one thing, or a post-condition that every page
    /// fulfils.
    pub fn request(&self, what: &EndpointRequest, done_when: Result<Condition>) -> Result<Change> {
        endpoint_changes::request(self, what, done_when?)
    }

    /// A GET is answered with this status by JSON that has these members; `{}`: whatever it is.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such path.
    pub fn answers(
        &self,
        path: &str,
        query: &[(&str, &str)],
        status: u16,
        subset: &str,
    ) -> Result<Condition> {
        endpoint_changes::answers(self, path, &owned(query), status, subset)
    }

    /// The answer to a GET, for a capture or to rest on.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such path.
    pub fn read_answer(&self, path: &str, query: &[(&str, &str)]) -> Result<Reading> {
        endpoint_changes::read_answer(self, path, &owned(query))
    }
}

fn owned(query: &[(&str, &str)]) -> Vec<(String, String)> {
    query
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}
