//! Ways out of a rolling run that went wrong.

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::camunda::Traffic;
use liftlock_lab::camunda::traffic::CLIENTS;

use super::RollingSite;
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
    tally.check(
        "no request failed",
        if report.failed() == 0 {
            Ok(())
        } else {
            bail!("{}", report.last_line())
        },
    );
    Ok(())
}
