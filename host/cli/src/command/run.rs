//! `run`: perform an approved plan.

use std::path::Path;

use liftlock_gate::Approval;
use liftlock_types::PlanFile;

use crate::approvals::{self, Word};
use crate::args;
use crate::code::Code;
use crate::connect::connect;
use crate::context::{Context, word};
use crate::failure::{self, Failure};
use crate::output::Answer;
use crate::rehearsal::Times;
use crate::running::{self, Assembly, Verb};
use crate::runs::{Origin, pin};
use crate::site::Site;
use crate::state::journal_failure;
use crate::store::{Store, UNSIGNED};
use crate::view::plan as screen;
use crate::{guest, plans, who};

/// How many digits of a hash name a plan.
const HASH_DIGITS_MIN: usize = 8;

pub(super) async fn run(context: &Context, args: args::Run) -> Result<Answer, Failure> {
    let (path, file) = plans::find(&args.plan, &context.home())?;
    let site = context.site()?;
    if site.name != file.plan.site {
        return Err(Failure::new(
            Code::Arguments,
            format!(
                "the plan is for site `{}`, this is `{}`",
                file.plan.site, site.name
            ),
        )
        .remedy("name the plan's site with `--site DIR`"));
    }
    let state = context.state()?;
    // First: a place where a journal would not survive is refused before anything is made in it.
    let journal = state.journal().await?;
    let installed = check_plugin(&site, &file, &Store::open(&state)?)?;
    let by = who::by(args.by.as_deref());
    let used = running::check_others(&journal, &file.plan).await?;
    if let Some(digits) = &args.approve {
        approve_by_hash(&path, &file, digits, &by)?;
    }
    let (mut good, mut refused) = approvals::usable(approvals::load(&path)?, &file.hash, used);
    if running::check_approved(&path, &file, &good, &refused, site.approvals).is_err()
        && site.approvals == 1
        && good.is_empty()
        && ask(context, &path, &file, &by).await?
    {
        (good, refused) = approvals::usable(approvals::load(&path)?, &file.hash, used);
    }
    running::check_approved(&path, &file, &good, &refused, site.approvals)?;
    let guest = guest::open(&state, file.plan.plugin.digest.as_str()).await?;
    guest::announce(&context.ui, &guest.installed);
    let grant = running::grant_of(&site, &file.plan)?;
    let targets = connect(&site, &state).await?;
    running::check_unchanged(&file.plan, &grant, &targets)?;
    let run = running::new_id()?;
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .map(|path| path.display().to_string())
            .map_err(|e| failure::file("find", path, &e))
    };
    let origin = Origin {
        site: absolute(site.file())?,
        plan: absolute(&path)?,
        plugin: installed,
    };
    let pins = [
        (pin::PLUGIN, guest.bytes.clone()),
        (pin::PLAN, running::json(&file)?),
        (pin::APPROVALS, running::json(&good)?),
        (pin::ORIGIN, running::json(&origin)?),
    ];
    for (name, bytes) in pins {
        journal
            .pin(run.as_str(), name, &bytes)
            .await
            .map_err(|e| journal_failure(&e))?;
    }
    context.ui.say(&screen::headline(&file));
    context
        .ui
        .say(&format!("run {run}; journal in {}", state.dir().display()));
    let assembly = Assembly {
        journal,
        known: liftlock_gate::RunState::new(run.as_str()),
        run,
        file,
        earlier: Vec::new(),
        guest,
        targets,
        grant,
        approvals: good,
        wanted: site.approvals,
        by,
        plan_path: path,
        side_by_side: site.side_by_side,
    };
    running::work(context, assembly.at_pace(args.pace), Verb::Run).await
}

/// The plugin that the site means is the one that made the plan.
fn check_plugin(
    site: &Site,
    file: &PlanFile,
    store: &Store,
) -> Result<crate::store::Installed, Failure> {
    let planned = &file.plan.plugin;
    let again = format!("liftlock plan {}", word(&file.plan.to));
    let installed = store.find(planned.digest.as_str()).map_err(|_| {
        Failure::new(
            Code::PluginChanged,
            "the plugin that made the plan is not installed here",
        )
        .cause(format!(
            "planned by {} {}, {}",
            planned.name, planned.version, planned.digest
        ))
        .remedy("install it, or plan again with the one that is installed")
        .next(again.clone())
    })?;
    let meant = store.find(&site.plugin)?;
    if meant.digest != planned.digest {
        return Err(Failure::new(
            Code::PluginChanged,
            format!("`{}` is another plugin now", site.plugin),
        )
        .cause(format!(
            "planned by {} {}, {}",
            planned.name, planned.version, planned.digest
        ))
        .cause(format!(
            "installed  {} {}, {}",
            meant.name, meant.version, meant.digest
        ))
        .remedy("plan again with it, or add the one that made the plan again")
        .next(again));
    }
    Ok(installed)
}

/// `--approve HASH`: the approval of who runs it, for CI.
fn approve_by_hash(path: &Path, file: &PlanFile, digits: &str, by: &str) -> Result<(), Failure> {
    let digits = digits.strip_prefix("sha256:").unwrap_or(digits);
    if digits.len() >= HASH_DIGITS_MIN && file.hash.hex().starts_with(digits) {
        return write(path, file, by).map(drop);
    }
    Err(Failure::new(
        Code::ApprovalMissing,
        format!(
            "`--approve {}` does not name this plan",
            digits.escape_debug()
        ),
    )
    .cause(format!("the plan's hash is {}", file.hash))
    .remedy("look at the plan; if it is the one that is meant, approve its hash")
    .next(format!(
        "liftlock show {}",
        word(&path.display().to_string())
    )))
}

fn write(path: &Path, file: &PlanFile, by: &str) -> Result<Approval, Failure> {
    let said = Word {
        by: by.to_owned(),
        waive: Vec::new(),
        steps: Vec::new(),
        reason: String::new(),
    };
    Ok(approvals::write(path, &file.hash, &said)?.1)
}

/// On a terminal: shows the plan and asks for the first digits of its hash.
async fn ask(context: &Context, path: &Path, file: &PlanFile, by: &str) -> Result<bool, Failure> {
    let ui = &context.ui;
    if !ui.can_ask() {
        return Ok(false);
    }
    let times = Times::of(context, &file.plan).await?;
    ui.show(
        screen::text(
            file,
            &format!(" ({UNSIGNED})"),
            &times,
            &[],
            ui.paint_talk(),
        )
        .trim_end(),
    );
    let question = format!(
        "To approve and run it as `{by}`, type the first {HASH_DIGITS_MIN} characters of its hash:"
    );
    let answer = ui.ask(&question).unwrap_or_default();
    if answer.len() < HASH_DIGITS_MIN || !file.hash.hex().starts_with(&answer) {
        ui.warn("that is not this plan's hash");
        return Ok(false);
    }
    write(path, file, by).map(|_| true)
}
