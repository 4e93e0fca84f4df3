//! Reindex and the by-query operations, at once and as server tasks.

use serde_json::{Value, json};

use super::{Client, Outcome, SuiteError, checks, expect, same};
use crate::product::Product;

checks![
    a_reindex_copies_what_is_refreshed_and_keeps_ids,
    a_reindex_runs_its_script,
    a_reindex_into_itself_or_from_nowhere_is_refused,
    a_reindex_that_only_creates_reports_conflicts,
    a_reindex_creates_a_missing_destination,
    a_running_reindex_is_described_and_can_be_cancelled,
    a_scripted_reindex_is_described_with_its_script,
    deleting_the_destination_of_a_running_reindex_does_not_stop_it,
    a_finished_task_is_kept_with_its_token,
    an_unknown_task_is_404,
    an_update_by_query_changes_what_it_selects,
    a_delete_by_query_needs_a_query,
];

const MAPPING: &str = r#"{"dynamic":"strict","properties":{"n":{"type":"long"},"k":{"type":"keyword"},"x":{"type":"keyword"}}}"#;

fn mapped() -> Value {
    json!({"mappings": serde_json::from_str::<Value>(MAPPING).unwrap_or_default()})
}

async fn pair(c: &Client, source: &str, destination: &str, documents: u64) -> Outcome {
    c.fresh(source, mapped()).await?;
    c.fresh(destination, mapped()).await?;
    c.fill(source, documents).await
}

async fn a_reindex_copies_what_is_refreshed_and_keeps_ids(c: &Client, _: Product) -> Outcome {
    pair(c, "suite-re-a", "suite-re-b", 3).await?;
    c.put("/suite-re-a/_doc/late", json!({"n": 9}))
        .await?
        .status(201)?;
    let body = json!({"source": {"index": "suite-re-a"}, "dest": {"index": "suite-re-b"}});
    let done = c
        .post("/_reindex?refresh=true", body)
        .await?
        .status(200)?
        .body;
    same("total", &done["total"], &json!(3))?;
    same("created", &done["created"], &json!(3))?;
    same("failures", &done["failures"], &json!([]))?;
    c.get("/suite-re-b/_doc/2").await?.status(200)?;
    c.get("/suite-re-b/_doc/late").await?.status(404)?;
    same("refreshed", c.count("suite-re-b").await?, 3)?;
    c.without(&["suite-re-a", "suite-re-b"]).await
}

async fn a_reindex_runs_its_script(c: &Client, _: Product) -> Outcome {
    pair(c, "suite-res-a", "suite-res-b", 3).await?;
    let body = json!({
        "source": {"index": "suite-res-a", "query": {"range": {"n": {"gte": 2}}}}, "dest": {"index": "suite-res-b"},
        "script": {"source": "if (ctx._source.n == 3) { ctx.op = 'noop' } else { ctx._source.x = params.v; ctx._source.remove('k') }", "params": {"v": "y"}},
    });
    let done = c
        .post("/_reindex?refresh=true", body)
        .await?
        .status(200)?
        .body;
    same(
        "counts",
        (done["created"].clone(), done["noops"].clone()),
        (json!(1), json!(1)),
    )?;
    same(
        "source",
        c.get("/suite-res-b/_source/2").await?.body,
        json!({"n": 2, "x": "y"}),
    )?;
    c.without(&["suite-res-a", "suite-res-b"]).await
}

async fn a_reindex_into_itself_or_from_nowhere_is_refused(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-self", mapped()).await?;
    c.post(
        "/_reindex",
        json!({"source": {"index": "suite-self"}, "dest": {"index": "suite-self"}}),
    )
    .await?
    .refused(
        400,
        "action_request_validation_exception",
        "reindex cannot write into an index its reading from [suite-self]",
    )?;
    c.post(
        "/_reindex",
        json!({"source": {"index": "suite-absent"}, "dest": {"index": "suite-self"}}),
    )
    .await?
    .refused(
        404,
        "index_not_found_exception",
        "no such index [suite-absent]",
    )?;
    c.without(&["suite-self"]).await
}

async fn a_reindex_that_only_creates_reports_conflicts(c: &Client, _: Product) -> Outcome {
    pair(c, "suite-rec-a", "suite-rec-b", 3).await?;
    c.put("/suite-rec-b/_doc/2?refresh=true", json!({"n": 99}))
        .await?
        .status(201)?;
    let body = |conflicts: &str| json!({"conflicts": conflicts, "source": {"index": "suite-rec-a"}, "dest": {"index": "suite-rec-b", "op_type": "create"}});
    let refused = c.post("/_reindex", body("abort")).await?.status(409)?.body;
    same("conflicts", &refused["version_conflicts"], &json!(1))?;
    same(
        "cause",
        refused["failures"][0]["cause"]["type"].as_str(),
        Some("version_conflict_engine_exception"),
    )?;
    let done = c
        .post("/_reindex?refresh=true", body("proceed"))
        .await?
        .status(200)?
        .body;
    same("failures", &done["failures"], &json!([]))?;
    same(
        "kept",
        c.get("/suite-rec-b/_source/2").await?.body,
        json!({"n": 99}),
    )?;
    // The refresh covers what this run wrote, and it wrote nothing.
    same("documents seen", c.count("suite-rec-b").await?, 1)?;
    c.post("/suite-rec-b/_refresh", Value::Null)
        .await?
        .status(200)?;
    same("documents", c.count("suite-rec-b").await?, 3)?;
    c.without(&["suite-rec-a", "suite-rec-b"]).await
}

async fn a_reindex_creates_a_missing_destination(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-rem-a", mapped()).await?;
    c.fill("suite-rem-a", 1).await?;
    c.without(&["suite-rem-b"]).await?;
    c.post(
        "/_reindex",
        json!({"source": {"index": "suite-rem-a"}, "dest": {"index": "suite-rem-b"}}),
    )
    .await?
    .status(200)?;
    let shown = c.get("/suite-rem-b/_mapping").await?.status(200)?.body;
    same(
        "mapping",
        &shown["suite-rem-b"]["mappings"]["properties"]["k"]["type"],
        &json!("text"),
    )?;
    c.without(&["suite-rem-a", "suite-rem-b"]).await
}

/// Starts a reindex that the throttle keeps running, with a token.
async fn begin(c: &Client, body: Value, token: &str) -> Result<String, SuiteError> {
    let path = "/_reindex?wait_for_completion=false&requests_per_second=1";
    let headers = [("content-type", "application/json"), ("x-opaque-id", token)];
    let answer = c
        .send("POST", path, &headers, body.to_string())
        .await?
        .status(200)?;
    answer.body["task"]
        .as_str()
        .map(ToOwned::to_owned)
        .ok_or_else(|| SuiteError::Unexpected(format!("no task in {}", answer.body)))
}

async fn cancel(c: &Client, task: &str) -> Result<Value, SuiteError> {
    c.post(&format!("/_tasks/{task}/_cancel"), Value::Null)
        .await?
        .status(200)?;
    let path = format!("/_tasks/{task}");
    Ok(
        c.until("the task ends", &path, |a| a.body["completed"] == true)
            .await?
            .body,
    )
}

/// The one task of this action that bears `token`, found on whichever node it runs.
async fn listed(c: &Client, token: &str) -> Result<Value, SuiteError> {
    let all = c
        .get("/_tasks?actions=*reindex&detailed=true")
        .await?
        .status(200)?
        .body;
    all["nodes"]
        .as_object()
        .into_iter()
        .flat_map(|n| n.values())
        .flat_map(|n| n["tasks"].as_object().into_iter().flat_map(|t| t.values()))
        .find(|t| t["headers"]["X-Opaque-Id"] == token)
        .cloned()
        .ok_or_else(|| SuiteError::Unexpected(format!("no task with the token in {all}")))
}

async fn a_running_reindex_is_described_and_can_be_cancelled(c: &Client, _: Product) -> Outcome {
    pair(c, "suite-run-a", "suite-run-b", 60).await?;
    let body =
        json!({"source": {"index": "suite-run-a", "size": 1}, "dest": {"index": "suite-run-b"}});
    let task = begin(c, body, "suite-run").await?;
    let shown = listed(c, "suite-run").await?;
    same(
        "description",
        shown["description"].as_str(),
        Some("reindex from [suite-run-a] to [suite-run-b]"),
    )?;
    same(
        "action",
        shown["action"].as_str(),
        Some("indices:data/write/reindex"),
    )?;
    c.until("the total is known", &format!("/_tasks/{task}"), |a| {
        a.body["task"]["status"]["total"] == 60
    })
    .await?;
    let one = c.get(&format!("/_tasks/{task}")).await?.status(200)?.body;
    same("completed", &one["completed"], &json!(false))?;
    let ended = cancel(c, &task).await?;
    // Between two batches it ends by itself; in the middle of one the part that runs fails with the cancellation.
    let by_itself = ended["response"]["canceled"] == "by user request";
    let in_a_batch = ended["error"]
        .to_string()
        .contains("task_cancelled_exception");
    expect(
        by_itself || in_a_batch,
        format!("it was cancelled and ended otherwise: {ended}"),
    )?;
    c.post("/suite-run-b/_refresh", Value::Null)
        .await?
        .status(200)?;
    expect(
        c.count("suite-run-b").await? < 60,
        "a cancelled reindex copied everything",
    )?;
    c.without(&["suite-run-a", "suite-run-b"]).await
}

async fn a_scripted_reindex_is_described_with_its_script(c: &Client, _: Product) -> Outcome {
    pair(c, "suite-say-a", "suite-say-b", 60).await?;
    let body = json!({
        "source": {"index": "suite-say-a", "size": 1}, "dest": {"index": "suite-say-b"},
        "script": {"lang": "painless", "source": "ctx._source.remove('k')", "params": {"a": "b"}},
    });
    let task = begin(c, body, "suite-say").await?;
    let shown = listed(c, "suite-say").await?;
    same(
        "description",
        shown["description"].as_str(),
        Some(
            "reindex from [suite-say-a] updated with Script{type=inline, lang='painless', idOrCode='ctx._source.remove('k')', options={}, params={a=b}} to [suite-say-b]",
        ),
    )?;
    cancel(c, &task).await?;
    c.without(&["suite-say-a", "suite-say-b"]).await
}

async fn deleting_the_destination_of_a_running_reindex_does_not_stop_it(
    c: &Client,
    _: Product,
) -> Outcome {
    pair(c, "suite-del-a", "suite-del-b", 60).await?;
    let body =
        json!({"source": {"index": "suite-del-a", "size": 1}, "dest": {"index": "suite-del-b"}});
    let task = begin(c, body, "suite-del").await?;
    c.delete("/suite-del-b").await?.status(200)?;
    let back = c.until("the destination is back", "/suite-del-b/_mapping", |a| {
        a.body["suite-del-b"]["mappings"]["properties"].is_object()
    });
    let mapping = back.await?.body;
    same(
        "mapping is dynamic now",
        &mapping["suite-del-b"]["mappings"]["properties"]["k"]["type"],
        &json!("text"),
    )?;
    cancel(c, &task).await?;
    c.without(&["suite-del-a", "suite-del-b"]).await
}

async fn a_finished_task_is_kept_with_its_token(c: &Client, p: Product) -> Outcome {
    pair(c, "suite-kept-a", "suite-kept-b", 3).await?;
    let body = json!({"source": {"index": "suite-kept-a"}, "dest": {"index": "suite-kept-b"}});
    let headers = [
        ("content-type", "application/json"),
        ("x-opaque-id", "suite-kept"),
    ];
    let answer = c
        .send(
            "POST",
            "/_reindex?wait_for_completion=false",
            &headers,
            body.to_string(),
        )
        .await?
        .status(200)?;
    let task = answer.body["task"].as_str().unwrap_or_default().to_owned();
    let path = format!("/_tasks/{task}");
    let done = c
        .until("the task ends", &path, |a| a.body["completed"] == true)
        .await?
        .body;
    same(
        "token",
        done["task"]["headers"]["X-Opaque-Id"].as_str(),
        Some("suite-kept"),
    )?;
    same("created", &done["response"]["created"], &json!(3))?;
    let kept = c
        .get(&format!("/.tasks/_doc/{task}"))
        .await?
        .status(200)?
        .body;
    same("record", &kept["_source"]["completed"], &json!(true))?;
    let index = c
        .get("/_cat/indices/.tasks?format=json&expand_wildcards=all&h=index")
        .await?
        .status(200)?
        .body;
    same("index", index[0]["index"].as_str(), Some(".tasks"))?;
    let plain = c
        .get("/_cat/indices?format=json&h=index")
        .await?
        .status(200)?
        .body;
    let shown = plain
        .as_array()
        .is_some_and(|rows| rows.iter().any(|r| r["index"] == ".tasks"));
    same(
        "shown without asking for hidden ones",
        shown,
        p.is_opensearch(),
    )?;
    c.without(&["suite-kept-a", "suite-kept-b"]).await
}

async fn an_unknown_task_is_404(c: &Client, _: Product) -> Outcome {
    c.get("/_tasks/nowhere:7").await?.refused(
        404,
        "resource_not_found_exception",
        "task [nowhere:7] belongs to the node [nowhere] which isn't part of the cluster and there is no record of the task",
    )?;
    c.get("/_tasks/nonsense").await?.refused(
        400,
        "illegal_argument_exception",
        "malformed task id nonsense",
    )?;
    let body = c
        .post("/_tasks/nowhere:7/_cancel", Value::Null)
        .await?
        .status(200)?
        .body;
    same(
        "failure",
        body["node_failures"][0]["type"].as_str(),
        Some("failed_node_exception"),
    )
}

async fn an_update_by_query_changes_what_it_selects(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-ubq", mapped()).await?;
    c.fill("suite-ubq", 4).await?;
    let body = json!({"query": {"range": {"n": {"gt": 2}}}, "script": {"source": "ctx._source.x = 'seen'"}});
    let done = c
        .post("/suite-ubq/_update_by_query?refresh=true", body)
        .await?
        .status(200)?
        .body;
    same(
        "counts",
        (done["total"].clone(), done["updated"].clone()),
        (json!(2), json!(2)),
    )?;
    let found = c
        .post(
            "/suite-ubq/_count",
            json!({"query": {"term": {"x": "seen"}}}),
        )
        .await?
        .body;
    same("changed", &found["count"], &json!(2))?;
    c.without(&["suite-ubq"]).await
}

async fn a_delete_by_query_needs_a_query(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-dbq", mapped()).await?;
    c.fill("suite-dbq", 4).await?;
    c.post("/suite-dbq/_delete_by_query", json!({}))
        .await?
        .refused(
            400,
            "action_request_validation_exception",
            "query is missing",
        )?;
    let body = json!({"query": {"term": {"k": "k1"}}});
    let done = c
        .post("/suite-dbq/_delete_by_query?refresh=true", body)
        .await?
        .status(200)?
        .body;
    same("deleted", &done["deleted"], &json!(1))?;
    same("left", c.count("suite-dbq").await?, 3)?;
    c.without(&["suite-dbq"]).await
}
