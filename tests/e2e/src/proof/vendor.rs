//! The strategy `vendor`: the vendor's own upgrader does the steps, or a stand-in for it.
//!
//! The same end as by the native strategy; a killed host leaves the upgrader running and finds it again; one that
//! lies is found out; and either strategy goes on with what the other left half-done.

mod hop;
mod lies;
mod place;

use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::ProcessId;
use liftlock_lab::SiteSpec;
use liftlock_lab::When;

use super::TO;
use super::approved;
use super::clean;
use super::documented;
use super::ensure;
use super::introduce;
use super::killing::killed;
use super::kills::Position;
use super::last_run;
use super::plan;
use crate::stage::Round;
use crate::stage::Stage;
use crate::tally::Tally;
use crate::tally::same;

pub use hop::reindexes_by_the_vendors_tool;
pub use lies::finds_out_a_lying_upgrader;
pub use lies::refuses_what_the_upgrader_would_ruin;
pub use place::Upgrader;

use place::Place;

/// The step of the plan that runs the upgrader.
const STEP: &str = "run-vendor-upgrader";

/// Steps of the upgrade to 8.8, each of which the upgrader records.
const STEPS: usize = 3;

/// How long the host may take until its task has begun: it takes a snapshot and restores it before.
const BEGIN_PATIENCE: Duration = Duration::from_secs(120);

/// A fresh site beside a distribution, with plugin and grant.
async fn staged(
    stage: &Stage,
    upgrader: &Upgrader,
    more: &[(&str, &str)],
) -> anyhow::Result<(Round, Place)> {
    let round = stage.fresh(&SiteSpec::default()).await?;
    let place = upgrader.install(stage, &round, TO, more).await?;
    introduce(&round).await?;
    Ok((round, place))
}

/// Upgrades a fresh site by the upgrader: the documented end state, hand-tuned replicas kept, the configuration
/// carried over, the new release started.
pub async fn upgrades_by_the_vendors_tool(
    stage: &Stage,
    upgrader: &Upgrader,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    tally.note("strategy = vendor");
    let (round, place) = staged(stage, upgrader, &[]).await?;
    let plan = plan(&round).await?;
    tally.check(
        "where its release is bound the vendor's tool is the default",
        {
            let text = std::fs::read_to_string(&plan)?;
            ensure(text.contains(STEP), "the plan has no step that runs it")
        },
    );
    round.operator.approve(&plan).await?;
    let run = round.operator.run(&["run", &plan]).await?;
    tally.check(
        "the approved plan runs to its end",
        run.clone().expect(0).map(drop),
    );
    check_end(stage, &round, upgrader, tally).await?;
    if upgrader.is_stand_in() {
        tally.check(
            "the upgrader ran once",
            same(&["1".into()], &[place.runs()?.len().to_string()]),
        );
    }
    place.check_configuration(&round, tally)?;
    tally.check(
        "the new release runs, the old one does not",
        ensure(
            place.upgraded().is_some_and(|process| process.is_alive())
                && !round.optimize.is_running(),
            "they do not",
        ),
    );
    let again = round.operator.run(&["plan", TO]).await?;
    tally.check(
        "a second plan is not made while the new release runs, or has nothing to do",
        ensure(
            matches!(again.code, Some(0 | 3)),
            format!("it ended otherwise\n{again}"),
        ),
    );
    Ok(())
}

/// What differs in the cluster is what is documented; a real distribution may add fields of its release.
async fn check_end(
    stage: &Stage,
    round: &Round,
    upgrader: &Upgrader,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    if upgrader.is_stand_in() {
        return clean::check_end_state(stage, round, tally).await;
    }
    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    let (facts, before) = (&round.facts, &round.before);
    let mut found: Vec<String> = liftlock_lab::diff(before, &after)
        .into_iter()
        .map(|line| line.split(": ").next().unwrap_or_default().to_owned())
        .filter(|line| !line.contains(" mappings/") && !line.contains(" settings/"))
        .collect();
    let mut expected: Vec<String> = documented::expected_difference(facts)
        .into_iter()
        .map(|line| line.split(": ").next().unwrap_or_default().to_owned())
        .filter(|line| !line.contains(" mappings/") && !line.contains(" settings/"))
        .collect();
    found.sort();
    expected.sort();
    tally.check(
        "but for mappings and settings the end state is the documented one",
        same(&expected, &found),
    );
    tally.check(
        "schema version 8.8.0, installation id kept",
        documented::check_metadata(facts, &after),
    );
    tally.check(
        "neighbours and the overlapping tenant are untouched",
        documented::check_neighbours(facts, before, &after),
    );
    tally.check(
        "hand-tuned replicas are kept",
        documented::check_tuned(facts, &after),
    );
    Ok(())
}

/// Kills the host while the upgrader works: the upgrader lives on, `resume` waits for that one, and no second one
/// is ever started.
pub async fn finds_its_upgrader_again(
    stage: &Stage,
    upgrader: &Upgrader,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let held = "hold before 1 DELETE /_template/optimize-variable-update-instance_v2";
    let (round, place) = staged(stage, upgrader, &[("STAND_IN_STOP", held)]).await?;
    let operator = &round.operator;
    let plan = approved(&round).await?;

    let child = operator.start(&["run", &plan])?;
    let host = child
        .id()
        .and_then(ProcessId::of)
        .context("the run ended at once")?;
    // Its first step is done: the index is gone, and it is held before the next deletion.
    let doomed = format!("/{}", round.facts.doomed_index);
    let deleted = stage
        .proxy
        .wait_for(BEGIN_PATIENCE, |record| {
            record.method == "DELETE"
                && record.path.starts_with(&doomed)
                && record.status == Some(200)
        })
        .await;
    host.kill();
    let told = operator.wait(&["run", &plan], child).await?;
    if deleted.is_none() {
        bail!("the upgrader did not begin\n{told}");
    }
    let process = place.process()?;
    tally.check(
        "killed while the upgrader works: the upgrader lives on",
        ensure(process.is_alive(), "it is gone"),
    );
    let run = last_run(operator).await?;
    let resumed = operator.start(&["resume", &run])?;
    // The resumed host looks at its claim first, and then at the task.
    stage.proxy.clear();
    stage
        .proxy
        .wait_for(BEGIN_PATIENCE, liftlock_lab::Record::is_read)
        .await
        .context("the resumed run asks the cluster for nothing")?;
    place.let_go()?;
    let told = operator.wait(&["resume", &run], resumed).await?;
    tally.check(
        "killed while the upgrader works: resume ends well",
        told.expect(0).map(drop),
    );
    tally.check(
        "killed while the upgrader works: no second one was started",
        same(&["1".into()], &[place.runs()?.len().to_string()]),
    );
    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    tally.check(
        "killed while the upgrader works: the end state is the documented one",
        documented::check_difference(&round.facts, &round.before, &after)
            .and_then(|()| documented::check_tuned(&round.facts, &after)),
    );
    Ok(())
}

/// The upgrader dies after each step that it does: each resume runs it again, and nobody has to decide anything.
pub async fn runs_again_an_upgrader_that_died(
    stage: &Stage,
    upgrader: &Upgrader,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let died = "die after 1 POST /optimize-update-log/_update";
    let (round, place) = staged(stage, upgrader, &[("STAND_IN_STOP", died)]).await?;
    let operator = &round.operator;
    let file = approved(&round).await?;
    let mut told = operator.run(&["run", &file]).await?;
    let run = last_run(operator).await?;
    let mut deaths = 0;
    while told.code == Some(22) && deaths < STEPS {
        deaths += 1;
        told = operator.run(&["resume", &run]).await?;
    }
    tally.check(
        "an upgrader that dies after each of its steps is run again by each resume, without a decision",
        told.expect(0).map(drop),
    );
    tally.check(
        "it ran once for each step, and once more",
        same(
            &[(STEPS + 1).to_string()],
            &[place.runs()?.len().to_string()],
        ),
    );
    check_end(stage, &round, upgrader, tally).await
}

/// The upgrader dies in the middle: the native strategy goes on with its work.
pub async fn goes_on_natively_with_its_work(
    stage: &Stage,
    upgrader: &Upgrader,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let died = "die after 1 POST /optimize-update-log/_update";
    let (round, place) = staged(stage, upgrader, &[("STAND_IN_STOP", died)]).await?;
    let operator = &round.operator;
    let file = approved(&round).await?;
    let told = operator.run(&["run", &file]).await?;
    tally.check(
        "the upgrader dies after its first step: exit code 22, and the step is named",
        {
            let says = told.says(STEP);
            told.expect(22)
                .and_then(|told| ensure(says, format!("it does not say so\n{told}")))
        },
    );
    let run = last_run(operator).await?;
    operator
        .run(&["abort", &run, "--reason", "the other tool goes on"])
        .await?
        .expect(0)?;
    place.set_strategy(&round, "native").await?;
    // The plan looks for Optimize as it is now: stopped, as the aborted run has left it.
    let file = plan(&round).await?;
    let text = std::fs::read_to_string(&file)?;
    tally.check(
        "the native plan skips the step that the upgrader did and recorded",
        ensure(
            text.contains("step 1 of 3") && !text.contains("\"delete-1-"),
            "it does not",
        ),
    );
    operator.approve(&file).await?;
    let told = operator.run(&["run", &file]).await?;
    tally.check("and goes on to the end", told.expect(0).map(drop));
    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    tally.check(
        "then version and update log are the documented ones",
        documented::check_metadata(&round.facts, &after)
            .and_then(|()| documented::check_update_log(&round.facts, &after)),
    );
    Ok(())
}

/// A native run dies in the middle: the vendor's tool goes on with its work.
pub async fn goes_on_by_the_vendors_tool(
    stage: &Stage,
    upgrader: &Upgrader,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let (round, place) = staged(stage, upgrader, &[]).await?;
    let operator = &round.operator;
    place.set_strategy(&round, "native").await?;
    let file = approved(&round).await?;
    let logged = Position {
        name: "after the first entry of the update log",
        method: "PUT",
        path: "_create/8.8.0_schema-delete-index",
        when: When::After,
    };
    killed(stage, &round, &logged, &["run", &file]).await?;
    let run = last_run(operator).await?;
    operator
        .run(&["abort", &run, "--reason", "the other tool goes on"])
        .await?
        .expect(0)?;
    place.set_strategy(&round, "vendor").await?;
    let file = approved(&round).await?;
    stage.proxy.clear();
    let told = operator.run(&["run", &file]).await?;
    tally.check(
        "the vendor's tool goes on with the work of a dead native run",
        told.expect(0).map(drop),
    );
    let doomed = format!("DELETE /{}", round.facts.doomed_index);
    tally.check(
        "and does not do again what that has recorded",
        ensure(
            !stage.changes().iter().any(|line| line.starts_with(&doomed)),
            "the index was deleted again",
        ),
    );
    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    tally.check(
        "then the end state is the documented one",
        documented::check_difference(&round.facts, &round.before, &after)
            .and_then(|()| documented::check_update_log(&round.facts, &after))
            .and_then(|()| documented::check_tuned(&round.facts, &after)),
    );
    Ok(())
}

/// Takes a whole run of the vendor's tool back: its index, its templates, its update log, the settings that its sync
/// reset, the configuration that was carried; and the old Optimize starts again.
pub async fn takes_the_vendors_work_back(
    stage: &Stage,
    upgrader: &Upgrader,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let (round, place) = staged(stage, upgrader, &[]).await?;
    let operator = &round.operator;
    let file = approved(&round).await?;
    operator.run(&["run", &file]).await?.expect(0)?;
    let run = last_run(operator).await?;
    let told = operator
        .run(&[
            "rollback",
            &run,
            "--yes",
            "--reason",
            "the new release is slow",
        ])
        .await?;
    tally.check(
        "a whole run of the vendor's tool is rolled back",
        told.expect(0).map(drop),
    );
    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    tally.check(
        "then the cluster is as it was before the vendor's tool",
        same(&[], &liftlock_lab::diff(&round.before, &after)),
    );
    tally.check(
        "then the new release is stopped",
        ensure(
            !place.upgraded().is_some_and(|process| process.is_alive()),
            "it still runs",
        ),
    );
    place.check_shipped_configuration(tally)
}
