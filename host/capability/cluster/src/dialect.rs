//! Where the products differ, in one place.

use liftlock_types::facts::cluster::{Distribution, Identity};
use serde_json::Value;

/// Product and version, as far as requests depend on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    /// The family.
    pub distribution: Distribution,
    /// `2.19.1`.
    pub version: String,
}

impl Dialect {
    /// `OpenSearch 2.19.1`.
    pub fn product(&self) -> String {
        let name = match self.distribution {
            Distribution::Elasticsearch => "Elasticsearch",
            Distribution::Opensearch => "OpenSearch",
        };
        format!("{name} {}", self.version)
    }

    /// What a snapshot must be told beside its indices, so that it holds nothing but them.
    ///
    /// Elasticsearch adds the system indices of every feature unless it is told `none`; OpenSearch refuses the
    /// parameter.
    pub fn snapshot_extras(&self) -> Vec<(&'static str, Value)> {
        match self.distribution {
            Distribution::Elasticsearch => vec![("feature_states", serde_json::json!(["none"]))],
            Distribution::Opensearch => Vec::new(),
        }
    }

    /// Settings that hand an index to a lifecycle: a copy on trial must not be rolled over or deleted by one.
    pub fn lifecycle_settings(&self) -> &'static [&'static str] {
        match self.distribution {
            Distribution::Elasticsearch => &["index.lifecycle.*"],
            Distribution::Opensearch => &[
                "index.plugins.index_state_management.*",
                "index.opendistro.index_state_management.*",
            ],
        }
    }
}

/// What `/` says, or why it says nothing about a search cluster.
pub(crate) fn identity(root: &Value) -> Result<Identity, String> {
    let text = |pointer: &str| {
        root.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let version = text("/version/number");
    let cluster_uuid = text("/cluster_uuid");
    if version.is_empty() || cluster_uuid.is_empty() {
        return Err("what answers is no Elasticsearch and no OpenSearch".into());
    }
    if cluster_uuid == "_na_" {
        return Err("the node has not joined a cluster".into());
    }
    // With its compatibility override an OpenSearch says 7.10.2 and drops `distribution`; the tagline stays.
    let is_opensearch =
        text("/version/distribution") == "opensearch" || text("/tagline").contains("OpenSearch");
    let more = ["lucene_version", "build_flavor", "build_type", "build_hash"]
        .iter()
        .map(|key| ((*key).to_owned(), text(&format!("/version/{key}"))))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    Ok(Identity {
        distribution: if is_opensearch {
            Distribution::Opensearch
        } else {
            Distribution::Elasticsearch
        },
        version,
        cluster_name: text("/cluster_name"),
        cluster_uuid,
        node_name: text("/name"),
        minimum_wire_version: text("/version/minimum_wire_compatibility_version"),
        minimum_index_version: text("/version/minimum_index_compatibility_version"),
        more,
    })
}

/// What a reindex or a by-query task says it works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moves {
    pub(crate) from: Vec<String>,
    pub(crate) to: Option<String>,
}

/// Reads a task's description: `reindex from [a] to [b]`, `reindex from [a] updated with Script{...} to [b]`,
/// `update-by-query [a]`, `update-by-query [a] updated with Script{...}`, `delete-by-query [a]`.
pub(crate) fn moves(description: &str) -> Option<Moves> {
    let bracketed = |text: &str| -> Option<Vec<String>> {
        let inner = text.split_once('[')?.1.split_once(']')?.0;
        Some(
            inner
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect(),
        )
    };
    if let Some(rest) = description.strip_prefix("reindex from ") {
        // A script's text can hold anything, ` to [` too; the destination stands last.
        let (_, to) = rest.rsplit_once(" to [")?;
        // From another cluster: its indices are none of ours.
        let is_remote = rest.starts_with("[scheme=");
        return Some(Moves {
            from: if is_remote {
                Vec::new()
            } else {
                bracketed(rest)?
            },
            to: Some(to.split_once(']')?.0.to_owned()),
        });
    }
    for kind in ["update-by-query ", "delete-by-query "] {
        if let Some(rest) = description.strip_prefix(kind) {
            return Some(Moves {
                from: bracketed(rest)?,
                to: None,
            });
        }
    }
    None
}

/// Does this answer of the task API show a task that was told to end and has not ended yet?
///
/// Elasticsearch 7.17 and OpenSearch 2 say so of the task itself. Elasticsearch 7.10 and OpenSearch 1.3 do not:
/// there the status of a reindex or a by-query task holds the reason (`by user request`), and other tasks show
/// nothing.
pub(crate) fn is_cancelled(answer: &Value) -> bool {
    answer.pointer("/task/cancelled") == Some(&Value::Bool(true))
        || answer
            .pointer("/task/status/canceled")
            .is_some_and(Value::is_string)
}

/// What Elasticsearch 9 writes into a template by itself. It refuses a template that is put with one of them,
/// and two templates that differ in nothing else are the same.
const TEMPLATE_DATES: [&str; 4] = [
    "created_date",
    "created_date_millis",
    "modified_date",
    "modified_date_millis",
];

/// A template's body without what the server keeps beside it.
pub(crate) fn without_dates(mut body: Value) -> Value {
    if let Some(members) = body.as_object_mut() {
        members.retain(|name, _| !TEMPLATE_DATES.contains(&name.as_str()));
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_templates_dates_are_the_servers_and_its_settings_are_not() {
        let body = serde_json::json!({
            "created_date_millis": 1, "modified_date_millis": 2, "priority": 7,
            "template": {"settings": {"created_date": "kept"}},
        });
        assert_eq!(
            without_dates(body),
            serde_json::json!({"priority": 7, "template": {"settings": {"created_date": "kept"}}})
        );
    }

    #[test]
    fn sees_a_cancelled_task_in_every_form() {
        for (task, expected) in [
            (serde_json::json!({"cancelled": true}), true),
            (serde_json::json!({"cancelled": false}), false),
            (
                serde_json::json!({"status": {"canceled": "by user request"}}),
                true,
            ),
            (serde_json::json!({"status": {"created": 1}}), false),
            (serde_json::json!({}), false),
        ] {
            let answer = serde_json::json!({"completed": false, "task": task});
            assert_eq!(is_cancelled(&answer), expected, "{answer}");
        }
    }

    #[test]
    fn reads_both_forms_of_a_tasks_description() {
        let scripted = "reindex from [a] updated with Script{type=inline, lang='painless', idOrCode='ctx.x = \" to [z]\"', \
                        options={}, params={}} to [b]";
        for text in ["reindex from [a] to [b]", scripted] {
            assert_eq!(
                moves(text),
                Some(Moves {
                    from: vec!["a".into()],
                    to: Some("b".into())
                }),
                "{text}"
            );
        }
        assert_eq!(
            moves("update-by-query [a, b] updated with Script{...}")
                .unwrap()
                .from,
            ["a", "b"]
        );
        assert_eq!(moves("delete-by-query [a]").unwrap().to, None);
        let remote = moves("reindex from [scheme=http host=h port=9200][a] to [b]").unwrap();
        assert_eq!((remote.from.len(), remote.to.as_deref()), (0, Some("b")));
        assert_eq!(moves("indices[a]"), None);
    }

    #[test]
    fn tells_the_products_apart() {
        let root = |version: Value, tagline: &str| serde_json::json!({"name": "n", "cluster_name": "c", "cluster_uuid": "u", "version": version, "tagline": tagline});
        let of = |root: &Value| identity(root).unwrap().distribution;
        assert_eq!(
            of(&root(
                serde_json::json!({"number": "2.19.1", "distribution": "opensearch"}),
                ""
            )),
            Distribution::Opensearch
        );
        assert_eq!(
            of(&root(
                serde_json::json!({"number": "7.10.2"}),
                "The OpenSearch Project: https://opensearch.org/"
            )),
            Distribution::Opensearch
        );
        assert_eq!(
            of(&root(
                serde_json::json!({"number": "8.19.13"}),
                "You Know, for Search"
            )),
            Distribution::Elasticsearch
        );
        assert!(identity(&serde_json::json!({"hello": "world"})).is_err());
        assert!(
            identity(
                &serde_json::json!({"cluster_uuid": "_na_", "version": {"number": "8.19.13"}})
            )
            .is_err()
        );
    }
}
