//! Documents one by one and in bulk.

use serde_json::{Value, json};

use super::{Client, Outcome, checks, expect, same};
use crate::product::Product;

checks![
    an_unrefreshed_document_is_read_but_not_counted,
    a_create_refuses_an_existing_document,
    compare_and_set_refuses_a_stale_sequence_number,
    sequence_numbers_are_counted_per_shard,
    versions_go_on_after_a_deletion,
    an_update_merges_upserts_and_notices_nothing_to_do,
    a_scripted_update_changes_the_document,
    a_strict_mapping_refuses_an_unknown_field,
    a_value_that_does_not_fit_its_field_is_refused,
    a_write_to_a_missing_index_creates_it_with_a_dynamic_mapping,
    a_bulk_request_reports_each_item,
    missing_documents_are_404,
];

async fn an_unrefreshed_document_is_read_but_not_counted(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-nrt", json!({})).await?;
    let done = c
        .put("/suite-nrt/_doc/1", json!({"n": 1}))
        .await?
        .status(201)?;
    same("result", done.body["result"].as_str(), Some("created"))?;
    c.get("/suite-nrt/_doc/1").await?.status(200)?;
    same("before the refresh", c.count("suite-nrt").await?, 0)?;
    c.get("/suite-nrt/_doc/1?realtime=false")
        .await?
        .status(404)?;
    c.post("/suite-nrt/_refresh", Value::Null)
        .await?
        .status(200)?;
    same("after the refresh", c.count("suite-nrt").await?, 1)?;
    c.delete("/suite-nrt/_doc/1").await?.status(200)?;
    same("deleted but not refreshed", c.count("suite-nrt").await?, 1)?;
    c.without(&["suite-nrt"]).await
}

async fn a_create_refuses_an_existing_document(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-create", json!({})).await?;
    c.put("/suite-create/_create/1", json!({"n": 1}))
        .await?
        .status(201)?;
    c.put("/suite-create/_create/1", json!({"n": 2}))
        .await?
        .refused(
            409,
            "version_conflict_engine_exception",
            "[1]: version conflict, document already exists (current version [1])",
        )?;
    c.put("/suite-create/_doc/1?op_type=create", json!({"n": 2}))
        .await?
        .status(409)?;
    c.without(&["suite-create"]).await
}

async fn compare_and_set_refuses_a_stale_sequence_number(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-cas", json!({})).await?;
    let made = c
        .put("/suite-cas/_doc/1", json!({"n": 1}))
        .await?
        .status(201)?
        .body;
    let (seq_no, term) = (made["_seq_no"].clone(), made["_primary_term"].clone());
    let guard = format!("?if_seq_no={seq_no}&if_primary_term={term}");
    c.put(&format!("/suite-cas/_doc/1{guard}"), json!({"n": 2}))
        .await?
        .status(200)?;
    c.put(&format!("/suite-cas/_doc/1{guard}"), json!({"n": 3}))
        .await?
        .refused(
            409,
            "version_conflict_engine_exception",
            "current document has seqNo [1] and primary term [1]",
        )?;
    c.delete(&format!("/suite-cas/_doc/1{guard}"))
        .await?
        .status(409)?;
    c.post(
        &format!("/suite-cas/_update/1{guard}"),
        json!({"doc": {"n": 3}}),
    )
    .await?
    .status(409)?;
    c.put(
        "/suite-cas/_doc/9?if_seq_no=0&if_primary_term=1",
        json!({"n": 3}),
    )
    .await?
    .refused(
        409,
        "version_conflict_engine_exception",
        "but no document was found",
    )?;
    let kept = c.get("/suite-cas/_doc/1").await?.body;
    same("document", &kept["_source"], &json!({"n": 2}))?;
    c.without(&["suite-cas"]).await
}

async fn sequence_numbers_are_counted_per_shard(c: &Client, _: Product) -> Outcome {
    c.fresh(
        "suite-shards",
        json!({"settings": {"index.number_of_shards": 3}}),
    )
    .await?;
    let mut seen = Vec::new();
    for number in 1..=8 {
        let done = c
            .put(&format!("/suite-shards/_doc/doc-{number}"), json!({}))
            .await?
            .status(201)?;
        seen.push(done.body["_seq_no"].as_u64().unwrap_or(u64::MAX));
    }
    // Where an id goes is a property of both products, so the numbers are the same everywhere.
    same("numbers", seen, vec![0, 0, 1, 0, 2, 1, 3, 2])?;
    c.without(&["suite-shards"]).await
}

async fn versions_go_on_after_a_deletion(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-versions", json!({})).await?;
    c.put("/suite-versions/_doc/1", json!({"n": 1}))
        .await?
        .status(201)?;
    let gone = c.delete("/suite-versions/_doc/1").await?.status(200)?.body;
    same("version of the deletion", &gone["_version"], &json!(2))?;
    let again = c
        .put("/suite-versions/_doc/1", json!({"n": 1}))
        .await?
        .status(201)?
        .body;
    same("version", &again["_version"], &json!(3))?;
    same("sequence number", &again["_seq_no"], &json!(2))?;
    c.without(&["suite-versions"]).await
}

async fn an_update_merges_upserts_and_notices_nothing_to_do(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-update", json!({})).await?;
    c.post("/suite-update/_update/1", json!({"doc": {"a": 1}}))
        .await?
        .refused(404, "document_missing_exception", "[1]: document missing")?;
    c.post(
        "/suite-update/_update/1",
        json!({"doc": {"o": {"a": 1}}, "doc_as_upsert": true}),
    )
    .await?
    .status(201)?;
    let merged = c
        .post(
            "/suite-update/_update/1?refresh=true",
            json!({"doc": {"o": {"b": 2}}}),
        )
        .await?
        .status(200)?
        .body;
    same("result", merged["result"].as_str(), Some("updated"))?;
    let source = c.get("/suite-update/_source/1").await?.body;
    same("source", &source, &json!({"o": {"a": 1, "b": 2}}))?;
    let same_again = c
        .post("/suite-update/_update/1", json!({"doc": {"o": {"b": 2}}}))
        .await?
        .status(200)?
        .body;
    same(
        "result of the same again",
        same_again["result"].as_str(),
        Some("noop"),
    )?;
    same(
        "sequence number",
        &same_again["_seq_no"],
        &merged["_seq_no"],
    )?;
    c.without(&["suite-update"]).await
}

async fn a_scripted_update_changes_the_document(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-script", json!({})).await?;
    c.put(
        "/suite-script/_doc/1",
        json!({"old": 1, "list": [{"a": 1}, {"b": 2}]}),
    )
    .await?
    .status(201)?;
    let script = "ctx._source.remove('old'); if (ctx._source.fresh == null) { ctx._source.fresh = params.value } \
                  for (item in ctx._source.list) { if (item.containsKey('a')) { item['c'] = item.remove('a') } }";
    c.post(
        "/suite-script/_update/1",
        json!({"script": {"lang": "painless", "source": script, "params": {"value": 5}}}),
    )
    .await?
    .status(200)?;
    let source = c.get("/suite-script/_source/1").await?.body;
    same(
        "source",
        &source,
        &json!({"list": [{"c": 1}, {"b": 2}], "fresh": 5}),
    )?;
    let done = c
        .post(
            "/suite-script/_update/1",
            json!({"script": {"source": "ctx.op = 'none'"}}),
        )
        .await?
        .status(200)?
        .body;
    same("result", done["result"].as_str(), Some("noop"))?;
    c.post(
        "/suite-script/_update/1",
        json!({"script": {"source": "ctx._source.n = "}}),
    )
    .await?
    .status(400)?;
    c.without(&["suite-script"]).await
}

async fn a_strict_mapping_refuses_an_unknown_field(c: &Client, _: Product) -> Outcome {
    let mapping = json!({"dynamic": "strict", "properties": {"f": {"type": "keyword"}, "o": {"properties": {"x": {"type": "long"}}}, "free": {"type": "object", "enabled": false}}});
    c.fresh("suite-strict", json!({"mappings": mapping}))
        .await?;
    c.put(
        "/suite-strict/_doc/1",
        json!({"f": "a", "o": {"x": 1}, "free": {"any": [1, {"y": 2}]}}),
    )
    .await?
    .status(201)?;
    c.put("/suite-strict/_doc/2", json!({"g": "a"}))
        .await?
        .refused(
            400,
            "strict_dynamic_mapping_exception",
            "mapping set to strict, dynamic introduction of [g] within [_doc] is not allowed",
        )?;
    c.put("/suite-strict/_doc/2", json!({"o": {"y": 1}}))
        .await?
        .refused(
            400,
            "strict_dynamic_mapping_exception",
            "dynamic introduction of [y] within [o] is not allowed",
        )?;
    c.get("/suite-strict/_doc/2").await?.status(404)?;
    c.without(&["suite-strict"]).await
}

async fn a_value_that_does_not_fit_its_field_is_refused(c: &Client, p: Product) -> Outcome {
    let mapping = json!({"properties": {"n": {"type": "long"}, "o": {"type": "nested", "properties": {"x": {"type": "long"}}}}});
    c.fresh("suite-fit", json!({"mappings": mapping})).await?;
    let kind = if p.is_opensearch() {
        "mapper_parsing_exception"
    } else {
        "document_parsing_exception"
    };
    c.put("/suite-fit/_doc/1", json!({"n": "abc"}))
        .await?
        .refused(400, kind, "failed to parse field [n] of type [long] in document with id '1'. Preview of field's value: 'abc'")?;
    c.put("/suite-fit/_doc/1", json!({"o": "abc"}))
        .await?
        .refused(
            400,
            kind,
            "object mapping for [o] tried to parse field [o] as object, but found a concrete value",
        )?;
    c.put("/suite-fit/_doc/1", json!({"n": "12"}))
        .await?
        .status(201)?;
    c.without(&["suite-fit"]).await
}

async fn a_write_to_a_missing_index_creates_it_with_a_dynamic_mapping(
    c: &Client,
    _: Product,
) -> Outcome {
    c.without(&["suite-auto"]).await?;
    let source = json!({"s": "x", "n": 1, "d": 1.5, "b": true, "t": "2020-01-01T00:00:00.000Z", "o": {"y": [1]}, "nothing": null});
    c.put("/suite-auto/_doc/1", source).await?.status(201)?;
    let shown = c.get("/suite-auto/_mapping").await?.status(200)?.body;
    same(
        "mapping",
        &shown["suite-auto"]["mappings"]["properties"],
        &json!({
            "b": {"type": "boolean"}, "d": {"type": "float"}, "n": {"type": "long"},
            "o": {"properties": {"y": {"type": "long"}}},
            "s": {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}},
            "t": {"type": "date"},
        }),
    )?;
    c.without(&["suite-auto"]).await
}

async fn a_bulk_request_reports_each_item(c: &Client, _: Product) -> Outcome {
    c.fresh(
        "suite-bulk",
        json!({"mappings": {"dynamic": "strict", "properties": {"f": {"type": "keyword"}}}}),
    )
    .await?;
    let lines = [
        r#"{"index":{"_index":"suite-bulk","_id":"1"}}"#,
        r#"{"f":"a"}"#,
        r#"{"create":{"_index":"suite-bulk","_id":"1"}}"#,
        r#"{"f":"b"}"#,
        r#"{"delete":{"_index":"suite-bulk","_id":"99"}}"#,
        r#"{"update":{"_index":"suite-bulk","_id":"98"}}"#,
        r#"{"doc":{"f":"c"}}"#,
        r#"{"index":{"_index":"suite-bulk","_id":"2"}}"#,
        r#"{"unknown":1}"#,
        "",
    ]
    .join("\n");
    let body = c
        .send(
            "POST",
            "/_bulk?refresh=true",
            &[("content-type", "application/x-ndjson")],
            lines,
        )
        .await?
        .status(200)?
        .body;
    same("errors", &body["errors"], &json!(true))?;
    let statuses: Vec<u64> = body["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|i| i.as_object()?.values().next()?["status"].as_u64())
        .collect();
    same("statuses", statuses, vec![201, 409, 404, 404, 400])?;
    same("documents", c.count("suite-bulk").await?, 1)?;
    c.without(&["suite-bulk"]).await
}

async fn missing_documents_are_404(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-missing", json!({})).await?;
    let body = c.get("/suite-missing/_doc/1").await?.status(404)?.body;
    same(
        "body",
        body,
        json!({"_index": "suite-missing", "_id": "1", "found": false}),
    )?;
    let gone = c.delete("/suite-missing/_doc/1").await?.status(404)?.body;
    same("result", gone["result"].as_str(), Some("not_found"))?;
    c.get("/suite-missing/_source/1").await?.refused(
        404,
        "resource_not_found_exception",
        "Document not found [suite-missing]/[1]",
    )?;
    c.get("/suite-absent/_doc/1").await?.refused(
        404,
        "index_not_found_exception",
        "no such index [suite-absent]",
    )?;
    let many = c
        .post("/suite-missing/_mget", json!({"ids": ["1"]}))
        .await?
        .status(200)?
        .body;
    expect(many["docs"][0]["found"] == false, many.to_string())?;
    c.without(&["suite-missing"]).await
}
