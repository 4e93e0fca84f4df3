//! What `check` and `plan` say of a site, compared with what they say of it when nothing is wrong.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use super::answer;
use super::answer::Found;
use super::answer::Meant;
use crate::operator::Operator;
use crate::operator::Told;
use crate::proof::ensure;
use crate::tally::same;

/// What is usual on the site, and what was seen since somebody last asked.
#[derive(Debug)]
pub(super) struct Diagnosis {
    to: String,
    usual: BTreeSet<String>,
    lines: Vec<String>,
}

impl Diagnosis {
    /// Of a site without a trap, from which an upgrade leads to this version.
    pub(super) async fn healthy(operator: &Operator, to: &str) -> anyhow::Result<Self> {
        let mut all = Self {
            to: to.to_owned(),
            usual: BTreeSet::new(),
            lines: Vec::new(),
        };
        all.learn(operator).await?;
        Ok(all)
    }

    /// Takes what `check` says of a healthy site as usual.
    pub(super) async fn learn(&mut self, operator: &Operator) -> anyhow::Result<()> {
        let told = check(operator, &self.to).await?;
        let told = told.expect(0).context("the site without a trap")?;
        self.usual = answer::ids(&answer::findings(&told)?);
        Ok(())
    }

    /// Whether it is found on a healthy site too.
    pub(super) fn is_usual(&self, id: &str) -> bool {
        self.usual.contains(id)
    }

    /// A line of the report.
    pub(super) fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// The lines since the last call.
    pub(super) fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    /// `check` says exactly these, beside what is usual, and a blocker keeps `plan` from writing a plan. Gives the findings
    /// in the order of `expected`.
    pub(super) async fn finds(
        &mut self,
        operator: &Operator,
        expected: &[(Meant, &str)],
    ) -> anyhow::Result<Vec<Found>> {
        let to = self.to.clone();
        self.finds_on_the_way_to(&to, operator, expected).await
    }

    /// The same for another target.
    pub(super) async fn finds_on_the_way_to(
        &mut self,
        to: &str,
        operator: &Operator,
        expected: &[(Meant, &str)],
    ) -> anyhow::Result<Vec<Found>> {
        let told = check(operator, to).await?;
        let is_blocked = expected.iter().any(|(meant, _)| *meant == Meant::Blocker);
        let code = if is_blocked { 3 } else { 0 };
        let found = self.judge(&told.expect(code)?, expected)?;
        let before = plans(operator);
        let told = operator.run(&["plan", to, "--json"]).await?.expect(code)?;
        for (_, id) in expected {
            ensure(
                told.says(id),
                format!("`plan` does not show `{id}`\n{told}"),
            )?;
        }
        ensure(
            !is_blocked || plans(operator) == before,
            "a plan was written in spite of a blocker",
        )?;
        self.show(&found);
        Ok(found)
    }

    /// `check` said exactly these, beside what is usual. Gives them in that order.
    pub(super) fn judge(
        &self,
        told: &Told,
        expected: &[(Meant, &str)],
    ) -> anyhow::Result<Vec<Found>> {
        answer::judge(&answer::findings(told)?, &self.usual, expected)
    }

    /// Puts findings into the report.
    pub(super) fn show(&mut self, found: &[Found]) {
        for finding in found {
            let Found {
                severity,
                id,
                what,
                remedy,
                ..
            } = finding;
            self.say(format!("{severity} {id}: {what}"));
            self.say(format!("remedy: {remedy}"));
        }
    }

    /// `check` finds nothing beyond what is usual.
    pub(super) async fn is_mended(&mut self, operator: &Operator) -> anyhow::Result<()> {
        let told = check(operator, &self.to).await?;
        let told = told.expect(0).context("after the remedy")?;
        let left: Vec<String> = answer::ids(&answer::findings(&told)?)
            .difference(&self.usual)
            .cloned()
            .collect();
        same(&[], &left).context("findings after the remedy")?;
        self.say("after the remedy it is found no more");
        Ok(())
    }
}

async fn check(operator: &Operator, to: &str) -> anyhow::Result<Told> {
    operator.run(&["check", to, "--json"]).await
}

fn plans(operator: &Operator) -> BTreeSet<PathBuf> {
    let folder = operator.site().join("plans");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The one finding, which says all of this.
pub(super) fn one(found: Vec<Found>, says: &[&str]) -> anyhow::Result<Found> {
    let found = found.into_iter().next().context("a finding")?;
    for part in says {
        super::says(&found.all, part)?;
    }
    Ok(found)
}
