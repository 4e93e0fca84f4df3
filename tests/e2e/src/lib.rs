//! Drives the real `liftlock` binary, as an operator does, against simulated and real clusters.
//!
//! - [`artifacts`]: the binary and the component under test, built when needed
//! - [`machine`]: free ports, and processes by their arguments
//! - [`operator`]: a person at a terminal: runs commands and keeps all that was printed
//! - [`stage`]: a cluster, a proxy before it, an 8.7 site, an operator with new folders
//! - [`proof`]: the checks that run on simulated clusters and on real servers alike
//! - [`kuzzle`]: a real Kuzzle on real nodes, whose version changes
//! - [`nodes`]: real search clusters, taken from version to version without a product around them
//! - [`rolling`]: real Camunda engines behind a balancer, upgraded while they serve
//! - [`tally`]: named checks, counted
//! - [`golden`]: scripts whose whole output is compared
//! - [`schema`]: whether a JSON answer is what its committed schema says
//! - [`simulated`]: a simulated cluster as the lab sees one
//! - [`switch`]: one address behind which another cluster can be put
//! - [`trap`]: sites that are broken on purpose, and what the binary says of them
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod artifacts;
pub mod golden;
pub mod kuzzle;
pub mod machine;
pub mod nodes;
pub mod operator;
pub mod proof;
pub mod rolling;
pub mod schema;
pub mod simulated;
pub mod stage;
pub mod switch;
pub mod tally;
pub mod trap;

pub use operator::Operator;
pub use operator::Told;
pub use simulated::Simulated;
pub use stage::Kit;
pub use stage::Login;
pub use stage::Round;
pub use stage::Stage;
pub use switch::Switch;
pub use tally::Tally;
