//! The steps, in their order.

use liftlock_types::event::{Captured, Event};
use liftlock_types::rules::Borrow;
use liftlock_types::{Body, Change, Exit, Predicate, ReadError, Step, StepId};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::beside::Order;
use crate::guard::Span;
use crate::observer::Happening;
use crate::pass::{Origin, Passing};
use crate::runner::{Halt, Runner};

impl Runner {
    /// Every step that is not done, in the plan's order, side by side where that is safe.
    ///
    /// When one fails, those beside it come to their own end; none begins after that.
    pub(crate) async fn steps(&self) -> Result<(), Halt> {
        let steps = &self.plan.steps;
        let mut order = Order::new(steps);
        let guards = &self.guards();
        let mut under_way = FuturesUnordered::new();
        let mut halt: Option<Halt> = None;
        loop {
            while halt.is_none() && under_way.len() < self.side_by_side {
                let Some(at) = order.next() else { break };
                let step = &steps[at];
                if self.state().step(&step.id).is_done() && !self.must_borrow_again(&steps[at..]) {
                    let state = self.state().step(&step.id);
                    let why = state
                        .outcome()
                        .map_or("recorded", |outcome| outcome.kind.as_str());
                    self.tell(Happening::StepSkipped {
                        step: step.id.clone(),
                        why: why.into(),
                    });
                    order.done(at);
                    continue;
                }
                if self.stop.is_set() {
                    halt = Some(self.stopped_by_person());
                    break;
                }
                order.begun(at);
                under_way.push(async move { (at, self.one_step(at, step, guards).await) });
            }
            match under_way.next().await {
                None => break,
                Some((at, Ok(()))) => {
                    if !order.done(at).is_empty() {
                        self.write_head().await?;
                    }
                }
                Some((_, Err(other))) => {
                    halt = Some(match halt {
                        None => other,
                        Some(first) => first.or_stronger(other, |less| {
                            self.tell(Happening::Note(format!("beside it: {}", less.why)));
                        }),
                    });
                }
            }
        }
        halt.map_or(Ok(()), Err)
    }

    async fn one_step(&self, at: usize, step: &Step, guards: &[Span<'_>]) -> Result<(), Halt> {
        self.tell(Happening::StepBegun {
            step: step.id.clone(),
            title: step.title.clone(),
            number: at + 1,
            of: self.plan.steps.len(),
        });
        self.approved_by_itself(step)?;
        self.guards_hold(guards, at).await?;
        for condition in &step.opens_when {
            self.wait_for(&step.id, condition).await?;
        }
        self.body(step).await?;
        for condition in &step.ends_when {
            self.wait_for(&step.id, condition).await?;
        }
        Ok(())
    }

    /// What this step borrowed went back when the run stopped, and steps that need it are still to come.
    pub(crate) fn must_borrow_again(&self, from: &[Step]) -> bool {
        let Some((step, later)) = from.split_first() else {
            return false;
        };
        let given_back_by_plan = later.iter().any(|later| {
            matches!(&later.body, Body::GiveBack { step: borrower } if *borrower == step.id)
                && self.state().step(&later.id).is_done()
        });
        self.state().step(&step.id).gave_back == Some(true)
            && !given_back_by_plan
            && later
                .iter()
                .any(|later| !self.state().step(&later.id).is_done())
    }

    pub(crate) fn step_approval(&self, step: &StepId) -> Option<(String, String)> {
        self.approvals.iter().find_map(|approval| {
            let given = approval.steps.iter().find(|given| given.step == *step)?;
            Some((approval.by.clone(), given.reason.clone()))
        })
    }

    pub(crate) fn approved_by_itself(&self, step: &Step) -> Result<(), Halt> {
        match &step.own_approval {
            Some(reason) if self.step_approval(&step.id).is_none() => Err(Halt::new(
                Exit::StepApproval,
                format!("step `{}` wants an approval of its own: {reason}", step.id),
            )
            .at(&step.id)
            .remedy(format!(
                "`liftlock approve PLAN --step {} --reason ...`, then resume",
                step.id
            ))),
            _ => Ok(()),
        }
    }

    pub(crate) async fn body(&self, step: &Step) -> Result<(), Halt> {
        match &step.body {
            Body::Change(planned) => {
                let passing = Passing {
                    id: &step.id,
                    planned,
                    facts: Some(&step.facts),
                    rests_on: &step.rests_on,
                    origin: Origin::Plan,
                };
                self.pass(&passing).await
            }
            Body::Capture { name, reads } => {
                let mut answers = Vec::with_capacity(reads.len());
                for reading in reads {
                    let answer = self.capability(&reading.binding)?.read(&reading.read).await;
                    if let Err(error @ ReadError::Unavailable(_)) = &answer {
                        return Err(self.unavailable("what the step keeps", error).at(&step.id));
                    }
                    answers.push(Captured {
                        reading: reading.clone(),
                        answer,
                    });
                }
                self.write_step(
                    &step.id,
                    1,
                    Event::Captured {
                        name: name.clone(),
                        answers,
                    },
                )
                .await
            }
            Body::HandOver { text } => match self.step_approval(&step.id) {
                Some((by, reason)) => {
                    let event = Event::Decided {
                        question: text.clone(),
                        answer: "attested".into(),
                        by,
                        reason,
                    };
                    self.write_step(&step.id, 1, event).await
                }
                None => Err(Halt::new(
                    Exit::StepApproval,
                    format!("a person has to do or attest: {text}"),
                )
                .at(&step.id)
                .remedy(format!(
                    "do it, then `liftlock approve PLAN --step {} --reason ...` and resume",
                    step.id
                ))),
            },
            Body::GiveBack { step: borrower } => self.give_back(&step.id, borrower).await,
        }
    }

    /// Services that this run stopped are stopped still: asked before each change.
    pub(crate) async fn check_standing(&self, at: &StepId) -> Result<(), Halt> {
        for id in self.state().borrowed(Borrow::Protective) {
            let Some(planned) = self.plan.step(&id).and_then(Step::change) else {
                continue;
            };
            if id == *at || !matches!(planned.change, Change::StopService {}) {
                continue;
            }
            let seen = self
                .capability(&planned.binding)?
                .evaluate(&Predicate::Stopped, None)
                .await
                .map_err(|error| {
                    self.unavailable("whether the writers are still stopped", &error)
                        .at(at)
                })?;
            if !seen.holds {
                return Err(Halt::new(
                    self.failed(),
                    format!("`{}` runs again: {}", planned.binding, seen.why),
                )
                .at(at)
                .remedy("stop it, and find out who started it; then resume"));
            }
        }
        Ok(())
    }
}
