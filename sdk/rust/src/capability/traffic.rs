//! One load balancer.

use super::{Administrative, Balancer, Change, Condition, Reading};
use crate::Result;
use crate::bindings::liftlock::upgrade::{traffic, traffic_changes};
use crate::site::Site;

impl Balancer {
    /// The handle of a binding: `traffic.front`.
    ///
    /// # Errors
    /// The host's: no such binding, or not granted.
    pub fn open(site: &Site, binding: &str) -> Result<Self> {
        traffic::open(site, binding)
    }

    /// Proposes an administrative state for a server.
    ///
    /// Borrowed: a `gives_back` of the step puts the old state back, as a rollback does; a run that stops leaves it.
    /// One step at a time holds a server's state, so choose the one that fits: in drain, clients that are bound to a
    /// server still come to it; in maintenance they do not, and what is in flight comes to its end in both. The host
    /// refuses to take the last serving servers of a backend, whatever the plan says.
    ///
    /// # Errors
    /// The host's: outside the grant, or no name.
    pub fn set_state(&self, backend: &str, server: &str, to: Administrative) -> Result<Change> {
        traffic_changes::set_state(self, backend, server, to)
    }

    /// Proposes a weight for a server, borrowed likewise. HAProxy takes 0 to 256, nginx 1 and above.
    ///
    /// # Errors
    /// The host's: outside the grant, or no name.
    pub fn set_weight(&self, backend: &str, server: &str, weight: u32) -> Result<Change> {
        traffic_changes::set_weight(self, backend, server, weight)
    }

    /// The server works on no request and none waits for it. nginx counts none: there it holds of a server that was
    /// taken once the workers of before the reload are gone.
    ///
    /// # Errors
    /// The host's: outside the grant, or no name.
    pub fn idle(&self, backend: &str, server: &str) -> Result<Condition> {
        traffic_changes::idle(self, backend, server)
    }

    /// The balancer has the server in this state.
    ///
    /// # Errors
    /// The host's: outside the grant, or no name.
    pub fn in_state(
        &self,
        backend: &str,
        server: &str,
        administrative: Administrative,
    ) -> Result<Condition> {
        traffic_changes::in_state(self, backend, server, administrative)
    }

    /// The server gets new requests. After maintenance HAProxy calls it up until its first check has failed: let it
    /// be stable for longer than a check takes.
    ///
    /// # Errors
    /// The host's: outside the grant, or no name.
    pub fn serving(&self, backend: &str, server: &str) -> Result<Condition> {
        traffic_changes::serving(self, backend, server)
    }

    /// So many servers of the backend get new requests.
    ///
    /// # Errors
    /// The host's: outside the grant, or no name.
    pub fn serving_at_least(&self, backend: &str, count: u32) -> Result<Condition> {
        traffic_changes::serving_at_least(self, backend, count)
    }

    /// A request came to the server since the host first looked. nginx counts none, and the wait ends in its expiry.
    ///
    /// # Errors
    /// The host's: outside the grant, or no name.
    pub fn receives(&self, backend: &str, server: &str) -> Result<Condition> {
        traffic_changes::receives(self, backend, server)
    }

    /// The servers of a backend, for a capture.
    ///
    /// # Errors
    /// The host's: outside the grant, or no name.
    pub fn read_servers(&self, backend: &str) -> Result<Reading> {
        traffic_changes::read_servers(self, backend)
    }
}
