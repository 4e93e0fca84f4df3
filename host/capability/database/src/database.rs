//! One database of a site: its reads, and who it is.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use liftlock_types::facts::database::{Identity, Product};
use liftlock_types::sql::Dialect;
use liftlock_types::{Acted, Binding, Read, ReadError};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;

use crate::config::{DatabaseConfig, DatabaseError, DatabaseKind};
use crate::connection::{Place, Purpose, Session};
use crate::trouble::Trouble;
use crate::{catalog, query, sessions};

/// Reading sessions that are kept for the next read.
///
/// Two: a gate reads one after another, a plugin's call beside it at most.
const KEPT_MAX: usize = 2;

/// One database of a site.
#[derive(Clone)]
pub struct Database {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) binding: Binding,
    pub(crate) place: Arc<Place>,
    kept: Mutex<Vec<Session>>,
    /// By token: what this process works on, and how it ended where nobody waited for it.
    pub(crate) working: Mutex<HashMap<String, Option<Acted>>>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("binding", &self.inner.binding)
            .finish_non_exhaustive()
    }
}

const PG_IDENTITY: &str = "SELECT current_setting('server_version'), \
    (SELECT system_identifier FROM pg_control_system()), current_database(), coalesce(current_schema(), ''), \
    current_user, current_setting('default_transaction_isolation'), \
    pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AND \
    (SELECT reset_val FROM pg_settings WHERE name = 'default_transaction_read_only') = 'on', \
    current_setting('server_encoding'), current_setting('TimeZone'), \
    (SELECT oid FROM pg_database WHERE datname = current_database())";

const MY_IDENTITY: &str = "SELECT VERSION(), '', DATABASE(), DATABASE(), CURRENT_USER(), '', \
    @@global.read_only, @@character_set_database, @@global.time_zone, ''";

impl Database {
    /// Checks the definition and makes ready to ask; nothing is asked yet.
    pub fn open(
        binding: Binding,
        config: DatabaseConfig,
        password: Option<SecretString>,
    ) -> Result<Self, DatabaseError> {
        config.check()?;
        Ok(Self {
            inner: Arc::new(Inner {
                binding,
                place: Arc::new(Place { config, password }),
                kept: Mutex::default(),
                working: Mutex::default(),
            }),
        })
    }
}

/// Reads with a session that is kept, or with a new one where that had gone away.
macro_rules! reading {
    ($inner:expr, $session:ident => $read:expr) => {{
        let inner: &Inner = $inner;
        let kept = inner.kept();
        let was_kept = kept.is_some();
        let mut held = match kept {
            Some(session) => session,
            None => inner.connected().await?,
        };
        let $session = &mut held;
        let mut answer = $read;
        if was_kept && answer.as_ref().is_err_and(Trouble::is_gone) {
            // Whatever befell it while it was idle, a new one tells what the server says.
            held = inner.connected().await?;
            let $session = &mut held;
            answer = $read;
        }
        if answer.is_ok() {
            inner.keep(held);
        } else {
            held.close().await;
        }
        answer.map_err(Trouble::into_read_error)
    }};
}
pub(crate) use reading;

impl Inner {
    pub(crate) fn kept(&self) -> Option<Session> {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    pub(crate) fn keep(&self, session: Session) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push(session);
        }
    }

    pub(crate) async fn connected(&self) -> Result<Session, ReadError> {
        self.place
            .session(sessions::OURS, Purpose::Read)
            .await
            .map_err(Trouble::into_read_error)
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.place.dialect()
    }

    /// Who answers, and as whom we ask.
    pub(crate) async fn who(&self) -> Result<(Identity, String), ReadError> {
        let (identity, oid) = reading!(self, session => who(session).await)?;
        let config = &self.place.config;
        let (meant, found) = (config.kind, identity.product);
        let is_meant = matches!(
            (meant, found),
            (DatabaseKind::Postgresql, Product::Postgresql)
                | (DatabaseKind::Mariadb, Product::Mariadb)
                | (DatabaseKind::Mysql, Product::Mysql)
        );
        if !is_meant {
            return Err(ReadError::Invalid(format!(
                "`kind` says {}, and {found:?} {} answers at {}",
                meant.name(),
                identity.version,
                config.place()
            )));
        }
        if identity.schema.is_empty() {
            return Err(ReadError::NotFound(match &config.schema {
                Some(schema) => format!("the schema `{schema}` of {}", config.place()),
                None => format!(
                    "a schema of {} that `{}` may use",
                    config.place(),
                    config.user
                ),
            }));
        }
        Ok((identity, oid))
    }

    pub(crate) async fn read(&self, read: &Read) -> Result<Value, ReadError> {
        match read {
            Read::DatabaseIdentity => value(&self.who().await?.0),
            Read::Tables { pattern } => {
                value(&reading!(self, session => catalog::tables(session, pattern).await)?)
            }
            Read::Columns { pattern } => {
                value(&reading!(self, session => catalog::columns(session, pattern).await)?)
            }
            Read::TableIndexes { pattern } => {
                value(&reading!(self, session => catalog::indexes(session, pattern).await)?)
            }
            Read::Constraints { pattern } => {
                value(&reading!(self, session => catalog::constraints(session, pattern).await)?)
            }
            Read::Sessions => value(&reading!(self, session => sessions::sessions(session).await)?),
            Read::Query {
                query: asked,
                parameters,
            } => {
                query::check(self.dialect(), asked, parameters)?;
                value(&reading!(self, session => query::rows(session, asked, parameters).await)?)
            }
            _ => Err(ReadError::Invalid(format!(
                "`{}` is no read of a database",
                read.verb()
            ))),
        }
    }
}

async fn who(session: &mut Session) -> Result<(Identity, String), Trouble> {
    let is_postgresql = session.dialect() == Dialect::Postgresql;
    let text = if is_postgresql {
        PG_IDENTITY
    } else {
        MY_IDENTITY
    };
    let table = session.rows(text).await?;
    let row = table.rows.into_iter().next().unwrap_or_default();
    let at = |index: usize| row.get(index).cloned().flatten().unwrap_or_default();
    let mut identity = Identity {
        product: Product::Postgresql,
        version: at(0)
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned(),
        server: at(1),
        database: at(2),
        schema: at(3),
        user: at(4),
        isolation: at(5).replace(' ', "-"),
        read_only: matches!(at(6).as_str(), "t" | "1"),
        more: vec![("encoding".into(), at(7)), ("time zone".into(), at(8))],
    };
    if !is_postgresql {
        identity.product = if session.is_mariadb {
            Product::Mariadb
        } else {
            Product::Mysql
        };
        identity.version = at(0).split('-').next().unwrap_or_default().to_owned();
        // A MariaDB that has no id of its own is told by where it lies.
        let ids = [
            "@@server_uuid",
            "@@server_uid",
            "CONCAT(@@hostname, ':', @@port, ':', @@datadir)",
        ];
        identity.server = first_of(session, &ids).await?;
        let levels = ["@@global.transaction_isolation", "@@global.tx_isolation"];
        identity.isolation = first_of(session, &levels).await?.to_lowercase();
        // One server of a cluster takes changes of tables to all of them: who proposes one has to know it.
        if first_of(session, &["@@global.wsrep_on"]).await? == "1" {
            let method = first_of(session, &["@@global.wsrep_osu_method"]).await?;
            identity.more.push(("galera".into(), method));
        }
    }
    Ok((identity, at(9)))
}

/// The first of these that the server knows.
async fn first_of(session: &mut Session, expressions: &[&str]) -> Result<String, Trouble> {
    for expression in expressions {
        match session.one(&format!("SELECT {expression}")).await {
            Ok(text) if !text.is_empty() => return Ok(text),
            // Unknown system variable.
            Ok(_) => {}
            Err(trouble) if trouble.is(&["1193"]) => {}
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(String::new())
}

pub(crate) fn value(answer: &impl Serialize) -> Result<Value, ReadError> {
    serde_json::to_value(answer).map_err(|error| ReadError::Invalid(error.to_string()))
}
