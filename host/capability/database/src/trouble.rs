//! What a server's no means.

use liftlock_types::{Acted, ReadError};
use sqlx::mysql::MySqlDatabaseError;

/// Why a text gave no rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The server said no: PostgreSQL's SQLSTATE, or the error number of MySQL and MariaDB; its text.
    Refused { code: String, text: String },
    /// No connection came about: nothing was sent.
    NotConnected(String),
    /// The connection broke.
    Lost(String),
    /// The answer is over its bound.
    TooMuch(String),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        let Some(said) = error.as_database_error() else {
            return Self::Lost(error.to_string());
        };
        let code = match said.try_downcast_ref::<MySqlDatabaseError>() {
            Some(said) => said.number().to_string(),
            None => said.code().unwrap_or_default().into_owned(),
        };
        Self::Refused {
            code,
            text: said.message().to_owned(),
        }
    }
}

/// What can be done about a refusal, where more than its text is known.
fn remedy(code: &str) -> &'static str {
    match code {
        "42501" | "1142" | "1143" | "1044" | "1227" | "1370" => {
            "; the role lacks the right, on PostgreSQL it does not own the table: name the role that owns it"
        }
        "28P01" | "28000" | "1045" | "1698" => "; see user and password of the binding",
        "3D000" | "1049" => "; see the database's name of the binding",
        _ => "",
    }
}

impl Trouble {
    /// Somebody holds what it needs, or it lost against another: nothing happened, and it can be tried again.
    pub(crate) fn is_lock(&self) -> bool {
        self.is(&["55P03", "40P01", "40001", "1205", "1213"])
    }

    /// Two made a table of ours at the same time: PostgreSQL refuses one of them by its own catalog.
    pub(crate) fn is_made_at_once(&self) -> bool {
        self.is(&["23505", "42P07", "42710", "XX000", "1050"])
    }

    /// The session is no more.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Lost(_)) || self.is(&["57P01", "57P02", "57P05", "1053", "1927"])
    }

    /// One of these codes.
    pub(crate) fn is(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Refused { code, .. } if codes.contains(&code.as_str()))
    }

    /// The server ended the session, is starting or going, or takes no more: an answer that is none.
    fn is_away(code: &str) -> bool {
        matches!(
            code,
            "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "1040" | "1053" | "1927"
        )
    }

    /// A time limit or a person ended the statement: a read may be asked again, a change did nothing.
    fn is_stopped(code: &str) -> bool {
        matches!(code, "57014" | "1317" | "1969" | "3024")
    }

    /// For a read: the server's no is its answer, a broken connection is none.
    pub(crate) fn into_read_error(self) -> ReadError {
        match self {
            Self::Refused { code, text } if Self::is_away(&code) || Self::is_stopped(&code) => {
                ReadError::Unavailable(text)
            }
            Self::Refused { code, text } => ReadError::Rejected {
                status: 0,
                text: format!("{text}{}", remedy(&code)),
                kind: code,
            },
            Self::Lost(text) | Self::NotConnected(text) => ReadError::Unavailable(text),
            Self::TooMuch(text) => ReadError::Invalid(format!("the answer is over {text}")),
        }
    }

    /// For a change. `sent`: it left this process.
    pub(crate) fn into_acted(self, sent: bool) -> Acted {
        match self {
            Self::NotConnected(text) => Acted::NotSent(text),
            Self::Lost(text) | Self::TooMuch(text) if sent => Acted::Unanswered(text),
            Self::Lost(text) | Self::TooMuch(text) => Acted::NotSent(text),
            Self::Refused { code, text } if Self::is_away(&code) && sent => {
                Acted::Unanswered(format!("{code}: {text}"))
            }
            Self::Refused { code, text } if Self::is_away(&code) => Acted::NotSent(text),
            Self::Refused { code, text } => Acted::Refused {
                status: 0,
                text: format!("{text}{}", remedy(&code)),
                later: false,
                kind: code,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> Trouble {
        Trouble::Refused {
            code: code.into(),
            text: "no".into(),
        }
    }

    #[test]
    fn a_missing_right_is_an_answer_and_says_what_to_do() {
        for code in ["42501", "1142"] {
            let ReadError::Rejected { text, .. } = refused(code).into_read_error() else {
                panic!("{code}")
            };
            assert!(text.contains("the role that owns it"), "{text}");
            assert!(matches!(
                refused(code).into_acted(true),
                Acted::Refused { later: false, .. }
            ));
        }
    }

    #[test]
    fn a_session_that_was_ended_is_no_answer() {
        assert!(matches!(
            refused("57P01").into_acted(true),
            Acted::Unanswered(_)
        ));
        assert!(matches!(
            refused("53300").into_acted(false),
            Acted::NotSent(_)
        ));
        assert!(matches!(
            refused("1927").into_read_error(),
            ReadError::Unavailable(_)
        ));
        let lost = Trouble::Lost("gone".into());
        assert!(matches!(
            lost.clone().into_acted(true),
            Acted::Unanswered(_)
        ));
        assert!(matches!(lost.into_acted(false), Acted::NotSent(_)));
    }

    #[test]
    fn a_statement_that_a_person_ended_is_not_sent_again() {
        for code in ["57014", "1317"] {
            assert!(matches!(
                refused(code).into_acted(true),
                Acted::Refused { later: false, .. }
            ));
            assert!(matches!(
                refused(code).into_read_error(),
                ReadError::Unavailable(_)
            ));
        }
    }

    #[test]
    fn only_what_did_nothing_is_tried_again() {
        assert!(
            ["55P03", "40P01", "1205", "1213"]
                .iter()
                .all(|code| refused(code).is_lock())
        );
        assert!(
            ["57014", "23505", "1062", "1060"]
                .iter()
                .all(|code| !refused(code).is_lock())
        );
    }
}
