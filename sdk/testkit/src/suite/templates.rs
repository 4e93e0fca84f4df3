//! Templates of the three kinds, and the claim that is made of one.

use serde_json::{Value, json};

use super::{Client, Outcome, checks, expect, same};
use crate::product::Product;

checks![
    a_claim_is_taken_once_only,
    of_twenty_claims_at_once_one_wins,
    a_legacy_template_shapes_new_indices,
    missing_templates_are_404,
    a_composable_template_beats_a_legacy_one,
    a_component_in_use_is_not_deleted,
];

/// Removes templates that an earlier run left; absent ones do not matter.
async fn clean(c: &Client, paths: &[&str]) -> Outcome {
    for path in paths {
        c.delete(path).await?;
    }
    Ok(())
}

async fn a_claim_is_taken_once_only(c: &Client, _: Product) -> Outcome {
    let path = "/_component_template/suite-claim.1";
    clean(c, &[path]).await?;
    let claim = |nonce: &str| json!({"template": {}, "_meta": {"nonce": nonce}});
    c.put(&format!("{path}?create=true"), claim("first"))
        .await?
        .status(200)?;
    c.put(&format!("{path}?create=true"), claim("second"))
        .await?
        .refused(
            400,
            "illegal_argument_exception",
            "component template [suite-claim.1] already exists",
        )?;
    let shown = c.get(path).await?.status(200)?.body;
    let stored = &shown["component_templates"][0];
    same("name", stored["name"].as_str(), Some("suite-claim.1"))?;
    same(
        "meta",
        &stored["component_template"]["_meta"],
        &json!({"nonce": "first"}),
    )?;
    c.delete(path).await?.status(200)?;
    c.get(path).await?.refused(
        404,
        "resource_not_found_exception",
        "component template matching [suite-claim.1] not found",
    )?;
    c.put(&format!("{path}?create=true"), claim("third"))
        .await?
        .status(200)?;
    c.delete(path).await?.status(200)?;
    Ok(())
}

async fn of_twenty_claims_at_once_one_wins(c: &Client, _: Product) -> Outcome {
    let path = "/_component_template/suite-claim.2";
    clean(c, &[path]).await?;
    let mut tries = tokio::task::JoinSet::new();
    for number in 0..20 {
        let (c, path) = (c.clone(), format!("{path}?create=true"));
        tries.spawn(async move {
            c.put(&path, json!({"template": {}, "_meta": {"n": number}}))
                .await
        });
    }
    let mut statuses = Vec::new();
    while let Some(done) = tries.join_next().await {
        let answer = done.map_err(|e| super::SuiteError::Unexpected(e.to_string()))??;
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    let mut wanted = vec![200];
    wanted.extend([400; 19]);
    c.delete(path).await?.status(200)?;
    same("statuses", statuses, wanted)
}

async fn a_legacy_template_shapes_new_indices(c: &Client, _: Product) -> Outcome {
    c.without(&["suite-legacy-1"]).await?;
    clean(c, &["/_template/suite-legacy"]).await?;
    let template = json!({
        "index_patterns": ["suite-legacy-*"], "version": 2, "order": 0,
        "settings": {"number_of_replicas": 0, "refresh_interval": "7s"},
        "mappings": {"dynamic": "strict", "properties": {"x": {"type": "keyword"}}},
        "aliases": {"suite-legacy-alias": {}},
    });
    c.put("/_template/suite-legacy?create=true", template.clone())
        .await?
        .status(200)?;
    c.put("/_template/suite-legacy?create=true", template)
        .await?
        .refused(
            400,
            "illegal_argument_exception",
            "index_template [suite-legacy] already exists",
        )?;
    let shown = c.get("/_template/suite-legacy").await?.status(200)?.body;
    same(
        "settings",
        &shown["suite-legacy"]["settings"],
        &json!({"index": {"number_of_replicas": "0", "refresh_interval": "7s"}}),
    )?;
    same("version", &shown["suite-legacy"]["version"], &json!(2))?;
    c.put("/suite-legacy-1", Value::Null).await?.status(200)?;
    let index = &c.get("/suite-legacy-1").await?.status(200)?.body["suite-legacy-1"];
    same(
        "interval",
        &index["settings"]["index"]["refresh_interval"],
        &json!("7s"),
    )?;
    same("dynamic", &index["mappings"]["dynamic"], &json!("strict"))?;
    same(
        "alias",
        &index["aliases"],
        &json!({"suite-legacy-alias": {}}),
    )?;
    c.without(&["suite-legacy-1"]).await?;
    c.delete("/_template/suite-legacy").await?.status(200)?;
    Ok(())
}

async fn missing_templates_are_404(c: &Client, p: Product) -> Outcome {
    same(
        "legacy",
        c.get("/_template/suite-absent").await?.status(404)?.body,
        json!({}),
    )?;
    c.ask("HEAD", "/_template/suite-absent", Value::Null)
        .await?
        .status(404)?;
    c.ask("HEAD", "/_index_template/suite-absent", Value::Null)
        .await?
        .status(404)?;
    c.delete("/_template/suite-absent").await?.refused(
        404,
        "index_template_missing_exception",
        "index_template [suite-absent] missing",
    )?;
    c.delete("/_index_template/suite-absent").await?.refused(
        404,
        "index_template_missing_exception",
        "index_template [suite-absent] missing",
    )?;
    let component = c.delete("/_component_template/suite-absent").await?;
    if p.is_opensearch() {
        component.refused(
            404,
            "index_template_missing_exception",
            "index_template [suite-absent] missing",
        )?;
    } else {
        component.refused(404, "resource_not_found_exception", "suite-absent")?;
    }
    Ok(())
}

async fn a_composable_template_beats_a_legacy_one(c: &Client, _: Product) -> Outcome {
    c.without(&["suite-both-1"]).await?;
    clean(c, &["/_template/suite-both", "/_index_template/suite-both"]).await?;
    c.put(
        "/_template/suite-both",
        json!({"index_patterns": ["suite-both-*"], "settings": {"refresh_interval": "7s"}}),
    )
    .await?
    .status(200)?;
    c.put("/_index_template/suite-both", json!({"index_patterns": ["suite-both-*"], "priority": 900, "template": {"settings": {"number_of_replicas": 0}}}))
        .await?
        .status(200)?;
    c.put("/suite-both-1", Value::Null).await?.status(200)?;
    let shown = c
        .get("/suite-both-1/_settings?flat_settings=true")
        .await?
        .body;
    let settings = &shown["suite-both-1"]["settings"];
    expect(
        settings.get("index.refresh_interval").is_none(),
        settings.to_string(),
    )?;
    same(
        "replicas",
        &settings["index.number_of_replicas"],
        &json!("0"),
    )?;
    c.put(
        "/_index_template/suite-both-2",
        json!({"index_patterns": ["suite-both-*"], "priority": 900}),
    )
    .await?
    .refused(
        400,
        "illegal_argument_exception",
        "that have the same priority [900]",
    )?;
    c.without(&["suite-both-1"]).await?;
    c.delete("/_index_template/suite-both").await?.status(200)?;
    c.delete("/_template/suite-both").await?.status(200)?;
    Ok(())
}

async fn a_component_in_use_is_not_deleted(c: &Client, _: Product) -> Outcome {
    clean(
        c,
        &[
            "/_index_template/suite-user",
            "/_component_template/suite-part",
        ],
    )
    .await?;
    c.put(
        "/_component_template/suite-part",
        json!({"template": {"settings": {"number_of_replicas": 0}}}),
    )
    .await?
    .status(200)?;
    c.put(
        "/_index_template/suite-user",
        json!({"index_patterns": ["suite-user-*"], "priority": 901, "composed_of": ["suite-part"]}),
    )
    .await?
    .status(200)?;
    c.delete("/_component_template/suite-part").await?.refused(
        400,
        "illegal_argument_exception",
        "cannot be removed as they are still in use by index templates [suite-user]",
    )?;
    c.delete("/_index_template/suite-user").await?.status(200)?;
    c.delete("/_component_template/suite-part")
        .await?
        .status(200)?;
    Ok(())
}
