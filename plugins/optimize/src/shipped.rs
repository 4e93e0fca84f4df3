//! The distribution of the new release, where its directory is bound: which release it is, and what the old
//! installation's configuration has to be carried into.

use liftlock_sdk::prelude::*;

use crate::descriptor::{CONFIG, CONFIG_FILES};
use crate::plan::Writer;
use crate::seen::Seen;

/// The directory of the new distribution, as unpacked.
pub(crate) const DISTRIBUTION: &str = "disk.distribution";

/// The directory in it that holds [`CONFIG_FILES`].
pub(crate) const CONFIG_DIR: &str = "config";

/// Directories whose file names are looked through for the release; empty: the distribution's own.
const NAMED_IN: [&str; 3] = ["", "lib", "upgrade"];

/// A distribution that is bound.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shipped {
    /// What its files say; none where they say nothing, or more than one thing.
    pub(crate) version: Option<Version>,
    /// Configuration files that lie in it, with their hashes.
    pub(crate) config: Vec<(String, String)>,
}

impl Shipped {
    pub(crate) fn gather(site: &Site) -> Result<Option<Self>> {
        if !site.has(DISTRIBUTION) {
            return Ok(None);
        }
        let top = Directory::open(site, DISTRIBUTION)?;
        let mut versions: Vec<Version> = Vec::new();
        for name in NAMED_IN {
            let entries = if name.is_empty() {
                Some(top.entries()?)
            } else {
                match top.open_directory(name).found()? {
                    Some(directory) => Some(directory.entries()?),
                    None => None,
                }
            };
            for entry in entries.into_iter().flatten() {
                let version = release_in(&entry.name);
                if let Some(version) = version.filter(|version| !versions.contains(version)) {
                    versions.push(version);
                }
            }
        }
        let mut config = Vec::new();
        if let Some(directory) = top.open_directory(CONFIG_DIR).found()? {
            for name in CONFIG_FILES {
                if let Some(sha256) = directory.sha256(name).found()? {
                    config.push(((*name).to_owned(), sha256));
                }
            }
        }
        Ok(Some(Self {
            version: versions.pop().filter(|_| versions.is_empty()),
            config,
        }))
    }

    /// Of a configuration file that lies in it.
    pub(crate) fn hash_of(&self, name: &str) -> Option<&str> {
        let (_, sha256) = self.config.iter().find(|(known, _)| known == name)?;
        Some(sha256)
    }
}

/// `8.8.0` of `optimize-backend-8.8.0.jar`.
fn release_in(name: &str) -> Option<Version> {
    let (front, version) = name.strip_suffix(".jar")?.rsplit_once('-')?;
    if !front.contains("optimize") {
        return None;
    }
    version
        .parse()
        .ok()
        .filter(|version: &Version| version.is_exact() && !version.is_prerelease())
}

/// What becomes of one configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carry {
    /// The same lies there already.
    Same,
    /// Nothing lies there.
    Copy,
    /// What came with the distribution is in its place.
    Replace,
    /// What lies there may be the operator's work for the new release.
    Leave,
}

fn carry(name: &str, old: &str, new: Option<&str>) -> Carry {
    match new {
        None => Carry::Copy,
        Some(new) if new == old => Carry::Same,
        Some(_) if name.contains("logback") => Carry::Replace,
        Some(_) => Carry::Leave,
    }
}

/// What the operator has to know of a configuration that is not carried.
pub(crate) fn check(
    seen: &Seen,
    site: &Site,
    shipped: &Shipped,
    found: &mut Vec<Finding>,
) -> Result<()> {
    for (name, _) in left(seen, site, shipped)? {
        found.push(
            Finding::info("optimize.config-differs")
                .subject(&name)
                .what("the new distribution holds another one than the old installation")
                .why("it may be prepared for the new release, so it is left as it is; the old one is kept")
                .remedy("compare the two before the new release is started"),
        );
    }
    Ok(())
}

fn left(seen: &Seen, site: &Site, shipped: &Shipped) -> Result<Vec<(String, String)>> {
    let mut left = Vec::new();
    if seen.config.is_some() {
        let old = Directory::open(site, CONFIG)?;
        for name in seen.config.iter().flatten() {
            if let Some(sha256) = old.sha256(name).found()?
                && carry(name, &sha256, shipped.hash_of(name)) == Carry::Leave
            {
                left.push((name.clone(), sha256));
            }
        }
    }
    Ok(left)
}

impl Writer<'_> {
    /// Brings the old installation's configuration into the new one. Taken back by a rollback.
    pub(crate) fn carry_config(&self, shipped: Option<&Shipped>) -> Result<()> {
        let (Some(shipped), Some(files)) = (shipped, &self.seen.config) else {
            return Ok(());
        };
        let old = Directory::open(self.site, CONFIG)?;
        let top = Directory::open(self.site, DISTRIBUTION)?;
        let Some(new) = top.open_directory(CONFIG_DIR).found()? else {
            return Ok(());
        };
        for name in files {
            let id = name.replace('.', "-");
            let there = shipped.hash_of(name);
            let Some(sha256) = old.sha256(name).found()? else {
                continue;
            };
            let what = carry(name, &sha256, there);
            if let (Carry::Replace, Some(there)) = (what, there) {
                self.plan
                    .step(
                        format!("drop-shipped-{id}"),
                        Phase::Expand,
                        &format!("take the {name} away that came with the distribution"),
                    )
                    .because("the operator's own takes its place; a copy of this one is kept")
                    .does(new.remove(name, there))
                    .add()?;
            }
            if matches!(what, Carry::Replace | Carry::Copy) {
                self.plan
                    .step(
                        format!("carry-{id}"),
                        Phase::Expand,
                        &format!("carry {name} into the new distribution"),
                    )
                    .because("the new installation goes on with the operator's own")
                    .does(old.copy_to(name, &new, name))
                    .add()?;
            }
        }
        Ok(())
    }
}

/// What the distribution is asked for.
pub(crate) fn request() -> Request {
    let files: Vec<String> = CONFIG_FILES
        .iter()
        .map(|name| format!("{CONFIG_DIR}/{name}"))
        .collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let mut read = vec!["./", "lib/", "upgrade/", "config/"];
    read.extend(&files);
    describe::optional(
        DISTRIBUTION,
        "the new distribution, as unpacked: with it the vendor's own upgrader can do the steps",
    )
    .verb(
        "disk.read",
        &read,
        "names of files, which say the release; hashes of the configuration in it, and which prefix and database the \
         vendor's upgrader reads there",
    )
    .verb_at_most(
        "disk.copy",
        &files,
        CONFIG_FILES.len() as u32,
        "the old installation's configuration goes there",
    )
    .verb_at_most(
        "disk.remove",
        &[files[files.len() - 1]],
        1,
        "the logback configuration that came with the distribution, where the operator has an own one",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_stands_in_the_names_of_the_vendors_jars() {
        let release = |name: &str| release_in(name).map(|version| version.to_string());
        assert_eq!(
            release("optimize-backend-8.8.0.jar").as_deref(),
            Some("8.8.0")
        );
        assert_eq!(
            release("upgrade-optimize-8.8.24.jar").as_deref(),
            Some("8.8.24")
        );
        for other in [
            "commons-io-2.1.0.jar",
            "optimize-backend-8.8.0.zip",
            "optimize-backend-8.8.jar",
            "optimize-8.8.0-rc1.jar",
            "optimize.jar",
        ] {
            assert_eq!(release(other), None, "{other}");
        }
    }

    #[test]
    fn logback_is_carried_and_a_prepared_configuration_is_left() {
        let (logback, config) = ("environment-logback.xml", "environment-config.yaml");
        assert_eq!(carry(logback, "a", Some("b")), Carry::Replace);
        assert_eq!(carry(logback, "a", Some("a")), Carry::Same);
        assert_eq!(carry(logback, "a", None), Carry::Copy);
        assert_eq!(carry(config, "a", Some("b")), Carry::Leave);
        assert_eq!(carry(config, "a", None), Carry::Copy);
    }
}
