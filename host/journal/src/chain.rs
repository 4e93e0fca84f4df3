//! Rows, their hashes, and the check of one row against the one before.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::JournalError;

/// Longest body of one row, in bytes.
///
/// 1 MiB: an expansion of an open step is the largest event, some hundred steps of a few
/// kilobytes. Larger things are pinned as files and named by their digest.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Longest run, step, kind or pin name, in bytes. 128 holds every id we make (36) and every step
/// name a person reads, and keeps a run's name with our suffixes under the 255 of a file name.
pub const NAME_BYTES_MAX: usize = 128;

/// Most rows of one append. An outcome, its give-backs and the next intent are three; 256 bounds
/// the transaction (and with it the room kept in reserve) without ever being met in practice.
pub const ROWS_PER_APPEND_MAX: usize = 256;

/// Put before every hashed row, so that no other hash of ours can be taken for a row's.
const DOMAIN: &[u8] = b"liftlock journal row 1";

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first row of a run names as its predecessor.
    pub const GENESIS: Self = Self([0; 32]);

    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = JournalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || JournalError::Refused {
            what: format!("digest `{}`", text.escape_debug()),
            want: "64 digits of 0-9 and a-f".into(),
        };
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let bytes = text.as_bytes();
        if bytes.len() != 64 {
            return Err(refused());
        }
        let mut hash = [0; 32];
        for (to, pair) in hash.iter_mut().zip(bytes.chunks_exact(2)) {
            let (high, low) = digit(pair[0]).zip(digit(pair[1])).ok_or_else(refused)?;
            *to = high << 4 | low;
        }
        Ok(Self(hash))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A row to be appended. At most one row exists per run, step, attempt and kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRow {
    /// The step it belongs to; none for a row of the whole run.
    pub step: Option<String>,
    /// Which attempt of the step; for a row of the whole run, a number that tells it from
    /// others of its kind.
    pub attempt: u32,
    /// The event's name.
    pub kind: String,
    /// The event, as JSON text. Kept to the byte.
    pub body: String,
}

/// A row that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Place in the run, from 1 without gaps.
    pub seq: u64,
    /// The run it belongs to.
    pub run: String,
    /// The step it belongs to; none for a row of the whole run.
    pub step: Option<String>,
    /// Which attempt of the step.
    pub attempt: u32,
    /// The event's name.
    pub kind: String,
    /// The event, as JSON text.
    pub body: String,
    /// When it was appended, as the caller's clock had it, in milliseconds since 1970. For
    /// people: nothing is decided by it.
    pub at_ms: i64,
    /// Hash of the row before, [`Hash::GENESIS`] for the first.
    pub prev: Hash,
    /// Hash of this row.
    pub hash: Hash,
}

impl Row {
    /// The hash this row must have: over every other field, each with its length before it, so
    /// that no two different rows give the same bytes.
    pub(crate) fn expected_hash(&self) -> Hash {
        let mut sha = Sha256::new();
        let mut field = |bytes: &[u8]| {
            sha.update((bytes.len() as u64).to_be_bytes());
            sha.update(bytes);
        };
        field(DOMAIN);
        field(self.prev.as_bytes());
        field(&self.seq.to_be_bytes());
        field(self.run.as_bytes());
        field(&[u8::from(self.step.is_some())]);
        field(self.step.as_deref().unwrap_or_default().as_bytes());
        field(&self.attempt.to_be_bytes());
        field(self.kind.as_bytes());
        field(&self.at_ms.to_be_bytes());
        field(self.body.as_bytes());
        Hash(sha.finalize().into())
    }
}

/// How a row is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakReason {
    /// The row is not there, but a later one is.
    Missing,
    /// The row does not follow from the one before.
    PrevDiffers,
    /// The content is not what was hashed.
    HashDiffers,
    /// The content cannot be read as a row at all.
    Unreadable,
}

impl fmt::Display for BreakReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "it is missing",
            Self::PrevDiffers => "it does not follow from the row before",
            Self::HashDiffers => "its content is not what was hashed",
            Self::Unreadable => "its content cannot be read",
        })
    }
}

/// A walk along one run's rows that stops at the first broken one.
pub(crate) struct Chain<'a> {
    path: &'a Path,
    run: &'a str,
    /// Last row that was found whole.
    pub(crate) seq: u64,
    /// Its hash.
    pub(crate) hash: Hash,
}

impl<'a> Chain<'a> {
    /// A walk from the run's first row. `path` is the file that errors name.
    pub(crate) fn new(path: &'a Path, run: &'a str) -> Self {
        Self {
            path,
            run,
            seq: 0,
            hash: Hash::GENESIS,
        }
    }

    /// A walk that takes `row` as its first; only its own hash is checked.
    pub(crate) fn from_row(path: &'a Path, row: &'a Row) -> Result<Self, JournalError> {
        let mut chain = Self {
            path,
            run: &row.run,
            seq: row.seq.saturating_sub(1),
            hash: row.prev,
        };
        chain.follow(row)?;
        Ok(chain)
    }

    /// Checks that `row` is the next one, and goes on to it.
    pub(crate) fn follow(&mut self, row: &Row) -> Result<(), JournalError> {
        let seq = self.seq + 1;
        if row.seq != seq {
            return Err(self.broken(BreakReason::Missing));
        }
        if row.prev != self.hash {
            return Err(self.broken(BreakReason::PrevDiffers));
        }
        if row.hash != row.expected_hash() {
            return Err(self.broken(BreakReason::HashDiffers));
        }
        (self.seq, self.hash) = (seq, row.hash);
        Ok(())
    }

    /// The error for the row after the last whole one.
    pub(crate) fn broken(&self, reason: BreakReason) -> JournalError {
        JournalError::Broken {
            path: self.path.to_owned(),
            run: self.run.to_owned(),
            seq: self.seq + 1,
            reason,
        }
    }
}

/// Refuses a run or pin name that could not be a file's name.
pub(crate) fn check_file_name(what: &str, name: &str) -> Result<(), JournalError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || name.starts_with('.')
        || !name.chars().all(plain)
    {
        return Err(JournalError::Refused {
            what: format!("{what} `{}`", name.escape_debug()),
            want: format!(
                "1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`, not starting with `.`"
            ),
        });
    }
    Ok(())
}

/// Refuses rows outside the bounds, before anything is sent to the database.
pub(crate) fn check_rows(rows: &[NewRow]) -> Result<(), JournalError> {
    let refused = |what: String, want: String| Err(JournalError::Refused { what, want });
    if rows.len() > ROWS_PER_APPEND_MAX {
        return refused(
            format!("an append of {} rows", rows.len()),
            format!("at most {ROWS_PER_APPEND_MAX}"),
        );
    }
    for (n, row) in rows.iter().enumerate() {
        for (what, name) in [("kind", Some(&row.kind)), ("step", row.step.as_ref())] {
            if name.is_some_and(|n| {
                n.is_empty() || n.len() > NAME_BYTES_MAX || n.chars().any(char::is_control)
            }) {
                return refused(
                    format!("{what} of row {n} of an append"),
                    format!("1 to {NAME_BYTES_MAX} bytes without control characters"),
                );
            }
        }
        if row.body.len() > BODY_BYTES_MAX {
            return refused(
                format!("a `{}` of {} bytes", row.kind, row.body.len()),
                format!("at most {BODY_BYTES_MAX} bytes; pin larger things as files"),
            );
        }
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&row.body) {
            return refused(
                format!("the body of `{}`", row.kind),
                format!("JSON text ({error})"),
            );
        }
        let key = |r: &NewRow| (r.step.clone(), r.attempt, r.kind.clone());
        if rows[..n].iter().any(|other| key(other) == key(row)) {
            return refused(
                format!(
                    "a second `{}`, attempt {}, in one append",
                    row.kind, row.attempt
                ),
                "one row per step, attempt and kind".into(),
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let mut row = Row {
            seq: 1,
            run: "r".into(),
            step: Some("ab".into()),
            attempt: 1,
            kind: "c".into(),
            body: "{}".into(),
            at_ms: 5,
            prev: Hash::GENESIS,
            hash: Hash::GENESIS,
        };
        row.hash = row.expected_hash();
        row
    }

    #[test]
    fn a_change_of_any_field_changes_the_hash() {
        let edits: [fn(&mut Row); 9] = [
            |r| r.seq = 2,
            |r| r.run = "s".into(),
            |r| r.step = None,
            |r| r.step = Some(String::new()),
            |r| r.attempt = 2,
            |r| r.kind = "d".into(),
            |r| r.body = "{} ".into(),
            |r| r.at_ms = -5,
            |r| r.prev = Hash::of(b"x"),
        ];
        let mut seen = vec![row().expected_hash()];
        for edit in edits {
            let mut edited = row();
            edit(&mut edited);
            let hash = edited.expected_hash();
            assert!(!seen.contains(&hash), "{edited:?}");
            seen.push(hash);
        }
    }

    #[test]
    fn a_byte_moved_from_one_field_to_the_next_changes_the_hash() {
        let mut moved = row();
        moved.step = Some("a".into());
        moved.kind = "bc".into();
        assert_ne!(moved.expected_hash(), row().expected_hash());
    }

    #[test]
    fn a_hash_survives_its_text_form_and_bad_text_is_refused() {
        let hash = Hash::of(b"x");
        assert_eq!(hash.to_string().parse::<Hash>().unwrap(), hash);
        for bad in ["", "ab", &"g".repeat(64), &"A".repeat(64), &"0".repeat(65)] {
            assert!(bad.parse::<Hash>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_that_could_leave_the_directory_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            ".hidden",
            "a b",
            "ü",
            &"x".repeat(NAME_BYTES_MAX + 1),
        ] {
            assert!(check_file_name("run", bad).is_err(), "{bad}");
        }
        check_file_name("run", "0190-a_b.c").unwrap();
    }

    #[test]
    fn rows_outside_the_bounds_are_refused() {
        let good = NewRow {
            step: None,
            attempt: 0,
            kind: "k".into(),
            body: "{}".into(),
        };
        check_rows(std::slice::from_ref(&good)).unwrap();
        let edits: [fn(&mut NewRow); 5] = [
            |r| r.kind = String::new(),
            |r| r.kind = "a\nb".into(),
            |r| r.step = Some(String::new()),
            |r| r.body = "{".into(),
            |r| r.body = format!("\"{}\"", "x".repeat(BODY_BYTES_MAX)),
        ];
        for edit in edits {
            let mut bad = good.clone();
            edit(&mut bad);
            assert!(matches!(
                check_rows(&[bad]),
                Err(JournalError::Refused { .. })
            ));
        }
        assert!(check_rows(&[good.clone(), good.clone()]).is_err());
        let many = (0..=ROWS_PER_APPEND_MAX as u32).map(|n| NewRow {
            attempt: n,
            ..good.clone()
        });
        assert!(check_rows(&many.collect::<Vec<_>>()).is_err());
    }
}
