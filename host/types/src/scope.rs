//! Scopes: what a grant or a request covers, as a prefix test.

use serde::{Deserialize, Serialize};

use crate::NameError;
use crate::names::is_plain;

/// A literal, or a literal with one trailing `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    text: String,
}

impl Scope {
    /// Refuses a `*` anywhere but at the end, control characters and more than 512 bytes.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        check(&text)?;
        Ok(Self { text })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn meant(&self) -> Meant<'_> {
        Meant::by(&self.text)
    }

    /// Every name that `other` means is meant by this one too.
    pub fn includes(&self, other: &Scope) -> bool {
        self.meant().includes(other.meant())
    }

    /// Some name is meant by both.
    pub fn overlaps(&self, other: &Scope) -> bool {
        self.meant().overlaps(other.meant())
    }

    /// The name is meant.
    pub fn matches(&self, name: &str) -> bool {
        let Meant { text, and_longer } = self.meant();
        if and_longer {
            name.starts_with(text)
        } else {
            name == text
        }
    }
}

/// The rules of a scope's text, on a text that somebody else holds.
pub(crate) fn check(text: &str) -> Result<(), NameError> {
    let body = text.strip_suffix('*').unwrap_or(text);
    if is_plain(body) {
        return Ok(());
    }
    check_each_rule(text, body).map_err(|why| NameError {
        what: "scope",
        text: text.chars().take(300).collect(),
        why,
    })
}

fn check_each_rule(text: &str, body: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("it is empty")
    } else if text.len() > 512 {
        Err("it is longer than 512 bytes")
    } else if body.contains('*') {
        Err("only one `*`, at the end, is allowed")
    } else if text.contains([',', '<', '>', '?']) || text.contains("..") {
        Err("a list, date math, `?` and `..` are not allowed")
    } else if text.chars().any(char::is_control) {
        Err("it holds a control character")
    } else {
        Ok(())
    }
}

/// The names that a text means: itself, or all that begin with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meant<'a> {
    text: &'a str,
    and_longer: bool,
}

impl<'a> Meant<'a> {
    /// By a text that [`check`] takes.
    pub(crate) fn by(text: &'a str) -> Self {
        match text.strip_suffix('*') {
            Some(text) => Self {
                text,
                and_longer: true,
            },
            None => Self {
                text,
                and_longer: false,
            },
        }
    }

    pub(crate) fn includes(self, other: Meant<'_>) -> bool {
        if self.and_longer {
            other.text.starts_with(self.text)
        } else {
            self.text == other.text && !other.and_longer
        }
    }

    pub(crate) fn overlaps(self, other: Meant<'_>) -> bool {
        match (self.and_longer, other.and_longer) {
            (true, true) => self.text.starts_with(other.text) || other.text.starts_with(self.text),
            (true, false) => other.text.starts_with(self.text),
            (false, true) => self.text.starts_with(other.text),
            (false, false) => self.text == other.text,
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        Scope::new(text).unwrap()
    }

    #[test]
    fn inclusion_is_a_prefix_test() {
        assert!(scope("a*").includes(&scope("a-b*")));
        assert!(scope("a*").includes(&scope("a")));
        assert!(!scope("a-b*").includes(&scope("a*")));
        assert!(!scope("a").includes(&scope("a*")));
        assert!(scope("*").includes(&scope("x*")));
        assert!(scope("a-*").overlaps(&scope("a-b-*")));
        assert!(!scope("a-*").overlaps(&scope("b-*")));
    }

    #[test]
    fn a_scope_has_one_star_at_its_end() {
        for bad in [
            "",
            "a*b",
            "**",
            "a\n",
            "a,b*",
            "<a-{now/d}>",
            "a/../b",
            "a?",
        ] {
            assert!(Scope::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn braces_stand_for_themselves() {
        // Kuzzle takes such a name, and so does a search cluster. What a request has in braces was resolved before.
        assert!(scope("&4711.[1]{2}").matches("&4711.[1]{2}"));
        assert!(scope("&4711.*").includes(&scope("&4711.[1]{2}")));
        assert!(!scope("{prefix}-*").matches("acme-a"));
    }

    #[test]
    fn the_short_way_to_a_scope_takes_nothing_that_a_rule_refuses() {
        const LETTERS: &str = "aZ9.-_/*{},<>? \n\u{1b}ä";
        let mut texts = crate::names::tests::up_to_three(LETTERS);
        texts.extend(LETTERS.chars().map(|letter| format!("ab{letter}cd*")));
        texts.extend([255, 256, 511, 512, 513].map(|length| "a".repeat(length)));
        texts.extend([254, 255, 256, 511, 512].map(|length| format!("{}*", "a".repeat(length))));
        for text in &texts {
            let body = text.strip_suffix('*').unwrap_or(text);
            assert_eq!(
                check(text).map_err(|error| error.why),
                check_each_rule(text, body),
                "{text:?}"
            );
            assert_eq!(Scope::new(text.as_str()).is_ok(), check(text).is_ok());
        }
        assert!(check(&"a".repeat(512)).is_ok() && check(&"a".repeat(513)).is_err());
    }
}
