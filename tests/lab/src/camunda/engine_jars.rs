//! The engine's jar of every minor version, alone: for the scripts in it.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::schema;
use crate::cache;
use crate::cache::Entry;
use crate::error::IoContext;
use crate::error::LabError;
use crate::java;

/// Of the sorted list of all jars, in the form of `sha256sum`.
const DIGEST: &str = "4c9094eec21ca666b9119f8b73c8355ef04e52f9395025085023db84003c01c8";

/// Every first release of a minor version, from the oldest that can be upgraded node by node to the last.
///
/// The jars are fetched once, by Maven, and nothing that they depend on comes along.
#[derive(Clone, Debug)]
pub struct EngineJars {
    /// The folder with `jars` and, for each minor version, `sql/7.N`.
    home: PathBuf,
}

impl EngineJars {
    /// Minor versions of major version 7, oldest first.
    pub const MINORS: std::ops::RangeInclusive<u32> = 5..=24;

    /// What is in the cache, fetched if need be.
    pub async fn ensure() -> Result<Self, LabError> {
        let java = java::find(17, 21)?;
        let pom = pom();
        let entry = Entry {
            name: "camunda-engine-jars",
            decided_by: &[DIGEST, &pom],
        };
        let home = cache::ensure(&cache::root(), &entry, async |scratch: &Path| {
            let jars = cache::fetch_copies(scratch, &pom, "the engines' jars", DIGEST).await?;
            let made = scratch.join("made");
            let sql = made.join("sql");
            fs::create_dir_all(&sql).doing("make", &sql)?;
            for minor in Self::MINORS {
                let at = scratch.join(format!("of-{minor}"));
                fs::create_dir_all(&at).doing("make", &at)?;
                cache::unzip(
                    &java,
                    &jars.join(jar_name(minor)),
                    super::software::SQL_IN_JAR,
                    &at,
                )
                .await?;
                let from = at.join(super::software::SQL_IN_JAR);
                fs::rename(&from, sql.join(format!("7.{minor}"))).doing("move", &from)?;
            }
            fs::rename(&jars, made.join("jars")).doing("move", &jars)?;
            Ok(made)
        })
        .await?;
        Ok(Self { home })
    }

    /// The jar of a minor version.
    pub fn jar(&self, minor: u32) -> PathBuf {
        self.home.join("jars").join(jar_name(minor))
    }

    /// All create scripts of a family (`postgres`, `mysql`, `mariadb`) in one; none where the vendor has none.
    pub fn create_script(&self, minor: u32, family: &str) -> Result<Option<String>, LabError> {
        let folder = self.sql(minor).join("create");
        if !schema::has_family(&folder, family) {
            return Ok(None);
        }
        schema::script(&folder, family).map(Some)
    }

    /// The script to `minor` from the one before it, out of one release's jar. Jars before 7.11 have none.
    pub fn upgrade_script(
        &self,
        of_release: u32,
        family: &str,
        minor: u32,
    ) -> Result<Option<Vec<u8>>, LabError> {
        let name = format!(
            "{family}_engine_7.{}_to_7.{minor}.sql",
            minor.saturating_sub(1)
        );
        let file = self.sql(of_release).join("upgrade").join(name);
        if !file.is_file() {
            return Ok(None);
        }
        fs::read(&file).doing("read", &file).map(Some)
    }

    fn sql(&self, minor: u32) -> PathBuf {
        self.home.join("sql").join(format!("7.{minor}"))
    }
}

fn jar_name(minor: u32) -> String {
    format!("camunda-engine-7.{minor}.0.jar")
}

/// A project that needs nothing; its one plugin copies jars, of which several may be of one name.
fn pom() -> String {
    let items: String = EngineJars::MINORS
        .map(|minor| {
            format!(
                "<artifactItem><groupId>org.camunda.bpm</groupId>\
                 <artifactId>camunda-engine</artifactId><version>7.{minor}.0</version></artifactItem>"
            )
        })
        .collect();
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>lab</groupId>\
         <artifactId>lab</artifactId><version>1</version><packaging>pom</packaging>\
         <build><plugins><plugin><groupId>org.apache.maven.plugins</groupId>\
         <artifactId>maven-dependency-plugin</artifactId><configuration>\
         <outputDirectory>lib</outputDirectory><artifactItems>{items}</artifactItems>\
         </configuration></plugin></plugins></build></project>\n"
    )
}
