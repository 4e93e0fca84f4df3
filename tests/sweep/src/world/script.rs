//! The plan of a way: made once on the site as it is at the beginning, and run at each position.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::anyhow;
use liftlock_gate::Approval;
use liftlock_gate::Bindings;
use liftlock_gate::PlanContext;
use liftlock_gate::Planner;
use liftlock_gate::RunState;
use liftlock_gate::StepApproval;
use liftlock_gate::Waiver;
use liftlock_gate::freeze;
use liftlock_gate::now_ms;
use liftlock_types::Binding;
use liftlock_types::Digest;
use liftlock_types::Grant;
use liftlock_types::Plan;
use liftlock_types::PluginRef;
use liftlock_types::Severity;
use liftlock_types::Target;
use liftlock_types::TargetIdentity;

use super::RUN;
use crate::guest::Guest;
use crate::guest::SitePlanner;
use crate::ways::Way;

/// The plan of a way, made once and run at each position.
pub struct Script {
    /// What is run.
    pub plan: Arc<Plan>,
    pub(super) grant: Grant,
    pub(super) approval: Approval,
    pub(super) identities: BTreeMap<Binding, TargetIdentity>,
    pub(super) target: Target,
    pub(super) made_at_ms: i64,
}

/// Plans a way on its site.
pub(super) async fn plan(guest: &Guest, way: &Way, bindings: &Bindings) -> anyhow::Result<Script> {
    let mut identities = BTreeMap::new();
    for (binding, capability) in bindings {
        identities.insert(binding.clone(), capability.identity().await?);
    }
    let grant = guest.grant("sweep", &way.options, &identities)?;
    let target = Target {
        from: Some(way.from.into()),
        to: way.to.into(),
    };
    let made_at_ms = now_ms();
    let planner = SitePlanner::new(
        guest,
        bindings,
        &identities,
        &grant,
        target.clone(),
        made_at_ms,
    );
    let made = planner.plan(&RunState::new(RUN)).await?;
    let context = PlanContext {
        site: "sweep".into(),
        product: guest.descriptor.product.clone(),
        plugin: PluginRef {
            name: guest.descriptor.name.clone(),
            version: guest.descriptor.version.clone(),
            digest: Digest::clone(&grant.digest),
        },
        from: target.from.clone(),
        to: target.to.clone(),
        options: grant.options.clone(),
        findings: Vec::new(),
    };
    let plan = freeze(made.proposal, context, &grant, bindings)
        .await
        .map_err(|error| anyhow!("the plan of `{}` is refused: {error:?}", way.name))?;
    let approval = Approval {
        plan: plan.hash(),
        by: "sweep".into(),
        at: "2026-01-01T00:00:00.000Z".into(),
        waives: plan
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Blocker)
            .map(|finding| Waiver {
                finding: finding.id.clone(),
                reason: "a sweep".into(),
            })
            .collect(),
        steps: plan
            .steps
            .iter()
            .filter(|step| step.own_approval.is_some())
            .map(|step| StepApproval {
                step: step.id.clone(),
                reason: "a sweep".into(),
            })
            .collect(),
    };
    Ok(Script {
        plan: Arc::new(plan),
        grant,
        approval,
        identities,
        target,
        made_at_ms,
    })
}
