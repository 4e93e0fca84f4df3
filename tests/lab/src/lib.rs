//! Real servers, a real-shaped site and a watching proxy, for tests and for `cargo xtask`.
//!
//! Everything listens on loopback, on ports picked when it starts, and is ended by the process id
//! that was recorded, never by a name.
//!
//! - [`error`]: what can go wrong, with how to get what lacks
//! - [`http`]: one server as seen by a client: base URL, credentials, certificate authority
//! - `java`, `npm`, `cache`, `files`, `launch`, `user`, `process`, `running`: finding a JDK or Node.js, fetching once,
//!   starting and ending processes
//! - [`servers`]: [`Server`], one node of OpenSearch or Elasticsearch
//! - [`search_cluster`]: [`SearchCluster`], several nodes of one, each stopped and switched alone
//! - [`sites`]: servers that outlive this process: [`up`], [`down`], [`status`], [`logs`]
//! - [`fields`]: the compact field-list notation of `optimize-8.7.fields`
//! - [`databases`], [`haproxy`], [`nginx`]: what stands around application servers, started by hand
//! - [`camunda`]: real Camunda 7 engines, their schema, traffic, and all of it as one site
//! - [`elasticdump`]: the copier that a transform is measured against
//! - [`kuzzle`]: a real Kuzzle with its Redis, and what a site keeps in it
//! - [`site`]: builds an Optimize site with data and neighbours
//! - [`dump`](mod@dump): the comparable state of a cluster, and the difference of two
//! - [`proxy`]: records requests, and makes them fail on purpose
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod balancers;
mod cache;
pub mod camunda;
pub mod databases;
pub mod dump;
pub mod elasticdump;
pub mod error;
pub mod fields;
mod files;
pub mod haproxy;
pub mod http;
mod java;
pub mod kuzzle;
mod launch;
pub mod nginx;
mod npm;
mod process;
pub mod proxy;
mod running;
pub mod search_cluster;
pub mod servers;
pub mod site;
pub mod sites;
mod tls;
mod user;

pub use balancers::BehindIt;
pub use databases::DatabaseAddress;
pub use databases::DatabaseKind;
pub use databases::DatabaseServer;
pub use databases::Login;
pub use databases::Session;
pub use dump::Dump;
pub use dump::diff;
pub use dump::dump;
pub use elasticdump::Elasticdump;
pub use error::LabError;
pub use haproxy::AdminState;
pub use haproxy::BehindStat;
pub use haproxy::HaProxy;
pub use http::HttpTarget;
pub use http::Secret;
pub use nginx::Nginx;
pub use process::ProcessId;
pub use proxy::Fault;
pub use proxy::Hold;
pub use proxy::Proxy;
pub use proxy::Record;
pub use proxy::Rule;
pub use proxy::Then;
pub use proxy::When;
pub use search_cluster::HandedNode;
pub use search_cluster::NodeSpec;
pub use search_cluster::SearchCluster;
pub use servers::Authority;
pub use servers::Credentials;
pub use servers::Jvm;
pub use servers::NodeRole;
pub use servers::Server;
pub use servers::ServerKind;
pub use site::Shape;
pub use site::SiteFacts;
pub use site::SiteSpec;
pub use site::build;
pub use sites::LabSite;
pub use sites::SiteStatus;
pub use sites::down;
pub use sites::logs;
pub use sites::status;
pub use sites::up;
