//! Kuzzle 2.56 on a search server and a Redis, started by hand.
//!
//! - [`Redis`]: where Kuzzle keeps its tokens and what its application puts there
//! - [`Kuzzle`]: one Kuzzle, with its configuration in a file, as a site has it
//! - [`site`]: all of it on three nodes, as services of somebody else
//! - [`seed`]: the first administrator, users, collections with odd names, documents

mod node;
mod redis;
pub mod seed;
pub mod site;
mod software;

pub use node::Handed;
pub use node::Kuzzle;
pub use node::KuzzleSpec;
pub use node::Mode;
pub use redis::Redis;
pub use site::KuzzleSite;
