//! What the schema's own log says of its version.
//!
//! The engine writes no version that could be trusted: `schema.version` in `ACT_GE_PROPERTY` is `fox` in every
//! release. What scripts leave is a row each in `ACT_GE_SCHEMA_LOG`, whose id is a number that is written as text.
//! The row is the first thing that a script writes, so that it says where a script began, never that it ended: what
//! is there is told by the catalog (`standing`).

use std::fmt;

use crate::version::Minor;

/// The table. Where it lacks, the schema is older than 7.11.
pub const TABLE: &str = "ACT_GE_SCHEMA_LOG";

/// The last minor version without the log.
pub const LAST_WITHOUT: Minor = Minor::new(10);

/// Ids of one minor version begin at a multiple of it: 7.12 at 100, 7.24 at 1300; patch scripts count on from there.
const IDS_OF_A_MINOR: u32 = 100;

/// The first id that no release of Camunda has: its forks count on with it, each for itself.
const FIRST_OF_A_FORK: u32 = 1400;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `ID_`.
    pub id: String,
    /// `VERSION_`.
    pub version: String,
}

/// Whose schema it is that has gone beyond Camunda's last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// Operaton, which has 7.25.0 under the id 1400.
    Operaton,
    /// CIB seven, which has its own 2.1.0 under 1400, and goes on with 1500.
    CibSeven,
    /// An id of a fork with a version that neither has.
    Unknown,
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operaton => "Operaton",
            Self::CibSeven => "CIB seven",
            Self::Unknown => "an unknown fork",
        })
    }
}

/// What the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// No log: 7.10 or older.
    AtMost(Minor),
    /// The last script that began, or the release that made the schema.
    Camunda {
        /// Its minor version.
        minor: Minor,
        /// Its id.
        id: u32,
        /// As it stands there: `7.22.0`, of a patch script `7.13.5_1`.
        version: String,
    },
    /// The schema is another product's.
    Fork {
        /// Whose.
        fork: Fork,
        /// As it stands there.
        version: String,
    },
}

/// A log that says nothing that can be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Rows were deleted, or a script stopped between making the table and filling it.
    #[error("the schema log has no row")]
    Empty,
    /// Not of the vendor's making.
    #[error("the schema log has a row with the id `{}`, which is no number", .0.escape_debug())]
    NoNumber(String),
    /// Id and version belong to different releases.
    #[error("the schema log's row {id} says `{}`, and {id} is an id of {minor}", version.escape_debug())]
    Contradiction {
        /// The row's id.
        id: u32,
        /// What it says.
        version: String,
        /// What it should be of.
        minor: Minor,
    },
}

impl LogError {
    /// The finding that explains it.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Empty => "camunda.row-missing",
            Self::NoNumber(_) | Self::Contradiction { .. } => "camunda.log-contradicts",
        }
    }
}

/// Reads the rows; none for a database without the table.
///
/// The highest id counts, as a number: as text `900` is above `1300`, and times are equal where scripts ran within a
/// second.
pub fn read(rows: Option<&[Row]>) -> Result<Told, LogError> {
    let Some(rows) = rows else {
        return Ok(Told::AtMost(LAST_WITHOUT));
    };
    let mut numbered = Vec::new();
    for row in rows {
        let id: u32 = row
            .id
            .parse()
            .map_err(|_| LogError::NoNumber(row.id.clone()))?;
        numbered.push((id, row));
    }
    let (id, row) = numbered
        .into_iter()
        .max_by_key(|(id, _)| *id)
        .ok_or(LogError::Empty)?;
    let version = row.version.clone();
    if let Some(fork) = fork_of(id, &version) {
        return Ok(Told::Fork { fork, version });
    }
    let said = minor_of(&version);
    // A schema that was made and never upgraded has one row, 0, whatever its version.
    let by_id = (id >= IDS_OF_A_MINOR).then(|| Minor::new(11 + id / IDS_OF_A_MINOR));
    let of_patches = (id > 0 && id < IDS_OF_A_MINOR).then(|| Minor::new(11));
    match (said, by_id.or(of_patches)) {
        (Some(minor), None) => Ok(Told::Camunda { minor, id, version }),
        (Some(minor), Some(expected)) if minor == expected => {
            Ok(Told::Camunda { minor, id, version })
        }
        (_, expected) => Err(LogError::Contradiction {
            id,
            version,
            minor: expected.unwrap_or(Minor::new(11)),
        }),
    }
}

/// Whose a row is, if it is no row of Camunda's.
fn fork_of(id: u32, version: &str) -> Option<Fork> {
    let by_version = match version {
        "7.25.0" => Some(Fork::Operaton),
        _ if version.starts_with("2.") => Some(Fork::CibSeven),
        _ if minor_of(version).is_some_and(|minor| minor > Minor::NEWEST) => Some(Fork::Unknown),
        _ => None,
    };
    match id {
        // A schema that a fork's own release made.
        0 => by_version,
        FIRST_OF_A_FORK => Some(by_version.unwrap_or(Fork::Unknown)),
        _ if id > FIRST_OF_A_FORK => Some(Fork::CibSeven),
        _ => None,
    }
}

/// `7.13` of `7.13.5_1`.
fn minor_of(version: &str) -> Option<Minor> {
    let (minor, _patch) = version.rsplit_once('.')?;
    minor.parse().ok()
}

/// The id that the script to a minor version writes; none for the scripts that are older than the log.
pub fn id_of(to: Minor) -> Option<u32> {
    Some(to.number().checked_sub(11)? * IDS_OF_A_MINOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(&str, &str)]) -> Result<Told, LogError> {
        let rows: Vec<Row> = rows
            .iter()
            .map(|(id, version)| Row {
                id: (*id).into(),
                version: (*version).into(),
            })
            .collect();
        read(Some(&rows))
    }

    fn camunda(minor: u32, id: u32, version: &str) -> Result<Told, LogError> {
        Ok(Told::Camunda {
            minor: Minor::new(minor),
            id,
            version: version.into(),
        })
    }

    #[test]
    fn ids_are_numbers() {
        let found = rows(&[
            ("0", "7.18.0"),
            ("900", "7.20.0"),
            ("1300", "7.24.0"),
            ("1000", "7.21.0"),
        ]);
        assert_eq!(found, camunda(24, 1300, "7.24.0"));
    }

    #[test]
    fn a_schema_that_was_made_and_never_upgraded_has_the_row_0() {
        assert_eq!(rows(&[("0", "7.22.0")]), camunda(22, 0, "7.22.0"));
        assert_eq!(rows(&[("0", "7.11.0")]), camunda(11, 0, "7.11.0"));
    }

    #[test]
    fn rows_of_patch_scripts_count() {
        assert_eq!(
            rows(&[("0", "7.11.0"), ("3", "7.11.19")]),
            camunda(11, 3, "7.11.19")
        );
        assert_eq!(
            rows(&[("200", "7.13.0"), ("201", "7.13.5_1"), ("203", "7.13.6")]),
            camunda(13, 203, "7.13.6")
        );
    }

    #[test]
    fn without_the_table_it_is_7_10_or_older() {
        assert_eq!(read(None), Ok(Told::AtMost(Minor::new(10))));
        assert_eq!(rows(&[]), Err(LogError::Empty));
    }

    #[test]
    fn tells_forks_apart() {
        let fork = |id: &str, version: &str| match rows(&[("0", "7.24.0"), (id, version)]) {
            Ok(Told::Fork { fork, .. }) => Some(fork),
            _ => None,
        };
        assert_eq!(fork("1400", "7.25.0"), Some(Fork::Operaton));
        assert_eq!(fork("1400", "2.1.0"), Some(Fork::CibSeven));
        assert_eq!(fork("1400", "9.9.9"), Some(Fork::Unknown));
        assert_eq!(fork("1600", "2.3.0"), Some(Fork::CibSeven));
        assert_eq!(fork("1300", "7.24.0"), None);
        let made = |version: &str| rows(&[("0", version)]);
        assert!(matches!(
            made("7.25.0"),
            Ok(Told::Fork {
                fork: Fork::Operaton,
                ..
            })
        ));
        assert!(matches!(
            made("2.2.0"),
            Ok(Told::Fork {
                fork: Fork::CibSeven,
                ..
            })
        ));
        assert!(matches!(
            made("7.26.0"),
            Ok(Told::Fork {
                fork: Fork::Unknown,
                ..
            })
        ));
    }

    #[test]
    fn believes_nothing_that_contradicts_itself() {
        let error = rows(&[("0", "7.22.0"), ("1200", "7.24.0")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the schema log's row 1200 says `7.24.0`, and 1200 is an id of 7.23"
        );
        assert!(rows(&[("100", "7.23.0")]).is_err());
        assert!(rows(&[("1200", "x")]).is_err());
        assert!(rows(&[("0", "x")]).is_err());
        assert_eq!(
            rows(&[("a", "7.22.0")]),
            Err(LogError::NoNumber("a".into()))
        );
        assert!(matches!(
            rows(&[("-1", "7.22.0")]),
            Err(LogError::NoNumber(_))
        ));
    }

    #[test]
    fn knows_what_each_script_writes() {
        assert_eq!(id_of(Minor::new(10)), None);
        assert_eq!(id_of(Minor::new(11)), Some(0));
        assert_eq!(id_of(Minor::new(12)), Some(100));
        assert_eq!(id_of(Minor::new(24)), Some(1300));
    }
}
