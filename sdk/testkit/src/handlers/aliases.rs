//! Aliases: reading them, and changing several in one atomic call.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::http::Reply;
use crate::index::{Access, Alias};
use crate::names::{self, Expand};
use crate::pattern::{glob, glob_list};
use crate::router::{Ctx, Route, route};
use crate::state::State;

pub(crate) const ROUTES: &[Route] = &[
    route("GET HEAD", "/_alias", GET, get),
    route("GET HEAD", "/_alias/{name}", GET, get),
    route("GET HEAD", "/{index}/_alias", GET, get),
    route("GET HEAD", "/{index}/_alias/{name}", GET, get),
    route("GET", "/_aliases", GET, get),
    route("POST", "/_aliases", "@manager", update),
    route("PUT POST", "/{index}/_alias/{name}", "@manager", put_one),
    route("PUT POST", "/{index}/_aliases/{name}", "@manager", put_one),
    route("DELETE", "/{index}/_alias/{name}", "@manager", delete_one),
    route("DELETE", "/{index}/_aliases/{name}", "@manager", delete_one),
];

const GET: &str = "@expand local @manager";

fn get(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let state = &*ctx.state;
    let expand = Expand::ALL.with(ctx.request)?;
    let list = names::resolve(state, ctx.var("index"), expand)?;
    let wanted = ctx.var("name");
    let mut out = Map::new();
    let mut seen: Vec<&str> = Vec::new();
    for name in &list {
        let index = state.index(name)?;
        index.check_block(state.product, Access::MetadataRead)?;
        let mut aliases = Map::new();
        for (alias, meta) in &index.aliases {
            if wanted.is_empty() || glob_list(wanted, alias) {
                aliases.insert(alias.clone(), meta.to_json());
                seen.push(alias);
            }
        }
        // Without a name every index is listed; with one only those that have it.
        if wanted.is_empty() || !aliases.is_empty() {
            out.insert(name.clone(), json!({"aliases": aliases}));
        }
    }
    let mut missing: Vec<&str> = wanted
        .split(',')
        .filter(|p| !p.is_empty() && !p.contains('*') && *p != "_all" && !seen.contains(p))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return Ok(Reply::ok(Value::Object(out)));
    }
    let what = if missing.len() == 1 {
        "alias"
    } else {
        "aliases"
    };
    let mut body = Map::new();
    body.insert(
        "error".to_owned(),
        json!(format!("{what} [{}] missing", missing.join(","))),
    );
    body.insert("status".to_owned(), json!(404));
    body.extend(out);
    Ok(Reply::json(404, Value::Object(body)))
}

#[derive(Debug)]
enum Action {
    Add {
        indices: Vec<String>,
        aliases: Vec<String>,
        meta: Alias,
    },
    Remove {
        indices: Vec<String>,
        aliases: Vec<String>,
        must_exist: Option<bool>,
    },
    RemoveIndex {
        index: String,
    },
}

fn names_of(body: &Map<String, Value>, one: &str, many: &str) -> Vec<String> {
    match body.get(one).or_else(|| body.get(many)) {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

fn parse(action: &Value) -> Result<Action, ApiError> {
    let Some((kind, body)) = action.as_object().and_then(|m| m.iter().next()) else {
        return Err(ApiError::parse("[alias_action] expected an object"));
    };
    let empty = Map::new();
    let body = body.as_object().unwrap_or(&empty);
    const KEYS: &[&str] = &[
        "index",
        "indices",
        "alias",
        "aliases",
        "filter",
        "routing",
        "index_routing",
        "search_routing",
        "is_write_index",
        "is_hidden",
        "must_exist",
    ];
    if let Some(key) = body.keys().find(|k| !KEYS.contains(&k.as_str())) {
        return Err(ApiError::new(
            400,
            "x_content_parse_exception",
            "[1:1] [aliases] failed to parse field [actions]",
        )
        .caused(
            "x_content_parse_exception",
            format!("[1:1] [{kind}] unknown field [{key}]"),
        ));
    }
    let indices = names_of(body, "index", "indices");
    let aliases = names_of(body, "alias", "aliases");
    let need = |list: &[String], what: &str| {
        if list.is_empty() {
            Err(ApiError::illegal(format!("One of [{what}] is required")))
        } else {
            Ok(())
        }
    };
    match kind.as_str() {
        "add" => {
            need(&indices, "index] or [indices")?;
            need(&aliases, "alias] or [aliases")?;
            Ok(Action::Add {
                indices,
                aliases,
                meta: Alias::parse(body),
            })
        }
        "remove" => {
            need(&indices, "index] or [indices")?;
            need(&aliases, "alias] or [aliases")?;
            Ok(Action::Remove {
                indices,
                aliases,
                must_exist: body.get("must_exist").and_then(Value::as_bool),
            })
        }
        "remove_index" => {
            need(&indices, "index] or [indices")?;
            Ok(Action::RemoveIndex {
                index: indices.join(","),
            })
        }
        other => Err(ApiError::new(
            400,
            "x_content_parse_exception",
            "[1:1] [aliases] failed to parse field [actions]",
        )
        .caused(
            "x_content_parse_exception",
            format!("[1:1] [alias_action] unknown field [{other}]"),
        )),
    }
}

fn update(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let body = ctx.request.required_object()?;
    let actions: Vec<Action> = body
        .get("actions")
        .and_then(Value::as_array)
        .ok_or_else(|| ApiError::illegal("No action specified"))?
        .iter()
        .map(parse)
        .collect::<Result<_, _>>()?;
    apply(ctx, &actions)
}

fn put_one(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let body = ctx.request.object()?;
    let action = Action::Add {
        indices: vec![ctx.var("index").to_owned()],
        aliases: vec![ctx.var("name").to_owned()],
        meta: Alias::parse(&body),
    };
    apply(ctx, &[action])
}

fn delete_one(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let action = Action::Remove {
        indices: vec![ctx.var("index").to_owned()],
        aliases: ctx.var("name").split(',').map(ToOwned::to_owned).collect(),
        must_exist: None,
    };
    apply(ctx, &[action])
}

fn not_found(aliases: &[String]) -> ApiError {
    ApiError::new(
        404,
        "aliases_not_found_exception",
        format!("aliases [{}] missing", aliases.join(",")),
    )
    .with("resource.type", "aliases")
    .with("resource.id", aliases.join(","))
}

/// Does all actions or none: they work on a copy that takes the state's place at the end.
fn apply(ctx: &mut Ctx<'_>, actions: &[Action]) -> Result<Reply, ApiError> {
    if actions.is_empty() {
        return Err(ApiError::illegal("No action specified"));
    }
    let expand = Expand {
        closed: true,
        hidden: true,
        allow_no_indices: false,
        ignore_aliases: true,
        ..Expand::OPEN
    };
    let product = ctx.state.product;
    let mut draft = ctx.state.clone();
    let mut did_something = false;
    let mut unseen: Vec<String> = Vec::new();
    let mut outcomes: Vec<(&Action, bool)> = Vec::new();
    // Indices are deleted last, but names are checked as if they were gone.
    let removed: Vec<String> = actions
        .iter()
        .filter_map(|a| match a {
            Action::RemoveIndex { index } => Some(names::resolve(ctx.state, index, expand)),
            _ => None,
        })
        .collect::<Result<Vec<_>, _>>()?
        .concat();
    for name in &removed {
        super::indices::check_deletable(ctx.state, name)?;
    }
    for action in actions {
        match action {
            Action::Add {
                indices,
                aliases,
                meta,
            } => {
                for name in resolve_all(ctx.state, indices, expand)? {
                    draft
                        .index(&name)?
                        .check_block(product, Access::MetadataWrite)?;
                    for alias in aliases {
                        if !removed.contains(alias) {
                            draft.check_alias_name(alias, None)?;
                        }
                        draft
                            .index_mut(&name)?
                            .aliases
                            .insert(alias.clone(), meta.clone());
                        did_something = true;
                    }
                }
                outcomes.push((action, true));
            }
            Action::Remove {
                indices,
                aliases,
                must_exist,
            } => {
                let list = resolve_all(ctx.state, indices, expand)?;
                let mut found = false;
                for name in &list {
                    draft
                        .index(name)?
                        .check_block(product, Access::MetadataWrite)?;
                    let index = draft.index_mut(name)?;
                    let before = index.aliases.len();
                    index
                        .aliases
                        .retain(|alias, _| !aliases.iter().any(|p| glob(p, alias)));
                    found |= index.aliases.len() < before;
                }
                // Only OpenSearch counts a removal that need not find anything as done.
                did_something |= found || (*must_exist == Some(false) && product.is_opensearch());
                outcomes.push((action, found));
                if !found {
                    if *must_exist == Some(true) {
                        return Err(not_found(aliases));
                    }
                    unseen.extend(aliases.iter().cloned());
                }
            }
            Action::RemoveIndex { .. } => {
                did_something = true;
                outcomes.push((action, true));
            }
        }
    }
    if !did_something {
        return Err(not_found(&unseen));
    }
    for name in &removed {
        draft.indices.remove(name);
    }
    draft.check_write_aliases()?;
    draft.changed();
    *ctx.state = draft;
    let mut body = json!({"acknowledged": true});
    if !product.is_opensearch() {
        let failed = outcomes.iter().any(|(_, done)| !done);
        body["errors"] = json!(failed);
        if failed {
            body["action_results"] = outcomes
                .into_iter()
                .map(|(action, done)| outcome(action, done))
                .collect();
        }
    }
    Ok(Reply::ok(body))
}

/// One line of Elasticsearch's `action_results`.
fn outcome(action: &Action, done: bool) -> Value {
    let (kind, indices, aliases) = match action {
        Action::Add {
            indices, aliases, ..
        } => ("add", indices.clone(), aliases.clone()),
        Action::Remove {
            indices, aliases, ..
        } => ("remove", indices.clone(), aliases.clone()),
        Action::RemoveIndex { index } => ("remove_index", vec![index.clone()], Vec::new()),
    };
    let mut out = json!({
        "action": {"type": kind, "indices": indices, "aliases": aliases},
        "status": if done { 200 } else { 404 },
    });
    if !done {
        out["error"] = not_found(&aliases).object();
    }
    out
}

fn resolve_all(state: &State, indices: &[String], expand: Expand) -> Result<Vec<String>, ApiError> {
    names::resolve(state, &indices.join(","), expand)
}
