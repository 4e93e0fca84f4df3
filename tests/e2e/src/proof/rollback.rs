//! A run that is taken back: before the point of no return, after it, killed on the way, and when it
//! had come to its end; and what is refused then.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context;
use liftlock_lab::Dump;
use liftlock_lab::SiteSpec;
use liftlock_lab::When;

use super::approved;
use super::clean;
use super::documented;
use super::ensure;
use super::introduce;
use super::killing::killed;
use super::kills::Position;
use super::last_run;
use crate::operator::Told;
use crate::stage::REPOSITORY;
use crate::stage::Round;
use crate::stage::Stage;
use crate::tally::Tally;
use crate::tally::same;

/// The update log that the run made has one entry, and the index is gone.
const AFTER_NO_RETURN: Position = Position {
    name: "after the first entry of the update log",
    method: "PUT",
    path: "_create/8.8.0_schema-delete-index",
    when: When::After,
};

/// Nothing was taken away yet.
const BEFORE_NO_RETURN: Position = Position {
    name: "before the index is deleted",
    method: "DELETE",
    path: "^/optimize-variable-update-instance_v2-000001",
    when: When::Before,
};

/// The rollback has just asked for what was taken away.
const AT_RESTORE: Position = Position {
    name: "while the index is restored",
    method: "POST",
    path: "^/_snapshot/.*/_restore",
    when: When::After,
};

/// Stops a run after its point of no return, kills its rollback in the middle, and lets `resume` end it. Then the
/// upgrade runs on the same site: a kept update log would make the vendor's own upgrader skip what is to be done.
pub async fn goes_back_after_the_point_of_no_return(
    stage: &Stage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let round = begun(stage).await?;
    let operator = &round.operator;
    let config = config(&round)?;
    let file = approved(&round).await?;
    killed(stage, &round, &AFTER_NO_RETURN, &["run", &file]).await?;
    let run = last_run(operator).await?;

    stage.proxy.clear();
    let told = operator.run(&["rollback", &run, "--preview"]).await?;
    tally.check(
        "a preview of the rollback names every step and the snapshot",
        {
            let all = [
                "optimize-before-8.8.0",
                "restored from",
                "update log",
                "starts again",
            ];
            told.clone()
                .expect(0)
                .and_then(|told| says_all(&told, &all))
        },
    );
    let told = operator.run(&["rollback", &run]).await?;
    tally.check(
        "a rollback that nobody can say yes to is refused with exit code 2, and says how",
        told.expect(2).and_then(|told| says_all(&told, &["--yes"])),
    );
    tally.check(
        "neither sends anything that changes",
        same(&[], &stage.changes()),
    );

    let reason = [
        "rollback",
        &run,
        "--yes",
        "--reason",
        "the new version is slow",
    ];
    killed(stage, &round, &AT_RESTORE, &reason).await?;
    forward_is_refused(stage, &round, &run, &file, tally).await?;
    let told = operator.run(&["resume", &run]).await?;
    tally.check(
        "killed while it restores: resume says that it goes back, and ends the rollback",
        told.clone()
            .expect(0)
            .and_then(|told| says_all(&told, &["goes back", "rolled back", "as before"])),
    );
    is_as_before(
        stage,
        &round,
        &config,
        &told,
        "after the point of no return",
        tally,
    )
    .await?;
    refuses_a_run_that_went_back(stage, &round, &run, &file, tally).await?;
    upgrades_again(stage, &round, tally).await
}

/// Stops a run before its point of no return and takes it back: nothing has to be restored.
pub async fn goes_back_before_the_point_of_no_return(
    stage: &Stage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let round = begun(stage).await?;
    let config = config(&round)?;
    let file = approved(&round).await?;
    killed(stage, &round, &BEFORE_NO_RETURN, &["run", &file]).await?;
    let run = last_run(&round.operator).await?;
    stage.proxy.clear();
    let told = round
        .operator
        .run(&["rollback", &run, "--yes", "--json"])
        .await?;
    tally.check(
        "a rollback before the point of no return ends well, and its JSON says so",
        told.clone().expect(0).and_then(|told| {
            let standing = told.data()?["run"]["standing"].clone();
            ensure(
                standing == "rolled back",
                format!("it stands as {standing}\n{told}"),
            )
        }),
    );
    tally.check(
        "nothing was restored for it",
        ensure(
            !stage.changes().iter().any(|line| line.contains("_restore")),
            format!("{:?}", stage.changes()),
        ),
    );
    is_as_before(
        stage,
        &round,
        &config,
        &told,
        "before the point of no return",
        tally,
    )
    .await
}

/// Takes back a run that had come to its end, and refuses where something was written since.
pub async fn goes_back_from_the_end(stage: &Stage, tally: &mut Tally) -> anyhow::Result<()> {
    let round = begun(stage).await?;
    let operator = &round.operator;
    let config = config(&round)?;
    let file = approved(&round).await?;
    operator.run(&["run", &file]).await?.expect(0)?;
    let run = last_run(operator).await?;

    // Somebody writes into what the rollback removes, and into what it leaves.
    let log = format!(
        "/{}-update-log_v1/_doc/late?refresh=true",
        round.facts.prefix
    );
    let kept = format!("/{}-alert_v4/_doc/late?refresh=true", round.facts.prefix);
    for path in [&log, &kept] {
        let late = serde_json::json!({});
        stage.target.put(path, &late).await?;
    }
    let told = operator.run(&["rollback", &run, "--preview"]).await?;
    tally.check(
        "a preview counts the documents that would be lost, and those that only differ",
        told.expect(0)
            .and_then(|told| says_all(&told, &["1 of others", "alert_v4", "differs"])),
    );
    let told = operator.run(&["rollback", &run, "--yes"]).await?;
    tally.check(
        "a site that was written to is not as before: exit code 24, naming the index",
        told.expect(24)
            .and_then(|told| says_all(&told, &["E2401", "alert_v4"])),
    );
    stage.target.delete(&kept).await?;
    let told = operator.run(&["resume", &run]).await?;
    tally.check(
        "with that mended, resume compares again and ends the rollback",
        told.clone().expect(0).map(drop),
    );
    is_as_before(stage, &round, &config, &told, "from the end", tally).await
}

async fn begun(stage: &Stage) -> anyhow::Result<Round> {
    let round = stage.fresh(&SiteSpec::default()).await?;
    introduce(&round).await?;
    Ok(round)
}

/// A run that goes back goes nowhere else.
async fn forward_is_refused(
    stage: &Stage,
    round: &Round,
    run: &str,
    file: &str,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let before = stage.changes();
    for (what, exit, arguments) in [
        ("a second run", 30, vec!["run", file]),
        ("a replan", 2, vec!["replan", run]),
    ] {
        let told = round.operator.run(&arguments).await?;
        tally.check(
            &format!("while a run goes back {what} is refused with exit code {exit}"),
            told.expect(exit).map(drop),
        );
    }
    tally.check(
        "and sends nothing that changes",
        same(&before, &stage.changes()),
    );
    Ok(())
}

async fn refuses_a_run_that_went_back(
    stage: &Stage,
    round: &Round,
    run: &str,
    file: &str,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    stage.proxy.clear();
    for (verb, arguments) in [
        ("rollback", vec!["rollback", run, "--yes"]),
        ("resume", vec!["resume", run]),
        ("takeover", vec!["takeover", run]),
        ("replan", vec!["replan", run]),
        ("abort", vec!["abort", run, "--reason", "x"]),
    ] {
        let told = round.operator.run(&arguments).await?;
        tally.check(
            &format!("{verb} of a run that went back is refused with exit code 2 and E0216"),
            told.expect(2)
                .and_then(|told| says_all(&told, &["E0216", "rolled back"])),
        );
    }
    let told = round.operator.run(&["run", file]).await?;
    tally.check(
        "its plan and approval cannot be used again: exit code 12",
        told.expect(12).map(drop),
    );
    tally.check("none of them sends anything", same(&[], &stage.changes()));
    Ok(())
}

/// The same site, upgraded after all.
async fn upgrades_again(stage: &Stage, round: &Round, tally: &mut Tally) -> anyhow::Result<()> {
    let file = approved(round).await?;
    let told = round.operator.run(&["run", &file]).await?;
    tally.check(
        "after the rollback the upgrade runs to its end",
        told.expect(0).map(drop),
    );
    clean::check_end_state(stage, round, tally).await
}

/// The site is what it was, the service runs again, and of the run there is the snapshot and the record.
async fn is_as_before(
    stage: &Stage,
    round: &Round,
    config: &BTreeMap<String, Vec<u8>>,
    told: &Told,
    when: &str,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let after: Dump = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    tally.check(
        &format!(
            "{when}: documents, aliases, templates, settings and replicas are those from before"
        ),
        same(&[], &liftlock_lab::diff(&round.before, &after)),
    );
    let log = documented::check_update_log(&round.facts, &after);
    tally.check(
        &format!("{when}: the update log that the run made is gone"),
        ensure(log.is_err(), "it is there still"),
    );
    tally.check(
        &format!("{when}: configuration files are those from before"),
        ensure(self::config(round)? == *config, "they differ"),
    );
    tally.check(
        &format!("{when}: Optimize was started again"),
        ensure(round.answers().await, "it does not answer"),
    );
    let left = clean::leftovers(stage).await?;
    tally.check(
        &format!("{when}: no claim and no trial index is left"),
        same(&[], &left),
    );
    let snapshots = stage
        .target
        .get(&format!("/_snapshot/{REPOSITORY}/_all"))
        .await?;
    let name = snapshots["snapshots"][0]["snapshot"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    tally.check(
        &format!("{when}: the snapshot is kept, and the report names it"),
        ensure(
            !name.is_empty() && told.says(&name),
            format!("`{name}` is not named\n{told}"),
        ),
    );
    let run = last_run(&round.operator).await?;
    let whole = round.operator.run(&["audit", &run, "--verify"]).await?;
    tally.check(
        &format!("{when}: the record is whole, and says that the run went back"),
        whole
            .expect(0)
            .and_then(|told| says_all(&told, &["rollback-begun", "undo-planned", "rolled-back"])),
    );
    Ok(())
}

/// The files of Optimize's configuration.
fn config(round: &Round) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let folder = round.folder().join("config");
    let mut files = BTreeMap::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot list `{}`", folder.display()))?
    {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.insert(name, fs::read(entry.path())?);
    }
    Ok(files)
}

pub(super) fn says_all(told: &Told, texts: &[&str]) -> anyhow::Result<()> {
    for text in texts {
        ensure(told.says(text), format!("it does not say `{text}`\n{told}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_patterns() {
        for position in [AFTER_NO_RETURN, BEFORE_NO_RETURN, AT_RESTORE] {
            assert!(
                regex_lite::Regex::new(position.path).is_ok(),
                "{}",
                position.name
            );
        }
    }
}
