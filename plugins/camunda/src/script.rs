//! The vendor's upgrade scripts: where they lie, by which digest they are known, what is in them.
//!
//! Their text is the vendor's and comes from the engine's jar that the operator binds. What is known here are facts:
//! a SHA-256 for each script of each release (`script/known.txt`, written by `cargo xtask camunda-manifest`). A text
//! that is not known is not run.

mod statement;

use sha2::Digest;
use sha2::Sha256;

pub use statement::Kind;
pub use statement::Statement;
#[cfg(test)]
pub(crate) use statement::split;

use crate::catalog::Family;
use crate::version::Minor;

/// The longest script that is taken, bytes. The longest of the vendor's, 7.9 to 7.10, has 10 kB.
pub const BYTES_MAX: usize = 256 * 1024;

/// One text of one script, known by its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Whose scripts it is among. Some texts are the same in several families.
    pub family: Family,
    /// Where it leads.
    pub to: Minor,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: &'static str,
    /// First releases of which minor versions have it in their jar: `7.22-7.24`.
    pub releases: &'static str,
}

/// Every known text.
pub fn known() -> impl Iterator<Item = Known> {
    let lines = include_str!("script/known.txt").lines();
    lines.filter_map(known_line)
}

/// `postgres 7.21 7.22 SHA256 7.22-7.24`.
fn known_line(line: &'static str) -> Option<Known> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let family = Family::ALL
        .into_iter()
        .find(|family| family.name() == name)?;
    let _from = words.next()?;
    Some(Known {
        family,
        to: words.next()?.parse().ok()?,
        sha256: words.next()?,
        releases: words.next()?,
    })
}

/// The last minor version to which there is a script of MariaDB's own.
const LAST_OF_MARIADB: Minor = Minor::new(22);

/// Whose script leads a schema of a family to a version: MariaDB's end with 7.22.
pub fn family_of(schema: Family, to: Minor) -> Family {
    match schema {
        Family::Mariadb if to > LAST_OF_MARIADB => Family::Mysql,
        other => other,
    }
}

/// The script's path in the engine's jar. Jars before 7.11 have none; later ones have those of all versions before.
pub fn path(schema: Family, to: Minor) -> String {
    let family = family_of(schema, to);
    let from = to.number().saturating_sub(1);
    format!("org/camunda/bpm/engine/db/upgrade/{family}_engine_7.{from}_to_{to}.sql")
}

/// Why a text is not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// Nobody's: changed after it left the vendor, or of a release that this plugin does not know.
    #[error(
        "the script of `{family}` to {to} has the digest {sha256}, which no release of the vendor has: it was changed, \
         or it is newer than this plugin"
    )]
    Changed {
        /// Whose script was wanted.
        family: Family,
        /// Where it should lead.
        to: Minor,
        /// What the text has.
        sha256: String,
    },
    /// The vendor's, and for another step.
    #[error("the script leads to {found}, not to {to}")]
    OfAnotherVersion {
        /// Where it should lead.
        to: Minor,
        /// Where it leads.
        found: Minor,
    },
    /// The vendor's, and for another database.
    #[error("the script is one of `{found}`, and the schema is of `{family}`")]
    OfAnotherFamily {
        /// Whose script was wanted.
        family: Family,
        /// Whose it is.
        found: Family,
    },
    /// No known text is so long.
    #[error("the script has {0} bytes, more than {BYTES_MAX}")]
    TooLong(usize),
}

impl ScriptError {
    /// The finding that explains it.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Changed { .. } | Self::TooLong(_) => "camunda.script-changed",
            Self::OfAnotherVersion { .. } => "camunda.script-of-another-version",
            Self::OfAnotherFamily { .. } => "camunda.script-of-another-family",
        }
    }
}

/// A script whose text is the vendor's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Where it leads.
    pub to: Minor,
    /// Its digest.
    pub sha256: &'static str,
    /// In the script's order.
    pub statements: Vec<Statement>,
}

/// Makes sure that a text is the vendor's script of a schema's family to a version, and takes it apart.
pub fn read(text: &[u8], schema: Family, to: Minor) -> Result<Script, ScriptError> {
    if text.len() > BYTES_MAX {
        return Err(ScriptError::TooLong(text.len()));
    }
    let family = family_of(schema, to);
    let digest = Sha256::digest(text);
    let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let same: Vec<Known> = known().filter(|known| known.sha256 == sha256).collect();
    let right = same
        .iter()
        .find(|known| known.family == family && known.to == to);
    if let Some(known) = right {
        return Ok(Script {
            to,
            sha256: known.sha256,
            // Every known text is ASCII.
            statements: statement::split(&String::from_utf8_lossy(text)),
        });
    }
    Err(match same.first() {
        None => ScriptError::Changed { family, to, sha256 },
        Some(other) if same.iter().all(|known| known.to != to) => ScriptError::OfAnotherVersion {
            to,
            found: other.to,
        },
        Some(other) => ScriptError::OfAnotherFamily {
            family,
            found: other.family,
        },
    })
}

/// A script's statements in the order in which they disturb the least, each part in the script's own order.
///
/// Columns hold a table for milliseconds, an index for as long as it takes to read it: together in one transaction,
/// the engine would stand still for the longest of them. Indexes come before constraints as in the vendor's own
/// scripts, since MySQL makes an index of its own for a foreign key that has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// The log's row, tables, columns, and rows: short.
    pub columns: Vec<Statement>,
    /// Indexes made or dropped: as long as their table.
    pub indexes: Vec<Statement>,
    /// Constraints: each row is looked at, and both tables are held.
    pub constraints: Vec<Statement>,
    /// Rows or columns that are there and change, or what is not recognised: no part of a rolling upgrade. No script
    /// to a version after 7.11 has any.
    pub others: Vec<Statement>,
}

impl Script {
    /// Its statements by part.
    pub fn parts(&self) -> Parts {
        let mut parts = Parts::default();
        for statement in &self.statements {
            let part = match statement.kind {
                Kind::LogRow | Kind::Table | Kind::Column | Kind::Row => &mut parts.columns,
                Kind::Index | Kind::DropIndex => &mut parts.indexes,
                Kind::Constraint => &mut parts.constraints,
                Kind::AlterColumn | Kind::Rows | Kind::Other => &mut parts.others,
            };
            part.push(statement.clone());
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V7_22: Minor = Minor::new(22);

    #[test]
    fn every_step_of_every_family_is_known() {
        let all: Vec<Known> = known().collect();
        for family in Family::ALL {
            for to in Minor::all().skip(1) {
                let has_own = family_of(family, to) == family;
                let found = all
                    .iter()
                    .any(|known| known.family == family && known.to == to);
                assert_eq!(found, has_own, "{family} {to}");
            }
        }
        let lines = include_str!("script/known.txt").lines();
        assert_eq!(
            all.len(),
            lines.filter(|line| !line.starts_with('#')).count()
        );
        assert!(all.iter().all(|known| known.sha256.len() == 64));
    }

    #[test]
    fn one_step_has_two_texts() {
        let texts: Vec<&str> = known()
            .filter(|known| known.family == Family::Postgres && known.to == Minor::new(21))
            .map(|known| known.releases)
            .collect();
        assert_eq!(texts, ["7.21", "7.22-7.24"]);
    }

    #[test]
    fn a_schema_of_mariadb_goes_on_with_the_scripts_of_mysql() {
        let file = |to| path(Family::Mariadb, Minor::new(to));
        assert!(file(22).ends_with("/mariadb_engine_7.21_to_7.22.sql"));
        assert!(file(23).ends_with("/mysql_engine_7.22_to_7.23.sql"));
    }

    #[test]
    fn a_text_of_nobody_is_not_run() {
        let error = read(b"drop table ACT_RU_JOB;\n", Family::Postgres, V7_22).unwrap_err();
        assert!(matches!(error, ScriptError::Changed { .. }));
        let error = read(&vec![b' '; BYTES_MAX + 1], Family::Postgres, V7_22).unwrap_err();
        assert_eq!(error, ScriptError::TooLong(BYTES_MAX + 1));
    }
}
