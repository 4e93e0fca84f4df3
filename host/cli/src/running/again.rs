//! A run that was begun, put together to go on: by its own plan, or by one that takes its place.

use std::path::{Path, PathBuf};

use liftlock_gate::replan_refused;
use liftlock_journal::Journal;
use liftlock_types::{PlanFile, RunId};

use crate::approvals;
use crate::code::Code;
use crate::connect::connect;
use crate::context::{Context, word};
use crate::failure::{self, Failure};
use crate::guest;
use crate::running::Assembly;
use crate::running::checks::{check_approved, grant_of};
use crate::runs::{self, Kept, Origin, keep, pin};
use crate::site::Site;
use crate::store::Store;
use crate::who;

/// What may be asked of a run that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Nothing.
    Refused,
    /// There is nothing left to do, which is no mistake, if it was done.
    FineIfDone,
    /// To go back, unless it went back already.
    FineUnlessBack,
}

impl Over {
    fn allows(self, how: &str) -> bool {
        match self {
            Self::Refused => false,
            Self::FineIfDone => how == "done",
            Self::FineUnlessBack => how != "rolled-back",
        }
    }
}

/// A run that was begun, with everything that it takes to work on it again.
pub(crate) async fn again(
    context: &Context,
    journal: Journal,
    named: &str,
    by: Option<&str>,
    over: Over,
) -> Result<Assembly, Failure> {
    let state = context.state()?;
    let (id, kept) = found(&journal, named, over).await?;
    let site = site_of(context, &kept.origin)?;
    let Kept {
        state: known,
        plan,
        earlier,
        approvals: mut agreed,
        origin,
        plugin,
    } = kept;
    let guest = guest::from_bytes(&state, plugin, origin.plugin).await?;
    guest::announce(&context.ui, &guest.installed);
    let grant = grant_of(&site, &plan.plan)?;
    let targets = connect(&site, &state).await?;
    let plan_path = PathBuf::from(&origin.plan);
    // Step approvals that were given since: they name the plan, and a run uses each only once.
    agreed.extend(approvals::of_plan(&plan_path, &plan.hash)?);
    Ok(Assembly {
        journal,
        run: run_id(id)?,
        known,
        file: plan,
        earlier,
        guest,
        targets,
        grant,
        approvals: agreed,
        wanted: site.approvals,
        by: who::by(by),
        plan_path,
        side_by_side: site.side_by_side,
    })
}

/// A run that is to go on by another plan; plan and plugin are kept beside the others.
pub(crate) async fn by_other_plan(
    context: &Context,
    journal: Journal,
    named: &str,
    by: Option<&str>,
    other: &str,
) -> Result<Assembly, Failure> {
    let (path, file) = crate::plans::find(other, &context.home())?;
    let (id, kept) = found(&journal, named, Over::Refused).await?;
    if file.hash == kept.plan.hash {
        return again(context, journal, &id, by, Over::Refused).await;
    }
    check_replaceable(&id, &kept, &file)?;
    let state = context.state()?;
    let site = site_of(context, &kept.origin)?;
    let guest = guest::open(&state, file.plan.plugin.digest.as_str())
        .await
        .map_err(|failure| failure.cause("it is the plugin that made the new plan"))?;
    guest::announce(&context.ui, &guest.installed);
    let grant = grant_of(&site, &file.plan)?;
    let targets = connect(&site, &state).await?;
    let (good, refused) = approvals::usable(approvals::load(&path)?, &file.hash, None);
    check_approved(&path, &file, &good, &refused, site.approvals)?;
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .map(|path| path.display().to_string())
            .map_err(|e| failure::file("find", path, &e))
    };
    let origin = Origin {
        site: absolute(site.file())?,
        plan: absolute(&path)?,
        plugin: Store::open(&state)?.find(file.plan.plugin.digest.as_str())?,
    };
    let pins = [
        (pin::PLUGIN, guest.bytes.clone()),
        (pin::PLAN, json(&file)?),
        (pin::ORIGIN, json(&origin)?),
    ];
    for (name, bytes) in pins {
        keep(&journal, &id, &pin::of(name, Some(&file.hash)), &bytes).await?;
    }
    let mut earlier = kept.earlier;
    earlier.push(kept.plan);
    Ok(Assembly {
        journal,
        run: run_id(id)?,
        known: kept.state,
        file,
        earlier,
        guest,
        targets,
        grant,
        approvals: good,
        wanted: site.approvals,
        by: who::by(by),
        plan_path: path,
        side_by_side: site.side_by_side,
    })
}

/// The plan can take the place of the run's: it is of the same upgrade, and nothing stands open.
fn check_replaceable(run: &str, kept: &Kept, file: &PlanFile) -> Result<(), Failure> {
    let (old, new) = (&kept.plan.plan, &file.plan);
    for (what, old, new) in [
        ("site", &old.site, &new.site),
        ("product", &old.product, &new.product),
        ("version", &old.to, &new.to),
    ] {
        if old != new {
            return Err(Failure::new(
                Code::Arguments,
                format!("the plan is of another {what} than run `{run}`"),
            )
            .cause(format!("the run's is `{}`", old.escape_debug()))
            .cause(format!("the plan's is `{}`", new.escape_debug()))
            .remedy("make a plan that takes the place of the run's")
            .next(format!("liftlock replan {run}")));
        }
    }
    check_settled(run, kept)
}

/// No change of the run is open and nothing waits for a person: else its plan cannot be replaced.
pub(crate) fn check_settled(run: &str, kept: &Kept) -> Result<(), Failure> {
    if kept.state.goes_back() {
        return Err(Failure::new(
            Code::RunState,
            format!("run `{run}` goes back: its plan cannot be replaced meanwhile"),
        )
        .remedy("let it go back to the end; after that make a plan of its own")
        .next(format!("liftlock resume {run}")));
    }
    let Some((step, why)) = replan_refused(&kept.state) else {
        return Ok(());
    };
    let waits = kept.state.step(&step).needs_person();
    let failure = Failure::new(
        Code::PersonNeeded,
        format!("the plan of run `{run}` cannot be replaced now"),
    )
    .cause(format!("step `{step}` {why}"));
    Err(if waits {
        failure
            .remedy("look at the target and say what became of it; then replan")
            .next(format!(
                "liftlock resume {run} --decide {step}=done --reason TEXT   (or {step}=not-done)"
            ))
    } else {
        failure
            .remedy("resuming settles it first, with the plan that it was sent by; then stop and replan")
            .next(format!("liftlock resume {run}"))
    })
}

/// The run that is meant, with what it keeps; refused where it is over and that does not suit.
pub(crate) async fn found(
    journal: &Journal,
    named: &str,
    over: Over,
) -> Result<(String, Kept), Failure> {
    let id = runs::find(journal, Some(named)).await?;
    let kept = runs::load(journal, &id).await?;
    match &kept.state.ended {
        Some(how) if kept.state.claims.is_empty() && !over.allows(how) => Err(Failure::new(
            Code::RunState,
            format!("run `{id}` is over: {}", how.replace('-', " ")),
        )
        .untouched("nothing was sent to any target; the record is as it was")
        .remedy(if how == "rolled-back" {
            "the site is as it was before; a run that was taken back cannot be used again: make a new plan"
        } else {
            "look at what it did"
        })
        .next(if how == "rolled-back" {
            format!("liftlock plan {}", word(&kept.plan.plan.to))
        } else {
            format!("liftlock audit {id} --verify")
        })),
        _ => Ok((id, kept)),
    }
}

fn run_id(id: String) -> Result<RunId, Failure> {
    RunId::new(id).map_err(|e| Failure::new(Code::NoRun, "the run's id is none").because(&e))
}

/// What a run keeps, as JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|e| {
        Failure::new(
            Code::Internal,
            "what the run keeps cannot be written as JSON",
        )
        .because(&e)
    })
}

/// The site that was named, else the one that the run was begun on.
pub(crate) fn site_of(context: &Context, origin: &Origin) -> Result<Site, Failure> {
    match context.site() {
        Err(failure) if failure.code() == Code::NoSite && context.site_path() == Path::new(".") => {
            context.ui.say(&format!("site {}", origin.site));
            context.site_at(Path::new(&origin.site))
        }
        other => other,
    }
}
