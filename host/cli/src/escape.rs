//! Text made by others, made safe for a terminal and bounded.

/// Longest line of somebody else's text that is shown.
///
/// 400 characters: four lines of a terminal hold any honest sentence; a plugin or a server that says more is cut
/// with the amount that was left out.
pub(crate) const LINE_CHARS_MAX: usize = 400;

/// Most lines of one text of somebody else that are shown.
pub(crate) const LINES_MAX: usize = 60;

/// One line: line breaks and everything else that steers a terminal or hides text is written out.
pub(crate) fn line(text: &str) -> String {
    bounded(text, LINE_CHARS_MAX)
}

/// One line, at most `max` characters before the mark that says how much is left out.
pub(crate) fn bounded(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max * 4));
    let mut chars = text.chars();
    for c in chars.by_ref().take(max) {
        push(&mut out, c);
    }
    let left = chars.count();
    if left > 0 {
        out.push_str(&format!("… ({left} more characters)"));
    }
    out
}

/// Several lines, each bounded.
pub(crate) fn block(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().take(LINES_MAX).map(line).collect();
    let left = text.lines().skip(LINES_MAX).count();
    if left > 0 {
        lines.push(format!("… ({left} more lines)"));
    }
    lines.join("\n")
}

fn push(out: &mut String, c: char) {
    if c == '\t' {
        out.push(' ');
    } else if c.is_control() || is_hidden(c) {
        out.extend(c.escape_unicode());
    } else {
        out.push(c);
    }
}

/// Characters that change the order of the text around them or cannot be seen.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_cannot_be_steered() {
        let text = line("a\u{1b}[2J\u{9b}b\nc\u{202e}d\r\u{7}");
        assert!(
            text.chars().all(|c| !c.is_control() && !is_hidden(c)),
            "{text:?}"
        );
        assert!(text.contains("\\u{1b}") && text.contains("\\u{202e}"));
    }

    #[test]
    fn what_is_left_out_is_said() {
        assert_eq!(bounded("abcdef", 4), "abcd… (2 more characters)");
        assert_eq!(bounded("abcd", 4), "abcd");
        assert!(block(&"x\n".repeat(100)).ends_with("… (40 more lines)"));
    }
}
