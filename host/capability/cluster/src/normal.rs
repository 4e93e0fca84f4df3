//! Bodies in one form: what was asked and what the server shows mean the same when their forms are equal.

use serde_json::{Map, Value};

/// Flat keys with scalars as text, as the server shows settings; null stays.
pub(crate) fn flat_settings(settings: &Value) -> Map<String, Value> {
    let mut flat = Map::new();
    flatten(settings, "", &mut flat);
    flat
}

fn flatten(value: &Value, prefix: &str, flat: &mut Map<String, Value>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let key = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}.{key}")
                };
                flatten(value, &key, flat);
            }
        }
        Value::Null => {
            flat.insert(prefix.to_owned(), Value::Null);
        }
        other => {
            flat.insert(prefix.to_owned(), as_text(other));
        }
    }
}

/// Index settings may be written without their `index.`.
pub(crate) fn index_key(key: &str) -> String {
    if key.starts_with("index.") {
        key.to_owned()
    } else {
        format!("index.{key}")
    }
}

/// Scalars as text at every depth: the server shows `1` as `"1"` in one place and as `1` in another.
fn as_text(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), as_text(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(elements) => elements.iter().map(as_text).collect(),
        Value::Null => Value::Null,
        Value::String(text) => text.as_str().into(),
        scalar => scalar.to_string().into(),
    }
}

/// A mapping: what every server fills in or leaves out is left out.
pub(crate) fn mapping(value: &Value) -> Value {
    let Value::Object(members) = value else {
        return as_text(value);
    };
    let mut form = Map::new();
    for (key, value) in members {
        // `object` is what a field with properties is, and the server does not say so.
        if key == "type" && value == "object" {
            continue;
        }
        form.insert(key.clone(), mapping(value));
    }
    form.into()
}

/// A template of any kind.
pub(crate) fn template(body: &Value) -> Value {
    let mut form = Map::new();
    for (key, value) in crate::reads::members(Some(body)) {
        let value = match key.as_str() {
            "index_patterns" => match value {
                Value::String(one) => vec![Value::from(one.as_str())].into(),
                several => several.clone(),
            },
            "template" if value.is_object() => template(value),
            "settings" => Value::Object(
                flat_settings(value)
                    .into_iter()
                    .map(|(key, value)| (index_key(&key), value))
                    .collect(),
            ),
            "mappings" => mapping(value),
            "aliases" => aliases(value),
            // The server's own stamps.
            "created_date" | "created_date_millis" | "modified_date" | "modified_date_millis" => {
                continue;
            }
            _ => as_text(value),
        };
        let is_default = match (key.as_str(), &value) {
            (_, Value::Null) => true,
            (_, Value::Object(members)) => members.is_empty() && key != "data_stream",
            (_, Value::Array(elements)) => elements.is_empty(),
            ("order", value) => value == "0",
            _ => false,
        };
        if !is_default {
            form.insert(key.clone(), value);
        }
    }
    form.into()
}

fn aliases(value: &Value) -> Value {
    let Value::Object(by_name) = value else {
        return value.clone();
    };
    let one = |properties: &Value| {
        let mut form = Map::new();
        for (key, value) in crate::reads::members(Some(properties)) {
            match key.as_str() {
                "routing" => {
                    form.insert("index_routing".into(), as_text(value));
                    form.insert("search_routing".into(), as_text(value));
                }
                "is_hidden" if value == &Value::Bool(false) => {}
                _ => {
                    form.insert(key.clone(), as_text(value));
                }
            }
        }
        Value::Object(form)
    };
    by_name
        .iter()
        .map(|(name, properties)| (name.clone(), one(properties)))
        .collect::<Map<_, _>>()
        .into()
}

/// Both mean the same template.
pub(crate) fn same_template(a: &Value, b: &Value) -> bool {
    template(a) == template(b)
}

/// All of the asked template is in the one the server has.
pub(crate) fn template_has(have: &Value, asked: &Value) -> bool {
    liftlock_types::contains(&template(have), &template(asked))
}

/// All of the asked mapping is in the one the server has.
pub(crate) fn mapping_has(have: &Value, asked: &Value) -> bool {
    liftlock_types::contains(&mapping(have), &mapping(asked))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_reads_back_as_asked_whatever_form_the_server_gives_it() {
        let asked = json!({
            "index_patterns": "a-*",
            "settings": {"number_of_shards": 1, "index": {"refresh_interval": "5s"}},
            "mappings": {"properties": {"x": {"type": "keyword", "index": false}, "o": {"type": "object", "properties": {"y": {"type": "long"}}}}},
        });
        let shown = json!({
            "order": 0, "aliases": {},
            "index_patterns": ["a-*"],
            "settings": {"index": {"number_of_shards": "1", "refresh_interval": "5s"}},
            "mappings": {"properties": {"x": {"type": "keyword", "index": false}, "o": {"properties": {"y": {"type": "long"}}}}},
        });
        assert!(same_template(&asked, &shown));
        let mut other = shown.clone();
        other["settings"]["index"]["number_of_shards"] = "2".into();
        assert!(!same_template(&asked, &other));
        assert!(!template_has(&other, &asked));
        let mut more = shown;
        more["version"] = 7.into();
        assert!(
            !same_template(&asked, &more),
            "more than was asked is not the same"
        );
        assert!(template_has(&more, &asked));
    }

    #[test]
    fn a_composable_template_is_compared_within() {
        let asked = json!({
            "index_patterns": ["a-*"], "priority": 5, "composed_of": [],
            "template": {"settings": {"index.number_of_replicas": 0}, "aliases": {"al": {"routing": "r"}}},
        });
        let shown = json!({
            "index_patterns": ["a-*"], "priority": 5,
            "template": {"settings": {"index": {"number_of_replicas": "0"}},
                         "aliases": {"al": {"index_routing": "r", "search_routing": "r"}}},
            "created_date_millis": 1,
        });
        assert!(same_template(&asked, &shown));
    }

    #[test]
    fn settings_are_flat_and_their_scalars_text() {
        assert_eq!(
            Value::Object(flat_settings(
                &json!({"a": {"b": 1, "c": [true]}, "d.e": null})
            )),
            json!({"a.b": "1", "a.c": ["true"], "d.e": null})
        );
        assert_eq!(index_key("number_of_replicas"), "index.number_of_replicas");
        assert_eq!(index_key("index.blocks.write"), "index.blocks.write");
    }

    #[test]
    fn a_mapping_has_what_was_added() {
        let have = json!({"dynamic": "strict", "properties": {"a": {"type": "keyword"}, "b": {"type": "long", "coerce": false}}});
        assert!(mapping_has(
            &have,
            &json!({"properties": {"b": {"type": "long"}}})
        ));
        assert!(!mapping_has(
            &have,
            &json!({"properties": {"b": {"type": "date"}}})
        ));
        assert!(!mapping_has(
            &have,
            &json!({"properties": {"c": {"type": "date"}}})
        ));
    }
}
