//! Real Camunda 7 engines, their schema, a seed of instances, traffic, and all of it as one site.
//!
//! - `version`, `software`: which engines there are, fetched once from Maven Central
//! - [`EngineJars`]: the engine's jar alone of every minor version, for its scripts
//! - [`node`]: [`Node`], one engine with its REST interface
//! - [`schema`]: the vendor's create scripts, out of the engine's own jar
//! - [`rest`]: the few requests that tests need
//! - [`seed`]: a database with instances of our own processes, kept in the cache
//! - [`traffic`]: clients that never repeat a request, and what became of each
//! - [`site`]: nodes, balancer and database that outlive this process

mod engine_jars;
pub mod node;
pub mod rest;
pub mod schema;
pub mod seed;
pub mod site;
mod software;
pub mod traffic;
mod version;

pub use engine_jars::EngineJars;
pub use node::EngineDatabase;
pub use node::Node;
pub use node::NodeSpec;
pub use node::PgJdbc;
pub use node::StartCommand;
pub use seed::Seed;
pub use site::CamundaSite;
pub use site::CamundaSpec;
pub use site::CamundaStatus;
pub use traffic::Traffic;
pub use traffic::TrafficReport;
pub use version::EngineVersion;
