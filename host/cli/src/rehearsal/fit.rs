//! Whether a rehearsal still fits a plan, and what it says of the time that the plan takes.

use std::collections::BTreeMap;
use std::path::Path;

use liftlock_types::{Binding, Digest, Plan, Step, StepId, Work};
use schemars::JsonSchema;
use serde::Serialize;

use super::record::{self, Record, RecordedStep, RehearsalOutcome};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Style;
use crate::rates::{Estimate, Rates};
use crate::view;

/// By how many hundredths the amounts of a plan may lie above those that were rehearsed.
///
/// 20: time grows with the data in proportion, so that an estimate is off by less than what else differs between two
/// systems; beyond it a disk that sufficed may not suffice. As the issue asks.
const GROWTH_PERCENT_MAX: u64 = 20;

/// Most differences of a kind that are told one by one.
const TOLD_MAX: usize = 5;

/// A rehearsal, and whether it fits the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct RehearsedData {
    /// Its record.
    file: String,
    /// Its run, in the journal of the rehearsals.
    run: String,
    /// Hash of the plan that was rehearsed: never the real plan's own, as that names the real targets.
    plan: String,
    /// What the two plans have in common where the rehearsal fits.
    shape: String,
    /// When it ended, ISO-8601.
    at: String,
    /// Who rehearsed.
    by: String,
    /// Every step was done and the validation passed.
    passed: bool,
    /// It passed, and what was rehearsed is this plan with data like these.
    fits: bool,
    /// Why it does not fit.
    why_not: Vec<String>,
    /// How long it took, milliseconds.
    took_ms: u64,
    /// It stopped on the way and was resumed: its times hold the breaks.
    interrupted: bool,
    /// How long the plan takes by it, milliseconds; none: it does not fit.
    estimate_ms: Option<u64>,
    /// Most bytes that the disk of each node held beyond what it held at the beginning, by `BINDING/NODE`; none: not
    /// measured.
    peak_disk_bytes: Option<BTreeMap<String, u64>>,
}

impl RehearsedData {
    /// For people: what became of it, where it ended.
    pub(crate) fn end(&self) -> (String, Style) {
        if self.passed {
            (format!("passed, certified in {}", self.file), Style::Good)
        } else {
            (format!("failed, written down in {}", self.file), Style::Bad)
        }
    }
}

/// How long a plan takes, by all that is known.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// By earlier runs of this state directory.
    pub(crate) measured: Option<Estimate>,
    /// By the last rehearsal.
    pub(crate) rehearsed: Option<RehearsedData>,
    by_step: BTreeMap<StepId, u64>,
}

impl Times {
    /// Of this plan. A record that cannot be used is told and left out: an estimate is no evidence.
    pub(crate) async fn of(context: &Context, plan: &Plan) -> Result<Self, Failure> {
        let measured = Rates::measured(&context.state()?).await.estimate(plan);
        let (records, bad) = record::all(&context.rehearsals_dir());
        for failure in bad {
            let data = failure.data();
            context
                .ui
                .warn(&format!("{}: {}", data.what, data.causes.join(", ")));
        }
        let mut times = Self {
            measured,
            ..Self::default()
        };
        if let Some((path, record)) = nearest(records, plan) {
            times.take_in(&path, &record, plan);
        }
        Ok(times)
    }

    fn take_in(&mut self, path: &Path, record: &Record, plan: &Plan) {
        let data = data(path, record, plan);
        if data.fits {
            self.by_step = estimates(record, plan);
        }
        self.rehearsed = Some(data);
    }

    /// How long this step takes by a rehearsal that fits, milliseconds.
    pub(crate) fn of_step(&self, step: &StepId) -> Option<u64> {
        self.by_step.get(step).copied()
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let measured = || crate::rates::text(self.measured.as_ref());
        match &self.rehearsed {
            None => measured(),
            Some(data) if data.fits => lines(data).join("\n"),
            Some(data) => {
                let mut out = lines(data);
                out.push(measured());
                out.join("\n")
            }
        }
    }
}

/// The last rehearsal of such a plan; else the last one of the same upgrade.
fn nearest(
    mut records: Vec<(std::path::PathBuf, Record)>,
    plan: &Plan,
) -> Option<(std::path::PathBuf, Record)> {
    records.retain(|(_, record)| {
        (&record.site, &record.product, &record.to) == (&plan.site, &plan.product, &plan.to)
    });
    let shape = plan.shape();
    records.into_iter().max_by(|(_, one), (_, other)| {
        let rank = |record: &Record| (record.shape == shape, record.ended_at.clone());
        rank(one).cmp(&rank(other))
    })
}

/// A rehearsal beside this plan.
pub(crate) fn data(path: &Path, record: &Record, plan: &Plan) -> RehearsedData {
    let why_not = misfits(record, plan);
    let fits = why_not.is_empty();
    RehearsedData {
        file: path.display().to_string(),
        run: record.run.clone(),
        plan: record.plan.to_string(),
        shape: record.shape.to_string(),
        at: record.ended_at.clone(),
        by: crate::escape::line(&record.by),
        passed: record.outcome == RehearsalOutcome::Passed,
        fits,
        why_not,
        took_ms: record.took_ms,
        interrupted: record.interrupted,
        estimate_ms: fits.then(|| total(record, plan)),
        peak_disk_bytes: record.peak_disk_bytes.clone(),
    }
}

/// For people: what a plan's screen says of a rehearsal.
fn lines(data: &RehearsedData) -> Vec<String> {
    let at = data.at.get(..16).unwrap_or(&data.at).replace('T', " ");
    let plan = data.plan.strip_prefix("sha256:").unwrap_or(&data.plan);
    let plan = plan.get(..8).unwrap_or(plan);
    let mut out = Vec::new();
    match data.estimate_ms {
        Some(ms) => out.push(format!(
            "Time: about {}, rehearsed {at} UTC (plan {plan}, run {}), which took {}{}",
            view::duration(ms),
            data.run,
            view::duration(data.took_ms),
            if data.interrupted {
                ", with a break"
            } else {
                ""
            },
        )),
        None => {
            out.push(format!(
                "Rehearsal of {at} UTC (plan {plan}, run {}) does not fit:",
                data.run
            ));
            out.extend(data.why_not.iter().map(|why| format!("  {why}")));
        }
    }
    if data.fits {
        out.push(match &data.peak_disk_bytes {
            None => "Disk at the highest: not measured".into(),
            Some(peaks) => {
                let peaks: Vec<String> = peaks
                    .iter()
                    .map(|(node, bytes)| format!("{node} +{}", view::bytes(*bytes)))
                    .collect();
                format!("Disk at the highest: {}", peaks.join(", "))
            }
        });
    }
    out
}

/// Why a rehearsal says nothing of this plan; empty: it does.
fn misfits(record: &Record, plan: &Plan) -> Vec<String> {
    let mut out = Vec::new();
    if let RehearsalOutcome::Failed { exit, step, why } = &record.outcome {
        let at = step
            .as_ref()
            .map(|step| format!(" at step `{step}`"))
            .unwrap_or_default();
        out.push(format!("it failed{at} with exit {exit}: {why}"));
    }
    if record.plugin.digest != plan.plugin.digest {
        out.push(format!(
            "the plugin is another: {} {} then, {} {} now",
            record.plugin.version,
            record.plugin.digest.short(),
            plan.plugin.version,
            plan.plugin.digest.short()
        ));
    }
    if record.shape != plan.shape() {
        let then = record.steps.iter();
        out.extend(other_steps(
            then.map(|step| (&step.id, step.shape.clone())),
            plan,
        ));
    }
    out.extend(grown(&of_record(record), &of_plan(plan), "rehearsed with"));
    out
}

/// What differs between the plan of a rehearsal and the real one; empty: they have one shape.
pub(crate) fn unlike(rehearsed: &Plan, real: &Plan) -> Vec<String> {
    if rehearsed.shape() == real.shape() {
        return Vec::new();
    }
    let then = rehearsed.steps.iter();
    other_steps(then.map(|step| (&step.id, step.shape())), real)
}

/// Where the targets of a rehearsal hold so much less than the real ones that it will not fit.
pub(crate) fn less_than_real(rehearsed: &Plan, real: &Plan) -> Vec<String> {
    grown(&of_plan(rehearsed), &of_plan(real), "to be rehearsed with")
}

/// By the shapes that the steps had when they were rehearsed.
fn other_steps<'a>(
    then: impl Iterator<Item = (&'a StepId, Digest)>,
    plan: &'a Plan,
) -> Vec<String> {
    let known: BTreeMap<&StepId, Digest> = then.collect();
    let now: BTreeMap<&StepId, &Step> = plan.steps.iter().map(|step| (&step.id, step)).collect();
    let new: Vec<&StepId> = now
        .keys()
        .filter(|id| !known.contains_key(*id))
        .copied()
        .collect();
    let gone: Vec<&StepId> = known
        .keys()
        .filter(|id| !now.contains_key(*id))
        .copied()
        .collect();
    let changed: Vec<&StepId> = now
        .iter()
        .filter(|(id, step)| known.get(*id).is_some_and(|then| *then != step.shape()))
        .map(|(id, _)| *id)
        .collect();
    let mut out = Vec::new();
    for (what, ids) in [
        ("not rehearsed", new),
        ("not in this plan any more", gone),
        ("other than rehearsed", changed),
    ] {
        if !ids.is_empty() {
            out.push(format!("steps {what}: {}", some_of(&ids)));
        }
    }
    if out.is_empty() {
        out.push(
            "the plan is another: the order of its steps, its guards, bindings or versions".into(),
        );
    }
    out
}

fn some_of(ids: &[&StepId]) -> String {
    let mut text: Vec<String> = ids.iter().take(TOLD_MAX).map(ToString::to_string).collect();
    if ids.len() > TOLD_MAX {
        text.push(format!("and {} more", ids.len() - TOLD_MAX));
    }
    text.join(", ")
}

/// Amounts of work by binding and unit.
type Amounts = BTreeMap<(Binding, String), u64>;

fn add(amounts: &mut Amounts, binding: &Binding, work: &[Work]) {
    for work in work {
        let sum = amounts
            .entry((binding.clone(), work.unit.clone()))
            .or_default();
        *sum = sum.saturating_add(work.amount);
    }
}

fn of_plan(plan: &Plan) -> Amounts {
    let mut amounts = Amounts::new();
    for step in &plan.steps {
        if let Some(planned) = step.change() {
            add(&mut amounts, &planned.binding, &step.work);
        }
    }
    amounts
}

fn of_record(record: &Record) -> Amounts {
    let mut amounts = Amounts::new();
    for step in &record.steps {
        if let Some(binding) = &step.binding {
            add(&mut amounts, binding, &step.work);
        }
    }
    amounts
}

/// What lies more than [`GROWTH_PERCENT_MAX`] above what it was.
fn grown(then: &Amounts, now: &Amounts, word: &str) -> Vec<String> {
    now.iter()
        .filter_map(|((binding, unit), now)| {
            let then = *then.get(&(binding.clone(), unit.clone()))?;
            let most = then.saturating_add(then.saturating_mul(GROWTH_PERCENT_MAX) / 100);
            let shown = |amount: u64| match unit.as_str() {
                "bytes" => view::bytes(amount),
                _ => format!("{} {}", view::amount(amount), crate::escape::line(unit)),
            };
            (*now > most).then(|| {
                format!(
                    "{binding} has {}, {word} {}: more than {GROWTH_PERCENT_MAX} % above",
                    shown(*now),
                    shown(then)
                )
            })
        })
        .collect()
}

/// How long each step takes: as long as rehearsed, in proportion to its work.
fn estimates(record: &Record, plan: &Plan) -> BTreeMap<StepId, u64> {
    let known: BTreeMap<&StepId, &RecordedStep> =
        record.steps.iter().map(|step| (&step.id, step)).collect();
    plan.steps
        .iter()
        .filter_map(|step| {
            let then = known.get(&step.id)?;
            Some((
                step.id.clone(),
                scaled(then.took_ms?, &then.work, &step.work),
            ))
        })
        .collect()
}

fn scaled(ms: u64, then: &[Work], now: &[Work]) -> u64 {
    let by_unit = now.iter().filter_map(|work| {
        let before = then.iter().find(|before| before.unit == work.unit)?;
        ms.saturating_mul(work.amount).checked_div(before.amount)
    });
    by_unit.max().unwrap_or(ms)
}

/// How long all of it takes: as long as rehearsed, with its waits, in proportion to the steps.
fn total(record: &Record, plan: &Plan) -> u64 {
    let then: u64 = record.steps.iter().filter_map(|step| step.took_ms).sum();
    let now: u64 = estimates(record, plan).values().sum();
    record
        .took_ms
        .saturating_mul(now)
        .checked_div(then)
        .unwrap_or(record.took_ms)
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;
    use crate::view::plan::tests::sample;

    fn beside(record: &Record, plan: &Plan) -> RehearsedData {
        data(Path::new("rehearsals/r-1.json"), record, plan)
    }

    #[test]
    fn a_rehearsal_of_the_same_plan_gives_its_time_in_proportion_to_the_work() {
        let file = sample();
        let record = record(&file, 60_000);
        let fits = beside(&record, &file.plan);
        assert!(fits.fits, "{:?}", fits.why_not);
        assert_eq!(fits.estimate_ms, Some(60_000));
        // Another target, and a tenth more in it.
        let mut plan = file.plan.clone();
        plan.steps[1].work[0].amount += plan.steps[1].work[0].amount / 10;
        let mut times = Times::default();
        times.take_in(Path::new("p"), &record, &plan);
        assert_eq!(times.of_step(&plan.steps[1].id), Some(66_000));
        let text = times.text();
        assert!(
            text.starts_with("Time: about 1 min 06 s, rehearsed ")
                && text.contains("which took 1 min 00 s")
                && text.contains("Disk at the highest: not measured"),
            "{text}"
        );
    }

    #[test]
    fn a_rehearsal_does_not_fit_when_the_data_grew_by_more_than_a_fifth() {
        let file = sample();
        let record = record(&file, 60_000);
        let with = |percent: u64| {
            let mut plan = file.plan.clone();
            for step in &mut plan.steps {
                step.work[0].amount += step.work[0].amount * percent / 100;
            }
            beside(&record, &plan)
        };
        assert!(with(20).fits);
        let grown = with(21);
        assert!(!grown.fits);
        assert!(
            grown.why_not.iter().any(|why| why.contains(
                "cluster.database has 74.0 M documents, rehearsed with 61.2 M documents"
            )),
            "{:?}",
            grown.why_not
        );
        assert_eq!(grown.estimate_ms, None);
    }

    #[test]
    fn a_rehearsal_does_not_fit_when_the_plan_changed_and_names_the_steps() {
        let file = sample();
        let record = record(&file, 1);
        let mut plan = file.plan.clone();
        let mut more = plan.steps[0].clone();
        more.id = StepId::new("again").unwrap();
        plan.steps.push(more);
        plan.steps[1].phase = liftlock_types::Phase::Switch;
        let said = beside(&record, &plan).why_not;
        assert_eq!(
            said,
            [
                "steps not rehearsed: again",
                "steps other than rehearsed: delete",
                "service.optimize has 122.4 M documents, rehearsed with 61.2 M documents: more than 20 % above"
            ]
        );
        let mut other_order = file.plan.clone();
        other_order.steps.reverse();
        assert!(beside(&record, &other_order).why_not[0].contains("the order of its steps"));
    }

    #[test]
    fn a_rehearsal_that_failed_gives_no_time_and_says_what_failed() {
        let file = sample();
        let mut record = record(&file, 1);
        record.outcome = RehearsalOutcome::Failed {
            exit: 22,
            step: Some(StepId::new("delete").unwrap()),
            why: "no".into(),
        };
        let mut times = Times::default();
        times.take_in(Path::new("p"), &record, &file.plan);
        let text = times.text();
        assert!(
            text.contains(
                "does not fit:\n  it failed at step `delete` with exit 22: no\nTime: not known"
            ),
            "{text}"
        );
    }

    #[test]
    fn the_last_rehearsal_of_such_a_plan_counts_and_else_the_last_of_the_upgrade() {
        let file = sample();
        let at = |day: &str, other: bool| {
            let mut record = record(&file, 1);
            record.ended_at = day.into();
            if other {
                record.shape = liftlock_types::Digest::of(b"other");
            }
            (std::path::PathBuf::from(day), record)
        };
        let found = |records| nearest(records, &file.plan).unwrap().0;
        let records = vec![at("1", false), at("2", false), at("3", true)];
        assert_eq!(found(records), Path::new("2"));
        assert_eq!(found(vec![at("1", true), at("2", true)]), Path::new("2"));
        let mut elsewhere = file.plan.clone();
        elsewhere.site = "stage".into();
        assert!(nearest(vec![at("1", false)], &elsewhere).is_none());
    }
}
