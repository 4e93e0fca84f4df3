//! The script out of what the operator bound: the engine's jar, or the folder of scripts that was unpacked from it.

use liftlock_sdk::prelude::*;

use crate::catalog::Family;
use crate::descriptor::ENGINE;
use crate::jar::{self, JarError};
use crate::script::{self, Script, ScriptError};
use crate::version::Minor;

/// Most bytes of one read, as the contract has it.
const READ_BYTES_MAX: usize = 1 << 20;

/// Why the script to a version cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoScript {
    /// The host's answer.
    #[error("cannot read the directory with the vendor's scripts: {0:?}")]
    Read(Error),
    /// It is not there.
    #[error("`{ENGINE}` has neither a jar `camunda-engine-7.N.P.jar` nor a file `{0}`")]
    NoFile(String),
    /// There is more than one that it could be in.
    #[error("`{ENGINE}` has {0} jars of engines, and none is of the target's version")]
    SeveralJars(usize),
    /// The jar does not give it.
    #[error("`{jar}`: {why}")]
    Jar {
        /// Its name.
        jar: String,
        /// What is wrong with it.
        why: JarError<Error>,
    },
    /// It is another.
    #[error("`{file}`: {why}")]
    Script {
        /// Its name.
        file: String,
        /// What is wrong with it.
        why: ScriptError,
    },
}

impl NoScript {
    /// The finding that explains it.
    pub(crate) fn id(&self) -> &'static str {
        match self {
            Self::Read(_) | Self::NoFile(_) | Self::SeveralJars(_) => "camunda.script-missing",
            Self::Jar { why, .. } => why.id().unwrap_or("camunda.script-missing"),
            Self::Script { why, .. } => why.id(),
        }
    }
}

/// The vendor's script of a schema's family to a version.
///
/// From the file of its name where one lies there, else out of the engine's jar. Where it lies decides nothing: what is
/// run has a digest that is known.
pub(crate) fn script(
    site: &Site,
    family: Family,
    to: Minor,
) -> std::result::Result<Script, NoScript> {
    let path = script::path(family, to);
    let file = path.rsplit('/').next().unwrap_or_default().to_owned();
    let directory = Directory::open(site, ENGINE).map_err(NoScript::Read)?;
    let entries = directory.entries().map_err(NoScript::Read)?;
    let read = |file: String, text: Vec<u8>| {
        script::read(&text, family, to).map_err(|why| NoScript::Script { file, why })
    };
    if entries.iter().any(|entry| entry.name == file) {
        let length = u32::try_from(script::BYTES_MAX + 1).unwrap_or(u32::MAX);
        let text = directory.read(&file, 0, length).map_err(NoScript::Read)?;
        return read(file, text);
    }
    let jars: Vec<(&str, u64)> = entries
        .iter()
        .filter(|entry| minor_of(&entry.name).is_some())
        .map(|entry| (entry.name.as_str(), entry.bytes))
        .collect();
    let (jar, bytes) = match jars.as_slice() {
        [] => return Err(NoScript::NoFile(file)),
        [only] => *only,
        several => *several
            .iter()
            .find(|(name, _)| minor_of(name) == Some(to))
            .ok_or(NoScript::SeveralJars(several.len()))?,
    };
    let mut part = |offset: u64, length: usize| bytes_of(&directory, jar, offset, length);
    let text = jar::read_file(&mut part, bytes, &path, script::BYTES_MAX).map_err(|why| {
        NoScript::Jar {
            jar: jar.to_owned(),
            why,
        }
    })?;
    read(format!("{jar}!{path}"), text)
}

/// The minor version of an engine's jar: `camunda-engine-7.23.0.jar`, `camunda-engine-7.22.3-ee.jar`. Other jars begin
/// alike, `camunda-engine-rest-core-7.23.0.jar`.
fn minor_of(name: &str) -> Option<Minor> {
    let release = name
        .strip_prefix("camunda-engine-")?
        .strip_suffix(".jar")?
        .parse::<crate::version::Release>()
        .ok()?;
    Some(release.minor)
}

/// Exactly so many bytes, in reads that the host takes.
fn bytes_of(directory: &Directory, file: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let wanted = (length - bytes.len()).min(READ_BYTES_MAX);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let part = directory.read_bytes(file, offset + bytes.len() as u64, wanted)?;
        if part.is_empty() {
            return Err(Error::Invalid(format!(
                "`{file}` became shorter while it was read"
            )));
        }
        bytes.extend(part);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engines_jar_is_told_from_its_neighbours() {
        assert_eq!(minor_of("camunda-engine-7.23.0.jar"), Some(Minor::new(23)));
        assert_eq!(
            minor_of("camunda-engine-7.22.3-ee.jar"),
            Some(Minor::new(22))
        );
        for other in [
            "camunda-engine-rest-core-7.23.0.jar",
            "camunda-engine-7.23.0.jar.bak",
            "camunda-engine-.jar",
            "camunda-bpm-7.23.0.jar",
        ] {
            assert_eq!(minor_of(other), None, "{other}");
        }
    }
}
