//! The window in which two versions run.

use anyhow::Context;
use liftlock_lab::camunda::rest;

use super::RollingSite;
use crate::proof::last_run;
use crate::tally::Tally;

/// Somebody deploys between two nodes: the run waits for a person, and a waiver of theirs is not needed once it is gone.
pub async fn stops_for_a_deployment(site: &RollingSite, tally: &mut Tally) -> anyhow::Result<()> {
    let plan = site.approved().await?;
    let first = site.nodes.first().context("a node")?.rest()?;
    let to = site.spec.to.name();
    let run = site.run(&plan);
    let deploy = async {
        while first
            .get("/version")
            .await
            .map_or(true, |said| said["version"] != to)
        {
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
        rest::deploy(&first, "in the window").await
    };
    let (told, deployed) = tokio::join!(run, deploy);
    let id = deployed?;
    let told = told?;
    tally.check(
        "the run stops and asks, naming the deployment",
        told.clone().expect(21).and_then(|told| {
            if told.says("in the window") {
                Ok(())
            } else {
                anyhow::bail!("{told}")
            }
        }),
    );
    first
        .delete(&format!("/deployment/{id}?cascade=true"))
        .await
        .context("cannot delete the deployment")?;
    let run = last_run(&site.operator).await?;
    let resumed = site.operator.run(&["resume", &run]).await?;
    tally.check("without it the run goes on", resumed.expect(0).map(drop));
    tally.check("every node runs the new version", site.all_run(to).await);
    Ok(())
}
