//! Searches: what is looked at, sorting, paging, points in time, scrolls and a few aggregations.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::aggregate::aggregate;
use crate::error::ApiError;
use crate::http::filter_path;
use crate::index::{Access, Doc, Docs};
use crate::mapping::field;
use crate::names::{self, Expand};
use crate::pattern::glob;
use crate::query::{self, Subject};
use crate::state::State;

/// Most hits that paging by `from` and `size` reaches; the servers' default window.
const RESULT_WINDOW_MAX: u64 = 10_000;

/// How the simulator's scroll ids begin; any other text is not one.
const SCROLL_PREFIX: &str = "scroll-";

/// How the simulator's ids of points in time begin.
pub(crate) const PIT_PREFIX: &str = "pit-";

/// Up to where totals are counted unless `track_total_hits` says otherwise.
const TOTAL_HITS_DEFAULT: u64 = 10_000;

/// One index as a search sees it, frozen when the search or its point in time began.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) index: String,
    pub(crate) uuid: String,
    pub(crate) shards: u32,
    /// The node that answers for its first shard.
    node: Option<String>,
    docs: Arc<Docs>,
    pub(crate) mapping: Arc<Value>,
    filter: Option<Value>,
    /// Shards without an active copy, or made to fail by a fault.
    failed: Vec<u32>,
    /// The only shards that are asked, where the request says so.
    only: Option<Vec<u32>>,
}

impl Target {
    fn is_asked(&self, shard: u32) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&shard))
    }
}

/// The shards that a `preference` names: `_shards:0,2`, or with another preference behind `|`.
fn shards_asked(preference: Option<&str>) -> Result<Option<Vec<u32>>, ApiError> {
    let Some(list) = preference.and_then(|text| text.strip_prefix("_shards:")) else {
        return Ok(None);
    };
    let list = list.split('|').next().unwrap_or_default();
    let shards: Result<Vec<u32>, _> = list.split(',').map(str::parse).collect();
    shards
        .map(Some)
        .map_err(|_| ApiError::illegal(format!("For input string: \"{list}\"")))
}

/// A point in time.
#[derive(Debug, Clone)]
pub(crate) struct Pit {
    pub(crate) targets: Vec<Target>,
    pub(crate) created_ms: i64,
    pub(crate) keep_alive_ms: i64,
    pub(crate) expires_ms: i64,
}

/// An open scroll: its hits are worked out when it begins, as its snapshot of the index is.
#[derive(Debug, Clone)]
pub(crate) struct Scroll {
    hits: Vec<Value>,
    at: usize,
    size: usize,
    total: Value,
    shards: Value,
    pub(crate) expires_ms: i64,
}

/// What a search asks for.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pub(crate) query: Value,
    pub(crate) size: u64,
    pub(crate) from: u64,
    pub(crate) sort: Vec<SortKey>,
    pub(crate) search_after: Option<Vec<Value>>,
    /// `None`: not counted; a number: counted up to it.
    pub(crate) track_total: Option<u64>,
    pub(crate) source: Value,
    pub(crate) version: bool,
    pub(crate) seq_no: bool,
    pub(crate) aggs: Map<String, Value>,
    pub(crate) typed_keys: bool,
    pub(crate) pit: Option<Value>,
}

#[derive(Debug, Clone)]
pub(crate) struct SortKey {
    field: String,
    descending: bool,
    missing_first: bool,
    unmapped: bool,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            query: json!({"match_all": {}}),
            size: 10,
            from: 0,
            sort: Vec::new(),
            search_after: None,
            track_total: Some(TOTAL_HITS_DEFAULT),
            source: Value::Bool(true),
            version: false,
            seq_no: false,
            aggs: Map::new(),
            typed_keys: false,
            pit: None,
        }
    }
}

fn unsigned(key: &str, value: &Value) -> Result<u64, ApiError> {
    value
        .as_u64()
        .or_else(|| value.as_str().and_then(|s| s.parse().ok()))
        .ok_or_else(|| {
            ApiError::illegal(format!(
                "[{key}] parameter cannot be negative, found [{value}]"
            ))
        })
}

impl Search {
    /// Reads a search body; keys that no server knows are refused, some that do not matter are not.
    pub(crate) fn parse(body: &Map<String, Value>) -> Result<Self, ApiError> {
        let mut search = Self::default();
        for (key, value) in body {
            match key.as_str() {
                "query" => search.query = value.clone(),
                "size" => search.size = unsigned(key, value)?,
                "from" => search.from = unsigned(key, value)?,
                "sort" => search.sort = parse_sort(value)?,
                "search_after" => search.search_after = value.as_array().cloned(),
                "track_total_hits" => {
                    search.track_total = match value {
                        Value::Bool(true) => Some(u64::MAX),
                        Value::Bool(false) => None,
                        other => Some(unsigned(key, other)?),
                    }
                }
                "_source" => search.source = value.clone(),
                "version" => search.version = value.as_bool().unwrap_or(false),
                "seq_no_primary_term" => search.seq_no = value.as_bool().unwrap_or(false),
                "aggs" | "aggregations" => {
                    search.aggs = value.as_object().cloned().unwrap_or_default()
                }
                "pit" => search.pit = Some(value.clone()),
                "timeout" | "stored_fields" | "docvalue_fields" | "fields" | "terminate_after"
                | "track_scores" | "profile" | "slice" | "explain" | "min_score"
                | "indices_boost" | "post_filter" | "highlight" | "collapse" | "rescore"
                | "script_fields" | "stats" | "suggest" | "ext" => {}
                other => {
                    let token = match value {
                        Value::Object(_) => "START_OBJECT",
                        Value::Array(_) => "START_ARRAY",
                        Value::String(_) => "VALUE_STRING",
                        Value::Bool(_) => "VALUE_BOOLEAN",
                        Value::Null => "VALUE_NULL",
                        Value::Number(_) => "VALUE_NUMBER",
                    };
                    return Err(ApiError::parse(format!(
                        "Unknown key for a {token} in [{other}]."
                    ))
                    .with("line", 1)
                    .with("col", 1));
                }
            }
        }
        query::check(&search.query)?;
        Ok(search)
    }
}

pub(crate) fn parse_sort(value: &Value) -> Result<Vec<SortKey>, ApiError> {
    let items: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        other => vec![other],
    };
    let mut out = Vec::new();
    for item in items {
        match item {
            Value::String(text) => {
                let (field, order) = text.split_once(':').unwrap_or((text, ""));
                out.push(sort_key(
                    field,
                    order == "desc" || (order.is_empty() && field == "_score"),
                    &Value::Null,
                ));
            }
            Value::Object(map) => {
                for (field, spec) in map {
                    let order = spec
                        .as_str()
                        .or_else(|| spec["order"].as_str())
                        .unwrap_or("");
                    if !matches!(order, "" | "asc" | "desc" | "ASC" | "DESC") {
                        return Err(ApiError::illegal(format!("Unknown SortOrder [{order}]")));
                    }
                    let descending = order.eq_ignore_ascii_case("desc")
                        || (order.is_empty() && field == "_score");
                    out.push(sort_key(field, descending, spec));
                }
            }
            _ => {
                return Err(ApiError::illegal(
                    "malformed sort format, within the sort array, an object, or an actual string are allowed",
                ));
            }
        }
    }
    Ok(out)
}

fn sort_key(field: &str, descending: bool, spec: &Value) -> SortKey {
    SortKey {
        field: field.to_owned(),
        descending,
        missing_first: spec["missing"] == "_first",
        unmapped: spec["unmapped_type"].is_string(),
    }
}

/// The indices that a search over `expression` looks at, with the filters of the aliases used.
pub(crate) fn targets(
    state: &State,
    expression: &str,
    expand: Expand,
    fail_first_shard: bool,
) -> Result<Vec<Target>, ApiError> {
    let mut out = Vec::new();
    for name in names::resolve(state, expression, expand)? {
        let index = state.index(&name)?;
        if !index.is_open {
            return Err(index.closed_error());
        }
        index.check_block(state.product, Access::Read)?;
        let copies = state.shard_copies(index);
        let mut failed: Vec<u32> = copies
            .iter()
            .filter(|c| c.primary && c.node.is_none())
            .map(|c| c.shard)
            .collect();
        if fail_first_shard && out.is_empty() && !failed.contains(&0) {
            failed.push(0);
        }
        out.push(Target {
            index: name.clone(),
            uuid: index.uuid.clone(),
            shards: index.shards(),
            node: copies
                .first()
                .and_then(|c| c.node)
                .map(|n| state.nodes[n].id.clone()),
            docs: index.searchable(),
            mapping: Arc::clone(&index.mapping),
            filter: alias_filter(state, expression, &name),
            failed,
            only: None,
        });
    }
    Ok(out)
}

/// The filter that the aliases in `expression` put on `index`; none when it is also named otherwise.
fn alias_filter(state: &State, expression: &str, index: &str) -> Option<Value> {
    let entry = state.indices.get(index)?;
    let mut filters = Vec::new();
    for part in expression.split(',') {
        if names::is_all(part) || glob(part, index) {
            return None;
        }
        for (alias, meta) in &entry.aliases {
            if glob(part, alias) {
                filters.push(meta.filter.clone()?);
            }
        }
    }
    (!filters.is_empty()).then(|| json!({"bool": {"should": filters}}))
}

/// As [`targets`], of which only the shards that the preference names are asked.
pub(crate) fn preferred(
    mut targets: Vec<Target>,
    preference: Option<&str>,
) -> Result<Vec<Target>, ApiError> {
    let only = shards_asked(preference)?;
    for target in &mut targets {
        target.only.clone_from(&only);
    }
    Ok(targets)
}

/// What a hit sorts by.
#[derive(Debug, Clone)]
pub(crate) enum Key {
    Number(f64, Value),
    Text(String),
    Missing,
}

/// One hit on its way to be sorted.
pub(crate) struct Row<'a> {
    pub(crate) target: &'a Target,
    pub(crate) id: &'a str,
    pub(crate) doc: &'a Doc,
    pub(crate) keys: Vec<Key>,
}

fn shard_failure(target: &Target, shard: u32) -> Value {
    json!({
        "shard": shard,
        "index": target.index,
        "reason": {"type": "no_shard_available_action_exception", "reason": format!("No shard available for [{}][{shard}]", target.index)},
    })
}

/// `_shards`, and an error when nothing at all could be looked at.
fn shards_json(targets: &[Target], skipped: bool) -> Result<Value, ApiError> {
    let asked = |t: &Target| (0..t.shards).filter(|shard| t.is_asked(*shard)).count();
    let total: usize = targets.iter().map(asked).sum();
    let total = u32::try_from(total).unwrap_or(u32::MAX);
    let failures: Vec<Value> = targets
        .iter()
        .flat_map(|t| t.failed.iter().map(move |s| (t, *s)))
        .filter(|(t, shard)| t.is_asked(*shard))
        .map(|(t, shard)| shard_failure(t, shard))
        .collect();
    let failed = u32::try_from(failures.len()).unwrap_or(u32::MAX);
    if failed > 0 && failed == total {
        return Err(
            ApiError::new(503, "search_phase_execution_exception", "all shards failed")
                .with("phase", "query")
                .with("grouped", true)
                .with("failed_shards", failures),
        );
    }
    let mut out = json!({"total": total, "successful": total - failed});
    if skipped {
        out["skipped"] = json!(0);
    }
    out["failed"] = json!(failed);
    if failed > 0 {
        out["failures"] = Value::Array(failures);
    }
    Ok(out)
}

/// An error that one shard raised while it looked, in the form of a whole failed search.
fn all_failed(target: &Target, inner: ApiError) -> ApiError {
    let mut failure = json!({"shard": 0, "index": target.index, "reason": inner.object()});
    if let Some(node) = &target.node {
        failure["node"] = json!(node);
    }
    let wrapped = ApiError::new(
        inner.status,
        "search_phase_execution_exception",
        "all shards failed",
    )
    .with("phase", "query")
    .with("grouped", true)
    .with("failed_shards", json!([failure]));
    let wrapped = if inner.kind() == "illegal_argument_exception" {
        wrapped.caused_by(&ApiError::illegal(inner.reason()).caused_by(&inner))
    } else {
        wrapped
    };
    wrapped.rooted(inner)
}

fn selected<'a>(targets: &'a [Target], query: &Value, now_ms: i64) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for target in targets {
        for (id, doc) in target.docs.iter() {
            if target.failed.contains(&doc.shard) || !target.is_asked(doc.shard) {
                continue;
            }
            let subject = Subject {
                index: &target.index,
                mapping: &target.mapping,
                id,
                doc,
                now_ms,
            };
            let filtered = target
                .filter
                .as_ref()
                .is_none_or(|f| query::matches(&subject, f));
            if filtered && query::matches(&subject, query) {
                rows.push(Row {
                    target,
                    id,
                    doc,
                    keys: Vec::new(),
                });
            }
        }
    }
    // Without a sort, hits come shard by shard in the order of arrival.
    rows.sort_by(|a, b| {
        (&a.target.index, a.doc.shard, a.doc.order).cmp(&(
            &b.target.index,
            b.doc.shard,
            b.doc.order,
        ))
    });
    rows
}

fn key_of(row: &Row<'_>, sort: &SortKey, position: usize, now_ms: i64) -> Result<Key, ApiError> {
    let number = |n: u64| Key::Number(n as f64, json!(n));
    match sort.field.as_str() {
        "_doc" => return Ok(number(row.doc.order.saturating_sub(1))),
        "_shard_doc" => return Ok(number(position as u64)),
        "_seq_no" => return Ok(number(row.doc.seq_no)),
        "_score" => return Ok(Key::Number(1.0, json!(1.0))),
        "_id" => return Ok(Key::Text(row.id.to_owned())),
        "_index" => return Ok(Key::Text(row.target.index.clone())),
        _ => {}
    }
    let Some((definition, path)) = field(&row.target.mapping, &sort.field) else {
        return Ok(Key::Missing);
    };
    let kind = definition["type"].as_str().unwrap_or("object");
    let mut values = Vec::new();
    query::collect(&row.doc.source, &path, &mut values);
    let mut keys: Vec<Key> = values
        .into_iter()
        .filter(|v| !v.is_null())
        .map(|value| match query::number(kind, value, now_ms) {
            Some(n) if kind == "date" => Key::Number(n, json!(n as i64)),
            Some(n) if kind == "boolean" => Key::Number(n, json!(n as i64)),
            Some(n) => Key::Number(
                n,
                value.as_str().map_or_else(|| value.clone(), |_| json!(n)),
            ),
            None => Key::Text(query::text(value)),
        })
        .collect();
    keys.sort_by(compare_keys);
    let pick = if sort.descending {
        keys.pop()
    } else {
        keys.into_iter().next()
    };
    Ok(pick.unwrap_or(Key::Missing))
}

/// Refuses a sort that no shard can do.
fn check_sort(
    state: &State,
    target: &Target,
    sort: &SortKey,
    has_pit: bool,
) -> Result<(), ApiError> {
    let elastic = !state.product.is_opensearch();
    match sort.field.as_str() {
        "_doc" | "_seq_no" | "_score" | "_index" => return Ok(()),
        "_shard_doc"
            if has_pit && (elastic || state.product == crate::product::Product::OpenSearch3) =>
        {
            return Ok(());
        }
        "_id" if elastic => {
            return Err(all_failed(
                target,
                ApiError::illegal(
                    "Fielddata access on the _id field is disallowed, you can re-enable it by updating the dynamic cluster setting: indices.id_field_data.enabled",
                ),
            ));
        }
        "_id" => return Ok(()),
        _ => {}
    }
    match field(&target.mapping, &sort.field) {
        None if sort.unmapped => Ok(()),
        None => Err(all_failed(
            target,
            ApiError::new(
                400,
                "query_shard_exception",
                format!("No mapping found for [{}] in order to sort on", sort.field),
            )
            .with("index_uuid", target.uuid.as_str())
            .with("index", target.index.as_str()),
        )),
        Some(_) => check_fielddata(state, target, &sort.field),
    }
}

/// Refuses to sort or aggregate on a text field.
fn check_fielddata(state: &State, target: &Target, path: &str) -> Result<(), ApiError> {
    let text = field(&target.mapping, path)
        .is_some_and(|(d, _)| d["type"] == "text" && d["fielddata"] != json!(true));
    if !text {
        return Ok(());
    }
    let start = if state.product.is_opensearch() {
        String::new()
    } else {
        format!("Fielddata is disabled on [{path}] in [{}]. ", target.index)
    };
    Err(all_failed(
        target,
        ApiError::illegal(format!(
            "{start}Text fields are not optimised for operations that require per-document field data like \
             aggregations and sorting, so these operations are disabled by default. Please use a keyword field \
             instead. Alternatively, set fielddata=true on [{path}] in order to load field data by uninverting \
             the inverted index. Note that this can use significant memory."
        )),
    ))
}

fn compare_keys(a: &Key, b: &Key) -> Ordering {
    match (a, b) {
        (Key::Number(x, _), Key::Number(y, _)) => x.total_cmp(y),
        (Key::Text(x), Key::Text(y)) => x.cmp(y),
        (Key::Number(..), Key::Text(_)) => Ordering::Less,
        (Key::Text(_), Key::Number(..)) => Ordering::Greater,
        (Key::Missing, Key::Missing) => Ordering::Equal,
        (Key::Missing, _) => Ordering::Greater,
        (_, Key::Missing) => Ordering::Less,
    }
}

fn compare_rows(a: &[Key], b: &[Key], sort: &[SortKey]) -> Ordering {
    for ((x, y), key) in a.iter().zip(b).zip(sort) {
        let missing = matches!(x, Key::Missing) != matches!(y, Key::Missing);
        let order = compare_keys(x, y);
        let order = match (missing, key.missing_first, key.descending) {
            (true, true, _) => order.reverse(),
            (true, false, _) | (false, _, false) => order,
            (false, _, true) => order.reverse(),
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn print_key(key: &Key, sort: &SortKey, mapping: &Value) -> Value {
    match key {
        Key::Number(_, value) => value.clone(),
        Key::Text(text) => json!(text),
        Key::Missing => {
            let kind = field(mapping, &sort.field).and_then(|(d, _)| d["type"].as_str());
            match kind {
                // What a numeric field without a value sorts as on the servers.
                Some("long" | "integer" | "date") => {
                    json!(if sort.descending == sort.missing_first {
                        i64::MAX
                    } else {
                        i64::MIN
                    })
                }
                _ => Value::Null,
            }
        }
    }
}

fn from_after(value: &Value) -> Key {
    match value {
        Value::Null => Key::Missing,
        Value::Number(n) => Key::Number(n.as_f64().unwrap_or(0.0), value.clone()),
        other => {
            let text = query::text(other);
            crate::admit::date_ms(&text)
                .filter(|_| text.contains('T'))
                .map_or(Key::Text(text), |ms| Key::Number(ms as f64, json!(ms)))
        }
    }
}

/// Prints `_source` as a request's filter asks; `None` leaves it out.
pub(crate) fn source_of(doc: &Value, filter: &Value) -> Option<Value> {
    let list = |value: &Value, prefix: &str| -> Vec<String> {
        match value {
            Value::String(text) => text.split(',').map(|t| format!("{prefix}{t}")).collect(),
            Value::Array(items) => items
                .iter()
                .filter_map(Value::as_str)
                .map(|t| format!("{prefix}{t}"))
                .collect(),
            _ => Vec::new(),
        }
    };
    match filter {
        Value::Bool(false) => None,
        Value::String(text) if text == "false" => None,
        Value::String(text) if text == "true" => Some(doc.clone()),
        Value::String(_) | Value::Array(_) => {
            let wanted = list(filter, "");
            Some(if wanted.is_empty() {
                doc.clone()
            } else {
                filter_path(doc.clone(), &wanted.join(","))
            })
        }
        Value::Object(map) => {
            let get = |a: &str, b: &str| map.get(a).or_else(|| map.get(b)).unwrap_or(&Value::Null);
            let mut wanted = list(get("includes", "include"), "");
            wanted.extend(list(get("excludes", "exclude"), "-"));
            Some(if wanted.is_empty() {
                doc.clone()
            } else {
                filter_path(doc.clone(), &wanted.join(","))
            })
        }
        _ => Some(doc.clone()),
    }
}

/// Runs a search over `targets`.
pub(crate) fn run(state: &State, targets: &[Target], search: &Search) -> Result<Value, ApiError> {
    if search.from + search.size > RESULT_WINDOW_MAX
        && let Some(first) = targets.first()
    {
        return Err(all_failed(
            first,
            ApiError::illegal(format!(
                "Result window is too large, from + size must be less than or equal to: [{RESULT_WINDOW_MAX}] but was [{}]. \
             See the scroll api for a more efficient way to request large data sets. This limit can be set by changing \
             the [index.max_result_window] index level setting.",
                search.from + search.size
            )),
        ));
    }
    let shards = shards_json(targets, true)?;
    let (hits, total, aggs) = hits(state, targets, search)?;
    let count = hits.len();
    let page: Vec<Value> = hits
        .into_iter()
        .skip(usize::try_from(search.from).unwrap_or(usize::MAX))
        .take(usize::try_from(search.size).unwrap_or(usize::MAX))
        .collect();
    let mut body = Map::new();
    body.insert("took".to_owned(), json!(1));
    body.insert("timed_out".to_owned(), json!(false));
    body.insert("_shards".to_owned(), shards);
    body.insert(
        "hits".to_owned(),
        hits_json(search, total, page, targets.is_empty(), count),
    );
    if let Some(aggs) = aggs {
        body.insert("aggregations".to_owned(), aggs);
    }
    Ok(Value::Object(body))
}

fn hits_json(search: &Search, total: u64, page: Vec<Value>, nowhere: bool, count: usize) -> Value {
    let mut hits = Map::new();
    if let Some(limit) = search.track_total {
        let relation = if total > limit { "gte" } else { "eq" };
        hits.insert(
            "total".to_owned(),
            json!({"value": total.min(limit), "relation": relation}),
        );
    }
    let score = if nowhere {
        json!(0.0)
    } else if search.sort.is_empty() && search.size > 0 && count > 0 {
        json!(1.0)
    } else {
        Value::Null
    };
    hits.insert("max_score".to_owned(), score);
    hits.insert("hits".to_owned(), Value::Array(page));
    Value::Object(hits)
}

/// All hits in order after `search_after`, the total, and the aggregations.
fn hits(
    state: &State,
    targets: &[Target],
    search: &Search,
) -> Result<(Vec<Value>, u64, Option<Value>), ApiError> {
    let now = state.now_ms();
    for target in targets {
        for sort in &search.sort {
            check_sort(state, target, sort, search.pit.is_some())?;
        }
    }
    for target in targets {
        for spec in search
            .aggs
            .values()
            .filter_map(Value::as_object)
            .flat_map(Map::values)
        {
            if let Some(path) = spec["field"].as_str() {
                check_fielddata(state, target, path)?;
            }
        }
    }
    let mut rows = selected(targets, &search.query, now);
    let total = rows.len() as u64;
    let aggs = (!search.aggs.is_empty())
        .then(|| aggregate(&rows, &search.aggs, search.typed_keys, now))
        .transpose()?;
    if !search.sort.is_empty() {
        for (position, row) in rows.iter_mut().enumerate() {
            row.keys = search
                .sort
                .iter()
                .map(|sort| key_of(row, sort, position, now))
                .collect::<Result<_, _>>()?;
        }
        rows.sort_by(|a, b| compare_rows(&a.keys, &b.keys, &search.sort));
    }
    if let Some(after) = &search.search_after {
        if after.len() != search.sort.len() {
            let why = if search.sort.is_empty() {
                "Sort must contain at least one field.".to_owned()
            } else {
                format!(
                    "search_after has {} value(s) but sort has {}.",
                    after.len(),
                    search.sort.len()
                )
            };
            let inner = ApiError::illegal(why);
            return Err(match targets.first() {
                Some(target) => all_failed(target, inner),
                None => inner,
            });
        }
        let after: Vec<Key> = after.iter().map(from_after).collect();
        rows.retain(|row| compare_rows(&row.keys, &after, &search.sort).is_gt());
    }
    let printed = rows.iter().map(|row| print_hit(row, search)).collect();
    Ok((printed, total, aggs))
}

fn print_hit(row: &Row<'_>, search: &Search) -> Value {
    let mut hit = Map::new();
    hit.insert("_index".to_owned(), json!(row.target.index));
    hit.insert("_id".to_owned(), json!(row.id));
    if search.version {
        hit.insert("_version".to_owned(), json!(row.doc.version));
    }
    if search.seq_no {
        hit.insert("_seq_no".to_owned(), json!(row.doc.seq_no));
        hit.insert("_primary_term".to_owned(), json!(row.doc.primary_term));
    }
    hit.insert(
        "_score".to_owned(),
        if search.sort.is_empty() {
            json!(1.0)
        } else {
            Value::Null
        },
    );
    if let Some(routing) = &row.doc.routing {
        hit.insert("_routing".to_owned(), json!(routing));
    }
    if let Some(source) = source_of(&row.doc.source, &search.source) {
        hit.insert("_source".to_owned(), source);
    }
    if !search.sort.is_empty() {
        let keys = row
            .keys
            .iter()
            .zip(&search.sort)
            .map(|(k, s)| print_key(k, s, &row.target.mapping));
        hit.insert("sort".to_owned(), keys.collect());
    }
    Value::Object(hit)
}

/// Counts what a query selects; the answer's `_shards` too.
pub(crate) fn count(state: &State, targets: &[Target], query: &Value) -> Result<Value, ApiError> {
    query::check(query)?;
    let shards = shards_json(targets, true)?;
    Ok(json!({"count": selected(targets, query, state.now_ms()).len(), "_shards": shards}))
}

/// The documents that a by-query task will go through, as they stand now.
pub(crate) fn snapshot(
    state: &State,
    targets: &[Target],
    query: &Value,
) -> Result<Vec<(String, String, Doc)>, ApiError> {
    query::check(query)?;
    shards_json(targets, false)?;
    Ok(selected(targets, query, state.now_ms())
        .into_iter()
        .map(|row| (row.target.index.clone(), row.id.to_owned(), row.doc.clone()))
        .collect())
}

/// Opens a scroll and answers its first page.
pub(crate) fn open_scroll(
    state: &mut State,
    targets: &[Target],
    search: &Search,
    keep_alive_ms: i64,
) -> Result<Value, ApiError> {
    let shards = shards_json(targets, true)?;
    let (hits, total, _) = hits(state, targets, search)?;
    let id = format!("{SCROLL_PREFIX}{}", state.rng.uuid());
    let scroll = Scroll {
        hits,
        at: 0,
        size: usize::try_from(search.size).unwrap_or(usize::MAX),
        total: json!({"value": total, "relation": "eq"}),
        shards,
        expires_ms: state.now_ms() + keep_alive_ms,
    };
    state.scrolls.insert(id.clone(), scroll);
    next_page(state, &id, Some(keep_alive_ms))
}

/// The next page of an open scroll.
pub(crate) fn next_page(
    state: &mut State,
    id: &str,
    keep_alive_ms: Option<i64>,
) -> Result<Value, ApiError> {
    let now = state.now_ms();
    state.scrolls.retain(|_, s| s.expires_ms > now);
    if !id.starts_with(SCROLL_PREFIX) {
        return Err(ApiError::illegal("Cannot parse scroll id"));
    }
    let Some(scroll) = state.scrolls.get_mut(id) else {
        return Err(missing_context());
    };
    if let Some(ms) = keep_alive_ms {
        scroll.expires_ms = now + ms;
    }
    let end = scroll.at.saturating_add(scroll.size).min(scroll.hits.len());
    let page = scroll.hits[scroll.at..end].to_vec();
    scroll.at = end;
    Ok(json!({
        "_scroll_id": id,
        "took": 1,
        "timed_out": false,
        "_shards": scroll.shards,
        "hits": {"total": scroll.total, "max_score": null, "hits": page},
    }))
}

/// The answer for a scroll or point in time that is gone.
pub(crate) fn missing_context() -> ApiError {
    let inner = ApiError::new(
        404,
        "search_context_missing_exception",
        "No search context found for id [1]",
    );
    ApiError::new(404, "search_phase_execution_exception", "all shards failed")
        .with("phase", "query")
        .with("grouped", true)
        .with(
            "failed_shards",
            json!([{"shard": -1, "index": null, "reason": inner.object()}]),
        )
        .caused(inner.kind(), inner.reason())
        .rooted(inner)
}
