//! The `cluster` capability: Elasticsearch 7 to 9, OpenSearch 1 to 3 through one typed layer.
//!
//! | module | what |
//! |---|---|
//! | `config` | what the operator says, and secrets |
//! | `call`, `http` | one request, and one request to one node |
//! | `cluster` | which node may speak for the cluster; reads with fail-over, changes once |
//! | `dialect` | where the products differ |
//! | `reads`, `watermark`, `checksum`, `scroll` | what the contract reads |
//! | `conditions` | predicates |
//! | `facts` | what each kind of change rests on, by key |
//! | `changes` | each kind: observe, act, probe, clean up, undo |
//! | `normal`, `compare_ids`, `token` | when two bodies mean the same; are all ids there; whose is it |
//! | `transform` | documents that a plugin changes on their way into another index |
//! | `claims` | the claim in the cluster |
//! | `capability` | the trait between the gate and this crate |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod call;
mod capability;
mod changes;
mod checksum;
mod claims;
mod cluster;
mod compare_ids;
mod conditions;
mod config;
mod dialect;
mod error;
mod facts;
mod http;
mod normal;
mod reads;
mod scroll;
mod token;
mod transform;
mod watermark;

pub use call::Call;
pub use capability::implements;
pub use cluster::Cluster;
pub use config::{Auth, ClusterConfig, Credentials, Deadlines, NODES_MAX};
pub use dialect::Dialect;
pub use error::ClusterError;
