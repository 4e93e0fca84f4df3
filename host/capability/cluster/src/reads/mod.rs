//! Reads: each gives the JSON of its record in [`liftlock_types::facts`], whole or not at all.

mod documents;
mod indices;
mod raw;
mod server;

use liftlock_types::{Read, ReadError, Scope};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Cluster;

pub(crate) use documents::{Hit, Stored};
pub(crate) use indices::{IndexState, alias_properties};
pub(crate) use server::{running, task_id, token_of};

/// Answers one read of the contract.
pub(crate) async fn read(cluster: &Cluster, read: &Read) -> Result<Value, ReadError> {
    match read {
        Read::Identity => to_value(&cluster.identify().await?.0),
        Read::Identities => to_value(&server::identities(cluster).await?),
        Read::Health => to_value(&server::health(cluster).await?),
        Read::Nodes => to_value(&server::nodes(cluster).await?),
        Read::Indices { pattern } => to_value(&indices::indices(cluster, pattern).await?),
        Read::Shards { pattern } => to_value(&indices::shards(cluster, pattern).await?),
        Read::Aliases { pattern } => to_value(&indices::aliases(cluster, pattern).await?),
        Read::Templates { kind, pattern } => {
            to_value(&indices::templates(cluster, *kind, pattern).await?)
        }
        Read::Mappings { index } => indices::mapping(cluster, index).await,
        Read::IndexSettings { index } => indices::settings(cluster, index).await,
        Read::Count { index, query } => {
            let query = query.as_ref().map(liftlock_types::Json::as_str);
            to_value(&cluster.count(index, query).await?)
        }
        Read::Search { what } => to_value(&documents::search(cluster, what).await?),
        Read::Document { index, id } => {
            let stored = cluster
                .document(index, id)
                .await?
                .ok_or_else(|| ReadError::NotFound(format!("document `{id}` of `{index}`")))?;
            to_value(&stored.document(index, id)?)
        }
        Read::Tasks { actions } => to_value(&cluster.tasks(actions).await?),
        Read::ClusterSettings { scope } => server::cluster_settings(cluster, *scope).await,
        Read::Deprecations => to_value(&server::deprecations(cluster).await?),
        Read::RawRead { path, query, body } => {
            to_value(&raw::raw_read(cluster, path, query, body.as_ref()).await?)
        }
        Read::Activity { indices } => to_value(&indices::activity(cluster, indices).await?),
        Read::Checksum { index } => to_value(&documents::checksum(cluster, index).await?),
        other => Err(ReadError::Invalid(format!(
            "`{}` is no read of a cluster",
            other.verb()
        ))),
    }
}

pub(crate) fn to_value<T: Serialize>(value: &T) -> Result<Value, ReadError> {
    serde_json::to_value(value).map_err(|error| ReadError::Invalid(error.to_string()))
}

/// A pattern of the contract: a literal, or a literal with one trailing `*`.
pub(crate) fn pattern(text: &str) -> Result<Scope, ReadError> {
    Scope::new(text).map_err(|error| ReadError::Invalid(error.to_string()))
}

/// Refuses a list over its bound; nothing is cut.
pub(crate) fn bounded<T>(list: Vec<T>, most: usize, what: &str) -> Result<Vec<T>, ReadError> {
    if list.len() > most {
        return Err(ReadError::Invalid(format!(
            "{} {what}, at most {most} are given",
            list.len()
        )));
    }
    Ok(list)
}

/// Most of a strange answer that is told.
const ANSWER_CHARS_MAX: usize = 200;

/// A number that a table of the server shows as text, or not at all (a closed index has no size).
pub(crate) fn number(row: &Value, key: &str) -> u64 {
    match row.get(key) {
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        Some(value) => value.as_u64().unwrap_or(0),
        None => 0,
    }
}

pub(crate) fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The list that an answer is, or has under `key`. Anything else is no evidence that there is nothing.
pub(crate) fn rows<'a>(
    answer: &'a Value,
    key: Option<&str>,
    of: &str,
) -> Result<&'a [Value], ReadError> {
    let list = match key {
        Some(key) => answer.get(key),
        None => Some(answer),
    };
    list.and_then(Value::as_array)
        .map(Vec::as_slice)
        .ok_or_else(|| other_form(answer, of))
}

/// The members of an answer that names objects: indices, legacy templates.
pub(crate) fn objects<'a>(
    answer: &'a Value,
    of: &str,
) -> Result<&'a Map<String, Value>, ReadError> {
    answer
        .as_object()
        .filter(|members| members.values().all(Value::is_object))
        .ok_or_else(|| other_form(answer, of))
}

fn other_form(answer: &Value, of: &str) -> ReadError {
    let answer: String = answer.to_string().chars().take(ANSWER_CHARS_MAX).collect();
    ReadError::Unavailable(format!(
        "the answer has not the form of {of}, something else than the server gave it: {answer}"
    ))
}

/// The elements of a list; a value that is no list has none.
pub(crate) fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The members of an object; a value that is no object has none.
pub(crate) fn members(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

/// Shards that did not answer make a number or a list a part of the truth.
pub(crate) fn whole(value: &Value) -> Result<(), ReadError> {
    let failed = value
        .pointer("/_shards/failed")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    if failed > 0 {
        let why = value
            .pointer("/_shards/failures/0/reason/reason")
            .and_then(Value::as_str)
            .unwrap_or("no reason given");
        return Err(ReadError::Unavailable(format!(
            "{failed} shards failed: {why}"
        )));
    }
    if value.get("timed_out") == Some(&Value::Bool(true)) {
        return Err(ReadError::Unavailable("the server ran out of time".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_of_another_form_is_no_evidence_that_there_is_nothing() {
        let lie = json!({"acknowledged": true});
        assert!(matches!(
            objects(&lie, "templates"),
            Err(ReadError::Unavailable(_))
        ));
        assert!(rows(&lie, None, "the table of indices").is_err());
        assert!(rows(&lie, Some("component_templates"), "templates").is_err());
        assert!(objects(&json!({}), "templates").is_ok());
        assert_eq!(rows(&json!([1]), None, "a table").unwrap().len(), 1);
    }
}
