//! The command line of Liftlock.
//!
//! | module | what |
//! |---|---|
//! | `args` | the command line, as clap reads it |
//! | `command` | a file for each command: it gathers, asks, answers |
//! | `context` | what every command has: output, site, state |
//! | `output`, `failure`, `code`, `escape` | the one way out, the one way to fail, the table of codes |
//! | `explain`, `terms` | what the codes and the words mean |
//! | `site`, `secret` | `site.toml`, and what it refers to |
//! | `state`, `store` | the state directory and the plugins in it |
//! | `grants`, `granting`, `here` | `grants.toml`, the question, and what a scope matches now |
//! | `guest`, `planner` | the plugin in its sandbox, and as the gate sees it |
//! | `connect` | from bindings to targets that answer |
//! | `planning` | inspect, check, propose, freeze |
//! | `plans`, `approvals` | plan files and the approvals beside them |
//! | `runs`, `running`, `progress` | runs in the journal; one put together; one while it goes |
//! | `claims`, `undoing`, `decisions` | who holds the targets; what a rollback would do and lose; a person's word |
//! | `rates` | work into time |
//! | `rehearsal` | the plan on other targets first, and what that says of the real one |
//! | `view` | what people see, and the same facts as data |
//! | `doors` | ways in for the fuzz targets |
//! | `schema` | the JSON schemas of `--json` |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod approvals;
mod args;
mod claims;
mod code;
mod command;
mod connect;
mod context;
mod decisions;
#[cfg(feature = "doors")]
pub mod doors;
mod escape;
mod explain;
mod failure;
mod granting;
mod grants;
mod guest;
mod here;
mod output;
mod planner;
mod planning;
mod plans;
mod progress;
mod rates;
mod rehearsal;
mod running;
mod runs;
#[cfg(test)]
mod schema;
mod secret;
mod site;
mod state;
mod store;
mod terms;
mod undoing;
mod view;
mod who;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command};
use crate::code::Code;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Answer, Ui};

/// Reads the command line, does what it says, and ends with the exit code that says how it went.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misread(&error),
    };
    if let Command::Supervise(args) = &cli.command {
        let code = liftlock_service::supervise_main(&args.spec);
        return u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from);
    }
    if let Command::CompilePlugin(args) = &cli.command {
        let code = liftlock_sandbox::compile_main(&args.limits);
        return u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from);
    }
    let context = Context::new(cli.global);
    listen_to_ourselves(context.ui.verbosity());
    let name = cli.command.name();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure =
                Failure::new(Code::Internal, "this machine gives no threads").because(&error);
            return context.ui.finish(name, failure.into()).into();
        }
    };
    let work = || runtime.block_on(command::perform(&context, cli.command));
    // A panic is a defect of ours, and ends as every other failure: with its code and exit code.
    let answer = catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(defect(panic.as_ref())))
        .unwrap_or_else(Answer::from)
        .with_options(&context.options());
    // Nothing of ours is left to be waited for; a name that is being resolved would hold the end up.
    runtime.shutdown_background();
    context.ui.finish(name, answer).into()
}

fn defect(panic: &(dyn Any + Send)) -> Failure {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Failure::new(Code::Internal, "a defect of Liftlock ended this command")
        .cause(text)
        .untouched("if a run was going on, its journal says what was sent and what became of it")
        .remedy("report this with the text above; a run goes on with `liftlock resume`")
        .next("liftlock status")
}

/// Help and version are answers; everything else is a failure that looks like every other.
fn misread(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // A closed stdout has seen what it wanted.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let has = |word: &str| std::env::args_os().skip(1).any(|arg| arg == word);
    let ui = Ui::new(has("--json"), false, 0, has("--no-color"));
    let text = error.render().to_string();
    let mut lines = text
        .lines()
        .map(|line| line.trim_start_matches("error: ").trim_end());
    let mut failure = Failure::new(Code::Arguments, lines.next().unwrap_or_default())
        .untouched("nothing was read or contacted")
        .remedy("see what the command takes")
        .next("liftlock --help");
    for line in lines.filter(|line| !line.trim().is_empty() && !line.contains("--help")) {
        failure = failure.cause(line.trim());
    }
    ui.finish("", failure.into()).into()
}

/// Our own log on stderr, for who asked for more.
fn listen_to_ourselves(verbosity: u8) {
    let level = match verbosity {
        0 => "error",
        1 => "warn",
        2 => "info,liftlock=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("LIFTLOCK_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    // Set once for this process; a second call would be a test of ours in the same process.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(true)
        .try_init();
}

/// The sources of this crate, for tests that look at what is used.
#[cfg(test)]
pub(crate) fn test_sources() -> Vec<(String, String)> {
    fn collect(dir: &std::path::Path, out: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, out);
            } else {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                out.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut out = Vec::new();
    collect(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut out,
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_as_a_defect_with_its_text() {
        let panic = catch_unwind(|| panic!("broken invariant")).unwrap_err();
        let failure = defect(panic.as_ref());
        assert_eq!(failure.exit().code(), 1);
        assert_eq!(failure.data().causes, ["broken invariant"]);
    }
}
