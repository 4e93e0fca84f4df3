//! Named checks: each counted, each on a line of its own.

use anyhow::bail;

/// What was checked so far.
#[derive(Debug, Default)]
pub struct Tally {
    context: String,
    passed: u64,
    failed: Vec<String>,
    lines: Vec<String>,
    is_loud: bool,
}

impl Tally {
    /// Prints each line as it comes.
    pub fn loud() -> Self {
        Self {
            is_loud: true,
            ..Self::default()
        }
    }

    /// What stands before the names of the checks from now on: which server, which part.
    pub fn about(&mut self, context: impl Into<String>) {
        self.context = context.into();
    }

    /// Counts one check, which passed when the result is good.
    pub fn check(&mut self, name: &str, result: anyhow::Result<()>) {
        let name = format!("{}: {name}", self.context);
        match result {
            Ok(()) => {
                self.passed += 1;
                self.say(format!("ok    {name}"));
            }
            Err(error) => {
                let text = format!("{error:#}").replace('\n', "\n      ");
                self.say(format!("FAIL  {name}\n      {text}"));
                self.failed.push(name);
            }
        }
    }

    /// Counts one check that two things are equal; lists what only one of them has.
    pub fn same(&mut self, name: &str, expected: &[String], found: &[String]) {
        self.check(name, same(expected, found));
    }

    /// A line that is no check.
    pub fn note(&mut self, text: &str) {
        let line = format!("      {}: {text}", self.context);
        self.say(line);
    }

    fn say(&mut self, line: String) {
        if self.is_loud {
            #[expect(
                clippy::print_stdout,
                reason = "a proof takes minutes; its lines are shown as they come"
            )]
            {
                println!("{line}");
            }
        }
        self.lines.push(line);
    }

    /// How many checks passed.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// The names of those that did not.
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// The number of checks, or an error with every line when one failed or there was none.
    pub fn into_count(self) -> anyhow::Result<u64> {
        if !self.failed.is_empty() {
            let lines = if self.is_loud {
                self.failed.join("; ")
            } else {
                self.lines.join("\n")
            };
            bail!(
                "{} of {} checks failed: {lines}",
                self.failed.len(),
                self.total()
            );
        }
        if self.passed == 0 {
            bail!("nothing was checked");
        }
        Ok(self.passed)
    }

    fn total(&self) -> u64 {
        self.passed + self.failed.len() as u64
    }
}

/// An error that lists what only one of two lists has; order and repetition count.
pub fn same(expected: &[String], found: &[String]) -> anyhow::Result<()> {
    if expected == found {
        return Ok(());
    }
    let mut lines = Vec::new();
    for (mark, these, those) in [("lacks", expected, found), ("has", found, expected)] {
        let mut rest = those.to_vec();
        for line in these {
            match rest.iter().position(|other| other == line) {
                Some(at) => drop(rest.remove(at)),
                None => lines.push(format!("{mark}: {line}")),
            }
        }
    }
    if lines.is_empty() {
        lines.push("the order differs".into());
        lines.extend(found.iter().map(|line| format!("has: {line}")));
    }
    bail!("{}", lines.join("\n"))
}

/// Milliseconds as seconds, for a person to read; none is 0.
#[expect(clippy::cast_precision_loss, reason = "for a person to read")]
pub fn seconds(ms: Option<u64>) -> f64 {
    ms.unwrap_or_default() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(these: &[&str]) -> Vec<String> {
        these.iter().map(|&text| text.into()).collect()
    }

    #[test]
    fn says_what_only_one_side_has() {
        let error = same(&texts(&["a", "b", "b"]), &texts(&["b", "c"])).unwrap_err();
        assert_eq!(error.to_string(), "lacks: a\nlacks: b\nhas: c");
        assert!(same(&texts(&["a", "b"]), &texts(&["b", "a"])).is_err());
        assert!(same(&texts(&["a"]), &texts(&["a"])).is_ok());
    }

    #[test]
    fn one_failure_or_nothing_at_all_is_no_success() {
        assert!(Tally::default().into_count().is_err());
        let mut tally = Tally::default();
        tally.about("x");
        tally.check("one", Ok(()));
        tally.check("two", Err(anyhow::anyhow!("no")));
        assert_eq!(tally.failed(), ["x: two"]);
        assert!(
            tally
                .into_count()
                .unwrap_err()
                .to_string()
                .contains("1 of 2")
        );
    }
}
