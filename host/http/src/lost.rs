//! No usable answer: was anything sent?

use std::error::Error as _;

/// No usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// Nothing was written: no connection.
    NotSent(String),
    /// Something was written, and no whole answer came.
    Unanswered(String),
    /// The answer is over its bound, in bytes.
    TooLarge(usize),
}

impl Lost {
    /// Of a failed request. `what` names it for people: `GET /x at https://es1:9200`; neither the address with its
    /// parameters nor a header of the request is shown.
    ///
    /// That nothing was sent is only said of a connection of its own: one that was kept may be closed at any moment.
    pub fn of(error: &reqwest::Error, what: &str, deadline_ms: u64) -> Self {
        let mut text = String::new();
        let mut source = error.source();
        while let Some(cause) = source {
            let part = cause.to_string();
            if !text.ends_with(&part) {
                if !text.is_empty() {
                    text.push_str(": ");
                }
                text.push_str(&part);
            }
            source = cause.source();
        }
        if text.is_empty() {
            text = error.to_string();
        }
        if error.is_connect() || error.is_builder() {
            return Self::NotSent(format!("no connection for {what}: {text}"));
        }
        if error.is_timeout() {
            return Self::Unanswered(format!("no answer to {what} within {deadline_ms} ms"));
        }
        Self::Unanswered(format!("no answer to {what}: {text}"))
    }

    /// For people.
    pub fn text(&self) -> String {
        match self {
            Self::NotSent(text) | Self::Unanswered(text) => text.clone(),
            Self::TooLarge(most) => format!("the answer has more than {most} bytes"),
        }
    }
}
