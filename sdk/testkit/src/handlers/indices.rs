//! Indices: create, read, delete, settings, mappings, open and close, refresh, blocks.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::http::Reply;
use crate::index::{Access, Index};
use crate::mapping;
use crate::names::{self, Expand, is_all};
use crate::pattern::glob_list;
use crate::product::Product;
use crate::router::{Ctx, Only, Route, route, route_of};
use crate::settings::{self, Flat};
use crate::snapshot;
use crate::state::{State, analyzers};

pub(crate) const ROUTES: &[Route] = &[
    route("PUT", "/{index}", "@manager wait_for_active_shards", create),
    route("GET", "/{index}", GET, get),
    route("HEAD", "/{index}", GET, get),
    route("DELETE", "/{index}", "@manager @expand", delete),
    route("GET", "/_settings", GET, get_settings),
    route("GET", "/{index}/_settings", GET, get_settings),
    route("GET", "/{index}/_settings/{name}", GET, get_settings),
    route("GET", "/_settings/{name}", GET, get_settings),
    route("PUT", "/_settings", PUT_SETTINGS, put_settings),
    route("PUT", "/{index}/_settings", PUT_SETTINGS, put_settings),
    route("GET", "/_mapping", GET, get_mapping),
    route("GET", "/{index}/_mapping", GET, get_mapping),
    route("GET", "/{index}/_mappings", GET, get_mapping),
    route(
        "PUT POST",
        "/{index}/_mapping",
        "@manager @expand write_index_only",
        put_mapping,
    ),
    route(
        "PUT POST",
        "/{index}/_mappings",
        "@manager @expand write_index_only",
        put_mapping,
    ),
    route(
        "GET",
        "/{index}/_mapping/field/{fields}",
        "@expand include_defaults local",
        get_field_mapping,
    ),
    route("GET POST", "/_refresh", "@expand", refresh),
    route("GET POST", "/{index}/_refresh", "@expand", refresh),
    route(
        "GET POST",
        "/_flush",
        "@expand force wait_if_ongoing",
        flush,
    ),
    route(
        "GET POST",
        "/{index}/_flush",
        "@expand force wait_if_ongoing",
        flush,
    ),
    route(
        "POST",
        "/{index}/_forcemerge",
        "@expand max_num_segments only_expunge_deletes flush wait_for_completion",
        flush,
    ),
    route("GET", "/_stats", STATS, stats),
    route("GET", "/_stats/{metric}", STATS, stats),
    route("GET", "/{index}/_stats", STATS, stats),
    route("GET", "/{index}/_stats/{metric}", STATS, stats),
    route("PUT", "/{index}/_block/{block}", "@manager @expand", block),
    route(
        "POST",
        "/{index}/_close",
        "@manager @expand wait_for_active_shards",
        close,
    ),
    route(
        "POST",
        "/{index}/_open",
        "@manager @expand wait_for_active_shards",
        open,
    ),
    route("GET", "/_resolve/index/{name}", "expand_wildcards", resolve),
    route(
        "GET",
        "/_recovery",
        "detailed active_only @expand",
        recovery,
    ),
    route(
        "GET",
        "/{index}/_recovery",
        "detailed active_only @expand",
        recovery,
    ),
    route_of(
        Only::OpenSearch,
        "GET POST",
        "/_flush/synced",
        "@expand",
        flush,
    ),
];

/// Every archived setting.
const ARCHIVED: &str = "archived.*";

const GET: &str = "@expand @manager local flat_settings include_defaults features";
const PUT_SETTINGS: &str = "@manager @expand flat_settings preserve_existing reopen";
const STATS: &str = "@expand level groups fields completion_fields fielddata_fields types include_segment_file_sizes \
include_unloaded_segments forbid_closed_indices";

fn create(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let name = ctx.var("index").to_owned();
    let body = ctx.request.object()?;
    ctx.state.create_index(&name, &body)?;
    Ok(Reply::ok(
        json!({"acknowledged": true, "shards_acknowledged": true, "index": name}),
    ))
}

fn get(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let expand = Expand::OPEN.with(ctx.request)?;
    let flat = ctx.request.flag("flat_settings", false)?;
    let human = ctx.request.flag("human", false)?;
    let state = &*ctx.state;
    let mut out = Map::new();
    for name in names::resolve(state, ctx.var("index"), expand)? {
        let index = state.index(&name)?;
        index.check_block(state.product, Access::MetadataRead)?;
        let settings = settings::render(&index.full_settings(state.product, human), flat);
        let body = json!({"aliases": index.aliases_json(), "mappings": *index.mapping, "settings": settings});
        out.insert(name, body);
    }
    Ok(Reply::ok(Value::Object(out)))
}

/// Refuses to delete `index` now: blocked, or part of a running snapshot.
pub(crate) fn check_deletable(state: &State, name: &str) -> Result<(), ApiError> {
    state
        .index(name)?
        .check_block(state.product, Access::Delete)?;
    if snapshot::running_over(state, name).is_some() {
        let uuid = &state.index(name)?.uuid;
        return Err(ApiError::new(
            400,
            "snapshot_in_progress_exception",
            format!(
                "Cannot delete indices that are being snapshotted: [[{name}/{uuid}]]. Try again after snapshot finishes or cancel the currently running snapshot."
            ),
        ));
    }
    Ok(())
}

fn delete(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let expression = ctx.var("index").to_owned();
    let expand = Expand {
        ignore_aliases: true,
        ..Expand::OPEN_CLOSED
    }
    .with(ctx.request)?;
    let wild = is_all(&expression) || expression.contains('*');
    let strict = ctx
        .state
        .cluster_setting("action.destructive_requires_name")
        .as_deref()
        == Some("true");
    if wild && strict {
        return Err(ApiError::illegal(
            "Wildcard expressions or all indices are not allowed",
        ));
    }
    let list = names::resolve(ctx.state, &expression, expand)?;
    for name in &list {
        check_deletable(ctx.state, name)?;
    }
    for name in &list {
        ctx.state.indices.remove(name);
    }
    if !list.is_empty() {
        ctx.state.changed();
    }
    Ok(Reply::acknowledged())
}

fn get_settings(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let expand = Expand::OPEN_CLOSED.with(ctx.request)?;
    let flat = ctx.request.flag("flat_settings", false)?;
    let human = ctx.request.flag("human", false)?;
    let wanted = ctx.var("name");
    let state = &*ctx.state;
    let mut out = Map::new();
    for name in names::resolve(state, ctx.var("index"), expand)? {
        let index = state.index(&name)?;
        index.check_block(state.product, Access::MetadataRead)?;
        let mut all = index.full_settings(state.product, human);
        if !wanted.is_empty() {
            all.retain(|key, _| glob_list(wanted, key));
        }
        if wanted.is_empty() || !all.is_empty() {
            out.insert(name, json!({"settings": settings::render(&all, flat)}));
        }
    }
    Ok(Reply::ok(Value::Object(out)))
}

fn put_settings(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let expand = Expand {
        allow_no_indices: false,
        ..Expand::OPEN_CLOSED
    }
    .with(ctx.request)?;
    let body = ctx.request.required_object()?;
    let body = match body.get("settings") {
        Some(Value::Object(inner)) if body.len() == 1 => inner.clone(),
        _ => body,
    };
    let mut change = settings::flatten_index(&body);
    if change.is_empty() {
        return Err(ApiError::validation("no settings to update"));
    }
    let product = ctx.state.product;
    let preserve = ctx.request.flag("preserve_existing", false)?;
    let list = names::resolve(ctx.state, ctx.var("index"), expand)?;
    // The one pattern that a removal takes here; every other key is checked by its name.
    let archived = change.get(ARCHIVED).is_some_and(Value::is_null);
    if archived {
        change.remove(ARCHIVED);
    }
    settings::check_index(product, &change)?;
    let names = |key: &str| change.contains_key(key);
    let (metadata, rest) = (
        names("index.blocks.metadata"),
        names("index.blocks.read_only") || names("index.blocks.read_only_allow_delete"),
    );
    // A request that changes these blocks passes them, or none could be lifted. OpenSearch wants it
    // to change nothing else; Elasticsearch wants that of the metadata block only.
    let alone = change.len() == 1;
    let lifts = if product.is_opensearch() {
        alone && (metadata || rest)
    } else {
        (alone && metadata) || rest
    };
    for name in &list {
        let index = ctx.state.index(name)?;
        if !lifts {
            index.check_block(product, Access::MetadataWrite)?;
        }
        check_static(product, index, &change)?;
        // OpenSearch takes them for settings that only a closed index changes.
        if archived && product.is_opensearch() && index.is_open {
            return Err(ApiError::illegal(format!(
                "Can't update non dynamic settings [[{ARCHIVED}]] for open indices [[{name}/{}]]",
                index.uuid
            )));
        }
    }
    for name in &list {
        let index = ctx.state.index_mut(name)?;
        index.change_settings(|settings| {
            if archived {
                settings.retain(|key, _| !key.starts_with(settings::ARCHIVED_PREFIX));
            }
            for (key, value) in &change {
                if value.is_null() {
                    if let Some(prefix) = key.strip_suffix('*') {
                        settings.retain(|k, _| !k.starts_with(prefix));
                    }
                    settings.remove(key);
                    if key == "index.number_of_replicas" {
                        settings.insert(key.clone(), json!("1"));
                    }
                } else if !preserve || !settings.contains_key(key) {
                    settings.insert(key.clone(), value.clone());
                }
            }
        });
    }
    ctx.state.changed();
    Ok(Reply::acknowledged())
}

fn check_static(product: Product, index: &Index, change: &Flat) -> Result<(), ApiError> {
    let fixed: Vec<&str> = change
        .keys()
        .map(String::as_str)
        .filter(|k| settings::is_static(k))
        .collect();
    if fixed.is_empty() {
        return Ok(());
    }
    if index.is_open {
        return Err(ApiError::illegal(format!(
            "Can't update non dynamic settings [[{}]] for open indices [[{}/{}]]{}",
            fixed.join(", "),
            index.name,
            index.uuid,
            if product.is_opensearch() {
                ""
            } else {
                " unless the `reopen` query parameter is set to true. Alternatively, close the indices, apply the settings changes, and reopen the indices"
            }
        )));
    }
    match fixed
        .iter()
        .find(|k| k.starts_with("index.number_of") || k.starts_with("index.sort"))
    {
        Some(key) => Err(ApiError::illegal(format!(
            "final {} setting [{key}], not updateable",
            index.name
        ))),
        None => Ok(()),
    }
}

fn get_mapping(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let expand = Expand::OPEN.with(ctx.request)?;
    let state = &*ctx.state;
    let mut out = Map::new();
    for name in names::resolve(state, ctx.var("index"), expand)? {
        let index = state.index(&name)?;
        index.check_block(state.product, Access::MetadataRead)?;
        out.insert(name, json!({"mappings": *index.mapping}));
    }
    Ok(Reply::ok(Value::Object(out)))
}

fn put_mapping(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let expand = Expand {
        allow_no_indices: false,
        ..Expand::OPEN_CLOSED
    }
    .with(ctx.request)?;
    let update = Value::Object(ctx.request.required_object()?);
    let list = names::resolve(ctx.state, ctx.var("index"), expand)?;
    let product = ctx.state.product;
    let mut merged = Vec::new();
    for name in &list {
        let index = ctx.state.index(name)?;
        index.check_block(product, Access::MetadataWrite)?;
        mapping::check_update(product, &update, &analyzers(index.settings()))?;
        merged.push(mapping::merge(product, &index.mapping, &update)?);
    }
    for (name, mapping) in list.iter().zip(merged) {
        ctx.state.index_mut(name)?.mapping = Arc::new(mapping);
    }
    ctx.state.changed();
    Ok(Reply::acknowledged())
}

fn get_field_mapping(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let expand = Expand::OPEN.with(ctx.request)?;
    let state = &*ctx.state;
    let mut out = Map::new();
    for name in names::resolve(state, ctx.var("index"), expand)? {
        let index = state.index(&name)?;
        let mut fields = Map::new();
        for path in ctx.var("fields").split(',') {
            if let Some((definition, _)) = mapping::field(&index.mapping, path) {
                let leaf = path.rsplit('.').next().unwrap_or(path);
                fields.insert(
                    path.to_owned(),
                    json!({"full_name": path, "mapping": {leaf: definition}}),
                );
            }
        }
        out.insert(name, json!({"mappings": fields}));
    }
    Ok(Reply::ok(Value::Object(out)))
}

/// `_shards` of an operation over all copies of some indices.
pub(crate) fn broadcast(state: &State, list: &[String]) -> Value {
    let copies: Vec<_> = list
        .iter()
        .filter_map(|n| state.indices.get(n))
        .flat_map(|i| state.shard_copies(i))
        .collect();
    let active = copies.iter().filter(|c| c.node.is_some()).count();
    json!({"total": copies.len(), "successful": active, "failed": 0})
}

fn refresh(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let expand = Expand {
        hidden: true,
        ..Expand::OPEN_FORBID_CLOSED
    }
    .with(ctx.request)?;
    let list = names::resolve(ctx.state, ctx.var("index"), expand)?;
    let now = ctx.state.now_ms();
    for name in &list {
        ctx.state.index_mut(name)?.refresh(now);
    }
    Ok(Reply::ok(json!({"_shards": broadcast(ctx.state, &list)})))
}

fn flush(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let expand = Expand {
        hidden: true,
        ..Expand::OPEN_FORBID_CLOSED
    }
    .with(ctx.request)?;
    let list = names::resolve(ctx.state, ctx.var("index"), expand)?;
    for name in &list {
        ctx.state.index_mut(name)?.flush();
    }
    Ok(Reply::ok(json!({"_shards": broadcast(ctx.state, &list)})))
}

fn stats(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let expand = Expand {
        hidden: true,
        ..Expand::OPEN_FORBID_CLOSED
    }
    .with(ctx.request)?;
    let state = &*ctx.state;
    let list = names::resolve(state, ctx.var("index"), expand)?;
    let mut indices = Map::new();
    let mut sums = [(0_u64, 0_u64); 2];
    for name in &list {
        let index = state.index(name)?;
        index.check_block(state.product, Access::MetadataRead)?;
        let copies = state
            .shard_copies(index)
            .iter()
            .filter(|c| c.node.is_some())
            .count() as u64;
        let factor = copies / u64::from(index.shards()).max(1);
        let (docs, bytes) = (index.lucene_docs(), index.store_bytes());
        let part = |docs: u64, bytes: u64| json!({"docs": {"count": docs, "deleted": 0}, "store": {"size_in_bytes": bytes, "reserved_in_bytes": 0}});
        let mut entry = json!({
            "uuid": index.uuid,
            "primaries": part(docs, bytes),
            "total": part(docs * factor, bytes * factor),
        });
        if ctx.request.param("level") == Some("shards") {
            entry["shards"] = shard_stats(state, index);
        }
        indices.insert(name.clone(), entry);
        sums[0] = (sums[0].0 + docs, sums[0].1 + bytes);
        sums[1] = (sums[1].0 + docs * factor, sums[1].1 + bytes * factor);
    }
    let part = |(docs, bytes): (u64, u64)| json!({"docs": {"count": docs, "deleted": 0}, "store": {"size_in_bytes": bytes, "reserved_in_bytes": 0}});
    Ok(Reply::ok(json!({
        "_shards": broadcast(state, &list),
        "_all": {"primaries": part(sums[0]), "total": part(sums[1])},
        "indices": indices,
    })))
}

fn shard_stats(state: &State, index: &Index) -> Value {
    let counters = index.seq_no_counters();
    let mut out = Map::new();
    for copy in state
        .shard_copies(index)
        .into_iter()
        .filter(|c| c.node.is_some())
    {
        let highest = counters
            .get(&copy.shard)
            .map_or(-1, |next| i64::try_from(*next).unwrap_or(i64::MAX) - 1);
        let docs = index
            .searchable()
            .values()
            .filter(|d| d.shard == copy.shard)
            .count();
        let entry = json!({
            "routing": {"state": "STARTED", "primary": copy.primary, "node": copy.node.map(|n| state.nodes[n].id.clone()), "relocating_node": null},
            "docs": {"count": docs, "deleted": 0},
            "seq_no": {"max_seq_no": highest, "local_checkpoint": highest, "global_checkpoint": highest},
            "commit": {"user_data": {"max_seq_no": index.committed_seq_no(copy.shard).to_string()}, "num_docs": docs},
        });
        if let Value::Array(list) = out
            .entry(copy.shard.to_string())
            .or_insert_with(|| json!([]))
        {
            list.push(entry);
        }
    }
    Value::Object(out)
}

fn block(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let name = ctx.var("block").to_owned();
    if !["write", "read", "metadata", "read_only"].contains(&name.as_str()) {
        return Err(ApiError::illegal(format!(
            "No block found with name {name}"
        )));
    }
    let expand = Expand {
        allow_no_indices: false,
        ..Expand::OPEN
    }
    .with(ctx.request)?;
    let list = names::resolve(ctx.state, ctx.var("index"), expand)?;
    let product = ctx.state.product;
    for index in &list {
        ctx.state
            .index(index)?
            .check_block(product, Access::MetadataRead)?;
    }
    let mut blocked = Vec::new();
    for index in &list {
        let entry = ctx.state.index_mut(index)?;
        entry.change_settings(|settings| {
            settings.insert(format!("index.blocks.{name}"), json!("true"));
            if name == "write" && !product.is_opensearch() {
                settings.insert("index.verified_read_only".to_owned(), json!("true"));
            }
        });
        blocked.push(json!({"name": index, "blocked": true}));
    }
    ctx.state.changed();
    Ok(Reply::ok(
        json!({"acknowledged": true, "shards_acknowledged": true, "indices": blocked}),
    ))
}

fn close(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let expand = Expand {
        allow_no_indices: false,
        ..Expand::OPEN
    }
    .with(ctx.request)?;
    let strict = ctx
        .state
        .cluster_setting("action.destructive_requires_name")
        .as_deref()
        == Some("true");
    if strict && (is_all(ctx.var("index")) || ctx.var("index").contains('*')) {
        return Err(ApiError::illegal(
            "Wildcard expressions or all indices are not allowed",
        ));
    }
    let list = names::resolve(ctx.state, ctx.var("index"), expand)?;
    for name in &list {
        ctx.state
            .index(name)?
            .check_block(ctx.state.product, Access::MetadataWrite)?;
        if snapshot::running_over(ctx.state, name).is_some() {
            return Err(ApiError::new(
                400,
                "snapshot_in_progress_exception",
                format!(
                    "Cannot close indices that are being snapshotted: [[{name}]]. Try again after snapshot finishes or cancel the currently running snapshot."
                ),
            ));
        }
    }
    let now = ctx.state.now_ms();
    let mut closed = Map::new();
    for name in &list {
        let index = ctx.state.index_mut(name)?;
        index.refresh(now);
        index.is_open = false;
        closed.insert(name.clone(), json!({"closed": true}));
    }
    ctx.state.changed();
    Ok(Reply::ok(
        json!({"acknowledged": true, "shards_acknowledged": true, "indices": closed}),
    ))
}

fn open(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let expand = Expand {
        allow_no_indices: false,
        open: false,
        closed: true,
        ..Expand::OPEN
    }
    .with(ctx.request)?;
    let list = names::resolve(ctx.state, ctx.var("index"), expand)?;
    for name in &list {
        ctx.state
            .index(name)?
            .check_block(ctx.state.product, Access::MetadataWrite)?;
    }
    for name in &list {
        ctx.state.index_mut(name)?.is_open = true;
    }
    ctx.state.changed();
    Ok(Reply::ok(
        json!({"acknowledged": true, "shards_acknowledged": true}),
    ))
}

fn resolve(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let expand = Expand {
        ignore_unavailable: ctx.state.product.is_opensearch(),
        ..Expand::OPEN
    }
    .with(ctx.request)?;
    let state = &*ctx.state;
    let wanted = ctx.var("name");
    let mut indices = Vec::new();
    for name in names::resolve(state, wanted, expand)? {
        if !glob_list(wanted, &name) {
            continue;
        }
        let index = state.index(&name)?;
        let mut entry = json!({"name": name});
        if !index.aliases.is_empty() {
            entry["aliases"] = json!(index.aliases.keys().collect::<Vec<_>>());
        }
        let mut attributes = vec![if index.is_open { "open" } else { "closed" }];
        if index.is_hidden() {
            attributes.push("hidden");
        }
        entry["attributes"] = json!(attributes);
        indices.push(entry);
    }
    let mut aliases = Map::new();
    for index in state.indices.values() {
        for alias in index.aliases.keys().filter(|a| glob_list(wanted, a)) {
            if let Value::Array(list) = aliases.entry(alias.clone()).or_insert_with(|| json!([])) {
                list.push(json!(index.name));
            }
        }
    }
    aliases.sort_keys();
    let aliases: Vec<Value> = aliases
        .into_iter()
        .map(|(name, indices)| json!({"name": name, "indices": indices}))
        .collect();
    Ok(Reply::ok(
        json!({"indices": indices, "aliases": aliases, "data_streams": []}),
    ))
}

fn recovery(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let expand = Expand::OPEN_CLOSED.with(ctx.request)?;
    let state = &*ctx.state;
    let mut out = Map::new();
    if !ctx.request.flag("active_only", false)? {
        for name in names::resolve(state, ctx.var("index"), expand)? {
            let index = state.index(&name)?;
            index.check_block(state.product, Access::MetadataRead)?;
            let shards: Vec<Value> = state
                .shard_copies(index)
                .into_iter()
                .filter_map(|c| c.node.map(|n| (c, n)))
                .map(|(copy, node)| {
                    let restored = index.restored_from.as_ref().filter(|_| copy.primary);
                    let source = restored.map_or_else(
                        || json!({}),
                        |(repository, snapshot, original)| {
                            json!({"repository": repository, "snapshot": snapshot, "index": original, "version": index.created_version})
                        },
                    );
                    let kind = match (restored.is_some(), copy.primary) {
                        (true, _) => "SNAPSHOT",
                        (false, true) => "EMPTY_STORE",
                        (false, false) => "PEER",
                    };
                    json!({
                        "id": copy.shard, "type": kind, "stage": "DONE", "primary": copy.primary, "source": source,
                        "target": {"id": state.nodes[node].id, "name": state.nodes[node].name},
                        "index": {"size": {"total_in_bytes": index.store_bytes(), "recovered_in_bytes": index.store_bytes(), "percent": "100.0%"}},
                    })
                })
                .collect();
            out.insert(name, json!({"shards": shards}));
        }
    }
    Ok(Reply::ok(Value::Object(out)))
}
