//! An engine's libraries and scripts, and our own class that starts it.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::version::EngineVersion;
use crate::cache;
use crate::cache::Entry;
use crate::error::IoContext;
use crate::error::LabError;
use crate::java;
use crate::java::Java;

/// The class with `main`, and the endpoint that tests may switch on.
const SOURCES: [(&str, &str); 2] = [
    (
        "Node.java",
        include_str!("../../launcher/camunda/Node.java"),
    ),
    (
        "Quiesce.java",
        include_str!("../../launcher/camunda/Quiesce.java"),
    ),
];

/// Where the engine's jar has its SQL.
pub(super) const SQL_IN_JAR: &str = "org/camunda/bpm/engine/db";

/// What a node is started from.
#[derive(Clone, Debug)]
pub(crate) struct Software {
    pub(crate) java: Java,
    /// The folder with `lib` and `sql`.
    home: PathBuf,
    /// Our own classes.
    jar: PathBuf,
    version: EngineVersion,
}

impl Software {
    /// What is in the cache, fetched and compiled if need be.
    pub(crate) async fn ensure(version: EngineVersion) -> Result<Self, LabError> {
        // Spring Boot 3.2 was released for 17 to 21, 3.5 for 17 to 24.
        let java = java::find(17, 21)?;
        let home = fetch(version, &java).await?;
        let jar = compile(version, &java, &home).await?.join("node.jar");
        Ok(Self {
            java,
            home,
            jar,
            version,
        })
    }

    /// The vendor's create scripts and upgrade scripts: folders `create`, `upgrade` and others.
    pub(crate) fn sql(&self) -> PathBuf {
        self.home.join("sql")
    }

    /// The vendor's engine, with the scripts in it.
    pub(crate) fn engine(&self) -> PathBuf {
        self.home
            .join("lib")
            .join(format!("camunda-engine-{}.jar", self.version))
    }

    /// Our jar, then every library by its name: an archive of classes is good for one order only.
    pub(crate) fn class_path(&self) -> Result<String, LabError> {
        let lib = self.home.join("lib");
        let mut jars: Vec<PathBuf> = fs::read_dir(&lib)
            .doing("list", &lib)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        jars.sort();
        let all: Vec<String> = [&self.jar]
            .into_iter()
            .chain(&jars)
            .map(|jar| jar.display().to_string())
            .collect();
        Ok(all.join(":"))
    }

    /// The place of an archive of loaded classes, which saves a third of a start's work.
    ///
    /// It is good for this runtime and these jars only; another one is another place.
    pub(crate) fn archive(&self) -> Result<PathBuf, LabError> {
        let release = self.java.home.join("release");
        let runtime = fs::read_to_string(&release).unwrap_or_default();
        let class_path = self.class_path()?;
        let name = format!("camunda-archive-{}", self.version);
        let entry = Entry {
            name: &name,
            decided_by: &[&runtime, &class_path],
        };
        Ok(cache::root().join(entry.folder_name()).join("node.jsa"))
    }
}

async fn fetch(version: EngineVersion, java: &Java) -> Result<PathBuf, LabError> {
    let pom = pom(version);
    let name = format!("camunda-{version}");
    let entry = Entry {
        name: &name,
        decided_by: &[version.digest(), &pom],
    };
    cache::ensure(&cache::root(), &entry, async |scratch: &Path| {
        let lib = cache::fetch_by_pom(scratch, &pom, &name, version.digest()).await?;
        let made = scratch.join("made");
        fs::create_dir_all(&made).doing("make", &made)?;
        let engine = lib.join(format!("camunda-engine-{version}.jar"));
        cache::unzip(java, &engine, SQL_IN_JAR, scratch).await?;
        let sql = scratch.join(SQL_IN_JAR);
        fs::rename(&sql, made.join("sql")).doing("move", &sql)?;
        fs::rename(&lib, made.join("lib")).doing("move", &lib)?;
        Ok(made)
    })
    .await
}

/// The starter with REST, JDBC and health, and one driver for each database.
///
/// Against MariaDB it is MySQL's driver: that is what runs on every version alike.
fn pom(version: EngineVersion) -> String {
    let bom = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version><type>pom</type><scope>import</scope></dependency>"
        )
    };
    let boms = [
        bom(
            "org.springframework.boot",
            "spring-boot-dependencies",
            version.boot(),
        ),
        bom("org.camunda.bpm", "camunda-bom", version.name()),
    ];
    let wanted = [
        (
            "org.camunda.bpm.springboot",
            "camunda-bpm-spring-boot-starter-rest",
        ),
        ("org.springframework.boot", "spring-boot-starter-jdbc"),
        ("org.springframework.boot", "spring-boot-starter-actuator"),
        ("org.postgresql", "postgresql"),
        ("com.mysql", "mysql-connector-j"),
    ]
    .map(|(group, artifact)| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId></dependency>"
        )
    });
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>lab</groupId>\
         <artifactId>lab</artifactId><version>1</version><packaging>pom</packaging>\
         <dependencyManagement><dependencies>{}</dependencies></dependencyManagement>\
         <dependencies>{}</dependencies></project>\n",
        boms.concat(),
        wanted.concat()
    )
}

async fn compile(version: EngineVersion, java: &Java, home: &Path) -> Result<PathBuf, LabError> {
    let home_name = home.to_string_lossy();
    let name = format!("camunda-node-{version}");
    let [(_, first), (_, second)] = SOURCES;
    let entry = Entry {
        name: &name,
        decided_by: &[&home_name, first, second],
    };
    cache::ensure(&cache::root(), &entry, async |scratch: &Path| {
        let classes = scratch.join("classes");
        let class_path = format!("{}/lib/*", home.display());
        let classes_name = classes.to_string_lossy().into_owned();
        let mut arguments = vec![
            "-nowarn",
            "-proc:none",
            // Spring takes the names of parameters from the class.
            "-parameters",
            "--release",
            "17",
            "-cp",
            &class_path,
            "-d",
            &classes_name,
        ];
        for (file, text) in SOURCES {
            let path = scratch.join(file);
            fs::write(&path, text).doing("write", &path)?;
            arguments.push(file);
        }
        cache::run(&java.program("javac"), &arguments, scratch).await?;
        let made = scratch.join("made");
        fs::create_dir_all(&made).doing("make", &made)?;
        let jar = made.join("node.jar").to_string_lossy().into_owned();
        let pack = ["--create", "--file", &jar, "-C", &classes_name, "."];
        cache::run(&java.program("jar"), &pack, scratch).await?;
        Ok(made)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_the_versions_that_belong_together() {
        let pom = pom(EngineVersion::V7_23);
        assert!(pom.contains("<artifactId>camunda-bom</artifactId><version>7.23.0<"));
        assert!(pom.contains("<artifactId>spring-boot-dependencies</artifactId><version>3.4.4<"));
    }
}
