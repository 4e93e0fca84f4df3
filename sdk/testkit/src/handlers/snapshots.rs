//! Repositories, snapshots, restores.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::http::Reply;
use crate::pattern::glob_list;
use crate::router::{Ctx, Route, route};
use crate::snapshot::{self, Repository};

pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/_snapshot", "local @manager", get_repositories),
    route(
        "GET",
        "/_snapshot/{repository}",
        "local @manager",
        get_repositories,
    ),
    route(
        "PUT POST",
        "/_snapshot/{repository}",
        "verify @manager",
        put_repository,
    ),
    route(
        "DELETE",
        "/_snapshot/{repository}",
        "@manager",
        delete_repository,
    ),
    route(
        "POST",
        "/_snapshot/{repository}/_verify",
        "@manager",
        verify,
    ),
    route(
        "PUT POST",
        "/_snapshot/{repository}/{snapshot}",
        "wait_for_completion @manager",
        create,
    ),
    route(
        "GET",
        "/_snapshot/{repository}/{snapshot}",
        "ignore_unavailable verbose index_details index_names include_repository sort size order offset after from_sort_value slm_policy_filter @manager",
        get,
    ),
    route(
        "DELETE",
        "/_snapshot/{repository}/{snapshot}",
        "wait_for_completion @manager",
        delete,
    ),
    route(
        "GET",
        "/_snapshot/_status",
        "ignore_unavailable @manager",
        status,
    ),
    route(
        "GET",
        "/_snapshot/{repository}/_status",
        "ignore_unavailable @manager",
        status,
    ),
    route(
        "GET",
        "/_snapshot/{repository}/{snapshot}/_status",
        "ignore_unavailable @manager",
        status,
    ),
    route(
        "POST",
        "/_snapshot/{repository}/{snapshot}/_restore",
        "wait_for_completion @manager",
        restore,
    ),
];

fn get_repositories(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let wanted = ctx.var("repository");
    for name in wanted
        .split(',')
        .filter(|n| !n.is_empty() && !n.contains('*') && *n != "_all")
    {
        snapshot::repository(ctx.state, name)?;
    }
    let out: Map<String, Value> = ctx
        .state
        .repositories
        .iter()
        .filter(|(name, _)| wanted.is_empty() || glob_list(wanted, name))
        .map(|(name, r)| {
            (
                name.clone(),
                json!({"type": r.kind, "settings": r.settings}),
            )
        })
        .collect();
    Ok(Reply::ok(Value::Object(out)))
}

fn put_repository(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let name = ctx.var("repository").to_owned();
    let body = ctx.request.required_object()?;
    let kind = body
        .get("type")
        .and_then(Value::as_str)
        .ok_or_else(|| ApiError::validation("type is missing"))?;
    if kind != "fs" {
        return Err(ApiError::new(
            500,
            "repository_exception",
            format!("[{name}] repository type [{kind}] does not exist"),
        ));
    }
    let settings = body.get("settings").cloned().unwrap_or_else(|| json!({}));
    let Some(location) = settings["location"].as_str() else {
        let inner = ApiError::new(
            500,
            "repository_exception",
            format!("[{name}] missing location"),
        );
        return Err(ApiError::new(
            500,
            "repository_exception",
            format!("[{name}] failed to create repository"),
        )
        .caused(inner.kind(), inner.reason())
        .rooted(inner));
    };
    let location = snapshot::locate(ctx.state, &name, location)?;
    // Settings come back as text, whatever they were sent as.
    let settings: Map<String, Value> = settings
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), json!(crate::query::text(v))))
        .collect();
    let repository = Repository {
        kind: kind.to_owned(),
        settings: Value::Object(settings),
        location,
    };
    ctx.state.repositories.insert(name, repository);
    ctx.state.changed();
    Ok(Reply::acknowledged())
}

fn delete_repository(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let name = ctx.var("repository").to_owned();
    let busy = snapshot::store(ctx.state, &name)?
        .iter()
        .any(snapshot::Snapshot::is_running);
    if busy {
        return Err(ApiError::new(
            if ctx.state.product.is_opensearch() {
                500
            } else {
                409
            },
            if ctx.state.product.is_opensearch() {
                "illegal_state_exception"
            } else {
                "repository_conflict_exception"
            },
            "trying to modify or unregister repository that is currently used",
        ));
    }
    // What it holds stays on disk, and is there again when the location is registered once more.
    ctx.state.repositories.remove(&name);
    ctx.state.changed();
    Ok(Reply::acknowledged())
}

fn verify(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    snapshot::repository(ctx.state, ctx.var("repository"))?;
    let nodes: Map<String, Value> = ctx
        .state
        .nodes
        .iter()
        .filter(|n| n.is_up)
        .map(|n| (n.id.clone(), json!({"name": n.name})))
        .collect();
    Ok(Reply::ok(json!({"nodes": nodes})))
}

fn create(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let (repository, name) = (
        ctx.var("repository").to_owned(),
        ctx.var("snapshot").to_owned(),
    );
    let body = ctx.request.object()?;
    snapshot::create(ctx.state, &repository, &name, &body)?;
    if !ctx.request.flag("wait_for_completion", false)? {
        return Ok(Reply::ok(json!({"accepted": true})));
    }
    snapshot::complete(ctx.state, &repository, &name);
    let product = ctx.state.product;
    let all = snapshot::store(ctx.state, &repository)?;
    let made = all.iter().find(|s| s.name == name);
    Ok(Reply::ok(
        json!({"snapshot": made.map(|s| s.to_json(product, &repository))}),
    ))
}

fn get(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let (repository, wanted) = (ctx.var("repository"), ctx.var("snapshot"));
    let state = &*ctx.state;
    let repositories: Vec<&String> = state
        .repositories
        .keys()
        .filter(|name| glob_list(repository, name))
        .collect();
    if repositories.is_empty() && !repository.contains('*') && repository != "_all" {
        snapshot::repository(state, repository)?;
    }
    let ignore = ctx.request.flag("ignore_unavailable", false)?;
    let mut found = Vec::new();
    for name in repositories {
        let all = snapshot::store(state, name)?;
        for part in wanted
            .split(',')
            .filter(|p| !p.contains('*') && !matches!(*p, "_all" | "_current"))
        {
            if !ignore && !all.iter().any(|s| s.name == part) {
                return Err(snapshot::missing(name, part));
            }
        }
        for one in all {
            let fits = wanted.split(',').any(|p| {
                if p == "_current" {
                    one.is_running()
                } else {
                    glob_list(p, &one.name)
                }
            });
            if fits {
                let mut entry = one.to_json(state.product, name);
                if ctx.request.flag("index_details", false)? {
                    entry["index_details"] = one.status_json(name)["indices"]
                        .as_object()
                        .into_iter()
                        .flatten()
                        .map(|(index, s)| (index.clone(), json!({
                            "shard_count": s["shards_stats"]["total"], "size_in_bytes": s["stats"]["total"]["size_in_bytes"], "max_segments_per_shard": 1,
                        })))
                        .collect::<Map<_, _>>()
                        .into();
                }
                found.push(entry);
            }
        }
    }
    let count = found.len();
    let mut body = json!({"snapshots": found});
    if !state.product.is_opensearch() {
        body["total"] = json!(count);
        body["remaining"] = json!(0);
    }
    Ok(Reply::ok(body))
}

fn delete(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let (repository, wanted) = (
        ctx.var("repository").to_owned(),
        ctx.var("snapshot").to_owned(),
    );
    snapshot::delete(ctx.state, &repository, &wanted)?;
    Ok(Reply::acknowledged())
}

fn status(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let (repository, wanted) = (ctx.var("repository"), ctx.var("snapshot"));
    let state = &*ctx.state;
    let mut out = Vec::new();
    if wanted.is_empty() {
        for name in state
            .repositories
            .keys()
            .filter(|n| repository.is_empty() || *n == repository)
        {
            out.extend(
                snapshot::store(state, name)?
                    .iter()
                    .filter(|s| s.is_running())
                    .map(|s| s.status_json(name)),
            );
        }
    } else {
        let all = snapshot::store(state, repository)?;
        for part in wanted.split(',') {
            match all.iter().find(|s| s.name == part) {
                Some(found) => out.push(found.status_json(repository)),
                None if ctx.request.flag("ignore_unavailable", false)? => {}
                None => return Err(snapshot::missing(repository, part)),
            }
        }
    }
    Ok(Reply::ok(json!({"snapshots": out})))
}

fn restore(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let (repository, name) = (
        ctx.var("repository").to_owned(),
        ctx.var("snapshot").to_owned(),
    );
    let body = ctx.request.object()?;
    let wait = ctx.request.flag("wait_for_completion", false)?;
    let done = snapshot::restore(ctx.state, &repository, &name, &body)?;
    Ok(Reply::ok(if wait {
        done
    } else {
        json!({"accepted": true})
    }))
}
