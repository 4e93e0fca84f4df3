//! A run put together and watched: begun, resumed, taken back, taken over or aborted, and what it came to.
//!
//! | module | what |
//! |---|---|
//! | `checks` | what must hold before |
//! | `again` | a run that was begun, put together to go on |
//! | `report` | what it came to |
//! | `id` | ids of runs, and instants |

mod again;
mod checks;
mod id;
mod report;

use std::path::PathBuf;
use std::sync::Arc;

use liftlock_gate::{
    Approval, Bindings, Decision, Parts, RunState, Runner, StopSignal, Timing, Who,
};
use liftlock_journal::Journal;
use liftlock_types::{Exit, Grant, Plan, PlanFile, RunId, Target, UnitName};

use crate::args::Pace;
use crate::connect::Targets;
use crate::context::Context;
use crate::failure::Failure;
use crate::guest::{self, Guest};
use crate::output::{Answer, Ui};
use crate::planner::SitePlanner;
use crate::progress::Teller;
use crate::rehearsal::{self, DiskWatch};
use crate::{claims, who};

pub(crate) use again::{Over, again, by_other_plan, check_settled, found, json, site_of};
pub(crate) use checks::{check_approved, check_none_open, check_others, check_unchanged, grant_of};
pub(crate) use id::new_id;
#[cfg(test)]
pub(crate) use report::EndData;

use id::instant_ms;
use report::Ended;

/// Everything that a runner is made of.
pub(crate) struct Assembly {
    /// Opened, ours alone.
    pub(crate) journal: Journal,
    /// The run.
    pub(crate) run: RunId,
    /// What the journal said of it when this was put together.
    pub(crate) known: RunState,
    /// What was approved.
    pub(crate) file: PlanFile,
    /// Plans of the run that this one replaced, in order.
    pub(crate) earlier: Vec<PlanFile>,
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
    /// Most steps at once.
    pub(crate) side_by_side: usize,
}

impl Assembly {
    /// Plans that this one replaced.
    pub(crate) fn earlier_plans(&self) -> Vec<Plan> {
        self.earlier.iter().map(|file| file.plan.clone()).collect()
    }

    /// With as many steps at once as the command line says, if it does.
    pub(crate) fn at_pace(mut self, pace: Pace) -> Self {
        if let Some(most) = pace.side_by_side {
            self.side_by_side = most as usize;
        }
        self
    }

    /// Plan, grant and targets are as they were.
    pub(crate) fn check_unchanged(&self) -> Result<(), Failure> {
        check_unchanged(&self.file.plan, &self.grant, &self.targets)
    }
}

/// What is to be done with a run.
pub(crate) enum Verb {
    /// From its first step.
    Run,
    /// From where it stands.
    Resume(Vec<Decision>),
    /// From where it stands, its runner being dead: with what a person attests.
    Takeover(Option<String>, Vec<Decision>),
    /// Taken back, with the reason.
    Rollback(String, Vec<Decision>),
    /// One unit of it taken back, with the reason.
    RollbackUnit(UnitName, String, Vec<Decision>),
    /// Ended.
    Abort(String),
}

impl Verb {
    /// It does steps of the plan, and takes none back.
    fn goes_forward(&self) -> bool {
        matches!(self, Self::Run | Self::Resume(_) | Self::Takeover(..))
    }
}

/// Puts the runner together, lets it work under the eyes of the terminal, and answers with what it came to.
pub(crate) async fn work(
    context: &Context,
    assembly: Assembly,
    verb: Verb,
) -> Result<Answer, Failure> {
    let earlier = assembly.earlier_plans();
    let Assembly {
        journal,
        run,
        known,
        file,
        earlier: mut plans,
        guest,
        targets,
        grant,
        approvals,
        wanted,
        by,
        plan_path,
        side_by_side,
    } = assembly;
    for planned in plans.iter().chain([&file]) {
        if let Some(scratch) = &targets.scratch {
            let is_scratch = |binding: &_| scratch.contains(binding);
            rehearsal::check_plan(is_scratch, &planned.plan, &targets.bindings)?;
        }
    }
    let state = context.state()?;
    targets.lend(&guest.plugin, &state)?;
    let state_dir = state.dir().display().to_string();
    let target = Target {
        from: file.plan.from.clone(),
        to: file.plan.to.clone(),
    };
    let planner = SitePlanner::new(context.ui, &guest, &targets, &grant, target)
        .of_plan(&file.plan, instant_ms(&file.made_at)?);
    let agreed = approvals.clone();
    let teller = Arc::new(Teller::new(context.ui, &file.plan, side_by_side));
    let stop = StopSignal::default();
    let ears = tokio::spawn(listen(context.ui, stop.clone(), run.to_string()));
    let disks = targets
        .scratch
        .as_ref()
        .filter(|_| verb.goes_forward() && known.ended.is_none())
        .map(|scratch| DiskWatch::start(scratch, &targets.bindings));
    let bindings: Bindings = targets.bindings;
    let resumed = !matches!(verb, Verb::Run);
    let rehearsed_by = by.clone();
    let runner = Runner::new(Parts {
        journal,
        run: run.clone(),
        plan: file.plan.clone(),
        earlier,
        reads: file.reads.clone(),
        made_by: file.made_by.clone(),
        grant,
        bindings: bindings.clone(),
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
        side_by_side,
    });
    let end = match verb {
        Verb::Run => runner.run().await,
        Verb::Resume(decisions) => runner.resume(decisions).await,
        Verb::Takeover(attestation, decisions) => runner.takeover(attestation, decisions).await,
        Verb::Rollback(reason, decisions) => runner.rollback(&reason, decisions).await,
        Verb::RollbackUnit(unit, reason, decisions) => {
            runner.rollback_unit(unit, &reason, decisions).await
        }
        Verb::Abort(reason) => runner.abort(&reason).await,
    };
    ears.abort();
    teller.close();
    let held = match end.exit {
        Exit::Claimed | Exit::ClaimLost => claims::look(&bindings).await,
        _ => Vec::new(),
    };
    let hop = guest::hop_after(&guest.descriptor, &file.plan.to);
    let rehearsed = match disks {
        Some(disks) if end.state.rows > 0 && !end.state.goes_back() => {
            let ended = rehearsal::Ended {
                end: &end,
                file: &file,
                by: &rehearsed_by,
                resumed,
                peak_disk_bytes: disks.peaks(),
            };
            let (path, record) = rehearsal::conclude(&context.rehearsals_dir(), ended)?;
            Some(rehearsal::data(&path, &record, &file.plan))
        }
        _ => None,
    };
    plans.push(file);
    Ok(report::answer(
        context,
        &Ended {
            end: &end,
            plans: &plans,
            agreed: &agreed,
            plan_path: &plan_path,
            state_dir,
            claims: &held,
            hop,
            rehearsed,
        },
    ))
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
