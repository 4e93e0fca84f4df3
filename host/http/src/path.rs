//! Paths of requests: names go in as they are, and out so that they mean the same.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but what RFC 3986 calls unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A path that has no encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `.` and `..` mean something else in an address, encoded or not.
    #[error("`{0}` cannot be a part of a path")]
    Dots(String),
    /// An empty part would be another path.
    #[error("a part of the path is empty")]
    Empty,
}

/// `/a/b`, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiPath(String);

impl ApiPath {
    /// Of parts, each a name as it is.
    pub fn new<S: AsRef<str>>(parts: &[S]) -> Result<Self, PathError> {
        let mut path = String::new();
        for part in parts {
            let part = part.as_ref();
            if part.is_empty() {
                return Err(PathError::Empty);
            }
            // An address parser takes `%2e%2e` for `..` as well.
            if part == "." || part == ".." {
                return Err(PathError::Dots(part.into()));
            }
            path.push('/');
            path.push_str(&encode(part));
        }
        if path.is_empty() {
            path.push('/');
        }
        Ok(Self(path))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One part of a path or a query, encoded.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_legal_name_stays_one_part() {
        for (name, encoded) in [
            ("%kuzzle.users", "/%25kuzzle.users"),
            ("&a.b", "/%26a.b"),
            ("@%x", "/%40%25x"),
            ("8.8.0_x[Template]", "/8.8.0_x%5BTemplate%5D"),
            ("x%2e%2ey", "/x%252e%252ey"),
            ("a/b?c#d", "/a%2Fb%3Fc%23d"),
            ("ä +", "/%C3%A4%20%2B"),
        ] {
            let path = ApiPath::new(&[name]).unwrap();
            assert_eq!(path.as_str(), encoded);
            let url = reqwest::Url::parse(&format!("http://h{}", path.as_str())).unwrap();
            assert_eq!(url.path(), encoded, "an address parser leaves it as it is");
        }
    }

    #[test]
    fn a_part_that_an_address_cannot_hold_is_refused() {
        assert_eq!(
            ApiPath::new(&["a", "_doc", ".."]),
            Err(PathError::Dots("..".into()))
        );
        assert_eq!(ApiPath::new(&["a", "."]), Err(PathError::Dots(".".into())));
        assert_eq!(ApiPath::new(&["a", ""]), Err(PathError::Empty));
        assert!(ApiPath::new(&["a..b", "..."]).is_ok());
    }
}
