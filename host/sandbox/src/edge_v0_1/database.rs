//! Reads of a database, and the inert constructors of what is done to it.
//!
//! SQL is parsed here, in the dialect of the server that answers at the binding, which the site's view says: so its
//! author learns at this very line what of it is not understood, and no read is needed for it.

use liftlock_types::facts::database as facts;
use liftlock_types::sql::{Dialect, LockPatience, Query, SqlError, Statement, Together};
use liftlock_types::{Binding, Change, Condition, Planned, Predicate, Read, Reading, Scope};
use wasmtime::component::Resource;

use super::changes::Answer;
use super::convert::all;
use super::wit::database as wit;
use super::wit::database_changes as changes;
use super::{Database, Site, invalid};
use crate::limits::LIST_ITEMS_MAX;
use crate::plugin::State;
use crate::session::{HostError, listed};

/// Longest name of a table, column, index or application. Servers keep less.
const NAME_BYTES_MAX: usize = 255;

impl State {
    /// The dialect of the server at a binding, by what it said of itself when it was opened.
    fn dialect(&mut self, binding: &Binding) -> Result<Dialect, HostError> {
        let product = self.session.call()?.site.bindings.get(binding);
        Ok(match product {
            Some(product) if product.starts_with("PostgreSQL") => Dialect::Postgresql,
            _ => Dialect::Mysql,
        })
    }

    fn statement(&mut self, binding: &Binding, sql: &str) -> Result<Statement, HostError> {
        Ok(Statement::parse(self.dialect(binding)?, sql)?)
    }

    fn select(
        &mut self,
        binding: &Binding,
        sql: &str,
        values: Vec<Option<String>>,
    ) -> Result<Read, HostError> {
        let query = Query::parse(self.dialect(binding)?, sql)?;
        let parameters = listed(values)?;
        if parameters.len() != query.parameters() {
            return Err(invalid(format!(
                "the query takes {} values, {} were given",
                query.parameters(),
                parameters.len()
            )));
        }
        Ok(Read::Query { query, parameters })
    }
}

impl From<SqlError> for HostError {
    fn from(error: SqlError) -> Self {
        invalid(crate::text::one_line(&error.to_string()))
    }
}

/// One name of the catalog.
fn name(what: &str, text: String) -> Result<String, HostError> {
    let is_good = (1..=NAME_BYTES_MAX).contains(&text.len())
        && !text.chars().any(|c| c.is_control() || c == '*');
    if !is_good {
        return Err(invalid(format!(
            "`{}` is no {what}: 1 to {NAME_BYTES_MAX} bytes without `*` and control characters",
            crate::text::one_line(crate::text::beginning(&text, NAME_BYTES_MAX))
        )));
    }
    Ok(text)
}

fn pattern(text: String) -> Result<String, HostError> {
    Ok(Scope::new(text)?.into())
}

fn waits(waits: changes::LockPatience) -> Result<LockPatience, HostError> {
    Ok(LockPatience::new(waits.timeout_ms, waits.attempts)?)
}

impl wit::Host for State {
    async fn open(
        &mut self,
        _on: Resource<Site>,
        binding: String,
    ) -> Result<Resource<Database>, HostError> {
        self.session.enter()?;
        let binding = self.session.open(&binding, "database")?;
        Ok(self.table.push(Database { binding })?)
    }
}

impl wit::HostDatabase for State {
    async fn identity(&mut self, on: Resource<Database>) -> Result<wit::Identity, HostError> {
        let binding = self.database(&on)?;
        let answer: facts::Identity = self.session.read(&binding, Read::DatabaseIdentity).await?;
        Ok(answer.into())
    }

    async fn tables(
        &mut self,
        on: Resource<Database>,
        of: String,
    ) -> Result<Vec<wit::Table>, HostError> {
        let binding = self.database(&on)?;
        let pattern = pattern(of)?;
        let answer: Vec<facts::Table> = self
            .session
            .read(&binding, Read::Tables { pattern })
            .await?;
        Ok(all(answer))
    }

    async fn columns(
        &mut self,
        on: Resource<Database>,
        of: String,
    ) -> Result<Vec<wit::Column>, HostError> {
        let binding = self.database(&on)?;
        let pattern = pattern(of)?;
        let answer: Vec<facts::Column> = self
            .session
            .read(&binding, Read::Columns { pattern })
            .await?;
        Ok(all(answer))
    }

    async fn indexes(
        &mut self,
        on: Resource<Database>,
        of: String,
    ) -> Result<Vec<wit::Index>, HostError> {
        let binding = self.database(&on)?;
        let pattern = pattern(of)?;
        let read = Read::TableIndexes { pattern };
        let answer: Vec<facts::Index> = self.session.read(&binding, read).await?;
        Ok(all(answer))
    }

    async fn constraints(
        &mut self,
        on: Resource<Database>,
        of: String,
    ) -> Result<Vec<wit::Constraint>, HostError> {
        let binding = self.database(&on)?;
        let pattern = pattern(of)?;
        let read = Read::Constraints { pattern };
        let answer: Vec<facts::Constraint> = self.session.read(&binding, read).await?;
        Ok(all(answer))
    }

    async fn sessions(&mut self, on: Resource<Database>) -> Result<Vec<wit::Session>, HostError> {
        let binding = self.database(&on)?;
        let answer: Vec<facts::Session> = self.session.read(&binding, Read::Sessions).await?;
        Ok(all(answer))
    }

    async fn query(
        &mut self,
        on: Resource<Database>,
        sql: String,
        values: Vec<Option<String>>,
    ) -> Result<wit::Rows, HostError> {
        let binding = self.database(&on)?;
        let read = self.select(&binding, &sql, values)?;
        let answer: facts::Rows = self.session.read(&binding, read).await?;
        Ok(wit::Rows {
            columns: answer.columns,
            rows: answer.rows,
        })
    }

    async fn drop(&mut self, database: Resource<Database>) -> wasmtime::Result<()> {
        self.table.delete(database)?;
        Ok(())
    }
}

impl changes::Host for State {
    async fn execute(
        &mut self,
        on: Resource<Database>,
        sql: String,
        patience: changes::LockPatience,
    ) -> Answer<Planned> {
        let binding = self.database(&on)?;
        let change = Change::Execute {
            statement: self.statement(&binding, &sql)?,
            waits: waits(patience)?,
        };
        self.propose(binding, change)
    }

    async fn execute_together(
        &mut self,
        on: Resource<Database>,
        sql: Vec<String>,
        patience: changes::LockPatience,
    ) -> Answer<Planned> {
        let binding = self.database(&on)?;
        let statements = listed(sql)?
            .iter()
            .map(|sql| self.statement(&binding, sql))
            .collect::<Result<Vec<_>, _>>()?;
        let change = Change::ExecuteTogether {
            statements: Together::new(statements)?,
            waits: waits(patience)?,
        };
        self.propose(binding, change)
    }

    async fn end_session(
        &mut self,
        on: Resource<Database>,
        id: u64,
        application: String,
        started: String,
    ) -> Answer<Planned> {
        let binding = self.database(&on)?;
        let change = Change::EndSession {
            id,
            application: name("application", application)?,
            started: name("beginning of a session", started)?,
        };
        self.propose(binding, change)
    }

    async fn column_exists(
        &mut self,
        on: Resource<Database>,
        table: String,
        column: String,
    ) -> Answer<Condition> {
        let binding = self.database(&on)?;
        let predicate = Predicate::ColumnExists {
            table: name("table", table)?,
            name: name("column", column)?,
        };
        self.wait_for(&binding, predicate)
    }

    async fn index_valid(
        &mut self,
        on: Resource<Database>,
        table: String,
        index: String,
    ) -> Answer<Condition> {
        let binding = self.database(&on)?;
        let predicate = Predicate::IndexValid {
            table: name("table", table)?,
            name: name("index", index)?,
        };
        self.wait_for(&binding, predicate)
    }

    async fn query_is(
        &mut self,
        on: Resource<Database>,
        sql: String,
        values: Vec<Option<String>>,
        expected: Vec<Vec<Option<String>>>,
    ) -> Answer<Condition> {
        let binding = self.database(&on)?;
        let Read::Query { query, parameters } = self.select(&binding, &sql, values)? else {
            return Err(invalid("it is no query"));
        };
        let count: usize = expected.iter().map(Vec::len).sum();
        if expected.len().max(count) > LIST_ITEMS_MAX {
            return Err(invalid(format!(
                "at most {LIST_ITEMS_MAX} values are expected"
            )));
        }
        let predicate = Predicate::QueryIs {
            query,
            parameters,
            expected,
        };
        self.wait_for(&binding, predicate)
    }

    async fn no_session(
        &mut self,
        on: Resource<Database>,
        application_prefix: String,
    ) -> Answer<Condition> {
        let binding = self.database(&on)?;
        let application_prefix = name("application", application_prefix)?;
        self.wait_for(&binding, Predicate::NoSession { application_prefix })
    }

    async fn read_tables(&mut self, on: Resource<Database>, of: String) -> Answer<Reading> {
        let binding = self.database(&on)?;
        let pattern = pattern(of)?;
        self.look_at(&binding, Read::Tables { pattern })
    }

    async fn read_columns(&mut self, on: Resource<Database>, of: String) -> Answer<Reading> {
        let binding = self.database(&on)?;
        let pattern = pattern(of)?;
        self.look_at(&binding, Read::Columns { pattern })
    }

    async fn read_indexes(&mut self, on: Resource<Database>, of: String) -> Answer<Reading> {
        let binding = self.database(&on)?;
        let pattern = pattern(of)?;
        self.look_at(&binding, Read::TableIndexes { pattern })
    }

    async fn read_constraints(&mut self, on: Resource<Database>, of: String) -> Answer<Reading> {
        let binding = self.database(&on)?;
        let pattern = pattern(of)?;
        self.look_at(&binding, Read::Constraints { pattern })
    }

    async fn read_query(
        &mut self,
        on: Resource<Database>,
        sql: String,
        values: Vec<Option<String>>,
    ) -> Answer<Reading> {
        let binding = self.database(&on)?;
        let read = self.select(&binding, &sql, values)?;
        self.look_at(&binding, read)
    }
}
