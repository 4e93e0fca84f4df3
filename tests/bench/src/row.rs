//! One line of the bench: a ratio, its goal, and what it is a ratio to.

use serde_json::Value;
use serde_json::json;

/// What the ratio is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// The smaller the better: our cost over the peer's, or a value over its limit.
    AtMost(f64),
    /// The larger the better: the peer's cost over ours.
    AtLeast(f64),
}

impl Goal {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("<= {most}"),
            Self::AtLeast(least) => format!(">= {least}"),
        }
    }
}

/// One ratio that was measured in this run.
#[derive(Debug)]
pub(crate) struct Row {
    name: &'static str,
    ratio: f64,
    goal: Goal,
    peer: String,
    note: String,
}

impl Row {
    pub(crate) fn new(
        name: &'static str,
        ratio: f64,
        goal: Goal,
        peer: impl Into<String>,
        note: impl Into<String>,
    ) -> Self {
        Self {
            name,
            ratio,
            goal,
            peer: peer.into(),
            note: note.into(),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    fn is_met(&self) -> bool {
        self.goal.is_met(self.ratio)
    }

    /// For scripts.
    pub(crate) fn data(&self) -> Value {
        json!({
            "name": self.name,
            "ratio": rounded(self.ratio),
            "goal": self.goal.text(),
            "met": self.is_met(),
            "peer": self.peer,
            "note": self.note,
        })
    }
}

/// Three digits, which is more than the machine's noise leaves.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 2 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_at_its_bound_and_missed_beyond_it() {
        let row = |ratio, goal| Row::new("r", ratio, goal, "p", "n").is_met();
        assert!(row(1.2, Goal::AtMost(1.2)) && !row(1.21, Goal::AtMost(1.2)));
        assert!(row(10.0, Goal::AtLeast(10.0)) && !row(9.9, Goal::AtLeast(10.0)));
    }

    #[test]
    fn a_row_has_what_scripts_read() {
        let data = Row::new("r", 1.23456, Goal::AtMost(1.3), "p", "n").data();
        let expected = json!({
            "name": "r", "ratio": 1.23, "goal": "<= 1.3", "met": true, "peer": "p", "note": "n",
        });
        assert_eq!(data, expected);
        assert_eq!(rounded(123.456), 123.0);
        assert_eq!(rounded(0.012_345), 0.0123);
    }
}
