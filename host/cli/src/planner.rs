//! The plugin of a run, bound to its site: what the gate asks of it, answered through the sandbox.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use liftlock_gate::{Asked, Bindings, Planner, PlannerFault, Replanned, RunState, now_ms};
use liftlock_sandbox::{
    Call, Called, Denial, LogSink, Plugin, PluginFault, ReadMade, ReadSource, Refusal, Replay,
    RunView, SiteView, StepView,
};
use liftlock_types::event::Captured;
use liftlock_types::{
    Binding, Digest, Evaluated, Finding, Grant, Inventory, Json, Moment, Plan, Proposal, Read,
    ReadError, Reading, RecordedRead, Target,
};
use serde_json::{Value, json};

use crate::code::Code;
use crate::connect::{Targets, read_failure};
use crate::escape;
use crate::failure::Failure;
use crate::guest::{Guest, Talk, fault_failure};
use crate::output::Ui;

/// Longest answer that a plan file keeps as it is; of a longer one it keeps the hash.
///
/// 200 characters: enough for a version, a count or a small document, which make a drift report readable.
const ANSWER_CHARS_MAX: usize = 200;

/// Most denials that are told.
const DENIALS_MAX: usize = 10;

/// Answers reads from the real targets.
struct Live(Bindings);

#[async_trait]
impl ReadSource for Live {
    async fn read(&self, binding: &Binding, read: &Read) -> Result<Value, ReadError> {
        match self.0.get(binding) {
            Some(capability) => capability.read(read).await,
            None => Err(ReadError::Invalid(format!(
                "the site has no binding `{binding}`"
            ))),
        }
    }
}

/// A plugin with everything that its calls need.
pub(crate) struct SitePlanner {
    plugin: Plugin,
    site: SiteView,
    target: Target,
    reader: Arc<dyn ReadSource>,
    log: Arc<dyn LogSink>,
    ui: Ui,
    plan: Option<(Plan, i64)>,
    known: Option<RunState>,
}

impl SitePlanner {
    /// On this site, under this grant.
    pub(crate) fn new(
        ui: Ui,
        guest: &Guest,
        targets: &Targets,
        grant: &Grant,
        target: Target,
    ) -> Self {
        Self {
            plugin: guest.plugin.clone(),
            site: SiteView {
                name: grant.site.clone(),
                options: grant.options.clone(),
                bindings: targets
                    .identities
                    .iter()
                    .map(|(binding, identity)| (binding.clone(), identity.product.clone()))
                    .collect(),
                grant: grant.clone(),
            },
            target,
            reader: Arc::new(Live(targets.bindings.clone())),
            log: Arc::new(Talk::new(ui, guest)),
            ui,
            plan: None,
            known: None,
        }
    }

    /// Of a run of this plan, which was made at that instant.
    pub(crate) fn of_plan(mut self, plan: &Plan, made_at_ms: i64) -> Self {
        self.plan = Some((plan.clone(), made_at_ms));
        self
    }

    /// In the middle of a run of this plan: the plugin sees what was done.
    pub(crate) fn of_run(mut self, plan: &Plan, state: &RunState) -> Self {
        self.plan = Some((plan.clone(), now_ms()));
        self.known = Some(state.clone());
        self
    }

    /// Whereto.
    pub(crate) fn with_target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    fn call(&self, run: RunView, at_ms: i64) -> Call {
        Call {
            site: self.site.clone(),
            run,
            target: self.target.clone(),
            now_ms: u64::try_from(at_ms).unwrap_or_default(),
            reader: self.reader.clone(),
            log: self.log.clone(),
        }
    }

    fn told<T>(&self, called: Called<T>) -> T {
        for denial in called.denials.iter().take(DENIALS_MAX) {
            self.ui.warn(&denial_line(denial));
        }
        self.ui.detail(&format!(
            "{}: {} reads, {} of memory at most, {}",
            escape::line(&self.plugin.name()),
            called.reads.len(),
            crate::view::bytes(called.peak_memory_bytes),
            crate::view::duration(called.ms),
        ));
        called.value
    }

    /// What is there.
    pub(crate) async fn inspect(&self) -> Result<Inventory, Failure> {
        let call = self.call(RunView::none(Moment::Asked), now_ms());
        let called = self
            .plugin
            .inspect(&call)
            .await
            .map_err(|fault| fault_failure(&fault))?;
        self.told(called)
            .map_err(|error| read_failure("the plugin could not inspect the site", &error))
    }

    /// What stands in the way.
    pub(crate) async fn findings(&self, moment: Moment) -> Result<Vec<Finding>, Failure> {
        let call = self.call(self.view_now(moment), now_ms());
        let called = self
            .plugin
            .check(&call)
            .await
            .map_err(|fault| fault_failure(&fault))?;
        self.told(called)
            .map_err(|error| read_failure("the plugin could not check the site", &error))
    }

    /// A proposal with what it was made from, proved to be made from nothing else; or the plugin's refusal.
    pub(crate) async fn propose(
        &self,
        at_ms: i64,
    ) -> Result<Result<(Proposal, Vec<RecordedRead>), Vec<Finding>>, Failure> {
        let call = self.call(self.view_now(Moment::BeforePlan), at_ms);
        let called = self
            .plugin
            .plan(&call)
            .await
            .map_err(|fault| fault_failure(&fault))?;
        if let Replay::Different(lines) = self
            .plugin
            .replay(&call, &called)
            .await
            .map_err(|fault| fault_failure(&fault))?
        {
            let mut failure = Failure::new(
                Code::NotDeterministic,
                format!(
                    "plugin `{}` made another plan from the same reads",
                    self.plugin.name()
                ),
            )
            .untouched("a plugin only reads and proposes: nothing was changed")
            .remedy("send this to the plugin's vendor");
            for line in lines.iter().take(DENIALS_MAX) {
                failure = failure.cause(line.clone());
            }
            return Err(failure);
        }
        let reads = recorded(&called.reads);
        match self.told(called) {
            Ok(proposal) => Ok(Ok((proposal, reads))),
            Err(Refusal::Blocked(findings)) => Ok(Err(findings)),
            Err(Refusal::Failed(error)) => Err(read_failure("the plugin could not plan", &error)),
        }
    }

    fn view_now(&self, moment: Moment) -> RunView {
        match &self.known {
            Some(state) => self.view(moment, state),
            None => RunView::none(moment),
        }
    }

    fn view(&self, moment: Moment, state: &RunState) -> RunView {
        let steps = self
            .plan
            .iter()
            .flat_map(|(plan, _)| &plan.steps)
            .map(|step| {
                let known = state.step(&step.id);
                let last = known.last();
                let outcome = known.outcome();
                StepView {
                    id: step.id.clone(),
                    memo: step.memo.clone(),
                    outcome: outcome.map(|outcome| outcome.kind.as_str().to_owned()),
                    evidence: outcome.map(|outcome| Json::of(&outcome.evidence)),
                    at_ms: outcome
                        .and(last)
                        .and_then(|last| u64::try_from(last.outcome_at_ms).ok()),
                }
            });
        RunView {
            moment,
            steps: steps.collect(),
            captured: state
                .captures
                .iter()
                .map(|(name, answers)| (name.clone(), captured(answers)))
                .collect::<BTreeMap<_, _>>(),
        }
    }
}

/// A capture as a plugin sees it: a list of `{read, answer}`, or `{read, error}` where the read failed.
fn captured(answers: &[Captured]) -> Json {
    let list: Vec<Value> = answers
        .iter()
        .map(|captured| match &captured.answer {
            Ok(answer) => json!({"read": captured.reading, "answer": answer}),
            Err(error) => json!({"read": captured.reading, "error": error}),
        })
        .collect();
    Json::of(&Value::Array(list))
}

fn denial_line(denial: &Denial) -> String {
    format!(
        "denied: {} on {}: {}; {}",
        escape::line(&denial.what),
        escape::line(&denial.binding),
        escape::line(&denial.rule),
        escape::line(&denial.allowed_by)
    )
}

/// What a plan was made from, for the drift report: each read once, with its last answer.
fn recorded(reads: &[ReadMade]) -> Vec<RecordedRead> {
    let mut out: Vec<RecordedRead> = Vec::new();
    for (reading, answer) in reads {
        let answer = short(&reading.read, answer);
        match out.iter_mut().find(|known| known.reading == *reading) {
            Some(known) => known.answer = answer,
            None => out.push(RecordedRead {
                reading: Reading::clone(reading),
                answer,
            }),
        }
    }
    out
}

fn short(read: &Read, answer: &Result<Value, ReadError>) -> String {
    let text = match answer {
        Ok(value) => value.to_string(),
        Err(error) => format!("error: {error}"),
    };
    let is_shown = answer.is_err() || !read.is_kept_by_hash();
    if is_shown && text.chars().count() <= ANSWER_CHARS_MAX {
        text
    } else {
        Digest::of(text.as_bytes()).to_string()
    }
}

fn fault(fault: &PluginFault) -> PlannerFault {
    PlannerFault::Plugin(fault.to_string())
}

#[async_trait]
impl Planner for SitePlanner {
    async fn check(&self, moment: Moment, state: &RunState) -> Result<Vec<Finding>, PlannerFault> {
        let call = self.call(self.view(moment, state), now_ms());
        let called = self
            .plugin
            .check(&call)
            .await
            .map_err(|error| fault(&error))?;
        self.told(called).map_err(|error| PlannerFault::Target {
            doing: "check the site",
            error,
        })
    }

    async fn plan(&self, state: &RunState) -> Result<Replanned, PlannerFault> {
        // The same instant as when the plan was made: a plugin that puts the date in a name plans the same again.
        let at_ms = self.plan.as_ref().map_or_else(now_ms, |(_, at_ms)| *at_ms);
        let call = self.call(self.view(Moment::BeforeRun, state), at_ms);
        let called = self
            .plugin
            .plan(&call)
            .await
            .map_err(|error| fault(&error))?;
        let reads = recorded(&called.reads);
        match self.told(called) {
            Ok(proposal) => Ok(Replanned { proposal, reads }),
            Err(Refusal::Failed(error)) => Err(PlannerFault::Target {
                doing: "plan again",
                error,
            }),
            Err(Refusal::Blocked(findings)) => {
                let what: Vec<String> = findings
                    .iter()
                    .map(|finding| format!("{} ({})", finding.what, finding.id))
                    .collect();
                Err(PlannerFault::Refused(what.join("; ")))
            }
        }
    }

    async fn observe(&self, asked: Asked<'_>, state: &RunState) -> Result<Evaluated, PlannerFault> {
        let call = self.call(self.view(Moment::Asked, state), now_ms());
        let asked = liftlock_sandbox::Asked {
            name: asked.name.into(),
            input: asked.input.clone(),
            last: asked.last.map(Json::of),
        };
        let called = self
            .plugin
            .observe(&call, &asked)
            .await
            .map_err(|error| fault(&error))?;
        self.told(called).map_err(|error| PlannerFault::Target {
            doing: "look at a condition",
            error,
        })
    }

    async fn validate(&self, state: &RunState) -> Result<Vec<Finding>, PlannerFault> {
        let call = self.call(self.view(Moment::AfterRun, state), now_ms());
        let called = self
            .plugin
            .validate(&call)
            .await
            .map_err(|error| fault(&error))?;
        self.told(called).map_err(|error| PlannerFault::Target {
            doing: "validate",
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_is_kept_as_its_hash_and_a_repeated_read_once() {
        let reading = Reading {
            binding: Binding::new("cluster.database").unwrap(),
            read: Read::Health,
        };
        let long = Value::String("x".repeat(ANSWER_CHARS_MAX));
        let reads = [(reading.clone(), Ok(json!(1))), (reading.clone(), Ok(long))];
        let recorded = recorded(&reads);
        assert_eq!(recorded.len(), 1);
        assert!(recorded[0].answer.starts_with("sha256:"), "{recorded:?}");
        assert_eq!(short(&Read::Health, &Ok(json!({"a": 1}))), "{\"a\":1}");
    }

    #[test]
    fn bytes_of_a_file_stand_in_no_plan() {
        let read = Read::FileBytes {
            dir: vec![],
            name: "a.jar".into(),
            offset: 0,
            length: 2,
        };
        let kept = short(&read, &Ok(json!({"hex": "504b"})));
        assert!(kept.starts_with("sha256:") && !kept.contains("504b"));
        let error = short(&read, &Err(ReadError::NotFound("`a.jar`".into())));
        assert!(error.contains("not found"), "{error}");
    }
}
