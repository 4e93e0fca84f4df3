//! A change whose outcome cannot be proved: a person decides it.

use liftlock_lab::SiteSpec;
use liftlock_lab::When;
use serde_json::Value;

use super::approved;
use super::clean;
use super::ensure;
use super::introduce;
use super::killing::At;
use super::killing::Blow;
use super::killing::killed;
use super::killing::struck;
use super::kills::Position;
use super::last_run;
use super::rollback::says_all;
use crate::stage::Stage;
use crate::tally::Tally;
use crate::tally::same;

/// The request that sets the schema version, which never reaches the cluster.
const AT_THE_VERSION: Position = Position {
    name: "before the schema version is set",
    method: "PUT",
    path: "^/optimize-metadata_v3/_doc/1",
    when: When::Before,
};

/// Somebody changes what a killed run was about to change: neither before nor after, so a doubt, until it is put back
/// and a person says that nothing of the change is there.
pub async fn decides_a_doubt(stage: &Stage, tally: &mut Tally) -> anyhow::Result<()> {
    let round = stage.fresh(&SiteSpec::default()).await?;
    let operator = &round.operator;
    introduce(&round).await?;
    let file = approved(&round).await?;
    killed(stage, &round, &AT_THE_VERSION, &["run", &file]).await?;
    let run = last_run(operator).await?;

    let path = format!("/{}-metadata_v3/_doc/1", round.facts.prefix);
    let kept: Value = stage.target.get(&path).await?["_source"].clone();
    let mut third = kept.clone();
    third["schemaVersion"] = "8.7.99".into();
    let refresh = format!("{path}?refresh=true");
    stage.target.put(&refresh, &third).await?;

    let told = operator.run(&["resume", &run]).await?;
    tally.check(
        "a change that is neither there nor not there is a doubt: exit code 21 with both answers",
        told.expect(21).and_then(|told| {
            says_all(
                &told,
                &["E2101", "schema-version=done", "not-done", "rollback"],
            )
        }),
    );
    let before = stage.changes();
    let told = operator.run(&["resume", &run]).await?;
    tally.check(
        "without a decision resume says so again and changes nothing",
        told.expect(21).map(drop),
    );
    let told = operator.run(&["replan", &run]).await?;
    tally.check(
        "nor is there a new plan while it stands",
        told.expect(21).map(drop),
    );
    let decide = [
        "resume",
        run.as_str(),
        "--decide",
        "schema-version=not-done",
    ];
    let told = operator.run(&decide).await?;
    tally.check(
        "a decision needs a reason: exit code 2",
        told.expect(2).map(drop),
    );
    tally.check("all that sent nothing", same(&before, &stage.changes()));

    stage.target.put(&refresh, &kept).await?;
    let with_reason = [&decide[..], &["--reason", "put back by hand"]].concat();
    let told = operator.run(&with_reason).await?;
    tally.check(
        "put back and decided, the run comes to its end",
        told.expect(0).map(drop),
    );
    clean::check_end_state(stage, &round, tally).await?;
    let told = operator.run(&["audit", &run, "--verify"]).await?;
    tally.check(
        "the record holds the decision with its reason",
        told.expect(0)
            .and_then(|told| says_all(&told, &["decided", "not-done", "put back by hand"])),
    );
    Ok(())
}

/// A first Ctrl-C waits for the change that goes on, a second one does not.
pub async fn stops_now_at_the_second_interrupt(
    stage: &Stage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let round = stage.fresh(&SiteSpec::default()).await?;
    let operator = &round.operator;
    introduce(&round).await?;
    let file = approved(&round).await?;
    let at = At {
        when: When::Before,
        method: "PUT".into(),
        path: "^/_snapshot/backups/optimize-before".into(),
    };
    let told = struck(stage, &round, Blow::InterruptTwice, &at, &["run", &file]).await?;
    tally.check(
        "twice Ctrl-C: the run stops now, resumable, and names the command that settles what was sent",
        told.clone().expect(20).and_then(|told| {
            says_all(&told, &["again to stop now", "stops now", "liftlock resume"])
        }),
    );
    let run = last_run(operator).await?;
    let told = operator.run(&["status", &run]).await?;
    tally.check(
        "what was sent is open in the record",
        told.expect(0)
            .and_then(|told| ensure(told.says("open"), format!("nothing is open\n{told}"))),
    );
    let told = operator.run(&["resume", &run]).await?;
    tally.check("resume settles it and ends well", told.expect(0).map(drop));
    clean::check_end_state(stage, &round, tally).await
}
