//! A plan that is swept: made once on the site as it is at the beginning, and run at each position.

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

use crate::guest::Guest;
use crate::guest::SitePlanner;
use crate::site::RUN;

/// What is to be planned.
pub struct Wish {
    /// Its name, for people.
    pub name: &'static str,
    /// The version that is there; none: the plugin finds out.
    pub from: Option<String>,
    /// The version that is to be.
    pub to: String,
    /// Of the plugin.
    pub options: BTreeMap<String, String>,
    /// Conditions that must hold for a while hold for so many milliseconds at the most, and are waited for that long:
    /// nothing more shows on a simulated target. None: as the plugin says.
    pub hastens: Option<Hastens>,
}

/// Longest times of conditions, milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Hastens {
    /// For which one must hold.
    pub stable_for_ms: u64,
    /// For which one is waited for.
    pub patience_ms: u64,
}

/// A plan, made once and run at each position.
#[derive(Clone)]
pub struct Script {
    /// What is run.
    pub plan: Arc<Plan>,
    pub(crate) grant: Grant,
    pub(crate) approval: Approval,
    pub(crate) identities: BTreeMap<Binding, TargetIdentity>,
    pub(crate) target: Target,
    pub(crate) made_at_ms: i64,
    pub(crate) hastens: Option<Hastens>,
}

/// Plans on a site as it is.
pub(crate) async fn plan(
    guest: &Guest,
    wish: &Wish,
    bindings: &Bindings,
) -> anyhow::Result<Script> {
    let mut identities = BTreeMap::new();
    for (binding, capability) in bindings {
        identities.insert(binding.clone(), capability.identity().await?);
    }
    let grant = guest.grant("sweep", &wish.options, &identities)?;
    let target = Target {
        from: wish.from.clone(),
        to: wish.to.clone(),
    };
    let made_at_ms = now_ms();
    let planner = SitePlanner::new(
        guest,
        bindings,
        &identities,
        &grant,
        target.clone(),
        made_at_ms,
    )
    .hastened_by(wish.hastens);
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
        .map_err(|error| anyhow!("the plan of `{}` is refused: {error:?}", wish.name))?;
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
        hastens: wish.hastens,
    })
}
