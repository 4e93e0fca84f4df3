//! Cases, and what came of them.

use std::fmt::Write as _;

/// What came of one hostile thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was stopped; the reason that was given.
    Stopped(String),
    /// It was not, or not for its reason, or something was harmed; what.
    Escaped(String),
}

impl Verdict {
    /// Stopped, if the reason that was given holds this.
    pub fn stopped_by(reason: &str, wanted: &str) -> Self {
        if reason.contains(wanted) {
            Self::Stopped(reason.to_owned())
        } else {
            Self::Escaped(format!(
                "stopped for another reason than `{wanted}`: {reason}"
            ))
        }
    }

    /// Still stopped only if nothing was harmed.
    #[must_use]
    pub fn and_unharmed(self, harm: anyhow::Result<()>) -> Self {
        match (self, harm) {
            (Self::Stopped(_), Err(harm)) => Self::Escaped(format!("{harm:#}")),
            (verdict, _) => verdict,
        }
    }
}

/// Counts cases, and tells each that escaped.
#[derive(Debug, Default)]
pub struct Judge {
    stopped: u64,
    escaped: Vec<String>,
    is_loud: bool,
}

impl Judge {
    /// Prints every case as it comes.
    pub fn loud() -> Self {
        Self {
            is_loud: true,
            ..Self::default()
        }
    }

    /// Counts one case.
    pub fn count(&mut self, case: &str, verdict: Verdict) {
        let line = match verdict {
            Verdict::Stopped(reason) => {
                self.stopped += 1;
                format!("stopped  {case}: {}", first_line(&reason))
            }
            Verdict::Escaped(what) => {
                let line = format!("ESCAPED  {case}: {what}");
                self.escaped.push(line.clone());
                line
            }
        };
        if self.is_loud {
            #[expect(clippy::print_stdout, reason = "cases are shown as they come")]
            {
                println!("{line}");
            }
        }
    }

    /// Cases so far.
    pub fn guests(&self) -> u64 {
        self.stopped + self.escaped.len() as u64
    }

    /// Those that were not stopped.
    pub fn escaped(&self) -> &[String] {
        &self.escaped
    }

    /// The line for scripts.
    pub fn summary(&self, seconds: u64) -> String {
        let mut line = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            line,
            "hostile: guests={} escaped={} seconds={seconds}",
            self.guests(),
            self.escaped.len()
        );
        line
    }
}

fn first_line(text: &str) -> String {
    const SHOWN_CHARS: usize = 160;
    let line = text.lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_reason_or_harm_is_an_escape() {
        let escaped = |verdict: Verdict| matches!(verdict, Verdict::Escaped(_));
        assert!(!escaped(Verdict::stopped_by("denied: no", "denied")));
        assert!(escaped(Verdict::stopped_by("ok", "denied")));
        let harmed =
            Verdict::stopped_by("denied", "denied").and_unharmed(Err(anyhow::anyhow!("PUT /a")));
        assert!(escaped(harmed));
    }

    #[test]
    fn the_last_line_counts_what_escaped() {
        let mut judge = Judge::default();
        judge.count("a", Verdict::Stopped("x".into()));
        judge.count("b", Verdict::Escaped("y".into()));
        assert_eq!(judge.summary(3), "hostile: guests=2 escaped=1 seconds=3");
    }
}
