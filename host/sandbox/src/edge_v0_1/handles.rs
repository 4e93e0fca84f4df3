//! What stands behind a plugin's handles. The bindings' generated code re-exports these types.
#![expect(
    unreachable_pub,
    reason = "the generated code re-exports them, so they cannot be `pub(crate)`"
)]

use liftlock_types::{Binding, FileName};

/// The way in.
pub struct Site;

/// The run of this call.
pub struct Run;

/// The draft of this call.
pub struct DraftHandle;

/// A step of the draft, by its place.
pub struct StepHandle {
    pub(super) index: usize,
}

/// A search cluster.
pub struct Cluster {
    pub(super) binding: Binding,
}

/// A snapshot repository.
pub struct Repository {
    pub(super) binding: Binding,
}

/// A directory, by names from the binding down.
pub struct Directory {
    pub(super) binding: Binding,
    pub(super) dir: Vec<FileName>,
}

/// A service.
pub struct Service {
    pub(super) binding: Binding,
}

/// A load balancer.
pub struct Balancer {
    pub(super) binding: Binding,
}

/// A product's own API.
pub struct Endpoint {
    pub(super) binding: Binding,
}

/// A database.
pub struct Database {
    pub(super) binding: Binding,
}
