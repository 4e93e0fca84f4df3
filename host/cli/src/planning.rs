//! From a site to a frozen plan: connect, grant, inspect, check, propose, freeze.

use liftlock_gate::{FreezeError, PlanContext, freeze, iso, now_ms};
use liftlock_types::{Finding, Grant, Inventory, Moment, PlanFile, PluginRef, Severity, Target};

use crate::args::WithPlugin;
use crate::code::Code;
use crate::connect::{Targets, connect, read_failure};
use crate::context::Context;
use crate::escape;
use crate::failure::Failure;
use crate::granting;
use crate::guest::{self, Guest};
use crate::planner::SitePlanner;
use crate::site::Site;
use crate::view::findings::blockers;
use crate::who;

/// A site with its plugin loaded, its targets connected and its grant given.
pub(crate) struct Ready {
    /// As the operator wrote it.
    pub(crate) site: Site,
    /// The plugin.
    pub(crate) guest: Guest,
    /// Who answers.
    pub(crate) targets: Targets,
    /// What the plugin may see and propose.
    pub(crate) grant: Grant,
    /// The plugin, bound to the site.
    pub(crate) planner: SitePlanner,
}

/// Gets a site ready for its plugin's eyes.
pub(crate) async fn ready(context: &Context, with: &WithPlugin) -> Result<Ready, Failure> {
    let site = context.site()?;
    let guest = guest::of_site(context, &site, with).await?;
    // Before anything is contacted: an option that does not fit needs no network to be found.
    granting::options(&site, &guest)?;
    let targets = connect(&site, &context.state()?).await?;
    let grant = granting::ensure(context, &site, &guest, &targets, with.yes).await?;
    let target = Target {
        from: None,
        to: String::new(),
    };
    let planner = SitePlanner::new(context.ui, &guest, &targets, &grant, target);
    Ok(Ready {
        site,
        guest,
        targets,
        grant,
        planner,
    })
}

/// Inspects, and sets where the upgrade goes.
pub(crate) async fn aim(
    ready: Ready,
    to: Option<&str>,
) -> Result<(Ready, Inventory, Target), Failure> {
    let inventory = ready.planner.inspect().await?;
    let target = match to {
        Some(to) => Target {
            from: inventory.version.clone(),
            to: to.to_owned(),
        },
        None => guest::next_version(&ready.guest.descriptor, inventory.version.as_deref()),
    };
    let planner = ready.planner.with_target(target.clone());
    Ok((Ready { planner, ..ready }, inventory, target))
}

/// What planning came to.
pub(crate) enum Planned {
    /// A plan.
    Made(Box<PlanFile>),
    /// Blockers stand, and nobody said to plan with them.
    Blocked(Vec<Finding>),
}

/// Makes a plan; writes nothing.
pub(crate) async fn make(
    ready: &Ready,
    target: &Target,
    with_blockers: bool,
) -> Result<Planned, Failure> {
    let made_at_ms = now_ms();
    let mut findings = ready.planner.findings(Moment::BeforePlan).await?;
    if !with_blockers && blockers(&findings).next().is_some() {
        return Ok(Planned::Blocked(findings));
    }
    let (proposal, reads) = match ready.planner.propose(made_at_ms).await? {
        Ok(made) => made,
        Err(refused) => {
            findings.extend(refused);
            return Ok(Planned::Blocked(findings));
        }
    };
    let descriptor = &ready.guest.descriptor;
    let plan_context = PlanContext {
        site: ready.site.name.clone(),
        product: descriptor.product.clone(),
        plugin: PluginRef {
            name: descriptor.name.clone(),
            version: descriptor.version.clone(),
            digest: ready.guest.installed.digest.clone(),
        },
        from: target.from.clone(),
        to: target.to.clone(),
        options: ready.grant.options.clone(),
        findings,
    };
    let plan = freeze(
        proposal,
        plan_context,
        &ready.grant,
        &ready.targets.bindings,
    )
    .await
    .map_err(|error| freeze_failure(&error))?;
    if !with_blockers
        && plan
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Blocker)
    {
        return Ok(Planned::Blocked(plan.findings));
    }
    Ok(Planned::Made(Box::new(PlanFile {
        hash: plan.hash(),
        made_at: iso(made_at_ms),
        made_by: who::by(None),
        plan,
        reads,
    })))
}

/// Why the host did not take a proposal, for a person.
fn freeze_failure(error: &FreezeError) -> Failure {
    match error {
        FreezeError::Facts { source, .. } | FreezeError::Identity { source, .. } => {
            read_failure(&escape::line(&error.to_string()), source)
        }
        FreezeError::Denied { denied, .. } | FreezeError::TooMuch(denied) => Failure::new(
            Code::Denied,
            "the plugin proposed what its grant does not allow",
        )
        .because(error)
        .cause(format!("this line would allow it: {}", denied.allowed_by))
        .remedy("widen the grant if the plugin should do this, else tell its vendor")
        .next("liftlock grant"),
        _ => Failure::new(
            Code::PlanRefused,
            "the host refuses what the plugin proposed",
        )
        .because(error)
        .remedy("send this to the plugin's vendor"),
    }
}

/// What blockers mean to who wanted a plan.
pub(crate) fn blocked(findings: &[Finding], to: &str) -> Failure {
    let ids: Vec<&str> = blockers(findings)
        .map(|finding| finding.id.as_str())
        .collect();
    let mut ids_once = ids.clone();
    ids_once.dedup();
    Failure::new(
        Code::Blocked,
        format!("{} found: {}", crate::view::count(ids.len(), "blocker", "blockers"), ids_once.join(", ")),
    )
    .untouched("nothing was changed; no plan was written")
    .remedy("do what each remedy says; where one is wrong for this site, plan with it and waive it by name")
    .next(format!("liftlock check {to}"))
}
