//! Legacy, composable and component templates.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::http::Reply;
use crate::mapping;
use crate::pattern::{glob, glob_list};
use crate::router::{Ctx, Route, route};
use crate::settings;

pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/_template", GET, get_legacy),
    route("GET HEAD", "/_template/{name}", GET, get_legacy),
    route("PUT POST", "/_template/{name}", PUT, put_legacy),
    route("DELETE", "/_template/{name}", "@manager", delete_legacy),
    route("GET", "/_index_template", GET, get_composable),
    route("GET HEAD", "/_index_template/{name}", GET, get_composable),
    route("PUT POST", "/_index_template/{name}", PUT, put_composable),
    route(
        "DELETE",
        "/_index_template/{name}",
        "@manager",
        delete_composable,
    ),
    route("GET", "/_component_template", GET, get_component),
    route(
        "GET HEAD",
        "/_component_template/{name}",
        GET,
        get_component,
    ),
    route(
        "PUT POST",
        "/_component_template/{name}",
        PUT,
        put_component,
    ),
    route(
        "DELETE",
        "/_component_template/{name}",
        "@manager",
        delete_component,
    ),
];

const GET: &str = "flat_settings local @manager include_defaults";
const PUT: &str = "create cause order @manager";

/// The `template` part as it is stored: settings nested under `index`, mappings in stored form.
fn stored(ctx: &Ctx<'_>, template: &Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    let mut out = template.clone();
    if let Some(Value::Object(own)) = template.get("settings") {
        let flat = settings::flatten_index(own);
        settings::check_index(ctx.state.product, &flat)?;
        out.insert("settings".to_owned(), settings::nest(&flat));
    }
    if let Some(own) = template.get("mappings").filter(|m| m.is_object()) {
        let defined = template
            .get("settings")
            .and_then(Value::as_object)
            .map(|s| crate::state::analyzers(&settings::flatten_index(s)))
            .unwrap_or_default();
        mapping::check_new(ctx.state.product, own, &defined)?;
        out.insert("mappings".to_owned(), own.clone());
    }
    Ok(out)
}

fn printed(template: &Value, flat: bool) -> Value {
    let mut out = template.clone();
    if flat && let Some(own) = template["settings"].as_object() {
        out["settings"] = json!(settings::flatten_index(own));
    }
    out
}

fn get_legacy(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let wanted = ctx.var("name");
    let flat = ctx.request.flag("flat_settings", false)?;
    let out: Map<String, Value> = ctx
        .state
        .templates
        .legacy
        .iter()
        .filter(|(name, _)| wanted.is_empty() || glob_list(wanted, name))
        .map(|(name, template)| (name.clone(), printed(template, flat)))
        .collect();
    let status = if out.is_empty() && !wanted.is_empty() {
        404
    } else {
        200
    };
    Ok(Reply::json(status, Value::Object(out)))
}

fn put_legacy(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let name = ctx.var("name").to_owned();
    let body = ctx.request.required_object()?;
    const KEYS: &[&str] = &[
        "index_patterns",
        "order",
        "version",
        "settings",
        "mappings",
        "aliases",
    ];
    if let Some(key) = body.keys().find(|k| !KEYS.contains(&k.as_str())) {
        return Err(ApiError::new(
            400,
            "parse_exception",
            format!("unknown key [{key}] in the template "),
        ));
    }
    let patterns = match body.get("index_patterns") {
        Some(Value::String(one)) => json!([one]),
        Some(Value::Array(list)) if !list.is_empty() => Value::Array(list.clone()),
        _ => return Err(ApiError::validation("index patterns are missing")),
    };
    if ctx.request.flag("create", false)? && ctx.state.templates.legacy.contains_key(&name) {
        return Err(ApiError::illegal(format!(
            "index_template [{name}] already exists"
        )));
    }
    let body = stored(ctx, &body)?;
    let mut out = Map::new();
    out.insert(
        "order".to_owned(),
        body.get("order").cloned().unwrap_or_else(|| json!(0)),
    );
    if let Some(version) = body.get("version") {
        out.insert("version".to_owned(), version.clone());
    }
    out.insert("index_patterns".to_owned(), patterns);
    for key in ["settings", "mappings", "aliases"] {
        out.insert(
            key.to_owned(),
            body.get(key).cloned().unwrap_or_else(|| json!({})),
        );
    }
    ctx.state.templates.legacy.insert(name, Value::Object(out));
    ctx.state.changed();
    Ok(Reply::acknowledged())
}

fn template_missing(name: &str) -> ApiError {
    ApiError::new(
        404,
        "index_template_missing_exception",
        format!("index_template [{name}] missing"),
    )
}

/// Removes what `wanted` names; a name without a match is an error, a pattern without one is not.
fn remove(
    map: &mut std::collections::BTreeMap<String, Value>,
    wanted: &str,
) -> Result<(), ApiError> {
    for part in wanted.split(',') {
        let hits: Vec<String> = map.keys().filter(|n| glob(part, n)).cloned().collect();
        if hits.is_empty() && part != "*" {
            return Err(template_missing(part));
        }
        for name in hits {
            map.remove(&name);
        }
    }
    Ok(())
}

fn delete_legacy(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let wanted = ctx.var("name").to_owned();
    remove(&mut ctx.state.templates.legacy, &wanted)?;
    ctx.state.changed();
    Ok(Reply::acknowledged())
}

fn get_composable(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    list(
        ctx,
        "index_templates",
        "index_template",
        "index template",
        false,
    )
}

fn get_component(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    list(
        ctx,
        "component_templates",
        "component_template",
        "component template",
        true,
    )
}

fn list(
    ctx: &mut Ctx<'_>,
    many: &str,
    one: &str,
    words: &str,
    component: bool,
) -> Result<Reply, ApiError> {
    let wanted = ctx.var("name");
    let flat = ctx.request.flag("flat_settings", false)?;
    let map = if component {
        &ctx.state.templates.component
    } else {
        &ctx.state.templates.composable
    };
    let hits: Vec<Value> = map
        .iter()
        .filter(|(name, _)| wanted.is_empty() || glob_list(wanted, name))
        .map(|(name, template)| {
            let mut template = template.clone();
            template["template"] = printed(&template["template"], flat);
            json!({"name": name, one: template})
        })
        .collect();
    if hits.is_empty() && !wanted.is_empty() && !wanted.contains('*') {
        return Err(ApiError::new(
            404,
            "resource_not_found_exception",
            format!("{words} matching [{wanted}] not found"),
        ));
    }
    let status = if hits.is_empty() && component && !wanted.is_empty() {
        404
    } else {
        200
    };
    Ok(Reply::json(status, json!({many: hits})))
}

fn check_keys(words: &str, body: &Map<String, Value>, known: &[&str]) -> Result<(), ApiError> {
    match body.keys().find(|k| !known.contains(&k.as_str())) {
        Some(key) => Err(ApiError::new(
            400,
            "x_content_parse_exception",
            format!("[1:2] [{words}] unknown field [{key}]"),
        )),
        None => Ok(()),
    }
}

fn put_composable(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let name = ctx.var("name").to_owned();
    let mut body = ctx.request.required_object()?;
    check_keys(
        "index_template",
        &body,
        &[
            "index_patterns",
            "template",
            "composed_of",
            "priority",
            "version",
            "_meta",
            "data_stream",
            "allow_auto_create",
            "ignore_missing_component_templates",
            "deprecated",
        ],
    )?;
    let patterns: Vec<String> = match body.get("index_patterns") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect(),
        _ => return Err(ApiError::validation("index patterns are missing")),
    };
    body.insert("index_patterns".to_owned(), json!(patterns));
    if ctx.request.flag("create", false)? && ctx.state.templates.composable.contains_key(&name) {
        return Err(ApiError::illegal(format!(
            "index template [{name}] already exists"
        )));
    }
    let priority = body.get("priority").and_then(Value::as_i64).unwrap_or(0);
    for (other, template) in &ctx.state.templates.composable {
        let theirs: Vec<&str> = template["index_patterns"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let overlap = theirs
            .iter()
            .any(|a| patterns.iter().any(|b| overlaps(a, b)));
        if *other != name && overlap && template["priority"].as_i64().unwrap_or(0) == priority {
            return Err(ApiError::illegal(format!(
                "index template [{name}] has index patterns [{}] matching patterns from existing templates [{other}] with patterns \
                 ({other} => [{}]) that have the same priority [{priority}], multiple index templates may not match during index \
                 creation, please use a different priority",
                patterns.join(", "),
                theirs.join(", ")
            )));
        }
    }
    let absent: Vec<&str> = body
        .get("composed_of")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|n| !ctx.state.templates.component.contains_key(*n))
        .collect();
    if !absent.is_empty() {
        return Err(ApiError::new(
            400,
            "invalid_index_template_exception",
            format!(
                "index_template [{name}] invalid, cause [index template [{name}] specifies component templates [{}] that do not exist]",
                absent.join(", ")
            ),
        ));
    }
    if let Some(Value::Object(template)) = body.get("template") {
        let template = stored(ctx, template)?;
        body.insert("template".to_owned(), Value::Object(template));
    }
    body.entry("composed_of").or_insert_with(|| json!([]));
    ctx.state
        .templates
        .composable
        .insert(name, Value::Object(body));
    ctx.state.changed();
    Ok(Reply::acknowledged())
}

/// True when some name could match both patterns; exact for patterns with one trailing star.
fn overlaps(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim_end_matches('*'), b.trim_end_matches('*'));
    a.starts_with(b) || b.starts_with(a)
}

fn delete_composable(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let wanted = ctx.var("name").to_owned();
    remove(&mut ctx.state.templates.composable, &wanted)?;
    ctx.state.changed();
    Ok(Reply::acknowledged())
}

fn put_component(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let name = ctx.var("name").to_owned();
    let mut body = ctx.request.required_object()?;
    check_keys(
        "component_template",
        &body,
        &[
            "template",
            "version",
            "_meta",
            "deprecated",
            "allow_auto_create",
        ],
    )?;
    let Some(Value::Object(template)) = body.get("template").cloned() else {
        return Err(ApiError::illegal("Required [template]"));
    };
    if ctx.request.flag("create", false)? && ctx.state.templates.component.contains_key(&name) {
        return Err(ApiError::illegal(format!(
            "component template [{name}] already exists"
        )));
    }
    let template = stored(ctx, &template)?;
    body.insert("template".to_owned(), Value::Object(template));
    ctx.state
        .templates
        .component
        .insert(name, Value::Object(body));
    ctx.state.changed();
    Ok(Reply::acknowledged())
}

fn delete_component(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let wanted = ctx.var("name").to_owned();
    for name in ctx
        .state
        .templates
        .component
        .keys()
        .filter(|n| glob_list(&wanted, n))
    {
        let users: Vec<&str> = ctx
            .state
            .templates
            .composable
            .iter()
            .filter(|(_, t)| {
                t["composed_of"]
                    .as_array()
                    .is_some_and(|l| l.iter().any(|c| c == name))
            })
            .map(|(n, _)| n.as_str())
            .collect();
        if !users.is_empty() {
            return Err(ApiError::illegal(format!(
                "component templates [{name}] cannot be removed as they are still in use by index templates [{}]",
                users.join(", ")
            )));
        }
    }
    let gone: Vec<&str> = wanted
        .split(',')
        .filter(|p| !p.contains('*') && !ctx.state.templates.component.contains_key(*p))
        .collect();
    if !gone.is_empty() && !ctx.state.product.is_opensearch() {
        return Err(ApiError::new(
            404,
            "resource_not_found_exception",
            gone.join(","),
        ));
    }
    remove(&mut ctx.state.templates.component, &wanted)?;
    ctx.state.changed();
    Ok(Reply::acknowledged())
}
