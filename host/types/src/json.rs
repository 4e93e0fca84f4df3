//! JSON text in its canonical form: parsed once, at the edge, and never re-serialised after that.

use std::borrow::Cow;
use std::fmt;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

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
        let IgnoredAny = serde_json::from_str(text).map_err(|e| JsonError(e.to_string()))?;
        canonical(text).map(Self).map_err(JsonError)
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

/// Valid JSON without its white space, each string as `serde_json` writes it. One pass: documents go through here too.
fn canonical(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    // What is open; an object with its keys so far.
    let mut open: Vec<Option<Vec<Cow<'_, str>>>> = Vec::new();
    let mut is_key = false;
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let token = &rest[..length(rest)];
        rest = &rest[token.len()..];
        match first {
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            b'"' => {
                let token = string(token)?;
                out.push_str(&token);
                if let Some(Some(keys)) = open.last_mut().filter(|_| is_key) {
                    keys.push(token);
                }
                is_key = false;
                continue;
            }
            b'{' | b'[' => {
                is_key = first == b'{';
                open.push(is_key.then(Vec::new));
                if open.len() > JSON_DEPTH_MAX {
                    return Err(format!("nested deeper than {JSON_DEPTH_MAX}"));
                }
            }
            b'}' | b']' => {
                if let Some(Some(keys)) = open.pop() {
                    each_once(keys)?;
                }
            }
            b',' => is_key = matches!(open.last(), Some(Some(_))),
            _ => {}
        }
        out.push_str(token);
    }
    Ok(out)
}

/// Bytes of the token that valid JSON begins with.
fn length(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'"') => {
            let mut at = 1;
            while let Some(byte) = bytes.get(at).filter(|byte| **byte != b'"') {
                at += if *byte == b'\\' { 2 } else { 1 };
            }
            at + 1
        }
        Some(b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r') => 1,
        // A number or a word.
        _ => {
            let ends = |byte: &u8| b",:]} \t\n\r".contains(byte);
            bytes.iter().position(ends).unwrap_or(bytes.len())
        }
    }
}

/// A string with its quotes, as `serde_json` writes it: without an escape it is so already.
fn string(token: &str) -> Result<Cow<'_, str>, String> {
    if !token.contains('\\') {
        return Ok(Cow::Borrowed(token));
    }
    let string: String = serde_json::from_str(token).map_err(|e| e.to_string())?;
    let written = serde_json::to_string(&string).map_err(|e| e.to_string())?;
    Ok(Cow::Owned(written))
}

fn each_once(mut keys: Vec<Cow<'_, str>>) -> Result<(), String> {
    keys.sort_unstable();
    match keys.windows(2).find(|two| two[0] == two[1]) {
        None => Ok(()),
        Some(two) => Err(format!(
            "the key `{}` stands twice in one object",
            two[0].trim_matches('"')
        )),
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
    fn strings_are_written_in_one_way() {
        let written =
            r#"{"\u0061\/\"\u00e9" : ["\ud83d\ude00", "a\\\\", "\n", " ,:]} é", "\t"] , "":{}}"#;
        let json = Json::new(written).unwrap();
        assert_eq!(
            json.as_str(),
            r#"{"a/\"é":["😀","a\\\\","\n"," ,:]} é","\t"],"":{}}"#
        );
        let of = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(of(json.as_str()), of(written));
        assert_eq!(Json::of(&of(written)), json);
    }

    #[test]
    fn an_object_in_an_object_has_keys_of_its_own() {
        let text = r#"[{"a":{"a":["a","a",{"a":1}]},"b":"a"},{"a":"b"}]"#;
        assert_eq!(Json::new(text).unwrap().as_str(), text);
        assert!(Json::new(r#"{"a":{"b":[{}]},"c":"a","a":0}"#).is_err());
    }

    #[test]
    fn refuses_what_is_no_json() {
        for bad in [
            "",
            "{",
            "nul",
            "01",
            "{\"a\":}",
            "[1,]",
            "1 2",
            "\"\u{1}\"",
            "\"\\ud83d\"",
            "[1}",
        ] {
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
