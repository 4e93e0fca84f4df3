//! Ingest pipelines: kept and shown; they do nothing to documents here.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::http::Reply;
use crate::pattern::glob_list;
use crate::router::{Ctx, Route, route};

pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/_ingest/pipeline", "summary @manager", get),
    route("GET", "/_ingest/pipeline/{id}", "summary @manager", get),
    route("PUT", "/_ingest/pipeline/{id}", "if_version @manager", put),
    route("DELETE", "/_ingest/pipeline/{id}", "@manager", delete),
];

fn get(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let wanted = ctx.var("id");
    let found: Map<String, Value> = ctx
        .state
        .pipelines
        .iter()
        .filter(|(id, _)| wanted.is_empty() || glob_list(wanted, id))
        .map(|(id, body)| (id.clone(), body.clone()))
        .collect();
    // One that is not there is no error of its own form, as on the servers.
    let is_one = !wanted.is_empty() && !wanted.contains('*');
    let status = if found.is_empty() && is_one { 404 } else { 200 };
    Ok(Reply::json(status, Value::Object(found)))
}

fn put(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let id = ctx.var("id").to_owned();
    let body = ctx.request.required_object()?;
    if !body.get("processors").is_some_and(Value::is_array) {
        return Err(ApiError::new(
            400,
            "parse_exception",
            "[processors] required property is missing",
        )
        .with("property_name", json!("processors")));
    }
    ctx.state.pipelines.insert(id, Value::Object(body));
    ctx.state.changed();
    Ok(Reply::acknowledged())
}

fn delete(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let id = ctx.var("id").to_owned();
    if ctx.state.pipelines.remove(&id).is_none() {
        return Err(ApiError::new(
            404,
            "resource_not_found_exception",
            format!("pipeline [{id}] is missing"),
        ));
    }
    ctx.state.changed();
    Ok(Reply::acknowledged())
}
