//! Which Elasticsearch a Kuzzle's configuration names: `services.storageEngine.majorVersion`.
//!
//! The file is JSON, or JSON with comments, which is why it is looked at as text; and an edit leaves all else as it is.

/// What Kuzzle compares the value with, letter by letter.
const KEY: &str = "\"majorVersion\"";

/// What a configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// The text `"7"`, `"8"`, or another.
    Text(String),
    /// Something else than a text: of a number Kuzzle says that it is no version, and ends.
    NoText(String),
    /// Nothing: then Kuzzle takes `"7"`, unless a variable of its environment says otherwise.
    Nothing,
    /// More than one place says it.
    Several(usize),
}

/// One place: where key and value begin and end.
struct Place {
    from: usize,
    value: usize,
    to: usize,
}

fn places(text: &str) -> Vec<Place> {
    let mut found = Vec::new();
    for (from, _) in text.match_indices(KEY) {
        let after = from + KEY.len();
        let rest = &text[after..];
        let Some(colon) = rest.find(|c: char| !c.is_whitespace()) else {
            continue;
        };
        if !rest[colon..].starts_with(':') {
            continue;
        }
        let behind = &rest[colon + 1..];
        let Some(skipped) = behind.find(|c: char| !c.is_whitespace()) else {
            continue;
        };
        let value = after + colon + 1 + skipped;
        let length = match text[value..].strip_prefix('"') {
            Some(inside) => inside.find('"').map(|end| end + 2),
            None => text[value..].find([',', '}', '/', '\n', '\r', ' ', '\t']),
        };
        if let Some(length) = length {
            let to = value + length;
            found.push(Place { from, value, to });
        }
    }
    found
}

/// What this configuration says.
pub(crate) fn told(text: &str) -> Told {
    match places(text).as_slice() {
        [] => Told::Nothing,
        [one] => {
            let value = &text[one.value..one.to];
            match value.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
                Some(inside) => Told::Text(inside.to_owned()),
                None => Told::NoText(value.to_owned()),
            }
        }
        several => Told::Several(several.len()),
    }
}

/// What stands there, and what is to stand there instead; none unless one place says a text.
pub(crate) fn edit(text: &str, to: &str) -> Option<(String, String)> {
    let places = places(text);
    let [one] = places.as_slice() else {
        return None;
    };
    let old = &text[one.from..one.to];
    let front = &text[one.from..one.value];
    Some((old.to_owned(), format!("{front}\"{to}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_text_from_a_number_and_from_nothing() {
        for (text, expected) in [
            (
                r#"{"services":{"storageEngine":{"majorVersion":"7"}}}"#,
                Told::Text("7".into()),
            ),
            (
                "{ \"majorVersion\" :\n  \"8\" // as of May\n}",
                Told::Text("8".into()),
            ),
            (r#"{"majorVersion":8}"#, Told::NoText("8".into())),
            ("{\"majorVersion\": 8, \"a\": 1}", Told::NoText("8".into())),
            ("{}", Told::Nothing),
            (r#"{"a":"majorVersion"}"#, Told::Nothing),
            (
                r#"{"a":{"majorVersion":"7"},"b":{"majorVersion":"7"}}"#,
                Told::Several(2),
            ),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn an_edit_keeps_what_stands_around_the_value() {
        let text = "{ \"majorVersion\" : \"7\", \"x\": \"7\" }";
        let (old, new) = edit(text, "8").unwrap();
        assert_eq!(old, "\"majorVersion\" : \"7\"");
        assert_eq!(
            text.replacen(&old, &new, 1),
            "{ \"majorVersion\" : \"8\", \"x\": \"7\" }"
        );
        assert_eq!(edit("{}", "8"), None);
    }
}
