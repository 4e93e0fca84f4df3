//! The command line, as clap reads it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use liftlock_types::UnitName;

const HELP: &str = "\
{about-with-newline}
Usage: liftlock [OPTIONS] COMMAND

Two commands to the first plan:
  liftlock init --plugin FILE --cluster URL   write site.toml from what can be seen
  liftlock plan VERSION                       check, ask for the grant, show the plan

Set up
  init       write a site.toml filled with what can be seen
  doctor     look for what would stop a run: places, rights, reachability, journal
  plugin     add, list and show plugins
  grant      allow a plugin what it asks for on this site, or less
Look (changes nothing)
  inspect    what is there, as the plugin sees it
  check      what stands in the way of an upgrade
Plan (changes nothing but files in plans/)
  plan       make, show and write the plan to a version
  show       show a plan, as a table or as Markdown for a pull request
  approve    agree to a plan, with your name
Run
  rehearse   perform the plan on a copy of the site first, and know how long it takes
  run        perform an approved plan
  resume     go on with a run that stopped
  status     where a run stands
When it goes wrong (each says first what it will do)
  rollback   take a run back: undo in reverse, restore what was taken away
  replan     make a new plan in the middle of a run, say with a repaired plugin
  takeover   go on with a run whose process is dead, or remove its claim
  abort      end a run that is not to go on, and leave things as they are
Afterwards
  history    the runs on this state directory
  audit      everything a run did, and whether the record is whole
  export     a run's whole record in one file, to go on elsewhere
  import     take such a file in
Help
  explain    what an exit code, an error code, a finding or a word means; `explain changes`

Options of every command
{options}
{after-help}";

const AFTER: &str = "\
Data goes to stdout, talk to stderr. `liftlock COMMAND --help` says more about each command.
Git holds site.toml, grants.toml and plans/; the state directory (journal, plugins, kept files) never.";

/// Takes a running system from one version to the next: it looks, plans, asks, and then does exactly what was approved.
#[derive(Debug, Parser)]
#[command(name = "liftlock", version, help_template = HELP, after_help = AFTER, subcommand_required = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// The site: a `site.toml`, or the directory it is in.
    #[arg(
        long,
        global = true,
        value_name = "DIR-or-FILE",
        default_value = ".",
        env = "LIFTLOCK_SITE",
        hide_env_values = true
    )]
    pub(crate) site: PathBuf,
    /// Where journal, plugins and kept files are. Default: the user's state folder.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "LIFTLOCK_STATE",
        hide_env_values = true
    )]
    pub(crate) state: Option<PathBuf>,
    /// One JSON document on stdout (`liftlock.cli/1`) instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No talk but warnings and errors.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// More talk; twice: every request.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// No colour. `NO_COLOR` does the same.
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Mean the rehearsal of the site: the targets under `[rehearsal]`, and the runs of `rehearse`.
    #[arg(long, global = true)]
    pub(crate) rehearsal: bool,
    /// Takes a state directory in memory: for tests and demonstrations only.
    #[arg(long, global = true, hide = true, env = "LIFTLOCK_VOLATILE_STATE", hide_env_values = true, value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    pub(crate) volatile_state: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a site.toml filled with what can be seen.
    Init(Init),
    /// Look for what would stop a run.
    Doctor,
    /// Add, list and show plugins.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Allow a plugin what it asks for on this site, or less.
    Grant(Grant),
    /// What is there, as the plugin sees it.
    Inspect(WithPlugin),
    /// What stands in the way of an upgrade.
    Check(Check),
    /// Make, show and write the plan to a version.
    Plan(Plan),
    /// Show a plan.
    Show(Show),
    /// Performs the plan on targets of its own first, and certifies it: this plan, on these data, took so long.
    ///
    /// `[rehearsal]` in site.toml names them: for each binding that the plan changes a table of the same form as the
    /// site's own, say `[rehearsal.cluster.database]`; what is only read may stay the real one. It is refused where a
    /// binding that is changed has none, and where one proves to be the real one under another name. Real targets take no
    /// change from a rehearsal, whatever the plan says. Options of the plugin that must differ go into
    /// `[rehearsal.options]`.
    ///
    /// They must serve nobody, and hold the same data as before the upgrade, from your backup. `--fill` runs the command
    /// that fills them: `fill = ["./fill.sh"]` under `[rehearsal]`, program and arguments, in the directory of site.toml,
    /// with your environment. Its output is shown; where it fails nothing is rehearsed. Examples for search clusters and
    /// PostgreSQL are in examples/rehearsal.
    ///
    /// It plans the real site and the rehearsal, says where the two differ, shows the plan, asks once (`--yes` for CI; that
    /// waives and approves what the plan wants approved by itself), and runs it like any other: through the same gate, with
    /// a journal of its own beside that of the site. What it came to is written to rehearsals/RUN.json beside site.toml,
    /// passed or failed. `plan` and `show` then take their times from it, and say when it does not fit any more: the plan is
    /// another, or there are more than 20 % more data.
    ///
    /// After a stop or a crash: `liftlock resume RUN --rehearsal`. So for `status`, `rollback`, `abort`, `audit` and all
    /// others but `run` and `replan`: with `--rehearsal` they mean the rehearsal.
    ///
    /// Exit codes: as of `run`.
    Rehearse(Rehearse),
    /// Agree to a plan, with your name.
    Approve(Approve),
    /// Perform an approved plan.
    Run(Run),
    /// Go on with a run that stopped.
    Resume(Resume),
    /// Where a run stands.
    Status(Status),
    /// Takes a run back: what it did is undone in the reverse order in which it was done.
    ///
    /// Each undo passes the same gate as a step: recorded before it is sent, read back after. What was taken away is
    /// restored from the snapshot that the run took and proved. Only what this run did is undone, and from its first row
    /// on the run goes backwards only: `resume` continues the rollback, never the upgrade.
    ///
    /// A plan can name units, such as the nodes of a site: then unit after unit goes back, so that the others serve
    /// meanwhile; and `--unit NAME` takes only that one back. The run stands then: `resume` does the unit anew.
    ///
    /// Without a terminal it needs `--yes`. Look first: `liftlock rollback RUN --preview` shows every step and what would
    /// be lost, and sends nothing.
    ///
    /// Exit codes: 0 all is as before; 2 nobody was there to ask; 21 a person must decide first; 24 it failed on the way
    /// and `resume` goes on with it.
    Rollback(Rollback),
    /// Makes a new plan in the middle of a run, from the state of today.
    ///
    /// For a plugin or a plan that turned out wrong after the run had begun. What was proved done and is the same in the
    /// new plan is carried over with its evidence and not done again; what is new, gone or changed is shown. The new plan
    /// needs its own approval, a new plugin its own grant. Run, record and claim stay. Nothing is sent; refused while a
    /// change is open or a doubt stands.
    Replan(Replan),
    /// Goes on with a run whose process is dead, from here.
    ///
    /// The journal of the run must be here: it never moved, or `liftlock import` took it in. The holder of the claim must
    /// be proved dead: on its own host by its process being gone, elsewhere by your word (`--attest`), which is recorded.
    /// Then the settle time is waited for, since what the dead runner sent last may still land; a claim of the next number
    /// is made, and the run goes on as with `resume`.
    ///
    /// What no claim can prevent: a runner that was frozen, not dead, can still send one request after it thaws. It looks
    /// at the claim before each change, so it stops there with exit 31.
    Takeover(Takeover),
    /// End a run that is not to go on.
    Abort(Abort),
    /// The runs on this state directory.
    History,
    /// Everything a run did, and whether the record is whole.
    Audit(Audit),
    /// A run's whole record in one file, to go on elsewhere.
    Export(Export),
    /// Take an exported run in.
    Import(Import),
    /// What an exit code, an error code, a finding or a word of the screens means.
    Explain(Explain),
    /// Watches one process; started by Liftlock itself.
    #[command(hide = true)]
    Supervise(Supervise),
    /// Compiles one plugin; started by Liftlock itself.
    #[command(hide = true)]
    CompilePlugin(CompilePlugin),
}

impl Command {
    /// As it is typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Doctor => "doctor",
            Self::Plugin(Plugin::Add(_)) => "plugin add",
            Self::Plugin(Plugin::List) => "plugin list",
            Self::Plugin(Plugin::Show(_)) => "plugin show",
            Self::Grant(_) => "grant",
            Self::Inspect(_) => "inspect",
            Self::Check(_) => "check",
            Self::Plan(_) => "plan",
            Self::Show(_) => "show",
            Self::Rehearse(_) => "rehearse",
            Self::Approve(_) => "approve",
            Self::Run(_) => "run",
            Self::Resume(_) => "resume",
            Self::Status(_) => "status",
            Self::Rollback(_) => "rollback",
            Self::Replan(_) => "replan",
            Self::Takeover(_) => "takeover",
            Self::Abort(_) => "abort",
            Self::History => "history",
            Self::Audit(_) => "audit",
            Self::Export(_) => "export",
            Self::Import(_) => "import",
            Self::Explain(_) => "explain",
            Self::Supervise(_) => "supervise",
            Self::CompilePlugin(_) => "compile-plugin",
        }
    }
}

/// A plugin named by its file instead of by `site.toml`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WithPlugin {
    /// Use this component (and add it) instead of the one that `site.toml` names.
    #[arg(long, value_name = "FILE")]
    pub(crate) plugin: Option<PathBuf>,
    /// Load a plugin that nobody signed. It is marked on every screen.
    #[arg(long, requires = "plugin")]
    pub(crate) allow_unsigned: bool,
    /// Write the grant without asking, as if every question was answered with yes.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The plugin's component.
    #[arg(long, value_name = "FILE")]
    pub(crate) plugin: PathBuf,
    /// Load a plugin that nobody signed. It is marked on every screen.
    #[arg(long)]
    pub(crate) allow_unsigned: bool,
    /// A node of the search cluster; more of them with more `--cluster`.
    #[arg(long, value_name = "URL", required = true)]
    pub(crate) cluster: Vec<String>,
    /// An option of the plugin: `--set prefix=acme`.
    #[arg(long, value_name = "OPTION=VALUE")]
    pub(crate) set: Vec<String>,
    /// The site's name.
    #[arg(long, default_value = "prod")]
    pub(crate) name: String,
    /// The user to log in with.
    #[arg(long, value_name = "NAME", requires = "password_env")]
    pub(crate) user: Option<String>,
    /// The environment variable that holds the password.
    #[arg(long, value_name = "VARIABLE", requires = "user")]
    pub(crate) password_env: Option<String>,
    /// The environment variable that holds an API key.
    #[arg(long, value_name = "VARIABLE", conflicts_with = "user")]
    pub(crate) api_key_env: Option<String>,
    /// The certificate authority of the cluster, PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Install a component, by its digest.
    Add(PluginAdd),
    /// The plugins that are installed.
    List,
    /// What a plugin is, what it asks for and what it imports.
    Show(PluginShow),
}

#[derive(Debug, Args)]
pub(crate) struct PluginAdd {
    /// The component.
    pub(crate) file: PathBuf,
    /// Load a plugin that nobody signed. It is marked on every screen.
    #[arg(long)]
    pub(crate) allow_unsigned: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PluginShow {
    /// Name, or the first digits of the digest.
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct Grant {
    #[command(flatten)]
    pub(crate) with: WithPlugin,
    /// Print the grant that is asked for, as grants.toml holds it, and write nothing.
    #[arg(long, conflicts_with = "yes")]
    pub(crate) show: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The version to reach; without it, what can be said of any.
    pub(crate) version: Option<String>,
    #[command(flatten)]
    pub(crate) with: WithPlugin,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The version to reach.
    pub(crate) version: String,
    #[command(flatten)]
    pub(crate) with: WithPlugin,
    /// Write the plan although blockers stand; each must be waived with a reason when it is approved.
    #[arg(long)]
    pub(crate) with_blockers: bool,
    /// Exit 10 where the plan has changes, 0 where there is nothing to do.
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// A plan's file, or the first digits of its hash.
    pub(crate) plan: String,
    /// As Markdown, for a pull request.
    #[arg(long)]
    pub(crate) markdown: bool,
    /// Each step with its conditions, facts and bodies.
    #[arg(long)]
    pub(crate) full: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rehearse {
    /// The version to reach.
    pub(crate) version: String,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Run the command first that fills the targets of the rehearsal: `fill` under `[rehearsal]`.
    #[arg(long)]
    pub(crate) fill: bool,
    /// Rehearse although blockers stand on the targets of the rehearsal.
    #[arg(long)]
    pub(crate) with_blockers: bool,
    #[command(flatten)]
    pub(crate) pace: Pace,
    /// Who you are. Default: your user name on this machine.
    #[arg(long, value_name = "NAME", env = "LIFTLOCK_BY", hide_env_values = true)]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// A plan's file, or the first digits of its hash.
    pub(crate) plan: String,
    /// Take the responsibility for this finding; may be given again.
    #[arg(long, value_name = "FINDING", requires = "reason")]
    pub(crate) waive: Vec<String>,
    /// Let this step go on, or attest that it was done; may be given again.
    #[arg(long, value_name = "ID", requires = "reason")]
    pub(crate) step: Vec<String>,
    /// Why.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Who you are. Default: your user name on this machine.
    #[arg(long, value_name = "NAME", env = "LIFTLOCK_BY", hide_env_values = true)]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// A plan's file, or the first digits of its hash.
    pub(crate) plan: String,
    /// Approve the plan of this hash (at least 8 digits), for CI.
    #[arg(long, value_name = "HASH")]
    pub(crate) approve: Option<String>,
    #[command(flatten)]
    pub(crate) pace: Pace,
    /// Who you are. Default: your user name on this machine.
    #[arg(long, value_name = "NAME", env = "LIFTLOCK_BY", hide_env_values = true)]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The run, or the first digits of its id.
    pub(crate) run: String,
    /// Go on by this plan, which `replan` made, in the place of the run's own.
    #[arg(long, value_name = "PLAN")]
    pub(crate) plan: Option<String>,
    #[command(flatten)]
    pub(crate) pace: Pace,
    #[command(flatten)]
    pub(crate) decided: Decided,
    /// Who you are. Default: your user name on this machine.
    #[arg(long, value_name = "NAME", env = "LIFTLOCK_BY", hide_env_values = true)]
    pub(crate) by: Option<String>,
}

/// How much is done at once.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Pace {
    /// Most steps at once, 1 to 32: only such that share nothing are done side by side. Default: what site.toml says,
    /// else 4.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(crate::site::SIDE_BY_SIDE_MAX)))]
    pub(crate) side_by_side: Option<u32>,
}

/// A person's word on doubts.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Decided {
    /// Decide a doubt: the change of this step is there as the plan has it (`done`), or nothing of it is
    /// (`not-done`); may be given again.
    #[arg(long, value_name = "STEP=done|not-done", requires = "reason")]
    pub(crate) decide: Vec<String>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The run, or the first digits of its id.
    pub(crate) run: String,
    /// Only this unit of the plan; `liftlock show PLAN` names them.
    #[arg(long, value_name = "NAME")]
    pub(crate) unit: Option<UnitName>,
    /// Show what would be done and lost; send nothing.
    #[arg(long, conflicts_with_all = ["yes", "decide"])]
    pub(crate) preview: bool,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) decided: Decided,
    /// Who you are. Default: your user name on this machine.
    #[arg(long, value_name = "NAME", env = "LIFTLOCK_BY", hide_env_values = true)]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Takeover {
    /// The run, or the first digits of its id.
    #[arg(required_unless_present = "abandon")]
    pub(crate) run: Option<String>,
    /// How you know that the holder of the claim is dead, where nothing here proves it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) attest: Option<String>,
    /// Remove claims whose journal is lost, instead of going on. What those runs did last is then not known.
    #[arg(long, conflicts_with = "decide")]
    pub(crate) abandon: bool,
    #[command(flatten)]
    pub(crate) pace: Pace,
    #[command(flatten)]
    pub(crate) decided: Decided,
    /// Who you are. Default: your user name on this machine.
    #[arg(long, value_name = "NAME", env = "LIFTLOCK_BY", hide_env_values = true)]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Replan {
    /// The run, or the first digits of its id.
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) with: WithPlugin,
    /// Where to write the plan. Default: `plans/` beside site.toml.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write the plan although blockers stand; each must be waived with a reason when it is approved.
    #[arg(long)]
    pub(crate) with_blockers: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The run, or the first digits of its id. Default: the last one.
    pub(crate) run: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Abort {
    /// The run, or the first digits of its id.
    pub(crate) run: String,
    /// Why it is not to go on.
    #[arg(long)]
    pub(crate) reason: String,
    /// Who you are. Default: your user name on this machine.
    #[arg(long, value_name = "NAME", env = "LIFTLOCK_BY", hide_env_values = true)]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// The run, or the first digits of its id.
    pub(crate) run: String,
    /// Check every row of the chain, and name the first that is broken.
    #[arg(long)]
    pub(crate) verify: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The run, or the first digits of its id.
    pub(crate) run: String,
    /// The file to write: rows, plans, plugin and kept copies. Only you can read it.
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A file that `liftlock export` wrote.
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// `20`, `E0301-no-grant`, `host.unproved-destruction`, `doubt`, `changes`, or a finding of an installed plugin.
    /// Without it: the list.
    pub(crate) code: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CompilePlugin {
    /// What it may use.
    pub(crate) limits: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Supervise {
    /// What to watch.
    pub(crate) spec: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_lists_every_command_that_is_not_hidden() {
        let help = Cli::command().render_help().to_string();
        for command in Cli::command()
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            let line = format!("\n  {:<10} ", command.get_name());
            assert!(
                help.contains(&line),
                "{} is not listed in\n{help}",
                command.get_name()
            );
        }
    }
}
