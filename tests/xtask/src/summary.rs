//! Steps with their times, and the last line of every command.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant;

/// What a command did so far.
#[derive(Debug)]
pub(crate) struct Summary {
    name: String,
    begun: Instant,
    fields: Vec<(String, String)>,
    is_on_stderr: bool,
    is_plain: bool,
}

impl Summary {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            begun: Instant::now(),
            fields: Vec::new(),
            is_on_stderr: false,
            is_plain: false,
        }
    }

    /// Keeps the standard output for data: steps, times and the last line go to the other one.
    pub(crate) fn talk_on_stderr(&mut self) {
        self.is_on_stderr = true;
    }

    /// Leaves verdict and time out of the last line: its numbers are the verdict.
    pub(crate) fn plain(&mut self) {
        self.is_plain = true;
    }

    fn say(&self, line: &str) {
        if self.is_on_stderr {
            eprintln!("{line}");
        } else {
            println!("{line}");
        }
    }

    /// Adds `key=value` to the last line; a blank in the value becomes `-`, as a script splits there.
    pub(crate) fn field(&mut self, key: &str, value: impl Display) {
        let value = value.to_string().replace(char::is_whitespace, "-");
        self.fields.push((key.to_owned(), value));
    }

    /// Does one step, with its name before and its time after.
    pub(crate) fn step<T>(
        &self,
        what: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.say(&format!("== {what}"));
        let begun = Instant::now();
        let result = work();
        self.say(&said(what, begun.elapsed(), result.is_ok()));
        result
    }

    /// The same for work that waits.
    pub(crate) async fn wait<T>(
        &self,
        what: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.say(&format!("== {what}"));
        let begun = Instant::now();
        let result = work.await;
        self.say(&said(what, begun.elapsed(), result.is_ok()));
        result
    }

    /// Seconds since the command began.
    pub(crate) fn seconds(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }

    /// Prints what failed, if anything did, and the line for scripts.
    pub(crate) fn finish(self, result: anyhow::Result<()>) -> ExitCode {
        let seconds = self.seconds();
        let is_good = result.is_ok();
        if let Err(error) = result {
            self.say(&format!("error: {error:#}"));
        }
        if self.is_plain && !self.fields.is_empty() {
            self.say(&format!("{}:{}", self.name, pairs(&self.fields)));
        } else {
            self.say(&line(&self.name, is_good, &self.fields, seconds));
        }
        if is_good {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

fn said(what: &str, took: Duration, is_good: bool) -> String {
    let how = if is_good { "done" } else { "FAILED" };
    format!("-- {what}: {how} in {:.1} s", took.as_secs_f64())
}

fn line(name: &str, is_good: bool, fields: &[(String, String)], seconds: u64) -> String {
    let verdict = if is_good { "PASS" } else { "FAIL" };
    format!("{name}: {verdict}{} seconds={seconds}", pairs(fields))
}

fn pairs(fields: &[(String, String)]) -> String {
    fields
        .iter()
        .map(|(key, value)| format!(" {key}={value}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_one_that_a_script_can_split_at_blanks() {
        let mut summary = Summary::new("prove optimize".into());
        summary.field("servers", 2);
        summary.field("cluster", "simulated cluster");
        let line = line(&summary.name, true, &summary.fields, 84);
        assert_eq!(
            line,
            "prove optimize: PASS servers=2 cluster=simulated-cluster seconds=84"
        );
    }
}
