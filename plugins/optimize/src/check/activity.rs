//! What runs now: Optimize itself, snapshots, server tasks.

use liftlock_sdk::prelude::*;

use super::{Goal, some};
use crate::inspect::state;
use crate::seen::{Seen, is_of};

pub(super) fn check(seen: &Seen, goal: &Goal, found: &mut Vec<Finding>) {
    tasks(seen, goal, found);
    backups(seen, found);
    match &seen.service {
        None => found.push(
            Finding::warning("optimize.service-not-bound")
                .subject("service.optimize")
                .what("Optimize is not bound, so the plan cannot stop it")
                .why("while it runs it imports, and what it writes during the upgrade can be lost")
                .remedy("bind it, or stop it yourself: the plan then asks you to attest that it is stopped"),
        ),
        Some(status) if matches!(status.state, State::Unknown(_)) => found.push(
            Finding::blocker("optimize.service-unclear")
                .subject("service.optimize")
                .what(format!("its state is {}", state(&status.state)))
                .why("what cannot be told to run cannot be proved to be stopped")
                .remedy("look at the definition of the service in the site file"),
        ),
        Some(status)
            if status.state != State::Stopped
                && matches!(goal.moment, Moment::Asked | Moment::BeforePlan) =>
        {
            found.push(
                Finding::info("optimize.running")
                    .subject("service.optimize")
                    .what(format!("it is {}", state(&status.state)))
                    .why("it must not write during the upgrade")
                    .remedy("nothing to do: the plan stops it first and proves it"),
            );
        }
        Some(_) => {}
    }
}

/// Most tasks that are shown: one is enough to stop, and a reindex in slices has hundreds.
const TASKS_SHOWN_MAX: usize = 10;

/// What tokens of a run begin with: the host sends one with each change.
const OF_A_RUN: &str = "liftlock-";

fn tasks(seen: &Seen, goal: &Goal, found: &mut Vec<Finding>) {
    let of_a_run = |task: &Task| {
        let token = task.opaque_id.as_deref();
        token.is_some_and(|token| token.starts_with(OF_A_RUN))
    };
    let ours: Vec<&Task> = seen
        .tasks
        .iter()
        .filter(|task| touches(&task.description, seen.names.prefix(), &seen.neighbours))
        // The claim sees to it that there is one run: on resume a run's task is this one's, and it is waited for.
        .filter(|task| goal.moment != Moment::OnResume || !of_a_run(task))
        .collect();
    if ours.is_empty() {
        return;
    }
    let ids: Vec<&str> = ours.iter().map(|task| task.id.as_str()).collect();
    let mut finding = Finding::blocker("optimize.task-running")
        .subject(some(&ids))
        .what(match ours.len() {
            1 => "a server task works on Optimize's indices".to_owned(),
            many => format!("{many} server tasks work on Optimize's indices"),
        })
        .why(
            "somebody changes these indices now: another upgrade, perhaps, or what it left running when it was killed. \
             The vendor's upgrader does not recognise a reindex with a script and starts a second one beside it",
        )
        .remedy(if ours.iter().any(|task| of_a_run(task)) {
            "a run of Liftlock started one of them: go on with that run (`liftlock history` names it, `liftlock resume` \
             waits for the task)"
                .to_owned()
        } else {
            format!(
                "wait until they have ended, or find out who runs them and cancel them: \
                 `POST /_tasks/{}/_cancel`",
                ids[0]
            )
        });
    for task in ours.iter().take(TASKS_SHOWN_MAX) {
        finding = finding.evidence(
            &task.id,
            format!(
                "{}, for {} ms: {}",
                task.action, task.running_ms, task.description
            ),
        );
    }
    found.push(finding);
}

/// Does a task's text name one of our indices? `reindex from [a] to [b]`, or with a script between:
/// `reindex from [a] updated with Script{...} to [b]`, `update-by-query [a, b] updated with Script{...}`.
fn touches(description: &str, prefix: &str, neighbours: &[String]) -> bool {
    let ours = [prefix.to_owned()];
    description
        .split(|c: char| matches!(c, '[' | ']' | ',') || c.is_whitespace())
        .any(|word| is_of(&ours, word) && !is_of(neighbours, word))
}

fn backups(seen: &Seen, found: &mut Vec<Finding>) {
    let Some(backups) = &seen.backups else {
        found.push(
            Finding::warning("optimize.no-snapshot")
                .subject("snapshot.backups")
                .what("no snapshot repository is bound")
                .why("after the first deletion there is no way back, so that each deletion needs a waiver")
                .remedy("bind a repository"),
        );
        return;
    };
    for snapshot in &backups.running {
        found.push(
            Finding::warning("optimize.snapshot-running")
                .subject(&snapshot.name)
                .what("a snapshot runs")
                .why(
                    "an index cannot be deleted while it is in a running snapshot; the vendor's upgrader tries every \
                     30 s for ever. Whether every node reaches the repository is not asked meanwhile: the answer would \
                     wait for its end",
                )
                .remedy("nothing to do: the run waits for its end before it takes its own, for an hour at most")
                .evidence("state", &snapshot.state),
        );
    }
    if !backups.running.is_empty() {
        return;
    }
    let Some(nodes) = &backups.nodes else {
        found.push(
            Finding::blocker("optimize.repository-missing")
                .subject(&backups.name)
                .what("the repository is not registered in the cluster")
                .why("the plan takes its snapshot there")
                .remedy("register it"),
        );
        return;
    };
    let deaf: Vec<&str> = seen
        .data_nodes()
        .filter(|node| !nodes.contains(&node.name) && !nodes.contains(&node.id))
        .map(|node| node.name.as_str())
        .collect();
    if !deaf.is_empty() {
        found.push(
            Finding::blocker("optimize.repository-not-reached")
                .subject(&backups.name)
                .what(format!("these data nodes do not reach it: {}", some(&deaf)))
                .why("shards that they hold would be missing in the snapshot")
                .remedy("mount or configure the repository on every node")
                .evidence("reached by", some(nodes)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_recognised_in_both_forms_of_its_text() {
        let neighbours = ["optimize-team-a".to_owned()];
        let touches = |text: &str| touches(text, "optimize", &neighbours);
        assert!(touches(
            "reindex from [optimize-settings_v2] to [optimize-settings_v3]"
        ));
        assert!(touches(
            "reindex from [x] updated with Script{type=inline, lang='painless', idOrCode='a', options={}, params={}} \
             to [optimize-settings_v3]"
        ));
        assert!(touches(
            "update-by-query [a, optimize-alert_v4] updated with Script{}"
        ));
        assert!(!touches(
            "reindex from [optimize-team-a-alert_v4] to [optimize-team-a-alert_v5]"
        ));
        assert!(!touches("reindex from [zeebe] to [optimizer-x]"));
    }
}
