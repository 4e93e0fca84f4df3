//! Which engines the lab has.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::error::LabError;

/// A minor version of the engine, as its community edition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EngineVersion {
    /// 7.21.0
    #[serde(rename = "7.21.0")]
    V7_21,
    /// 7.22.0
    #[serde(rename = "7.22.0")]
    V7_22,
    /// 7.23.0
    #[serde(rename = "7.23.0")]
    V7_23,
    /// 7.24.0
    #[serde(rename = "7.24.0")]
    V7_24,
}

impl EngineVersion {
    /// Every version, oldest first.
    pub const ALL: [Self; 4] = [Self::V7_21, Self::V7_22, Self::V7_23, Self::V7_24];

    /// The version that `GET /version` says.
    pub fn name(self) -> &'static str {
        match self {
            Self::V7_21 => "7.21.0",
            Self::V7_22 => "7.22.0",
            Self::V7_23 => "7.23.0",
            Self::V7_24 => "7.24.0",
        }
    }

    /// The version of Spring Boot that the vendor released it with.
    pub(crate) fn boot(self) -> &'static str {
        match self {
            Self::V7_21 => "3.2.2",
            Self::V7_22 => "3.3.3",
            Self::V7_23 => "3.4.4",
            Self::V7_24 => "3.5.5",
        }
    }

    /// Of the sorted list of all jars, in the form of `sha256sum`.
    pub(crate) fn digest(self) -> &'static str {
        match self {
            Self::V7_21 => "d259fb9650598a5c39151600837fd8f6c40f8d53678c38b518c01ed032e8c322",
            Self::V7_22 => "dee9285aa5be075fa91da9cecbb439e2f5223e05a643ef93f2dc4cb5f7843695",
            Self::V7_23 => "eea4e7268721ddb7d8e55f71494ae99d265bf8e29517e24fe512bfa4c5aefb69",
            Self::V7_24 => "7fc06b4f125d50bcd222c0311fd19c9ac89d376754dcae460f2628554139888a",
        }
    }

    /// Whether its jar has create scripts for MariaDB; later ones have MySQL's only.
    pub(crate) fn has_mariadb_scripts(self) -> bool {
        self <= Self::V7_22
    }
}

impl fmt::Display for EngineVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EngineVersion {
    type Err = LabError;

    /// Takes `7.22` and `7.22.0` alike.
    fn from_str(text: &str) -> Result<Self, LabError> {
        Self::ALL
            .into_iter()
            .find(|version| {
                let name = version.name();
                name == text || name.strip_suffix(".0") == Some(text)
            })
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join("`, `");
                LabError::malformed(
                    format!("engine version `{text}`"),
                    format!("expected one of `{names}`"),
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_every_version_with_and_without_its_patch() {
        for version in EngineVersion::ALL {
            assert_eq!(version.name().parse::<EngineVersion>().unwrap(), version);
            let minor = version.name().trim_end_matches(".0");
            assert_eq!(minor.parse::<EngineVersion>().unwrap(), version);
            assert_eq!(serde_json::to_value(version).unwrap(), version.name());
        }
        assert!("7.2".parse::<EngineVersion>().is_err());
        assert!("7.20.0".parse::<EngineVersion>().is_err());
    }
}
