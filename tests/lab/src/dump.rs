//! The state of a cluster in a form that two runs can be compared in.
//!
//! Everything is in it that an upgrade could touch: every index with health, shards, mapping,
//! settings, aliases and a checksum of each document; templates of all three kinds; the metadata
//! document and the update log. Left out is what differs by nature: ids and dates the server gives.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use reqwest::Method;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use crate::cache::hex;
use crate::error::LabError;
use crate::http::HttpTarget;

/// Documents of one page while reading all of an index.
const PAGE_DOCUMENTS: usize = 2000;

/// Pages of one index; more is a site far larger than a test builds.
const PAGES_MAX: usize = 500;

/// Lines about the documents of one index in a difference; the rest is counted.
const DOCUMENT_LINES_MAX: usize = 10;

/// Settings that the server gives each index, different every time.
const SETTINGS_LEFT_OUT: [&str; 4] = ["uuid", "creation_date", "provided_name", "version"];

/// The normalised state of a cluster, by section.
///
/// `indices`, `aliases`, `mappings`, `settings` and `documents` are keyed by index; `templates`
/// holds `legacy`, `composable` and `component`; `metadata` and `update-log` are the documents of
/// the site; `system` lists the names of indices that begin with a dot.
#[derive(Clone, Debug, PartialEq)]
pub struct Dump(pub Map<String, Value>);

impl Dump {
    /// The names in a section, sorted.
    pub fn names(&self, section: &str) -> Vec<&str> {
        let names = self.0.get(section).and_then(Value::as_object);
        let mut names: Vec<&str> = names
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        names
    }

    /// One value by its path, as `/settings/optimize-settings_v3/index/number_of_replicas`.
    pub fn get(&self, pointer: &str) -> Option<&Value> {
        let (section, rest) = pointer.strip_prefix('/')?.split_once('/').map_or_else(
            || (pointer.trim_start_matches('/'), String::new()),
            |(section, rest)| (section, format!("/{rest}")),
        );
        self.0.get(section)?.pointer(&rest)
    }
}

/// Reads the state of the whole cluster; `prefix` says whose metadata and update log to show.
///
/// Refreshes every open index first, so that no accepted document is missed.
pub async fn dump(target: &HttpTarget, prefix: &str) -> Result<Dump, LabError> {
    target
        .ask(Method::POST, "/_refresh?expand_wildcards=open,hidden", None)
        .await?;
    let (indices, system) = list_indices(target).await?;
    let mut settings = by_index(target, "/_all/_settings?expand_wildcards=all", "settings").await?;
    let mut mappings = by_index(target, "/_all/_mapping?expand_wildcards=all", "mappings").await?;
    settings.retain(|name, _| indices.contains_key(name));
    mappings.retain(|name, _| indices.contains_key(name));
    for index in settings
        .values_mut()
        .filter_map(|one| one["index"].as_object_mut())
    {
        index.retain(|name, _| !SETTINGS_LEFT_OUT.contains(&name.as_str()));
    }
    let mut documents = Map::new();
    let update_log = format!("{prefix}-update-log_");
    for (name, facts) in &indices {
        if facts["status"] == "open" {
            let of_log = name.starts_with(&update_log);
            let checksums = checksums(target, name, of_log).await?;
            documents.insert(name.clone(), checksums);
        }
    }
    let mut aliases = aliases(target).await?;
    aliases.retain(|name, _| indices.contains_key(name));
    Ok(Dump(Map::from_iter([
        ("indices".to_owned(), Value::from(indices)),
        ("aliases".to_owned(), aliases.into()),
        ("templates".to_owned(), templates(target).await?),
        ("mappings".to_owned(), mappings.into()),
        ("settings".to_owned(), settings.into()),
        ("documents".to_owned(), documents.into()),
        ("metadata".to_owned(), metadata(target, prefix).await?),
        (
            "update-log".to_owned(),
            log_documents(target, prefix).await?,
        ),
        ("system".to_owned(), system.into()),
    ])))
}

/// What `_cat/indices` says by index, and the names of the system's own ones.
async fn list_indices(target: &HttpTarget) -> Result<(Map<String, Value>, Vec<String>), LabError> {
    let columns = "index,health,status,pri,rep,docs.count";
    let path = format!("/_cat/indices?format=json&expand_wildcards=all&h={columns}");
    let mut rows = BTreeMap::new();
    let mut system = Vec::new();
    for row in target.get(&path).await?.as_array().into_iter().flatten() {
        let mut row = row.clone();
        let Some(Value::String(name)) = row.as_object_mut().and_then(|row| row.remove("index"))
        else {
            continue;
        };
        if name.starts_with('.') {
            system.push(name);
        } else {
            rows.insert(name, row);
        }
    }
    system.sort();
    Ok((Map::from_iter(rows), system))
}

async fn by_index(
    target: &HttpTarget,
    path: &str,
    part: &str,
) -> Result<Map<String, Value>, LabError> {
    let mut all = BTreeMap::new();
    for (name, body) in target.get(path).await?.as_object().into_iter().flatten() {
        all.insert(name.clone(), body[part].clone());
    }
    Ok(Map::from_iter(all))
}

/// Aliases by index, each with its write flag as the server shows it (`-` when unset).
async fn aliases(target: &HttpTarget) -> Result<Map<String, Value>, LabError> {
    let columns = "alias,index,filter,routing.index,routing.search,is_write_index";
    let path = format!("/_cat/aliases?format=json&expand_wildcards=all&h={columns}");
    let mut all: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for row in target.get(&path).await?.as_array().into_iter().flatten() {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let mut facts = row.clone();
        if let Some(facts) = facts.as_object_mut() {
            facts.retain(|name, _| name != "alias" && name != "index");
        }
        all.entry(text("index"))
            .or_default()
            .insert(text("alias"), facts);
    }
    Ok(all
        .into_iter()
        .map(|(index, aliases)| (index, Map::from_iter(aliases).into()))
        .collect())
}

async fn templates(target: &HttpTarget) -> Result<Value, LabError> {
    let legacy = target.get("/_template").await?;
    let mut newer = Map::new();
    for (kind, list, part) in [
        ("_index_template", "index_templates", "index_template"),
        (
            "_component_template",
            "component_templates",
            "component_template",
        ),
    ] {
        let answer = target.get(&format!("/{kind}")).await?;
        let mut named = Map::new();
        for one in answer[list].as_array().into_iter().flatten() {
            named.insert(
                one["name"].as_str().unwrap_or_default().to_owned(),
                one[part].clone(),
            );
        }
        newer.insert(kind.to_owned(), named.into());
    }
    Ok(json!({
        "legacy": legacy,
        "composable": newer["_index_template"],
        "component": newer["_component_template"],
    }))
}

async fn metadata(target: &HttpTarget, prefix: &str) -> Result<Value, LabError> {
    match target
        .send(Method::GET, &format!("/{prefix}-metadata/_doc/1"), None)
        .await?
    {
        (200, answer) => Ok(answer["_source"].clone()),
        _ => Ok(Value::Null),
    }
}

/// The update log by document id, with a mark instead of a date that is written as it should be.
async fn log_documents(target: &HttpTarget, prefix: &str) -> Result<Value, LabError> {
    let path = format!("/{prefix}-update-log/_search?size=1000");
    let (status, answer) = target.send(Method::GET, &path, None).await?;
    if status == 404 {
        return Ok(Value::Null);
    }
    let mut documents = Map::new();
    for hit in answer["hits"]["hits"].as_array().into_iter().flatten() {
        let mut source = hit["_source"].clone();
        mark_date(&mut source);
        documents.insert(hit["_id"].as_str().unwrap_or_default().to_owned(), source);
    }
    Ok(documents.into())
}

/// Replaces `appliedDate` when it is UTC with milliseconds, the form that the product writes.
fn mark_date(source: &mut Value) {
    let is_in_form = source["appliedDate"].as_str().is_some_and(|text| {
        let shape: String = text
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        shape == "0000-00-00T00:00:00.000Z"
    });
    if is_in_form {
        source["appliedDate"] = "(a date in UTC with milliseconds)".into();
    }
}

/// A checksum of the source of every document, by id.
async fn checksums(target: &HttpTarget, index: &str, of_log: bool) -> Result<Value, LabError> {
    let first = format!("/{index}/_search?scroll=1m&size={PAGE_DOCUMENTS}");
    let mut page = target.post(&first, &json!({ "sort": ["_doc"] })).await?;
    let mut found = BTreeMap::new();
    for number in 0.. {
        let hits = page["hits"]["hits"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        for hit in hits {
            let mut source = hit["_source"].clone();
            if of_log {
                mark_date(&mut source);
            }
            let id = hit["_id"].as_str().unwrap_or_default().to_owned();
            found.insert(id, Value::from(checksum(&source)));
        }
        let scroll = page["_scroll_id"].clone();
        if hits.len() < PAGE_DOCUMENTS {
            // A scroll that is left open goes by itself after a minute.
            let body = json!({ "scroll_id": scroll });
            target
                .ask(Method::DELETE, "/_search/scroll", Some(&body))
                .await?;
            break;
        }
        if number == PAGES_MAX {
            let why = format!("more than {} documents", PAGES_MAX * PAGE_DOCUMENTS);
            return Err(LabError::malformed(format!("index `{index}`"), why));
        }
        page = target
            .post(
                "/_search/scroll",
                &json!({ "scroll": "1m", "scroll_id": scroll }),
            )
            .await?;
    }
    Ok(Map::from_iter(found).into())
}

/// Of the document's meaning: the order of keys does not count.
fn checksum(source: &Value) -> String {
    let mut text = String::new();
    write_sorted(source, &mut text);
    hex(&Sha256::digest(text.as_bytes()))
        .chars()
        .take(16)
        .collect()
}

fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            text.push('{');
            for (name, field) in sorted {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_sorted(field, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_sorted(item, text);
                text.push(',');
            }
            text.push(']');
        }
        // Writing to a string cannot fail.
        other => drop(write!(text, "{other}")),
    }
}

/// What changed from `before` to `after`, a line each; empty when nothing did.
///
/// A line begins with `-` (gone), `+` (new) or `~` (other), then the path.
pub fn diff(before: &Dump, after: &Dump) -> Vec<String> {
    let mut lines = Vec::new();
    let sections: BTreeMap<&String, ()> = before
        .0
        .keys()
        .chain(after.0.keys())
        .map(|name| (name, ()))
        .collect();
    for section in sections.into_keys() {
        let [old, new] = [before.0.get(section), after.0.get(section)];
        if section == "documents" {
            compare_documents(old, new, &mut lines);
        } else {
            compare(section, old, new, &mut lines);
        }
    }
    lines
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, lines: &mut Vec<String>) {
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let names: BTreeMap<&String, ()> = old
                .keys()
                .chain(new.keys())
                .map(|name| (name, ()))
                .collect();
            for name in names.into_keys() {
                compare(
                    &format!("{path}/{name}"),
                    old.get(name),
                    new.get(name),
                    lines,
                );
            }
        }
        (Some(old), Some(new)) if old == new => {}
        (Some(old), Some(new)) => lines.push(format!("~ {path}: {old} -> {new}")),
        (Some(_), None) => lines.push(format!("- {path}")),
        (None, Some(_)) => lines.push(format!("+ {path}")),
        (None, None) => {}
    }
}

fn compare_documents(old: Option<&Value>, new: Option<&Value>, lines: &mut Vec<String>) {
    let empty = Map::new();
    let [old, new] = [old, new].map(|side| side.and_then(Value::as_object).unwrap_or(&empty));
    let names: BTreeMap<&String, ()> = old
        .keys()
        .chain(new.keys())
        .map(|name| (name, ()))
        .collect();
    for index in names.into_keys() {
        let path = format!("documents/{index}");
        let (Some(old), Some(new)) = (old.get(index), new.get(index)) else {
            compare(&path, old.get(index), new.get(index), lines);
            continue;
        };
        let mut of_index = Vec::new();
        compare(&path, Some(old), Some(new), &mut of_index);
        let more = of_index.len().saturating_sub(DOCUMENT_LINES_MAX);
        of_index.truncate(DOCUMENT_LINES_MAX);
        lines.append(&mut of_index);
        if more > 0 {
            lines.push(format!("~ {path}: and {more} more documents"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: Value) -> Dump {
        Dump(value.as_object().unwrap().clone())
    }

    #[test]
    fn names_what_is_gone_new_and_other() {
        let before = of(json!({
            "indices": { "a": { "rep": "1" }, "b": { "rep": "1" } },
            "metadata": { "schemaVersion": "8.7.0" },
            "update-log": null,
        }));
        let after = of(json!({
            "indices": { "b": { "rep": "0" }, "c": { "rep": "1" } },
            "metadata": { "schemaVersion": "8.8.0" },
            "update-log": null,
        }));
        assert_eq!(diff(&before, &before), Vec::<String>::new());
        assert_eq!(
            diff(&before, &after),
            [
                "- indices/a",
                "~ indices/b/rep: \"1\" -> \"0\"",
                "+ indices/c",
                "~ metadata/schemaVersion: \"8.7.0\" -> \"8.8.0\"",
            ]
        );
    }

    #[test]
    fn counts_documents_beyond_the_first_few() {
        let many = |mark: &str| {
            let ids: Map<String, Value> = (0..25)
                .map(|id| (format!("{id:02}"), mark.into()))
                .collect();
            of(json!({ "documents": { "a": ids } }))
        };
        let lines = diff(&many("x"), &many("y"));
        assert_eq!(lines.len(), DOCUMENT_LINES_MAX + 1);
        assert_eq!(
            lines.last().unwrap(),
            "~ documents/a: and 15 more documents"
        );
    }

    #[test]
    fn a_checksum_ignores_the_order_of_keys_and_nothing_else() {
        let of = |text: &str| checksum(&serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(
            of(r#"{"a":1,"b":{"c":2,"d":3}}"#),
            of(r#"{"b":{"d":3,"c":2},"a":1}"#)
        );
        assert_ne!(of(r#"{"a":[1,2]}"#), of(r#"{"a":[2,1]}"#));
        assert_ne!(of(r#"{"a":1}"#), of(r#"{"a":"1"}"#));
        assert_ne!(of(r#"{"a":1}"#), of(r#"{"a":1.0}"#));
    }

    #[test]
    fn marks_only_a_date_in_the_form_the_product_writes() {
        let marked = |text: &str| {
            let mut source = json!({ "appliedDate": text });
            mark_date(&mut source);
            source["appliedDate"] != text
        };
        assert!(marked("2026-11-21T09:00:18.821Z"));
        assert!(!marked("2026-11-21T09:00:18Z"));
        assert!(!marked("2026-11-21T09:00:18.821+0000"));
    }

    #[test]
    fn finds_a_value_by_its_path() {
        let dump = of(json!({ "settings": { "a": { "index": { "n": "1" } } } }));
        assert_eq!(dump.get("/settings/a/index/n"), Some(&json!("1")));
        assert!(dump.get("/settings").is_some());
        assert_eq!(dump.get("/settings/b"), None);
        assert_eq!(dump.names("settings"), ["a"]);
    }
}
