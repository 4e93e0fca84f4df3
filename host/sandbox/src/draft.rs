//! The draft that the host holds while a plugin plans. Nothing in it acts.

use std::collections::{BTreeMap, HashSet};

use liftlock_types::{
    Body, Condition, Guard, HandOver, Json, PLAN_STEPS_MAX, Phase, Planned, Proposal, ReadError,
    Reading, RestsOn, Step, StepId, Undo, UnitName, Work,
};

use crate::limits::{LIST_ITEMS_MAX, Limit, LimitHit};

/// A plan in the making.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    steps: Vec<DraftStep>,
    ids: HashSet<StepId>,
    summary: Vec<String>,
    not_done: Vec<String>,
    hand_overs: Vec<HandOver>,
    guards: Vec<Guard>,
}

/// A step in the making.
#[derive(Debug)]
pub(crate) struct DraftStep {
    id: StepId,
    phase: Phase,
    title: String,
    because: String,
    unit: Option<UnitName>,
    after: Vec<StepId>,
    body: Option<Body>,
    undo: Option<Undo>,
    opens_when: Vec<Condition>,
    ends_when: Vec<Condition>,
    rests_on: Vec<RestsOn>,
    work: Vec<Work>,
    peak_disk: BTreeMap<String, u64>,
    own_approval: Option<String>,
    memo: Option<Json>,
}

fn invalid<T>(text: String) -> Result<T, ReadError> {
    Err(ReadError::Invalid(text))
}

/// Adds to a list that a person reads: no longer than one that a plugin hands over at once.
fn add<T>(list: &mut Vec<T>, item: T) -> Result<(), LimitHit> {
    if list.len() >= LIST_ITEMS_MAX {
        return Err(LimitHit::new(Limit::ListItems, LIST_ITEMS_MAX));
    }
    list.push(item);
    Ok(())
}

impl Draft {
    /// Adds a step; its place in the plan is the returned index.
    pub(crate) fn step(
        &mut self,
        id: StepId,
        phase: Phase,
        title: String,
    ) -> Result<usize, ReadError> {
        if self.steps.len() >= PLAN_STEPS_MAX {
            return invalid(format!("a plan has at most {PLAN_STEPS_MAX} steps"));
        }
        if !self.ids.insert(id.clone()) {
            return invalid(format!("the plan has a step `{id}` already"));
        }
        self.steps.push(DraftStep {
            id,
            phase,
            title,
            because: String::new(),
            unit: None,
            after: Vec::new(),
            body: None,
            undo: None,
            opens_when: Vec::new(),
            ends_when: Vec::new(),
            rests_on: Vec::new(),
            work: Vec::new(),
            peak_disk: BTreeMap::new(),
            own_approval: None,
            memo: None,
        });
        Ok(self.steps.len() - 1)
    }

    /// The step at an index that [`Draft::step`] gave.
    pub(crate) fn at(&mut self, index: usize) -> Option<&mut DraftStep> {
        self.steps.get_mut(index)
    }

    pub(crate) fn add_summary(&mut self, text: String) -> Result<(), LimitHit> {
        add(&mut self.summary, text)
    }

    pub(crate) fn add_not_done(&mut self, text: String) -> Result<(), LimitHit> {
        add(&mut self.not_done, text)
    }

    pub(crate) fn add_hand_over(&mut self, title: String, text: String) -> Result<(), LimitHit> {
        add(&mut self.hand_overs, HandOver { title, text })
    }

    pub(crate) fn add_guard(&mut self, guard: Guard) -> Result<(), LimitHit> {
        add(&mut self.guards, guard)
    }

    /// The finished proposal. Refuses a step that does nothing, by its name.
    pub(crate) fn close(self) -> Result<Proposal, String> {
        Ok(Proposal {
            steps: self
                .steps
                .into_iter()
                .map(DraftStep::close)
                .collect::<Result<_, _>>()?,
            summary: self.summary,
            not_done: self.not_done,
            hand_overs: self.hand_overs,
            guards: self.guards,
        })
    }
}

impl DraftStep {
    pub(crate) fn after(&mut self, id: StepId) -> Result<(), ReadError> {
        if id == self.id {
            return invalid(format!("step `{id}` cannot be after itself"));
        }
        if self.after.contains(&id) {
            return Ok(());
        }
        if self.after.len() >= PLAN_STEPS_MAX {
            return invalid(format!("a plan has at most {PLAN_STEPS_MAX} steps"));
        }
        self.after.push(id);
        Ok(())
    }

    /// The part of the plan that goes back by itself.
    pub(crate) fn unit(&mut self, unit: UnitName) -> Result<(), ReadError> {
        match &self.unit {
            Some(other) if *other != unit => invalid(format!(
                "step `{}` belongs to unit `{other}` already",
                self.id
            )),
            _ => {
                self.unit = Some(unit);
                Ok(())
            }
        }
    }

    /// The one thing it does.
    pub(crate) fn body(&mut self, body: Body) -> Result<(), ReadError> {
        if self.body.is_some() {
            return invalid(format!(
                "step `{}` does one thing, and has it already",
                self.id
            ));
        }
        self.body = Some(body);
        Ok(())
    }

    pub(crate) fn captures(&mut self, name: String, reads: Vec<Reading>) -> Result<(), ReadError> {
        if reads.is_empty() {
            return invalid(format!("the capture of step `{}` reads nothing", self.id));
        }
        self.body(Body::Capture { name, reads })
    }

    pub(crate) fn undo(&mut self, planned: Planned) -> Result<(), ReadError> {
        match &mut self.undo {
            None => self.undo = Some(Undo::Changes(vec![planned])),
            Some(Undo::Changes(changes)) if changes.len() >= LIST_ITEMS_MAX => {
                return invalid(format!("a step has at most {LIST_ITEMS_MAX} undo changes"));
            }
            Some(Undo::Changes(changes)) => changes.push(planned),
            Some(_) => return self.second_undo(),
        }
        Ok(())
    }

    pub(crate) fn undo_as(&mut self, undo: Undo) -> Result<(), ReadError> {
        if self.undo.is_some() {
            return self.second_undo();
        }
        self.undo = Some(undo);
        Ok(())
    }

    fn second_undo(&self) -> Result<(), ReadError> {
        invalid(format!(
            "step `{}` has another way to be undone already",
            self.id
        ))
    }

    pub(crate) fn opens_when(&mut self, condition: Condition) -> Result<(), LimitHit> {
        add(&mut self.opens_when, condition)
    }

    pub(crate) fn ends_when(&mut self, condition: Condition) -> Result<(), LimitHit> {
        add(&mut self.ends_when, condition)
    }

    pub(crate) fn rests_on(&mut self, fact: RestsOn) -> Result<(), LimitHit> {
        if self.rests_on.contains(&fact) {
            return Ok(());
        }
        add(&mut self.rests_on, fact)
    }

    pub(crate) fn expect_work(&mut self, unit: String, amount: u64) -> Result<(), LimitHit> {
        add(&mut self.work, Work { unit, amount })
    }

    /// Several for one node add up.
    pub(crate) fn peak_disk(&mut self, node: String, bytes: u64) -> Result<(), LimitHit> {
        if self.peak_disk.len() >= LIST_ITEMS_MAX && !self.peak_disk.contains_key(&node) {
            return Err(LimitHit::new(Limit::ListItems, LIST_ITEMS_MAX));
        }
        let peak = self.peak_disk.entry(node).or_default();
        *peak = peak.saturating_add(bytes);
        Ok(())
    }

    pub(crate) fn own_approval(&mut self, reason: String) {
        self.own_approval = Some(reason);
    }

    pub(crate) fn memo(&mut self, memo: Json) {
        self.memo = Some(memo);
    }

    pub(crate) fn because(&mut self, text: String) {
        if !self.because.is_empty() {
            self.because.push('\n');
        }
        self.because.push_str(&text);
    }

    fn close(self) -> Result<Step, String> {
        let Some(body) = self.body else {
            return Err(format!(
                "step `{}` has no change, capture, hand-over or give-back",
                self.id
            ));
        };
        Ok(Step {
            // Where the author says nothing: the host's own undo. Freezing refuses it where the kind has none.
            undo: self.undo.unwrap_or(Undo::Automatic),
            id: self.id,
            phase: self.phase,
            title: self.title,
            because: self.because,
            unit: self.unit,
            after: self.after,
            body,
            opens_when: self.opens_when,
            ends_when: self.ends_when,
            rests_on: self.rests_on,
            facts: BTreeMap::new(),
            work: self.work,
            peak_disk: self.peak_disk,
            own_approval: self.own_approval,
            memo: self.memo,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use liftlock_types::{Binding, Change, IndexName};

    fn id(text: &str) -> StepId {
        StepId::new(text).unwrap()
    }

    fn delete() -> Planned {
        Planned {
            binding: Binding::new("cluster.database").unwrap(),
            change: Change::DeleteIndex {
                name: IndexName::new("a").unwrap(),
                uuid: "u".into(),
            },
            fills: vec![],
        }
    }

    #[test]
    fn a_step_id_stands_once() {
        let mut draft = Draft::default();
        draft.step(id("a"), Phase::Prepare, "A".into()).unwrap();
        let error = draft.step(id("a"), Phase::Prepare, "B".into()).unwrap_err();
        assert!(error.to_string().contains("`a`"), "{error}");
    }

    #[test]
    fn a_step_does_exactly_one_thing() {
        let mut draft = Draft::default();
        let n = draft.step(id("a"), Phase::Contract, "A".into()).unwrap();
        let step = draft.at(n).unwrap();
        step.body(Body::Change(delete())).unwrap();
        assert!(step.body(Body::HandOver { text: "x".into() }).is_err());
        draft.step(id("b"), Phase::Contract, "B".into()).unwrap();
        assert!(draft.close().unwrap_err().contains("`b`"));
    }

    #[test]
    fn an_undo_is_of_one_way() {
        let mut draft = Draft::default();
        let n = draft.step(id("a"), Phase::Contract, "A".into()).unwrap();
        let step = draft.at(n).unwrap();
        step.undo(delete()).unwrap();
        step.undo(delete()).unwrap();
        assert!(step.undo_as(Undo::ByRestore(id("s"))).is_err());
    }

    #[test]
    fn a_plan_has_a_last_step() {
        let mut draft = Draft::default();
        for n in 0..PLAN_STEPS_MAX {
            draft
                .step(id(&format!("s{n}")), Phase::Expand, String::new())
                .unwrap();
        }
        assert!(
            draft
                .step(id("one-more"), Phase::Expand, String::new())
                .is_err()
        );
    }
}
