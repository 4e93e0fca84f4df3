//! Lists that are told: the first of them, and how many more there are.

use std::fmt::Display;

/// Most of a list that is told.
///
/// Five, because a finding is read in a terminal beside others, and who mends the first five has seen what they have in
/// common.
pub const TOLD_MAX: usize = 5;

/// The first [`TOLD_MAX`] of `all` with `between` them, and how many are left out.
pub fn first(all: impl IntoIterator<Item: Display>, between: &str) -> String {
    let mut rest = all.into_iter();
    let mut told: Vec<String> = rest
        .by_ref()
        .take(TOLD_MAX)
        .map(|one| one.to_string())
        .collect();
    let more = rest.count();
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told.join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_told_and_the_rest_is_counted() {
        let all: Vec<String> = (0..TOLD_MAX + 2).map(|n| format!("d{n}")).collect();
        assert_eq!(first(&all, "; "), "d0; d1; d2; d3; d4; and 2 more");
        assert_eq!(first(&all[..TOLD_MAX], ", "), "d0, d1, d2, d3, d4");
        assert_eq!(first(&all[..1], "; "), "d0");
        assert_eq!(first(&all[..0], "; "), "");
    }
}
