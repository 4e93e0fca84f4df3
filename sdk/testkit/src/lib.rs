//! A simulated search cluster for the tests of plugins and of Liftlock itself.
//!
//! It runs inside the test process, listens on loopback ports and answers the part of the REST API
//! of Elasticsearch 8.19, OpenSearch 2.19 and OpenSearch 3.3 that an upgrade needs, in their words.
//! One suite ([`suite`]) runs on it and on real servers, so that it cannot drift from them unseen.
//! Time, ids and task progress depend on the seed and on the requests alone.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use liftlock_testkit::{Fault, Method, Product, SimCluster};
//!
//! let sim = SimCluster::builder(Product::OpenSearch2).nodes(3).seed(7).start().await?;
//! sim.fault(Fault::nth(1).matching(Method::DELETE, "/optimize-*").drop_after());
//! println!("point the plugin at {}", sim.url());
//! assert!(sim.records().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | `builder`, `sim`, `dump` | start one; the handle a test has; its state as text |
//! | `shared`, `server` | what the nodes share; one listener per node |
//! | `fault`, `record` | what goes wrong; what arrived |
//! | `product`, `clock` | which server is imitated; time and ids |
//! | `http`, `router`, `handlers`, `error` | requests, the table of routes, the areas of the API, refusals |
//! | `state`, `index`, `settings`, `mapping`, `admit`, `names`, `pattern` | the cluster and its indices |
//! | `allocation` | which nodes hold the copies of a shard, as nodes leave and join |
//! | `query`, `search`, `aggregate`, `script`, `task`, `snapshot` | searching, scripted changes, server tasks, snapshots |
//! | `folders` | where snapshots lie, which several clusters can share |
//! | [`suite`] | behaviour checks for this cluster and for real ones |
//!
//! Not simulated, so that nobody relies on it: relevance scores, analysis chains, `_search?q=`,
//! what pipelines do to documents, data streams, resizing, remote reindex, slices as child tasks, security
//! beyond one basic user, and shards that move.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod admit;
mod aggregate;
mod allocation;
mod builder;
mod clock;
mod dump;
mod error;
mod fault;
mod folders;
mod handlers;
mod http;
mod index;
mod mapping;
mod names;
mod pattern;
mod product;
mod query;
mod record;
mod router;
mod script;
mod search;
mod server;
mod settings;
mod shared;
mod sim;
mod snapshot;
mod state;
pub mod suite;
mod task;

pub use builder::{
    DISK_BYTES_DEFAULT, HEAP_BYTES_DEFAULT, SNAPSHOT_REQUESTS, SimBuilder, SimError,
    TASK_DOCS_PER_REQUEST,
};
pub use clock::{CLOCK_START_MS, CLOCK_TICK_MS};
pub use fault::{Fault, FaultKind, FaultOn};
pub use hyper::Method;
pub use product::Product;
pub use record::Record;
pub use shared::RECORDS_MAX;
pub use sim::{SavedState, SimCluster};
