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

    fn begin(&self, what: &str) -> Spent {
        self.say(&format!("== {what}"));
        Spent {
            begun: Instant::now(),
            processor: processor(),
        }
    }

    /// Does one step, with its name before and its time after.
    pub(crate) fn step<T>(
        &self,
        what: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let spent = self.begin(what);
        let result = work();
        self.say(&spent.said(what, result.is_ok()));
        result
    }

    /// The same for work that waits.
    pub(crate) async fn wait<T>(
        &self,
        what: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let spent = self.begin(what);
        let result = work.await;
        self.say(&spent.said(what, result.is_ok()));
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

/// What a step began with.
struct Spent {
    begun: Instant,
    processor: Duration,
}

impl Spent {
    /// Time, and how much of a processor the step kept busy: 1.0 is one core all the time, little is waiting.
    fn said(&self, what: &str, is_good: bool) -> String {
        let how = if is_good { "done" } else { "FAILED" };
        let took = self.begun.elapsed().as_secs_f64();
        let processor = processor().saturating_sub(self.processor).as_secs_f64();
        format!("-- {what}: {how} in {took:.1} s, {processor:.1} s of processor")
    }
}

/// Processor time of this process and of all its ended children, by the kernel's account (proc(5), `/proc/pid/stat`,
/// in hundredths of a second).
fn processor() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_the_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let hundredths: u64 = after_the_name
        .split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(hundredths * 10)
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
    fn processor_time_is_counted_while_there_is_work() {
        let begun = Instant::now();
        let before = processor();
        while begun.elapsed() < Duration::from_secs(5) && processor() == before {
            std::hint::black_box(begun.elapsed());
        }
        assert!(processor() > before);
    }

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
