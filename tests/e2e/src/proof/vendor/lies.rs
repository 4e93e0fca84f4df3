//! An upgrader that ends well and did not do it, and sites on which it would.

use std::fs;

use anyhow::Context;
use serde_json::json;

use super::super::TO;
use super::super::approved;
use super::super::ensure;
use super::Upgrader;
use super::place::Place;
use super::staged;
use crate::stage::Round;
use crate::stage::Stage;
use crate::stage::write;
use crate::tally::Tally;
use crate::tally::same;

/// One lie: what the upgrader is told, and what the run must say.
struct Lie {
    what: &'static str,
    told: (&'static str, &'static str),
    says: &'static str,
}

/// Each ends with exit code 0 and has not done it.
const LIES: [Lie; 3] = [
    Lie {
        what: "it leaves out its sync",
        told: ("STAND_IN_LIE", "no-sync"),
        says: "optimize.vendor-sync-missing",
    },
    Lie {
        what: "it does nothing",
        told: ("STAND_IN_LIE", "nothing"),
        says: "is gone",
    },
    Lie {
        what: "it has another prefix",
        told: ("", "acme"),
        says: "is gone",
    },
];

/// Runs upgraders that end with exit code 0: each run ends with 22 and says what is not there. `all`: every lie,
/// else the one that nothing but a mark shows.
pub async fn finds_out_a_lying_upgrader(
    stage: &Stage,
    upgrader: &Upgrader,
    all: bool,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    for lie in LIES.iter().take(if all { LIES.len() } else { 1 }) {
        let (mut name, value) = lie.told;
        let prefixes = [
            "CAMUNDA_OPTIMIZE_OPENSEARCH_SETTINGS_INDEX_PREFIX",
            "CAMUNDA_OPTIMIZE_ELASTICSEARCH_SETTINGS_INDEX_PREFIX",
        ];
        let mut more = Vec::new();
        if name.is_empty() {
            name = prefixes[0];
            more.push((prefixes[1], value));
        }
        more.push((name, value));
        let (round, _place) = staged(stage, upgrader, &more).await?;
        let plan = approved(&round).await?;
        let told = round.operator.run(&["run", &plan]).await?;
        tally.check(
            &format!(
                "an upgrader that lies, {}: exit code 22, and it is said what lacks",
                lie.what
            ),
            {
                let says = told.says(lie.says);
                told.expect(22).and_then(|told| {
                    ensure(says, format!("it does not say `{}`\n{told}", lie.says))
                })
            },
        );
    }
    Ok(())
}

/// Breaks one site in each way on which the vendor's upgrader loses data, dies late or does nothing: no plan is
/// made, and nothing is touched.
pub async fn refuses_what_the_upgrader_would_ruin(
    stage: &Stage,
    upgrader: &Upgrader,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let (round, place) = staged(stage, upgrader, &[]).await?;
    place.set_strategy(&round, "vendor").await?;
    let target = &stage.target;
    let prefix = &round.facts.prefix;

    let stray = json!({ "aliases": { "decision-instance-foo": {} } });
    target.put("/other-team", &stray).await?;
    refused(
        stage,
        &round,
        &place,
        "a foreign alias `decision-instance-foo`",
        "optimize.vendor-stray-alias",
        tally,
    )
    .await?;
    target.delete("/other-team").await?;

    let settings = format!("/{prefix}-alert_v4/_settings");
    target
        .put(&settings, &json!({ "index.blocks.read_only": true }))
        .await?;
    refused(
        stage,
        &round,
        &place,
        "a block on one index",
        "optimize.vendor-block",
        tally,
    )
    .await?;
    target
        .put(&settings, &json!({ "index.blocks.read_only": null }))
        .await?;

    let file = round.folder().join("config/environment-config.yaml");
    let own = fs::read_to_string(&file).context("the configuration cannot be read")?;
    let of = |database: &str| format!("{database}:\n  settings:\n    index:\n      prefix: acme\n");
    write(&file, &format!("---\n{}{}", of("es"), of("opensearch")))?;
    refused(
        stage,
        &round,
        &place,
        "a configuration with another prefix",
        "optimize.config-of-another-prefix",
        tally,
    )
    .await?;
    write(&file, &own)?;

    let log = format!("/{prefix}-update-log_v1");
    let entry = json!({
        "indexName": "variable-update-instance_v2", "optimizeVersion": TO, "stepType": "schema-delete-index",
        "stepNumber": 1, "appliedDate": "2026-01-01T00:00:00.000Z",
    });
    let id = format!("{TO}_schema-delete-index_variable-update-instance_v2");
    let keyword = json!({ "type": "keyword" });
    let body = json!({
        "aliases": { format!("{prefix}-update-log"): { "is_write_index": true } },
        "mappings": { "properties": {
            "indexName": keyword, "optimizeVersion": keyword, "stepType": keyword,
            "stepNumber": { "type": "long" }, "appliedDate": { "type": "date" },
        } },
    });
    target.put(&log, &body).await?;
    target
        .put(&format!("{log}/_doc/{id}?refresh=true"), &entry)
        .await?;
    refused(
        stage,
        &round,
        &place,
        "an update log that was kept",
        "optimize.update-log-contradicts",
        tally,
    )
    .await?;
    target.delete(&log).await?;

    let metadata = format!("/{prefix}-metadata_v3/_doc/1?refresh=true");
    target.delete(&metadata).await?;
    refused(
        stage,
        &round,
        &place,
        "no metadata document",
        "optimize.metadata-document-missing",
        tally,
    )
    .await
}

async fn refused(
    stage: &Stage,
    round: &Round,
    place: &Place,
    what: &str,
    finding: &str,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    stage.proxy.clear();
    let told = round.operator.run(&["plan", TO]).await?;
    tally.check(
        &format!("before the upgrader: {what} is refused with {finding}"),
        {
            let says = told.says(finding);
            told.expect(3)
                .and_then(|told| ensure(says, format!("it does not say {finding}\n{told}")))
        },
    );
    tally.check(
        &format!("before the upgrader: {what}: nothing was sent, and no upgrader was started"),
        same(&[], &stage.changes())
            .and_then(|()| ensure(place.runs()?.is_empty(), "one was started")),
    );
    Ok(())
}
