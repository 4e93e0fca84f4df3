//! Faults: what goes wrong, with which request, and how often.

use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use crate::http::Request;
use crate::pattern::glob;

/// What happens to a request that a fault meets.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The connection drops and the request has no effect.
    DropBefore,
    /// The request has its effect, then the connection drops without an answer.
    DropAfter,
    /// The answer comes, but later.
    Slow(Duration),
    /// This status and body come back and the request has no effect.
    Status(u16, Value),
    /// 200 with `acknowledged: true` comes back and the request has no effect.
    Lie200,
    /// Before the request, running server tasks end without a record, and the records so far are gone.
    TaskLost,
    /// Before the request, every disk passes the flood-stage watermark and every index is blocked.
    DiskFull,
    /// Before the request, this node leaves the cluster.
    NodeGone(usize),
    /// The connection drops; the effect comes later: after this time, or when released.
    DeliverLate(Option<Duration>),
    /// The first shard of the search fails; the others answer.
    ShardFailure,
}

/// A condition on requests, to be completed into a fault by naming what happens.
#[derive(Debug, Clone)]
pub struct FaultOn {
    first: u64,
    times: u64,
    method: Option<Method>,
    path: Option<String>,
}

/// A fault that waits for its request.
#[derive(Debug, Clone)]
pub struct Fault {
    on: FaultOn,
    kind: FaultKind,
    seen: u64,
}

impl Fault {
    /// Meets the `n`-th matching request, counted from one, and no other.
    pub fn nth(n: u64) -> FaultOn {
        FaultOn {
            first: n.max(1),
            times: 1,
            method: None,
            path: None,
        }
    }

    /// Meets every matching request.
    pub fn always() -> FaultOn {
        FaultOn {
            first: 1,
            times: u64::MAX,
            method: None,
            path: None,
        }
    }

    /// Meets matching requests from the `n`-th on, `times` of them.
    pub fn range(n: u64, times: u64) -> FaultOn {
        FaultOn {
            first: n.max(1),
            times,
            method: None,
            path: None,
        }
    }

    /// Counts a request that has arrived; says what happens to it, if anything.
    pub(crate) fn meet(&mut self, request: &Request) -> Option<FaultKind> {
        let method = self.on.method.as_ref().is_none_or(|m| m == request.method);
        let path = self
            .on
            .path
            .as_ref()
            .is_none_or(|p| glob(p, &request.path()));
        if !method || !path {
            return None;
        }
        self.seen += 1;
        let hit = self.seen >= self.on.first && self.seen - self.on.first < self.on.times;
        hit.then(|| self.kind.clone())
    }
}

impl FaultOn {
    /// Only requests of this method whose decoded path, without query, matches; `*` is any run of characters.
    #[must_use]
    pub fn matching(mut self, method: Method, path: &str) -> Self {
        self.method = Some(method);
        self.path = Some(path.to_owned());
        self
    }

    /// Only requests of this method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Only requests whose decoded path matches.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// Completes the fault with what happens.
    pub fn kind(self, kind: FaultKind) -> Fault {
        Fault {
            on: self,
            kind,
            seen: 0,
        }
    }

    /// See [`FaultKind::DropBefore`].
    pub fn drop_before(self) -> Fault {
        self.kind(FaultKind::DropBefore)
    }

    /// See [`FaultKind::DropAfter`].
    pub fn drop_after(self) -> Fault {
        self.kind(FaultKind::DropAfter)
    }

    /// See [`FaultKind::Slow`].
    pub fn slow(self, ms: u64) -> Fault {
        self.kind(FaultKind::Slow(Duration::from_millis(ms)))
    }

    /// See [`FaultKind::Status`].
    pub fn status(self, status: u16, body: Value) -> Fault {
        self.kind(FaultKind::Status(status, body))
    }

    /// See [`FaultKind::Lie200`].
    pub fn lie_200(self) -> Fault {
        self.kind(FaultKind::Lie200)
    }

    /// See [`FaultKind::TaskLost`].
    pub fn task_lost(self) -> Fault {
        self.kind(FaultKind::TaskLost)
    }

    /// See [`FaultKind::DiskFull`].
    pub fn disk_full(self) -> Fault {
        self.kind(FaultKind::DiskFull)
    }

    /// See [`FaultKind::NodeGone`].
    pub fn node_gone(self, node: usize) -> Fault {
        self.kind(FaultKind::NodeGone(node))
    }

    /// See [`FaultKind::DeliverLate`]; the effect comes after `ms`.
    pub fn deliver_late(self, ms: u64) -> Fault {
        self.kind(FaultKind::DeliverLate(Some(Duration::from_millis(ms))))
    }

    /// See [`FaultKind::DeliverLate`]; the effect comes when the test releases it.
    pub fn deliver_when_released(self) -> Fault {
        self.kind(FaultKind::DeliverLate(None))
    }

    /// See [`FaultKind::ShardFailure`].
    pub fn shard_failure(self) -> Fault {
        self.kind(FaultKind::ShardFailure)
    }
}
