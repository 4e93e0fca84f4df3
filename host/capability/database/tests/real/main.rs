//! Real servers: what each read, change and condition does on PostgreSQL and on MariaDB.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test may panic"
)]

mod changes;
mod claims;
mod orphans;
mod place;
mod reads;
mod scripts;
mod tls;
