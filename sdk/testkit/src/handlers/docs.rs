//! Single documents and bulk requests.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::http::Reply;
use crate::index::{Access, Condition, Doc, Written};
use crate::names;
use crate::router::{Ctx, Only, Route, route, route_of};
use crate::script::Script;
use crate::search::source_of;
use crate::state::State;

pub(crate) const ROUTES: &[Route] = &[
    route("PUT POST", "/{index}/_doc/{id}", WRITE, put),
    route("POST", "/{index}/_doc", WRITE, post),
    route("PUT POST", "/{index}/_create/{id}", WRITE, create),
    route("GET HEAD", "/{index}/_doc/{id}", READ, get),
    route("GET HEAD", "/{index}/_source/{id}", READ, get_source),
    route("DELETE", "/{index}/_doc/{id}", WRITE, delete),
    route("POST", "/{index}/_update/{id}", UPDATE, update),
    route("PUT POST", "/_bulk", BULK, bulk),
    route("PUT POST", "/{index}/_bulk", BULK, bulk),
    route_of(Only::Both, "GET POST", "/_mget", READ, mget),
    route_of(Only::Both, "GET POST", "/{index}/_mget", READ, mget),
];

const WRITE: &str = "refresh routing timeout version version_type if_seq_no if_primary_term op_type pipeline \
wait_for_active_shards require_alias";
const UPDATE: &str = "refresh routing timeout if_seq_no if_primary_term wait_for_active_shards require_alias \
retry_on_conflict _source _source_includes _source_excludes lang";
const READ: &str = "refresh routing realtime preference stored_fields version version_type _source _source_includes \
_source_excludes";
const BULK: &str = "refresh routing timeout wait_for_active_shards pipeline require_alias _source _source_includes \
_source_excludes";

fn condition(ctx: &Ctx<'_>, create_only: bool) -> Result<Condition, ApiError> {
    let seq_no = match (
        ctx.request.number("if_seq_no")?,
        ctx.request.number("if_primary_term")?,
    ) {
        (Some(seq_no), Some(term)) => Some((seq_no, term)),
        (None, None) => None,
        (Some(_), None) => {
            return Err(ApiError::validation(
                "ifSeqNo is set, but primary term is [0]",
            ));
        }
        (None, Some(term)) => {
            return Err(ApiError::validation(format!(
                "ifSeqNo is unassigned, but primary term is [{term}]"
            )));
        }
    };
    Ok(Condition {
        create_only,
        seq_no,
    })
}

/// Refreshes as the request asks; true when the answer says `forced_refresh`.
fn refresh(ctx: &mut Ctx<'_>, index: &str) -> bool {
    let mode = ctx.request.param("refresh").map(ToOwned::to_owned);
    let asked = matches!(mode.as_deref(), Some("" | "true" | "wait_for"));
    if asked {
        let now = ctx.state.now_ms();
        if let Some(entry) = ctx.state.indices.get_mut(index) {
            entry.refresh(now);
        }
    }
    matches!(mode.as_deref(), Some("" | "true"))
}

/// `_shards` of a write: copies in all, copies that took it.
fn write_shards(state: &State, index: &str) -> Value {
    let Some(entry) = state.indices.get(index) else {
        return json!({"total": 0, "successful": 0, "failed": 0});
    };
    let copies = state.shard_copies(entry);
    let first: Vec<_> = copies.iter().filter(|c| c.shard == 0).collect();
    let up = first.iter().filter(|c| c.node.is_some()).count();
    json!({"total": first.len(), "successful": up, "failed": 0})
}

fn written(
    state: &State,
    index: &str,
    id: &str,
    done: &Written,
    result: &str,
    forced: bool,
) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("_index".to_owned(), json!(index));
    map.insert("_id".to_owned(), json!(id));
    map.insert("_version".to_owned(), json!(done.version));
    map.insert("result".to_owned(), json!(result));
    if forced {
        map.insert("forced_refresh".to_owned(), json!(true));
    }
    let shards = if result == "noop" {
        json!({"total": 0, "successful": 0, "failed": 0})
    } else {
        write_shards(state, index)
    };
    map.insert("_shards".to_owned(), shards);
    map.insert("_seq_no".to_owned(), json!(done.seq_no));
    map.insert("_primary_term".to_owned(), json!(done.primary_term));
    map
}

fn store(ctx: &mut Ctx<'_>, id: &str, create_only: bool) -> Result<Reply, ApiError> {
    let source = Value::Object(ctx.request.required_object().map_err(|e| {
        if ctx.request.body.is_empty() && !ctx.state.product.is_opensearch() {
            ApiError::validation("source is missing")
        } else {
            e
        }
    })?);
    let create_only = match ctx.request.param("op_type") {
        None | Some("index") => create_only,
        Some("create") => true,
        Some(other) => {
            return Err(ApiError::illegal(format!(
                "opType must be 'create' or 'index', found: [{other}]"
            )));
        }
    };
    check_write_params(ctx)?;
    let condition = condition(ctx, create_only)?;
    let name = ctx.var("index").to_owned();
    require_alias(ctx, &name)?;
    let index = ctx.state.index_or_create(&name)?;
    let routing = ctx.request.param("routing").map(ToOwned::to_owned);
    let done = ctx
        .state
        .write_doc(&index, id, routing.as_deref(), source, condition)?;
    let forced = refresh(ctx, &index);
    let result = if done.created { "created" } else { "updated" };
    let body = written(ctx.state, &index, id, &done, result, forced);
    Ok(Reply::json(
        if done.created { 201 } else { 200 },
        Value::Object(body),
    ))
}

/// Refuses parameters of a write that no server takes.
fn check_write_params(ctx: &Ctx<'_>) -> Result<(), ApiError> {
    if let Some(mode) = ctx.request.param("refresh")
        && !["", "true", "false", "wait_for"].contains(&mode)
    {
        return Err(ApiError::illegal(format!(
            "Unknown value for refresh: [{mode}]."
        )));
    }
    let internal = ctx
        .request
        .param("version_type")
        .is_none_or(|t| t == "internal");
    if ctx.request.param("version").is_some() && internal {
        return Err(ApiError::validation(
            "internal versioning can not be used for optimistic concurrency control. \
             Please use `if_seq_no` and `if_primary_term` instead",
        ));
    }
    Ok(())
}

fn require_alias(ctx: &Ctx<'_>, name: &str) -> Result<(), ApiError> {
    if ctx.request.flag("require_alias", false)? && ctx.state.alias_indices(name).is_empty() {
        return Err(ApiError::new(
            404,
            "index_not_found_exception",
            format!("no such index [{name}] and [require_alias] request flag is [true] and [{name}] is not an alias"),
        )
        .with("index_uuid", "_na_")
        .with("index", name));
    }
    Ok(())
}

fn put(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let id = ctx.var("id").to_owned();
    store(ctx, &id, false)
}

fn post(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let id = ctx.state.rng.document_id();
    store(ctx, &id, false)
}

fn create(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let id = ctx.var("id").to_owned();
    store(ctx, &id, true)
}

/// The filter that a request's `_source` parameters make.
fn source_filter(ctx: &Ctx<'_>) -> Value {
    let includes = ctx.request.param("_source_includes");
    let excludes = ctx.request.param("_source_excludes");
    if includes.is_some() || excludes.is_some() {
        return json!({"includes": includes, "excludes": excludes});
    }
    ctx.request
        .param("_source")
        .map_or(Value::Bool(true), |text| json!(text))
}

fn found(index: &str, id: &str, doc: Option<&Doc>, filter: &Value) -> Value {
    let Some(doc) = doc else {
        return json!({"_index": index, "_id": id, "found": false});
    };
    let mut out = json!({
        "_index": index, "_id": id, "_version": doc.version, "_seq_no": doc.seq_no,
        "_primary_term": doc.primary_term,
    });
    if let Some(routing) = &doc.routing {
        out["_routing"] = json!(routing);
    }
    out["found"] = json!(true);
    if let Some(source) = source_of(&doc.source, filter) {
        out["_source"] = source;
    }
    out
}

/// Refuses a get whose shard has no copy, as a node that cannot reach one does.
fn readable(state: &State, index: &str, id: &str, routing: Option<&str>) -> Result<(), ApiError> {
    let entry = state.index(index)?;
    entry.check_block(state.product, Access::Read)?;
    let shard = entry.shard_of(id, routing);
    let copies = state.shard_copies(entry);
    if copies.iter().any(|c| c.shard == shard && c.node.is_some()) {
        return Ok(());
    }
    Err(ApiError::new(
        503,
        "no_shard_available_action_exception",
        format!("No shard available for [get [{index}][{id}]: routing [null]]"),
    ))
}

fn get(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let index = names::read_target(ctx.state, ctx.var("index"))?;
    let id = ctx.var("id");
    readable(ctx.state, &index, id, ctx.request.param("routing"))?;
    let filter = source_filter(ctx);
    let doc = visible_doc(ctx, &index, id)?;
    let status = if doc.is_some() { 200 } else { 404 };
    Ok(Reply::json(
        status,
        found(&index, id, doc.as_ref(), &filter),
    ))
}

/// The document as a get sees it: the live one, or with `realtime=false` the refreshed one.
fn visible_doc(ctx: &Ctx<'_>, index: &str, id: &str) -> Result<Option<Doc>, ApiError> {
    let entry = ctx.state.index(index)?;
    Ok(if ctx.request.flag("realtime", true)? {
        entry.get(id).cloned()
    } else {
        entry.searchable().get(id).cloned()
    })
}

fn get_source(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let index = names::read_target(ctx.state, ctx.var("index"))?;
    let id = ctx.var("id");
    readable(ctx.state, &index, id, ctx.request.param("routing"))?;
    let filter = source_filter(ctx);
    match visible_doc(ctx, &index, id)? {
        Some(doc) => Ok(Reply::ok(
            source_of(&doc.source, &filter).unwrap_or_else(|| json!({})),
        )),
        None => Err(ApiError::new(
            404,
            "resource_not_found_exception",
            format!("Document not found [{index}]/[{id}]"),
        )),
    }
}

fn delete(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let name = ctx.var("index").to_owned();
    let id = ctx.var("id").to_owned();
    let condition = condition(ctx, false)?;
    check_write_params(ctx)?;
    let index = names::write_target(ctx.state, &name)?.ok_or_else(|| ApiError::no_index(&name))?;
    let routing = ctx.request.param("routing").map(ToOwned::to_owned);
    ctx.state.writable(&index)?;
    let (done, existed) =
        ctx.state
            .index_mut(&index)?
            .delete(&id, routing.as_deref(), condition)?;
    let forced = refresh(ctx, &index);
    let result = if existed { "deleted" } else { "not_found" };
    let body = written(ctx.state, &index, &id, &done, result, forced);
    Ok(Reply::json(
        if existed { 200 } else { 404 },
        Value::Object(body),
    ))
}

enum Change {
    Noop(Written),
    Stored(Written),
    Deleted(Written),
}

fn merge_into(base: &mut Value, update: &Value) {
    match (base, update) {
        (Value::Object(base), Value::Object(update)) => {
            for (key, value) in update {
                match base.get_mut(key) {
                    Some(inner) if inner.is_object() && value.is_object() => {
                        merge_into(inner, value)
                    }
                    _ => drop(base.insert(key.clone(), value.clone())),
                }
            }
        }
        (base, update) => *base = update.clone(),
    }
}

fn run_script(
    script: &Script,
    index: &str,
    id: &str,
    doc: Option<&Doc>,
    source: Value,
) -> Result<(Value, String), ApiError> {
    let mut ctx = json!({
        "_index": index, "_id": id, "_version": doc.map_or(-1, |d| i64::try_from(d.version).unwrap_or(i64::MAX)),
        "_source": source, "op": if doc.is_some() { "index" } else { "create" }, "_now": 0,
    });
    ctx = script
        .run(ctx)
        .map_err(|e| ApiError::illegal("failed to execute script").caused_by(&e))?;
    let op = ctx["op"].as_str().unwrap_or("index").to_owned();
    Ok((ctx["_source"].take(), op))
}

fn apply_update(
    state: &mut State,
    index: &str,
    id: &str,
    routing: Option<&str>,
    body: &Map<String, Value>,
    condition: Condition,
) -> Result<Change, ApiError> {
    const KEYS: &[&str] = &[
        "doc",
        "doc_as_upsert",
        "upsert",
        "script",
        "scripted_upsert",
        "detect_noop",
        "_source",
        "if_seq_no",
        "if_primary_term",
    ];
    if let Some(key) = body.keys().find(|k| !KEYS.contains(&k.as_str())) {
        return Err(ApiError::new(
            400,
            "x_content_parse_exception",
            format!("[1:2] [UpdateRequest] unknown field [{key}]"),
        ));
    }
    let flag = |key: &str, default: bool| body.get(key).and_then(Value::as_bool).unwrap_or(default);
    let script = body
        .get("script")
        .map(Script::parse)
        .transpose()
        .map_err(|e| ApiError::illegal("failed to execute script").caused_by(&e))?;
    let partial = body.get("doc");
    if script.is_none() && partial.is_none() {
        return Err(ApiError::validation("script or doc is missing"));
    }
    if script.is_some() && partial.is_some() {
        return Err(ApiError::validation("can't provide both script and doc"));
    }
    state.writable(index)?;
    let current = state.index(index)?.get(id).cloned();
    let Some(doc) = current else {
        let upsert = match (body.get("upsert"), partial) {
            (Some(upsert), _) => upsert.clone(),
            (None, Some(partial)) if flag("doc_as_upsert", false) => partial.clone(),
            _ => {
                let entry = state.index(index)?;
                let shard = entry.shard_of(id, routing);
                return Err(ApiError::new(
                    404,
                    "document_missing_exception",
                    format!("[{id}]: document missing"),
                )
                .with("index_uuid", entry.uuid.as_str())
                .with("shard", shard.to_string())
                .with("index", index));
            }
        };
        let upsert = match &script {
            Some(script) if flag("scripted_upsert", false) => {
                run_script(script, index, id, None, upsert)?.0
            }
            _ => upsert,
        };
        let condition = Condition {
            create_only: true,
            ..condition
        };
        return state
            .write_doc(index, id, routing, upsert, condition)
            .map(Change::Stored);
    };
    let same = |doc: &Doc| Written {
        version: doc.version,
        seq_no: doc.seq_no,
        primary_term: doc.primary_term,
        created: false,
    };
    let condition = match condition.seq_no {
        Some(_) => condition,
        None => Condition {
            create_only: false,
            seq_no: Some((doc.seq_no, doc.primary_term)),
        },
    };
    let (source, op) = match (&script, partial) {
        (Some(script), _) => run_script(script, index, id, Some(&doc), (*doc.source).clone())?,
        (None, Some(partial)) => {
            let mut source = (*doc.source).clone();
            merge_into(&mut source, partial);
            let same = flag("detect_noop", true) && source == *doc.source;
            (
                source,
                if same {
                    "none".to_owned()
                } else {
                    "index".to_owned()
                },
            )
        }
        (None, None) => ((*doc.source).clone(), "none".to_owned()),
    };
    match op.as_str() {
        "none" | "noop" => Ok(Change::Noop(same(&doc))),
        "delete" => {
            let (done, _) = state.index_mut(index)?.delete(id, routing, condition)?;
            Ok(Change::Deleted(done))
        }
        _ => state
            .write_doc(
                index,
                id,
                routing.or(doc.routing.as_deref()),
                source,
                condition,
            )
            .map(Change::Stored),
    }
}

fn update(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let name = ctx.var("index").to_owned();
    let id = ctx.var("id").to_owned();
    let body = ctx.request.required_object()?;
    let condition = condition(ctx, false)?;
    let index = ctx.state.index_or_create(&name)?;
    let routing = ctx.request.param("routing").map(ToOwned::to_owned);
    let change = apply_update(ctx.state, &index, &id, routing.as_deref(), &body, condition)?;
    let (done, result) = match &change {
        Change::Noop(done) => (done, "noop"),
        Change::Stored(done) => (done, if done.created { "created" } else { "updated" }),
        Change::Deleted(done) => (done, "deleted"),
    };
    let forced = result != "noop" && refresh(ctx, &index);
    let mut answer = written(ctx.state, &index, &id, done, result, forced);
    let filter = body.get("_source").cloned().or_else(|| {
        let asked = ctx.request.param("_source").is_some()
            || ctx.request.param("_source_includes").is_some();
        asked.then(|| source_filter(ctx))
    });
    if let Some(filter) = filter
        && let Some(doc) = ctx.state.index(&index)?.get(&id)
        && let Some(source) = source_of(&doc.source, &filter)
    {
        answer.insert("get".to_owned(), json!({"_seq_no": doc.seq_no, "_primary_term": doc.primary_term, "found": true, "_source": source}));
    }
    Ok(Reply::json(
        if result == "created" { 201 } else { 200 },
        Value::Object(answer),
    ))
}

fn bulk(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let text = String::from_utf8_lossy(&ctx.request.body).into_owned();
    if text.trim().is_empty() {
        return Err(ApiError::new(
            400,
            "parse_exception",
            "request body is required",
        ));
    }
    if !text.ends_with('\n') {
        return Err(ApiError::illegal(
            "The bulk request must be terminated by a newline [\\n]",
        ));
    }
    let mut lines = text.lines().enumerate();
    let mut items = Vec::new();
    let mut errors = false;
    let mut touched: Vec<String> = Vec::new();
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let malformed = |why: &str| {
            ApiError::illegal(format!(
                "Malformed action/metadata line [{}], {why}",
                number + 1
            ))
        };
        let action: Value = serde_json::from_str(line).map_err(|e| malformed(&e.to_string()))?;
        let Some((op, meta)) = action.as_object().and_then(|m| m.iter().next()) else {
            return Err(malformed("expected an object with one action"));
        };
        if !["index", "create", "update", "delete"].contains(&op.as_str()) {
            return Err(malformed(&format!(
                "expected one of [create, delete, index, update] but found [{op}]"
            )));
        }
        let body: Value = if op == "delete" {
            Value::Null
        } else {
            let (_, line) = lines
                .next()
                .ok_or_else(|| ApiError::validation("source is missing"))?;
            serde_json::from_str(line).map_err(|e| ApiError::parse(e.to_string()))?
        };
        let name = match meta["_index"].as_str().unwrap_or(ctx.var("index")) {
            "" => return Err(ApiError::validation("index is missing")),
            name => name.to_owned(),
        };
        let id = match &meta["_id"] {
            Value::Null if op == "index" || op == "create" => ctx.state.rng.document_id(),
            Value::Null => return Err(ApiError::validation("id is missing")),
            other => crate::query::text(other),
        };
        let (index, outcome) = bulk_item(ctx.state, op, &name, &id, meta, body);
        let mut entry = match outcome {
            Ok((status, done, result)) => {
                if !touched.contains(&index) {
                    touched.push(index.clone());
                }
                let mut map = written(ctx.state, &index, &id, &done, result, false);
                map.insert("status".to_owned(), json!(status));
                map
            }
            Err(error) => {
                errors = true;
                let mut map = Map::new();
                map.insert("_index".to_owned(), json!(index));
                map.insert("_id".to_owned(), json!(id));
                map.insert("status".to_owned(), json!(error.status));
                map.insert("error".to_owned(), error.object());
                map
            }
        };
        if ctx
            .request
            .param("refresh")
            .is_some_and(|r| r.is_empty() || r == "true")
            && !entry.contains_key("error")
        {
            entry.insert("forced_refresh".to_owned(), json!(true));
        }
        items.push(json!({op: entry}));
    }
    for index in touched {
        refresh(ctx, &index);
    }
    Ok(Reply::ok(
        json!({"took": 1, "errors": errors, "items": items}),
    ))
}

type BulkOutcome = Result<(u16, Written, &'static str), ApiError>;

fn bulk_item(
    state: &mut State,
    op: &str,
    name: &str,
    id: &str,
    meta: &Value,
    body: Value,
) -> (String, BulkOutcome) {
    let routing = meta["routing"].as_str();
    let condition = Condition {
        create_only: op == "create",
        seq_no: meta["if_seq_no"]
            .as_u64()
            .zip(meta["if_primary_term"].as_u64()),
    };
    let index = match op {
        "delete" => {
            names::write_target(state, name).and_then(|t| t.ok_or_else(|| ApiError::no_index(name)))
        }
        _ => state.index_or_create(name),
    };
    let index = match index {
        Ok(index) => index,
        Err(error) => return (name.to_owned(), Err(error)),
    };
    let outcome = match op {
        "delete" => state
            .writable(&index)
            .and_then(|()| state.index_mut(&index))
            .and_then(|entry| {
                let (done, existed) = entry.delete(id, routing, condition)?;
                Ok(if existed {
                    (200, done, "deleted")
                } else {
                    (404, done, "not_found")
                })
            }),
        "update" => {
            let body = body.as_object().cloned().unwrap_or_default();
            apply_update(state, &index, id, routing, &body, condition).map(|change| match change {
                Change::Noop(done) => (200, done, "noop"),
                Change::Deleted(done) => (200, done, "deleted"),
                Change::Stored(done) if done.created => (201, done, "created"),
                Change::Stored(done) => (200, done, "updated"),
            })
        }
        _ => state
            .write_doc(&index, id, routing, body, condition)
            .map(|done| {
                if done.created {
                    (201, done, "created")
                } else {
                    (200, done, "updated")
                }
            }),
    };
    (index, outcome)
}

fn mget(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let body = ctx.request.required_object()?;
    let mut wanted: Vec<(String, String, Value)> = Vec::new();
    let default = ctx.var("index").to_owned();
    for item in body
        .get("docs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let index = item["_index"].as_str().unwrap_or(&default).to_owned();
        let filter = item.get("_source").cloned().unwrap_or(Value::Bool(true));
        wanted.push((index, crate::query::text(&item["_id"]), filter));
    }
    for id in body
        .get("ids")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        wanted.push((default.clone(), crate::query::text(id), source_filter(ctx)));
    }
    if wanted.is_empty() {
        return Err(ApiError::validation("no documents to get"));
    }
    let state = &*ctx.state;
    let docs: Vec<Value> = wanted
        .into_iter()
        .map(|(name, id, filter)| {
            let read = names::read_target(state, &name)
                .and_then(|index| readable(state, &index, &id, None).map(|()| index))
                .and_then(|index| Ok(found(&index, &id, state.index(&index)?.get(&id), &filter)));
            read.unwrap_or_else(
                |error| json!({"_index": name, "_id": id, "error": error.body()["error"]}),
            )
        })
        .collect();
    Ok(Reply::ok(json!({"docs": docs})))
}
