//! The schema as it stands: read from the catalog, judged by the manifest, with the script that leads on.

use liftlock_sdk::capability::{DatabaseIdentity, DatabaseSession, Product, Table};
use liftlock_sdk::prelude::*;

use crate::catalog::{Catalog, Column, Constraint, Family, Index};
use crate::descriptor::{DATABASE, ENGINE};
use crate::jar::{self, JarError};
use crate::log::{self, LogError, Row, Told};
use crate::manifest::Manifest;
use crate::reads;
use crate::script::{self, Script, ScriptError};
use crate::standing::{self, Standing};
use crate::version::Minor;

/// What every table of the engine begins with, as each server's catalog has it.
const UPPER: &str = "ACT_*";
const LOWER: &str = "act_*";

/// Where the jars are that a bound directory can hold.
const JAR: &str = "camunda-engine-";

/// The most that one read of a file gives.
const READ_BYTES_MAX: usize = 1 << 20;

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

impl Schema {
    /// Reads all of it.
    pub(crate) fn gather(site: &Site) -> Result<Self> {
        let database = Database::open(site, DATABASE)?;
        let identity = database.identity()?;
        let is_folded = identity.product == Product::Postgresql;
        let pattern = if is_folded { LOWER } else { UPPER };
        let tables = database.tables(pattern)?;
        let catalog = catalog(&database, pattern)?;
        let family = match identity.product {
            Product::Postgresql => Family::Postgres,
            // Without the engine's tables it makes no difference.
            _ => catalog.family_by_types().unwrap_or(Family::Mysql),
        };
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
        let installation = if has("ACT_GE_PROPERTY") {
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

    /// Rows that the server estimates for a table, whatever the case of its name.
    pub(crate) fn rows_of(&self, table: &str) -> u64 {
        self.tables
            .iter()
            .find(|found| found.name.eq_ignore_ascii_case(table))
            .map_or(0, |found| found.rows_estimate)
    }
}

fn catalog(database: &Database, pattern: &str) -> Result<Catalog> {
    Ok(Catalog {
        tables: database
            .tables(pattern)?
            .into_iter()
            .map(|table| table.name)
            .collect(),
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

/// Why the script to a version cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoScript {
    /// The host's answer.
    #[error("cannot read the directory with the engine's jar: {0:?}")]
    Read(Error),
    /// No jar, or several of the version.
    #[error("`{ENGINE}` has no file `{JAR}{0}.*.jar`")]
    NoJar(Minor),
    /// The jar.
    #[error("`{jar}`: {why}")]
    Jar {
        /// Its name.
        jar: String,
        /// What is wrong with it.
        why: JarError<Error>,
    },
    /// The script in it.
    #[error("`{jar}`: {why}")]
    Script {
        /// The jar.
        jar: String,
        /// What is wrong with the script in it.
        why: ScriptError,
    },
}

/// The vendor's script of a schema's family to a version, out of the jar that the operator bound.
pub(crate) fn script(
    site: &Site,
    family: Family,
    to: Minor,
) -> std::result::Result<Script, NoScript> {
    let directory = Directory::open(site, ENGINE).map_err(NoScript::Read)?;
    let prefix = format!("{JAR}{to}.");
    let entries = directory.entries().map_err(NoScript::Read)?;
    let entry = entries
        .into_iter()
        .find(|entry| entry.name.starts_with(&prefix) && entry.name.ends_with(".jar"))
        .ok_or(NoScript::NoJar(to))?;
    let mut read = |offset: u64, length: usize| -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let part = (length - bytes.len()).min(READ_BYTES_MAX);
            let at = offset + bytes.len() as u64;
            let read = directory.read(&entry.name, at, u32::try_from(part).unwrap_or(u32::MAX))?;
            if read.is_empty() {
                return Err(Error::Invalid(format!("`{}` ends early", entry.name)));
            }
            bytes.extend(read);
        }
        Ok(bytes)
    };
    let path = script::path(family, to);
    let text =
        jar::read_file(&mut read, entry.bytes, &path, script::BYTES_MAX).map_err(|error| {
            match error {
                JarError::Read(error) => NoScript::Read(error),
                other => NoScript::Jar {
                    jar: entry.name.clone(),
                    why: other,
                },
            }
        })?;
    script::read(&text, family, to).map_err(|why| NoScript::Script {
        jar: entry.name.clone(),
        why,
    })
}
