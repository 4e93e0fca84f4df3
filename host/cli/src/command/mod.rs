//! A file for each command: it gathers, hands over to the modules that do the work, and answers.

mod abort;
mod approve;
mod audit;
mod check;
mod doctor;
mod explain;
mod grant;
mod history;
mod init;
mod inspect;
mod plan;
mod plugin;
mod rehearse;
mod replan;
mod resume;
mod rollback;
mod run;
mod show;
mod status;
mod takeover;
mod transfer;

use crate::args::{Command, Plugin};
use crate::code::Code;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Answer;

/// Does what was asked.
pub(crate) async fn perform(context: &Context, command: Command) -> Result<Answer, Failure> {
    // Another plan than the one that was held against the real site would pass by that look.
    if context.is_rehearsal() && matches!(command, Command::Run(_) | Command::Replan(_)) {
        return Err(Failure::new(
            Code::Arguments,
            format!("`{}` has no rehearsal", command.name()),
        )
        .untouched("nothing was read or contacted")
        .remedy("a rehearsal begins with `liftlock rehearse`, which looks at both sites first")
        .next("liftlock rehearse VERSION"));
    }
    match command {
        Command::Init(args) => init::init(context, args).await,
        Command::Doctor => doctor::doctor(context).await,
        Command::Plugin(Plugin::Add(args)) => plugin::add(context, args).await,
        Command::Plugin(Plugin::List) => plugin::list(context),
        Command::Plugin(Plugin::Show(args)) => plugin::show(context, args).await,
        Command::Grant(args) => grant::grant(context, args).await,
        Command::Inspect(args) => inspect::inspect(context, args).await,
        Command::Check(args) => check::check(context, args).await,
        Command::Plan(args) => plan::plan(context, args).await,
        Command::Show(args) => show::show(context, &args).await,
        Command::Rehearse(args) => rehearse::rehearse(context, args).await,
        Command::Approve(args) => approve::approve(context, &args),
        Command::Run(args) => run::run(context, args).await,
        Command::Resume(args) => resume::resume(context, args).await,
        Command::Status(args) => status::status(context, args).await,
        Command::Rollback(args) => rollback::rollback(context, args).await,
        Command::Replan(args) => replan::replan(context, args).await,
        Command::Takeover(args) => takeover::takeover(context, args).await,
        Command::Abort(args) => abort::abort(context, args).await,
        Command::History => history::history(context).await,
        Command::Audit(args) => audit::audit(context, args).await,
        Command::Export(args) => transfer::export(context, args).await,
        Command::Import(args) => transfer::import(context, args).await,
        Command::Explain(args) => explain::explain(context, args).await,
        // Begun before anything else in `main`: it must not have a runtime.
        Command::Supervise(_) | Command::CompilePlugin(_) => Ok(Answer::done("", &())),
    }
}

/// What commands answer, for the schemas.
#[cfg(test)]
pub(crate) mod data {
    pub(crate) use super::approve::ApproveData;
    pub(crate) use super::audit::AuditData;
    pub(crate) use super::check::CheckData;
    pub(crate) use super::doctor::DoctorData;
    pub(crate) use super::history::HistoryData;
    pub(crate) use super::init::InitData;
    pub(crate) use super::inspect::InspectData;
    pub(crate) use super::plugin::{PluginData, PluginListData};
    pub(crate) use super::replan::ReplanData;
    pub(crate) use super::takeover::AbandonData;
    pub(crate) use super::transfer::{ExportData, ImportData};
}
