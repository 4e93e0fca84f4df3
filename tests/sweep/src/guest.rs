//! The plugin under test: loaded once, in its sandbox, for all runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use anyhow::anyhow;
use async_trait::async_trait;
use liftlock_gate::Asked;
use liftlock_gate::Bindings;
use liftlock_gate::Planner;
use liftlock_gate::PlannerFault;
use liftlock_gate::Replanned;
use liftlock_gate::RunState;
use liftlock_sandbox::Call;
use liftlock_sandbox::Engine;
use liftlock_sandbox::NoLog;
use liftlock_sandbox::Plugin;
use liftlock_sandbox::PluginFault;
use liftlock_sandbox::ReadSource;
use liftlock_sandbox::Refusal;
use liftlock_sandbox::RunView;
use liftlock_sandbox::SandboxConfig;
use liftlock_sandbox::SiteView;
use liftlock_sandbox::StepView;
use liftlock_types::Binding;
use liftlock_types::Descriptor;
use liftlock_types::Evaluated;
use liftlock_types::Finding;
use liftlock_types::Grant;
use liftlock_types::GrantedBinding;
use liftlock_types::Json;
use liftlock_types::Moment;
use liftlock_types::Plan;
use liftlock_types::Proposal;
use liftlock_types::Read;
use liftlock_types::ReadError;
use liftlock_types::RecordedRead;
use liftlock_types::Target;
use liftlock_types::TargetIdentity;
use liftlock_types::binding_matches;
use liftlock_types::resolve_options;
use liftlock_types::resolve_verb;
use liftlock_types::waits;
use serde_json::Value;
use serde_json::json;

use crate::script::Hastens;
use crate::ways::Build;
use crate::ways::Way;

/// The plugin, compiled.
#[derive(Clone)]
pub struct Guest {
    plugin: Plugin,
    /// What it says of itself.
    pub descriptor: Descriptor,
}

impl Guest {
    /// Loads a component; what was compiled of it before is taken from `cache`.
    pub async fn load(component: &Path, cache: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(component)
            .with_context(|| format!("cannot read `{}`", component.display()))?;
        let config = SandboxConfig {
            cache_dir: Some(cache.to_owned()),
            ..SandboxConfig::default()
        };
        let plugin = Engine::new(config)?.load(&bytes)?;
        let descriptor = plugin.describe().await.map_err(|fault| failed(&fault))?;
        Ok(Self { plugin, descriptor })
    }

    /// All that it asks for, on the bindings that are there.
    pub fn grant(
        &self,
        site: &str,
        given: &BTreeMap<String, String>,
        identities: &BTreeMap<Binding, TargetIdentity>,
    ) -> anyhow::Result<Grant> {
        let options = resolve_options(&self.descriptor, given).map_err(|why| anyhow!(why))?;
        let mut bindings: Vec<GrantedBinding> = Vec::new();
        let requests = self.descriptor.requests.iter();
        for request in requests.filter(|request| !waits(request, &options)) {
            let verbs = request
                .verbs
                .iter()
                .filter_map(|verb| resolve_verb(verb, &options).transpose())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|why| anyhow!(why))?;
            for (binding, identity) in identities
                .iter()
                .filter(|(binding, _)| binding_matches(&request.binding, request.need, binding))
            {
                match bindings
                    .iter_mut()
                    .find(|granted| granted.binding == *binding)
                {
                    Some(granted) => granted.verbs.extend(verbs.clone()),
                    None => bindings.push(GrantedBinding {
                        binding: binding.clone(),
                        identity: identity.fingerprint.clone(),
                        verbs: verbs.clone(),
                    }),
                }
            }
        }
        Ok(Grant {
            plugin: self.descriptor.name.clone(),
            digest: self.plugin.digest().clone(),
            site: site.to_owned(),
            options,
            granted_by: "sweep".into(),
            granted_at: "2026-01-01T00:00:00.000Z".into(),
            bindings,
        })
    }
}

/// Each build of the plugin that is there.
pub struct Guests {
    /// The one that is released.
    pub released: Guest,
    /// The one with a hop for tests.
    pub for_tests: Option<Guest>,
}

impl Guests {
    /// Who plans a way.
    pub fn of(&self, way: &Way) -> anyhow::Result<&Guest> {
        match way.build {
            Build::Released => Ok(&self.released),
            Build::ForTests => self
                .for_tests
                .as_ref()
                .with_context(|| format!("plan `{}` needs the plugin for tests", way.name)),
        }
    }
}

/// Answers reads from the real targets.
struct Live(Bindings);

#[async_trait]
impl ReadSource for Live {
    async fn read(&self, binding: &Binding, read: &Read) -> Result<Value, ReadError> {
        match self.0.get(binding) {
            Some(capability) => capability.read(read).await,
            None => Err(ReadError::Invalid(format!("no binding `{binding}`"))),
        }
    }
}

/// The plugin bound to a site, as the gate asks it.
pub struct SitePlanner {
    plugin: Plugin,
    site: SiteView,
    target: Target,
    reader: Arc<dyn ReadSource>,
    /// The instant that a plan is made at, the same when it is made again.
    made_at_ms: i64,
    plan: Option<Arc<Plan>>,
    hastens: Option<Hastens>,
}

impl SitePlanner {
    /// On these targets, under this grant.
    pub fn new(
        guest: &Guest,
        bindings: &Bindings,
        identities: &BTreeMap<Binding, TargetIdentity>,
        grant: &Grant,
        target: Target,
        made_at_ms: i64,
    ) -> Self {
        Self {
            plugin: guest.plugin.clone(),
            site: SiteView {
                name: grant.site.clone(),
                options: grant.options.clone(),
                bindings: identities
                    .iter()
                    .map(|(binding, identity)| (binding.clone(), identity.product.clone()))
                    .collect(),
                grant: grant.clone(),
            },
            target,
            reader: Arc::new(Live(bindings.clone())),
            made_at_ms,
            plan: None,
            hastens: None,
        }
    }

    /// Of a run of this plan.
    #[must_use]
    pub fn of_plan(mut self, plan: Arc<Plan>) -> Self {
        self.plan = Some(plan);
        self
    }

    /// With conditions that take no longer than this.
    #[must_use]
    pub fn hastened_by(mut self, hastens: Option<Hastens>) -> Self {
        self.hastens = hastens;
        self
    }

    fn hasten(&self, mut proposal: Proposal) -> Proposal {
        if let Some(most) = self.hastens {
            let of_steps = proposal
                .steps
                .iter_mut()
                .flat_map(|step| step.opens_when.iter_mut().chain(&mut step.ends_when));
            let of_guards = proposal.guards.iter_mut().map(|guard| &mut guard.condition);
            for condition in of_steps.chain(of_guards) {
                condition.stable_for_ms = condition.stable_for_ms.min(most.stable_for_ms);
                condition.patience_ms = condition.patience_ms.min(most.patience_ms);
            }
        }
        proposal
    }

    fn call(&self, run: RunView) -> Call {
        Call {
            site: self.site.clone(),
            run,
            target: self.target.clone(),
            now_ms: u64::try_from(self.made_at_ms).unwrap_or_default(),
            reader: self.reader.clone(),
            log: Arc::new(NoLog),
        }
    }

    fn view(&self, moment: Moment, state: &RunState) -> RunView {
        let steps = self.plan.iter().flat_map(|plan| &plan.steps).map(|step| {
            let known = state.step(&step.id);
            let outcome = known.outcome();
            StepView {
                id: step.id.clone(),
                memo: step.memo.clone(),
                outcome: outcome.map(|outcome| outcome.kind.as_str().to_owned()),
                evidence: outcome.map(|outcome| Json::of(&outcome.evidence)),
                at_ms: outcome
                    .and(known.last())
                    .and_then(|last| u64::try_from(last.outcome_at_ms).ok()),
            }
        });
        let captured = state.captures.iter().map(|(name, answers)| {
            let list: Vec<Value> = answers
                .iter()
                .map(|captured| match &captured.answer {
                    Ok(answer) => json!({"read": captured.reading, "answer": answer}),
                    Err(error) => json!({"read": captured.reading, "error": error}),
                })
                .collect();
            (name.clone(), Json::of(&Value::Array(list)))
        });
        RunView {
            moment,
            steps: steps.collect(),
            captured: captured.collect(),
        }
    }
}

fn failed(fault: &PluginFault) -> anyhow::Error {
    anyhow!(
        "plugin `{}` failed in `{}`: {}",
        fault.plugin,
        fault.export,
        fault.what
    )
}

fn fault(fault: PluginFault) -> PlannerFault {
    PlannerFault::Plugin(failed(&fault).to_string())
}

#[async_trait]
impl Planner for SitePlanner {
    async fn check(&self, moment: Moment, state: &RunState) -> Result<Vec<Finding>, PlannerFault> {
        let called = self
            .plugin
            .check(&self.call(self.view(moment, state)))
            .await
            .map_err(fault)?;
        called.value.map_err(|error| PlannerFault::Target {
            doing: "check the site",
            error,
        })
    }

    async fn plan(&self, state: &RunState) -> Result<Replanned, PlannerFault> {
        let called = self
            .plugin
            .plan(&self.call(self.view(Moment::BeforeRun, state)))
            .await
            .map_err(fault)?;
        let reads = called
            .reads
            .iter()
            .map(|(reading, answer)| RecordedRead {
                reading: reading.clone(),
                answer: match answer {
                    Ok(value) => value.to_string(),
                    Err(error) => error.to_string(),
                },
            })
            .collect();
        match called.value {
            Ok(proposal) => Ok(Replanned {
                proposal: self.hasten(proposal),
                reads,
            }),
            Err(Refusal::Failed(error)) => Err(PlannerFault::Target {
                doing: "plan again",
                error,
            }),
            Err(Refusal::Blocked(findings)) => Err(PlannerFault::Refused(
                findings
                    .iter()
                    .map(|finding| format!("{} ({})", finding.what, finding.id))
                    .collect::<Vec<_>>()
                    .join("; "),
            )),
        }
    }

    async fn observe(&self, asked: Asked<'_>, state: &RunState) -> Result<Evaluated, PlannerFault> {
        let asked = liftlock_sandbox::Asked {
            name: asked.name.into(),
            input: asked.input.clone(),
            last: asked.last.map(Json::of),
        };
        let called = self
            .plugin
            .observe(&self.call(self.view(Moment::Asked, state)), &asked)
            .await
            .map_err(fault)?;
        called.value.map_err(|error| PlannerFault::Target {
            doing: "look at a condition",
            error,
        })
    }

    async fn validate(&self, state: &RunState) -> Result<Vec<Finding>, PlannerFault> {
        let called = self
            .plugin
            .validate(&self.call(self.view(Moment::AfterRun, state)))
            .await
            .map_err(fault)?;
        called.value.map_err(|error| PlannerFault::Target {
            doing: "validate",
            error,
        })
    }
}
