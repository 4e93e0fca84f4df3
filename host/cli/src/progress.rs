//! A run while it goes: one line per event, and one that moves on a terminal.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use liftlock_gate::{Happening, Observer};
use liftlock_types::event::OutcomeKind;
use liftlock_types::{Digest, Finding, OnExpiry, Progress, StepId};

use crate::escape;
use crate::output::{Style, Ui};
use crate::view::{amount, bytes, duration, findings};

/// Over how long a rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(30);

/// A rate over less than this means nothing, and neither does a time to the end.
const RATE_MIN: Duration = Duration::from_secs(3);

/// How often a line about the same long work or wait is repeated where lines cannot be redrawn.
///
/// 15 s: a person sees that it goes on, and a log of a run of two hours has less than 500 of them.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// Tells a run on stderr.
pub(crate) struct Teller {
    ui: Ui,
    planned: BTreeSet<(String, String)>,
    bar: Option<ProgressBar>,
    begun: Instant,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    step: String,
    samples: VecDeque<(Instant, u64)>,
    said: Option<(String, Instant)>,
}

impl Teller {
    /// On this terminal, or in plain lines.
    ///
    /// Findings that the plan has already are told in one line.
    pub(crate) fn new(ui: Ui, planned: &[Finding]) -> Self {
        let bar = ui.is_live().then(|| {
            let bar = ProgressBar::new_spinner();
            // A template of ours: it parses, the test below sees to it.
            if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self {
            ui,
            planned: planned.iter().map(key).collect(),
            bar,
            begun: Instant::now(),
            now: Mutex::default(),
        }
    }

    /// Takes the moving line away.
    pub(crate) fn close(&self) {
        self.keep_unconcluded();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// A line that stays.
    fn line(&self, text: &str) {
        let stamped = format!("{} {text}", clock(self.begun.elapsed()));
        match &self.bar {
            Some(bar) => bar.suspend(|| self.ui.say(&stamped)),
            None => self.ui.say(&stamped),
        }
    }

    /// What goes on now: redrawn on a terminal, repeated now and then elsewhere.
    fn moving(&self, key: &str, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
            return;
        }
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let due = match &now.said {
            Some((said, at)) => said != key || at.elapsed() >= LINE_EVERY,
            None => true,
        };
        if due {
            now.said = Some((key.to_owned(), Instant::now()));
            drop(now);
            self.line(text);
        }
    }

    fn progress(&self, step: &StepId, progress: &Progress) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Instant::now();
        if now
            .samples
            .back()
            .is_some_and(|(_, done)| *done > progress.done)
        {
            now.samples.clear();
        }
        now.samples.push_back((at, progress.done));
        while now
            .samples
            .front()
            .is_some_and(|(then, _)| at.duration_since(*then) > RATE_WINDOW)
        {
            now.samples.pop_front();
        }
        let rate = rate(&now.samples);
        drop(now);
        self.moving(
            step.as_str(),
            &format!("      {}", progress_text(progress, rate)),
        );
    }
}

fn key(finding: &Finding) -> (String, String) {
    (finding.id.clone(), finding.subject.clone())
}

/// A recorded answer for people: a hash alone says only that the answer was long.
fn answer(text: &str) -> Option<String> {
    Digest::new(text)
        .is_err()
        .then(|| escape::bounded(text, 80))
}

/// The moving line of a terminal.
const TEMPLATE: &str = "{spinner} {wide_msg}";

/// Units each second, once that means something.
fn rate(samples: &VecDeque<(Instant, u64)>) -> Option<f64> {
    let ((from, first), (to, last)) = (samples.front()?, samples.back()?);
    let time = to.duration_since(*from);
    (time >= RATE_MIN && last > first).then(|| (last - first) as f64 / time.as_secs_f64())
}

fn progress_text(progress: &Progress, rate: Option<f64>) -> String {
    let of = |n: u64| {
        if progress.unit == "bytes" {
            bytes(n)
        } else {
            amount(n)
        }
    };
    let mut text = of(progress.done);
    if let Some(percent) = progress
        .done
        .saturating_mul(100)
        .checked_div(progress.total)
    {
        text = format!("{percent} %   {text} of {}", of(progress.total));
    }
    if progress.unit != "bytes" {
        text.push_str(&format!(" {}", escape::bounded(&progress.unit, 30)));
    }
    if let Some(rate) = rate {
        text.push_str(&format!("   {}/s", of(rate as u64)));
        if progress.total > progress.done {
            let left = (progress.total - progress.done) as f64 / rate;
            text.push_str(&format!("   {} left", duration((left * 1000.0) as u64)));
        }
    }
    if !progress.note.is_empty() {
        text.push_str(&format!("   {}", escape::line(&progress.note)));
    }
    text
}

fn clock(time: Duration) -> String {
    let s = time.as_secs();
    format!("{:02}:{:02}:{:02}", s / 3600, s % 3600 / 60, s % 60)
}

impl Observer for Teller {
    fn on(&self, happening: Happening) {
        let paint = self.ui.paint_talk();
        match happening {
            Happening::Drift { what, then, now } => {
                let what = escape::line(&what);
                self.line(&match (answer(&then), answer(&now)) {
                    (Some(then), Some(now)) => {
                        format!("drift  {what}: {then} when planned, now {now}")
                    }
                    _ => format!("drift  {what}: answers otherwise than when planned"),
                });
            }
            Happening::Found(finding) if self.planned.contains(&key(&finding)) => {
                let id = escape::line(&finding.id);
                self.line(&format!(
                    "found as planned: {id}  {}",
                    escape::line(&finding.subject)
                ));
            }
            Happening::Found(finding) => {
                let text = findings::one(&finding, paint);
                self.line(text.trim_end());
            }
            Happening::StepBegun {
                step,
                title,
                number,
                of,
            } => {
                let text = format!("[{number}/{of}] {}", escape::line(&title));
                // A step without a change has no conclusion; on a terminal its line would be redrawn away.
                self.keep_unconcluded();
                {
                    let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
                    now.step = text.clone();
                    now.samples.clear();
                    now.said = None;
                }
                match &self.bar {
                    Some(bar) => bar.set_message(text),
                    None => self.line(&format!("{text}   ({step})")),
                }
            }
            Happening::StepSkipped { step, why } => {
                self.line(&format!(
                    "      {step}: done before ({}), not done again",
                    escape::line(&why)
                ));
            }
            Happening::Progress { step, progress } => self.progress(&step, &progress),
            Happening::Waiting { step, label, why } => {
                let text = format!(
                    "      waits for: {}; {}",
                    escape::line(&label),
                    escape::line(&why)
                );
                self.moving(&format!("{step}/{label}"), &text);
            }
            Happening::Expired { label, then, .. } => {
                let then = match then {
                    OnExpiry::Fail => "the step fails",
                    OnExpiry::GoOnAndReport => "the plan says to go on; the report will name it",
                    OnExpiry::Ask => "a person must decide",
                };
                let text = format!("      not in time: {}; {then}", escape::line(&label));
                self.line(&paint.text(Style::Warn, &text));
            }
            Happening::Concluded { step, kind, why } => self.concluded(&step, kind, &why),
            Happening::Retrying { what, why } => {
                self.line(&format!(
                    "      looks again: {}; {}",
                    escape::line(&what),
                    escape::line(&why)
                ));
            }
            Happening::Stopping => self.line("stops here: every change sent so far is concluded"),
            Happening::Note(text) => self.line(&escape::line(&text)),
        }
    }
}

impl Teller {
    fn keep_unconcluded(&self) {
        let left = {
            let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut now.step)
        };
        if self.bar.is_some() && !left.is_empty() {
            self.line(&left);
        }
    }

    fn concluded(&self, step: &StepId, kind: OutcomeKind, why: &str) {
        let style = match kind {
            OutcomeKind::AppliedOurs | OutcomeKind::TrueNotOurs | OutcomeKind::TrueUnknownWhose => {
                Style::Good
            }
            OutcomeKind::NotSent => Style::Warn,
            OutcomeKind::Refused | OutcomeKind::Partial | OutcomeKind::Doubt => Style::Bad,
        };
        let begun = {
            let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut now.step)
        };
        let what = if self.bar.is_some() && !begun.is_empty() {
            begun
        } else {
            format!("      {step}")
        };
        let mut text = format!(
            "{what}: {}",
            self.ui.paint_talk().text(style, kind.as_str())
        );
        if !why.is_empty() {
            text.push_str(&format!(", {}", escape::line(why)));
        }
        self.line(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(done: u64, total: u64) -> Progress {
        Progress {
            done,
            total,
            unit: "documents".into(),
            note: String::new(),
        }
    }

    #[test]
    fn the_template_of_the_moving_line_parses() {
        ProgressStyle::with_template(TEMPLATE).unwrap();
    }

    #[test]
    fn a_rate_and_a_time_to_the_end_are_withheld_until_they_mean_something() {
        let now = Instant::now();
        let samples =
            |seconds: u64| VecDeque::from([(now, 0), (now + Duration::from_secs(seconds), 1000)]);
        assert_eq!(rate(&samples(1)), None);
        assert_eq!(
            rate(&VecDeque::from([
                (now, 5),
                (now + Duration::from_secs(9), 5)
            ])),
            None
        );
        assert_eq!(rate(&samples(10)), Some(100.0));
        assert_eq!(
            progress_text(&progress(1000, 4000), None),
            "25 %   1000 of 4000 documents"
        );
        assert_eq!(
            progress_text(&progress(1000, 4000), Some(100.0)),
            "25 %   1000 of 4000 documents   100/s   30.0 s left"
        );
    }
}
