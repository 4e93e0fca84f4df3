//! A run put together and watched: begun, resumed or aborted, and what it came to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use liftlock_gate::{
    Approval, Bindings, Decision, End, Parts, Runner, StopSignal, Timing, Who, missing, now_ms,
};
use liftlock_journal::{Journal, JournalState};
use liftlock_types::{Exit, Finding, Grant, Plan, PlanFile, RunId, Target};
use schemars::JsonSchema;
use serde::Serialize;

use crate::approvals;
use crate::code::Code;
use crate::connect::{Targets, connect};
use crate::context::{Context, word};
use crate::escape;
use crate::failure::Failure;
use crate::grants::Grants;
use crate::guest::{self, Guest};
use crate::output::{Answer, Paint, Style, Ui};
use crate::planner::SitePlanner;
use crate::progress::Teller;
use crate::runs::{self, Kept, Origin, RunData, Standing, pin};
use crate::site::Site;
use crate::state::journal_failure;
use crate::view::{self, findings, plan};
use crate::who;

/// How a run, a resume or an abort ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EndData {
    /// Where the run stands now.
    run: RunData,
    /// Findings on the way and of the validation.
    findings: Vec<findings::FindingData>,
    /// Blockers that somebody took the responsibility for: finding, who, why.
    waived: Vec<(String, String, String)>,
    /// What the plan leaves undone.
    not_done: Vec<String>,
    /// What a person has to do outside.
    hand_overs: Vec<plan::HandOverData>,
    /// The step at which it stopped.
    stopped_at: Option<String>,
    /// How long this command worked, milliseconds.
    took_ms: u64,
    /// How long each phase took, milliseconds, over all of the run.
    phases_ms: Vec<(String, u64)>,
    /// Commits of the journal by this command.
    durable_writes: u64,
    /// Most memory of this process.
    peak_memory_bytes: Option<u64>,
    /// The state directory.
    state_dir: String,
}

/// A new run's id: the instant, for people, and enough chance that two never meet.
pub(crate) fn new_id() -> Result<RunId, Failure> {
    let stamp: String = liftlock_gate::iso(now_ms())
        .chars()
        .filter(char::is_ascii_digit)
        .take(14)
        .collect();
    let (day, time) = stamp.split_at(stamp.len().min(8));
    let chance = uuid::Uuid::new_v4().simple().to_string();
    let chance = chance.get(..6).unwrap_or_default();
    RunId::new(format!("r-{day}-{time}-{chance}"))
        .map_err(|e| Failure::new(Code::Internal, "a run's id cannot be made").because(&e))
}

/// Milliseconds since 1970 of an instant that we wrote.
pub(crate) fn instant_ms(text: &str) -> Result<i64, Failure> {
    text.parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_millisecond)
        .map_err(|e| {
            Failure::new(
                Code::PlanUnreadable,
                format!("`{}` is no instant", text.escape_debug()),
            )
            .because(&e)
        })
}

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
        .find(&plan.plugin.name, &site.name)
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
        if state.site == plan.site
            && state.ended.is_none()
            && (state.has_sent() || !state.claims.is_empty())
        {
            return Err(Failure::new(
                Code::Claimed,
                format!("run `{}` of site `{}` is not over", state.run, state.site),
            )
            .remedy("resume it, or abort it, before another one begins")
            .next(format!("liftlock status {}", state.run)));
        }
    }
    Ok(used_at_ms)
}

/// Everything that a runner is made of.
pub(crate) struct Assembly {
    /// Opened, ours alone.
    pub(crate) journal: Journal,
    /// The run.
    pub(crate) run: RunId,
    /// What was approved.
    pub(crate) file: PlanFile,
    /// The plugin.
    pub(crate) guest: Guest,
    /// Who answers.
    pub(crate) targets: Targets,
    /// As it is now.
    pub(crate) grant: Grant,
    /// Who agreed.
    pub(crate) approvals: Vec<Approval>,
    /// How many must.
    pub(crate) wanted: usize,
    /// Who runs it.
    pub(crate) by: String,
    /// Where the plan file is, for messages.
    pub(crate) plan_path: PathBuf,
}

/// What is to be done with a run.
pub(crate) enum Verb {
    /// From its first step.
    Run,
    /// From where it stands.
    Resume(Vec<Decision>),
    /// Ended.
    Abort(String),
}

/// Puts the runner together, lets it work under the eyes of the terminal, and answers with what it came to.
pub(crate) async fn work(
    context: &Context,
    assembly: Assembly,
    verb: Verb,
) -> Result<Answer, Failure> {
    let Assembly {
        journal,
        run,
        file,
        guest,
        targets,
        grant,
        approvals,
        wanted,
        by,
        plan_path,
    } = assembly;
    let state_dir = context.state()?.dir().display().to_string();
    let target = Target {
        from: file.plan.from.clone(),
        to: file.plan.to.clone(),
    };
    let planner = SitePlanner::new(context.ui, &guest, &targets, &grant, target)
        .of_plan(&file.plan, instant_ms(&file.made_at)?);
    let agreed = approvals.clone();
    let teller = Arc::new(Teller::new(context.ui, &file.plan.findings));
    let stop = StopSignal::default();
    let ears = tokio::spawn(listen(context.ui, stop.clone(), run.to_string()));
    let bindings: Bindings = targets.bindings;
    let runner = Runner::new(Parts {
        journal,
        run: run.clone(),
        plan: file.plan.clone(),
        reads: file.reads.clone(),
        made_by: file.made_by.clone(),
        grant,
        bindings,
        planner: Arc::new(planner),
        observer: teller.clone(),
        stop,
        approvals,
        approvals_wanted: wanted,
        who: Who {
            by,
            host: who::host(),
            state_dir: state_dir.clone(),
        },
        timing: Timing::default(),
    });
    let end = match verb {
        Verb::Run => runner.run().await,
        Verb::Resume(decisions) => runner.resume(decisions).await,
        Verb::Abort(reason) => runner.abort(&reason).await,
    };
    ears.abort();
    teller.close();
    Ok(answer(context, &agreed, &end, &file, &plan_path, state_dir))
}

/// First Ctrl-C: stop at the next safe point. Second: stop now. A polite end from outside is as the first.
async fn listen(ui: Ui, stop: StopSignal, run: String) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        ui.warn("cannot listen for Ctrl-C here");
        return;
    };
    loop {
        tokio::select! {
            heard = interrupt.recv() => if heard.is_none() { return },
            heard = terminate.recv() => if heard.is_none() { return },
        }
        if stop.is_set() {
            ui.warn(&format!(
                "stops now; what was sent is settled by: liftlock resume {run}"
            ));
            stop.stop_now();
        } else {
            ui.warn("finishes this change and stops at the next safe point; again to stop now");
            stop.stop_at_safe_point();
        }
    }
}

/// Waivers: finding, who, why.
fn waived(approvals: &[Approval]) -> Vec<(String, String, String)> {
    let mut all: Vec<(String, String, String)> = approvals
        .iter()
        .flat_map(|approval| approval.waives.iter().map(move |waiver| (approval, waiver)))
        .map(|(approval, waiver)| {
            (
                escape::line(&waiver.finding),
                escape::line(&approval.by),
                escape::line(&waiver.reason),
            )
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

fn answer(
    context: &Context,
    agreed: &[Approval],
    end: &End,
    file: &PlanFile,
    plan_path: &Path,
    state_dir: String,
) -> Answer {
    let standing = match (&end.halt, end.state.rows) {
        // Refused before anything was written: the run does not exist.
        (Some(halt), 0) => Standing::Stopped(halt.exit, halt.why.clone()),
        _ => runs::standing(&end.state, &JournalState::Whole, None),
    };
    let mut run = runs::data(&end.state, Some(file), &standing);
    let mut left: Vec<String> = end
        .left_behind
        .iter()
        .map(|text| escape::line(text))
        .collect();
    left.retain(|text| !run.left_behind.contains(text));
    run.left_behind.extend(left);
    if end.state.rows == 0 {
        run.next = None;
    }
    let data = EndData {
        findings: findings::data(&end.findings),
        waived: waived(agreed),
        not_done: plan::not_done(&file.plan),
        hand_overs: plan::hand_overs(&file.plan),
        stopped_at: end
            .halt
            .as_ref()
            .and_then(|halt| halt.step.as_ref())
            .map(ToString::to_string),
        took_ms: end.took_ms,
        phases_ms: phases(end, &file.plan),
        durable_writes: end.durable_writes,
        peak_memory_bytes: who::peak_memory_bytes(),
        state_dir,
        run,
    };
    let text = if end.state.rows == 0 {
        String::new()
    } else {
        text(&data, &end.findings, context.ui.paint())
    };
    let answer = Answer::done(text, &data);
    match &end.halt {
        None => {
            if let Some(next) = &data.run.next {
                context.say_next(next);
            }
            answer
        }
        Some(_) => answer.failed(failure(end, &data, &file.plan.to, plan_path)),
    }
}

fn failure(end: &End, data: &EndData, to: &str, plan_path: &Path) -> Failure {
    let halt = end
        .halt
        .clone()
        .unwrap_or_else(|| liftlock_gate::Halt::new(end.exit, "it stopped"));
    let at = halt
        .step
        .as_ref()
        .map(|step| format!(" at step `{step}`"))
        .unwrap_or_default();
    let what = if end.state.rows == 0 {
        "the run did not begin".to_owned()
    } else {
        format!("run {} stopped{at}", end.state.run)
    };
    let untouched = if !end.state.has_sent() && end.state.claims.is_empty() {
        "nothing was sent to any target".to_owned()
    } else if !end.state.has_sent() {
        "nothing but the run's own claim was sent to any target".to_owned()
    } else if data.run.open.is_empty() && data.run.doubts.is_empty() {
        "the steps that follow were not begun; every change that was sent is concluded and in the journal".to_owned()
    } else {
        let mut unknown = data.run.doubts.clone();
        unknown.extend(
            data.run
                .open
                .iter()
                .filter(|step| !data.run.doubts.contains(step))
                .cloned(),
        );
        format!(
            "the steps that follow were not begun; what became of {} is not proved",
            unknown.join(", ")
        )
    };
    let plan = word(&plan_path.display().to_string());
    let next = match halt.exit {
        Exit::Stale => Some(format!("liftlock plan {}", word(to))),
        Exit::Blocked => Some(format!("liftlock check {}", word(to))),
        Exit::ApprovalMissing => Some(format!("liftlock approve {plan}")),
        Exit::StepApproval => halt.step.as_ref().map(|step| {
            format!(
                "liftlock approve {plan} --step {step} --reason TEXT && liftlock resume {}",
                end.state.run
            )
        }),
        Exit::Claimed => Some("liftlock doctor".to_owned()),
        _ if end.state.rows == 0 => None,
        _ => data.run.next.clone(),
    };
    let mut failure = Failure::new(Code::of_exit(halt.exit), what)
        .cause(halt.why.clone())
        .untouched(untouched)
        .remedy(halt.remedy.clone());
    for left in data.run.left_behind.iter().chain(&data.run.borrowed) {
        failure = failure.cause(format!("left: {left}"));
    }
    match next {
        Some(next) => failure.next(next),
        None => failure,
    }
}

/// How long each phase took: from its first intent to its last outcome.
fn phases(end: &End, plan: &Plan) -> Vec<(String, u64)> {
    let mut out: Vec<(String, i64, i64)> = Vec::new();
    for step in &plan.steps {
        let state = end.state.step(&step.id);
        let begun = state.attempts.first().map(|attempt| attempt.intent_at_ms);
        let ended = state
            .last()
            .map(|attempt| attempt.outcome_at_ms)
            .filter(|at| *at > 0);
        let (Some(begun), Some(ended)) = (begun, ended) else {
            continue;
        };
        match out
            .last_mut()
            .filter(|(phase, ..)| phase == step.phase.as_str())
        {
            Some((_, _, last)) => *last = ended.max(*last),
            None => out.push((step.phase.as_str().to_owned(), begun, ended)),
        }
    }
    out.into_iter()
        .map(|(phase, begun, ended)| (phase, u64::try_from(ended - begun).unwrap_or_default()))
        .collect()
}

fn text(data: &EndData, found: &[Finding], paint: Paint) -> String {
    let mut out = runs::text(&data.run);
    if !found.is_empty() {
        out.push_str(&format!("  findings     {}\n", findings::totals(found)));
    }
    for (finding, by, reason) in &data.waived {
        let text = format!("  waived       {finding}, by {by}: {reason}");
        out.push_str(&format!("{}\n", paint.text(Style::Bad, &text)));
    }
    let phases: Vec<String> = data
        .phases_ms
        .iter()
        .map(|(phase, ms)| format!("{phase} {}", view::duration(*ms)))
        .collect();
    if !phases.is_empty() {
        out.push_str(&format!("  phases       {}\n", phases.join(", ")));
    }
    let memory = data
        .peak_memory_bytes
        .map(|bytes| format!(", at most {} of memory", view::bytes(bytes)));
    out.push_str(&format!(
        "  took         {}, {}{}\n  journal      {}\n",
        view::duration(data.took_ms),
        view::count(
            usize::try_from(data.durable_writes).unwrap_or(usize::MAX),
            "durable write",
            "durable writes"
        ),
        memory.unwrap_or_default(),
        data.state_dir,
    ));
    if data.run.standing == Standing::Done.word() {
        out.push_str(&plan::leftovers(&data.not_done, &data.hand_overs));
    }
    out
}

/// A run that was begun, with everything that it takes to work on it again. One that is over is refused, unless it
/// is done and there is nothing to do for who asks.
pub(crate) async fn again(
    context: &Context,
    named: &str,
    by: Option<&str>,
    done_is_fine: bool,
) -> Result<(Assembly, Kept), Failure> {
    let state = context.state()?;
    let journal = state.journal().await?;
    let id = runs::find(&journal, Some(named)).await?;
    let kept = runs::load(&journal, &id).await?;
    if let Some(how) = &kept.state.ended
        && kept.state.claims.is_empty()
        && !(how == "done" && done_is_fine)
    {
        return Err(
            Failure::new(Code::RunState, format!("run `{id}` is over: {how}"))
                .untouched("nothing was sent to any target; the record is as it was")
                .remedy("look at what it did")
                .next(format!("liftlock audit {id} --verify")),
        );
    }
    let site = site_of(context, &kept.origin)?;
    let bytes = runs::pinned(&journal, &id, pin::PLUGIN).await?;
    let guest = guest::from_bytes(&state, bytes, kept.origin.plugin.clone()).await?;
    guest::announce(&context.ui, &guest.installed);
    let grant = grant_of(&site, &kept.plan.plan)?;
    let targets = connect(&site, &state).await?;
    let plan_path = PathBuf::from(&kept.origin.plan);
    let mut agreed = kept.approvals.clone();
    // Step approvals that were given since: they name the plan, and a run uses each only once.
    agreed.extend(
        approvals::load(&plan_path)?
            .into_iter()
            .filter(|approval| approval.plan == kept.plan.hash),
    );
    let assembly = Assembly {
        journal,
        run: RunId::new(id)
            .map_err(|e| Failure::new(Code::NoRun, "the run's id is none").because(&e))?,
        file: kept.plan.clone(),
        guest,
        targets,
        grant,
        approvals: agreed,
        wanted: site.approvals,
        by: who::by(by),
        plan_path,
    };
    Ok((assembly, kept))
}

/// The site that was named, else the one that the run was begun on.
fn site_of(context: &Context, origin: &Origin) -> Result<Site, Failure> {
    match context.site() {
        Err(failure) if failure.code() == Code::NoSite && context.site_path() == Path::new(".") => {
            context.ui.say(&format!("site {}", origin.site));
            Site::load(Path::new(&origin.site))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_of_the_instant_and_chance() {
        let (one, two) = (new_id().unwrap(), new_id().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.as_str().len(), "r-20261121-090018-3f9a12".len());
    }

    #[test]
    fn an_instant_of_ours_reads_back() {
        assert_eq!(
            instant_ms(&liftlock_gate::iso(1_700_000_000_123)).unwrap(),
            1_700_000_000_123
        );
        assert!(instant_ms("yesterday").is_err());
    }
}
