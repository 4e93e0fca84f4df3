//! What the operator says of a database.

use std::path::PathBuf;

use liftlock_types::SecretRef;
use serde::{Deserialize, Serialize};

/// Shortest and longest read that a site can allow, milliseconds.
///
/// A tenth of a second is less than a catalog of some hundred tables takes on a busy server; ten minutes would hold a
/// plan up for longer than a person waits.
pub const READ_MS: std::ops::RangeInclusive<u32> = 100..=600_000;

/// A definition that cannot be used: which field, its value, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is `{value}`; {right}")]
#[non_exhaustive]
pub struct DatabaseError {
    /// Which field.
    pub field: &'static str,
    /// What it is; never a secret.
    pub value: String,
    /// What would be right.
    pub right: String,
}

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseKind {
    /// PostgreSQL, 12 or newer.
    Postgresql,
    /// MariaDB, 10.6 or newer.
    Mariadb,
    /// MySQL, 8 or newer.
    Mysql,
}

impl DatabaseKind {
    /// Where it listens if nothing else is said.
    pub fn port(self) -> u16 {
        match self {
            Self::Postgresql => 5432,
            Self::Mariadb | Self::Mysql => 3306,
        }
    }

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgresql => "PostgreSQL",
            Self::Mariadb => "MariaDB",
            Self::Mysql => "MySQL",
        }
    }
}

/// One database of `site.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DatabaseConfig {
    /// Which server.
    pub kind: DatabaseKind,
    /// Its name or address.
    pub host: String,
    /// Its port; none: 5432 or 3306.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The database.
    pub database: String,
    /// PostgreSQL: the schema that the tables are in. None: the role's own first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The role that owns the tables.
    pub user: String,
    /// Where its password is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// How the connection is kept from others.
    #[serde(default)]
    pub tls: Tls,
    /// Certificate authorities in PEM that are believed beside the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// How long a read may take, milliseconds.
    #[serde(default = "read_ms")]
    pub read_ms: u32,
}

/// Half a minute, as for the reads of a search cluster.
const fn read_ms() -> u32 {
    30_000
}

/// How the connection is kept from others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// Not at all: to this machine, or over a network that is safe by itself.
    Off,
    /// Encrypted, and the server's certificate and name verified.
    #[default]
    Require,
}

impl DatabaseConfig {
    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.kind.port())
    }

    /// For people: `PostgreSQL at db1:5432/camunda`.
    pub fn place(&self) -> String {
        format!("{}:{}/{}", self.host, self.port(), self.database)
    }

    /// Refuses what the parser cannot see.
    pub fn check(&self) -> Result<(), DatabaseError> {
        let wrong = |field, value: &str, right: &str| {
            Err(DatabaseError {
                field,
                value: value.escape_debug().to_string(),
                right: right.to_owned(),
            })
        };
        if self.host.is_empty()
            || self
                .host
                .contains(|c: char| "/@?#".contains(c) || c.is_whitespace())
        {
            return wrong(
                "host",
                &self.host,
                "it must be a name or an address alone; port, database and user have fields of their own",
            );
        }
        if self.port == Some(0) {
            return wrong("port", "0", "it must be 1 to 65535");
        }
        for (field, text) in [("database", &self.database), ("user", &self.user)] {
            if text.is_empty() || text.chars().any(char::is_control) {
                return wrong(field, text, "it must be a name");
            }
        }
        if let Some(schema) = &self.schema {
            if self.kind != DatabaseKind::Postgresql {
                return wrong(
                    "schema",
                    schema,
                    "only PostgreSQL has schemas: leave it out",
                );
            }
            if schema.is_empty() || schema.chars().any(char::is_control) {
                return wrong("schema", schema, "it must be a name");
            }
        }
        if self.ca.is_some() && self.tls == Tls::Off {
            return wrong("tls", "off", "with `ca` it must be `require`");
        }
        if !READ_MS.contains(&self.read_ms) {
            return wrong(
                "read-ms",
                &self.read_ms.to_string(),
                &format!("it must be {} to {}", READ_MS.start(), READ_MS.end()),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "kind = \"postgresql\"\nhost = \"db1\"\ndatabase = \"camunda\"\nuser = \"camunda\"\n";

    fn of(more: &str) -> DatabaseConfig {
        toml::from_str(&format!("{GOOD}{more}")).unwrap()
    }

    #[test]
    fn what_is_not_said_is_the_safe_thing() {
        let config = of("");
        config.check().unwrap();
        assert_eq!(
            (config.port(), config.tls, config.read_ms),
            (5432, Tls::Require, 30_000)
        );
        assert_eq!(config.place(), "db1:5432/camunda");
        assert!(toml::from_str::<DatabaseConfig>(&format!("{GOOD}url = \"x\"")).is_err());
    }

    #[test]
    fn a_mistake_names_its_field_and_what_would_be_right() {
        let with = |change: fn(&mut DatabaseConfig)| {
            let mut config = of("");
            change(&mut config);
            config.check().unwrap_err()
        };
        for (error, field) in [
            (with(|it| it.host = "db1/camunda".into()), "host"),
            (with(|it| it.host = "me:secret@db1".into()), "host"),
            (with(|it| it.port = Some(0)), "port"),
            (with(|it| it.database.clear()), "database"),
            (with(|it| it.user = "a\nb".into()), "user"),
            (with(|it| it.schema = Some(String::new())), "schema"),
            (
                with(|it| {
                    it.kind = DatabaseKind::Mysql;
                    it.schema = Some("x".into());
                }),
                "schema",
            ),
            (
                with(|it| {
                    it.tls = Tls::Off;
                    it.ca = Some("ca.pem".into());
                }),
                "tls",
            ),
            (with(|it| it.read_ms = 1), "read-ms"),
        ] {
            assert_eq!(error.field, field, "{error}");
            assert!(!error.right.is_empty());
        }
    }
}
