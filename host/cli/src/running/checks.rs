//! What must hold before a run is put together: plugin, grant, targets, approvals, no other run.

use std::path::Path;

use liftlock_gate::{Approval, RunState, missing};
use liftlock_journal::Journal;
use liftlock_types::{Grant, Plan, PlanFile};

use crate::code::Code;
use crate::connect::Targets;
use crate::context::word;
use crate::escape;
use crate::failure::Failure;
use crate::grants::Grants;
use crate::runs;
use crate::site::Site;
use crate::state::journal_failure;

/// The plan's plugin, grant and targets are those that are here now; each difference by its name.
pub(crate) fn check_unchanged(
    plan: &Plan,
    grant: &Grant,
    targets: &Targets,
) -> Result<(), Failure> {
    let plan_again = format!("liftlock plan {}", word(&plan.to));
    if grant.digest != plan.plugin.digest {
        return Err(Failure::new(
            Code::PluginChanged,
            "the grant is bound to another plugin than the plan",
        )
        .cause(format!("planned by {}", plan.plugin.digest))
        .cause(format!("granted to {}", grant.digest))
        .remedy("plan again with the plugin that is granted now")
        .next(plan_again));
    }
    if grant.hash() != plan.grant {
        return Err(Failure::new(
            Code::GrantChanged,
            "the grant is not the one that the plan was made under",
        )
        .cause(format!("planned under {}", plan.grant))
        .cause(format!("now           {}", grant.hash()))
        .remedy("put grants.toml back as it was, or plan again under the grant as it is now")
        .next(plan_again));
    }
    for (binding, planned) in &plan.bindings {
        let Some(now) = targets.identities.get(binding) else {
            return Err(Failure::new(
                Code::OtherTarget,
                format!("the site has no `{binding}` any more"),
            )
            .remedy("put it back into site.toml, or plan again")
            .next(plan_again));
        };
        if now.fingerprint != planned.fingerprint {
            return Err(Failure::new(
                Code::OtherTarget,
                format!("`{binding}` leads to another target than the one that was planned for"),
            )
            .cause(format!("planned for {} ({})", planned.fingerprint, escape::line(&planned.product)))
            .cause(format!("now         {} ({})", now.fingerprint, escape::line(&now.product)))
            .remedy("put the address in site.toml right; if the new target is meant, grant and plan again")
            .next(plan_again));
        }
    }
    Ok(())
}

/// The grant that the plan's plugin has on this site.
pub(crate) fn grant_of(site: &Site, plan: &Plan) -> Result<Grant, Failure> {
    Grants::load(site)?
        .of_plugin(&plan.plugin.name, &site.name, &plan.plugin.digest)
        .cloned()
        .ok_or_else(|| {
            Failure::new(
                Code::NoGrant,
                format!(
                    "`{}` has no grant on site `{}` any more",
                    plan.plugin.name, site.name
                ),
            )
            .remedy("put grants.toml back as it was, or grant and plan again")
            .next("liftlock grant")
        })
}

/// What a plan lacks, as a failure.
pub(crate) fn check_approved(
    path: &Path,
    file: &PlanFile,
    good: &[Approval],
    refused: &[String],
    wanted: usize,
) -> Result<(), Failure> {
    let lacks = missing(&file.plan, &file.made_by, good, wanted);
    if lacks.is_empty() {
        return Ok(());
    }
    let mut failure = Failure::new(
        Code::ApprovalMissing,
        format!("plan {} may not run yet", file.hash.short()),
    );
    for line in lacks
        .iter()
        .map(ToString::to_string)
        .chain(refused.iter().cloned())
    {
        failure = failure.cause(line);
    }
    let waive: String = lacks
        .iter()
        .filter_map(|lack| match lack {
            liftlock_gate::Missing::Waiver(id) => Some(format!(" --waive {}", word(id))),
            liftlock_gate::Missing::People { .. } => None,
        })
        .collect();
    let reason = if waive.is_empty() {
        ""
    } else {
        " --reason TEXT"
    };
    Err(failure
        .remedy(if wanted > 1 {
            "others than the maker of the plan must approve it".to_owned()
        } else {
            format!(
                "approve it, or in CI: `run PLAN --approve {}`",
                file.hash.short()
            )
        })
        .next(format!(
            "liftlock approve {}{waive}{reason}",
            word(&path.display().to_string())
        )))
}

/// No other run of this site stands open in this journal; and when an earlier run of the plan used up its
/// approvals.
pub(crate) async fn check_others(journal: &Journal, plan: &Plan) -> Result<Option<i64>, Failure> {
    let hash = plan.hash();
    let mut used_at_ms = None;
    for summary in journal.runs().await.map_err(|e| journal_failure(&e))? {
        let state = runs::state_of(journal, &summary.run).await?;
        if state.plan.as_ref() == Some(&hash) && state.has_sent() {
            used_at_ms = used_at_ms.max(Some(state.begun_at_ms));
        }
        check_over(&state, &plan.site)?;
    }
    Ok(used_at_ms)
}

/// No run of this site stands open in this journal.
pub(crate) async fn check_none_open(journal: &Journal, site: &str) -> Result<(), Failure> {
    for summary in journal.runs().await.map_err(|e| journal_failure(&e))? {
        check_over(&runs::state_of(journal, &summary.run).await?, site)?;
    }
    Ok(())
}

fn check_over(state: &RunState, site: &str) -> Result<(), Failure> {
    let is_open = state.ended.is_none() && (state.has_sent() || !state.claims.is_empty());
    if state.site != site || !is_open {
        return Ok(());
    }
    Err(Failure::new(
        Code::Claimed,
        format!("run `{}` of site `{site}` is not over", state.run),
    )
    .remedy("resume it, or abort it, before another one begins")
    .next(format!("liftlock status {}", state.run)))
}
