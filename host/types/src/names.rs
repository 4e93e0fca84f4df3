//! Names and ids: newtypes whose constructors parse and refuse.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A text that is not the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no {what}: {why}", .text.escape_debug())]
pub struct NameError {
    /// What it should have been.
    pub what: &'static str,
    /// The text, cut to 300 characters.
    pub text: String,
    /// The rule that it breaks.
    pub why: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        name!($(#[$doc])* $name(String), $what, $check);
    };
    ($(#[$doc:meta])* $name:ident($held:ty), $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name($held);

        impl $name {
            /// Parses; says what is wrong with the text otherwise.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                Self::check(&text)?;
                Ok(Self(text.into()))
            }

            /// Says what is wrong with a text that nobody keeps.
            pub fn check(text: &str) -> Result<(), NameError> {
                $check(text).map_err(|why| NameError {
                    what: $what,
                    text: text.chars().take(300).collect(),
                    why,
                })
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                AsRef::<str>::as_ref(&name.0).to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

pub(crate) use name;

name!(
    /// One index of a search cluster: never a wildcard, a list, date math, `_all` or a path.
    ///
    /// The rules are the servers' own (255 bytes; no upper case; not `\ / * ? " < > |`, space, comma, `#`, `:`;
    /// not beginning with `-`, `_`, `+`; not `.` or `..`). `%` and `&` are legal and are encoded where a
    /// request is made.
    IndexName,
    "index name",
    check_index
);
name!(
    /// One alias: as an index name, but upper case is legal.
    AliasName,
    "alias name",
    check_alias
);
name!(
    /// One template (legacy, composable or component).
    TemplateName,
    "template name",
    check_alias
);
name!(
    /// A document's id: 1 to 512 bytes, any text without control characters.
    DocumentId,
    "document id",
    check_document_id
);
name!(
    /// One entry of a directory: no separator, not `.` or `..`, at most 255 bytes.
    FileName,
    "file name",
    check_file
);
name!(
    /// A snapshot's name: the servers' rules, lower case, at most 255 bytes.
    SnapshotName,
    "snapshot name",
    check_index
);
name!(
    /// A step: lower-case letters, digits, `-`, `_`, `.`; 1 to 120 characters. A plan's own have at most
    /// [`STEP_ID_PLANNED_MAX`]; the host puts `undo.` and the like before them.
    StepId,
    "step id",
    check_step_id
);
name!(
    /// The smallest part of a plan that is taken back by itself: one node. Letters as in a step id, 1 to 80.
    UnitName,
    "unit",
    check_id
);
name!(
    /// One execution of one plan.
    RunId,
    "run id",
    check_id
);
name!(
    /// A named thing of the site: capability, dot, name: `cluster.database`. Every read and every record bears one,
    /// so its text is shared and not copied.
    Binding(Arc<str>),
    "binding",
    check_binding
);
name!(
    /// `cluster.delete-index`: the one vocabulary of requests, grants, plan and journal.
    Verb,
    "verb",
    check_binding
);
name!(
    /// A SHA-256 as `sha256:` and 64 hexadecimal digits.
    Digest,
    "digest",
    check_digest
);
name!(
    /// A group of servers behind a load balancer: 1 to 100 letters, digits, `-`, `_`, `.` and `:`, which is what
    /// balancers themselves take for one, and nothing that ends a word of their commands or files.
    BackendName,
    "backend name",
    check_balanced
);
name!(
    /// One server of a backend: likewise.
    ServerName,
    "server name",
    check_balanced
);

impl Binding {
    /// The part before the dot: `cluster`.
    pub fn capability(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// The part after the dot: `database`.
    pub fn name(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, name)| name)
    }
}

impl Verb {
    /// The capability that performs it.
    pub fn capability(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }
}

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(format!("sha256:{}", hex(&sha2::Sha256::digest(bytes))))
    }

    /// The 64 digits alone.
    pub fn hex(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or(&self.0)
    }

    /// The first eight digits, for people.
    pub fn short(&self) -> &str {
        self.hex().get(..8).unwrap_or_default()
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Invisible, or changing how what stands beside it is shown: a name that holds one reads as another name.
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Nothing is in it that a rule of any name could be about, which is nearly always so and takes one pass.
///
/// Only ever a short way to "yes": what is not plain goes through every rule.
pub(crate) fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= 255
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

const INVISIBLE: &str = "it holds a character that is not seen";

fn check_alias(text: &str) -> Result<(), &'static str> {
    if is_plain(text) {
        return Ok(());
    }
    check_each_rule_of_an_alias(text)
}

fn check_each_rule_of_an_alias(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > 255 {
        return Err("it is longer than 255 bytes");
    }
    if text == "." || text == ".." || text.contains("..") {
        return Err("`..` is not allowed");
    }
    if text.starts_with(['-', '_', '+']) {
        return Err("it begins with `-`, `_` or `+`");
    }
    if text.contains(['*', '?']) {
        return Err("a wildcard is not one name");
    }
    if text.contains(',') {
        return Err("a list is not one name");
    }
    if text.contains(['<', '>']) {
        return Err("date math is not one name");
    }
    if text.chars().any(|c| {
        matches!(c, '\\' | '/' | '"' | '|' | '#' | ':') || c.is_whitespace() || c.is_control()
    }) {
        return Err("it holds a character that the servers refuse");
    }
    if text.chars().any(is_invisible) {
        return Err(INVISIBLE);
    }
    Ok(())
}

fn check_index(text: &str) -> Result<(), &'static str> {
    check_alias(text)?;
    if text.chars().any(char::is_uppercase) {
        return Err("it holds an upper-case letter");
    }
    Ok(())
}

fn check_document_id(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 512 {
        return Err("it is not 1 to 512 bytes long");
    }
    if text.chars().any(char::is_control) {
        return Err("it holds a control character");
    }
    Ok(())
}

fn check_file(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 255 {
        return Err("it is not 1 to 255 bytes long");
    }
    if text == "." || text == ".." {
        return Err("it is not an entry");
    }
    if text
        .chars()
        .any(|c| c == '/' || c == '\\' || c.is_control())
    {
        return Err("it holds a separator or a control character");
    }
    if text.chars().any(is_invisible) {
        return Err(INVISIBLE);
    }
    Ok(())
}

/// Longest id of a step in a plan, in characters; what is left of a step id's 120 is the host's.
pub const STEP_ID_PLANNED_MAX: usize = 80;

fn check_step_id(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 120 {
        return Err("it is not 1 to 120 characters long");
    }
    check_id_letters(text)
}

fn check_id(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 80 {
        return Err("it is not 1 to 80 characters long");
    }
    check_id_letters(text)
}

fn check_id_letters(text: &str) -> Result<(), &'static str> {
    if !text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
    {
        return Err("only lower-case letters, digits, `-`, `_` and `.` are allowed");
    }
    if text.starts_with('.') || text.contains("..") {
        return Err("it begins with `.` or holds `..`");
    }
    Ok(())
}

fn check_binding(text: &str) -> Result<(), &'static str> {
    let Some((capability, name)) = text.split_once('.') else {
        return Err("it is not `capability.name`");
    };
    let good = |part: &str| {
        !part.is_empty()
            && part.len() <= 60
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !good(capability) || !good(name) {
        return Err("it is not `capability.name` in lower-case letters, digits and `-`");
    }
    Ok(())
}

fn check_balanced(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 100 {
        return Err("it is not 1 to 100 characters long");
    }
    if !text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    {
        return Err("only letters, digits, `-`, `_`, `.` and `:` are allowed");
    }
    if text.contains("..") {
        return Err("it holds `..`");
    }
    Ok(())
}

fn check_digest(text: &str) -> Result<(), &'static str> {
    match text.strip_prefix("sha256:") {
        Some(hex)
            if hex.len() == 64
                && hex
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) =>
        {
            Ok(())
        }
        _ => Err("it is not `sha256:` and 64 lower-case hexadecimal digits"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn an_index_name_means_one_index() {
        for bad in [
            "",
            "*",
            "optimize-*",
            "a,b",
            "<logs-{now/d}>",
            "_all",
            "..",
            "a/../b",
            "a..b",
            "-a",
            "+a",
            "A",
            "a b",
            "a\nb",
            "a?b",
            "a#b",
            "a:b",
            "a\\b",
            "a|b",
            "\"a\"",
            "a\u{202e}\u{7}b",
            "a\u{202e}b",
            "a\u{200b}",
            "a\u{ad}",
        ] {
            assert!(IndexName::new(bad).is_err(), "{bad:?}");
        }
        for good in [
            "optimize-metadata_v3",
            ".tasks",
            "%kuzzle.users",
            "&a.b",
            "@%x",
            "x%2e%2ey",
            "ä",
        ] {
            assert!(IndexName::new(good).is_ok(), "{good:?}");
        }
    }

    /// Every text of up to three of these letters.
    pub(crate) fn up_to_three(letters: &str) -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut last = texts.clone();
        for _ in 0..3 {
            last = last
                .iter()
                .flat_map(|text| letters.chars().map(move |letter| format!("{text}{letter}")))
                .collect();
            texts.extend(last.iter().cloned());
        }
        texts
    }

    /// Every text of up to three of these, and each of them in the middle of a plain one.
    fn texts() -> Vec<String> {
        const LETTERS: &str = "aZ9.-_+*?,<>\\/\"|#:{}% \n\u{1b}\u{202e}\u{200b}äÄ";
        let mut texts = up_to_three(LETTERS);
        texts.extend(LETTERS.chars().map(|letter| format!("ab{letter}cd")));
        texts.extend([254, 255, 256, 512, 513].map(|length| "a".repeat(length)));
        texts
    }

    #[test]
    fn the_short_way_to_a_name_takes_nothing_that_a_rule_refuses() {
        let texts = texts();
        for text in &texts {
            assert_eq!(
                check_alias(text),
                check_each_rule_of_an_alias(text),
                "{text:?}"
            );
        }
        assert!(texts.iter().any(|text| is_plain(text)));
        assert!(!is_plain(&"a".repeat(256)));
    }

    #[test]
    fn a_text_is_checked_as_it_is_parsed() {
        for text in ["cluster.database", "cluster", "Cluster.a", "a.b.c", ""] {
            assert_eq!(
                Binding::check(text).err(),
                Binding::new(text).err(),
                "{text:?}"
            );
        }
        let binding = Binding::new("cluster.database").unwrap();
        assert_eq!(String::from(binding.clone()), binding.as_str());
    }

    #[test]
    fn a_refusal_shows_the_text_escaped() {
        let error = IndexName::new("a\u{1b}[2Jb").unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
    }

    #[test]
    fn a_binding_has_two_parts() {
        let binding = Binding::new("cluster.database").unwrap();
        assert_eq!(
            (binding.capability(), binding.name()),
            ("cluster", "database")
        );
        assert!(Binding::new("cluster").is_err());
        assert!(Binding::new("cluster.a.b").is_err());
    }

    #[test]
    fn a_name_behind_a_balancer_is_one_word_of_its_commands() {
        for bad in [
            "", "a b", "a;b", "a\nb", "a/b", "a*", "a..b", "a#b", "ä", "a\0",
        ] {
            assert!(BackendName::new(bad).is_err(), "{bad:?}");
            assert!(ServerName::new(bad).is_err(), "{bad:?}");
        }
        assert!(ServerName::new("a".repeat(101)).is_err());
        for good in ["n1", "be_http:8080", "10.0.0.1:8080", "A.b-c"] {
            BackendName::new(good).unwrap();
            ServerName::new(good).unwrap();
        }
    }

    #[test]
    fn a_file_name_does_not_leave_its_directory() {
        for bad in ["..", ".", "a/b", "a\\b", "", "a\0"] {
            assert!(FileName::new(bad).is_err(), "{bad:?}");
        }
    }
}
