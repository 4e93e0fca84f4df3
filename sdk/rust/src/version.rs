//! Product versions: ordered as semantic versions, written with one to three parts.
//!
//! ```
//! use liftlock_sdk::version::{Version, find_edge};
//! use liftlock_sdk::describe::edge;
//!
//! let version: Version = "8.7.26".parse()?;
//! assert!(version.matches("8.7") && !version.matches("8.70"));
//! assert!(version < "8.8.0".parse()?);
//! let edges = [edge("8.7", "8.8", "three deletions")];
//! assert!(find_edge(&edges, &version, &"8.8.24".parse()?).is_some());
//! # Ok::<(), liftlock_sdk::Error>(())
//! ```

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::Error;
use crate::describe::Edge;

/// A product version. A missing part counts as 0 where versions are compared.
#[derive(Debug, Clone)]
pub struct Version {
    text: String,
    parts: usize,
    number: semver::Version,
}

impl Version {
    /// The first number.
    pub fn major(&self) -> u64 {
        self.number.major
    }

    /// The second number; 0 where it is not written.
    pub fn minor(&self) -> u64 {
        self.number.minor
    }

    /// The third number; 0 where it is not written.
    pub fn patch(&self) -> u64 {
        self.number.patch
    }

    /// All three numbers are written, so that it names one release.
    pub fn is_exact(&self) -> bool {
        self.parts == 3
    }

    /// An alpha, a release candidate and the like.
    pub fn is_prerelease(&self) -> bool {
        !self.number.pre.is_empty()
    }

    /// Does it begin with these parts? `8.7.26` matches `8.7` and `8`, not `8.70`.
    pub fn matches(&self, prefix: &str) -> bool {
        self.text == prefix
            || self
                .text
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with(['.', '-', '+']))
    }

    /// `8.7` of `8.7.26`.
    pub fn minor_line(&self) -> String {
        format!("{}.{}", self.major(), self.minor())
    }

    /// The text that it was read from.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (numbers, suffix) = match text.find(['-', '+']) {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let parts = numbers.split('.').count();
        let padded = match parts {
            1 => format!("{numbers}.0.0{suffix}"),
            2 => format!("{numbers}.0{suffix}"),
            _ => text.to_owned(),
        };
        match semver::Version::parse(&padded) {
            Ok(number) => Ok(Self {
                text: text.to_owned(),
                parts,
                number,
            }),
            Err(error) => Err(Error::Invalid(format!(
                "`{}` is no version: {error}",
                text.escape_debug()
            ))),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number.cmp(&other.number)
    }
}

/// The first edge that leads from the one version to the other.
pub fn find_edge<'a>(edges: &'a [Edge], from: &Version, to: &Version) -> Option<&'a Edge> {
    edges
        .iter()
        .find(|edge| from.matches(&edge.from) && to.matches(&edge.to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn a_patch_of_two_digits_is_newer_than_one_of_one() {
        assert!(version("8.8.24") > version("8.8.8"));
        assert!(version("8.10") > version("8.9.3"));
        assert!(version("8.8.0-alpha1") < version("8.8.0"));
    }

    #[test]
    fn a_missing_part_counts_as_zero_and_is_not_exact() {
        assert_eq!(version("8.8"), version("8.8.0"));
        assert!(!version("8.8").is_exact());
        assert!(version("8.8.0").is_exact());
    }

    #[test]
    fn a_prefix_ends_at_a_part() {
        assert!(version("8.7.26").matches("8.7"));
        assert!(version("8.7.0-rc1").matches("8.7.0"));
        assert!(!version("8.70.1").matches("8.7"));
        assert!(!version("8.7").matches("8.7.0"));
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for bad in ["", "8.", "v8.7", "8.7.0.1", "8.x", "08.1", "8 .7"] {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
    }
}
