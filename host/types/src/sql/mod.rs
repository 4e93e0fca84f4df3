//! SQL that a plugin proposes, understood before it is sent.
//!
//! A statement is parsed into a [`Shape`] that the host knows how to look for in the catalog, and the text that is
//! hashed, shown and sent is written from that shape: a clause that the shape does not carry is refused, never dropped.
//! A query is one `SELECT` whose tables are known, so that a grant can name them.
//!
//! | module | what |
//! |---|---|
//! | `shape` | what a statement does, as data |
//! | `understand` | from a parsed statement to its shape |
//! | `write` | from a shape to its one text |
//! | `statement` | [`Statement`]: parsed, understood, written again and compared |
//! | `together` | several statements, and how long they wait for a lock |
//! | `query` | [`Query`]: one `SELECT` over known tables |

mod query;
mod shape;
mod statement;
mod together;
mod understand;
mod write;

use serde::{Deserialize, Serialize};
use sqlparser::ast::{Ident, ObjectName, Statement as Ast};
use sqlparser::dialect::{Dialect as Grammar, MySqlDialect, PostgreSqlDialect};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

pub use query::Query;
pub use shape::{Literal, NewColumn, NewConstraint, Shape};
pub use statement::Statement;
pub use together::{
    ATTEMPTS_DEFAULT, ATTEMPTS_MAX, LOCK_MS_DEFAULT, LOCK_MS_MAX, LOCK_MS_MIN, LockPatience,
    TOGETHER_MAX, Together,
};

/// Longest text of a statement or a query, bytes.
pub const SQL_BYTES_MAX: usize = 64 * 1024;

/// Tables of the host's own, which come and go with a run: claims, and markers of transactions. No statement touches
/// them, no query reads them, and no list shows them.
pub const OWN_TABLES: [&str; 2] = ["liftlock_claim", "liftlock_marker"];

/// Deepest nesting that is parsed.
const DEPTH_MAX: usize = 50;

/// Whose SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// PostgreSQL: names without quotes are lower case.
    Postgresql,
    /// MySQL and MariaDB: names stand as they are written.
    Mysql,
}

impl Dialect {
    fn grammar(self) -> &'static dyn Grammar {
        match self {
            Self::Postgresql => &PostgreSqlDialect {},
            Self::Mysql => &MySqlDialect {},
        }
    }

    /// The name that the catalog has for what stands in a statement.
    pub(crate) fn folded(self, ident: &Ident) -> String {
        match (self, ident.quote_style) {
            (Self::Postgresql, None) => ident.value.to_lowercase(),
            _ => ident.value.clone(),
        }
    }

    /// Longest name that the server keeps whole; the other one counts 64 characters.
    fn name_bytes_max(self) -> usize {
        match self {
            Self::Postgresql => 63,
            Self::Mysql => 64,
        }
    }

    /// As it is written so that it cannot be taken for anything else.
    pub fn quoted(self, name: &str) -> String {
        match self {
            Self::Postgresql => format!("\"{}\"", name.replace('"', "\"\"")),
            Self::Mysql => format!("`{}`", name.replace('`', "``")),
        }
    }
}

/// SQL that is refused, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SqlError(
    /// What is wrong with it, and what would be right.
    pub String,
);

/// As a plan and the journal hold SQL.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    dialect: Dialect,
    sql: String,
}

type Result<T> = std::result::Result<T, SqlError>;

fn refused<T>(why: impl Into<String>) -> Result<T> {
    Err(SqlError(why.into()))
}

/// One statement without comments, which servers read otherwise than parsers do (`/*! ... */`).
fn parsed(dialect: Dialect, text: &str) -> Result<Ast> {
    if text.len() > SQL_BYTES_MAX {
        return refused(format!("it is longer than {SQL_BYTES_MAX} bytes"));
    }
    let tokens = Tokenizer::new(dialect.grammar(), text)
        .tokenize()
        .map_err(|error| SqlError(error.to_string()))?;
    for token in &tokens {
        match token {
            Token::Word(word) if word.value.len() > dialect.name_bytes_max() => {
                return refused(format!(
                    "the name `{word}` is longer than {} bytes, which a server would cut",
                    dialect.name_bytes_max()
                ));
            }
            // Servers fold these by rules of their own.
            Token::Word(word) if word.quote_style.is_none() && !word.value.is_ascii() => {
                return refused(format!("the name `{word}` needs quotes"));
            }
            Token::Whitespace(
                Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_),
            ) => return refused("it has a comment"),
            // The servers disagree, and one server with itself by its settings, on what it means.
            Token::SingleQuotedString(text) | Token::DoubleQuotedString(text)
                if text.contains('\\') =>
            {
                return refused("a text in it has a backslash");
            }
            Token::SingleQuotedString(_) | Token::Word(_) | Token::Number(..) => {}
            Token::DoubleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::DollarQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_) => {
                return refused(format!("`{token}`: texts stand in single quotes"));
            }
            _ => {}
        }
    }
    let mut statements = Parser::new(dialect.grammar())
        .with_recursion_limit(DEPTH_MAX)
        .with_tokens(tokens)
        .parse_statements()
        .map_err(|error| SqlError(error.to_string()))?;
    match (statements.pop(), statements.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => refused("there is no statement"),
        (Some(_), more) => refused(format!("it is {} statements, one is meant", more + 1)),
    }
}

/// The table's name in the catalog. Which schema is meant the binding says.
fn table(dialect: Dialect, name: &ObjectName) -> Result<String> {
    match name.0.as_slice() {
        [part] => match part.as_ident() {
            Some(ident) => {
                let name = dialect.folded(ident);
                if name.contains('*') {
                    return refused(format!("`{name}` would be taken for a pattern"));
                }
                match OWN_TABLES.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                    true => refused(format!("`{name}` is Liftlock's own")),
                    false => Ok(name),
                }
            }
            None => refused(format!("`{name}` is no name")),
        },
        _ => refused(format!(
            "`{name}`: names stand without a schema, which the binding says"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        Binding, Change, Digest, Grant, GrantedBinding, GrantedVerb, Planned, Predicate, Read,
        Scope, Verb,
    };

    const VERBS: [&str; 6] = [
        "database.execute",
        "database.execute-together",
        "database.end-session",
        "database.observe",
        "database.read",
        "database.query",
    ];

    /// All verbs on `act_*` except `act_team_*`, without this one.
    fn grant(without: &str) -> Grant {
        let verbs = VERBS.iter().filter(|verb| **verb != without);
        Grant {
            plugin: "p".into(),
            digest: Digest::of(b"p"),
            site: "s".into(),
            options: BTreeMap::new(),
            granted_by: "me".into(),
            granted_at: "now".into(),
            bindings: vec![GrantedBinding {
                binding: Binding::new("database.engine").unwrap(),
                identity: "u".into(),
                verbs: verbs
                    .map(|verb| GrantedVerb {
                        verb: Verb::new(*verb).unwrap(),
                        scope: vec![Scope::new("act_*").unwrap()],
                        except: vec![Scope::new("act_team_*").unwrap()],
                        at_most: None,
                    })
                    .collect(),
            }],
        }
    }

    fn planned(change: Change) -> Planned {
        Planned {
            binding: Binding::new("database.engine").unwrap(),
            change,
            fills: vec![],
        }
    }

    fn statement(text: &str) -> Statement {
        Statement::parse(Dialect::Postgresql, text).unwrap()
    }

    #[test]
    fn a_statement_is_granted_by_every_table_that_it_names() {
        let execute = |text: &str| {
            planned(Change::Execute {
                statement: statement(text),
                waits: LockPatience::default(),
            })
        };
        let together = |texts: &[&str]| {
            let statements = texts.iter().map(|text| statement(text)).collect();
            planned(Change::ExecuteTogether {
                statements: Together::new(statements).unwrap(),
                waits: LockPatience::default(),
            })
        };
        let good = "alter table ACT_A add column b integer";
        grant("").allow_change(&execute(good)).unwrap();
        grant("").allow_change(&together(&[good, good])).unwrap();
        assert!(
            grant("database.execute")
                .allow_change(&execute(good))
                .is_err()
        );
        let without = grant("database.execute-together");
        assert!(without.allow_change(&together(&[good])).is_err());
        for bad in [
            "alter table other add column b integer",
            "alter table act_team_x add column b integer",
            "alter table act_a add constraint c foreign key (a) references other (b)",
            "drop index other",
            "create table other (a integer)",
            "insert into other values (1)",
        ] {
            assert!(grant("").allow_change(&execute(bad)).is_err(), "{bad}");
            assert!(
                grant("").allow_change(&together(&[good, bad])).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_session_is_granted_by_its_application() {
        let end = |application: &str| {
            planned(Change::EndSession {
                id: 1,
                application: application.into(),
                started: "1".into(),
            })
        };
        grant("").allow_change(&end("act_app")).unwrap();
        for bad in ["other", "act_team_app", ""] {
            assert!(grant("").allow_change(&end(bad)).is_err(), "{bad}");
        }
        assert!(
            grant("database.end-session")
                .allow_change(&end("act_app"))
                .is_err()
        );
    }

    #[test]
    fn a_read_and_a_condition_are_granted_by_their_tables() {
        let binding = Binding::new("database.engine").unwrap();
        let query = |text: &str| Read::Query {
            query: Query::parse(Dialect::Postgresql, text).unwrap(),
            parameters: vec![],
        };
        let good = "select * from act_a";
        grant("").allow_read(&binding, &query(good)).unwrap();
        assert!(
            grant("database.query")
                .allow_read(&binding, &query(good))
                .is_err()
        );
        for bad in [
            "select * from other",
            "select * from act_a, other",
            "select * from act_team_x",
        ] {
            assert!(
                grant("").allow_read(&binding, &query(bad)).is_err(),
                "{bad}"
            );
        }
        let columns = |pattern: &str| Read::Columns {
            pattern: pattern.into(),
        };
        // What is taken away is left out of a list, and cannot be asked for by name.
        grant("").allow_read(&binding, &columns("act_*")).unwrap();
        for bad in ["*", "other", "act_team_x"] {
            assert!(
                grant("").allow_read(&binding, &columns(bad)).is_err(),
                "{bad}"
            );
        }
        assert!(
            grant("database.read")
                .allow_read(&binding, &columns("act_a"))
                .is_err()
        );
        let none = Predicate::NoSession {
            application_prefix: "x".into(),
        };
        grant("").allow_predicate(&binding, &none).unwrap();
        assert!(
            grant("database.observe")
                .allow_predicate(&binding, &none)
                .is_err()
        );
        let exists = Predicate::ColumnExists {
            table: "other".into(),
            name: "a".into(),
        };
        assert!(grant("").allow_predicate(&binding, &exists).is_err());
    }
}
