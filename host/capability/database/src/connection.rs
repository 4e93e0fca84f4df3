//! Sessions of ours: each says what it is, gives up by itself, and changes nothing unless it is asked for that.
//!
//! All goes by the simple protocol: one text, values read as text. Servers prepare nothing for us, which a change of a
//! table could make stale, and every value of a query is read alike.

use std::time::Duration;

use futures::TryStreamExt as _;
use liftlock_types::sql::Dialect;
use secrecy::{ExposeSecret, SecretString};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions as _, Connection as _, Executor as _, MySqlConnection,
    PgConnection, Row, SqlSafeStr as _, Statement as _,
};

use crate::config::{DatabaseConfig, DatabaseKind, Tls};
use crate::literal;
use crate::trouble::Trouble;

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(10);

/// How soon a PostgreSQL backend sees that its client is gone (14 and newer, which alone look): else what it waits to
/// do it does later.
const CLIENT_CHECK_MS: u32 = 500;

/// How long a transaction of ours may stand idle before PostgreSQL ends it.
///
/// A minute: ours never idle between two statements, so its client is gone or frozen.
const IDLE_IN_TRANSACTION_MS: u32 = 60_000;

/// Most rows of one answer.
pub(crate) const ROWS_MAX: usize = 100_000;

/// Most bytes of one answer.
const BYTES_MAX: usize = 64 << 20;

/// Where a database is and as whom we ask.
pub(crate) struct Place {
    pub(crate) config: DatabaseConfig,
    pub(crate) password: Option<SecretString>,
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reads, each of which ends in time.
    Read,
    /// Changes, which wait so long for a lock, milliseconds.
    Change(u32),
}

enum Wire {
    Postgresql(Box<PgConnection>),
    Mysql(Box<MySqlConnection>),
}

/// One connection.
pub(crate) struct Session {
    wire: Wire,
    pub(crate) is_mariadb: bool,
    /// Before each text, where the server has no other place for a name.
    prefix: String,
}

/// Rows as text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

impl Place {
    pub(crate) fn dialect(&self) -> Dialect {
        match self.config.kind {
            DatabaseKind::Postgresql => Dialect::Postgresql,
            DatabaseKind::Mariadb | DatabaseKind::Mysql => Dialect::Mysql,
        }
    }

    /// A session that calls itself this.
    pub(crate) async fn session(&self, name: &str, purpose: Purpose) -> Result<Session, Trouble> {
        let connected = tokio::time::timeout(CONNECT, self.connect(name)).await;
        let wire = match connected {
            Ok(Ok(wire)) => wire,
            Ok(Err(error)) => {
                return Err(match Trouble::from(error) {
                    Trouble::Lost(text) => {
                        Trouble::NotConnected(format!("{}: {text}", self.config.place()))
                    }
                    other => other,
                });
            }
            Err(_) => {
                return Err(Trouble::NotConnected(format!(
                    "{}: no connection within {} s",
                    self.config.place(),
                    CONNECT.as_secs()
                )));
            }
        };
        let mut session = Session {
            prefix: match wire {
                Wire::Postgresql(_) => String::new(),
                Wire::Mysql(_) => format!("{} ", comment(name)),
            },
            wire,
            is_mariadb: false,
        };
        if let Wire::Mysql(_) = session.wire {
            session.is_mariadb = session.one("SELECT VERSION()").await?.contains("MariaDB");
        }
        let preamble = preamble(&session, purpose, &self.config).join("; ");
        session.run(&preamble).await?;
        Ok(session)
    }

    async fn connect(&self, name: &str) -> sqlx::Result<Wire> {
        let config = &self.config;
        let password = self.password.as_ref().map(ExposeSecret::expose_secret);
        if config.kind == DatabaseKind::Postgresql {
            let mut options = PgConnectOptions::new_without_pgpass()
                .host(&config.host)
                .port(config.port())
                .database(&config.database)
                .username(&config.user)
                .application_name(name)
                .ssl_mode(match config.tls {
                    Tls::Off => PgSslMode::Disable,
                    Tls::Require => PgSslMode::VerifyFull,
                })
                .disable_statement_logging();
            if let Some(password) = password {
                options = options.password(password);
            }
            if let Some(ca) = &config.ca {
                options = options.ssl_root_cert(ca);
            }
            return Ok(Wire::Postgresql(Box::new(options.connect().await?)));
        }
        // Zone and modes stay the server's own: a script means the same as in the vendor's client.
        let mut options = MySqlConnectOptions::new()
            .host(&config.host)
            .port(config.port())
            .database(&config.database)
            .username(&config.user)
            .timezone(None)
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .ssl_mode(match config.tls {
                Tls::Off => MySqlSslMode::Disabled,
                Tls::Require => MySqlSslMode::VerifyIdentity,
            })
            .disable_statement_logging();
        if let Some(password) = password {
            options = options.password(password);
        }
        if let Some(ca) = &config.ca {
            options = options.ssl_ca(ca);
        }
        Ok(Wire::Mysql(Box::new(options.connect().await?)))
    }
}

/// The name as a comment. Names of ours hold nothing that ends one.
pub(crate) fn comment(name: &str) -> String {
    format!("/* {} */", name.replace("*/", ""))
}

/// What makes a session bounded. A setting that a server does not know is left out.
fn preamble(session: &Session, purpose: Purpose, config: &DatabaseConfig) -> Vec<String> {
    let read_ms = config.read_ms;
    let mut texts = Vec::new();
    match session.wire {
        Wire::Postgresql(_) => {
            let schema = config.schema.as_ref().map_or_else(
                || "current_schema()".to_owned(),
                |schema| literal::text(schema),
            );
            // One schema: an unqualified name means a table of the binding, or none.
            texts.push(format!(
                "SELECT set_config('search_path', quote_ident({schema}), false)"
            ));
            texts.push("SET standard_conforming_strings = on".to_owned());
            match purpose {
                Purpose::Read => {
                    texts.push(format!("SET lock_timeout = {read_ms}"));
                    texts.push(format!("SET statement_timeout = {read_ms}"));
                    texts.push("SET default_transaction_read_only = on".to_owned());
                }
                Purpose::Change(lock_ms) => {
                    texts.push(format!("SET lock_timeout = {lock_ms}"));
                    // An index of a large table takes hours.
                    texts.push("SET statement_timeout = 0".to_owned());
                    texts.push(format!(
                        "SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS}"
                    ));
                    texts.push("SET synchronous_commit = on".to_owned());
                    texts.push(format!(
                        "SELECT set_config(name, '{CLIENT_CHECK_MS}', false) FROM pg_settings \
                         WHERE name = 'client_connection_check_interval'"
                    ));
                }
            }
        }
        Wire::Mysql(_) => {
            texts.push(
                "SET SESSION sql_mode = CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES')"
                    .to_owned(),
            );
            let lock_ms = match purpose {
                Purpose::Read => read_ms,
                Purpose::Change(lock_ms) => lock_ms,
            };
            let lock_s = lock_ms.div_ceil(1_000);
            texts.push(format!(
                "SET SESSION lock_wait_timeout = {lock_s}, innodb_lock_wait_timeout = {lock_s}"
            ));
            if purpose == Purpose::Read {
                texts.push(if session.is_mariadb {
                    format!(
                        "SET SESSION max_statement_time = {}",
                        read_ms.div_ceil(1_000)
                    )
                } else {
                    format!("SET SESSION max_execution_time = {read_ms}")
                });
                texts.push("SET SESSION TRANSACTION READ ONLY".to_owned());
            }
        }
    }
    texts
}

impl Session {
    pub(crate) fn dialect(&self) -> Dialect {
        match self.wire {
            Wire::Postgresql(_) => Dialect::Postgresql,
            Wire::Mysql(_) => Dialect::Mysql,
        }
    }

    /// Sends a text and reads all its rows.
    pub(crate) async fn rows(&mut self, text: &str) -> Result<Table, Trouble> {
        self.rows_within(text, ROWS_MAX, BYTES_MAX).await
    }

    /// The same with bounds of its own.
    pub(crate) async fn rows_within(
        &mut self,
        text: &str,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Table, Trouble> {
        let mut taking = Taking {
            table: Table::default(),
            bytes: 0,
            rows_max,
            bytes_max,
        };
        let sql = sqlx::raw_sql(AssertSqlSafe(format!("{}{text}", self.prefix)));
        match &mut self.wire {
            Wire::Postgresql(connection) => {
                let mut rows = sql.fetch(&mut **connection);
                while let Some(row) = rows.try_next().await? {
                    taking.take(&row)?;
                }
            }
            Wire::Mysql(connection) => {
                let mut rows = sql.fetch(&mut **connection);
                while let Some(row) = rows.try_next().await? {
                    taking.take(&row)?;
                }
            }
        }
        Ok(taking.table)
    }

    /// Sends a text whose rows nobody needs.
    pub(crate) async fn run(&mut self, text: &str) -> Result<(), Trouble> {
        self.rows(text).await.map(drop)
    }

    /// The first value of the first row; empty where there is none.
    pub(crate) async fn one(&mut self, text: &str) -> Result<String, Trouble> {
        let mut rows = self.rows(text).await?.rows;
        Ok(rows
            .first_mut()
            .and_then(|row| row.first_mut()?.take())
            .unwrap_or_default())
    }

    /// Names of the columns that a text gives, asked of the server without running it.
    pub(crate) async fn columns_of(&mut self, text: &str) -> Result<Vec<String>, Trouble> {
        let sql = AssertSqlSafe(text.to_owned()).into_sql_str();
        Ok(match &mut self.wire {
            Wire::Postgresql(connection) => names(connection.prepare(sql).await?.columns()),
            Wire::Mysql(connection) => names(connection.prepare(sql).await?.columns()),
        })
    }

    /// Says good-bye, so that the server is rid of it when this returns.
    pub(crate) async fn close(self) {
        let closed = match self.wire {
            Wire::Postgresql(connection) => connection.close().await,
            Wire::Mysql(connection) => connection.close().await,
        };
        if let Err(error) = closed {
            tracing::debug!(%error, "a session was not closed in form");
        }
    }
}

fn names<C: Column>(columns: &[C]) -> Vec<String> {
    columns
        .iter()
        .map(|column| column.name().to_owned())
        .collect()
}

struct Taking {
    table: Table,
    bytes: usize,
    rows_max: usize,
    bytes_max: usize,
}

impl Taking {
    fn take<'r, R>(&mut self, row: &'r R) -> Result<(), Trouble>
    where
        R: Row,
        usize: sqlx::ColumnIndex<R>,
        Option<String>: sqlx::Decode<'r, R::Database>,
    {
        let table = &mut self.table;
        if table.rows.len() == self.rows_max {
            return Err(Trouble::TooMuch(format!("{} rows", self.rows_max)));
        }
        if table.columns.is_empty() {
            table.columns = names(row.columns());
        }
        let mut values = Vec::with_capacity(table.columns.len());
        for at in 0..row.columns().len() {
            let value: Option<String> =
                row.try_get_unchecked(at).map_err(|_| Trouble::Refused {
                    code: "not-text".into(),
                    text: format!("the values of column `{}` are no text", table.columns[at]),
                })?;
            self.bytes += value.as_ref().map_or(0, String::len);
            values.push(value);
        }
        if self.bytes > self.bytes_max {
            return Err(Trouble::TooMuch(format!("{} KiB", self.bytes_max >> 10)));
        }
        table.rows.push(values);
        Ok(())
    }
}
