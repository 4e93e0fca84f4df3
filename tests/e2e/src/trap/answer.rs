//! What `check` answers, and whether that is what a trap should be told.

use std::collections::BTreeSet;

use anyhow::Context;
use anyhow::bail;
use serde_json::Value;

use crate::operator::Told;
use crate::proof::ensure;
use crate::tally::same;

/// What stands in the answer of `check` about one finding.
#[derive(Clone, Debug)]
pub struct Found {
    /// `optimize.wrong-prefix`.
    pub id: String,
    /// `blocker`, `warning` or `info`.
    pub severity: String,
    /// What was found.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub remedy: String,
    /// Everything beside these, as one text.
    pub all: String,
}

impl Found {
    fn of(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Self {
            id: text("id"),
            severity: text("severity"),
            what: text("what"),
            why: text("why"),
            remedy: text("remedy"),
            all: value.to_string(),
        }
    }
}

/// How a finding is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    /// No plan is written.
    Blocker,
    /// The upgrade goes on, and a person reads it.
    Warning,
    /// Likewise; there is nothing to do.
    Info,
}

impl Meant {
    fn word(self) -> &'static str {
        match self {
            Self::Blocker => "blocker",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// The findings in an answer of `check --json`.
pub fn findings(told: &Told) -> anyhow::Result<Vec<Found>> {
    let data = told.data()?;
    match data["findings"].as_array() {
        Some(list) => Ok(list.iter().map(Found::of).collect()),
        None => bail!("the answer has no findings\n{told}"),
    }
}

pub(super) fn ids(findings: &[Found]) -> BTreeSet<String> {
    findings.iter().map(|found| found.id.clone()).collect()
}

/// Exactly these were found, beside what is usual on the site without a trap, each with all its texts. Gives them in
/// that order.
pub fn judge(
    all: &[Found],
    usual: &BTreeSet<String>,
    expected: &[(Meant, &str)],
) -> anyhow::Result<Vec<Found>> {
    let mut news: Vec<String> = all
        .iter()
        .filter(|found| !usual.contains(&found.id))
        .map(|found| format!("{} {}", found.severity, found.id))
        .collect();
    let mut wanted: Vec<String> = expected
        .iter()
        .filter(|(_, id)| !usual.contains(*id))
        .map(|(meant, id)| format!("{} {id}", meant.word()))
        .collect();
    for list in [&mut news, &mut wanted] {
        list.sort();
        list.dedup();
    }
    same(&wanted, &news).context("findings")?;
    let mut found = Vec::new();
    for (_, id) in expected {
        let one = all
            .iter()
            .find(|found| found.id == *id)
            .with_context(|| format!("`{id}` was not found"))?;
        let is_whole = [&one.what, &one.why, &one.remedy]
            .iter()
            .all(|text| !text.is_empty());
        ensure(is_whole, format!("`{id}` lacks a text: {one:?}"))?;
        let names_command = one.severity != "blocker" || one.remedy.contains("`liftlock ");
        ensure(
            names_command,
            format!("the remedy of `{id}` names no command: {}", one.remedy),
        )?;
        found.push(one.clone());
    }
    Ok(found)
}
