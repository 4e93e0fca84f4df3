//! A run while it goes: one line per event, and on a terminal one that moves for each step at work.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use liftlock_gate::{Happening, Observer};
use liftlock_types::event::OutcomeKind;
use liftlock_types::{Digest, Finding, OnExpiry, Plan, Progress, StepId};

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
    order: Order,
    bars: Option<MultiProgress>,
    begun: Instant,
    now: Mutex<Vec<Active>>,
}

/// Which steps of the plan must be over before one begins; what is over has no word of its own for it.
#[derive(Default)]
struct Order {
    before: BTreeMap<StepId, Vec<StepId>>,
}

impl Order {
    fn of(plan: &Plan, at_once: usize) -> Self {
        if at_once <= 1 {
            return Self::default();
        }
        let steps = &plan.steps;
        let before = steps.iter().enumerate().map(|(at, step)| {
            let earlier = steps.get(..at).unwrap_or_default();
            let over: Vec<StepId> = earlier
                .iter()
                .filter(|other| other.phase != step.phase || step.after.contains(&other.id))
                .chain(earlier.last().filter(|_| step.after.is_empty()))
                .map(|other| other.id.clone())
                .collect();
            (step.id.clone(), over)
        });
        Self {
            before: before.collect(),
        }
    }

    /// Is that one over when this one begins? Where nothing is known, one step follows the other.
    fn ends(&self, step: &StepId, other: &StepId) -> bool {
        match (self.before.get(step), self.before.contains_key(other)) {
            (Some(over), true) => over.contains(other),
            _ => true,
        }
    }
}

/// A step that goes on.
struct Active {
    step: StepId,
    /// `[3/15] title`.
    head: String,
    samples: VecDeque<(Instant, u64)>,
    said: Option<(String, Instant)>,
    bar: Option<ProgressBar>,
    /// Its conclusion is on the screen already.
    told: bool,
}

impl Active {
    fn number(&self) -> &str {
        self.head.split(['/', ']']).next().unwrap_or_default()
    }
}

impl Teller {
    /// On this terminal, or in plain lines, of a run that does so many steps at once.
    ///
    /// Findings that the plan has already are told in one line.
    pub(crate) fn new(ui: Ui, plan: &Plan, at_once: usize) -> Self {
        Self {
            ui,
            planned: plan.findings.iter().map(key).collect(),
            order: Order::of(plan, at_once),
            bars: ui.is_live().then(MultiProgress::new),
            begun: Instant::now(),
            now: Mutex::default(),
        }
    }

    fn now(&self) -> MutexGuard<'_, Vec<Active>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the moving lines away.
    pub(crate) fn close(&self) {
        self.retire(|_| true);
        if let Some(bars) = &self.bars {
            // A terminal that went away needs no cleaning.
            let _ = bars.clear();
        }
    }

    /// A line that stays.
    fn line(&self, text: &str) {
        let stamped = format!("{} {text}", clock(self.begun.elapsed()));
        match &self.bars {
            Some(bars) => bars.suspend(|| self.ui.say(&stamped)),
            None => self.ui.say(&stamped),
        }
    }

    /// Steps that are over leave the moving lines; one without a conclusion of its own leaves its title.
    fn retire(&self, over: impl Fn(&StepId) -> bool) {
        let gone: Vec<Active> = self
            .now()
            .extract_if(.., |active| over(&active.step))
            .collect();
        for active in gone {
            if let (Some(bar), Some(bars)) = (&active.bar, &self.bars) {
                bar.finish_and_clear();
                bars.remove(bar);
                if !active.told {
                    self.line(&active.head);
                }
            }
        }
    }

    fn begin(&self, step: &StepId, head: String) {
        self.retire(|other| self.order.ends(step, other));
        if self.bars.is_none() {
            self.line(&format!("{head}   ({step})"));
        }
        let bar = self.bar(&head);
        self.now().push(Active {
            step: step.clone(),
            head,
            samples: VecDeque::new(),
            said: None,
            bar,
            told: false,
        });
    }

    fn bar(&self, text: &str) -> Option<ProgressBar> {
        let bar = self.bars.as_ref()?.add(ProgressBar::new_spinner());
        // A template of ours: it parses, the test below sees to it.
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        Some(bar)
    }

    /// What goes on now: redrawn on a terminal, repeated now and then elsewhere.
    fn moving(&self, step: &StepId, key: &str, text: &str) {
        let mut now = self.now();
        let several = now.len() > 1;
        let Some(active) = now.iter_mut().find(|active| active.step == *step) else {
            drop(now);
            self.line(&format!("      {step}: {text}"));
            return;
        };
        if let Some(bar) = &active.bar {
            bar.set_message(format!("{}: {text}", active.head));
            return;
        }
        let due = match &active.said {
            Some((said, at)) => said != key || at.elapsed() >= LINE_EVERY,
            None => true,
        };
        if due {
            active.said = Some((key.to_owned(), Instant::now()));
            let whose = if several {
                format!("{}]", active.number())
            } else {
                String::new()
            };
            drop(now);
            self.line(&format!("{whose:<5} {text}"));
        }
    }

    fn progress(&self, step: &StepId, progress: &Progress) {
        let mut now = self.now();
        let rate = now
            .iter_mut()
            .find(|active| active.step == *step)
            .and_then(|active| {
                sample(&mut active.samples, progress.done);
                rate(&active.samples)
            });
        drop(now);
        self.moving(step, step.as_str(), &progress_text(progress, rate));
    }
}

/// One more point of the curve; what is too old for a rate is forgotten, and all of it when the work began anew.
fn sample(samples: &mut VecDeque<(Instant, u64)>, done: u64) {
    let at = Instant::now();
    if samples.back().is_some_and(|(_, before)| *before > done) {
        samples.clear();
    }
    samples.push_back((at, done));
    while samples
        .front()
        .is_some_and(|(then, _)| at.duration_since(*then) > RATE_WINDOW)
    {
        samples.pop_front();
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

/// A moving line of a terminal.
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
            } => self.begin(&step, format!("[{number}/{of}] {}", escape::line(&title))),
            Happening::StepSkipped { step, why } => {
                self.line(&format!(
                    "      {step}: done before ({}), not done again",
                    escape::line(&why)
                ));
            }
            Happening::Progress { step, progress } => self.progress(&step, &progress),
            Happening::Waiting { step, label, why } => {
                let text = format!(
                    "waits for: {}; {}",
                    escape::line(&label),
                    escape::line(&why)
                );
                // Another reason is news: what is written is first known at the second look.
                self.moving(&step, &format!("{step}/{label}/{why}"), &text);
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
    fn concluded(&self, step: &StepId, kind: OutcomeKind, why: &str) {
        let style = match kind {
            OutcomeKind::AppliedOurs | OutcomeKind::TrueNotOurs | OutcomeKind::TrueUnknownWhose => {
                Style::Good
            }
            OutcomeKind::NotSent | OutcomeKind::Absent => Style::Warn,
            OutcomeKind::Refused | OutcomeKind::Partial | OutcomeKind::Doubt => Style::Bad,
        };
        let live = self.bars.is_some();
        let head = self
            .now()
            .iter_mut()
            .find(|active| live && active.step == *step)
            .map(|active| {
                active.told = true;
                active.head.clone()
            });
        let what = head.unwrap_or_else(|| format!("      {step}"));
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
    fn a_step_that_begins_ends_those_it_waits_for_and_no_others() {
        let mut plan = crate::view::plan::tests::sample().plan;
        let id = |id: &str| StepId::new(id).unwrap();
        let step = |id: &str, after: &[&str]| {
            let mut step = plan.steps[1].clone();
            step.id = StepId::new(id).unwrap();
            step.after = after.iter().map(|id| StepId::new(*id).unwrap()).collect();
            step
        };
        let more = [
            step("a", &["delete"]),
            step("b", &["delete"]),
            step("c", &[]),
        ];
        plan.steps.extend(more);
        let order = Order::of(&plan, 4);
        assert!(order.ends(&id("delete"), &id("stop")), "the phase is over");
        assert!(!order.ends(&id("b"), &id("a")), "they go side by side");
        assert!(order.ends(&id("c"), &id("b")) && !order.ends(&id("c"), &id("a")));
        assert!(
            order.ends(&id("undo.a"), &id("b")),
            "unknown: one after the other"
        );
        assert!(Order::of(&plan, 1).ends(&id("b"), &id("a")));
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
