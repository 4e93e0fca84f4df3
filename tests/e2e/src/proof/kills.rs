//! A run that is killed with SIGKILL in the middle of a change, and goes on.

use std::path::Path;

use liftlock_lab::SiteSpec;
use liftlock_lab::When;

use super::approved;
use super::documented;
use super::ensure;
use super::introduce;
use super::killing::killed;
use super::last_run;
use crate::stage::Round;
use crate::stage::Stage;
use crate::tally::Tally;

/// Where a run is killed.
#[derive(Clone, Debug)]
pub struct Position {
    /// For people.
    pub name: &'static str,
    /// Method of the request.
    pub method: &'static str,
    /// Pattern that is found in its path.
    pub path: &'static str,
    /// Before: the cluster is never asked. After: it has done what was asked.
    pub when: When,
}

impl Position {
    /// Those of the proof: before and after a deletion, after an entry of the update log, and
    /// while the snapshot is proved.
    pub const PROOF: [Self; 4] = [
        Self {
            name: "before the index is deleted",
            method: "DELETE",
            path: "^/optimize-variable-update-instance_v2-000001",
            when: When::Before,
        },
        Self {
            name: "after the index is deleted",
            method: "DELETE",
            path: "^/optimize-variable-update-instance_v2-000001",
            when: When::After,
        },
        Self {
            name: "after the first entry of the update log",
            method: "PUT",
            path: "_create/8.8.0_schema-delete-index",
            when: When::After,
        },
        Self {
            name: "after the trial restore began",
            method: "POST",
            path: "^/_snapshot/.*/_restore",
            when: When::After,
        },
    ];
}

/// Kills a run there, sees that another operator is refused, resumes it, and checks the end state.
pub async fn goes_on_after_a_kill(
    stage: &Stage,
    position: &Position,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let round = stage.fresh(&SiteSpec::default()).await?;
    let operator = &round.operator;
    introduce(&round).await?;
    let plan = approved(&round).await?;
    run_and_kill(stage, &round, position, &plan).await?;
    let at = position.name;

    another_is_refused(stage, &round, at, &plan, tally).await?;

    let run = last_run(operator).await?;
    let told = operator.run(&["resume", &run]).await?;
    tally.check(
        &format!("killed {at}: resume ends well"),
        told.expect(0).map(drop),
    );
    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    tally.check(
        &format!("killed {at}: the end state is the documented one"),
        documented::check_difference(&round.facts, &round.before, &after)
            .and_then(|()| documented::check_update_log(&round.facts, &after))
            .and_then(|()| documented::check_metadata(&round.facts, &after)),
    );
    let deletion = format!("DELETE /{}", round.facts.doomed_index);
    let deletions = stage
        .changes()
        .iter()
        .filter(|line| line.split('?').next() == Some(&deletion))
        .count();
    tally.check(
        &format!("killed {at}: the index was deleted once"),
        ensure(
            deletions == 1,
            format!("{deletions} deletions reached the cluster"),
        ),
    );
    let whole = operator.run(&["audit", &run, "--verify"]).await?;
    tally.check(
        &format!("killed {at}: the record is whole"),
        whole.expect(0).map(drop),
    );
    Ok(())
}

pub(super) async fn run_and_kill(
    stage: &Stage,
    round: &Round,
    position: &Position,
    plan: &str,
) -> anyhow::Result<()> {
    killed(stage, round, position, &["run", plan])
        .await
        .map(drop)
}

/// Another operator, with a state directory of their own, meets the claim of the killed run.
async fn another_is_refused(
    stage: &Stage,
    round: &Round,
    at: &str,
    plan: &str,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let state = round.folder().join("state-of-another");
    let other = round.operator.clone().with_state(&state);
    other.add(Path::new(round.plugin())).await?;
    let before = stage.changes();
    let told = other.run(&["run", plan]).await?;
    tally.check(
        &format!("killed {at}: another run is refused with exit code 30 and E3001"),
        {
            let says = told.says("E3001");
            told.expect(30)
                .and_then(|told| ensure(says, format!("it does not say so\n{told}")))
        },
    );
    tally.check(
        &format!("killed {at}: the other run sent no changing request"),
        crate::tally::same(&before, &stage.changes()),
    );
    Ok(())
}
