//! A request as a change: its own post-condition is all that is known of it.

use liftlock_http::Lost;
use liftlock_types::{
    Acted, Attempt, EndpointRequest, Evaluated, Method, Observed, Probed, ReadError,
};
use serde_json::{Value, json};

use crate::endpoint::Endpoint;
use crate::http::Answer;

/// Longest text of a refusal that is shown.
const REFUSAL_CHARS_MAX: usize = 600;

impl Endpoint {
    /// Does the post-condition hold now?
    async fn is_done(&self, request: &EndpointRequest) -> Result<Evaluated, ReadError> {
        let done_when = request.done_when();
        let mut found = self.look(&done_when.predicate).await?;
        if done_when.negated {
            found.holds = !found.holds;
            if !found.holds {
                found.why = "what must not be answered is answered".into();
            }
        }
        Ok(found)
    }

    pub(crate) async fn observe_request(
        &self,
        request: &EndpointRequest,
    ) -> Result<Observed, ReadError> {
        let found = self.is_done(request).await?;
        Ok(Observed {
            already_true: found.holds,
            evidence: evidence(request, &found),
            kept: Value::Null,
            borrowed: None,
        })
    }

    pub(crate) async fn send_request(&self, request: &EndpointRequest) -> Acted {
        let method = match request.method() {
            Method::Put => reqwest::Method::PUT,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        };
        let body = request.body().map(liftlock_types::Json::as_str);
        let sent = self
            .http()
            .change(method, request.path(), request.query(), body)
            .await;
        match sent {
            Ok(answer) => acted(&answer),
            Err(Lost::NotSent(why)) => Acted::NotSent(why),
            // It was taken, whatever it answered at such length.
            Err(lost) => Acted::Unanswered(lost.text()),
        }
    }

    pub(crate) async fn probe_request(
        &self,
        request: &EndpointRequest,
        attempt: &Attempt,
    ) -> Result<Probed, ReadError> {
        let found = self.is_done(request).await?;
        let evidence = evidence(request, &found);
        Ok(Probed::by_own_condition(&found, evidence, attempt))
    }
}

fn evidence(request: &EndpointRequest, found: &Evaluated) -> Value {
    json!({
        "request": format!("{} {}", request.method(), request.path()),
        "post-condition": found.holds,
        "seen": found.seen,
        "why": found.why,
    })
}

/// What an answer to a change means.
fn acted(answer: &Answer) -> Acted {
    let status = answer.status;
    if answer.is_success() {
        return Acted::Answered(json!({ "status": status }));
    }
    match status {
        // The same request elsewhere: it was not done here, and is done nowhere else.
        307 | 308 => Acted::Refused {
            status,
            kind: "redirect".into(),
            text: format!(
                "it leads to `{}`, and no redirect is followed",
                answer.place.as_deref().unwrap_or_default().escape_debug()
            ),
            later: false,
        },
        // Who asked too late may have been heard, as with 5xx.
        400..500 if status != 408 => {
            let (kind, text) = refusal(answer);
            Acted::Refused {
                status,
                kind,
                text,
                later: status == 429,
            }
        }
        // A redirect after a POST often shows what came of it.
        _ => Acted::Unanswered(format!("status {status}, which does not say what was done")),
    }
}

/// A product's name for its error and its text, where it has one of the usual forms.
fn refusal(answer: &Answer) -> (String, String) {
    let cut = |text: &str| {
        text.chars()
            .take(REFUSAL_CHARS_MAX)
            .collect::<String>()
            .escape_debug()
            .to_string()
    };
    let body = answer.text();
    let value: Value = serde_json::from_str(&body).unwrap_or_default();
    let first = |keys: &[&str]| {
        keys.iter()
            .find_map(|key| value.get(key)?.as_str().map(&cut))
    };
    let kind = first(&["type", "error", "title", "code"]).unwrap_or_else(|| "refused".into());
    let text = first(&["message", "detail", "reason"]).unwrap_or_else(|| cut(&body));
    (kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_a_change_is_yes_no_or_nothing() {
        let of = |status: u16, body: &str| {
            acted(&Answer {
                status,
                content_type: String::new(),
                place: Some("http://elsewhere/x".into()),
                body: body.as_bytes().to_vec(),
            })
        };
        for status in [200, 201, 204] {
            assert!(matches!(of(status, ""), Acted::Answered(_)), "{status}");
        }
        for status in [301, 302, 303, 408, 500, 502, 503, 504] {
            assert!(matches!(of(status, ""), Acted::Unanswered(_)), "{status}");
        }
        for (status, body, kind, text, later) in [
            (
                400,
                r#"{"type":"InvalidRequestException","message":"no such key"}"#,
                "InvalidRequestException",
                "no such key",
                false,
            ),
            (401, "who are you", "refused", "who are you", false),
            (403, "", "refused", "", false),
            (429, "{}", "refused", "{}", true),
            (307, "", "redirect", "http://elsewhere/x", false),
            (404, "a\u{1b}[2J", "refused", "a\\u{1b}[2J", false),
        ] {
            match of(status, body) {
                Acted::Refused {
                    status: found,
                    kind: found_kind,
                    text: found_text,
                    later: found_later,
                } => {
                    assert_eq!((found, found_later), (status, later));
                    assert_eq!(found_kind, kind);
                    assert!(found_text.contains(text), "{found_text}");
                }
                other => panic!("{status}: {other:?}"),
            }
        }
    }
}
