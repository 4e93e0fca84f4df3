//! The vendor's create scripts, run out of the engine's jar in the cache.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::software::Software;
use super::version::EngineVersion;
use crate::databases::DatabaseAddress;
use crate::databases::DatabaseKind;
use crate::error::IoContext;
use crate::error::LabError;

/// The parts of a schema, in the order in which they were seen to work.
const PARTS: [&str; 7] = [
    "engine",
    "history",
    "identity",
    "case.engine",
    "case.history",
    "decision.engine",
    "decision.history",
];

/// Makes the whole schema of a version in an empty database.
///
/// On PostgreSQL all of it or nothing; on MariaDB an error leaves what was made before.
pub async fn create(
    database: &DatabaseAddress,
    name: &str,
    version: EngineVersion,
) -> Result<(), LabError> {
    let folder = Software::ensure(version).await?.sql().join("create");
    let mut all = script(&folder, family(database.kind(), version))?;
    if database.kind() == DatabaseKind::PostgreSql {
        all = format!("begin;\n{all}\ncommit;\n");
    }
    database.sql(name, &all).await.map(drop)
}

/// All create scripts of a family in one, from a folder of a release.
pub(super) fn script(folder: &Path, family: &str) -> Result<String, LabError> {
    let mut all = String::new();
    for part in PARTS {
        let file = file(folder, family, part);
        all.push_str(&fs::read_to_string(&file).doing("read", &file)?);
        all.push('\n');
    }
    Ok(all)
}

/// Whether a release has create scripts of a family.
pub(super) fn has_family(folder: &Path, family: &str) -> bool {
    PARTS
        .iter()
        .all(|part| file(folder, family, part).is_file())
}

fn file(folder: &Path, family: &str, part: &str) -> PathBuf {
    folder.join(format!("activiti.{family}.create.{part}.sql"))
}

/// The folder with a version's own scripts: `create`, `upgrade` (from every minor to the next one),
/// `drop` and `liquibase`. Fetched if need be.
pub async fn scripts(version: EngineVersion) -> Result<PathBuf, LabError> {
    Ok(Software::ensure(version).await?.sql())
}

/// The vendor's jar of a version's engine, as it was fetched.
pub async fn engine_jar(version: EngineVersion) -> Result<PathBuf, LabError> {
    Ok(Software::ensure(version).await?.engine())
}

/// Whose scripts they are. MariaDB's own have other types than MySQL's: a schema stays with one.
fn family(kind: DatabaseKind, version: EngineVersion) -> &'static str {
    match kind {
        DatabaseKind::PostgreSql => "postgres",
        DatabaseKind::MariaDb if version.has_mariadb_scripts() => "mariadb",
        DatabaseKind::MariaDb => "mysql",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_mysql_scripts_where_the_vendor_has_none_for_mariadb() {
        let of = |version| family(DatabaseKind::MariaDb, version);
        assert_eq!(of(EngineVersion::V7_22), "mariadb");
        assert_eq!(of(EngineVersion::V7_23), "mysql");
    }
}
