//! The memory of a plugin: what the run so far did and kept.

pub use crate::bindings::liftlock::upgrade::run::{Moment, Run, StepView};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// One read of a capture, with what it said.
#[derive(Debug, Clone, PartialEq)]
pub struct Captured {
    /// The read's kind: `indices`, `checksum`, `document`.
    pub kind: String,
    /// All of the read: its kind under `read`, and its arguments (`index`, `pattern`, ...).
    pub read: Value,
    /// The answer; `None` where the read failed.
    pub answer: Option<Value>,
}

impl Captured {
    /// One argument of the read, where it is a text.
    pub fn argument(&self, name: &str) -> Option<&str> {
        self.read.get(name).and_then(Value::as_str)
    }

    /// The answer as a type of yours; field names are those of the contract with `_` for `-`.
    ///
    /// # Errors
    /// `not-found` where the read had failed, `invalid` where the answer has another form.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        let answer = self
            .answer
            .as_ref()
            .ok_or_else(|| Error::NotFound(format!("the capture of {}", self.read)))?;
        Ok(T::deserialize(answer)?)
    }
}

/// Reads the list of `{read, answer}` that a capture is.
///
/// # Errors
/// `invalid` where the text is no such list.
pub fn parse_capture(text: &str) -> Result<Vec<Captured>> {
    let list: Vec<Value> = serde_json::from_str(text)?;
    Ok(list
        .into_iter()
        .map(|mut entry| {
            let read = match entry.get_mut("read") {
                Some(Value::Object(reading))
                    if reading.get("read").is_some_and(Value::is_object) =>
                {
                    reading.get_mut("read").map(Value::take).unwrap_or_default()
                }
                Some(read) => read.take(),
                None => Value::Null,
            };
            Captured {
                kind: read
                    .get("read")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
                read,
                answer: entry
                    .get_mut("answer")
                    .map(Value::take)
                    .filter(|answer| !answer.is_null()),
            }
        })
        .collect())
}

impl Moment {
    /// What a person types so that it is looked again, when what was found is mended.
    pub fn command(self, to: &str) -> String {
        match self {
            Self::OnResume => "`liftlock resume`".to_owned(),
            Self::BeforeRun => "`liftlock run` again".to_owned(),
            _ => format!("`liftlock plan {to}`"),
        }
    }
}

impl Run {
    /// What a capture step of this run kept under that name; none where no run got there.
    ///
    /// # Errors
    /// `invalid` where the host gave something else than a capture.
    pub fn capture(&self, name: &str) -> Result<Option<Vec<Captured>>> {
        self.captured(name)
            .map(|text| parse_capture(&text))
            .transpose()
    }

    /// A step of the approved plan that is concluded as done, whoever did it.
    pub fn is_done(&self, step: &str) -> bool {
        self.steps()
            .iter()
            .any(|view| view.id == step && view.is_done())
    }
}

impl StepView {
    /// Its effect is there.
    pub fn is_done(&self) -> bool {
        matches!(
            self.outcome.as_deref(),
            Some("applied-ours" | "true-not-ours" | "true-unknown-whose")
        )
    }

    /// What the author kept with the step.
    ///
    /// # Errors
    /// `invalid` where it has another form.
    pub fn memo_as<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        Ok(self.memo.as_deref().map(serde_json::from_str).transpose()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_is_a_list_of_reads_with_answers() {
        let text = r#"[
            {"read":{"binding":"cluster.database","read":{"read":"checksum","index":"a"}},"answer":{"docs":3}},
            {"read":{"read":"count","index":"b"},"answer":7},
            {"read":{"read":"count","index":"c"},"error":{"not-found":"c"}}
        ]"#;
        let list = parse_capture(text).unwrap();
        assert_eq!(
            (list[0].kind.as_str(), list[0].argument("index")),
            ("checksum", Some("a"))
        );
        assert_eq!(list[1].parse::<u64>(), Ok(7));
        assert!(matches!(list[2].parse::<u64>(), Err(Error::NotFound(_))));
        assert!(parse_capture("{}").is_err());
    }

    #[test]
    fn a_doubt_is_not_done() {
        let view = |outcome: Option<&str>| StepView {
            id: "a".into(),
            memo: None,
            outcome: outcome.map(Into::into),
            evidence: None,
            at: None,
        };
        assert!(view(Some("applied-ours")).is_done());
        for other in [
            None,
            Some("doubt"),
            Some("partial"),
            Some("refused"),
            Some("not-sent"),
        ] {
            assert!(!view(other).is_done(), "{other:?}");
        }
    }
}
