//! `cargo xtask camunda-manifest`: what the Camunda plugin knows of the vendor's schema, read off real servers.
//!
//! The vendor's create scripts of every minor version run on a PostgreSQL and a MariaDB, and the servers'
//! catalogs are written down as facts, one text for each family of scripts, each object with the versions that
//! have it. Beside them stand the digests of the vendor's upgrade scripts. Nothing of the vendor's own text is
//! written.
//!
//! Beside that the oldest schema is upgraded by every script in turn. What a created schema has and this one has
//! not is what only the vendor's patch scripts bring, and is marked so.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::DatabaseKind;
use liftlock_lab::DatabaseServer;
use liftlock_lab::camunda::EngineJars;
use liftlock_lab::databases::catalog::Catalog;
use liftlock_lab::databases::catalog::Column;
use liftlock_lab::databases::catalog::Constraint;
use liftlock_lab::databases::catalog::Index;
use sha2::Digest;
use sha2::Sha256;

use crate::summary::Summary;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail where a file is not what would be written.
    #[arg(long)]
    check: bool,
}

/// A family of the vendor's scripts.
struct Family {
    name: &'static str,
    server: DatabaseKind,
    /// Whose scripts go on where its own end.
    then: Option<&'static str>,
}

/// MySQL's scripts run on MariaDB: what differs is how a catalog prints, and the lab has no MySQL.
const FAMILIES: [Family; 3] = [
    Family {
        name: "postgres",
        server: DatabaseKind::PostgreSql,
        then: None,
    },
    Family {
        name: "mysql",
        server: DatabaseKind::MariaDb,
        then: None,
    },
    Family {
        name: "mariadb",
        server: DatabaseKind::MariaDb,
        then: Some("mysql"),
    },
];

/// Where the files are, in the plugin's sources.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/camunda/src");

pub(crate) async fn run(options: &Options, summary: &mut Summary) -> anyhow::Result<()> {
    let jars = summary
        .wait("fetch the engines' jars", async {
            Ok(EngineJars::ensure().await?)
        })
        .await?;
    let mut files = vec![("script/known.txt", digests(&jars)?)];
    for (family, file) in FAMILIES.iter().zip([
        "manifest/postgres.txt",
        "manifest/mysql.txt",
        "manifest/mariadb.txt",
    ]) {
        let what = format!("schemas of `{}` on {}", family.name, family.server);
        let text = summary.wait(&what, manifest(family, &jars)).await?;
        files.push((file, text));
    }
    let mut changed = Vec::new();
    let mut bytes = 0;
    for (name, text) in files {
        let path = PathBuf::from(FOLDER).join(name);
        bytes += text.len();
        if std::fs::read_to_string(&path).ok().as_ref() == Some(&text) {
            continue;
        }
        changed.push(name);
        if !options.check {
            std::fs::write(&path, text)
                .with_context(|| format!("cannot write `{}`", path.display()))?;
        }
    }
    summary.field("bytes", bytes);
    summary.field("changed", changed.len());
    if options.check && !changed.is_empty() {
        bail!("not as written: {}", changed.join(", "));
    }
    Ok(())
}

/// One line for each text that an upgrade script has in some release: its digest and those releases.
fn digests(jars: &EngineJars) -> anyhow::Result<String> {
    let mut text = String::from(
        "# Written by `cargo xtask camunda-manifest`: the vendor's upgrade scripts by SHA-256, and the releases\n\
         # whose engine jar has that text.\n",
    );
    for family in &FAMILIES {
        for minor in EngineJars::MINORS.skip(1) {
            let mut found: BTreeMap<u32, String> = BTreeMap::new();
            for release in EngineJars::MINORS {
                if let Some(script) = jars.upgrade_script(release, family.name, minor)? {
                    found.insert(release, hex(&Sha256::digest(script)));
                }
            }
            let mut texts: Vec<&String> = found.values().collect();
            texts.dedup();
            for digest in texts {
                let releases = found
                    .iter()
                    .filter(|(_, other)| *other == digest)
                    .map(|(release, _)| *release);
                text.push_str(&format!(
                    "{} 7.{} 7.{minor} {digest} {}\n",
                    family.name,
                    minor - 1,
                    ranges(&releases.collect()).join(",")
                ));
            }
        }
    }
    Ok(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The schema of every version of a family.
async fn manifest(family: &Family, jars: &EngineJars) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let server = DatabaseServer::start(family.server, folder.path()).await?;
    let address = server.address();
    let mut found = Found::default();
    let mut upgraded = String::new();
    for minor in EngineJars::MINORS {
        let name = format!("schema_{minor}");
        match jars.create_script(minor, family.name)? {
            Some(script) => {
                address.create(&name).await?;
                address.sql(&name, &script).await?;
            }
            // The vendor has given the family up: its last schema goes on with another family's scripts.
            None => {
                address
                    .copy(&format!("schema_{}", minor - 1), &name)
                    .await?;
                let script = upgrade(jars, family, minor)?;
                address.sql(&name, &script).await?;
            }
        }
        let created = lines(&address.catalog(&name).await?)?;
        if upgraded.is_empty() {
            upgraded = format!("{name}_on");
            address.copy(&name, &upgraded).await?;
        } else {
            address
                .sql(&upgraded, &upgrade(jars, family, minor)?)
                .await?;
            let other = lines(&address.catalog(&upgraded).await?)?;
            found.by_patch.extend(created.difference(&other).cloned());
        }
        found.add(minor, created);
    }
    server.stop().await;
    println!(
        "   {} objects, {} of them only by patch scripts",
        found.objects.len(),
        found.by_patch.len()
    );
    Ok(found.written(family))
}

/// The script to a version as the newest release has it.
fn upgrade(jars: &EngineJars, family: &Family, minor: u32) -> anyhow::Result<String> {
    for name in [Some(family.name), family.then].into_iter().flatten() {
        for release in EngineJars::MINORS.rev() {
            if let Some(script) = jars.upgrade_script(release, name, minor)? {
                return String::from_utf8(script).context("a script that is no UTF-8");
            }
        }
    }
    bail!(
        "no release has the script of `{}` to 7.{minor}",
        family.name
    )
}

/// Objects as lines of the manifest, each with its table.
type Lines = BTreeSet<(String, String)>;

/// Which versions have what.
#[derive(Default)]
struct Found {
    tables: BTreeMap<String, BTreeSet<u32>>,
    objects: BTreeMap<(String, String), BTreeSet<u32>>,
    by_patch: Lines,
}

impl Found {
    fn add(&mut self, minor: u32, lines: Lines) {
        for object in lines {
            let of_table = self.tables.entry(object.0.clone()).or_default();
            of_table.insert(minor);
            self.objects.entry(object).or_default().insert(minor);
        }
    }

    fn written(&self, family: &Family) -> String {
        let mut text = format!(
            "# Written by `cargo xtask camunda-manifest`: the tables that the `{}` scripts make, as the catalog of\n\
             # {} shows them. Behind `@` the versions that have an object, where not all have it that have its table;\n\
             # `+patch` is on what no upgrade script to a minor version brings.\n",
            family.name, family.server
        );
        let every = EngineJars::MINORS.collect();
        let marked = |minors: &BTreeSet<u32>, of: &BTreeSet<u32>| {
            if minors == of {
                String::new()
            } else {
                format!(" @ {}", ranges(minors).join(","))
            }
        };
        for (table, of_table) in &self.tables {
            text.push_str(&format!("table {table}{}\n", marked(of_table, &every)));
            for (object, minors) in self.objects.iter().filter(|(key, _)| key.0 == *table) {
                let patch = if self.by_patch.contains(object) {
                    " +patch"
                } else {
                    ""
                };
                text.push_str(&format!(
                    "{}{}{patch}\n",
                    object.1,
                    marked(minors, of_table)
                ));
            }
        }
        text
    }
}

/// Each object of each table as a line of the manifest.
fn lines(catalog: &Catalog) -> anyhow::Result<Lines> {
    let mut found = Lines::new();
    let mut add = |table: &str, line: String| {
        found.insert((table.to_owned(), line));
    };
    for ((table, name), column) in &catalog.columns {
        add(table, format!("column {name} {}", told(column)));
    }
    let mut backing = BTreeSet::new();
    for (key, constraint) in &catalog.constraints {
        let (table, name) = key;
        let Constraint {
            kind,
            columns,
            references,
        } = constraint;
        let columns = columns.join(", ");
        let line = match (kind.as_str(), references) {
            ("foreign-key", Some(other)) => format!("foreign {name} ({columns}) to {other}"),
            ("primary-key", _) => format!("primary {name} ({columns})"),
            ("unique", _) => format!("unique {name} ({columns})"),
            _ => bail!("a constraint `{name}` of `{table}` that is a {kind}"),
        };
        if kind != "foreign-key" {
            match catalog.indexes.get(key) {
                Some(index) if index.unique && index.columns.join(", ") == columns => {
                    backing.insert(key);
                }
                other => bail!("`{name}` of `{table}` is backed by {other:?}"),
            }
        }
        add(table, line);
    }
    for (key, Index { columns, unique }) in &catalog.indexes {
        let (table, name) = key;
        if !backing.contains(key) {
            let word = if *unique { "unique-index" } else { "index" };
            add(table, format!("{word} {name} ({})", columns.join(", ")));
        }
    }
    Ok(found)
}

fn told(column: &Column) -> String {
    let Column {
        kind,
        nullable,
        default,
    } = column;
    let not_null = if *nullable { "" } else { " not null" };
    let default = default.as_ref().map(|text| format!(" default {text}"));
    format!("{kind}{not_null}{}", default.unwrap_or_default())
}

/// `7.5-7.9`, `7.12`: runs of versions without a gap.
fn ranges(minors: &BTreeSet<u32>) -> Vec<String> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &minor in minors {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == minor => *last = minor,
            _ => runs.push((minor, minor)),
        }
    }
    let told = |(first, last): (u32, u32)| {
        if first == last {
            format!("7.{first}")
        } else {
            format!("7.{first}-7.{last}")
        }
    };
    runs.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_makes_two_runs() {
        let minors = BTreeSet::from([5, 6, 7, 9, 11, 12]);
        assert_eq!(ranges(&minors), ["7.5-7.7", "7.9", "7.11-7.12"]);
    }

    #[test]
    fn a_key_and_its_index_are_one_line() {
        let key = ("t".to_owned(), "t_pkey".to_owned());
        let columns = vec!["id_".to_owned()];
        let mut catalog = Catalog::default();
        catalog.constraints.insert(
            key.clone(),
            Constraint {
                kind: "primary-key".into(),
                columns: columns.clone(),
                references: None,
            },
        );
        lines(&catalog).unwrap_err();
        let unique = true;
        catalog.indexes.insert(key, Index { columns, unique });
        let expected = ("t".to_owned(), "primary t_pkey (id_)".to_owned());
        assert_eq!(lines(&catalog).unwrap(), Lines::from([expected]));
    }
}
