//! One relational database: PostgreSQL, MariaDB or MySQL.

use super::{Change, Condition, Database, LockPatience, Reading};
use crate::Result;
use crate::bindings::liftlock::upgrade::{database, database_changes};
use crate::site::Site;

impl LockPatience {
    /// The host's own: ten tries of three seconds.
    pub const USUAL: Self = Self {
        timeout_ms: None,
        attempts: None,
    };
}

/// Values of a query, as the contract takes them.
fn owned(values: &[Option<&str>]) -> Vec<Option<String>> {
    values
        .iter()
        .map(|value| value.map(str::to_owned))
        .collect()
}

impl Database {
    /// The handle of a binding: `database.engine`.
    ///
    /// # Errors
    /// The host's: no such binding, or not granted.
    pub fn open(site: &Site, binding: &str) -> Result<Self> {
        database::open(site, binding)
    }

    /// Proposes one statement in the server's own dialect; its effect is read from the catalog.
    ///
    /// # Errors
    /// The host's: outside the grant, or a clause that it cannot look for.
    pub fn execute(&self, sql: &str, waits: LockPatience) -> Result<Change> {
        database_changes::execute(self, sql, waits)
    }

    /// Proposes 1 to 100 statements in one transaction; PostgreSQL alone.
    ///
    /// # Errors
    /// The host's: outside the grant, a clause that it cannot look for, or a server without such transactions.
    pub fn execute_together(&self, sql: &[&str], waits: LockPatience) -> Result<Change> {
        let sql: Vec<String> = sql.iter().map(ToString::to_string).collect();
        database_changes::execute_together(self, &sql, waits)
    }

    /// Proposes to end the session of this id if it is still the one that was read.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn end_session(&self, id: u64, application: &str, started: &str) -> Result<Change> {
        database_changes::end_session(self, id, application, started)
    }

    /// The table has the column.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn column_exists(&self, table: &str, name: &str) -> Result<Condition> {
        database_changes::column_exists(self, table, name)
    }

    /// The table has the index, complete and used.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn index_valid(&self, table: &str, name: &str) -> Result<Condition> {
        database_changes::index_valid(self, table, name)
    }

    /// The query gives exactly these rows, in this order.
    ///
    /// # Errors
    /// The host's: a table outside the grant, or no query that only reads.
    pub fn query_is(
        &self,
        sql: &str,
        values: &[Option<&str>],
        expected: &[Vec<Option<String>>],
    ) -> Result<Condition> {
        database_changes::query_is(self, sql, &owned(values), expected)
    }

    /// No client's session has an application that begins so, Liftlock's own apart.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn no_session(&self, application_prefix: &str) -> Result<Condition> {
        database_changes::no_session(self, application_prefix)
    }

    /// Keeps the tables that a pattern means.
    ///
    /// # Errors
    /// The host's: outside the grant.
    pub fn read_tables(&self, pattern: &str) -> Result<Reading> {
        database_changes::read_tables(self, pattern)
    }

    /// Keeps the columns of the tables that a pattern means.
    ///
    /// # Errors
    /// The host's: outside the grant.
    pub fn read_columns(&self, pattern: &str) -> Result<Reading> {
        database_changes::read_columns(self, pattern)
    }

    /// Keeps the indexes of the tables that a pattern means.
    ///
    /// # Errors
    /// The host's: outside the grant.
    pub fn read_indexes(&self, pattern: &str) -> Result<Reading> {
        database_changes::read_indexes(self, pattern)
    }

    /// Keeps the constraints of the tables that a pattern means.
    ///
    /// # Errors
    /// The host's: outside the grant.
    pub fn read_constraints(&self, pattern: &str) -> Result<Reading> {
        database_changes::read_constraints(self, pattern)
    }

    /// Keeps what a query gives.
    ///
    /// # Errors
    /// The host's: a table outside the grant, or no query that only reads.
    pub fn read_query(&self, sql: &str, values: &[Option<&str>]) -> Result<Reading> {
        database_changes::read_query(self, sql, &owned(values))
    }
}
