//! Backups that are none: without one a deletion needs a person's word, and one that cannot be
//! restored is found before anything is deleted.

use liftlock_lab::SiteSpec;
use liftlock_lab::diff;

use super::TO;
use super::approved;
use super::clean;
use super::documented;
use super::ensure;
use super::introduce;
use super::last_run;
use crate::stage::Stage;
use crate::tally::Tally;
use crate::tally::same;

/// The host's finding on a deletion that no proved copy covers.
const UNPROVED: &str = "host.unproved-destruction";

/// Upgrades a site that has no repository: blocked, then waived by name, then done.
pub async fn upgrades_with_a_waiver(stage: &Stage, tally: &mut Tally) -> anyhow::Result<()> {
    let round = stage.fresh(&SiteSpec::default()).await?;
    let operator = &round.operator;
    introduce(&round).await?;
    let blocked = operator.run(&["plan", TO]).await?;
    tally.check("without a backup no plan is written", {
        let says = blocked.says(UNPROVED);
        blocked
            .expect(3)
            .and_then(|told| ensure(says, format!("it does not say {UNPROVED}\n{told}")))
    });
    operator
        .run(&["plan", TO, "--with-blockers"])
        .await?
        .expect(0)?;
    let plan = round.plan_file()?.to_string_lossy().into_owned();
    operator.run(&["approve", &plan]).await?.expect(0)?;
    let told = operator.run(&["run", &plan]).await?;
    tally.check(
        "an approval that does not waive the blocker is none",
        told.expect(12).map(drop),
    );
    tally.check(
        "up to there no changing request was sent",
        same(&[], &stage.changes()),
    );
    let reason = "the data can be imported again";
    operator
        .run(&["approve", &plan, "--waive", UNPROVED, "--reason", reason])
        .await?
        .expect(0)?;
    let told = operator.run(&["run", &plan]).await?;
    tally.check(
        "with the waiver it runs to its end",
        told.expect(0).map(drop),
    );
    clean::check_end_state(stage, &round, tally).await?;
    let mut expected = documented::expected_changes(&round.facts);
    expected.retain(|(whose, _)| !whose.contains("snapshot") && !whose.contains("trial"));
    clean::check_requests(stage, &expected, tally);
    let run = last_run(operator).await?;
    let audit = operator.run(&["audit", &run, "--json"]).await?;
    tally.check(
        "who waived it, and why, is on record",
        ensure(audit.says(reason), "the reason is not in the record"),
    );
    Ok(())
}

/// Runs into a server that cannot restore what it has saved. `says` is in its own words.
pub async fn finds_a_backup_that_cannot_be_restored(
    stage: &Stage,
    says: &str,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let round = stage.fresh(&SiteSpec::default()).await?;
    let operator = &round.operator;
    introduce(&round).await?;
    let plan = approved(&round).await?;
    let told = operator.run(&["run", &plan]).await?;
    tally.check(
        "a snapshot that cannot be restored stops the run, with the server's reason",
        ensure(
            !matches!(told.code, Some(0) | None) && told.says(says),
            format!("expected a stop that says `{says}`\n{told}"),
        ),
    );
    let run = last_run(operator).await?;
    let told = operator
        .run(&["abort", &run, "--reason", "no backup, no upgrade"])
        .await?;
    tally.check("the run can be ended", told.expect(0).map(drop));
    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    tally.check(
        "then the site is as it was",
        same(&[], &diff(&round.before, &after)),
    );
    Ok(())
}
