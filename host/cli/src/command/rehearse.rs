//! `rehearse`: perform the plan on other targets with the same data, and certify it.

use liftlock_types::{Binding, Body, PlanFile, StepId};

use crate::approvals::{self, Word};
use crate::args;
use crate::code::Code;
use crate::connect::connect;
use crate::context::Context;
use crate::failure::Failure;
use crate::grants::Grants;
use crate::output::{Answer, Ui};
use crate::planning::{self, Planned, Ready};
use crate::rehearsal::{self, Times};
use crate::site::{SITE_FILE, Site};
use crate::store::UNSIGNED;
use crate::view::{findings, plan as screen};
use crate::{granting, plans, who};

/// Why findings are waived and steps let go on: who says yes to a rehearsal says it to all of it.
const REASON: &str = "a rehearsal, on targets of its own";

pub(super) async fn rehearse(context: &Context, args: args::Rehearse) -> Result<Answer, Failure> {
    let real = context.on_rehearsal(false);
    let there = context.on_rehearsal(true);
    // First: a site without one is told before anything is contacted.
    let site = there.site()?;
    if args.fill && site.fill.is_none() {
        return Err(no_fill());
    }
    let (ready, planned) = plan_of(&real, &args.version, true).await?;
    let planned = planned?;
    let ui = &context.ui;
    if planned.plan.steps.is_empty() {
        ui.say("nothing to rehearse: the plan has no steps");
        return Ok(Answer::done(
            screen::headline(&planned),
            &serde_json::Value::Null,
        ));
    }
    let is_scratch = |binding: &_| site.is_scratch(binding);
    rehearsal::check_plan(is_scratch, &planned.plan, &ready.targets.bindings)?;
    if args.fill {
        rehearsal::fill(&there, &site, &args.version).await?;
    }
    carry_grant(&there, &site, &ready).await?;
    let (ready, rehearsed) = plan_of(&there, &args.version, args.with_blockers).await?;
    let file = rehearsed.map_err(|failure| {
        failure
            .cause("the real site can be planned; this is about the targets of the rehearsal")
            .with_options(&there.options())
    })?;
    rehearsal::check_plan(is_scratch, &file.plan, &ready.targets.bindings)?;
    rehearsal::check_registered(&site, &file.plan, &planned.plan)?;
    let mark = if ready.guest.installed.unsigned {
        format!(" ({UNSIGNED})")
    } else {
        String::new()
    };
    ui.show(&targets_line(&ready, &site));
    ui.show(screen::text(&file, &mark, &Times::default(), &[], ui.paint_talk()).trim_end());
    if file.plan.steps.is_empty() {
        return Err(Failure::new(
            Code::NoRehearsal,
            "there is nothing to do on the targets of the rehearsal",
        )
        .remedy(
            "fill them with a copy of the real data, as it was before the upgrade; `--fill` runs your command for that",
        ));
    }
    warn_of_differences(ui, &file, &planned);
    if !args.yes {
        agree(ui, &args.version)?;
    }
    let path = plans::write(&there.home(), &file)?;
    let by = who::by(args.by.as_deref());
    approvals::write(&path, &file.hash, &word(&file, &by))?;
    drop(ready);
    let run = args::Run {
        plan: path.display().to_string(),
        approve: None,
        pace: args.pace,
        by: args.by,
    };
    match super::run::run(&there, run).await {
        Ok(answer) => Ok(answer.with_options(&there.options())),
        Err(failure) => Err(failure.with_options(&there.options())),
    }
}

fn no_fill() -> Failure {
    Failure::new(
        Code::NoRehearsal,
        format!("{SITE_FILE} names no command that fills the targets of the rehearsal"),
    )
    .untouched("no target was contacted")
    .remedy(format!(
        "name one under [rehearsal] in {SITE_FILE}, say fill = [\"./fill.sh\"]; or fill them by hand, and leave out `--fill`"
    ))
}

/// The plan of the site that this context means; why there is none, where blockers stand.
async fn plan_of(
    context: &Context,
    version: &str,
    with_blockers: bool,
) -> Result<(Ready, Result<PlanFile, Failure>), Failure> {
    let ready = planning::ready(context, &args::WithPlugin::default()).await?;
    let (ready, _, target) = planning::aim(ready, Some(version)).await?;
    let planned = match planning::make(&ready, &target, with_blockers).await? {
        Planned::Made(file) => Ok(*file),
        Planned::Blocked(found) => {
            let text = findings::text(&found, context.ui.paint_talk());
            context.ui.show(text.trim_end());
            Err(planning::blocked(&found, version))
        }
    };
    Ok((ready, planned))
}

/// The plugin may do on the targets of the rehearsal what it may do on the real ones, and no more.
async fn carry_grant(there: &Context, site: &Site, real: &Ready) -> Result<(), Failure> {
    let targets = connect(site, &there.state()?).await?;
    let mut grant = real.grant.clone();
    grant.options = granting::options(site, &real.guest)?;
    for granted in &mut grant.bindings {
        if let Some(identity) = targets.identities.get(&granted.binding) {
            granted.identity.clone_from(&identity.fingerprint);
        }
    }
    Grants::load(site)?.put(grant)
}

/// Which targets are changed, and which real ones are read.
fn targets_line(ready: &Ready, site: &Site) -> String {
    let names = |scratch: bool| -> String {
        let all = ready.targets.bindings.keys();
        let some: Vec<&str> = all
            .filter(|binding| site.is_scratch(binding) == scratch)
            .map(Binding::as_str)
            .collect();
        some.join(", ")
    };
    let (own, real) = (names(true), names(false));
    let read = match real.as_str() {
        "" => String::new(),
        real => format!("; real, and only read: {real}"),
    };
    format!(
        "REHEARSAL of site `{}`, on targets of its own: {own}{read}",
        site.name
    )
}

fn warn_of_differences(ui: &Ui, file: &PlanFile, real: &PlanFile) {
    let unlike = rehearsal::unlike(&file.plan, &real.plan);
    let less = rehearsal::less_than_real(&file.plan, &real.plan);
    if unlike.is_empty() && less.is_empty() {
        ui.say("it is the plan of the real site: the same steps, and as much data");
        return;
    }
    ui.warn("it is not the plan of the real site; no plan of that will take its time from this rehearsal:");
    for line in unlike.iter().chain(&less) {
        ui.warn(&format!("  {line}"));
    }
}

/// On a terminal a person says yes to what they were shown.
fn agree(ui: &Ui, version: &str) -> Result<(), Failure> {
    let version = crate::context::word(version);
    if !ui.can_ask() {
        return Err(Failure::new(
            Code::Arguments,
            "nobody is here to say yes to this rehearsal",
        )
        .untouched("nothing was sent that changes anything")
        .remedy("look at the targets and steps above; if that is meant, say so with `--yes`")
        .next(format!("liftlock rehearse {version} --yes")));
    }
    let answer = ui.ask("Rehearse this on the targets above, which it will change? [y]es, [n]o");
    match answer.as_deref() {
        Some("y" | "Y" | "yes") => Ok(()),
        _ => Err(Failure::new(Code::Arguments, "it was not rehearsed")
            .untouched("nothing was sent that changes anything")
            .remedy("put the targets under [rehearsal] right, or rehearse later")
            .next(format!("liftlock rehearse {version}"))),
    }
}

/// What the yes of who rehearses comes to. What a person must do or attest outside stays theirs.
fn word(file: &PlanFile, by: &str) -> Word {
    let plan = &file.plan;
    let steps: Vec<StepId> = plan
        .steps
        .iter()
        .filter(|step| step.own_approval.is_some() && !matches!(step.body, Body::HandOver { .. }))
        .map(|step| step.id.clone())
        .collect();
    Word {
        by: by.to_owned(),
        waive: findings::blockers(&plan.findings)
            .map(|finding| finding.id.clone())
            .collect(),
        steps,
        reason: REASON.into(),
    }
}
