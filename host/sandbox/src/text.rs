//! Text that a plugin wrote, made fit to be shown on a terminal or a web page.

/// One line: every control character, line break and direction mark is escaped.
pub fn one_line(text: &str) -> String {
    escape(text, false)
}

/// Several lines: line breaks and tabs stay, everything else as in [`one_line`].
pub fn lines(text: &str) -> String {
    escape(text, true)
}

/// Escape sequences move the cursor and forge lines; direction marks and invisible characters make a name read
/// as another one.
fn is_hostile(c: char) -> bool {
    c.is_control() || liftlock_types::is_invisible(c)
}

fn escape(text: &str, breaks_stay: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if breaks_stay && matches!(c, '\n' | '\t') || !is_hostile(c) {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
    }
    out
}

/// The longest beginning of `text` that fits into `bytes` and ends at a character.
pub(crate) fn beginning(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_sees_no_escape_sequence_and_no_forged_line() {
        assert_eq!(one_line("ok\u{1b}[2J\r\nfine"), "ok\\u{1b}[2J\\r\\nfine");
        assert_eq!(one_line("a\u{202e}b\u{200b}"), "a\\u{202e}b\\u{200b}");
        assert_eq!(one_line("a\u{ad}\u{3164}"), "a\\u{ad}\\u{3164}");
        assert_eq!(one_line("größer, 日本"), "größer, 日本");
    }

    #[test]
    fn a_paragraph_keeps_its_line_breaks() {
        assert_eq!(lines("a\n\tb\u{7}"), "a\n\tb\\u{7}");
    }

    #[test]
    fn a_beginning_never_cuts_a_character() {
        assert_eq!(beginning("aä", 2), "a");
        assert_eq!(beginning("ab", 9), "ab");
    }
}
