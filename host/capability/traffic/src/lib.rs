//! The capability `traffic`: servers behind a load balancer.
//!
//! HAProxy is spoken to by its runtime API, on a unix socket or on TCP. nginx has none: a server is marked in an
//! included file of ours, which is tested and loaded. Whatever a plugin proposes, the last serving servers of a
//! backend are never taken: that is looked at right before a change is sent.
//!
//! What is asked for at run time is lost by a reload of HAProxy. Nothing hides that: the state that is read is the
//! balancer's, never what was asked for.
//!
//! | module | what |
//! |---|---|
//! | `config` | what the operator writes in `site.toml` |
//! | `balancer` | [`Balancer`], the capability itself |
//! | `guard` | the last serving servers, pure |
//! | `conditions` | what conditions say of servers, pure |
//! | `answer` | errors and refusals in the words of the gate |
//! | `haproxy` | the runtime API and what it says |
//! | `nginx` | the included file, the workers and the two commands |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod answer;
mod balancer;
mod conditions;
mod config;
mod guard;
mod haproxy;
mod nginx;

pub use balancer::{Balancer, SERVERS_MAX};
pub use config::{AT_LEAST_MAX, BalancerKind, Mistake, TrafficConfig, TrafficError};
