//! Facts of a database as the contract has them.

use liftlock_types::facts::database as facts;

use super::wit::database as wit;

impl From<facts::Identity> for wit::Identity {
    fn from(it: facts::Identity) -> Self {
        Self {
            product: match it.product {
                facts::Product::Postgresql => wit::Product::Postgresql,
                facts::Product::Mariadb => wit::Product::Mariadb,
                facts::Product::Mysql => wit::Product::Mysql,
            },
            version: it.version,
            server: it.server,
            database: it.database,
            schema: it.schema,
            user: it.user,
            isolation: it.isolation,
            read_only: it.read_only,
            more: it.more,
        }
    }
}

impl From<facts::Table> for wit::Table {
    fn from(it: facts::Table) -> Self {
        Self {
            name: it.name,
            rows_estimate: it.rows_estimate,
            bytes: it.bytes,
            index_bytes: it.index_bytes,
            alterable: it.alterable,
        }
    }
}

impl From<facts::Column> for wit::Column {
    fn from(it: facts::Column) -> Self {
        Self {
            table: it.table,
            name: it.name,
            kind: it.kind,
            nullable: it.nullable,
            default: it.default,
        }
    }
}

impl From<facts::Index> for wit::Index {
    fn from(it: facts::Index) -> Self {
        Self {
            table: it.table,
            name: it.name,
            columns: it.columns,
            unique: it.unique,
            primary: it.primary,
            valid: it.valid,
            partial: it.partial,
        }
    }
}

impl From<facts::Constraint> for wit::Constraint {
    fn from(it: facts::Constraint) -> Self {
        Self {
            table: it.table,
            name: it.name,
            kind: it.kind,
            columns: it.columns,
            references: it.references,
            referred: it.referred,
        }
    }
}

impl From<facts::Session> for wit::Session {
    fn from(it: facts::Session) -> Self {
        Self {
            id: it.id,
            user: it.user,
            application: it.application,
            address: it.address,
            state: it.state,
            started: it.started,
            transaction_ms: it.transaction_ms,
            statement_ms: it.statement_ms,
            waits_for: it.waits_for,
            blocked_by: it.blocked_by,
            ours: it.ours,
        }
    }
}
