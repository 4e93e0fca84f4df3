//! The schema as it stands: read from the catalog, judged by the manifest, with the script that leads on.

use liftlock_sdk::capability::{DatabaseIdentity, DatabaseSession, Product, Table};
use liftlock_sdk::prelude::*;

use crate::catalog::{Catalog, Column, Constraint, Family, Index};
use crate::descriptor::DATABASE;
use crate::log::{self, LogError, Row, Told};
use crate::manifest::Manifest;
use crate::reads;
use crate::standing::{self, Standing};
use crate::version::Minor;

/// What every table of the engine begins with, as each server's catalog has it.
const UPPER: &str = "ACT_*";
const LOWER: &str = "act_*";

/// The table that every version has.
pub(crate) const LANDMARK: &str = "ACT_GE_PROPERTY";

/// Everything that is read of the database.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Who it is.
    pub(crate) identity: DatabaseIdentity,
    /// Whose scripts made it.
    pub(crate) family: Family,
    /// The tables of the engine, with their sizes and whether this role may alter them.
    pub(crate) tables: Vec<Table>,
    /// What its log says.
    pub(crate) told: std::result::Result<Told, LogError>,
    /// The log judged by the catalog; none where the log says nothing of Camunda.
    pub(crate) standing: Option<Standing>,
    /// Liquibase has a record here.
    pub(crate) liquibase: Option<Liquibase>,
    /// Clients.
    pub(crate) sessions: Vec<DatabaseSession>,
    /// The id of the installation.
    pub(crate) installation: Option<String>,
}

/// Liquibase's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Liquibase {
    /// Change sets of Camunda or one of its forks.
    pub(crate) is_of_the_engine: bool,
    /// Somebody holds its lock, or died holding it.
    pub(crate) locked_by: Option<String>,
}

/// The engine's tables of a database, and whose scripts made them.
pub(crate) fn catalog_of(database: &Database) -> Result<(Family, Catalog)> {
    let product = database.identity()?.product;
    let pattern = pattern(product);
    let catalog = catalog(database, pattern, &database.tables(pattern)?)?;
    Ok((family(product, &catalog), catalog))
}

fn pattern(product: Product) -> &'static str {
    if product == Product::Postgresql {
        LOWER
    } else {
        UPPER
    }
}

fn family(product: Product, catalog: &Catalog) -> Family {
    match product {
        Product::Postgresql => Family::Postgres,
        // Without the engine's tables it makes no difference.
        _ => catalog.family_by_types().unwrap_or(Family::Mysql),
    }
}

impl Schema {
    /// Reads all of it.
    pub(crate) fn gather(site: &Site) -> Result<Self> {
        let database = Database::open(site, DATABASE)?;
        let identity = database.identity()?;
        let is_folded = identity.product == Product::Postgresql;
        let pattern = pattern(identity.product);
        let tables = database.tables(pattern)?;
        let catalog = catalog(&database, pattern, &tables)?;
        let family = family(identity.product, &catalog);
        let has = |name: &str| {
            tables
                .iter()
                .any(|table| table.name.eq_ignore_ascii_case(name))
        };
        let rows = if has(log::TABLE) {
            Some(log_rows(&database)?)
        } else {
            None
        };
        let told = log::read(rows.as_deref());
        let manifest = Manifest::of(family);
        let standing = match &told {
            Ok(Told::Camunda { minor, .. } | Told::AtMost(minor)) => {
                Some(standing::standing(&manifest, *minor, &catalog))
            }
            _ => None,
        };
        let installation = if has(LANDMARK) {
            value(&database, reads::INSTALLATION)?
        } else {
            None
        };
        Ok(Self {
            family,
            told,
            standing,
            liquibase: liquibase(&database, is_folded)?,
            sessions: database.sessions()?,
            installation,
            tables,
            identity,
        })
    }

    /// The minor version that is whole; none where that cannot be said.
    pub(crate) fn minor(&self) -> Option<Minor> {
        match &self.standing {
            Some(Standing::Settled(settled)) => Some(settled.minor),
            Some(Standing::Between(between)) => Some(between.from),
            _ => None,
        }
    }

    /// The table that every version has is there by its plain name.
    pub(crate) fn is_there(&self) -> bool {
        self.tables
            .iter()
            .any(|table| table.name.eq_ignore_ascii_case(LANDMARK))
    }

    /// Rows that the server estimates for a table, whatever the case of its name.
    pub(crate) fn rows_of(&self, table: &str) -> u64 {
        self.tables
            .iter()
            .find(|found| found.name.eq_ignore_ascii_case(table))
            .map_or(0, |found| found.rows_estimate)
    }
}

fn catalog(database: &Database, pattern: &str, tables: &[Table]) -> Result<Catalog> {
    Ok(Catalog {
        tables: tables.iter().map(|table| table.name.clone()).collect(),
        columns: database
            .columns(pattern)?
            .into_iter()
            .map(|it| Column {
                table: it.table,
                name: it.name,
                kind: it.kind,
                nullable: it.nullable,
                default: it.default,
            })
            .collect(),
        indexes: database
            .indexes(pattern)?
            .into_iter()
            .map(|it| Index {
                table: it.table,
                name: it.name,
                columns: it.columns,
                unique: it.unique,
                primary: it.primary,
                valid: it.valid,
            })
            .collect(),
        constraints: database
            .constraints(pattern)?
            .into_iter()
            .map(|it| Constraint {
                table: it.table,
                name: it.name,
                kind: it.kind,
                columns: it.columns,
                references: it.references,
            })
            .collect(),
    })
}

fn log_rows(database: &Database) -> Result<Vec<Row>> {
    let rows = database.query(reads::SCHEMA_LOG, &[])?.rows;
    Ok(rows
        .into_iter()
        .map(|row| {
            let text = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
            Row {
                id: text(0),
                version: text(1),
            }
        })
        .collect())
}

/// The first value of the first row.
fn value(database: &Database, sql: &str) -> Result<Option<String>> {
    let first = database.query(sql, &[])?.rows.into_iter().next();
    Ok(first.and_then(|row| row.into_iter().next().flatten()))
}

/// Its own tables, and who wrote into them.
fn liquibase(database: &Database, is_folded: bool) -> Result<Option<Liquibase>> {
    let [log, lock] = reads::LIQUIBASE_TABLES.map(|name| {
        if is_folded {
            name.to_lowercase()
        } else {
            name.to_owned()
        }
    });
    let has = |name: &str| Ok::<bool, Error>(!database.tables(name)?.is_empty());
    if !has(&log)? {
        return Ok(None);
    }
    let authors = database.query(reads::LIQUIBASE_AUTHORS, &[])?.rows;
    let locked_by = if has(&lock)? {
        value(database, reads::LIQUIBASE_LOCK)?
    } else {
        None
    };
    Ok(Some(Liquibase {
        is_of_the_engine: authors
            .iter()
            .filter_map(|row| row.first()?.as_deref())
            .any(reads::is_products_author),
        locked_by,
    }))
}
