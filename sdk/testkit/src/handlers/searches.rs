//! Search, count, scrolls and points in time.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::http::Reply;
use crate::names::Expand;
use crate::product::Product;
use crate::router::{Ctx, Only, Route, route, route_of};
use crate::search::{self, Pit, Search};
use crate::settings::duration_ms;

pub(crate) const ROUTES: &[Route] = &[
    route("GET POST", "/_search", SEARCH, run),
    route("GET POST", "/{index}/_search", SEARCH, run),
    route("GET POST", "/_count", COUNT, count),
    route("GET POST", "/{index}/_count", COUNT, count),
    route(
        "GET POST",
        "/_search/scroll",
        "scroll scroll_id rest_total_hits_as_int",
        scroll,
    ),
    route("GET POST", "/_search/scroll/{scroll_id}", "scroll", scroll),
    route("DELETE", "/_search/scroll", "", clear_scroll),
    route("DELETE", "/_search/scroll/{scroll_id}", "", clear_scroll),
    route_of(
        Only::OpenSearch,
        "POST",
        "/{index}/_search/point_in_time",
        "@expand keep_alive routing preference allow_partial_pit_creation",
        open_pit,
    ),
    route_of(
        Only::OpenSearch,
        "DELETE",
        "/_search/point_in_time",
        "",
        close_pits,
    ),
    route_of(
        Only::OpenSearch,
        "DELETE",
        "/_search/point_in_time/_all",
        "",
        close_all_pits,
    ),
    route_of(
        Only::OpenSearch,
        "GET",
        "/_search/point_in_time/_all",
        "",
        list_pits,
    ),
    route_of(
        Only::Elasticsearch,
        "POST",
        "/{index}/_pit",
        "@expand keep_alive routing preference allow_partial_search_results",
        open_pit,
    ),
    route_of(Only::Elasticsearch, "DELETE", "/_pit", "", close_pit),
];

const SEARCH: &str = "@expand size from sort q df default_operator analyzer analyze_wildcard lenient _source _source_includes \
_source_excludes track_total_hits track_scores scroll typed_keys rest_total_hits_as_int version seq_no_primary_term timeout \
request_cache preference routing batched_reduce_size ccs_minimize_roundtrips search_type allow_partial_search_results \
terminate_after stored_fields docvalue_fields max_concurrent_shard_requests pre_filter_shard_size stats explain \
search_pipeline phase_took cancel_after_time_interval force_synthetic_source";
const COUNT: &str = "@expand q df default_operator analyzer analyze_wildcard lenient min_score preference routing terminate_after";

fn keep_alive(text: &str) -> Result<i64, ApiError> {
    duration_ms(text).filter(|ms| *ms >= 0).ok_or_else(|| {
        ApiError::illegal(format!(
            "failed to parse setting [keep_alive] with value [{text}] as a time value: unit is missing or unrecognized"
        ))
    })
}

fn run(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let mut body = ctx.request.object()?;
    for key in ["size", "from"] {
        if let Some(number) = ctx.request.number(key)? {
            body.insert(key.to_owned(), json!(number));
        }
    }
    if let Some(list) = ctx.request.param("sort") {
        body.insert(
            "sort".to_owned(),
            json!(list.split(',').collect::<Vec<_>>()),
        );
    }
    for key in ["version", "seq_no_primary_term"] {
        if ctx.request.param(key).is_some() {
            body.insert(key.to_owned(), json!(ctx.request.flag(key, false)?));
        }
    }
    if let Some(text) = ctx.request.param("track_total_hits") {
        let value = match text {
            "true" | "" => json!(true),
            "false" => json!(false),
            number => json!(number),
        };
        body.insert("track_total_hits".to_owned(), value);
    }
    let (includes, excludes) = (
        ctx.request.param("_source_includes"),
        ctx.request.param("_source_excludes"),
    );
    if includes.is_some() || excludes.is_some() {
        body.insert(
            "_source".to_owned(),
            json!({"includes": includes, "excludes": excludes}),
        );
    } else if let Some(text) = ctx.request.param("_source") {
        body.insert("_source".to_owned(), json!(text));
    }
    if ctx.request.param("q").is_some() {
        return Err(ApiError::illegal(
            "the simulated cluster does not read query strings; send a query in the body",
        ));
    }
    let mut search = Search::parse(&body)?;
    search.typed_keys = ctx.request.flag("typed_keys", false)?;
    let mut answer = match search.pit.clone() {
        Some(pit) => run_in_pit(ctx, &mut search, &pit)?,
        None => {
            let expand = Expand::OPEN_FORBID_CLOSED.with(ctx.request)?;
            let targets = search::preferred(
                search::targets(ctx.state, ctx.var("index"), expand, ctx.fail_first_shard)?,
                ctx.request.param("preference"),
            )?;
            match ctx.request.param("scroll") {
                Some(text) => {
                    let ms = keep_alive(text)?;
                    search::open_scroll(ctx.state, &targets, &search, ms)?
                }
                None => search::run(ctx.state, &targets, &search)?,
            }
        }
    };
    if ctx.request.flag("rest_total_hits_as_int", false)? {
        let total = answer["hits"]["total"]["value"].clone();
        answer["hits"]["total"] = total;
    }
    Ok(Reply::ok(answer))
}

fn run_in_pit(ctx: &mut Ctx<'_>, search: &mut Search, pit: &Value) -> Result<Value, ApiError> {
    if !ctx.var("index").is_empty() {
        return Err(ApiError::validation(
            "[indices] cannot be used with point in time. Do not specify any index with point in time.",
        ));
    }
    let id = pit["id"].as_str().unwrap_or_default().to_owned();
    if !id.starts_with(search::PIT_PREFIX) {
        return Err(ApiError::illegal(format!("invalid id: [{id}]")));
    }
    let now = ctx.state.now_ms();
    ctx.state.pits.retain(|_, p| p.expires_ms > now);
    let Some(found) = ctx.state.pits.get_mut(&id) else {
        return Err(search::missing_context());
    };
    if let Some(text) = pit["keep_alive"].as_str() {
        found.keep_alive_ms = keep_alive(text)?;
    }
    found.expires_ms = now + found.keep_alive_ms;
    let targets = found.targets.clone();
    // Elasticsearch breaks ties by `_shard_doc` by itself; the extra key shows in `sort`.
    let implicit = ctx.state.product == Product::Elasticsearch8 && !search.sort.is_empty();
    if implicit {
        search
            .sort
            .extend(search::parse_sort(&json!(["_shard_doc"]))?);
        if let Some(after) = &mut search.search_after
            && after.len() + 1 == search.sort.len()
        {
            // A caller that gives only its own keys continues after all ties of them.
            after.push(json!(u64::MAX));
        }
    }
    let mut answer = search::run(ctx.state, &targets, search)?;
    if let Value::Object(map) = &mut answer {
        map.shift_insert(0, "pit_id".to_owned(), json!(id));
    }
    Ok(answer)
}

fn count(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let body = ctx.request.object()?;
    if let Some(key) = body.keys().find(|k| *k != "query") {
        return Err(ApiError::parse(format!("request does not support [{key}]"))
            .with("line", 1)
            .with("col", 1));
    }
    let expand = Expand::OPEN_FORBID_CLOSED.with(ctx.request)?;
    let targets = search::targets(ctx.state, ctx.var("index"), expand, ctx.fail_first_shard)?;
    let query = body
        .get("query")
        .cloned()
        .unwrap_or_else(|| json!({"match_all": {}}));
    Ok(Reply::ok(search::count(ctx.state, &targets, &query)?))
}

fn scroll_ids(ctx: &Ctx<'_>) -> Result<Vec<String>, ApiError> {
    let body = ctx.request.object()?;
    Ok(match body.get("scroll_id") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect(),
        _ => {
            let given = if ctx.var("scroll_id").is_empty() {
                ctx.request.param("scroll_id").unwrap_or("")
            } else {
                ctx.var("scroll_id")
            };
            given
                .split(',')
                .filter(|p| !p.is_empty())
                .map(ToOwned::to_owned)
                .collect()
        }
    })
}

fn scroll(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let body = ctx.request.object()?;
    let id = scroll_ids(ctx)?
        .into_iter()
        .next()
        .ok_or_else(|| ApiError::validation("scrollId is missing"))?;
    let ms = body
        .get("scroll")
        .and_then(Value::as_str)
        .or_else(|| ctx.request.param("scroll"))
        .map(keep_alive)
        .transpose()?;
    Ok(Reply::ok(search::next_page(ctx.state, &id, ms)?))
}

fn clear_scroll(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let mut ids = scroll_ids(ctx)?;
    if ids.iter().any(|i| i == "_all") {
        ids = ctx.state.scrolls.keys().cloned().collect();
    }
    let freed = ids
        .iter()
        .filter(|id| ctx.state.scrolls.remove(*id).is_some())
        .count();
    let status = if freed == 0 { 404 } else { 200 };
    Ok(Reply::json(
        status,
        json!({"succeeded": true, "num_freed": freed}),
    ))
}

fn open_pit(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let Some(text) = ctx.request.param("keep_alive") else {
        return Err(ApiError::validation("[keep_alive] is required"));
    };
    let ms = keep_alive(text)?;
    let expand = Expand::OPEN_FORBID_CLOSED.with(ctx.request)?;
    let targets = search::targets(ctx.state, ctx.var("index"), expand, false)?;
    let id = format!("{}{}", search::PIT_PREFIX, ctx.state.rng.uuid());
    let now = ctx.state.now_ms();
    let shards: u32 = targets.iter().map(|t| t.shards).sum();
    ctx.state.pits.insert(
        id.clone(),
        Pit {
            targets,
            created_ms: now,
            keep_alive_ms: ms,
            expires_ms: now + ms,
        },
    );
    let shards = json!({"total": shards, "successful": shards, "skipped": 0, "failed": 0});
    Ok(Reply::ok(if ctx.state.product.is_opensearch() {
        json!({"pit_id": id, "_shards": shards, "creation_time": now})
    } else {
        json!({"id": id, "_shards": shards})
    }))
}

fn close_pits(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let body = ctx.request.required_object()?;
    let ids: Vec<String> = match body.get("pit_id") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect(),
        _ => return Err(ApiError::validation("no pit ids specified")),
    };
    let pits: Vec<Value> = ids
        .iter()
        .map(|id| {
            ctx.state.pits.remove(id);
            json!({"successful": true, "pit_id": id})
        })
        .collect();
    Ok(Reply::ok(json!({"pits": pits})))
}

fn close_all_pits(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let pits: Vec<Value> = std::mem::take(&mut ctx.state.pits)
        .into_keys()
        .map(|id| json!({"successful": true, "pit_id": id}))
        .collect();
    Ok(Reply::ok(json!({"pits": pits})))
}

fn list_pits(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let pits: Vec<Value> = ctx
        .state
        .pits
        .iter()
        .map(|(id, pit)| json!({"pit_id": id, "creation_time": pit.created_ms, "keep_alive": pit.keep_alive_ms}))
        .collect();
    if pits.is_empty() {
        return Ok(Reply::json(404, json!({"pits": []})));
    }
    Ok(Reply::ok(json!({"pits": pits})))
}

fn close_pit(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let body: Map<String, Value> = ctx.request.required_object()?;
    let id = body.get("id").and_then(Value::as_str).unwrap_or_default();
    let freed = u64::from(ctx.state.pits.remove(id).is_some());
    let status = if freed == 0 { 404 } else { 200 };
    Ok(Reply::json(
        status,
        json!({"succeeded": true, "num_freed": freed}),
    ))
}
