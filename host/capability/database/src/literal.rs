//! Values as SQL. The only place where a value becomes part of a text.

use liftlock_types::sql::{Dialect, Literal};

/// In single quotes. Both servers are told that a backslash means itself (`connection`).
pub(crate) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// `null` or in single quotes.
pub(crate) fn optional(value: Option<&str>) -> String {
    value.map_or_else(|| "NULL".to_owned(), text)
}

/// A condition that a column, as it is written, has this value to the letter; true for the server's clock.
pub(crate) fn equals(dialect: Dialect, column: &str, value: &Literal) -> String {
    match (value, dialect) {
        (Literal::Null, _) => format!("{column} IS NULL"),
        (Literal::Flag(flag), _) => format!("{column} = {}", if *flag { "TRUE" } else { "FALSE" }),
        // In quotes, so that it takes the column's type.
        (Literal::Number(it) | Literal::Text(it), Dialect::Postgresql) => {
            format!("{column} = {}", text(it))
        }
        (Literal::Number(number), Dialect::Mysql) => format!("{column} = {number}"),
        // By the column's collation, which an index serves, and then to the letter.
        (Literal::Text(it), Dialect::Mysql) => {
            let it = text(it);
            format!(
                "({column} = {it} AND CAST({column} AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_bin = {it})"
            )
        }
        (Literal::Now, _) => "1 = 1".to_owned(),
    }
}

/// A condition on a name: the literal, or all names that begin as one with a trailing `*` says.
pub(crate) fn like(column: &str, pattern: &str) -> String {
    match pattern.strip_suffix('*') {
        Some("") => "1 = 1".to_owned(),
        Some(prefix) => {
            let escaped: String = prefix
                .chars()
                .flat_map(|c| {
                    matches!(c, '%' | '_' | '!')
                        .then_some('!')
                        .into_iter()
                        .chain([c])
                })
                .collect();
            format!("{column} LIKE {} ESCAPE '!'", text(&format!("{escaped}%")))
        }
        None => format!("{column} = {}", text(pattern)),
    }
}

/// The query's text with its values in the place of `$1`, `$2`, ... or of each `?`, outside of texts and names.
pub(crate) fn filled(query: &str, values: &[Option<String>], numbered: bool) -> String {
    let mut out = String::new();
    let mut quote = None;
    let mut next = 0;
    let mut letters = query.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) => {
                out.push(letter);
                if letter == open {
                    quote = None;
                }
            }
            (None, '\'' | '"' | '`') => {
                quote = Some(letter);
                out.push(letter);
            }
            (None, '?') if !numbered => {
                out.push_str(&optional(values.get(next).and_then(Option::as_deref)));
                next += 1;
            }
            (None, '$') if numbered => {
                let mut number = String::new();
                while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                    number.push(digit);
                }
                let at = number.parse::<usize>().unwrap_or(0).wrapping_sub(1);
                out.push_str(&optional(values.get(at).and_then(Option::as_deref)));
            }
            (None, _) => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_its_quotes() {
        assert_eq!(text("o'clock"), "'o''clock'");
        assert_eq!(optional(None), "NULL");
    }

    #[test]
    fn a_pattern_means_a_prefix_and_nothing_else() {
        assert_eq!(like("n", "a_b"), "n = 'a_b'");
        assert_eq!(like("n", "a_%'*"), "n LIKE 'a!_!%''%' ESCAPE '!'");
        assert_eq!(like("n", "*"), "1 = 1");
    }

    #[test]
    fn values_stand_where_their_marks_stood() {
        let values = [Some("a'b".to_owned()), None];
        assert_eq!(
            filled(
                "SELECT '$1', \"$2\" FROM t WHERE a = $2 AND b = $1",
                &values,
                true
            ),
            "SELECT '$1', \"$2\" FROM t WHERE a = NULL AND b = 'a''b'"
        );
        assert_eq!(
            filled(
                "SELECT '?', `?` FROM t WHERE a = ? AND b = ?",
                &values,
                false
            ),
            "SELECT '?', `?` FROM t WHERE a = 'a''b' AND b = NULL"
        );
    }
}
