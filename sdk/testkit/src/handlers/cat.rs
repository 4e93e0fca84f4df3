//! The tables of `_cat`, as text or as JSON, with `h`, `s`, `v` and `bytes`.

use serde_json::{Map, Value, json};

use crate::clock::iso;
use crate::error::ApiError;
use crate::http::Reply;
use crate::index::Access;
use crate::names::{self, Expand};
use crate::pattern::{glob, glob_list};
use crate::router::{Ctx, Only, Route, route, route_of};
use crate::search;

use super::nodes::{opensearch_classes, transport};

pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/_cat/indices", CAT, indices),
    route("GET", "/_cat/indices/{index}", CAT, indices),
    route("GET", "/_cat/aliases", CAT, aliases),
    route("GET", "/_cat/aliases/{alias}", CAT, aliases),
    route("GET", "/_cat/shards", CAT, shards),
    route("GET", "/_cat/shards/{index}", CAT, shards),
    route("GET", "/_cat/nodes", CAT, nodes),
    route("GET", "/_cat/master", CAT, manager),
    route_of(
        Only::OpenSearch,
        "GET",
        "/_cat/cluster_manager",
        CAT,
        manager,
    ),
    route("GET", "/_cat/allocation", CAT, allocation),
    route("GET", "/_cat/count", CAT, count),
    route("GET", "/_cat/count/{index}", CAT, count),
    route("GET", "/_cat/templates", CAT, templates),
    route("GET", "/_cat/templates/{name}", CAT, templates),
    route("GET", "/_cat/plugins", CAT, plugins),
    route("GET", "/_cat/health", CAT, health),
    route("GET", "/_cat/tasks", CAT_TASKS, tasks),
];

const CAT_TASKS: &str = "format h help s v time detailed nodes parent_task_id actions node_id parent_task wait_for_completion timeout";
const CAT: &str = "format h help s v bytes time local size full_id full_name pri health @manager @expand include_unloaded_segments ts";

struct Table {
    /// Columns in order; the flag says that a column is shown without being asked for.
    columns: Vec<(&'static str, bool)>,
    rows: Vec<Vec<Value>>,
}

/// Other names of columns that clients use.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("i", "index"),
    ("idx", "index"),
    ("s", "status"),
    ("dc", "docs.count"),
    ("docsCount", "docs.count"),
    ("ss", "store.size"),
    ("storeSize", "store.size"),
    ("p", "pri"),
    ("r", "rep"),
    ("id", "uuid"),
    ("sh", "shard"),
    ("st", "state"),
    ("a", "alias"),
    ("n", "name"),
    ("m", "master"),
    ("v", "version"),
];

impl Table {
    fn column(&self, wanted: &str) -> Option<usize> {
        let at = |name: &str| self.columns.iter().position(|(c, _)| *c == name);
        at(wanted).or_else(|| {
            SHORT_NAMES
                .iter()
                .find(|(short, _)| *short == wanted)
                .and_then(|(_, long)| at(long))
        })
    }

    fn render(mut self, ctx: &Ctx<'_>) -> Reply {
        if let Some(sort) = ctx.request.param("s") {
            for part in sort.split(',').rev() {
                let (name, descending) = part
                    .strip_suffix(":desc")
                    .map_or((part.trim_end_matches(":asc"), false), |n| (n, true));
                if let Some(at) = self.column(name) {
                    self.rows.sort_by(|a, b| {
                        let order = cell(&a[at]).cmp(&cell(&b[at]));
                        if descending { order.reverse() } else { order }
                    });
                }
            }
        }
        let shown: Vec<(String, usize)> = match ctx.request.param("h") {
            Some(list) => list
                .split(',')
                .flat_map(|wanted| {
                    if wanted.contains('*') {
                        self.columns
                            .iter()
                            .enumerate()
                            .filter(|(_, (c, _))| glob(wanted, c))
                            .map(|(at, (c, _))| ((*c).to_owned(), at))
                            .collect()
                    } else {
                        self.column(wanted)
                            .map(|at| vec![(wanted.to_owned(), at)])
                            .unwrap_or_default()
                    }
                })
                .collect(),
            None => self
                .columns
                .iter()
                .enumerate()
                .filter(|(_, (_, shown))| *shown)
                .map(|(at, (c, _))| ((*c).to_owned(), at))
                .collect(),
        };
        let json_wanted = ctx.request.param("format") == Some("json")
            || ctx
                .request
                .accept
                .as_deref()
                .is_some_and(|a| a.contains("json"));
        if json_wanted {
            let rows: Vec<Value> = self
                .rows
                .iter()
                .map(|row| {
                    Value::Object(
                        shown
                            .iter()
                            .map(|(name, at)| (name.clone(), row[*at].clone()))
                            .collect::<Map<_, _>>(),
                    )
                })
                .collect();
            return Reply::ok(Value::Array(rows));
        }
        let mut lines: Vec<Vec<String>> = Vec::new();
        if ctx.request.flag("v", false).unwrap_or(false) {
            lines.push(shown.iter().map(|(name, _)| name.clone()).collect());
        }
        lines.extend(
            self.rows
                .iter()
                .map(|row| shown.iter().map(|(_, at)| cell(&row[*at])).collect()),
        );
        let width = |at: usize| {
            lines
                .iter()
                .map(|l| l[at].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..shown.len()).map(width).collect();
        let text: String = lines
            .iter()
            .map(|line| {
                let cells: Vec<String> = line
                    .iter()
                    .zip(&widths)
                    .map(|(c, w)| format!("{c:<w$}"))
                    .collect();
                format!("{}\n", cells.join(" "))
            })
            .collect();
        Reply::text(text)
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A size as the request's `bytes` asks, else for people.
fn size(ctx: &Ctx<'_>, bytes: u64) -> Value {
    let unit = match ctx.request.param("bytes") {
        Some("b") => 1,
        Some("k" | "kb") => 1024,
        Some("m" | "mb") => 1024 * 1024,
        Some("g" | "gb") => 1024 * 1024 * 1024,
        _ => {
            let text = match bytes {
                0..1024 => format!("{bytes}b"),
                1024..1_048_576 => format!("{:.1}kb", bytes as f64 / 1024.0),
                1_048_576..1_073_741_824 => format!("{:.1}mb", bytes as f64 / 1_048_576.0),
                _ => format!("{:.1}gb", bytes as f64 / 1_073_741_824.0),
            };
            return json!(text);
        }
    };
    json!((bytes / unit).to_string())
}

fn indices(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let expand = Expand {
        allow_no_indices: true,
        ..Expand::OPEN_CLOSED
    }
    .with(ctx.request)?;
    let state = &*ctx.state;
    let mut rows = Vec::new();
    for name in names::resolve(state, ctx.var("index"), expand)? {
        let index = state.index(&name)?;
        index.check_block(state.product, Access::MetadataRead)?;
        let health = state.index_health(index);
        if ctx.request.param("health").is_some_and(|h| h != health) {
            continue;
        }
        let copies = state
            .shard_copies(index)
            .iter()
            .filter(|c| c.node.is_some())
            .count() as u64;
        let primaries = u64::from(index.shards()).max(1);
        let bytes = index.store_bytes();
        let open = index.is_open && health != "red";
        let when = |value: Value| if open { value } else { Value::Null };
        rows.push(vec![
            json!(health),
            json!(if index.is_open { "open" } else { "close" }),
            json!(name),
            json!(index.uuid),
            json!(index.shards().to_string()),
            json!(index.replicas().to_string()),
            when(json!(index.lucene_docs().to_string())),
            when(json!("0")),
            when(size(ctx, bytes * copies / primaries)),
            when(size(ctx, bytes)),
            json!(index.created_ms.to_string()),
            json!(iso(index.created_ms)),
            when(size(ctx, bytes)),
        ]);
    }
    let elastic = !state.product.is_opensearch();
    Ok(Table {
        columns: vec![
            ("health", true),
            ("status", true),
            ("index", true),
            ("uuid", true),
            ("pri", true),
            ("rep", true),
            ("docs.count", true),
            ("docs.deleted", true),
            ("store.size", true),
            ("pri.store.size", true),
            ("creation.date", false),
            ("creation.date.string", false),
            ("dataset.size", elastic),
        ],
        rows,
    }
    .render(ctx))
}

fn aliases(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let wanted = if ctx.var("alias").is_empty() {
        "*"
    } else {
        ctx.var("alias")
    };
    let expand = Expand::ALL.with(ctx.request)?;
    let mut rows = Vec::new();
    for index in ctx.state.indices.values() {
        index.check_block(ctx.state.product, Access::MetadataRead)?;
        if !expand.hidden && index.is_hidden() {
            continue;
        }
        for (alias, meta) in &index.aliases {
            if glob_list(wanted, alias) {
                let or_dash = |v: Option<&String>| json!(v.map_or("-", String::as_str));
                rows.push(vec![
                    json!(alias),
                    json!(index.name),
                    json!(if meta.filter.is_some() { "*" } else { "-" }),
                    or_dash(meta.index_routing.as_ref()),
                    or_dash(meta.search_routing.as_ref()),
                    json!(
                        meta.is_write_index
                            .map_or("-".to_owned(), |w| w.to_string())
                    ),
                ]);
            }
        }
    }
    rows.sort_by_key(|row| (cell(&row[0]), cell(&row[1])));
    Ok(Table {
        columns: vec![
            ("alias", true),
            ("index", true),
            ("filter", true),
            ("routing.index", true),
            ("routing.search", true),
            ("is_write_index", true),
        ],
        rows,
    }
    .render(ctx))
}

fn shards(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let expand = Expand::ALL.with(ctx.request)?;
    let state = &*ctx.state;
    let mut rows = Vec::new();
    for name in names::resolve(state, ctx.var("index"), expand)? {
        let index = state.index(&name)?;
        index.check_block(state.product, Access::MetadataRead)?;
        let docs = index.lucene_docs() / u64::from(index.shards()).max(1);
        let bytes = index.store_bytes() / u64::from(index.shards()).max(1);
        for copy in state.shard_copies(index) {
            let node = copy.node.map(|n| &state.nodes[n]);
            let here = |value: Value| if node.is_some() { value } else { Value::Null };
            let reason = match (node.is_some(), copy.delayed || copy.primary) {
                (true, _) => Value::Null,
                (false, true) => json!("NODE_LEFT"),
                (false, false) => json!("INDEX_CREATED"),
            };
            rows.push(vec![
                json!(name),
                json!(copy.shard.to_string()),
                json!(if copy.primary { "p" } else { "r" }),
                json!(if node.is_some() {
                    "STARTED"
                } else {
                    "UNASSIGNED"
                }),
                here(json!(docs.to_string())),
                here(size(ctx, bytes)),
                here(json!("127.0.0.1")),
                json!(node.map(|n| n.name.clone())),
                json!(node.map(|n| n.id.clone())),
                reason,
            ]);
        }
    }
    Ok(Table {
        columns: vec![
            ("index", true),
            ("shard", true),
            ("prirep", true),
            ("state", true),
            ("docs", true),
            ("store", true),
            ("ip", true),
            ("node", true),
            ("id", false),
            ("unassigned.reason", false),
        ],
        rows,
    }
    .render(ctx))
}

fn nodes(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let state = &*ctx.state;
    let manager = state.manager();
    let full = ctx.request.flag("full_id", false)?;
    let elastic = !state.product.is_opensearch();
    let rows = state
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, n)| n.is_up)
        .map(|(at, node)| {
            let star = if manager == Some(at) { "*" } else { "-" };
            let id: String = if full {
                node.id.clone()
            } else {
                node.id.chars().take(4).collect()
            };
            vec![
                json!(id),
                json!("127.0.0.1"),
                json!("33"),
                json!("50"),
                json!("1"),
                json!("0.10"),
                json!("0.10"),
                json!("0.10"),
                json!(if elastic { "cdfhilmrstw" } else { "dim" }),
                json!("cluster_manager,data,ingest"),
                json!(star),
                json!(star),
                json!(node.name),
                json!(node.version),
                json!(node.http),
                json!(transport(node).rsplit(':').next().unwrap_or_default()),
                size(ctx, node.heap_max_bytes),
                size(ctx, node.disk_total_bytes),
                size(
                    ctx,
                    node.disk_total_bytes.saturating_sub(node.disk_free_bytes),
                ),
                size(ctx, node.disk_free_bytes),
            ]
        })
        .collect();
    let opensearch = state.product.is_opensearch();
    Ok(Table {
        columns: vec![
            ("id", false),
            ("ip", true),
            ("heap.percent", true),
            ("ram.percent", true),
            ("cpu", true),
            ("load_1m", true),
            ("load_5m", true),
            ("load_15m", true),
            ("node.role", true),
            ("node.roles", opensearch),
            ("cluster_manager", opensearch),
            ("master", !opensearch),
            ("name", true),
            ("version", false),
            ("http_address", false),
            ("port", false),
            ("heap.max", false),
            ("disk.total", false),
            ("disk.used", false),
            ("disk.avail", false),
        ],
        rows,
    }
    .render(ctx))
}

fn manager(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let at = super::cluster::require_manager(ctx.state)?;
    let node = &ctx.state.nodes[at];
    let rows = vec![vec![
        json!(node.id),
        json!("127.0.0.1"),
        json!("127.0.0.1"),
        json!(node.name),
    ]];
    Ok(Table {
        columns: vec![("id", true), ("host", true), ("ip", true), ("node", true)],
        rows,
    }
    .render(ctx))
}

fn allocation(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let state = &*ctx.state;
    let copies: Vec<_> = state
        .indices
        .values()
        .flat_map(|i| {
            let share = i.store_bytes() / u64::from(i.shards()).max(1);
            state.shard_copies(i).into_iter().map(move |c| (c, share))
        })
        .collect();
    let mut rows = Vec::new();
    for (at, node) in state.nodes.iter().enumerate().filter(|(_, n)| n.is_up) {
        let mine = copies.iter().filter(|(c, _)| c.node == Some(at));
        let used = node.disk_total_bytes.saturating_sub(node.disk_free_bytes);
        rows.push(vec![
            json!(mine.clone().count().to_string()),
            size(ctx, mine.map(|(_, bytes)| bytes).sum()),
            size(ctx, used),
            size(ctx, node.disk_free_bytes),
            size(ctx, node.disk_total_bytes),
            json!((used * 100 / node.disk_total_bytes.max(1)).to_string()),
            json!("127.0.0.1"),
            json!("127.0.0.1"),
            json!(node.name),
        ]);
    }
    let unassigned = copies.iter().filter(|(c, _)| c.node.is_none()).count();
    if unassigned > 0 {
        let mut row = vec![Value::Null; 9];
        row[0] = json!(unassigned.to_string());
        row[8] = json!("UNASSIGNED");
        rows.push(row);
    }
    Ok(Table {
        columns: vec![
            ("shards", true),
            ("disk.indices", true),
            ("disk.used", true),
            ("disk.avail", true),
            ("disk.total", true),
            ("disk.percent", true),
            ("host", true),
            ("ip", true),
            ("node", true),
        ],
        rows,
    }
    .render(ctx))
}

fn count(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let targets = search::targets(
        ctx.state,
        ctx.var("index"),
        Expand::OPEN_FORBID_CLOSED,
        ctx.fail_first_shard,
    )?;
    let answer = search::count(ctx.state, &targets, &json!({"match_all": {}}))?;
    let seconds = ctx.state.now_ms() / 1000;
    let time: String = iso(ctx.state.now_ms()).chars().skip(11).take(8).collect();
    let rows = vec![vec![
        json!(seconds.to_string()),
        json!(time),
        json!(answer["count"].to_string()),
    ]];
    Ok(Table {
        columns: vec![("epoch", true), ("timestamp", true), ("count", true)],
        rows,
    }
    .render(ctx))
}

fn templates(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let wanted = if ctx.var("name").is_empty() {
        "*"
    } else {
        ctx.var("name")
    };
    let text = |value: &Value| {
        json!(if value.is_null() {
            String::new()
        } else {
            crate::query::text(value)
        })
    };
    let mut rows = Vec::new();
    let patterns = |t: &Value| {
        let list: Vec<&str> = t["index_patterns"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        json!(format!("[{}]", list.join(", ")))
    };
    for (name, template) in &ctx.state.templates.legacy {
        if glob_list(wanted, name) {
            rows.push(vec![
                json!(name),
                patterns(template),
                text(&template["order"]),
                text(&template["version"]),
                json!(""),
            ]);
        }
    }
    for (name, template) in &ctx.state.templates.composable {
        if glob_list(wanted, name) {
            let parts: Vec<&str> = template["composed_of"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let order = if template["priority"].is_null() {
                json!("0")
            } else {
                text(&template["priority"])
            };
            rows.push(vec![
                json!(name),
                patterns(template),
                order,
                text(&template["version"]),
                json!(format!("[{}]", parts.join(", "))),
            ]);
        }
    }
    Ok(Table {
        columns: vec![
            ("name", true),
            ("index_patterns", true),
            ("order", true),
            ("version", true),
            ("composed_of", true),
        ],
        rows,
    }
    .render(ctx))
}

fn plugins(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let state = &*ctx.state;
    let mut rows = Vec::new();
    if state.product.is_opensearch() {
        for node in state.nodes.iter().filter(|n| n.is_up) {
            for class in opensearch_classes(state.product) {
                rows.push(vec![json!(node.name), json!(class), json!("NA")]);
            }
        }
    }
    Ok(Table {
        columns: vec![("name", true), ("component", true), ("version", true)],
        rows,
    }
    .render(ctx))
}

fn health(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    super::cluster::require_manager(ctx.state)?;
    let state = &*ctx.state;
    let copies: Vec<_> = state
        .indices
        .values()
        .flat_map(|i| state.shard_copies(i))
        .collect();
    let worst = state
        .indices
        .values()
        .map(|i| state.index_health(i))
        .max_by_key(|h| match *h {
            "red" => 2,
            "yellow" => 1,
            _ => 0,
        });
    let up = state.nodes.iter().filter(|n| n.is_up).count().to_string();
    let active = copies.iter().filter(|c| c.node.is_some()).count();
    let primaries = copies
        .iter()
        .filter(|c| c.primary && c.node.is_some())
        .count();
    let percent = if copies.is_empty() {
        100.0
    } else {
        active as f64 * 100.0 / copies.len() as f64
    };
    let rows = vec![vec![
        json!(state.cluster_name),
        json!(worst.unwrap_or("green")),
        json!(up),
        json!(up),
        json!(active.to_string()),
        json!(primaries.to_string()),
        json!("0"),
        json!("0"),
        json!((copies.len() - active).to_string()),
        json!("0"),
        json!(format!("{percent:.1}%")),
    ]];
    Ok(Table {
        columns: vec![
            ("cluster", true),
            ("status", true),
            ("node.total", true),
            ("node.data", true),
            ("shards", true),
            ("pri", true),
            ("relo", true),
            ("init", true),
            ("unassign", true),
            ("pending_tasks", true),
            ("active_shards_percent", true),
        ],
        rows,
    }
    .render(ctx))
}

fn tasks(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let state = &*ctx.state;
    let actions = ctx.request.param("actions").unwrap_or("*");
    let detailed = ctx.request.flag("detailed", false)?;
    let rows = state
        .tasks
        .values()
        .filter(|t| glob_list(actions, t.job.kind.action()))
        .map(|task| {
            let node = &state.nodes[task.node];
            let time: String = iso(task.start_ms).chars().skip(11).take(8).collect();
            vec![
                json!(task.job.kind.action()),
                json!(task.full_id(state)),
                json!("-"),
                json!("transport"),
                json!(task.start_ms.to_string()),
                json!(time),
                json!(format!("{}ms", state.now_ms() - task.start_ms)),
                json!("127.0.0.1"),
                json!(node.name),
                json!(task.description),
            ]
        })
        .collect();
    Ok(Table {
        columns: vec![
            ("action", true),
            ("task_id", true),
            ("parent_task_id", true),
            ("type", true),
            ("start_time", true),
            ("timestamp", true),
            ("running_time", true),
            ("ip", true),
            ("node", true),
            ("description", detailed),
        ],
        rows,
    }
    .render(ctx))
}
