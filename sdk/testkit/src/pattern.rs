//! The one wildcard that names, actions and paths share: `*` for any run of characters.

/// True when `text` matches `pattern`, where `*` stands for any run of characters.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else {
        return false;
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// True when `text` matches one of a comma-separated list of patterns; `_all` matches everything.
pub(crate) fn glob_list(list: &str, text: &str) -> bool {
    list.split(',').any(|p| p == "_all" || glob(p, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        assert!(glob("optimize-*", "optimize-alert_v4"));
        assert!(glob("*_v*-0*1", "a_v2-000001"));
        assert!(glob("a*a", "aa"));
        assert!(!glob("a*a", "a"));
        assert!(glob("*", ""));
        assert!(!glob("optimize", "optimize-x"));
        assert!(!glob("*b", "abc"));
    }
}
