//! The whole of it: find the plans, do the steps that the update log lacks, write the version, then sync.

use std::io::BufRead as _;
use std::io::Write as _;

use crate::Failure;
use crate::metadata;
use crate::metadata::Entry;
use crate::plan::Plan;
use crate::plan::Version;
use crate::plan::plans;
use crate::say;
use crate::settings::Database;
use crate::settings::Lie;
use crate::settings::Settings;
use crate::sync;
use crate::wire::Wire;

/// The program. An error is the last line and exit code 1.
pub async fn main(settings: &Settings) -> Result<(), Failure> {
    count_start(settings)?;
    say::print(&format!(
        "Starting Camunda Optimize Upgrade to {}...",
        settings.jar
    ));
    let database = match settings.database {
        Database::Elasticsearch => "elasticsearch",
        Database::Opensearch => "opensearch",
    };
    say::line(&format!("Identified {database} Database configuration"));
    if settings.lie == Some(Lie::Nothing) {
        say::line("Update finished successfully.");
        return Ok(());
    }
    let wire = Wire::new(settings)?;
    let found = sync::look(&wire).await?;
    let plans = plans(settings.jar, settings.target, &found.archives);
    if plans.is_empty() {
        return Err(Failure::Upgrade(format!(
            "It was not possible to update Optimize to version {}.\nEither this is the wrong upgrade jar or the jar \
             is flawed. \nPlease contact the Optimize support for help!",
            settings.target
        )));
    }
    if !settings.skips_warning && !asked()? {
        return Err(Failure::Other("The update was cancelled.".into()));
    }
    say::line("Executing update...");
    for plan in &plans {
        perform(&wire, plan).await?;
    }
    if settings.lie != Some(Lie::NoSync) {
        sync::sync(&wire, &found).await?;
    }
    say::line("Update finished successfully.");
    Ok(())
}

fn count_start(settings: &Settings) -> Result<(), Failure> {
    let Some(file) = &settings.runs else {
        return Ok(());
    };
    let written = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .and_then(|mut file| writeln!(file, "{}", std::process::id()));
    written.map_err(|error| Failure::Other(format!("`{}`: {error}", file.display())))
}

/// Asks for a yes. Each question has a reader of its own, so that what an earlier one read ahead is lost.
fn asked() -> Result<bool, Failure> {
    say::print("WARNING: make a backup before you go on. Do you want to proceed? [yes/no]");
    loop {
        let mut answer = String::new();
        let read = std::io::BufReader::new(std::io::stdin().lock()).read_line(&mut answer);
        match (read, answer.trim()) {
            (Ok(0) | Err(_), _) => {
                say::line("null");
                return Err(Failure::Other("NoSuchElementException".into()));
            }
            (_, "y" | "yes") => return Ok(true),
            (_, "n" | "no") => return Ok(false),
            _ => say::print("Your answer was not recognised. Do you want to proceed? [yes/no]"),
        }
    }
}

/// One plan, where the schema is older than its end.
async fn perform(wire: &Wire<'_>, plan: &Plan) -> Result<(), Failure> {
    let to = plan.to;
    let Some(schema) = metadata::schema_version(wire).await? else {
        say::line(&format!(
            "No Connection to database or no Optimize Metadata index found, skipping update to {to}."
        ));
        return Ok(());
    };
    let version: Version = schema.parse()?;
    if version.is_at_least(to) {
        say::line(&format!(
            "Target schemaVersion or a newer version is already present, no update to perform to {to}."
        ));
        return Ok(());
    }
    if let Err(failure) = steps(wire, plan, version, &schema).await {
        if let Failure::Upgrade(_) = failure {
            say::line("The upgrade will be aborted. Please investigate the cause and retry it..");
        }
        say::line(&format!(
            "Error while executing update from {} to {to}",
            plan.from
        ));
        say::line(&failure.to_string());
        return Err(Failure::Upgrade("Upgrade failed.".into()));
    }
    Ok(())
}

async fn steps(
    wire: &Wire<'_>,
    plan: &Plan,
    version: Version,
    schema: &str,
) -> Result<(), Failure> {
    wire.get("/").await?;
    if version != plan.from && version.line() != plan.from {
        return Err(Failure::Upgrade(format!(
            "Schema version saved in Metadata [{schema}] must be one of [{}, {}]",
            plan.from, plan.to
        )));
    }
    metadata::create_log(wire).await?;
    let applied = metadata::applied(wire, plan.to).await?;
    let of = plan.steps.len();
    for (number, step) in (1..).zip(&plan.steps) {
        let name = step.log_name(wire);
        let what = format!("{number}/{of}: {} on index: {name}", step.class());
        let entry = Entry {
            version: plan.to,
            kind: step.kind(),
            name: &name,
            number,
        };
        if let Some(when) = applied.get(&entry.id()) {
            say::line(&format!(
                "Skipping Step {what} as it was found to be previously completed already at: {when}."
            ));
            continue;
        }
        say::line(&format!("Starting step {what}"));
        step.execute(wire).await?;
        entry.record(wire).await?;
        say::line(&format!("Successfully finished step {what}"));
    }
    say::line(&format!(
        "Updating Optimize data structure version tag from {} to {}.",
        plan.from, plan.to
    ));
    metadata::write(wire, Some(plan.to), wire.settings.jar).await
}
