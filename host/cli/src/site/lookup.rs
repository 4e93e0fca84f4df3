//! Where a key stands in a TOML text, for mistakes that the parser cannot see.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// The span of the value at this path; of its table or of the beginning where it is not written.
pub(super) fn span_of(text: &str, path: &[&str]) -> Range<usize> {
    let Ok(root) = DeTable::parse(text) else {
        return 0..0;
    };
    let mut span = 0..0;
    let mut table = root.get_ref();
    for (depth, key) in path.iter().enumerate() {
        let Some((name, value)) = table.get_key_value(*key) else {
            return span;
        };
        // A table's own span is its header at best; its key points where the eye looks.
        span = match value.get_ref() {
            DeValue::Table(_) => name.span(),
            _ if depth + 1 == path.len() => value.span(),
            _ => name.span(),
        };
        match value.get_ref() {
            DeValue::Table(next) => table = next,
            _ => return span,
        }
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_where_it_is_written() {
        let text = "name = \"a\"\n[snapshot.backups]\ncluster = \"cluster.x\"\n";
        let at = |path: &[&str]| &text[span_of(text, path)];
        assert_eq!(at(&["name"]), "\"a\"");
        assert_eq!(at(&["snapshot", "backups"]), "backups");
        assert_eq!(at(&["snapshot", "backups", "cluster"]), "\"cluster.x\"");
        assert_eq!(at(&["snapshot", "backups", "nothing"]), "backups");
        assert_eq!(at(&["nothing"]), "");
    }
}
