//! Whether a JSON value is what a JSON schema says: the part of the language that our schemas use.
//!
//! Stricter in one point: a field that the schema does not name is an objection, because whoever reads
//! the committed schema must find every field there.

use serde_json::Value;

/// What a value has against a schema; empty when it fits.
pub fn objections(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    look(schema, schema, value, "", &mut found);
    found
}

fn look(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let mut object =
        |what: String| found.push(format!("{}: {what}", if at.is_empty() { "/" } else { at }));
    if let Some(flag) = schema.as_bool() {
        if !flag {
            object("nothing is allowed here".into());
        }
        return;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        match root.pointer(reference.trim_start_matches('#')) {
            Some(named) => look(root, named, value, at, found),
            None => object(format!("`{reference}` is not in the schema")),
        }
        return;
    }
    for choices in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[choices].as_array() {
            let fits = |choice: &Value| {
                let mut inner = Vec::new();
                look(root, choice, value, at, &mut inner);
                inner.is_empty()
            };
            if !choices.iter().any(fits) {
                object(format!("{value} is none of the choices"));
            }
            return;
        }
    }
    if let Some(expected) = schema.get("const")
        && expected != value
    {
        object(format!("{value} is not {expected}"));
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        object(format!("{value} is not in the list"));
    }
    if !has_type(&schema["type"], value) {
        object(format!("{value} is not of type {}", schema["type"]));
        return;
    }
    match value {
        Value::Array(items) => {
            if let Some(each) = schema.get("items") {
                for (number, item) in items.iter().enumerate() {
                    look(root, each, item, &format!("{at}/{number}"), found);
                }
            }
        }
        Value::Object(fields) => {
            for name in schema["required"].as_array().into_iter().flatten() {
                if name.as_str().is_none_or(|name| !fields.contains_key(name)) {
                    object(format!("{name} lacks"));
                }
            }
            for (name, field) in fields {
                let at = format!("{at}/{name}");
                if let Some(named) = schema["properties"].get(name) {
                    look(root, named, field, &at, found);
                } else if let Some(other) = schema.get("additionalProperties") {
                    look(root, other, field, &at, found);
                } else if schema.get("properties").is_some() {
                    found.push(format!("{at}: it is not in the schema"));
                }
            }
        }
        _ => {}
    }
}

fn has_type(types: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    match types {
        Value::Null => true,
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_to_what_lacks_what_is_unknown_and_what_is_of_another_type() {
        let schema = json!({
            "type": "object", "required": ["a"],
            "properties": {
                "a": { "type": ["string", "null"] },
                "b": { "type": "array", "items": { "$ref": "#/$defs/B" } },
                "c": { "anyOf": [{ "const": 1 }, { "enum": ["x"] }] },
                "d": { "type": "object", "additionalProperties": { "type": "integer" } },
            },
            "$defs": { "B": { "type": "boolean" } },
        });
        let good = json!({ "a": null, "b": [true], "c": "x", "d": { "k": 1 } });
        assert_eq!(objections(&schema, &good), Vec::<String>::new());
        for (bad, says) in [
            (json!({}), "/: \"a\" lacks"),
            (json!({ "a": 1 }), "/a: 1 is not of type"),
            (json!({ "a": "", "b": [1] }), "/b/0: 1 is not of type"),
            (json!({ "a": "", "c": 2 }), "/c: 2 is none"),
            (
                json!({ "a": "", "d": { "k": "" } }),
                "/d/k: \"\" is not of type",
            ),
            (json!({ "a": "", "e": 1 }), "/e: it is not in the schema"),
        ] {
            let found = objections(&schema, &bad);
            assert!(found.len() == 1 && found[0].starts_with(says), "{found:?}");
        }
    }
}
