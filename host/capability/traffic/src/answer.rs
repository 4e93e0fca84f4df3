//! Errors and refusals in the words of the gate.

use liftlock_types::{Acted, Change, ReadError};

/// Longest text of a balancer that is passed on, in characters: its longest refusal is a list of commands.
const TEXT_CHARS_MAX: usize = 400;

/// A balancer's words: one line, bounded, without anything that would steer a terminal.
pub(crate) fn shown(text: &str) -> String {
    let line = text.trim().replace(['\n', '\r'], " ");
    let line: String = line.chars().take(TEXT_CHARS_MAX).collect();
    line.escape_debug().to_string()
}

/// Nothing was changed, and a repeat of the same would be refused again.
pub(crate) fn refused(status: u16, kind: &str, text: impl Into<String>) -> Acted {
    Acted::Refused {
        status,
        kind: kind.into(),
        text: text.into(),
        later: false,
    }
}

/// What could not be read before a change was sent: so nothing was.
pub(crate) fn not_sent(error: ReadError) -> Acted {
    match error {
        ReadError::Unavailable(why) => Acted::NotSent(why),
        ReadError::NotFound(what) => refused(404, "not-found", what),
        ReadError::Rejected { status, kind, text } => refused(status, &kind, text),
        ReadError::Denied { rule, .. } => refused(403, "denied", rule),
        ReadError::Invalid(why) | ReadError::Absent(why) => refused(400, "invalid", why),
    }
}

pub(crate) fn not_ours(change: &Change) -> ReadError {
    ReadError::Invalid(format!("`{}` is no change of a balancer", change.verb()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balancers_words_are_one_bounded_line() {
        assert_eq!(shown("No such server.\n\n"), "No such server.");
        assert_eq!(shown("a\nb\u{1b}[2J"), "a b\\u{1b}[2J");
        assert_eq!(shown(&"x".repeat(1_000)).len(), TEXT_CHARS_MAX);
    }

    #[test]
    fn only_a_target_that_does_not_answer_is_not_sent() {
        let unavailable = not_sent(ReadError::Unavailable("gone".into()));
        assert_eq!(unavailable, Acted::NotSent("gone".into()));
        let missing = not_sent(ReadError::NotFound("x".into()));
        assert!(matches!(missing, Acted::Refused { status: 404, .. }));
    }
}
