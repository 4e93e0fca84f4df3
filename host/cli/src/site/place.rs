//! A place in a text file, drawn for a person.

use std::ops::Range;
use std::path::Path;

use crate::code::Code;
use crate::escape;
use crate::failure::{Failure, Place};

/// Longest line that is drawn.
const DRAWN_CHARS_MAX: usize = 110;

/// Words of keys whose values may be secrets that somebody wrote where only a reference belongs.
const SECRET_WORDS: [&str; 7] = [
    "password", "passwd", "secret", "token", "api-key", "bearer", "auth",
];

/// What is said instead of a value that may be a secret.
const REFERENCE: &str = "a secret is written as a reference: { env = \"NAME\" }, { file = \"PATH\" } or \
                         { command = [\"program\", \"argument\"] }";

/// What the parser refused, with where and what would be right.
///
/// Near a secret neither the parser's words nor the line are shown: both can hold its value.
pub(crate) fn toml_failure(
    code: Code,
    file: &Path,
    text: &str,
    error: &toml::de::Error,
) -> Failure {
    let span = error.span().unwrap_or(0..0);
    let message = if may_be_secret(line_at(text, span.start)) {
        match error.message().contains("`env`") {
            true => REFERENCE.to_owned(),
            false => format!("it does not fit here; {REFERENCE}"),
        }
    } else {
        match suggestion(error.message()) {
            Some(word) => format!("{}; did you mean `{word}`?", error.message()),
            None => error.message().to_owned(),
        }
    };
    Failure::new(code, format!("`{}` cannot be read", file.display()))
        .cause(message.clone())
        .at(place(file, text, span, &message))
        .remedy("mend the line")
        .untouched("nothing was contacted, no file was written")
}

fn may_be_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| line.contains(word))
}

/// The line that holds this byte.
fn line_at(text: &str, at: usize) -> &str {
    let at = floor(text, at);
    let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
    text[start..].lines().next().unwrap_or_default()
}

/// Line, column and a drawing of a span.
pub(super) fn place(file: &Path, text: &str, span: Range<usize>, says: &str) -> Place {
    let start = floor(text, span.start);
    let end = floor(text, span.end.max(start));
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[..start].matches('\n').count() + 1;
    let column = text[line_start..start].chars().count() + 1;
    let whole = line_at(text, start);
    let width = text[start..end]
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        .max(1);
    let number = line.to_string();
    let shown = if may_be_secret(whole) {
        // As wide as the line, so that the marks stand where they belong.
        "·".repeat(whole.chars().count().min(DRAWN_CHARS_MAX))
    } else {
        escape::bounded(whole, DRAWN_CHARS_MAX)
    };
    let room = DRAWN_CHARS_MAX.saturating_sub(column - 1).max(1);
    let drawing = format!(
        "{number} | {shown}\n{pad} | {space}{marks} {says}",
        pad = " ".repeat(number.len()),
        space = " ".repeat((column - 1).min(DRAWN_CHARS_MAX)),
        marks = "^".repeat(width.min(room)),
        says = escape::line(says),
    );
    Place {
        file: file.display().to_string(),
        line,
        column,
        drawing,
    }
}

/// The nearest place at or before `at` where a character begins.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

/// For "unknown field `aprovals`, expected one of `name`, ...": the one that was probably meant.
fn suggestion(message: &str) -> Option<String> {
    let mut words = message.split('`').skip(1).step_by(2);
    let typed = words.next().filter(|_| message.starts_with("unknown "))?;
    words
        .map(|word| (distance(typed, word), word))
        .filter(|(distance, word)| *distance <= 2.max(word.len() / 3))
        .min()
        .map(|(_, word)| word.to_owned())
}

/// How many letters must be put in, taken out or replaced.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_line_column_and_a_mark_under_the_text() {
        let text = "a = 1\n  b = \"x\"\n";
        let place = place(Path::new("f"), text, 12..15, "no");
        assert_eq!((place.line, place.column), (2, 7));
        assert_eq!(place.drawing, "2 |   b = \"x\"\n  |       ^^^ no");
    }

    #[test]
    fn a_place_past_the_end_or_inside_a_character_is_no_panic() {
        place(Path::new("f"), "ä", 1..9, "no");
        place(Path::new("f"), "", 5..9, "no");
    }

    #[test]
    fn a_typing_error_gets_the_word_that_was_meant() {
        let says = |text| suggestion(text).unwrap_or_default();
        assert_eq!(
            says("unknown field `aprovals`, expected one of `name`, `approvals`"),
            "approvals"
        );
        assert_eq!(
            says("unknown field `zzz`, expected one of `name`, `approvals`"),
            ""
        );
        assert_eq!(says("missing field `name`"), "");
    }
}
