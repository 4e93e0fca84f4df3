//! Ways out of a rolling run that went wrong.

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::AdminState;
use liftlock_lab::camunda::Traffic;
use liftlock_lab::camunda::traffic::CLIENTS;

use super::RollingSite;
use super::whole::none_failed;
use crate::proof::last_run;
use crate::tally::Tally;

/// The second node cannot start; the first one goes back to the old version, and serves on.
pub async fn goes_back_by_one_node(site: &RollingSite, tally: &mut Tally) -> anyhow::Result<()> {
    let plan = site.approved().await?;
    let broken = site
        .folder()
        .join("n2/versions")
        .join(site.spec.to.name())
        .join("java.args");
    let good = std::fs::read(&broken).context("the second node's arguments")?;
    std::fs::write(&broken, "-version\n")?;
    let traffic = Traffic::begin(&site.balancer.base_url(), CLIENTS)?;
    let told = site.run(&plan).await?;
    tally.check(
        "the run stops at the second node",
        told.expect(22).map(drop),
    );
    let run = last_run(&site.operator).await?;
    let back = site
        .operator
        .run(&["rollback", &run, "--unit", "n1", "--yes"])
        .await?;
    tally.check(
        "the first node goes back by itself",
        back.expect(0).map(drop),
    );
    let first = &site.nodes[0];
    let said = first.rest()?.get("/version").await?;
    let is_old =
        first.current()? == site.spec.from.name() && said["version"] == site.spec.from.name();
    tally.check(
        "it runs the old version",
        if is_old {
            Ok(())
        } else {
            Err(anyhow::anyhow!("{said}"))
        },
    );
    std::fs::write(&broken, good)?;
    let resumed = site.operator.run(&["resume", &run]).await?;
    let report = traffic.end().await;
    tally.check("resumed, the run does it anew", resumed.expect(0).map(drop));
    tally.check(
        "every node runs the new version",
        site.all_run(site.spec.to.name()).await,
    );
    tally.check("every server is ready again", site.all_serve().await);
    tally.check("no request failed", none_failed(&report));
    Ok(())
}

/// Whoever planned it was told that every node may be missed: the last one that serves is not taken all the same.
pub async fn leaves_the_last_one(site: &RollingSite, tally: &mut Tally) -> anyhow::Result<()> {
    let plan = site.approved().await?;
    let balancer = site.balancer.haproxy()?;
    let [first, others @ ..] = site.nodes.as_slice() else {
        bail!("a site without a node");
    };
    for other in others {
        balancer.set_state(&other.name, AdminState::Maint).await?;
    }
    let traffic = Traffic::begin(&site.balancer.base_url(), CLIENTS)?;
    let told = site.run(&plan).await?;
    tally.check(
        "the run stops before the last one, and says why",
        told.expect(22).and_then(|told| {
            if told.says("no other server of the backend serves") {
                Ok(())
            } else {
                bail!("{told}")
            }
        }),
    );
    tally.check(
        "it serves, and runs what it ran",
        site.balancer
            .expect_serving(&first.name)
            .await
            .and_then(|()| {
                let runs = first.current()?;
                if runs == site.spec.from.name() {
                    Ok(())
                } else {
                    bail!("it runs {runs}")
                }
            }),
    );
    for other in others {
        balancer.set_state(&other.name, AdminState::Ready).await?;
    }
    let run = last_run(&site.operator).await?;
    let resumed = site.operator.run(&["resume", &run]).await?;
    let report = traffic.end().await;
    tally.check(
        "with others that serve it goes on",
        resumed.expect(0).map(drop),
    );
    tally.check(
        "every node runs the new version",
        site.all_run(site.spec.to.name()).await,
    );
    tally.check("no request failed", none_failed(&report));
    Ok(())
}
