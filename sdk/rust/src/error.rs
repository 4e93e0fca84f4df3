//! The one error, and how it meets `?`.

pub use crate::bindings::exports::liftlock::upgrade::upgrade::Refusal;
pub use crate::bindings::liftlock::upgrade::types::{Denial, Error, Rejection};

use crate::bindings::liftlock::upgrade::types::Finding;

/// What every read and proposal gives.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For people: one line.
    pub fn text(&self) -> String {
        match self {
            Self::Denied(Denial { rule, allowed_by }) => {
                format!("denied: {rule}; {allowed_by} would allow it")
            }
            Self::NotFound(what) => format!("not found: {what}"),
            Self::Absent(what) => format!("the server has no such function: {what}"),
            Self::Invalid(what) => format!("invalid: {what}"),
            Self::Unavailable(what) => format!("unavailable: {what}"),
            Self::Rejected(Rejection { status, kind, text }) => {
                format!("refused with status {status}, `{kind}`: {text}")
            }
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Invalid(format!("unexpected JSON: {error}"))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Vec<Finding>> for Refusal {
    fn from(findings: Vec<Finding>) -> Self {
        Self::Blocked(findings)
    }
}

/// For reads of things that may not be there.
pub trait Maybe<T> {
    /// `None` where the answer is `not-found`: a fact, not a failure.
    ///
    /// # Errors
    /// Every other error.
    fn found(self) -> Result<Option<T>>;

    /// `None` where the server has no such function.
    ///
    /// # Errors
    /// Every other error.
    fn supported(self) -> Result<Option<T>>;
}

impl<T> Maybe<T> for Result<T> {
    fn found(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn supported(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(Error::Absent(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_not_found_is_a_fact() {
        assert_eq!(Ok::<_, Error>(1).found(), Ok(Some(1)));
        assert_eq!(Err::<u8, _>(Error::NotFound("x".into())).found(), Ok(None));
        assert!(
            Err::<u8, _>(Error::Unavailable("x".into()))
                .found()
                .is_err()
        );
        assert!(Err::<u8, _>(Error::Absent("x".into())).found().is_err());
        assert_eq!(
            Err::<u8, _>(Error::Absent("x".into())).supported(),
            Ok(None)
        );
    }
}
