//! What a run's own record says of its time: which part was snapshot and trial restore, and what was written durably.

use std::collections::BTreeSet;

use anyhow::Context;
use serde_json::Value;

/// Rows of a run's record with what is needed of each.
#[derive(Debug)]
pub(crate) struct Timeline {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    at_ms: i64,
    step: Option<String>,
    is_intent: bool,
    is_outcome: bool,
    /// It is about a snapshot: taken, or restored on trial.
    is_backup: bool,
}

/// From one instant to another, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
}

impl Window {
    pub(crate) fn seconds(self) -> f64 {
        (self.to_ms - self.from_ms) as f64 / 1e3
    }

    pub(crate) fn holds(self, at_ms: i64) -> bool {
        (self.from_ms..self.to_ms).contains(&at_ms)
    }
}

impl Timeline {
    /// Reads the `data` of `liftlock audit --json`.
    pub(crate) fn of(audit: &Value) -> anyhow::Result<Self> {
        let rows = audit["rows"].as_array().context("the record has no rows")?;
        let rows = rows
            .iter()
            .map(|row| {
                let at = row["at"].as_str().unwrap_or_default();
                let text = row["text"].as_str().unwrap_or_default();
                let is_intent = row["kind"] == "intent";
                Ok(Row {
                    at_ms: instant_ms(at).with_context(|| format!("`{at}` is no instant"))?,
                    step: row["step"].as_str().map(str::to_owned),
                    is_intent,
                    is_outcome: row["kind"] == "outcome",
                    is_backup: is_intent
                        && ["snapshot.take ", "snapshot.prove "]
                            .iter()
                            .any(|verb| text.starts_with(verb)),
                })
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { rows })
    }

    /// Snapshot and trial restore, with what they look at before and remove afterwards: from the row before the first
    /// of their intents to the first intent after the last.
    pub(crate) fn backup(&self) -> anyhow::Result<Window> {
        let is_backup = |row: &Row| row.is_backup;
        let first = self.rows.iter().position(is_backup);
        let last = self.rows.iter().rposition(is_backup);
        let (Some(first), Some(last)) = (first, last) else {
            anyhow::bail!("the run took no snapshot");
        };
        let before = first.checked_sub(1).context("the run began with it")?;
        let after = self.rows[last + 1..]
            .iter()
            .find(|row| row.is_intent)
            .context("the run ended with it")?;
        Ok(Window {
            from_ms: self.rows[before].at_ms,
            to_ms: after.at_ms,
        })
    }

    /// All changes after snapshot and trial restore: to the last of their outcomes.
    pub(crate) fn changes(&self) -> anyhow::Result<Window> {
        let from_ms = self.backup()?.to_ms;
        let last = self.rows.iter().rfind(|row| row.is_outcome);
        let to_ms = last.context("nothing came of the run")?.at_ms;
        Ok(Window { from_ms, to_ms })
    }

    /// From the first row of one step to the last of another.
    pub(crate) fn of_steps(&self, first: &str, last: &str) -> anyhow::Result<Window> {
        let is = |row: &&Row, step: &str| row.step.as_deref() == Some(step);
        let from = self.rows.iter().find(|row| is(row, first));
        let to = self.rows.iter().rfind(|row| is(row, last));
        let at = |row: Option<&Row>, step| {
            row.map(|row| row.at_ms)
                .with_context(|| format!("the run has no row of step `{step}`"))
        };
        Ok(Window {
            from_ms: at(from, first)?,
            to_ms: at(to, last)?,
        })
    }

    /// How many steps wrote something.
    pub(crate) fn steps(&self) -> usize {
        let steps = self.rows.iter().filter_map(|row| row.step.as_deref());
        steps.collect::<BTreeSet<_>>().len()
    }

    /// Most rows that any one step has. Each row is at most one durable write.
    pub(crate) fn rows_of_a_step_max(&self) -> usize {
        let of = |step: &str| {
            let is_it = |row: &&Row| row.step.as_deref() == Some(step);
            self.rows.iter().filter(is_it).count()
        };
        let steps = self.rows.iter().filter_map(|row| row.step.as_deref());
        steps.map(of).max().unwrap_or_default()
    }

    /// Rows that belong to a step.
    pub(crate) fn rows_of_steps(&self) -> usize {
        self.rows.iter().filter(|row| row.step.is_some()).count()
    }
}

/// Milliseconds since 1970 of `2026-01-01T00:00:00.000Z`.
pub(crate) fn instant_ms(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(|at| at.as_millisecond())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn audit() -> Value {
        let row = |second: u32, step: Option<&str>, kind: &str, text: &str| {
            json!({
                "at": format!("2026-01-01T00:00:{second:02}.500Z"),
                "step": step, "kind": kind, "text": text,
            })
        };
        json!({ "rows": [
            row(0, None, "run-begun", ""),
            row(1, Some("stop"), "intent", "service.stop on service.optimize"),
            row(2, Some("stop"), "outcome", "applied-ours"),
            row(4, Some("snapshot"), "intent", "snapshot.take x on snapshot.backups"),
            row(6, Some("snapshot"), "outcome", "applied-ours"),
            row(7, Some("prove"), "intent", "snapshot.prove what step snapshot took"),
            row(11, Some("prove"), "outcome", "applied-ours"),
            row(15, Some("drop"), "intent", "cluster.delete-index a"),
            row(16, Some("drop"), "outcome", "applied-ours"),
            row(17, None, "run-ended", "done"),
        ] })
    }

    #[test]
    fn the_time_of_snapshot_and_trial_ends_where_the_next_change_begins() {
        let timeline = Timeline::of(&audit()).unwrap();
        let window = timeline.backup().unwrap();
        assert_eq!(window.seconds(), 13.0);
        let at = |text: &str| instant_ms(text).unwrap();
        assert!(window.holds(at("2026-01-01T00:00:14Z")));
        assert!(!window.holds(at("2026-01-01T00:00:15.500Z")));
        assert!(!window.holds(at("2026-01-01T00:00:01Z")));
    }

    #[test]
    fn the_time_of_the_changes_begins_after_the_trial_and_ends_with_the_last_outcome() {
        let changes = Timeline::of(&audit()).unwrap().changes().unwrap();
        assert_eq!(changes.seconds(), 1.0);
    }

    #[test]
    fn steps_take_from_their_first_row_to_their_last() {
        let timeline = Timeline::of(&audit()).unwrap();
        let window = timeline.of_steps("stop", "snapshot").unwrap();
        assert_eq!(window.seconds(), 5.0);
        let error = timeline.of_steps("stop", "start").unwrap_err();
        assert!(error.to_string().contains("step `start`"), "{error}");
    }

    #[test]
    fn rows_are_counted_by_step() {
        let timeline = Timeline::of(&audit()).unwrap();
        assert_eq!((timeline.steps(), timeline.rows_of_a_step_max()), (4, 2));
        assert_eq!(timeline.rows_of_steps(), 8);
    }

    #[test]
    fn a_run_without_a_snapshot_has_no_such_time() {
        let mut audit = audit();
        let rows = audit["rows"].as_array_mut().unwrap();
        rows.retain(|row| !row["text"].as_str().unwrap().starts_with("snapshot"));
        assert!(Timeline::of(&audit).unwrap().backup().is_err());
    }
}
