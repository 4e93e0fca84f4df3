//! The token of an attempt, and how it is told again in what the target holds.

use liftlock_types::Attempt;

use crate::facts::MARKER;

/// The alias that marks an index as made by this attempt.
pub(crate) fn alias_of(token: &str) -> String {
    if token.starts_with(MARKER) {
        token.to_owned()
    } else {
        format!("{MARKER}{token}")
    }
}

/// Is it the token of this step, of whichever attempt? A repeat and what it repeats are the same request.
pub(crate) fn is_ours(found: &str, attempt: &Attempt) -> bool {
    if found == attempt.token {
        return true;
    }
    let stem = |text: &str| {
        let (stem, number) = text.rsplit_once('-')?;
        number.parse::<u32>().ok()?;
        Some(stem.to_owned())
    };
    let own = attempt.token.strip_suffix(&format!("-{}", attempt.number));
    own.is_some() && stem(found).as_deref() == own
}

/// Is it the marker alias of this step?
pub(crate) fn is_marker(alias: &str, attempt: &Attempt) -> bool {
    is_ours(alias, attempt)
        || alias
            .strip_prefix(MARKER)
            .is_some_and(|rest| is_ours(rest, attempt))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use liftlock_types::{Facts, RunId, StepId};
    use serde_json::Value;

    use super::*;

    pub(crate) fn attempt(token: &str, number: u32) -> Attempt {
        Attempt {
            run: RunId::new("r").unwrap(),
            step: StepId::new("s").unwrap(),
            number,
            token: token.into(),
            intent_at_ms: 0,
            kept: Value::Null,
            facts: Facts::new(),
            answer: None,
            referred: None,
            made_by_run: BTreeMap::new(),
        }
    }

    #[test]
    fn knows_the_tokens_of_earlier_attempts_and_no_others() {
        let attempt = attempt("liftlock-r-s-3", 3);
        for ours in ["liftlock-r-s-1", "liftlock-r-s-2", "liftlock-r-s-3"] {
            assert!(is_ours(ours, &attempt), "{ours}");
        }
        for other in [
            "liftlock-r-s",
            "liftlock-r-t-1",
            "liftlock-r-s-1-2",
            "liftlock-r-s-x",
            "",
        ] {
            assert!(!is_ours(other, &attempt), "{other}");
        }
        assert!(is_marker(&alias_of("liftlock-r-s-1"), &attempt));
    }

    #[test]
    fn a_token_without_a_number_is_only_itself() {
        let attempt = attempt("abc", 1);
        assert!(is_ours("abc", &attempt));
        assert!(!is_ours("abc-2", &attempt));
        assert!(is_marker("liftlock-abc", &attempt));
    }
}
