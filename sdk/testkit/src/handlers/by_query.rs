//! Reindex, update-by-query, delete-by-query.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::http::Reply;
use crate::names::{self, Expand};
use crate::router::{Ctx, Route, route};
use crate::script::Script;
use crate::search;
use crate::task::{Counts, Job, Kind, Task};

pub(crate) const ROUTES: &[Route] = &[
    route(
        "POST",
        "/_reindex",
        "refresh timeout wait_for_active_shards wait_for_completion requests_per_second slices scroll max_docs require_alias",
        reindex,
    ),
    route("POST", "/{index}/_update_by_query", BY_QUERY, update),
    route("POST", "/{index}/_delete_by_query", BY_QUERY, delete),
    route(
        "POST",
        "/_reindex/{task}/_rethrottle",
        "requests_per_second",
        rethrottle,
    ),
    route(
        "POST",
        "/_update_by_query/{task}/_rethrottle",
        "requests_per_second",
        rethrottle,
    ),
    route(
        "POST",
        "/_delete_by_query/{task}/_rethrottle",
        "requests_per_second",
        rethrottle,
    ),
];

const BY_QUERY: &str = "@expand refresh timeout wait_for_active_shards wait_for_completion requests_per_second slices scroll \
scroll_size max_docs conflicts routing preference pipeline search_type search_timeout terminate_after sort q version request_cache";

/// Documents that the servers take from the source at a time.
const BATCH_DEFAULT: u64 = 1_000;

fn proceed(value: Option<&str>) -> Result<bool, ApiError> {
    match value {
        None | Some("abort") => Ok(false),
        Some("proceed") => Ok(true),
        Some(other) => Err(ApiError::illegal(format!(
            "conflicts may only be \"proceed\" or \"abort\" but was [{other}]"
        ))),
    }
}

fn list_of(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => text.split(',').map(ToOwned::to_owned).collect(),
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

fn unknown_field(what: &str, key: &str) -> ApiError {
    ApiError::new(
        400,
        "x_content_parse_exception",
        format!("[1:2] [{what}] unknown field [{key}]"),
    )
}

fn slices(ctx: &Ctx<'_>, sources: &[String]) -> Result<u64, ApiError> {
    match ctx.request.param("slices") {
        None => Ok(1),
        Some("auto") => {
            let least = sources
                .iter()
                .filter_map(|n| ctx.state.indices.get(n))
                .map(|i| u64::from(i.shards()))
                .min();
            Ok(least.unwrap_or(1))
        }
        Some(text) => text.parse().ok().filter(|n| *n > 0).ok_or_else(|| {
            ApiError::illegal(format!(
                "[slices] must be a positive integer or the string \"auto\", found [{text}]"
            ))
        }),
    }
}

fn rate(ctx: &Ctx<'_>) -> Result<f64, ApiError> {
    match ctx.request.param("requests_per_second") {
        None | Some("-1") => Ok(-1.0),
        Some(text) => text.parse::<f64>().ok().filter(|n| *n > 0.0).ok_or_else(|| {
            ApiError::illegal(format!(
                "[requests_per_second] must be a float greater than 0. Use -1 to disable throttling. found [{text}]"
            ))
        }),
    }
}

fn reindex(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let body = ctx.request.required_object()?;
    const KEYS: &[&str] = &["source", "dest", "script", "conflicts", "max_docs", "size"];
    if let Some(key) = body.keys().find(|k| !KEYS.contains(&k.as_str())) {
        return Err(unknown_field("reindex", key));
    }
    let empty = Map::new();
    let source = body
        .get("source")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let dest = body
        .get("dest")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    if source.contains_key("remote") {
        return Err(ApiError::illegal(
            "the simulated cluster has no other cluster to reindex from",
        ));
    }
    let from = list_of(source.get("index"));
    let Some(to) = dest.get("index").and_then(Value::as_str) else {
        return Err(ApiError::validation("index must be specified"));
    };
    if from.is_empty() {
        return Err(ApiError::validation(
            "use _all if you really want to copy from all existing indexes",
        ));
    }
    let create_only = match dest.get("op_type").and_then(Value::as_str) {
        None | Some("index") => false,
        Some("create") => true,
        Some(other) => {
            return Err(ApiError::illegal(format!(
                "opType must be 'create' or 'index', found: [{other}]"
            )));
        }
    };
    let targets = search::targets(
        ctx.state,
        &from.join(","),
        Expand::OPEN_FORBID_CLOSED,
        ctx.fail_first_shard,
    )?;
    let target = names::write_target(ctx.state, to)?.unwrap_or_else(|| to.to_owned());
    if let Some(same) = targets.iter().find(|t| t.index == target) {
        return Err(ApiError::validation(format!(
            "reindex cannot write into an index its reading from [{}]",
            same.index
        )));
    }
    let script = body.get("script").map(Script::parse).transpose()?;
    let description = match &script {
        Some(script) => format!(
            "reindex from [{}] updated with {} to [{to}]",
            from.join(", "),
            script.describe()
        ),
        None => format!("reindex from [{}] to [{to}]", from.join(", ")),
    };
    let query = source
        .get("query")
        .cloned()
        .unwrap_or_else(|| json!({"match_all": {}}));
    let mut found = search::snapshot(ctx.state, &targets, &query)?;
    if let Some(filter) = source.get("_source") {
        for (_, _, doc) in &mut found {
            let kept = search::source_of(&doc.source, filter).unwrap_or_else(|| json!({}));
            doc.source = std::sync::Arc::new(kept);
        }
    }
    let limit = body
        .get("max_docs")
        .or_else(|| body.get("size"))
        .and_then(Value::as_u64)
        .or(ctx.request.number("max_docs")?);
    let names: Vec<String> = targets.iter().map(|t| t.index.clone()).collect();
    let job = Job {
        kind: Kind::Reindex,
        destination: Some(to.to_owned()),
        create_only,
        script,
        proceed: proceed(body.get("conflicts").and_then(Value::as_str))?,
        refresh: ctx.request.flag("refresh", false)?,
        batch: usize::try_from(
            source
                .get("size")
                .and_then(Value::as_u64)
                .unwrap_or(BATCH_DEFAULT),
        )
        .unwrap_or(usize::MAX),
        slices: slices(ctx, &names)?,
        ..new_job(found, limit, rate(ctx)?)
    };
    start(ctx, job, description)
}

fn new_job(
    mut found: Vec<(String, String, crate::index::Doc)>,
    limit: Option<u64>,
    rate: f64,
) -> Job {
    if let Some(limit) = limit {
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    let counts = Counts {
        total: found.len() as u64,
        ..Counts::default()
    };
    Job {
        kind: Kind::Reindex,
        queue: found.into(),
        destination: None,
        create_only: false,
        script: None,
        proceed: false,
        refresh: false,
        batch: 1,
        slices: 1,
        requests_per_second: rate,
        counts,
        touched: Vec::new(),
        failures: Vec::new(),
        failed_status: None,
    }
}

fn update(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    by_query(ctx, Kind::Update)
}

fn delete(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    by_query(ctx, Kind::Delete)
}

fn by_query(ctx: &mut Ctx<'_>, kind: Kind) -> Result<Reply, ApiError> {
    let body = ctx.request.object()?;
    const KEYS: &[&str] = &[
        "query",
        "script",
        "conflicts",
        "max_docs",
        "size",
        "slice",
        "sort",
    ];
    if let Some(key) = body.keys().find(|k| !KEYS.contains(&k.as_str())) {
        return Err(
            ApiError::parse(format!("Unknown key for a VALUE in [{key}]."))
                .with("line", 1)
                .with("col", 1),
        );
    }
    if kind == Kind::Delete && !body.contains_key("query") {
        return Err(ApiError::validation("query is missing"));
    }
    let expression = ctx.var("index").to_owned();
    let expand = Expand::OPEN_FORBID_CLOSED.with(ctx.request)?;
    let targets = search::targets(ctx.state, &expression, expand, ctx.fail_first_shard)?;
    let script = body.get("script").map(Script::parse).transpose()?;
    let words = expression.split(',').collect::<Vec<_>>().join(", ");
    let description = match (kind, &script) {
        (Kind::Delete, _) => format!("delete-by-query [{words}]"),
        (_, Some(script)) => format!(
            "update-by-query [{words}] updated with {}",
            script.describe()
        ),
        (_, None) => format!("update-by-query [{words}]"),
    };
    let query = body
        .get("query")
        .cloned()
        .unwrap_or_else(|| json!({"match_all": {}}));
    let found = search::snapshot(ctx.state, &targets, &query)?;
    let limit = body
        .get("max_docs")
        .and_then(Value::as_u64)
        .or(ctx.request.number("max_docs")?);
    let conflicts = body
        .get("conflicts")
        .and_then(Value::as_str)
        .or_else(|| ctx.request.param("conflicts"));
    let names: Vec<String> = targets.iter().map(|t| t.index.clone()).collect();
    let job = Job {
        kind,
        script,
        proceed: proceed(conflicts)?,
        refresh: ctx.request.flag("refresh", false)?,
        batch: usize::try_from(ctx.request.number("scroll_size")?.unwrap_or(BATCH_DEFAULT))
            .unwrap_or(usize::MAX),
        slices: slices(ctx, &names)?,
        ..new_job(found, limit, rate(ctx)?)
    };
    start(ctx, job, description)
}

/// Runs a job to its end, or hands it to the server as a task.
fn start(ctx: &mut Ctx<'_>, mut job: Job, description: String) -> Result<Reply, ApiError> {
    let start_ms = ctx.state.now_ms();
    if ctx.request.flag("wait_for_completion", true)? {
        while !job.advance(ctx.state, job.batch.max(1)) {}
        job.finish(ctx.state);
        let status = job.failed_status.unwrap_or(200);
        return Ok(Reply::json(
            status,
            job.response(ctx.state.now_ms() - start_ms, false),
        ));
    }
    let id = ctx.state.next_task_id();
    let task = Task {
        id,
        node: ctx.request.node,
        description,
        start_ms,
        opaque_id: ctx.request.opaque_id.clone(),
        cancelled_ms: None,
        job,
    };
    let full = task.full_id(ctx.state);
    ctx.state.tasks.insert(id, task);
    Ok(Reply::ok(json!({"task": full})))
}

fn rethrottle(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    if ctx.request.param("requests_per_second").is_none() {
        return Err(ApiError::illegal(
            "requests_per_second is a required parameter",
        ));
    }
    let rate = rate(ctx)?;
    let wanted = ctx.var("task").to_owned();
    let id = wanted
        .rsplit(':')
        .next()
        .and_then(|n| n.parse::<u64>().ok())
        .unwrap_or(0);
    let Some(task) = ctx.state.tasks.get_mut(&id) else {
        let node = wanted.split(':').next().unwrap_or_default();
        return Ok(super::tasks::not_there(ctx.state, node, &wanted));
    };
    task.job.requests_per_second = rate;
    super::tasks::listing(ctx, &[id], true)
}
