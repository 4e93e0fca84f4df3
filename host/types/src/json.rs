//! JSON text in its canonical form: parsed once, at the edge, and never re-serialised after that.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// Most bytes of one JSON text.
///
/// 1 MiB: the largest mapping seen at a site of 1,000 fields is 60 KiB; a plan holds thousands of texts.
pub const JSON_BYTES_MAX: usize = 1 << 20;

/// Deepest nesting. Below the 128 that `serde_json` refuses by itself.
pub const JSON_DEPTH_MAX: usize = 100;

/// A text that is not the JSON we take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not valid JSON: {0}")]
pub struct JsonError(pub String);

/// JSON text: no duplicate keys, number literals and key order as written, white space dropped.
///
/// That text is hashed, shown and sent (design, section 5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Json(String);

impl Json {
    /// Parses and makes canonical.
    pub fn new(text: &str) -> Result<Self, JsonError> {
        if text.len() > JSON_BYTES_MAX {
            return Err(JsonError(format!(
                "{} bytes, at most {JSON_BYTES_MAX} are taken",
                text.len()
            )));
        }
        let mut out = String::with_capacity(text.len());
        write(text.trim(), &mut out, 0).map_err(JsonError)?;
        Ok(Self(out))
    }

    /// Of a value of our own making.
    pub fn of(value: &serde_json::Value) -> Self {
        Self(value.to_string())
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as a value, for looking into it; what is sent stays the text.
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).unwrap_or(serde_json::Value::Null)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Json {
    type Error = JsonError;
    fn try_from(text: String) -> Result<Self, JsonError> {
        Self::new(&text)
    }
}

impl From<Json> for String {
    fn from(json: Json) -> String {
        json.0
    }
}

/// Is every member of `subset` in `whole`, at every depth? Lists must be equal.
pub fn contains(whole: &serde_json::Value, subset: &serde_json::Value) -> bool {
    match (whole, subset) {
        (serde_json::Value::Object(whole), serde_json::Value::Object(subset)) => subset
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|have| contains(have, value))),
        _ => whole == subset,
    }
}

fn write(text: &str, out: &mut String, depth: usize) -> Result<(), String> {
    if depth > JSON_DEPTH_MAX {
        return Err(format!("nested deeper than {JSON_DEPTH_MAX}"));
    }
    match text.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(text).map_err(|e| e.to_string())?;
            let mut seen = std::collections::HashSet::new();
            out.push('{');
            for (n, (key, value)) in members.iter().enumerate() {
                if !seen.insert(key) {
                    return Err(format!(
                        "the key `{}` stands twice in one object",
                        key.escape_debug()
                    ));
                }
                if n > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(key).map_err(|e| e.to_string())?);
                out.push(':');
                write(value.get(), out, depth + 1)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            let Elements(elements) = serde_json::from_str(text).map_err(|e| e.to_string())?;
            out.push('[');
            for (n, value) in elements.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write(value.get(), out, depth + 1)?;
            }
            out.push(']');
        }
        Some(b'"') => {
            let string: String = serde_json::from_str(text).map_err(|e| e.to_string())?;
            out.push_str(&serde_json::to_string(&string).map_err(|e| e.to_string())?);
        }
        _ => {
            let scalar: &RawValue = serde_json::from_str(text).map_err(|e| e.to_string())?;
            out.push_str(scalar.get());
        }
    }
    Ok(())
}

struct Members<'a>(Vec<(String, &'a RawValue)>);
struct Elements<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(entry) = map.next_entry::<String, &'de RawValue>()? {
                    members.push(entry);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Walk)
    }
}

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Elements<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element::<&'de RawValue>()? {
                    elements.push(element);
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_seq(Walk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_number_literals_and_drops_white_space() {
        let json = Json::new(" { \"b\" : 1.50 , \"a\" : [ 1e3, 12345678901234567890123 , {} ] } ")
            .unwrap();
        assert_eq!(
            json.as_str(),
            r#"{"b":1.50,"a":[1e3,12345678901234567890123,{}]}"#
        );
        assert_eq!(Json::new(json.as_str()).unwrap(), json);
    }

    #[test]
    fn refuses_duplicate_keys_however_they_are_written() {
        assert!(Json::new(r#"{"a":1,"a":2}"#).is_err());
        assert!(Json::new(r#"{"a":1,"\u0061":2}"#).is_err());
        assert!(Json::new(r#"[{"x":{"a":1,"a":2}}]"#).is_err());
    }

    #[test]
    fn refuses_what_is_no_json() {
        for bad in ["", "{", "nul", "01", "{\"a\":}", "[1,]", "1 2", "\"\u{1}\""] {
            assert!(Json::new(bad).is_err(), "{bad:?}");
        }
        assert!(Json::new(&"[".repeat(100_000)).is_err());
        assert!(Json::new(&format!("{}1{}", "[".repeat(101), "]".repeat(101))).is_err());
    }

    #[test]
    fn a_subset_is_found_at_every_depth() {
        let whole = serde_json::json!({"a": {"b": 1, "c": [1, 2]}, "d": null});
        assert!(contains(&whole, &serde_json::json!({"a": {"b": 1}})));
        assert!(contains(&whole, &serde_json::json!({"d": null})));
        assert!(!contains(&whole, &serde_json::json!({"a": {"c": [1]}})));
        assert!(!contains(&whole, &serde_json::json!({"e": null})));
    }
}
