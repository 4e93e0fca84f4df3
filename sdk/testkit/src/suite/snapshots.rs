//! Repositories, snapshots and restores.

use serde_json::{Value, json};

use super::{Client, Outcome, SuiteError, checks, expect, same};
use crate::product::Product;

checks![
    a_repository_outside_path_repo_is_refused,
    a_snapshot_keeps_indices_and_metadata,
    a_snapshot_name_is_used_once_and_is_lower_case,
    a_restore_over_an_open_index_is_refused,
    a_restore_over_a_closed_index_keeps_its_uuid,
    a_closed_index_is_taken_and_comes_back_open,
    a_renamed_restore_has_a_new_uuid_and_the_old_version,
    a_restore_can_change_settings_and_leave_aliases_out,
    a_restore_brings_aliases_by_default,
    a_restore_of_what_is_not_there_is_refused,
    a_snapshot_with_a_missing_index_is_refused,
    a_restore_with_global_state_replaces_component_templates,
    removing_a_repository_keeps_its_snapshots,
];

const REPOSITORY: &str = "/_snapshot/suite-repo";

/// Registers the repository anew and removes these snapshots from it.
async fn prepare(c: &Client, snapshots: &[&str]) -> Outcome {
    let gone = c.delete(REPOSITORY).await?;
    expect(
        matches!(gone.status, 200 | 404),
        format!("cannot remove the repository: {}", gone.body),
    )?;
    c.put(
        REPOSITORY,
        json!({"type": "fs", "settings": {"location": "suite"}}),
    )
    .await?
    .status(200)?;
    for name in snapshots {
        let answer = c.delete(&format!("{REPOSITORY}/{name}")).await?;
        expect(
            matches!(answer.status, 200 | 404),
            format!("cannot clean `{name}`: {}", answer.body),
        )?;
    }
    Ok(())
}

async fn take(c: &Client, name: &str, body: Value) -> Outcome {
    let done = c
        .put(
            &format!("{REPOSITORY}/{name}?wait_for_completion=true"),
            body,
        )
        .await?
        .status(200)?;
    same(
        "state",
        done.body["snapshot"]["state"].as_str(),
        Some("SUCCESS"),
    )
}

async fn restore(c: &Client, name: &str, body: Value) -> Result<super::Answer, super::SuiteError> {
    c.post(
        &format!("{REPOSITORY}/{name}/_restore?wait_for_completion=true"),
        body,
    )
    .await
}

async fn a_repository_outside_path_repo_is_refused(c: &Client, _: Product) -> Outcome {
    c.put(
        "/_snapshot/suite-bad",
        json!({"type": "fs", "settings": {"location": "/suite/outside"}}),
    )
    .await?
    .refused(
        500,
        "repository_exception",
        "[suite-bad] failed to create repository",
    )?;
    c.get("/_snapshot/suite-bad").await?.refused(
        404,
        "repository_missing_exception",
        "[suite-bad] missing",
    )?;
    prepare(c, &[]).await?;
    let nodes = c
        .post(&format!("{REPOSITORY}/_verify"), Value::Null)
        .await?
        .status(200)?
        .body;
    expect(
        nodes["nodes"].as_object().is_some_and(|n| !n.is_empty()),
        nodes.to_string(),
    )
}

async fn a_snapshot_keeps_indices_and_metadata(c: &Client, p: Product) -> Outcome {
    prepare(c, &["suite-s1"]).await?;
    c.fresh("suite-snap-a", json!({})).await?;
    c.fresh("suite-snap-b", json!({})).await?;
    let body = json!({"indices": "suite-snap-*,-suite-snap-b", "include_global_state": false, "metadata": {"run_id": "r1"}});
    let accepted = c
        .put(&format!("{REPOSITORY}/suite-s1"), body)
        .await?
        .status(200)?;
    same("answer", accepted.body, json!({"accepted": true}))?;
    let path = format!("{REPOSITORY}/suite-s1");
    let done = c
        .until("the snapshot ends", &path, |a| {
            a.body["snapshots"][0]["state"] == "SUCCESS"
        })
        .await?
        .body;
    let one = &done["snapshots"][0];
    same("indices", &one["indices"], &json!(["suite-snap-a"]))?;
    same("metadata", &one["metadata"], &json!({"run_id": "r1"}))?;
    same("failed shards", &one["shards"]["failed"], &json!(0))?;
    same(
        "version id",
        &one["version_id"],
        &json!(p.index_version_id(p.version())),
    )?;
    same("global state", &one["include_global_state"], &json!(false))?;
    let status = c
        .get(&format!("{REPOSITORY}/suite-s1/_status"))
        .await?
        .status(200)?
        .body;
    same(
        "status",
        status["snapshots"][0]["state"].as_str(),
        Some("SUCCESS"),
    )?;
    same(
        "running",
        c.get(&format!("{REPOSITORY}/_current"))
            .await?
            .status(200)?
            .body["snapshots"]
            .clone(),
        json!([]),
    )?;
    prepare(c, &["suite-s1"]).await?;
    c.without(&["suite-snap-a", "suite-snap-b"]).await
}

async fn a_snapshot_name_is_used_once_and_is_lower_case(c: &Client, p: Product) -> Outcome {
    prepare(c, &["suite-s2"]).await?;
    c.fresh("suite-name-a", json!({})).await?;
    let body = json!({"indices": "suite-name-a", "include_global_state": false});
    take(c, "suite-s2", body.clone()).await?;
    let kind = if p.is_opensearch() {
        "invalid_snapshot_name_exception"
    } else {
        "snapshot_name_already_in_use_exception"
    };
    c.put(&format!("{REPOSITORY}/suite-s2"), body.clone())
        .await?
        .refused(400, kind, "snapshot with the same name already exists")?;
    c.put(&format!("{REPOSITORY}/Suite"), body).await?.refused(
        400,
        "invalid_snapshot_name_exception",
        "must be lowercase",
    )?;
    prepare(c, &["suite-s2"]).await?;
    c.get(&format!("{REPOSITORY}/suite-s2")).await?.refused(
        404,
        "snapshot_missing_exception",
        "[suite-repo:suite-s2] is missing",
    )?;
    c.without(&["suite-name-a"]).await
}

async fn a_restore_over_an_open_index_is_refused(c: &Client, _: Product) -> Outcome {
    prepare(c, &["suite-s3"]).await?;
    c.fresh("suite-over", json!({})).await?;
    take(
        c,
        "suite-s3",
        json!({"indices": "suite-over", "include_global_state": false}),
    )
    .await?;
    restore(c, "suite-s3", json!({"indices": "suite-over"})).await?.refused(
        500,
        "snapshot_restore_exception",
        "cannot restore index [suite-over] because an open index with same name already exists in the cluster. Either close or delete",
    )?;
    c.without(&["suite-over"]).await?;
    restore(c, "suite-s3", json!({"indices": "suite-over"}))
        .await?
        .status(200)?;
    prepare(c, &["suite-s3"]).await?;
    c.without(&["suite-over"]).await
}

async fn uuid_of(c: &Client, index: &str) -> Result<String, SuiteError> {
    let shown = c
        .get(&format!("/{index}/_settings?flat_settings=true"))
        .await?
        .status(200)?
        .body;
    let uuid = shown[index]["settings"]["index.uuid"].as_str();
    uuid.map(ToOwned::to_owned)
        .ok_or_else(|| SuiteError::Unexpected(format!("no uuid in {shown}")))
}

async fn a_restore_over_a_closed_index_keeps_its_uuid(c: &Client, _: Product) -> Outcome {
    prepare(c, &["suite-s11"]).await?;
    c.fresh("suite-shut", json!({})).await?;
    c.fill("suite-shut", 2).await?;
    take(
        c,
        "suite-s11",
        json!({"indices": "suite-shut", "include_global_state": false}),
    )
    .await?;
    let before = uuid_of(c, "suite-shut").await?;
    c.post("/suite-shut/_close", Value::Null)
        .await?
        .status(200)?;
    restore(c, "suite-s11", json!({"indices": "suite-shut"}))
        .await?
        .status(200)?;
    same("uuid", uuid_of(c, "suite-shut").await?, before.clone())?;
    c.without(&["suite-shut"]).await?;
    restore(c, "suite-s11", json!({"indices": "suite-shut"}))
        .await?
        .status(200)?;
    expect(
        uuid_of(c, "suite-shut").await? != before,
        "an index that was deleted comes back with its old uuid",
    )?;
    prepare(c, &["suite-s11"]).await?;
    c.without(&["suite-shut"]).await
}

async fn a_closed_index_is_taken_and_comes_back_open(c: &Client, _: Product) -> Outcome {
    prepare(c, &["suite-s12"]).await?;
    c.fresh("suite-closed", json!({})).await?;
    c.fill("suite-closed", 3).await?;
    c.post("/suite-closed/_close", Value::Null)
        .await?
        .status(200)?;
    take(
        c,
        "suite-s12",
        json!({"indices": "suite-closed", "include_global_state": false}),
    )
    .await?;
    c.without(&["suite-closed"]).await?;
    restore(c, "suite-s12", json!({"indices": "suite-closed"}))
        .await?
        .status(200)?;
    same("documents", c.count("suite-closed").await?, 3)?;
    prepare(c, &["suite-s12"]).await?;
    c.without(&["suite-closed"]).await
}

async fn a_renamed_restore_has_a_new_uuid_and_the_old_version(c: &Client, p: Product) -> Outcome {
    prepare(c, &["suite-s4"]).await?;
    c.without(&["suite-copy-suite-orig"]).await?;
    c.fresh("suite-orig", json!({})).await?;
    c.fill("suite-orig", 2).await?;
    c.put("/suite-orig/_doc/2?refresh=true", json!({"n": 22}))
        .await?
        .status(200)?;
    take(
        c,
        "suite-s4",
        json!({"indices": "suite-orig", "include_global_state": false}),
    )
    .await?;
    let body = json!({"indices": "suite-orig", "rename_pattern": "(.+)", "rename_replacement": "suite-copy-$1", "include_aliases": false});
    let done = restore(c, "suite-s4", body).await?.status(200)?.body;
    same(
        "indices",
        &done["snapshot"]["indices"],
        &json!(["suite-copy-suite-orig"]),
    )?;
    let flat = |body: Value, index: &str| body[index]["settings"].clone();
    let old = flat(
        c.get("/suite-orig/_settings?flat_settings=true")
            .await?
            .body,
        "suite-orig",
    );
    let new = flat(
        c.get("/suite-copy-suite-orig/_settings?flat_settings=true")
            .await?
            .body,
        "suite-copy-suite-orig",
    );
    expect(
        old["index.uuid"] != new["index.uuid"],
        "the copy has the original's uuid",
    )?;
    same(
        "created version",
        new["index.version.created"].as_str(),
        Some(p.index_version_id(p.version()).to_string().as_str()),
    )?;
    same(
        "creation date",
        &new["index.creation_date"],
        &old["index.creation_date"],
    )?;
    same(
        "provided name",
        &new["index.provided_name"],
        &old["index.provided_name"],
    )?;
    c.until(
        "the copy is searchable",
        "/suite-copy-suite-orig/_count",
        |a| a.body["count"] == 2,
    )
    .await?;
    let document = c
        .get("/suite-copy-suite-orig/_doc/2")
        .await?
        .status(200)?
        .body;
    same(
        "version and sequence number",
        (document["_version"].clone(), document["_seq_no"].clone()),
        (json!(2), json!(2)),
    )?;
    let recovery = c
        .get("/suite-copy-suite-orig/_recovery")
        .await?
        .status(200)?
        .body;
    let shard = &recovery["suite-copy-suite-orig"]["shards"][0];
    same(
        "recovery",
        (shard["type"].as_str(), shard["source"]["snapshot"].as_str()),
        (Some("SNAPSHOT"), Some("suite-s4")),
    )?;
    prepare(c, &["suite-s4"]).await?;
    c.without(&["suite-orig", "suite-copy-suite-orig"]).await
}

async fn a_restore_can_change_settings_and_leave_aliases_out(c: &Client, _: Product) -> Outcome {
    prepare(c, &["suite-s5"]).await?;
    c.fresh(
        "suite-keep",
        json!({"settings": {"index.blocks.write": true}, "aliases": {"suite-keep-alias": {}}}),
    )
    .await?;
    take(
        c,
        "suite-s5",
        json!({"indices": "suite-keep", "include_global_state": false}),
    )
    .await?;
    c.without(&["suite-keep"]).await?;
    let body = json!({
        "indices": "suite-keep", "include_aliases": false,
        "index_settings": {"index.number_of_replicas": 0, "index.hidden": true}, "ignore_index_settings": ["index.blocks.write"],
    });
    restore(c, "suite-s5", body).await?.status(200)?;
    let index = &c
        .get("/suite-keep?flat_settings=true")
        .await?
        .status(200)?
        .body["suite-keep"];
    same("aliases", &index["aliases"], &json!({}))?;
    same("hidden", &index["settings"]["index.hidden"], &json!("true"))?;
    expect(
        index["settings"].get("index.blocks.write").is_none(),
        index.to_string(),
    )?;
    prepare(c, &["suite-s5"]).await?;
    c.without(&["suite-keep"]).await
}

async fn a_restore_brings_aliases_by_default(c: &Client, _: Product) -> Outcome {
    prepare(c, &["suite-s6"]).await?;
    c.without(&["suite-double-copy"]).await?;
    c.fresh(
        "suite-double",
        json!({"aliases": {"suite-double-alias": {}}}),
    )
    .await?;
    take(
        c,
        "suite-s6",
        json!({"indices": "suite-double", "include_global_state": false}),
    )
    .await?;
    let body = json!({"indices": "suite-double", "rename_pattern": "(.+)", "rename_replacement": "$1-copy"});
    restore(c, "suite-s6", body).await?.status(200)?;
    let holders = c.get("/_alias/suite-double-alias").await?.status(200)?.body;
    same(
        "holders",
        holders.as_object().map(serde_json::Map::len),
        Some(2),
    )?;
    prepare(c, &["suite-s6"]).await?;
    c.without(&["suite-double", "suite-double-copy"]).await
}

async fn a_restore_of_what_is_not_there_is_refused(c: &Client, p: Product) -> Outcome {
    prepare(c, &["suite-s7"]).await?;
    c.fresh("suite-here", json!({})).await?;
    take(
        c,
        "suite-s7",
        json!({"indices": "suite-here", "include_global_state": false}),
    )
    .await?;
    restore(c, "suite-s7", json!({"indices": "suite-absent"}))
        .await?
        .refused(
            404,
            "index_not_found_exception",
            "no such index [suite-absent]",
        )?;
    restore(c, "suite-none", json!({"indices": "suite-here"}))
        .await?
        .refused(
            500,
            "snapshot_restore_exception",
            "[suite-repo:suite-none] snapshot does not exist",
        )?;
    restore(c, "suite-s7", json!({"colour": 1}))
        .await?
        .refused(
            400,
            "illegal_argument_exception",
            "Unknown parameter colour",
        )?;
    c.without(&["suite-here"]).await?;
    let stateless = restore(
        c,
        "suite-s7",
        json!({"indices": "suite-here", "include_global_state": true}),
    )
    .await?;
    if p.is_opensearch() {
        // It restores the index and does not mention that there was no global state.
        stateless.status(200)?;
    } else {
        stateless.refused(
            500,
            "snapshot_restore_exception",
            "cannot restore global state since the snapshot was created without global state",
        )?;
    }
    c.without(&["suite-here"]).await?;
    prepare(c, &["suite-s7"]).await
}

async fn a_snapshot_with_a_missing_index_is_refused(c: &Client, _: Product) -> Outcome {
    prepare(c, &["suite-s8"]).await?;
    c.put(
        &format!("{REPOSITORY}/suite-s8"),
        json!({"indices": "suite-absent"}),
    )
    .await?
    .refused(
        404,
        "index_not_found_exception",
        "no such index [suite-absent]",
    )?;
    c.put("/_snapshot/suite-nowhere/s", json!({}))
        .await?
        .refused(
            404,
            "repository_missing_exception",
            "[suite-nowhere] missing",
        )?;
    Ok(())
}

async fn a_restore_with_global_state_replaces_component_templates(
    c: &Client,
    _: Product,
) -> Outcome {
    prepare(c, &["suite-s9"]).await?;
    for name in ["suite-before", "suite-after"] {
        c.delete(&format!("/_component_template/{name}")).await?;
    }
    c.fresh("suite-state", json!({})).await?;
    c.put("/_component_template/suite-before", json!({"template": {}}))
        .await?
        .status(200)?;
    take(
        c,
        "suite-s9",
        json!({"indices": "suite-state", "include_global_state": true}),
    )
    .await?;
    c.delete("/_component_template/suite-before")
        .await?
        .status(200)?;
    c.put("/_component_template/suite-after", json!({"template": {}}))
        .await?
        .status(200)?;
    c.without(&["suite-state"]).await?;
    restore(
        c,
        "suite-s9",
        json!({"indices": "suite-state", "include_global_state": true}),
    )
    .await?
    .status(200)?;
    c.get("/_component_template/suite-before")
        .await?
        .status(200)?;
    c.get("/_component_template/suite-after")
        .await?
        .status(404)?;
    c.delete("/_component_template/suite-before")
        .await?
        .status(200)?;
    prepare(c, &["suite-s9"]).await?;
    c.without(&["suite-state"]).await
}

async fn removing_a_repository_keeps_its_snapshots(c: &Client, _: Product) -> Outcome {
    prepare(c, &["suite-s10"]).await?;
    c.fresh("suite-stay", json!({})).await?;
    take(
        c,
        "suite-s10",
        json!({"indices": "suite-stay", "include_global_state": false}),
    )
    .await?;
    c.delete(REPOSITORY).await?.status(200)?;
    c.get(&format!("{REPOSITORY}/suite-s10")).await?.refused(
        404,
        "repository_missing_exception",
        "[suite-repo] missing",
    )?;
    c.put(
        REPOSITORY,
        json!({"type": "fs", "settings": {"location": "suite", "readonly": true}}),
    )
    .await?
    .status(200)?;
    c.get(&format!("{REPOSITORY}/suite-s10"))
        .await?
        .status(200)?;
    c.put(
        &format!("{REPOSITORY}/suite-s11"),
        json!({"indices": "suite-stay"}),
    )
    .await?
    .status(500)?;
    prepare(c, &["suite-s10"]).await?;
    c.delete(REPOSITORY).await?.status(200)?;
    c.without(&["suite-stay"]).await
}
