//! The steps: Optimize stopped, a snapshot, node after node, Optimize started where its line runs on the new version.

use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling;

use super::{KEPT, NODE_STAYS, Nodes, Wanted, check};
use crate::around::{Around, CONTENT_AFTER, CONTENT_BEFORE, STOP};
use crate::check::Goal;
use crate::descriptor::{DATABASE, OPTIMIZE};
use crate::inspect::named;
use crate::names::Kind;
use crate::seen::Seen;
use crate::upgraded::READY_MS;

/// Proposes everything that is still to do.
pub(crate) fn propose(
    site: &Site,
    seen: &Seen,
    goal: &Goal,
    run: &Run,
    wanted: &Wanted,
    plan: &Plan<'_>,
) -> std::result::Result<(), Refusal> {
    let nodes = Nodes::gather(site)?;
    let blockers = check::cannot(seen, goal, wanted, &nodes)?;
    if !blockers.is_empty() {
        return Err(Refusal::Blocked(blockers));
    }
    let flushed = [seen.names.all()];
    let rolling = wanted.rolling(&flushed);
    let behind = rolling::behind(nodes.view(seen), &nodes.bound, &wanted.to);
    let database = Cluster::open(site, DATABASE)?;
    let around = Around {
        site,
        seen,
        database: &database,
        plan,
    };
    let compared = compared(seen);
    keep_settings(&database, plan)?;
    rolling.remove_archived(&database, &nodes.archived, plan)?;
    around.stop()?;
    around.capture_content(
        CONTENT_BEFORE,
        Phase::Prepare,
        "checksums of what must not change",
        &compared,
    )?;
    around.baseline()?;
    if around
        .protect(&format!("database-{}", wanted.to))?
        .is_none()
    {
        plan.not_done(
            "no snapshot is taken: no repository is bound, and there is no other way back",
        );
    }
    rolling.take(site, &database, &behind, plan)?;
    plan.not_done(&format!(
        "a rollback leaves nodes at {}: {NODE_STAYS}",
        wanted.to
    ));
    around.capture_content(CONTENT_AFTER, Phase::Validate, "checksums again", &compared)?;
    let meanwhile = end(&around, goal, run, wanted)?;
    plan.summary(&format!(
        "{} to {}: {} of {} nodes, one after another; {meanwhile}",
        seen.distribution().map_or("the database", named),
        wanted.to,
        behind.len(),
        seen.nodes.len(),
    ));
    plan.summary(&format!(
        "after this run: `liftlock plan {}` again, for Optimize itself",
        goal.asked
    ));
    Ok(())
}

/// What a snapshot of Optimize's indices does not hold.
fn keep_settings(on: &Cluster, plan: &Plan<'_>) -> Result<()> {
    let settings = [SettingScope::Persistent, SettingScope::Transient]
        .map(|scope| on.read_cluster_settings(scope));
    plan.step(KEPT, Phase::Prepare, "keep the cluster's settings")
        .because(
            "no snapshot of indices holds them: they stand in the journal, and `liftlock audit` shows them",
        )
        .captures(KEPT, settings)
        .add()
        .map(drop)
}

/// All that is open, also what Optimize's own plan writes: this one changes no document.
fn compared(seen: &Seen) -> Vec<(String, u64)> {
    let is_compared = |index: &&Index| {
        let is_big = matches!(
            seen.names.kind(&index.name),
            Kind::ProcessInstance(_) | Kind::DecisionInstance(_)
        );
        index.open && (seen.checksums_of_all || !is_big)
    };
    let compared = seen.indices.iter().filter(is_compared);
    let mut compared: Vec<(String, u64)> = compared
        .map(|index| (index.name.clone(), index.docs))
        .collect();
    compared.sort();
    compared
}

/// Optimize at the end, and what is said of it.
fn end(around: &Around<'_>, goal: &Goal, run: &Run, wanted: &Wanted) -> Result<String> {
    if !check::keeps_its_line(around.seen, goal, wanted) {
        return Ok("Optimize is stopped, and stays so until its own upgrade".into());
    }
    if !around.site.has(OPTIMIZE) {
        around.plan.hand_over(
            "start Optimize",
            "Its line runs on the new version too: start the instances that you have stopped for this run.",
        );
        return Ok("Optimize is stopped meanwhile by a person, who can start it afterwards".into());
    }
    if !was_running(around.seen, &run.steps()) {
        return Ok("Optimize is stopped already, and stays so".into());
    }
    around.settle(Phase::Validate)?;
    let optimize = Service::open(around.site, OPTIMIZE)?;
    around
        .plan
        .step("start-optimize", Phase::Validate, "start Optimize")
        .because("its line runs on the new version too")
        .gives_back(STOP)
        .ends_when("Optimize is ready", optimize.ready().patience_ms(READY_MS))
        .work("restarts", 1)
        .add()?;
    Ok("Optimize is stopped meanwhile, and started afterwards".into())
}

/// Optimize ran when the run in hand, or this plan, began.
fn was_running(seen: &Seen, steps: &[StepView]) -> bool {
    let stopped_by_us =
        |step: &StepView| step.id == STOP && step.outcome.as_deref() == Some("applied-ours");
    let runs = |status: &Status| status.state != State::Stopped;
    seen.service.as_ref().is_some_and(runs) || steps.iter().any(stopped_by_us)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::site;

    #[test]
    fn everything_is_compared_unless_the_operator_leaves_out_what_is_big() {
        let mut seen = site("8.7.0");
        let metadata = (seen.names.metadata(), 3);
        assert_eq!(compared(&seen).len(), seen.indices.len());
        assert!(compared(&seen).contains(&metadata));
        seen.checksums_of_all = false;
        let fixed = compared(&seen);
        assert_eq!(fixed.len(), seen.indices.len() - 3);
        seen.indices[0].open = false;
        assert_eq!(compared(&seen).len(), fixed.len() - 1);
    }

    #[test]
    fn an_optimize_that_was_stopped_before_is_not_started() {
        let mut seen = site("8.7.0");
        let stopped = |outcome: &str| StepView {
            id: STOP.into(),
            memo: None,
            outcome: Some(outcome.into()),
            evidence: None,
            at: None,
        };
        assert!(!was_running(&seen, &[]));
        assert!(!was_running(&seen, &[stopped("true-not-ours")]));
        assert!(was_running(&seen, &[stopped("applied-ours")]));
        if let Some(status) = &mut seen.service {
            status.state = State::Ready;
        }
        assert!(was_running(&seen, &[]));
    }
}
