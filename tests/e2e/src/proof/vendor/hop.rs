//! The vendor's own plan from 3.13 to 8.6, whose reindex and archives its upgrader does not do well.

use liftlock_lab::SiteSpec;
use serde_json::json;

use super::super::ensure;
use super::super::introduce;
use super::Upgrader;
use crate::stage::Stage;
use crate::tally::Tally;
use crate::tally::same;

/// The release that the upgrader is of.
const RELEASE: &str = "8.6.0";

/// Without archives: documents that no search sees yet are not lost, as they would be by the upgrader alone. With
/// archives there is no plan, since the upgrader makes them anew.
pub async fn reindexes_by_the_vendors_tool(
    stage: &Stage,
    upgrader: &Upgrader,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let spec = SiteSpec {
        archive_keys: Vec::new(),
        without_replicas: vec!["process-instance-invoice_v8".into()],
        ..SiteSpec::of_3_13()
    };
    let round = stage.fresh(&spec).await?;
    let more = [("STAND_IN_JAR", RELEASE)];
    let place = upgrader.install(stage, &round, RELEASE, &more).await?;
    introduce(&round).await?;
    let source = format!("/{}-settings_v2", round.facts.prefix);
    let target = &stage.target;
    let unseen = json!({ "index": { "refresh_interval": "-1" } });
    target.put(&format!("{source}/_settings"), &unseen).await?;
    let body = json!({ "sharingEnabled": true, "lastModifier": "kermit" });
    target.put(&format!("{source}/_doc/unseen"), &body).await?;
    round.operator.run(&["plan", RELEASE]).await?.expect(0)?;
    let plan = round.plan_file()?.to_string_lossy().into_owned();
    round.operator.approve(&plan).await?;
    let told = round.operator.run(&["run", &plan]).await?;
    tally.check(
        "to 8.6.0 by the vendor's tool: it runs to its end",
        told.expect(0).map(drop),
    );
    let path = format!("/{}-settings_v3/_doc/unseen", round.facts.prefix);
    let (status, found) = target.send(reqwest::Method::GET, &path, None).await?;
    tally.check(
        "to 8.6.0 by the vendor's tool: a document that no search saw is not lost",
        ensure(
            status == 200 && found["_source"] == json!({ "sharingEnabled": true }),
            format!("{status}: {found}"),
        ),
    );
    tally.check(
        "to 8.6.0 by the vendor's tool: the upgrader ran once",
        same(&["1".into()], &[place.runs()?.len().to_string()]),
    );

    let round = stage.fresh(&SiteSpec::of_3_13()).await?;
    let place = upgrader.install(stage, &round, RELEASE, &more).await?;
    introduce(&round).await?;
    let told = round.operator.run(&["plan", RELEASE]).await?;
    tally.check(
        "to 8.6.0 by the vendor's tool: a site with archives is refused",
        {
            let says = told.says("optimize.vendor-archives");
            told.expect(3)
                .and_then(|told| ensure(says, format!("it does not say why\n{told}")))
        },
    );
    tally.check(
        "to 8.6.0 by the vendor's tool: nothing was sent, and no upgrader was started",
        same(&[], &stage.changes())
            .and_then(|()| ensure(place.runs()?.is_empty(), "one was started")),
    );
    Ok(())
}
