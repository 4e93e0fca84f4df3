//! Upgrades Camunda 7 from one minor version to the next while it serves: the schema first, then node by node.
//!
//! What is here so far is the knowledge of the product, as data and pure functions over plain values: nothing asks a
//! host, and the same input gives the same answer.
//!
//! | module | holds |
//! |---|---|
//! | `version` | the versions |
//! | `edges` | the ways between them as data: one minor version at a time |
//! | `log` | what the schema's own log says of its version, and whose product wrote it |
//! | `catalog` | what a database says of its tables, in plain values |
//! | `manifest` | what the tables of each version are, compared with what is there |
//! | `standing` | which version a schema is of, and how far a script got |
//! | `script` | the vendor's upgrade scripts: where they lie, by which digest they are known, their statements |
//! | `jar` | one file out of the vendor's jar, read in pieces |
//! | `groups` | in which order and how many at a time the nodes are taken |
//! | `window` | what must not happen while two versions run side by side |
//! | `estimate` | how much work a statement is |
//! | `jdbc` | what a node's JDBC address does when a column is added |
//! | `reads` | the queries of the checks |
//! | `known` | what each finding means, its remedy and where that is known from |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod catalog;
pub mod edges;
pub mod estimate;
pub mod groups;
pub mod jar;
pub mod jdbc;
pub mod known;
pub mod log;
pub mod manifest;
pub mod reads;
pub mod script;
pub mod standing;
pub mod version;
pub mod window;
