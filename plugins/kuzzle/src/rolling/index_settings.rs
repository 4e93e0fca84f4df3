//! What indices and templates are set to that 8 does not know any more. The server's deprecation API names some of it;
//! where there is none, nobody does.
//!
//! What becomes of each was seen on real servers, 7.17.15 to 8.19.13.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;

use crate::check::{blocker, info};
use crate::seen::{self, INDEX_SETTINGS};

/// 7.17 takes `_tier` for the tier of a node, 8 for an attribute of it, which no node has. An index that is restored into 8
/// loses it; one that nodes bring along keeps it until all of them were down at once.
const HOLDS_TO_A_TIER: [&str; 2] = [
    "index.routing.allocation.include._tier",
    "index.routing.allocation.require._tier",
];

/// 8 leaves them where an index has them, without any effect, and makes no index with one.
const REMOVED: [&str; 4] = [
    "index.force_memory_term_dictionary",
    "index.indexing.slowlog.level",
    "index.max_adjacency_matrix_filters",
    "index.search.slowlog.level",
];

/// By the name of an index or a template: those of the settings above that it has, by key.
type Settings = BTreeMap<String, BTreeMap<String, String>>;

/// What was given to indices, and what templates give to new ones.
#[derive(Debug, Default)]
pub(super) struct Given {
    indices: Settings,
    templates: Settings,
}

impl Given {
    pub(super) fn gather(storage: &Cluster) -> Result<Self> {
        let filter: Vec<String> = known()
            .map(|setting| format!("*.settings.{setting}"))
            .collect();
        let query = [
            ("expand_wildcards", "all"),
            ("filter_path", &filter.join(",")),
        ];
        let told = seen::asked(storage, INDEX_SETTINGS, query)?;
        let indices = told.as_object().into_iter().flatten();
        let templates = seen::templates(storage)?;
        Ok(Self {
            indices: indices
                .map(|(index, its)| (index.clone(), of_interest(&its["settings"])))
                .collect(),
            templates: templates
                .iter()
                .map(|template| (template.name.clone(), of_template(&template.body)))
                .collect(),
        })
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let indices = each(&self.indices).map(|(index, key, what)| {
            if HOLDS_TO_A_TIER.contains(&key) {
                blocker("kuzzle.tier-filter", index, what)
            } else {
                info("kuzzle.index-setting-removed", index, what)
            }
        });
        let templates = each(&self.templates)
            .map(|(template, _, what)| blocker("kuzzle.template-of-removed", template, what));
        indices.chain(templates).collect()
    }
}

/// Of a template's body, whichever kind it is of.
fn of_template(body: &str) -> BTreeMap<String, String> {
    let body: Value = body.parse().unwrap_or(Value::Null);
    let inner = body.pointer("/template/settings");
    of_interest(inner.unwrap_or(&body["settings"]))
}

fn known() -> impl Iterator<Item = &'static str> {
    HOLDS_TO_A_TIER.into_iter().chain(REMOVED)
}

/// Whose it is, its key, and the setting as a person would write it.
fn each(all: &Settings) -> impl Iterator<Item = (&str, &str, String)> {
    all.iter().flat_map(|(whose, settings)| {
        settings
            .iter()
            .map(move |(key, value)| (whose.as_str(), key.as_str(), format!("`{key}: {value}`")))
    })
}

/// Of settings as the server shows them, nested or flat, with `index.` before them or without: those above.
fn of_interest(settings: &Value) -> BTreeMap<String, String> {
    known()
        .filter_map(|key| {
            let short = || at(settings, key.strip_prefix("index.")?);
            Some((key.to_owned(), at(settings, key).or_else(short)?))
        })
        .collect()
}

/// The text at a key whose dots may each be one of a name or the step into an object.
fn at(settings: &Value, key: &str) -> Option<String> {
    let all = settings.as_object()?;
    all.iter().find_map(|(name, value)| {
        let rest = key.strip_prefix(name.as_str())?;
        match rest.strip_prefix('.') {
            Some(inner) => at(value, inner),
            None if rest.is_empty() => Some(value.as_str()?.to_owned()),
            None => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(index: Value, template: &str) -> Vec<(String, Severity, String)> {
        let given = Given {
            indices: [("&a.b".to_owned(), of_interest(&index))].into(),
            templates: [("t".to_owned(), of_template(template))].into(),
        };
        let all = given.findings().into_iter();
        all.map(|it| (it.id.replace("kuzzle.", ""), it.severity, it.what))
            .collect()
    }

    #[test]
    fn an_index_is_held_to_a_tier_or_has_what_is_without_effect() {
        let told = |key: &str, value: &str| format!("`index.{key}: {value}`");
        let nested = json!({"index": {
            "routing": {"allocation": {"include": {"_tier": "data_hot", "_tier_preference": "data_hot"}}},
            "search": {"slowlog": {"level": "info", "threshold": {"query": {"warn": "1s"}}}},
        }});
        assert_eq!(
            found(nested, "{}"),
            [
                (
                    "tier-filter".to_owned(),
                    Severity::Blocker,
                    told("routing.allocation.include._tier", "data_hot")
                ),
                (
                    "index-setting-removed".to_owned(),
                    Severity::Info,
                    told("search.slowlog.level", "info")
                ),
            ]
        );
        let usual = json!({"index": {"routing": {"allocation": {"include": {"_tier_preference": "data_hot"}}}}});
        assert_eq!(found(usual, "{}"), []);
    }

    #[test]
    fn a_template_of_each_kind_is_read() {
        for body in [
            r#"{"settings": {"index": {"max_adjacency_matrix_filters": "7"}}}"#,
            r#"{"settings": {"index.max_adjacency_matrix_filters": "7"}}"#,
            r#"{"template": {"settings": {"max_adjacency_matrix_filters": "7"}}}"#,
        ] {
            let expected = "`index.max_adjacency_matrix_filters: 7`".to_owned();
            assert_eq!(
                found(Value::Null, body),
                [(
                    "template-of-removed".to_owned(),
                    Severity::Blocker,
                    expected
                )]
            );
        }
        for body in [
            "{}",
            "",
            r#"{"template": {"settings": {"index": {"refresh_interval": "1s"}}}}"#,
        ] {
            assert_eq!(found(Value::Null, body), []);
        }
    }
}
