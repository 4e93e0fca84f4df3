//! A relational database as a capability: PostgreSQL, MariaDB and MySQL.
//!
//! Statements and queries come understood (`liftlock_types::sql`), so that the host itself knows what each makes and
//! reads it in the catalog. PostgreSQL alone has transactions around changes of tables; on MariaDB and MySQL each is
//! committed by itself. The path of MySQL is MariaDB's where the two agree; MariaDB's tests were run on 8.0.46. A MySQL user
//! with `caching_sha2_password` needs `tls = "require"`. A MySQL family whose table names fold to lower case
//! (`lower_case_table_names` 1) needs them written so.
//!
//! | module | what |
//! |---|---|
//! | `config` | what the operator says of it |
//! | `connection` | sessions of ours: named, bounded, and read-only unless they change something |
//! | `trouble` | what a server's no means |
//! | `literal` | values as SQL |
//! | `catalog` | tables, columns, indexes, constraints |
//! | `sessions` | who is connected, who waits for whom, which work for us |
//! | `query` | one `SELECT` over granted tables |
//! | `judge` | what a statement makes against what the catalog shows, pure |
//! | `look` | what is looked up for a statement |
//! | `probe` | what is to be seen of statements, before and after |
//! | `execute` | statements that are sent |
//! | `marker` | the marker of a transaction |
//! | `end_session` | ends a session |
//! | `claims` | claims |
//! | `database` | [`Database`]: its reads, and who it is |
//! | `capability` | what the gate asks of it |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod capability;
mod catalog;
mod claims;
mod config;
mod connection;
mod database;
mod end_session;
mod execute;
mod judge;
mod literal;
mod look;
mod marker;
mod probe;
mod query;
mod sessions;
mod trouble;

pub use config::{DatabaseConfig, DatabaseError, DatabaseKind, READ_MS, Tls};
pub use database::Database;
