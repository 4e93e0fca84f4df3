//! Programs of npm: Node.js, and packages as a lock file names them.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache;
use crate::error::{IoContext, LabError};
use crate::java::on_path;

/// A Node.js of the machine.
pub(crate) struct Node {
    pub(crate) file: PathBuf,
    /// `v20.20.2`.
    pub(crate) version: String,
}

impl Node {
    /// The one on the search path.
    ///
    /// # Errors
    /// There is none, or `what` does not run on its major version.
    pub(crate) fn find(what: &str, majors: RangeInclusive<u32>) -> Result<Self, LabError> {
        let missing = |lacking: String| LabError::Missing {
            what: lacking,
            remedy: format!(
                "install Node.js {} to {} with npm",
                majors.start(),
                majors.end()
            ),
        };
        let file = on_path("node")
            .ok_or_else(|| missing("Node.js (`node` on the search path)".to_owned()))?;
        let told = Command::new(&file)
            .arg("--version")
            .output()
            .doing("run", &file)?;
        let version = String::from_utf8_lossy(&told.stdout).trim().to_owned();
        if !major(&version).is_some_and(|major| majors.contains(&major)) {
            return Err(missing(format!(
                "a Node.js that {what} runs on (`{}` is {version})",
                file.display()
            )));
        }
        // Behind a link there may be no headers.
        let file = file.canonicalize().doing("resolve", &file)?;
        Ok(Self { file, version })
    }
}

/// The package manager.
///
/// # Errors
/// There is none.
pub(crate) fn npm() -> Result<PathBuf, LabError> {
    on_path("npm").ok_or_else(|| LabError::Missing {
        what: "`npm` on the search path".into(),
        remedy: "install Node.js with npm".into(),
    })
}

/// Writes the files, a `package.json` and its lock file among them, into a folder and installs what they name. No
/// program of a package is run.
pub(crate) async fn install(home: &Path, files: &[(&str, &str)]) -> Result<(), LabError> {
    for (name, text) in files {
        let file = home.join(name);
        let folder = file.parent().unwrap_or(home);
        fs::create_dir_all(folder).doing("make", folder)?;
        fs::write(&file, text).doing("write", &file)?;
    }
    let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    cache::run(&npm()?, &arguments, home).await
}

fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_of_node() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("20.20.2"), None);
    }

    #[test]
    fn a_node_of_another_version_is_not_taken() {
        let Err(error) = Node::find("this test", 1..=2) else {
            panic!("there is no Node.js so old");
        };
        assert!(
            error.to_string().contains("install Node.js 1 to 2"),
            "{error}"
        );
    }
}
