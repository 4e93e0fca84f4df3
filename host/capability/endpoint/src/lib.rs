//! The capability `endpoint`: a product's own HTTP API.
//!
//! What a product offers over HTTP differs from product to product, so nothing is known here of what an answer means:
//! a status is a fact, whichever it is, and a request is done when its own post-condition reads true.
//!
//! | module | what |
//! |---|---|
//! | `config` | what the operator says, and secrets |
//! | `http` | one request: resolved, filtered, sent once, its answer bounded; no redirect is followed |
//! | `conditions` | what an answer says of a condition, and which answers say nothing |
//! | `request` | a request as a change: observe, act, probe |
//! | `endpoint` | [`Endpoint`], the capability itself |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod conditions;
mod config;
mod endpoint;
mod http;
mod request;

pub use config::{Auth, Credentials, Deadlines, EndpointConfig, EndpointError};
pub use endpoint::Endpoint;
pub use http::ANSWER_BYTES_MAX;
