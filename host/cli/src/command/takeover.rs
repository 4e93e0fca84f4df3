//! `takeover`: go on with a run whose process is dead, or remove a claim whose journal is lost.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use liftlock_gate::{Timing, Who, abandon, iso, now_ms};
use liftlock_journal::JournalState;
use liftlock_types::Exit;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args;
use crate::claims::{self, ClaimData};
use crate::code::Code;
use crate::connect::{Targets, connect};
use crate::context::{Context, word};
use crate::decisions;
use crate::escape;
use crate::failure::{self, Failure};
use crate::output::Answer;
use crate::running::{self, Over, Verb};
use crate::state::{State, journal_failure};
use crate::who;

/// Where removed claims are written down: one JSON record a line, beside the journal. The journal cannot hold them:
/// the runs that they were of are not in it.
const ABANDONED_FILE: &str = "abandoned-claims.jsonl";

/// What `takeover --abandon` did.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AbandonData {
    /// Claims that were removed, with what proved their holders dead.
    removed: Vec<AbandonedData>,
    /// Where that is written down.
    record: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct AbandonedData {
    /// ISO-8601.
    at: String,
    /// Who removed it.
    by: String,
    /// On which host.
    on: String,
    #[serde(flatten)]
    claim: ClaimData,
    /// What proves the holder dead, or who says so.
    evidence: String,
    /// It was removed; false: it was about to be.
    is_removed: bool,
}

pub(super) async fn takeover(context: &Context, args: args::Takeover) -> Result<Answer, Failure> {
    if let Some(words) = &args.attest
        && words.trim().is_empty()
    {
        return Err(
            Failure::new(Code::Arguments, "`--attest` says nothing").remedy(
                "say how you know that the holder of the claim is dead: it stays in the record",
            ),
        );
    }
    match &args.run {
        Some(run) if !args.abandon => go_on(context, &args, run).await,
        _ => remove(context, &args).await,
    }
}

async fn go_on(context: &Context, args: &args::Takeover, run: &str) -> Result<Answer, Failure> {
    let decisions = decisions::read(&args.decided)?;
    let journal = context.state()?.journal().await?;
    let by = args.by.as_deref();
    let assembly = running::again(context, journal, run, by, Over::FineIfDone).await?;
    assembly.check_unchanged()?;
    let held = claims::look(&assembly.targets.bindings).await;
    let ui = &context.ui;
    ui.say(claims::text(&held).trim_end());
    ui.say(&format!(
        "takes run {} over. First {} are waited for: a request that the dead runner sent last can land that late \
         (a bound we chose, no proof)",
        assembly.run,
        crate::view::duration(Timing::default().settle_ms)
    ));
    if held.iter().any(|claim| !claim.is_dead) {
        ui.warn(
            "not protected: a runner that is frozen and not dead can still send one request when it thaws; before the \
             next it finds this claim and stops with exit 31",
        );
    }
    let verb = Verb::Takeover(args.attest.clone(), decisions);
    running::work(context, assembly.at_pace(args.pace), verb).await
}

/// Removes claims whose runs nobody can go on with.
async fn remove(context: &Context, args: &args::Takeover) -> Result<Answer, Failure> {
    let state = context.state()?;
    let site = context.site()?;
    let targets = connect(&site, &state).await?;
    let held = claims::look(&targets.bindings).await;
    let ui = &context.ui;
    if held.is_empty() {
        return Err(Failure::new(
            Code::RunState,
            format!("no target of site `{}` carries a claim", site.name),
        )
        .remedy("nothing is in the way")
        .next("liftlock doctor"));
    }
    ui.show(claims::text(&held).trim_end());
    check_lost(&state, args.run.as_deref(), &held).await?;
    let by = who::by(args.by.as_deref());
    let who = Who {
        by: by.clone(),
        host: who::host(),
        state_dir: state.dir().display().to_string(),
    };
    // A place where a record would not survive is no place to remove a claim from.
    state.check_place().await?;
    let record = state.dir().join(ABANDONED_FILE);
    let line = |claim: ClaimData, evidence: &str, is_removed: bool| AbandonedData {
        at: iso(now_ms()),
        by: by.clone(),
        on: who.host.clone(),
        claim,
        evidence: escape::line(evidence),
        is_removed,
    };
    if args.attest.is_some() || held.iter().all(|claim| claim.is_dead) {
        let words = args.attest.as_deref().unwrap_or_default();
        let about: Vec<AbandonedData> = held
            .iter()
            .map(|claim| line(claim.clone(), &format!("{} {words}", claim.holder), false))
            .collect();
        write_down(&record, &about)?;
    }
    let removed = abandon(&targets.bindings, &who, args.attest.as_deref())
        .await
        .map_err(|halt| refused(&halt))?;
    let removed: Vec<AbandonedData> = removed
        .iter()
        .map(|(binding, claim, evidence)| {
            line(claims::data(binding, claim, &who.host), evidence, true)
        })
        .collect();
    write_down(&record, &removed)?;
    for one in &removed {
        ui.warn(&format!(
            "removed the claim of run {} on {}: {}",
            one.claim.run, one.claim.binding, one.evidence
        ));
    }
    ui.say("what those runs did last is not known here. Look before anything else:");
    ui.say(&looks(&targets));
    ui.say(&format!("next: {}", context.command("inspect")));
    Ok(Answer::done(
        "",
        &AbandonData {
            removed,
            record: record.display().to_string(),
        },
    ))
}

/// What can be half-done, for a person's eyes.
fn looks(targets: &Targets) -> String {
    let mut lines = vec![
        "  liftlock inspect     which version stands there".to_owned(),
        "  liftlock check       what speaks against an upgrade: half-done steps show here"
            .to_owned(),
    ];
    for (binding, identity) in &targets.identities {
        let what = match binding.capability() {
            "cluster" => {
                "indices and aliases whose names hold `liftlock`, and tasks that still run"
            }
            "service" => {
                "stopped by that run, perhaps: start it when you know which version stands there"
            }
            "database" => {
                "columns, indexes and rows of a script, half of which may be done; sessions whose name begins with `liftlock`"
            }
            "snapshot" => "what that run took before it changed anything",
            "traffic" => {
                "servers that it took and did not give back: `liftlock doctor` names those that do not serve"
            }
            "endpoint" => "what that run asked it to do: its record has the requests",
            "disk" => "files that it edited; the copies it kept lie in its own state directory",
            _ => continue,
        };
        lines.push(format!(
            "  {binding:<20} {}: {what}",
            escape::line(&identity.product)
        ));
    }
    lines.join("\n")
}

/// A run whose journal is here and whole is taken over, not abandoned.
async fn check_lost(state: &State, named: Option<&str>, held: &[ClaimData]) -> Result<(), Failure> {
    if let Some(other) = named.and_then(|named| held.iter().find(|claim| claim.run != named)) {
        return Err(Failure::new(
            Code::Arguments,
            format!(
                "`{}` carries the claim of run `{}`",
                other.binding, other.run
            ),
        )
        .remedy("name that run, or none: all claims of the site's targets would be removed"));
    }
    if !state.has_journal() {
        return Ok(());
    }
    let journal = state.journal_to_read().await?;
    for summary in journal.runs().await.map_err(|e| journal_failure(&e))? {
        let is_held = held.iter().any(|claim| claim.run == summary.run);
        if is_held && summary.state == JournalState::Whole {
            let run = word(&summary.run);
            return Err(Failure::new(
                Code::RunState,
                format!("the journal of run `{run}` is here and whole"),
            )
            .remedy("go on with it: nothing of what it did is lost")
            .next(format!("liftlock takeover {run}")));
        }
    }
    Ok(())
}

fn refused(halt: &liftlock_gate::Halt) -> Failure {
    let failure = Failure::new(Code::of_exit(halt.exit), "the claim was not removed")
        .cause(halt.why.clone())
        .remedy(halt.remedy.replace("takeover RUN", "takeover --abandon"));
    if halt.exit == Exit::Claimed {
        failure.next("liftlock takeover --abandon --attest TEXT")
    } else {
        failure
    }
}

fn write_down(file: &Path, removed: &[AbandonedData]) -> Result<(), Failure> {
    let write = || -> std::io::Result<()> {
        let mut out = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(file)?;
        for one in removed {
            serde_json::to_writer(&mut out, one)?;
            out.write_all(b"\n")?;
        }
        out.sync_all()
    };
    write().map_err(|e| failure::file("write", file, &e))
}
