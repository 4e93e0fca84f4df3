//! Which steps may go side by side: those of one phase that do not wait for each other and share no object.

use std::collections::BTreeSet;

use liftlock_types::rules::Class;
use liftlock_types::{Body, Condition, Step, StepId};

/// How far past the first unfinished step one that may begin is looked for.
///
/// Far enough for the largest number of steps at once, each with a handful of steps that wait for it.
const WINDOW: usize = 512;

/// The steps of a plan, and how far each is.
pub(crate) struct Order<'a> {
    steps: &'a [Step],
    objects: Vec<Option<BTreeSet<String>>>,
    states: Vec<Progress>,
    first: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Todo,
    Running,
    Done,
}

impl<'a> Order<'a> {
    pub(crate) fn new(steps: &'a [Step]) -> Self {
        Self {
            steps,
            objects: vec![None; steps.len()],
            states: vec![Progress::Todo; steps.len()],
            first: 0,
        }
    }

    pub(crate) fn begun(&mut self, at: usize) {
        self.states[at] = Progress::Running;
    }

    /// Marks it done. The phases that are over with it, as the place of their last step.
    pub(crate) fn done(&mut self, at: usize) -> Vec<usize> {
        self.states[at] = Progress::Done;
        let mut over = Vec::new();
        while self.states.get(self.first) == Some(&Progress::Done) {
            let phase = self.steps[self.first].phase;
            self.first += 1;
            if self
                .steps
                .get(self.first)
                .is_none_or(|next| next.phase != phase)
            {
                over.push(self.first - 1);
            }
        }
        over
    }

    /// The first step, in the plan's order, that may begin now.
    pub(crate) fn next(&mut self) -> Option<usize> {
        let phase = self.steps.get(self.first)?.phase;
        let end = self.steps.len().min(self.first + WINDOW);
        for at in self.first..end {
            if self.steps[at].phase != phase {
                return None;
            }
            if self.states[at] == Progress::Todo && self.may_begin(at) {
                return Some(at);
            }
            // Nothing overtakes a step that goes alone.
            if self.states[at] != Progress::Done && goes_alone(&self.steps[at]) {
                return None;
            }
        }
        None
    }

    fn may_begin(&mut self, at: usize) -> bool {
        if at == self.first {
            return !(self.first..self.steps.len().min(self.first + WINDOW))
                .any(|other| self.states[other] == Progress::Running)
                || (!goes_alone(&self.steps[at]) && self.shares_nothing(at));
        }
        let step = &self.steps[at];
        if goes_alone(step) || step.after.is_empty() {
            return false;
        }
        let waits = step.after.iter().any(|after| {
            self.steps
                .iter()
                .position(|step| step.id == *after)
                .is_some_and(|place| self.states[place] != Progress::Done)
        });
        !waits && self.shares_nothing(at)
    }

    /// No step that is under way, and none before it that is still to come, has an object of this one.
    fn shares_nothing(&mut self, at: usize) -> bool {
        let end = self.steps.len().min(self.first + WINDOW);
        (self.first..end).all(|other| {
            let matters = match self.states[other] {
                Progress::Running => true,
                Progress::Todo => other < at,
                Progress::Done => false,
            };
            other == at || !matters || !self.overlap(other, at)
        })
    }

    fn overlap(&mut self, a: usize, b: usize) -> bool {
        for at in [a, b] {
            if self.objects[at].is_none() {
                self.objects[at] = Some(objects(&self.steps[at]));
            }
        }
        let (Some(a), Some(b)) = (&self.objects[a], &self.objects[b]) else {
            return true;
        };
        a.iter().any(|one| b.iter().any(|other| same(one, other)))
    }
}

/// Does the later step wait for the earlier, by name or by its place?
pub(crate) fn waits_for(later: &Step, earlier: &Step) -> bool {
    later.phase != earlier.phase || later.after.is_empty() || later.after.contains(&earlier.id)
}

/// A change without a probe, a loan, a person's word, what is not a change, and what only the plugin can say is ready:
/// nothing goes beside it.
fn goes_alone(step: &Step) -> bool {
    let mut conditions = step.opens_when.iter().chain(&step.ends_when);
    if conditions.any(Condition::is_asked) {
        return true;
    }
    match &step.body {
        Body::Change(planned) => {
            planned.change.class() == Class::Opaque
                || planned.change.rule().borrows.is_some()
                || step.own_approval.is_some()
                || planned.change.refers_to().is_some()
        }
        Body::Capture { .. } | Body::HandOver { .. } | Body::GiveBack { .. } => true,
    }
}

/// Everything that a step reads or writes: binding and name.
fn objects(step: &Step) -> BTreeSet<String> {
    let mut objects = BTreeSet::new();
    if let Some(planned) = step.change() {
        for name in planned.change.names() {
            objects.insert(format!("{} {name}", planned.binding));
        }
    }
    for condition in step.opens_when.iter().chain(&step.ends_when) {
        for name in condition
            .predicate
            .reads()
            .iter()
            .flat_map(liftlock_types::Read::names)
        {
            objects.insert(format!("{} {name}", condition.binding));
        }
    }
    for rests in &step.rests_on {
        for name in rests.reading.read.names() {
            objects.insert(format!("{} {name}", rests.reading.binding));
        }
    }
    objects
}

/// The same name, or a pattern that means the other.
fn same(one: &str, other: &str) -> bool {
    match (one.strip_suffix('*'), other.strip_suffix('*')) {
        (None, None) => one == other,
        (Some(prefix), None) => other.starts_with(prefix),
        (None, Some(prefix)) => one.starts_with(prefix),
        (Some(one), Some(other)) => one.starts_with(other) || other.starts_with(one),
    }
}

/// Steps that are done, and that no step which has begun waits for.
pub(crate) fn frontier(
    steps: &[Step],
    done: impl Fn(&StepId) -> bool,
    begun: impl Fn(&StepId) -> bool,
) -> Vec<&Step> {
    let last = steps.iter().rposition(|step| begun(&step.id));
    let Some(last) = last else { return Vec::new() };
    let from = last.saturating_sub(WINDOW);
    (from..=last)
        .filter(|at| done(&steps[*at].id))
        .filter(|at| {
            !steps[at + 1..=last]
                .iter()
                .any(|later| begun(&later.id) && waits_for(later, &steps[*at]))
        })
        .map(|at| &steps[at])
        .collect()
}
