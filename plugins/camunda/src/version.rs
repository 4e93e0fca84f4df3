//! Versions of Camunda 7.

use std::fmt;
use std::str::FromStr;

/// A minor version, `7.22`: what a schema is of, and what a rolling upgrade goes between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minor(u32);

impl Minor {
    /// The first from which nodes can be upgraded one by one. To 7.5 itself a cluster has to stop: engines of 7.4
    /// and 7.5 on one database corrupt executions (the vendor's guide to 7.5).
    pub const OLDEST: Self = Self(5);

    /// The last of the product.
    pub const NEWEST: Self = Self(24);

    /// `7.number`.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number behind `7.`.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Every one that this plugin knows, oldest first.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (Self::OLDEST.0..=Self::NEWEST.0).map(Self)
    }

    /// Whether this plugin knows it.
    pub fn is_known(self) -> bool {
        (Self::OLDEST..=Self::NEWEST).contains(&self)
    }

    /// The one after it, among those that are known.
    pub fn next(self) -> Option<Self> {
        Some(Self(self.0.checked_add(1)?)).filter(|minor| minor.is_known())
    }

    /// The one before it, among those that are known.
    pub fn previous(self) -> Option<Self> {
        Some(Self(self.0.checked_sub(1)?)).filter(|minor| minor.is_known())
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "7.{}", self.0)
    }
}

impl FromStr for Minor {
    type Err = NoRelease;

    fn from_str(text: &str) -> Result<Self, NoRelease> {
        text.strip_prefix("7.")
            .and_then(number)
            .map(Self)
            .ok_or_else(|| NoRelease(text.to_owned()))
    }
}

/// A text that names no release of Camunda 7.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no release of Camunda 7; one is written `7.22.0`, `7.22.3-ee`", .0.escape_debug())]
pub struct NoRelease(pub String);

/// One release, as a node says it: `7.22.0`, `7.22.3-ee`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    /// Its minor version.
    pub minor: Minor,
    /// The patch number.
    pub patch: u32,
    /// Of the Enterprise edition, the only one that has patches.
    pub enterprise: bool,
}

impl Release {
    /// The latest patch of its minor version, if that can be told: the vendor wants every node on it before the next
    /// minor version. The Community edition has the first release only; of the other one the operator knows it.
    pub fn is_latest(&self, latest: Option<u32>) -> Option<bool> {
        match (self.enterprise, latest) {
            (false, _) => Some(true),
            (true, Some(latest)) => Some(self.patch >= latest),
            (true, None) => None,
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edition = if self.enterprise { "-ee" } else { "" };
        write!(f, "{}.{}{edition}", self.minor, self.patch)
    }
}

impl FromStr for Release {
    type Err = NoRelease;

    /// Takes all three numbers and no other suffix than `-ee`: alphas and snapshots have no upgrade path.
    fn from_str(text: &str) -> Result<Self, NoRelease> {
        let (numbers, enterprise) = match text.strip_suffix("-ee") {
            Some(numbers) => (numbers, true),
            None => (text, false),
        };
        let release = || {
            let (minor, patch) = numbers.rsplit_once('.')?;
            Some(Self {
                minor: minor.parse().ok()?,
                patch: number(patch)?,
                enterprise,
            })
        };
        release().ok_or_else(|| NoRelease(text.to_owned()))
    }
}

/// Digits only: `+3` and `` are none.
fn number(text: &str) -> Option<u32> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        text.parse().unwrap()
    }

    #[test]
    fn reads_what_a_node_says_of_itself() {
        for text in ["7.22.0", "7.5.3", "7.24.11-ee"] {
            assert_eq!(release(text).to_string(), text);
        }
        assert!(release("7.22.3-ee").enterprise && !release("7.22.0").enterprise);
        for text in [
            "",
            "7",
            "7.22",
            "8.7.0",
            "7.22.x",
            "7.22.+1",
            "7.22.0-alpha1",
            "7.22.0-SNAPSHOT",
            "7.22.0.0",
            "7.-1.0",
            "7.99999999999.0",
            "fox",
        ] {
            assert!(text.parse::<Release>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_community_edition_is_always_on_its_latest_patch() {
        assert_eq!(release("7.22.0").is_latest(None), Some(true));
        assert_eq!(release("7.22.3-ee").is_latest(None), None);
        assert_eq!(release("7.22.3-ee").is_latest(Some(4)), Some(false));
        assert_eq!(release("7.22.4-ee").is_latest(Some(4)), Some(true));
    }
}
