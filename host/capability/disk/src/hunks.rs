//! Edits of a text: pure.

use liftlock_types::Hunk;

/// Why hunks do not fit a text. Never holds a part of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HunkError {
    #[error("there is no hunk")]
    None,
    #[error("hunk {0} has no old text")]
    Empty(usize),
    #[error("the old text of hunk {0} does not stand in the file")]
    Missing(usize),
    #[error("the old text of hunk {0} stands in the file more than once")]
    NotUnique(usize),
    #[error("two hunks overlap")]
    Overlap,
}

/// Each old text is looked for in the text as it is, so hunks neither feed nor hide each other.
pub(crate) fn apply(text: &str, hunks: &[Hunk]) -> Result<String, HunkError> {
    if hunks.is_empty() {
        return Err(HunkError::None);
    }
    let mut places = Vec::with_capacity(hunks.len());
    for (n, hunk) in hunks.iter().enumerate() {
        let n = n + 1;
        let first = hunk.old.chars().next().ok_or(HunkError::Empty(n))?;
        let at = text.find(&hunk.old).ok_or(HunkError::Missing(n))?;
        // One character on, not one match on: `aa` stands twice in `aaa`.
        let behind = text.get(at + first.len_utf8()..).unwrap_or_default();
        if behind.contains(&hunk.old) {
            return Err(HunkError::NotUnique(n));
        }
        places.push((at, hunk));
    }
    places.sort_by_key(|(at, _)| *at);
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for (at, hunk) in places {
        let between = text.get(end..at).ok_or(HunkError::Overlap)?;
        out.push_str(between);
        out.push_str(&hunk.new);
        end = at + hunk.old.len();
    }
    out.push_str(text.get(end..).unwrap_or_default());
    Ok(out)
}

/// The hunks that take these back.
pub(crate) fn reverse(hunks: &[Hunk]) -> Vec<Hunk> {
    hunks
        .iter()
        .map(|hunk| Hunk {
            old: hunk.new.clone(),
            new: hunk.old.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hunk(old: &str, new: &str) -> Hunk {
        Hunk {
            old: old.into(),
            new: new.into(),
        }
    }

    #[test]
    fn edits_apply_to_the_text_as_it_was() {
        let hunks = [hunk("b", "a"), hunk("a", "b")];
        assert_eq!(apply("a-b", &hunks).unwrap(), "b-a");
    }

    #[test]
    fn refuses_what_does_not_stand_exactly_once() {
        assert_eq!(apply("x", &[]), Err(HunkError::None));
        assert_eq!(apply("x", &[hunk("", "y")]), Err(HunkError::Empty(1)));
        assert_eq!(apply("x", &[hunk("y", "z")]), Err(HunkError::Missing(1)));
        assert_eq!(
            apply("x x", &[hunk("x", "z")]),
            Err(HunkError::NotUnique(1))
        );
        assert_eq!(
            apply("aaa", &[hunk("aa", "z")]),
            Err(HunkError::NotUnique(1))
        );
        assert_eq!(
            apply("äää", &[hunk("ää", "z")]),
            Err(HunkError::NotUnique(1))
        );
        assert_eq!(
            apply("abc", &[hunk("ab", "x"), hunk("bc", "y")]),
            Err(HunkError::Overlap)
        );
    }

    #[test]
    fn reversed_hunks_take_an_edit_back_where_the_new_texts_are_unique() {
        let hunks = [hunk("8.7", "8.8"), hunk("old", "new")];
        let edited = apply("v 8.7 old", &hunks).unwrap();
        assert_eq!(apply(&edited, &reverse(&hunks)).unwrap(), "v 8.7 old");
    }
}
