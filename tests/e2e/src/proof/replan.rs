//! A plugin that turned out wrong in the middle of a run.

use anyhow::Context;
use liftlock_lab::SiteSpec;
use liftlock_lab::When;

use super::approved;
use super::documented;
use super::ensure;
use super::introduce;
use super::killing::At;
use super::killing::Blow;
use super::killing::struck;
use super::last_run;
use super::rollback::says_all;
use crate::stage::Round;
use crate::stage::Stage;
use crate::tally::Tally;
use crate::tally::same;

/// Stops a run after its point of no return, makes a new plan with a repaired plugin, and goes on by it.
pub async fn goes_on_by_another_plan(stage: &Stage, tally: &mut Tally) -> anyhow::Result<()> {
    let round = stage.fresh(&SiteSpec::default()).await?;
    replanned(stage, &round, tally).await?;
    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    tally.check(
        "replanned: the end state is the documented one",
        documented::check_difference(&round.facts, &round.before, &after)
            .and_then(|()| documented::check_update_log(&round.facts, &after))
            .and_then(|()| documented::check_metadata(&round.facts, &after)),
    );
    Ok(())
}

/// The same, and then all of it back: what was done by the first plan, and what by the second.
pub async fn goes_back_over_two_plans(stage: &Stage, tally: &mut Tally) -> anyhow::Result<()> {
    let round = stage.fresh(&SiteSpec::default()).await?;
    let run = replanned(stage, &round, tally).await?;
    let told = round.operator.run(&["rollback", &run, "--yes"]).await?;
    tally.check(
        "a run that went by two plans is taken back",
        told.expect(0).map(drop),
    );
    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    tally.check(
        "back over two plans: the site is the one from before",
        same(&[], &liftlock_lab::diff(&round.before, &after)),
    );
    Ok(())
}

async fn replanned(stage: &Stage, round: &Round, tally: &mut Tally) -> anyhow::Result<String> {
    let operator = &round.operator;
    introduce(round).await?;
    let first = approved(round).await?;
    let at = At {
        when: When::After,
        method: "PUT".into(),
        path: "_create/8.8.0_schema-delete-index".into(),
    };
    let told = struck(stage, round, Blow::Interrupt, &at, &["run", &first]).await?;
    tally.check(
        "a run that is interrupted stops at a safe point, with exit code 20",
        told.expect(20)
            .and_then(|told| says_all(&told, &["stopped by a person at a safe point"])),
    );
    let run = last_run(operator).await?;

    round.repair_plugin()?;
    let before = stage.changes();
    let with = ["--plugin", round.plugin(), "--allow-unsigned"];
    let ask = [&["replan", run.as_str()][..], &with].concat();
    let told = operator.run(&ask).await?;
    tally.check(
        "another build of the plugin needs a grant of its own: exit code 3",
        told.expect(3).map(drop),
    );
    let told = operator.run(&[&ask[..], &["--yes"]].concat()).await?;
    tally.check(
        "with it, a new plan is made, and names what is carried over",
        told.clone()
            .expect(0)
            .and_then(|told| says_all(&told, &["carried", "prove-snapshot", "passed already"])),
    );
    let second = round.plan_file()?.to_string_lossy().into_owned();
    ensure(second != first, "it is the same plan file")?;
    let go_on = ["resume", run.as_str(), "--plan", &second];
    let told = operator.run(&go_on).await?;
    tally.check(
        "the new plan needs an approval of its own: exit code 12",
        told.expect(12).map(drop),
    );
    tally.check(
        "until then nothing is sent that changes",
        same(&before, &stage.changes()),
    );
    operator.approve(&second).await?;
    let told = operator.run(&go_on).await?;
    tally.check(
        "the run goes on by it to its end",
        told.expect(0)
            .and_then(|told| says_all(&told, &["in the place of", "not done again"])),
    );
    once(stage, round, tally);
    let told = operator.run(&["audit", &run, "--verify"]).await?;
    tally.check("the record is whole, and shows both plans", {
        let plans = told
            .stdout
            .lines()
            .filter(|line| line.starts_with("plan "))
            .count();
        told.expect(0)
            .and_then(|told| says_all(&told, &["replanned", "carried over"]))
            .and_then(|()| ensure(plans == 2, format!("it shows {plans}")))
    });
    last_run(operator).await.context("the run is gone")
}

/// What the first plan did is not done again by the second.
fn once(stage: &Stage, round: &Round, tally: &mut Tally) {
    let deletion = format!("DELETE /{}", round.facts.doomed_index);
    let changes = stage.changes();
    let count = |wanted: &dyn Fn(&str) -> bool| {
        changes
            .iter()
            .filter(|line| wanted(line.split('?').next().unwrap_or_default()))
            .count()
    };
    let deletions = count(&|line| line == deletion);
    let snapshots = count(&|line| line.starts_with("PUT /_snapshot/backups/optimize-before"));
    tally.check(
        "the snapshot was taken once, and the index deleted once",
        ensure(
            deletions == 1 && snapshots == 1,
            format!("{deletions} deletions, {snapshots} snapshots"),
        ),
    );
}
