//! How an object differs from what it should be, in words.

use std::fmt;

use crate::catalog::Object;

/// One object that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which.
    pub object: Object,
    /// How.
    pub fault: Fault,
    /// A matter of the vendor's patch scripts: only one of them brings it, or one takes it away.
    pub by_patch: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.object, self.fault)
    }
}

/// How an object differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing,
    /// An index that a broken concurrent build left: no query uses it, and each write pays for it.
    Invalid,
    /// A column of another type.
    Type {
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A column that may be null and should not, or the other way round.
    Nullable {
        /// Whether it may be null.
        found: bool,
    },
    /// A column with another default.
    Default {
        /// What it should be.
        expected: Option<String>,
        /// What it is.
        found: Option<String>,
    },
    /// An index or a constraint on other columns.
    Columns {
        /// What they should be.
        expected: Vec<String>,
        /// What they are.
        found: Vec<String>,
    },
    /// An index that is unique and should not be, or the other way round.
    Unique {
        /// Whether it is unique.
        found: bool,
    },
    /// A constraint of another kind, or on another table.
    Kind {
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |value: &Option<String>| match value {
            Some(value) => format!("`{value}`"),
            None => "none".to_owned(),
        };
        match self {
            Self::Missing => write!(f, "is missing"),
            Self::Invalid => write!(f, "is invalid: its concurrent build broke off or goes on"),
            Self::Type { expected, found } => write!(f, "is `{found}`, expected `{expected}`"),
            Self::Nullable { found: true } => write!(f, "may be null, and should not"),
            Self::Nullable { found: false } => write!(f, "may not be null, and should"),
            Self::Default { expected, found } => write!(
                f,
                "has the default {}, expected {}",
                told(found),
                told(expected)
            ),
            Self::Columns { expected, found } => write!(
                f,
                "is of ({}), expected ({})",
                found.join(", "),
                expected.join(", ")
            ),
            Self::Unique { found: true } => write!(f, "is unique, and should not be"),
            Self::Unique { found: false } => write!(f, "is not unique, and should be"),
            Self::Kind { expected, found } => write!(f, "is a {found}, expected a {expected}"),
        }
    }
}
