//! What an answer says of a condition, and which answers say nothing. Pure.
//!
//! A condition may be negated, so an answer that comes from something else than the product (a balancer without a
//! server, a login page, an overloaded node) must be no answer, and not a "no".

use liftlock_types::{Evaluated, Json, ReadError, contains};
use serde_json::{Value, json};

use crate::http::Answer;

/// Longest text of one member in evidence; a condition asks for counts and words.
const MEMBER_BYTES_MAX: usize = 1 << 10;

/// Statuses that speak of the asker or of the moment, and not of what was asked.
const OF_THE_MOMENT: [u16; 4] = [401, 403, 408, 429];

/// Does the answer to a GET of `path` have this status and these members?
pub(crate) fn judge(
    path: &str,
    answer: &Answer,
    status: u16,
    subset: &Json,
) -> Result<Evaluated, ReadError> {
    let nothing = |why: String| Err(ReadError::Unavailable(format!("`{path}`: {why}")));
    let found = answer.status;
    let body = Json::new(&answer.text());
    if found != status {
        if found >= 500 || OF_THE_MOMENT.contains(&found) {
            return nothing(format!(
                "status {found}, which says nothing of what was asked"
            ));
        }
        if found >= 300 && body.is_err() {
            return nothing(format!(
                "status {found}, and no JSON with it: that may be from anyone on the way"
            ));
        }
        return Ok(Evaluated {
            holds: false,
            seen: json!({ "status": found }),
            why: format!("`{path}` is answered with status {found}, not {status}"),
        });
    }
    if subset.as_str() == "{}" {
        return Ok(Evaluated {
            holds: true,
            seen: json!({ "status": found }),
            why: String::new(),
        });
    }
    let body = match body {
        Ok(body) => body.value(),
        Err(error) => {
            return nothing(format!(
                "status {found}, with no JSON that means one thing: {error}"
            ));
        }
    };
    let wanted = subset.value();
    let holds = contains(&body, &wanted);
    let seen = named(&body, &wanted);
    Ok(Evaluated {
        holds,
        why: if holds {
            String::new()
        } else {
            format!("`{path}` says {seen}, not {subset}")
        },
        seen: json!({ "status": found, "members": seen }),
    })
}

/// Of an answer only what was asked for: the rest is the product's data, which is no evidence and belongs in no
/// journal.
fn named(whole: &Value, subset: &Value) -> Value {
    match (whole, subset) {
        (Value::Object(whole), Value::Object(subset)) => subset
            .iter()
            .filter_map(|(key, subset)| Some((key.clone(), named(whole.get(key)?, subset))))
            .collect(),
        (Value::Array(elements), _) => format!("a list of {}", elements.len()).into(),
        (Value::Object(_), _) => "an object".into(),
        (Value::String(text), _) if text.len() > MEMBER_BYTES_MAX => {
            format!("a text of {} bytes", text.len()).into()
        }
        _ => whole.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            content_type: String::new(),
            place: None,
            body: body.as_bytes().to_vec(),
        }
    }

    fn look(found: u16, body: &str, status: u16, subset: &str) -> Result<Evaluated, ReadError> {
        judge(
            "/x",
            &answer(found, body),
            status,
            &Json::new(subset).unwrap(),
        )
    }

    #[test]
    fn an_answer_holds_says_no_or_says_nothing() {
        let count = r#"{"count":1}"#;
        for (found, body, status, subset, holds) in [
            (200, r#"{"count":1,"more":[1]}"#, 200, count, true),
            (200, r#"{"count":0}"#, 200, count, false),
            (200, r#"{"count":"1"}"#, 200, count, false),
            (200, "[]", 200, count, false),
            (200, "[]", 200, "[]", true),
            (200, "<html>", 200, "{}", true),
            (404, "<html>", 404, "{}", true),
            (503, "", 503, "{}", true),
            (401, "", 401, "{}", true),
            (204, "", 200, "{}", false),
            (404, r#"{"type":"RestException"}"#, 200, "{}", false),
            (400, r#"{"type":"RestException"}"#, 200, count, false),
        ] {
            let seen = look(found, body, status, subset).unwrap();
            assert_eq!(seen.holds, holds, "{found} {body} {status} {subset}");
            assert_eq!(seen.why.is_empty(), holds, "{}", seen.why);
        }
        for (found, body, status, subset) in [
            (401, r#"{"message":"no"}"#, 200, "{}"),
            (403, r#"{"message":"no"}"#, 404, "{}"),
            (429, "{}", 200, count),
            (500, r#"{"type":"RestException"}"#, 200, "{}"),
            (502, "<html>", 200, "{}"),
            (503, "", 404, "{}"),
            (404, "<html>", 200, "{}"),
            (302, "", 200, "{}"),
            (200, "<html>", 200, count),
            (200, "", 200, count),
            // Which of the two is meant depends on who reads it.
            (200, r#"{"count":0,"count":1}"#, 200, count),
        ] {
            let error = look(found, body, status, subset).unwrap_err();
            assert!(
                matches!(error, ReadError::Unavailable(_)),
                "{found} {body}: {error}"
            );
        }
    }

    #[test]
    fn evidence_holds_what_was_asked_for_and_nothing_else() {
        let body = r#"{"count":0,"state":"A","secret":"canary","nested":{"a":1,"b":"canary"},"list":["canary"]}"#;
        let subset = r#"{"count":1,"nested":{"a":2},"list":[],"none":1}"#;
        let seen = look(200, body, 200, subset).unwrap();
        assert_eq!(
            seen.seen,
            json!({"status": 200, "members": {"count": 0, "nested": {"a": 1}, "list": "a list of 1"}})
        );
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(5_000));
        let seen = look(200, &long, 200, r#"{"a":"y"}"#).unwrap();
        assert!(seen.why.contains("a text of 5000 bytes") && seen.why.len() < 200);
    }
}
