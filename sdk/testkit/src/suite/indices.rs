//! Creating, reading, changing, blocking and deleting indices.

use serde_json::{Value, json};

use super::{Client, Outcome, checks, expect, same};
use crate::product::Product;

checks![
    an_index_is_created_once_only,
    illegal_names_are_refused,
    an_unknown_setting_is_refused,
    settings_show_uuid_and_created_version,
    a_static_setting_cannot_change_while_open,
    a_dynamic_setting_changes_and_null_removes_it,
    a_field_type_cannot_change,
    a_field_can_be_added,
    deletion_needs_the_index_and_not_an_alias,
    deletion_by_wildcard_follows_the_products_default,
    hidden_indices_are_left_out_of_wildcards,
    lists_and_exclusions_name_indices,
    a_name_with_percent_and_ampersand_works,
    a_closed_index_is_not_searched,
    a_write_block_refuses_writes_until_lifted,
    the_flood_stage_block_is_429_and_lets_deletion_through,
    read_only_refuses_deletion,
    metadata_under_the_flood_stage_block_differs_by_product,
    cat_indices_counts_nested_objects,
    cat_gives_the_columns_asked_for,
    resolve_names_indices_and_aliases,
    a_flush_is_seen_in_the_last_commit,
    archived_settings_of_an_index_are_removed_by_their_pattern,
];

async fn an_index_is_created_once_only(c: &Client, _: Product) -> Outcome {
    c.without(&["suite-once"]).await?;
    let made = c.put("/suite-once", Value::Null).await?.status(200)?;
    same(
        "body",
        made.body,
        json!({"acknowledged": true, "shards_acknowledged": true, "index": "suite-once"}),
    )?;
    let uuid =
        c.get("/suite-once/_settings").await?.body["suite-once"]["settings"]["index"]["uuid"]
            .clone();
    let again = c.put("/suite-once", json!({})).await?.refused(
        400,
        "resource_already_exists_exception",
        "already exists",
    )?;
    same(
        "uuid in the refusal",
        &again.body["error"]["index_uuid"],
        &uuid,
    )?;
    c.ask("HEAD", "/suite-once", Value::Null)
        .await?
        .status(200)?;
    c.without(&["suite-once"]).await?;
    c.ask("HEAD", "/suite-once", Value::Null)
        .await?
        .status(404)?;
    c.get("/suite-once").await?.refused(
        404,
        "index_not_found_exception",
        "no such index [suite-once]",
    )?;
    Ok(())
}

async fn illegal_names_are_refused(c: &Client, _: Product) -> Outcome {
    for (path, why) in [
        ("/Suite", "must be lowercase"),
        ("/_suite", "must not start with '_', '-', or '+'"),
        ("/suite%23x", "must not contain '#'"),
        ("/suite%3Ax", "must not contain ':'"),
        ("/suite%20x", "must not contain the following characters"),
    ] {
        c.put(path, json!({}))
            .await?
            .refused(400, "invalid_index_name_exception", why)?;
    }
    Ok(())
}

async fn an_unknown_setting_is_refused(c: &Client, p: Product) -> Outcome {
    let kind = if p == Product::OpenSearch3 {
        "settings_exception"
    } else {
        "illegal_argument_exception"
    };
    c.put("/suite-bad", json!({"settings": {"index.suite_typo": 1}}))
        .await?
        .refused(400, kind, "unknown setting [index.suite_typo]")?;
    c.put(
        "/suite-bad",
        json!({"settings": {"number_of_replicas": "many"}}),
    )
    .await?
    .refused(
        400,
        "illegal_argument_exception",
        "Failed to parse value [many] for setting [index.number_of_replicas]",
    )?;
    c.put("/suite-bad", json!({"colour": 1})).await?.refused(
        400,
        "parse_exception",
        "unknown key [colour]",
    )?;
    c.put(
        "/suite-bad",
        json!({"mappings": {"properties": {"f": {"type": "suite"}}}}),
    )
    .await?
    .refused(
        400,
        "mapper_parsing_exception",
        "type [suite] declared on field [f]",
    )?;
    c.ask("HEAD", "/suite-bad", Value::Null)
        .await?
        .status(404)?;
    Ok(())
}

async fn settings_show_uuid_and_created_version(c: &Client, p: Product) -> Outcome {
    c.fresh("suite-settings", json!({})).await?;
    let flat = c
        .get("/suite-settings/_settings?flat_settings=true&human=true")
        .await?
        .status(200)?;
    let settings = &flat.body["suite-settings"]["settings"];
    same(
        "created",
        settings["index.version.created"].as_str(),
        Some(p.index_version_id(p.version()).to_string().as_str()),
    )?;
    same(
        "created as text",
        settings["index.version.created_string"].as_str(),
        Some(p.index_version_string(p.version()).as_str()),
    )?;
    same(
        "provided name",
        settings["index.provided_name"].as_str(),
        Some("suite-settings"),
    )?;
    same(
        "replicas",
        settings["index.number_of_replicas"].as_str(),
        Some("0"),
    )?;
    same(
        "length of the uuid",
        settings["index.uuid"].as_str().map(str::len),
        Some(22),
    )?;
    let one = c
        .get("/suite-settings/_settings/index.version.created")
        .await?
        .status(200)?
        .body;
    expect(
        one["suite-settings"]["settings"]["index"]["version"]["created"].is_string(),
        one.to_string(),
    )?;
    c.without(&["suite-settings"]).await
}

async fn a_static_setting_cannot_change_while_open(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-static", json!({})).await?;
    c.put(
        "/suite-static/_settings",
        json!({"index": {"codec": "best_compression"}}),
    )
    .await?
    .refused(
        400,
        "illegal_argument_exception",
        "Can't update non dynamic settings [[index.codec]] for open indices [[suite-static/",
    )?;
    c.put(
        "/suite-absent/_settings",
        json!({"index": {"number_of_replicas": 0}}),
    )
    .await?
    .refused(
        404,
        "index_not_found_exception",
        "no such index [suite-absent]",
    )?;
    c.without(&["suite-static"]).await
}

async fn a_dynamic_setting_changes_and_null_removes_it(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-dynamic", json!({})).await?;
    let path = "/suite-dynamic/_settings";
    c.put(path, json!({"index": {"max_ngram_diff": 9}}))
        .await?
        .status(200)?;
    let shown = c.get(&format!("{path}?flat_settings=true")).await?.body;
    same(
        "value",
        &shown["suite-dynamic"]["settings"]["index.max_ngram_diff"],
        &json!("9"),
    )?;
    c.put(path, json!({"index.max_ngram_diff": null}))
        .await?
        .status(200)?;
    let shown = c.get(&format!("{path}?flat_settings=true")).await?.body;
    expect(
        shown["suite-dynamic"]["settings"]
            .get("index.max_ngram_diff")
            .is_none(),
        shown.to_string(),
    )?;
    c.without(&["suite-dynamic"]).await
}

async fn a_field_type_cannot_change(c: &Client, _: Product) -> Outcome {
    c.fresh(
        "suite-types",
        json!({"mappings": {"properties": {"f": {"type": "keyword"}}}}),
    )
    .await?;
    c.put(
        "/suite-types/_mapping",
        json!({"properties": {"f": {"type": "text"}}}),
    )
    .await?
    .refused(
        400,
        "illegal_argument_exception",
        "mapper [f] cannot be changed from type [keyword] to [text]",
    )?;
    c.put(
        "/suite-types/_mapping",
        json!({"properties": {"f": {"type": "keyword", "doc_values": false}}}),
    )
    .await?
    .refused(
        400,
        "illegal_argument_exception",
        "Cannot update parameter [doc_values] from [true] to [false]",
    )?;
    c.without(&["suite-types"]).await
}

async fn a_field_can_be_added(c: &Client, _: Product) -> Outcome {
    let mapping = json!({"dynamic": "strict", "properties": {"f": {"type": "keyword"}, "o": {"type": "object", "properties": {"b": {"type": "long"}}}}});
    c.fresh("suite-field", json!({"mappings": mapping})).await?;
    c.put(
        "/suite-field/_mapping",
        json!({"properties": {"o": {"properties": {"a": {"type": "date"}}}}}),
    )
    .await?
    .status(200)?;
    let shown = c.get("/suite-field/_mapping").await?.body;
    same(
        "mapping",
        &shown["suite-field"]["mappings"],
        &json!({"dynamic": "strict", "properties": {"f": {"type": "keyword"}, "o": {"properties": {"a": {"type": "date"}, "b": {"type": "long"}}}}}),
    )?;
    c.without(&["suite-field"]).await
}

async fn deletion_needs_the_index_and_not_an_alias(c: &Client, _: Product) -> Outcome {
    c.fresh(
        "suite-doomed",
        json!({"aliases": {"suite-doomed-alias": {}}}),
    )
    .await?;
    c.delete("/suite-doomed-alias").await?.refused(
        400,
        "illegal_argument_exception",
        "The provided expression [suite-doomed-alias] matches an alias, specify the corresponding concrete indices instead.",
    )?;
    c.delete("/suite-doomed").await?.status(200)?;
    c.delete("/suite-doomed").await?.refused(
        404,
        "index_not_found_exception",
        "no such index [suite-doomed]",
    )?;
    Ok(())
}

async fn deletion_by_wildcard_follows_the_products_default(c: &Client, p: Product) -> Outcome {
    c.fresh("suite-wild-1", json!({})).await?;
    let answer = c.delete("/suite-wild-*").await?;
    if p.is_opensearch() {
        answer.status(200)?;
        c.ask("HEAD", "/suite-wild-1", Value::Null)
            .await?
            .status(404)?;
    } else {
        answer.refused(
            400,
            "illegal_argument_exception",
            "Wildcard expressions or all indices are not allowed",
        )?;
        c.ask("HEAD", "/suite-wild-1", Value::Null)
            .await?
            .status(200)?;
    }
    c.without(&["suite-wild-1"]).await
}

async fn hidden_indices_are_left_out_of_wildcards(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-hide-open", json!({})).await?;
    c.fresh(
        "suite-hide-hidden",
        json!({"settings": {"index.hidden": true}}),
    )
    .await?;
    let plain = c.get("/suite-hide-*/_settings").await?.status(200)?.body;
    same(
        "by wildcard",
        plain
            .as_object()
            .map(|m| m.keys().cloned().collect::<Vec<_>>()),
        Some(vec!["suite-hide-open".to_owned()]),
    )?;
    let all = c
        .get("/suite-hide-*/_settings?expand_wildcards=all")
        .await?
        .status(200)?
        .body;
    same(
        "with all",
        all.as_object().map(serde_json::Map::len),
        Some(2),
    )?;
    c.get("/suite-hide-hidden/_settings").await?.status(200)?;
    let rows = c
        .get("/_cat/indices/suite-hide-*?format=json&expand_wildcards=all&h=index")
        .await?
        .status(200)?
        .body;
    same("rows of cat", rows.as_array().map(Vec::len), Some(2))?;
    c.without(&["suite-hide-open", "suite-hide-hidden"]).await
}

async fn lists_and_exclusions_name_indices(c: &Client, _: Product) -> Outcome {
    for name in ["suite-list-a", "suite-list-b"] {
        c.fresh(name, json!({})).await?;
    }
    let body = c
        .get("/suite-list-*,-suite-list-a/_settings")
        .await?
        .status(200)?
        .body;
    same(
        "with an exclusion",
        body.as_object()
            .map(|m| m.keys().cloned().collect::<Vec<_>>()),
        Some(vec!["suite-list-b".to_owned()]),
    )?;
    c.get("/suite-list-a,suite-absent/_settings")
        .await?
        .status(404)?;
    let body = c
        .get("/suite-list-a,suite-absent/_settings?ignore_unavailable=true")
        .await?
        .status(200)?
        .body;
    same(
        "with a missing one ignored",
        body.as_object().map(serde_json::Map::len),
        Some(1),
    )?;
    c.get("/suite-none-*/_count").await?.status(200)?;
    c.get("/suite-none-*/_count?allow_no_indices=false")
        .await?
        .status(404)?;
    c.without(&["suite-list-a", "suite-list-b"]).await
}

async fn a_name_with_percent_and_ampersand_works(c: &Client, _: Product) -> Outcome {
    for (path, name) in [
        ("%25suite.users", "%suite.users"),
        ("%26suite.data", "&suite.data"),
        ("%40suite", "@suite"),
    ] {
        c.fresh(path, json!({})).await?;
        c.put(&format!("/{path}/_doc/a%5Bb%5D%2Fc"), json!({"x": 1}))
            .await?
            .status(201)?;
        let found = c
            .get(&format!("/{path}/_doc/a%5Bb%5D%2Fc"))
            .await?
            .status(200)?
            .body;
        same("id", found["_id"].as_str(), Some("a[b]/c"))?;
        same("index", found["_index"].as_str(), Some(name))?;
        c.without(&[path]).await?;
    }
    Ok(())
}

async fn a_closed_index_is_not_searched(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-closed", json!({})).await?;
    c.fill("suite-closed", 1).await?;
    c.post("/suite-closed/_close", Value::Null)
        .await?
        .status(200)?;
    c.get("/suite-closed/_count")
        .await?
        .refused(400, "index_closed_exception", "closed")?;
    c.put("/suite-closed/_doc/2", json!({"n": 2}))
        .await?
        .refused(400, "index_closed_exception", "closed")?;
    let row = c
        .get("/_cat/indices/suite-closed?format=json&expand_wildcards=all&h=status")
        .await?
        .status(200)?
        .body;
    same("status", row[0]["status"].as_str(), Some("close"))?;
    c.post("/suite-closed/_open", Value::Null)
        .await?
        .status(200)?;
    c.until(
        "the index is searchable again",
        "/suite-closed/_count",
        |a| a.body["count"] == 1,
    )
    .await?;
    c.without(&["suite-closed"]).await
}

async fn a_write_block_refuses_writes_until_lifted(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-block", json!({})).await?;
    let done = c
        .put("/suite-block/_block/write", Value::Null)
        .await?
        .status(200)?
        .body;
    same(
        "answer",
        &done["indices"],
        &json!([{"name": "suite-block", "blocked": true}]),
    )?;
    c.put("/suite-block/_doc/1", json!({"n": 1}))
        .await?
        .refused(
            403,
            "cluster_block_exception",
            "index [suite-block] blocked by: [FORBIDDEN/8/index write (api)];",
        )?;
    c.put(
        "/suite-block/_settings",
        json!({"index.blocks.write": null}),
    )
    .await?
    .status(200)?;
    c.put("/suite-block/_doc/1", json!({"n": 1}))
        .await?
        .status(201)?;
    c.without(&["suite-block"]).await
}

async fn the_flood_stage_block_is_429_and_lets_deletion_through(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-flood", json!({})).await?;
    c.put(
        "/suite-flood/_settings",
        json!({"index.blocks.read_only_allow_delete": true}),
    )
    .await?
    .status(200)?;
    c.put("/suite-flood/_doc/1", json!({"n": 1}))
        .await?
        .refused(
            429,
            "cluster_block_exception",
            "TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark",
        )?;
    c.delete("/suite-flood").await?.status(200)?;
    Ok(())
}

async fn read_only_refuses_deletion(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-readonly", json!({})).await?;
    c.put(
        "/suite-readonly/_settings",
        json!({"index.blocks.read_only": true}),
    )
    .await?
    .status(200)?;
    c.delete("/suite-readonly").await?.refused(
        403,
        "cluster_block_exception",
        "FORBIDDEN/5/index read-only (api)",
    )?;
    c.put(
        "/suite-readonly/_mapping",
        json!({"properties": {"x": {"type": "long"}}}),
    )
    .await?
    .refused(
        403,
        "cluster_block_exception",
        "FORBIDDEN/5/index read-only (api)",
    )?;
    c.put(
        "/suite-readonly/_settings",
        json!({"index.blocks.read_only": null}),
    )
    .await?
    .status(200)?;
    c.without(&["suite-readonly"]).await
}

async fn metadata_under_the_flood_stage_block_differs_by_product(
    c: &Client,
    p: Product,
) -> Outcome {
    c.fresh("suite-flood-meta", json!({})).await?;
    c.put(
        "/suite-flood-meta/_settings",
        json!({"index.blocks.read_only_allow_delete": true}),
    )
    .await?
    .status(200)?;
    let wanted = if p.is_opensearch() { 429 } else { 200 };
    c.put(
        "/suite-flood-meta/_mapping",
        json!({"properties": {"x": {"type": "long"}}}),
    )
    .await?
    .status(wanted)?;
    c.put(
        "/suite-flood-meta/_settings",
        json!({"index.max_ngram_diff": 3}),
    )
    .await?
    .status(wanted)?;
    c.put(
        "/suite-flood-meta/_settings",
        json!({"index.blocks.read_only_allow_delete": null}),
    )
    .await?
    .status(200)?;
    c.without(&["suite-flood-meta"]).await
}

async fn cat_indices_counts_nested_objects(c: &Client, _: Product) -> Outcome {
    let mapping =
        json!({"properties": {"v": {"type": "nested", "properties": {"x": {"type": "keyword"}}}}});
    c.fresh("suite-nested", json!({"mappings": mapping}))
        .await?;
    c.put(
        "/suite-nested/_doc/1?refresh=true",
        json!({"v": [{"x": "a"}, {"x": "b"}, {"x": "c"}]}),
    )
    .await?
    .status(201)?;
    same("documents", c.count("suite-nested").await?, 1)?;
    c.until(
        "cat shows four",
        "/_cat/indices/suite-nested?format=json&h=docs.count",
        |a| a.body[0]["docs.count"] == "4",
    )
    .await?;
    c.without(&["suite-nested"]).await
}

async fn cat_gives_the_columns_asked_for(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-cat", json!({})).await?;
    let rows = c
        .get("/_cat/indices/suite-cat?format=json&h=index,uuid,pri,rep,health,status")
        .await?
        .status(200)?
        .body;
    let row = rows[0].as_object().cloned().unwrap_or_default();
    same(
        "columns",
        row.keys().map(String::as_str).collect::<Vec<_>>(),
        vec!["index", "uuid", "pri", "rep", "health", "status"],
    )?;
    same("replicas are text", row.get("rep"), Some(&json!("0")))?;
    let shards = c
        .get("/_cat/shards/suite-cat?format=json&h=index,shard,prirep,state,node")
        .await?
        .status(200)?
        .body;
    same("shard", shards[0]["prirep"].as_str(), Some("p"))?;
    let disks = c
        .get("/_cat/allocation?format=json&bytes=b&h=node,disk.avail,disk.total")
        .await?
        .status(200)?
        .body;
    expect(
        disks[0]["disk.total"]
            .as_str()
            .is_some_and(|t| t.parse::<u64>().is_ok()),
        disks.to_string(),
    )?;
    c.get("/_cat/indices/suite-absent?format=json")
        .await?
        .status(404)?;
    c.without(&["suite-cat"]).await
}

async fn resolve_names_indices_and_aliases(c: &Client, _: Product) -> Outcome {
    c.fresh(
        "suite-resolve",
        json!({"aliases": {"suite-resolve-alias": {}}}),
    )
    .await?;
    let body = c
        .get("/_resolve/index/suite-resolve*")
        .await?
        .status(200)?
        .body;
    same(
        "indices",
        &body["indices"][0]["name"],
        &json!("suite-resolve"),
    )?;
    same(
        "aliases",
        &body["aliases"],
        &json!([{"name": "suite-resolve-alias", "indices": ["suite-resolve"]}]),
    )?;
    c.without(&["suite-resolve"]).await
}

async fn a_flush_is_seen_in_the_last_commit(c: &Client, _: Product) -> Outcome {
    c.without(&["suite-flush"]).await?;
    let made = json!({"settings": {"number_of_shards": 1, "number_of_replicas": 0}});
    c.put("/suite-flush", made).await?.status(200)?;
    for id in 1..=3 {
        let path = format!("/suite-flush/_doc/{id}");
        c.put(&path, json!({"n": id})).await?.status(201)?;
    }
    let shard = async || -> Result<Value, super::SuiteError> {
        let stats = c
            .get("/suite-flush/_stats/docs?level=shards")
            .await?
            .status(200)?;
        Ok(stats.body["indices"]["suite-flush"]["shards"]["0"][0].clone())
    };
    let before = shard().await?;
    same("given", &before["seq_no"]["max_seq_no"], &json!(2))?;
    let committed = "/commit/user_data/max_seq_no";
    same("committed", before.pointer(committed), Some(&json!("-1")))?;
    let flushed = c
        .ask(
            "POST",
            "/suite-flush/_flush?ignore_unavailable=true&wait_if_ongoing=true",
            Value::Null,
        )
        .await?
        .status(200)?;
    same("failed", &flushed.body["_shards"]["failed"], &json!(0))?;
    let after = shard().await?;
    same("state", &after["routing"]["state"], &json!("STARTED"))?;
    same("committed", after.pointer(committed), Some(&json!("2")))?;
    c.without(&["suite-flush"]).await
}

async fn archived_settings_of_an_index_are_removed_by_their_pattern(
    c: &Client,
    p: Product,
) -> Outcome {
    c.without(&["suite-archived"]).await?;
    c.put("/suite-archived", Value::Null).await?.status(200)?;
    // There are none, which is no error.
    let all = json!({"archived.*": null});
    if p.is_opensearch() {
        c.put("/suite-archived/_settings", all.clone())
            .await?
            .refused(400, "illegal_argument_exception", "non dynamic settings")?;
        c.ask("POST", "/suite-archived/_close", Value::Null)
            .await?
            .status(200)?;
    }
    c.put("/suite-archived/_settings", all).await?.status(200)?;
    // By its own name none can be removed; OpenSearch takes such a name for an index that is closed.
    if !p.is_opensearch() {
        let one = json!({"archived.index.gone": null});
        let refused = c.put("/suite-archived/_settings", one).await?;
        expect(refused.status == 400, format!("{p:?}: {}", refused.body))?;
    }
    c.without(&["suite-archived"]).await
}
