//! Work into time: from what the same kinds of change took in earlier runs of this state directory.

use std::collections::{BTreeMap, BTreeSet};

use liftlock_journal::Journal;
use liftlock_types::event::OutcomeKind;
use liftlock_types::{Plan, Step};
use schemars::JsonSchema;
use serde::Serialize;

use crate::runs;
use crate::state::State;
use crate::view;

/// What was measured here.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    runs: usize,
    /// Verb and unit to amount and milliseconds.
    by_work: BTreeMap<(String, String), (u64, u64)>,
    /// Verb to how often and milliseconds.
    by_verb: BTreeMap<String, (u64, u64)>,
}

/// How long a plan's changes take, as far as that was measured here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Estimate {
    /// Of the changes that are known.
    pub(crate) ms: u64,
    /// Changes whose kind was measured.
    pub(crate) known: usize,
    /// Changes whose kind was not.
    pub(crate) unknown: usize,
    /// In how many earlier runs.
    pub(crate) runs: usize,
}

impl Rates {
    /// Of the runs of this state directory that were done. What cannot be read is left out: an estimate is no
    /// evidence, and its absence stops nothing.
    pub(crate) async fn measured(state: &State) -> Self {
        let mut rates = Self::default();
        if !state.has_journal() {
            return rates;
        }
        let Ok(journal) = state.journal_to_read().await else {
            return rates;
        };
        for summary in journal.runs().await.unwrap_or_default() {
            rates.add_run(&journal, &summary.run).await;
        }
        rates
    }

    async fn add_run(&mut self, journal: &Journal, run: &str) {
        let (Ok(state), Ok(plans)) = (
            runs::state_of(journal, run).await,
            runs::plans_of(journal, run).await,
        ) else {
            return;
        };
        if state.ended.as_deref() != Some("done") {
            return;
        }
        self.runs += 1;
        let mut seen = BTreeSet::new();
        for step in plans.iter().rev().flat_map(|file| &file.plan.steps) {
            // A step that was carried over is in both plans, and was done once.
            if !seen.insert(&step.id) {
                continue;
            }
            let known = state.step(&step.id);
            let last = known.last().filter(|last| {
                last.outcome
                    .as_ref()
                    .is_some_and(|outcome| outcome.kind == OutcomeKind::AppliedOurs)
            });
            if let Some(last) = last {
                self.add(
                    step,
                    u64::try_from(last.outcome_at_ms - last.intent_at_ms).unwrap_or_default(),
                );
            }
        }
    }

    fn add(&mut self, step: &Step, ms: u64) {
        let Some(planned) = step.change() else { return };
        let verb = planned.change.verb().to_string();
        for work in &step.work {
            let sum = self
                .by_work
                .entry((verb.clone(), work.unit.clone()))
                .or_default();
            *sum = (sum.0.saturating_add(work.amount), sum.1.saturating_add(ms));
        }
        let sum = self.by_verb.entry(verb).or_default();
        *sum = (sum.0 + 1, sum.1.saturating_add(ms));
    }

    fn of(&self, step: &Step) -> Option<u64> {
        let verb = step.change()?.change.verb().to_string();
        let by_work = step.work.iter().filter_map(|work| {
            let (amount, ms) = self
                .by_work
                .get(&(verb.clone(), work.unit.clone()))
                .filter(|sum| sum.0 > 0)?;
            Some(work.amount.saturating_mul(*ms) / amount)
        });
        let by_verb = || {
            self.by_verb
                .get(&verb)
                .filter(|sum| sum.0 > 0)
                .map(|(n, ms)| ms / n)
        };
        by_work.max().or_else(by_verb)
    }

    /// None where nothing was measured here.
    pub(crate) fn estimate(&self, plan: &Plan) -> Option<Estimate> {
        let changes = || plan.steps.iter().filter(|step| step.change().is_some());
        let known: Vec<u64> = changes().filter_map(|step| self.of(step)).collect();
        (!known.is_empty()).then(|| Estimate {
            ms: known.iter().sum(),
            known: known.len(),
            unknown: changes().count() - known.len(),
            runs: self.runs,
        })
    }
}

/// For people.
pub(crate) fn text(estimate: Option<&Estimate>) -> String {
    match estimate {
        None => "Time: not known, no run was measured in this state directory yet".into(),
        Some(estimate) => format!(
            "Time: about {} for {} of {} changes, measured here in {}; waits and checksums come on top",
            view::duration(estimate.ms),
            estimate.known,
            estimate.known + estimate.unknown,
            view::count(estimate.runs, "earlier run", "earlier runs"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::plan::tests::sample;

    #[test]
    fn time_is_work_over_a_measured_rate_and_nothing_where_none_was_measured() {
        let plan = sample().plan;
        let mut rates = Rates::default();
        assert_eq!(rates.estimate(&plan), None);
        rates.runs = 1;
        let mut half = plan.steps[1].clone();
        half.work[0].amount /= 2;
        rates.add(&half, 1_000);
        let estimate = rates.estimate(&plan).unwrap();
        assert_eq!(
            (estimate.ms, estimate.known, estimate.unknown),
            (2_000, 1, 1)
        );
        assert!(text(Some(&estimate)).contains("about 2.0 s for 1 of 2 changes"));
    }

    #[test]
    fn a_change_without_work_takes_what_its_kind_took() {
        let mut plan = sample().plan;
        plan.steps[0].work.clear();
        let mut rates = Rates::default();
        rates.add(&plan.steps[0], 300);
        rates.add(&plan.steps[0], 500);
        assert_eq!(rates.of(&plan.steps[0]), Some(400));
    }
}
