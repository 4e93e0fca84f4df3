//! Finding a JDK of the right version without being told where it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::error::LabError;

/// A JDK (with compiler and `jar`) or a plain runtime.
#[derive(Clone, Debug)]
pub(crate) struct Java {
    pub(crate) home: PathBuf,
    pub(crate) major: u32,
}

impl Java {
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.home.join("bin").join(name)
    }
}

/// The oldest JDK between two major versions, both included.
///
/// Oldest, because that is the one the servers' own releases were tested with.
pub(crate) fn find(oldest: u32, newest: u32) -> Result<Java, LabError> {
    let mut seen: Vec<Java> = homes().into_iter().filter_map(ask).collect();
    seen.sort_by_key(|java| java.major);
    if let Some(java) = seen
        .iter()
        .find(|java| (oldest..=newest).contains(&java.major))
    {
        return Ok(java.clone());
    }
    let found: Vec<String> = seen
        .iter()
        .map(|java| format!("{} in `{}`", java.major, java.home.display()))
        .collect();
    Err(LabError::Missing {
        what: format!(
            "a JDK of version {oldest} to {newest} (found: {})",
            if found.is_empty() {
                "none".to_owned()
            } else {
                found.join(", ")
            }
        ),
        remedy: if oldest <= 17 {
            "install one (`apt-get install openjdk-17-jdk-headless`) or set JAVA_HOME".to_owned()
        } else {
            format!(
                "install one (Eclipse Temurin 25, or `apt-get install openjdk-{oldest}-jdk-headless` \
                 where the distribution has it) or set LIFTLOCK_JAVA_25 to its home"
            )
        },
    })
}

/// Where JDKs usually are; the same home is listed once.
fn homes() -> BTreeSet<PathBuf> {
    let named = ["JAVA_HOME", "LIFTLOCK_JAVA_25"]
        .iter()
        .filter_map(std::env::var_os)
        .map(PathBuf::from);
    let installed = fs::read_dir("/usr/lib/jvm")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    let on_path = on_path("java").and_then(|java| {
        let real = java.canonicalize().ok()?;
        Some(real.parent()?.parent()?.to_owned())
    });
    named
        .chain(installed)
        .chain(on_path)
        .filter(|home| home.join("bin/java").exists())
        .filter_map(|home| home.canonicalize().ok())
        .collect()
}

/// Asks a home for its version; none unless it has the compiler and the archiver as well.
fn ask(home: PathBuf) -> Option<Java> {
    if !home.join("bin/javac").exists() || !home.join("bin/jar").exists() {
        return None;
    }
    let answer = Command::new(home.join("bin/java"))
        .arg("-version")
        .output()
        .ok()?;
    let major = major(&String::from_utf8_lossy(&answer.stderr))?;
    Some(Java { home, major })
}

/// `openjdk version "17.0.15" 2025-04-15` and `"1.8.0_402"` alike.
fn major(banner: &str) -> Option<u32> {
    let version = banner.split('"').nth(1)?;
    let mut parts = version.split(['.', '-', '+']);
    match parts.next()?.parse().ok()? {
        1 => parts.next()?.parse().ok(),
        major => Some(major),
    }
}

/// A program on the search path.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|file: &PathBuf| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_major_version_of_old_and_new_banners() {
        assert_eq!(major("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(major("openjdk version \"25\" 2025-09-16 LTS"), Some(25));
        assert_eq!(major("openjdk version \"26-ea\""), Some(26));
        assert_eq!(major("java version \"1.8.0_402\""), Some(8));
        assert_eq!(major("sh: not found"), None);
    }

    #[test]
    fn says_what_lacks_and_how_to_get_it() {
        let error = find(900, 901).unwrap_err().to_string();
        assert!(error.contains("a JDK of version 900 to 901"), "{error}");
        assert!(error.contains("LIFTLOCK_JAVA_25"), "{error}");
    }
}
