//! Indices and what names them: settings, mappings, aliases, templates, shards.

use std::collections::{BTreeMap, HashMap};

use liftlock_types::facts::cluster::{Activity, Alias, Index, Shard, Template, TemplateKind};
use liftlock_types::{Json, ReadError, Scope};
use serde_json::{Map, Value, json};

use super::{bounded, list, members, number, objects, pattern, rows as rows_of, text, whole};
use crate::Cluster;
use crate::call::Call;
use crate::dialect::without_dates;

/// Bounds of the contract.
const INDICES_MAX: usize = 10_000;
const SHARDS_MAX: usize = 20_000;
const ALIASES_MAX: usize = 20_000;
const TEMPLATES_MAX: usize = 2_000;

/// Most bytes of one mapping or of one index's settings: a plugin's bound for one JSON text.
const ONE_INDEX_BYTES_MAX: usize = liftlock_types::JSON_BYTES_MAX;

/// One index as the server holds it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IndexState {
    /// `index.uuid`.
    pub(crate) uuid: String,
    /// Alias to its properties.
    pub(crate) aliases: BTreeMap<String, Value>,
    /// Flat.
    pub(crate) settings: Map<String, Value>,
    /// Its mapping.
    pub(crate) mapping: Value,
}

impl Cluster {
    /// The index of exactly this name. `None`: no index has it; an alias may.
    pub(crate) async fn index(&self, name: &str) -> Result<Option<IndexState>, ReadError> {
        let call = Call::get([name])
            .param("flat_settings", "true")
            .param("expand_wildcards", "all");
        let Some(value) = self.find(&call).await? else {
            return Ok(None);
        };
        let found = objects(&value, "an index")?;
        if found.is_empty() {
            return Err(super::other_form(&value, "an index"));
        }
        Ok(found.get(name).map(|index| {
            let object = |key: &str| {
                let found = index.get(key).and_then(Value::as_object);
                found.cloned().unwrap_or_default()
            };
            let settings = object("settings");
            IndexState {
                uuid: text(&Value::Object(settings.clone()), "index.uuid").to_owned(),
                aliases: object("aliases").into_iter().collect(),
                mapping: Value::Object(object("mappings")),
                settings,
            }
        }))
    }

    /// The indices behind an alias. `None`: no alias has the name.
    pub(crate) async fn alias(&self, name: &str) -> Result<Option<Vec<String>>, ReadError> {
        let call = Call::get(["_alias", name]).param("expand_wildcards", "all");
        let Some(value) = self.find(&call).await? else {
            return Ok(None);
        };
        let mut indices: Vec<String> = objects(&value, "aliases")?
            .iter()
            .filter(|(_, index)| index.get("aliases").and_then(|a| a.get(name)).is_some())
            .map(|(index, _)| index.clone())
            .collect();
        indices.sort();
        Ok((!indices.is_empty()).then_some(indices))
    }

    /// The template of exactly this name and kind.
    pub(crate) async fn template(
        &self,
        kind: TemplateKind,
        name: &str,
    ) -> Result<Option<TemplateBody>, ReadError> {
        let found = raw_templates(self, kind, name).await?;
        Ok(found
            .into_iter()
            .find(|(found, _)| found == name)
            .map(|(_, body)| TemplateBody(body)))
    }
}

/// A template's body as the server shows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TemplateBody(pub(crate) Value);

/// What an alias says of itself on one index, in one form whatever the server leaves out.
pub(crate) fn alias_properties(raw: &Value) -> Value {
    let mut properties = Map::new();
    if let Some(write) = raw.get("is_write_index") {
        properties.insert("write".into(), write.clone());
    }
    for key in ["filter", "index_routing", "search_routing", "is_hidden"] {
        if let Some(value) = raw.get(key) {
            properties.insert(key.into(), value.clone());
        }
    }
    Value::Object(properties)
}

/// What is set on an alias beside its write flag, by name: all of it, so that what a later server adds is seen too.
fn also_set(raw: &Value) -> Vec<String> {
    let mut names: Vec<String> = members(Some(raw))
        .filter(|(name, value)| {
            let means_nothing = value.is_null() || value.as_bool() == Some(false);
            name.as_str() != "is_write_index" && !means_nothing
        })
        .map(|(name, _)| name.clone())
        .collect();
    names.sort();
    names
}

pub(super) async fn indices(cluster: &Cluster, wanted: &str) -> Result<Vec<Index>, ReadError> {
    let scope = pattern(wanted)?;
    let table = Call::get(["_cat", "indices", wanted])
        .param("format", "json")
        .param("bytes", "b")
        .param("expand_wildcards", "all")
        .param(
            "h",
            "index,uuid,status,pri,rep,docs.count,store.size,pri.store.size",
        );
    let Some(rows) = cluster.find(&table).await? else {
        return Ok(Vec::new());
    };
    // A literal that is an alias shows what is behind it: another name.
    let rows: Vec<&Value> = rows_of(&rows, None, "the table of indices")?
        .iter()
        .filter(|row| scope.matches(text(row, "index")))
        .collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let settings = Call::get([wanted, "_settings"])
        .param("flat_settings", "true")
        .param("expand_wildcards", "all");
    let settings = cluster.ask(&settings).await?;
    let settings = objects(&settings, "settings")?;
    let searched = searched_counts(cluster, wanted).await;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let name = text(row, "index");
        // Deleted between the two reads: it is not there.
        let Some(settings) = settings.get(name).and_then(|index| index.get("settings")) else {
            continue;
        };
        found.push(Index {
            name: name.to_owned(),
            uuid: text(row, "uuid").to_owned(),
            created_version: number(settings, "index.version.created"),
            open: text(row, "status") != "close",
            hidden: text(settings, "index.hidden") == "true",
            docs: searched
                .get(name)
                .copied()
                .unwrap_or_else(|| number(row, "docs.count")),
            bytes: number(row, "store.size"),
            primary_bytes: number(row, "pri.store.size"),
            shards: u32::try_from(number(row, "pri")).unwrap_or(u32::MAX),
            replicas: u32::try_from(number(row, "rep")).unwrap_or(u32::MAX),
            blocks: blocks(settings),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    bounded(found, INDICES_MAX, "indices")
}

/// Documents that a search sees: the table of indices counts nested ones too, each object of a list as one.
///
/// Where the search does not answer for an index (closed, a shard without a node) the table's number stands.
async fn searched_counts(cluster: &Cluster, wanted: &str) -> HashMap<String, u64> {
    let call = Call::post([wanted, "_search"])
        .param("expand_wildcards", "open,hidden")
        .param("ignore_unavailable", "true")
        .param("allow_no_indices", "true")
        .json(&json!({
            "size": 0,
            "track_total_hits": false,
            "aggs": {"indices": {"terms": {"field": "_index", "size": INDICES_MAX}}},
        }));
    let Ok(value) = cluster.ask(&call).await else {
        return HashMap::new();
    };
    if whole(&value).is_err() {
        return HashMap::new();
    }
    list(value.pointer("/aggregations/indices/buckets"))
        .iter()
        .map(|bucket| (text(bucket, "key").to_owned(), number(bucket, "doc_count")))
        .collect()
}

/// `read_only`, `write`, ... of the blocks that are set.
fn blocks(settings: &Value) -> Vec<String> {
    members(Some(settings))
        .filter_map(|(key, value)| {
            let block = key.strip_prefix("index.blocks.")?;
            let is_set = value.as_str() == Some("true") || value == &Value::Bool(true);
            is_set.then(|| block.to_owned())
        })
        .collect()
}

pub(super) async fn shards(cluster: &Cluster, wanted: &str) -> Result<Vec<Shard>, ReadError> {
    let scope = pattern(wanted)?;
    let parts: &[&str] = if wanted.ends_with('*') {
        &["_cat", "shards"]
    } else {
        &["_cat", "shards", wanted]
    };
    let call = Call::get(parts.iter().copied())
        .param("format", "json")
        .param("bytes", "b")
        .param("h", "index,shard,prirep,state,node,store,docs");
    let Some(rows) = cluster.find(&call).await? else {
        return Ok(Vec::new());
    };
    let mut found: Vec<Shard> = rows_of(&rows, None, "the table of shards")?
        .iter()
        .filter(|row| scope.matches(text(row, "index")))
        .map(|row| Shard {
            index: text(row, "index").to_owned(),
            number: u32::try_from(number(row, "shard")).unwrap_or(u32::MAX),
            primary: text(row, "prirep") == "p",
            state: text(row, "state").to_owned(),
            // `a -> 10.0.0.2 xYz b` while it moves from a to b.
            node: text(row, "node")
                .split(' ')
                .next()
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            bytes: number(row, "store"),
            docs: number(row, "docs"),
        })
        .collect();
    found.sort_by(|a, b| (&a.index, a.number, !a.primary).cmp(&(&b.index, b.number, !b.primary)));
    bounded(found, SHARDS_MAX, "shards")
}

pub(super) async fn aliases(cluster: &Cluster, wanted: &str) -> Result<Vec<Alias>, ReadError> {
    let scope = pattern(wanted)?;
    let call = Call::get(["_alias", wanted]).param("expand_wildcards", "all");
    let Some(value) = cluster.find(&call).await? else {
        return Ok(Vec::new());
    };
    let mut found: Vec<Alias> = objects(&value, "aliases")?
        .iter()
        .flat_map(|(index, aliases)| {
            members(aliases.get("aliases")).map(move |(name, raw)| Alias {
                name: name.clone(),
                index: index.clone(),
                write: raw.get("is_write_index").and_then(Value::as_bool),
                more: also_set(raw),
            })
        })
        .filter(|alias| scope.matches(&alias.name))
        .collect();
    found.sort_by(|a, b| (&a.name, &a.index).cmp(&(&b.name, &b.index)));
    bounded(found, ALIASES_MAX, "aliases")
}

pub(super) async fn templates(
    cluster: &Cluster,
    kind: TemplateKind,
    wanted: &str,
) -> Result<Vec<Template>, ReadError> {
    let scope = pattern(wanted)?;
    let mut found = Vec::new();
    for (name, body) in raw_templates(cluster, kind, wanted).await? {
        if !scope.matches(&name) {
            continue;
        }
        found.push(Template {
            patterns: list(body.get("index_patterns"))
                .iter()
                .filter_map(|pattern| pattern.as_str().map(str::to_owned))
                .collect(),
            name,
            kind,
            body: Json::of(&body),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    bounded(found, TEMPLATES_MAX, "templates")
}

/// Names and bodies. Legacy templates come all: asked for one that is missing, OpenSearch says 404 and `{}`,
/// which anyone could say.
async fn raw_templates(
    cluster: &Cluster,
    kind: TemplateKind,
    wanted: &str,
) -> Result<Vec<(String, Value)>, ReadError> {
    let (call, key, body) = match kind {
        TemplateKind::Legacy => {
            let value = cluster.ask(&Call::get(["_template"])).await?;
            return Ok(objects(&value, "templates")?
                .iter()
                .map(|(name, body)| (name.clone(), body.clone()))
                .collect());
        }
        TemplateKind::Composable => (
            Call::get(["_index_template", wanted]),
            "index_templates",
            "index_template",
        ),
        TemplateKind::Component => (
            Call::get(["_component_template", wanted]),
            "component_templates",
            "component_template",
        ),
    };
    let Some(value) = cluster.find(&call).await? else {
        return Ok(Vec::new());
    };
    Ok(rows_of(&value, Some(key), "templates")?
        .iter()
        .map(|entry| {
            let name = text(entry, "name").to_owned();
            let body = entry.get(body).cloned().unwrap_or(Value::Null);
            (name, without_dates(body))
        })
        .collect())
}

/// The one index of an answer by index name; an alias of several has no one mapping.
fn the_one(value: &Value, index: &str, key: &str) -> Result<Value, ReadError> {
    let found: Vec<&Value> = objects(value, "indices")?.values().collect();
    match found.as_slice() {
        [one] => Ok(one.get(key).cloned().unwrap_or(Value::Null)),
        [] => Err(ReadError::NotFound(format!("index `{index}`"))),
        several => Err(ReadError::Invalid(format!(
            "`{index}` means {} indices, this read takes one",
            several.len()
        ))),
    }
}

pub(super) async fn mapping(cluster: &Cluster, index: &str) -> Result<Value, ReadError> {
    let call = Call::get([index, "_mapping"]).bytes_max(ONE_INDEX_BYTES_MAX);
    the_one(&cluster.ask(&call).await?, index, "mappings")
}

pub(super) async fn settings(cluster: &Cluster, index: &str) -> Result<Value, ReadError> {
    let call = Call::get([index, "_settings"])
        .param("flat_settings", "true")
        .bytes_max(ONE_INDEX_BYTES_MAX);
    the_one(&cluster.ask(&call).await?, index, "settings")
}

/// Documents and sequence numbers of the primaries.
pub(super) async fn activity(
    cluster: &Cluster,
    wanted: &[String],
) -> Result<Vec<Activity>, ReadError> {
    let scopes = wanted
        .iter()
        .map(|text| pattern(text))
        .collect::<Result<Vec<Scope>, _>>()?;
    if scopes.is_empty() {
        return Ok(Vec::new());
    }
    let call = Call::get([wanted.join(",").as_str(), "_stats", "docs"])
        .param("level", "shards")
        .param("expand_wildcards", "open,hidden")
        .param("forbid_closed_indices", "false");
    let value = cluster.find(&call).await?;
    if let Some(value) = &value {
        whole(value)?;
    }
    let mut found: Vec<Activity> = members(value.as_ref().and_then(|value| value.get("indices")))
        .map(|(name, index)| {
            let max_seq_no = members(index.get("shards"))
                .flat_map(|(_, copies)| list(Some(copies)))
                .filter(|copy| copy.pointer("/routing/primary") == Some(&Value::Bool(true)))
                .filter_map(|copy| copy.pointer("/seq_no/max_seq_no").and_then(Value::as_i64))
                .sum();
            Activity {
                index: name.clone(),
                docs: index
                    .pointer("/primaries/docs/count")
                    .and_then(Value::as_u64)
                    .unwrap_or(0),
                max_seq_no,
            }
        })
        .collect();
    found.sort_by(|a, b| a.index.cmp(&b.index));
    bounded(found, INDICES_MAX, "indices")
}
