//! What the gate asks of a database.

use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use liftlock_types::facts::database::{Column, Index, Rows, Session as Seen};
use liftlock_types::{
    Acted, Attempt, Capability, Change, Claim, Evaluated, Facts, Observed, Planned, Predicate,
    Probed, Read, ReadError, TargetIdentity,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::connection::Purpose;
use crate::database::{Database, Inner, reading};
use crate::execute::{What, Work};
use crate::trouble::Trouble;
use crate::{claims, end_session, look, marker, probe};

/// How long an answer is waited for before the work goes on alone and the probe follows it.
///
/// A minute and a half: within what the gate waits, and longer than all tries for a lock.
const ANSWER: Duration = Duration::from_secs(90);

/// How long our own rows wait for a lock, milliseconds.
const OWN_LOCK_MS: u32 = 5_000;

fn not_ours(change: &Change) -> ReadError {
    ReadError::Invalid(format!("`{}` is no change of a database", change.verb()))
}

#[async_trait]
impl Capability for Database {
    async fn identity(&self) -> Result<TargetIdentity, ReadError> {
        let (identity, oid) = self.inner.who().await?;
        let config = &self.inner.place.config;
        Ok(TargetIdentity {
            fingerprint: format!(
                "{}/{}{oid}/{}",
                identity.server, identity.database, identity.schema
            ),
            product: format!(
                "{} {} at {}",
                config.kind.name(),
                identity.version,
                config.place()
            ),
        })
    }

    async fn read(&self, read: &Read) -> Result<Value, ReadError> {
        self.inner.read(read).await
    }

    async fn evaluate(
        &self,
        predicate: &Predicate,
        _last: Option<&Value>,
    ) -> Result<Evaluated, ReadError> {
        let read = predicate.reads();
        let [read] = read.as_slice() else {
            return Err(ReadError::Invalid("not a condition of a database".into()));
        };
        match predicate {
            Predicate::ColumnExists { table, name } => {
                let columns: Vec<Column> = self.inner.asked(read).await?;
                let found = columns.iter().find(|column| column.name == *name);
                Ok(Evaluated {
                    holds: found.is_some(),
                    seen: json!(found),
                    why: format!("`{table}` has no column `{name}`"),
                })
            }
            Predicate::IndexValid { table, name } => {
                let indexes: Vec<Index> = self.inner.asked(read).await?;
                let found = indexes.iter().find(|index| index.name == *name);
                Ok(Evaluated {
                    holds: found.is_some_and(|index| index.valid),
                    seen: json!(found),
                    why: match found {
                        Some(_) => format!("the index `{name}` of `{table}` is not complete"),
                        None => format!("`{table}` has no index `{name}`"),
                    },
                })
            }
            Predicate::QueryIs { expected, .. } => {
                let rows: Rows = self.inner.asked(read).await?;
                Ok(Evaluated {
                    holds: rows.rows == *expected,
                    why: format!(
                        "the query gives {} rows that are not the {} expected",
                        rows.rows.len(),
                        expected.len()
                    ),
                    seen: json!(rows.rows),
                })
            }
            Predicate::NoSession { application_prefix } => {
                let sessions: Vec<Seen> = self.inner.asked(read).await?;
                let there: Vec<String> = sessions
                    .iter()
                    .filter(|it| {
                        !it.ours && it.application.starts_with(application_prefix.as_str())
                    })
                    .map(|it| format!("{} ({}, {})", it.id, it.application, it.state))
                    .collect();
                Ok(Evaluated {
                    holds: there.is_empty(),
                    why: format!(
                        "{} sessions are there, the first is {}",
                        there.len(),
                        there.first().map_or("none", String::as_str)
                    ),
                    seen: json!(there),
                })
            }
            _ => Err(ReadError::Invalid("not a condition of a database".into())),
        }
    }

    async fn facts(&self, change: &Change) -> Result<Facts, ReadError> {
        let inner = &self.inner;
        let mut facts = Facts::new();
        for statement in inner.statements(change)? {
            facts.extend(reading!(inner, session => look::facts(session, statement).await)?);
        }
        Ok(facts)
    }

    async fn observe(&self, change: &Change, _attempt: &Attempt) -> Result<Observed, ReadError> {
        let inner = &self.inner;
        let (already_true, evidence) = match change {
            Change::EndSession { id, started, .. } => {
                let found =
                    reading!(inner, session => end_session::find(session, *id, started).await)?;
                (found.is_none(), json!(found))
            }
            _ => {
                let statements = inner.statements(change)?;
                reading!(inner, session => probe::before(session, &statements).await)??
            }
        };
        Ok(Observed {
            already_true,
            evidence,
            kept: Value::Null,
            borrowed: None,
        })
    }

    async fn act(&self, change: &Change, attempt: &Attempt) -> Acted {
        let inner = &self.inner;
        if let Err(error) = inner.statements(change) {
            return Acted::Refused {
                status: 0,
                kind: "invalid".into(),
                text: error.to_string(),
                later: false,
            };
        }
        let (what, waits) = match change {
            Change::Execute { statement, waits } => (What::One(statement.clone()), *waits),
            Change::ExecuteTogether { statements, waits } => {
                (What::Together(statements.statements().to_vec()), *waits)
            }
            Change::EndSession {
                id,
                application,
                started,
            } => {
                return end_session::act(&inner.place, &attempt.token, *id, application, started)
                    .await;
            }
            _ => return Acted::NotSent(not_ours(change).to_string()),
        };
        let work = Work {
            place: inner.place.clone(),
            token: attempt.token.clone(),
            number: attempt.number,
            what,
            waits,
        };
        self.work(work).await
    }

    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError> {
        let inner = &self.inner;
        if let Change::EndSession { id, started, .. } = change {
            let found = reading!(inner, session => end_session::find(session, *id, started).await)?;
            return Ok(match found {
                Some(found) => Probed::Absent(json!(found)),
                None => Probed::Applied {
                    evidence: json!({ "gone": id }),
                    ours: attempt.answer.is_some(),
                },
            });
        }
        let statements = inner.statements(change)?;
        let (is_working, ended) = inner.worked(&attempt.token);
        if is_working {
            return Ok(Probed::InProgress(probe::progress(
                "this process works on it",
            )));
        }
        let is_together = matches!(change, Change::ExecuteTogether { .. });
        let answered = attempt.answer.is_some();
        let probed = reading!(inner, session => {
            probe::probe(session, &statements, is_together, &attempt.token, answered).await
        })?;
        Ok(match (probed, ended) {
            // Why there is no effect, where it is known.
            (Probed::Absent(mut seen), Some(ended)) => {
                seen["ended"] = format!("{ended:?}").into();
                Probed::Absent(seen)
            }
            (probed, _) => probed,
        })
    }

    async fn in_flight(&self, _change: &Change, attempt: &Attempt) -> Result<bool, ReadError> {
        let inner = &self.inner;
        if inner.worked(&attempt.token).0 {
            return Ok(true);
        }
        let of_attempt =
            reading!(inner, session => crate::sessions::of_attempt(session, &attempt.token).await)?;
        Ok(!of_attempt.is_empty())
    }

    async fn clean_up(&self, change: &Change, attempt: &Attempt) -> Result<Vec<String>, ReadError> {
        let inner = &self.inner;
        inner.forget(&attempt.token);
        if !matches!(change, Change::ExecuteTogether { .. }) {
            return Ok(Vec::new());
        }
        if !reading!(inner, session => marker::is_there(session, &attempt.token).await)? {
            return Ok(Vec::new());
        }
        let mut session = inner.own(&attempt.token).await?;
        let removed = marker::remove(&mut session, &attempt.token).await;
        session.close().await;
        removed.map_err(Trouble::into_read_error)?;
        Ok(Vec::new())
    }

    /// None: no vendor has a way down, and older programs run on the newer schema.
    fn automatic_undo(&self, _change: &Change, _attempt: &Attempt) -> Option<Vec<Planned>> {
        None
    }

    async fn borrowed_now(&self, key: &str) -> Result<Value, ReadError> {
        Err(ReadError::NotFound(format!(
            "`{key}`: nothing of a database can be borrowed"
        )))
    }

    fn holds_claims(&self) -> bool {
        true
    }

    async fn claims(&self) -> Result<Vec<Claim>, ReadError> {
        reading!(&self.inner, session => claims::all(session).await)
    }

    async fn make_claim(&self, claim: &Claim) -> Result<bool, ReadError> {
        let mut session = self
            .inner
            .own(&format!("liftlock-{}-claim", claim.run))
            .await?;
        let made = claims::make(&mut session, claim).await;
        session.close().await;
        made
    }

    async fn remove_claim(&self, epoch: u64) -> Result<(), ReadError> {
        let mut session = self.inner.own("liftlock-release").await?;
        let removed = claims::remove(&mut session, epoch).await;
        session.close().await;
        removed.map_err(Trouble::into_read_error)
    }
}

impl Database {
    /// Works beside the caller, who waits so long. Dropping the wait drops no statement.
    async fn work(&self, work: Work) -> Acted {
        let inner = self.inner.clone();
        let token = work.token.clone();
        if !inner.begin(&token) {
            return Acted::Answered(json!({ "working": true }));
        }
        let worker = tokio::spawn({
            let token = token.clone();
            async move {
                let acted = work.run().await;
                inner.end(&token, acted.clone());
                acted
            }
        });
        match tokio::time::timeout(ANSWER, worker).await {
            Ok(Ok(acted)) => acted,
            Ok(Err(error)) => Acted::Unanswered(error.to_string()),
            Err(_) => Acted::Answered(json!({ "working": true })),
        }
    }
}

impl Inner {
    async fn asked<T: DeserializeOwned>(&self, read: &Read) -> Result<T, ReadError> {
        serde_json::from_value(self.read(read).await?)
            .map_err(|error| ReadError::Invalid(error.to_string()))
    }

    /// A session for our own rows.
    async fn own(&self, name: &str) -> Result<crate::connection::Session, ReadError> {
        self.place
            .session(
                &crate::sessions::name_of(name),
                Purpose::Change(OWN_LOCK_MS),
            )
            .await
            .map_err(Trouble::into_read_error)
    }

    /// What a change sends, if this server can be sent it.
    fn statements<'a>(
        &self,
        change: &'a Change,
    ) -> Result<Vec<&'a liftlock_types::sql::Statement>, ReadError> {
        let statements = match change {
            Change::Execute { statement, .. } => vec![statement],
            Change::ExecuteTogether { statements, .. } => statements.statements().iter().collect(),
            Change::EndSession { .. } => Vec::new(),
            _ => return Err(not_ours(change)),
        };
        if statements
            .iter()
            .any(|statement| statement.dialect() != self.dialect())
        {
            return Err(ReadError::Invalid(match change {
                Change::ExecuteTogether { .. } => format!(
                    "{} commits each change of a table by itself: `execute` them one by one",
                    self.place.config.kind.name()
                ),
                _ => "the statement is written for another server".into(),
            }));
        }
        Ok(statements)
    }

    fn working(
        &self,
    ) -> std::sync::MutexGuard<'_, std::collections::HashMap<String, Option<Acted>>> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False: this process works on it already.
    fn begin(&self, token: &str) -> bool {
        let mut working = self.working();
        if let Some(None) = working.get(token) {
            return false;
        }
        working.insert(token.to_owned(), None);
        true
    }

    fn end(&self, token: &str, acted: Acted) {
        self.working().insert(token.to_owned(), Some(acted));
    }

    fn forget(&self, token: &str) {
        self.working().remove(token);
    }

    /// Does this process work on it, and how did that end?
    fn worked(&self, token: &str) -> (bool, Option<Acted>) {
        match self.working().get(token) {
            Some(None) => (true, None),
            Some(Some(acted)) => (false, Some(acted.clone())),
            None => (false, None),
        }
    }
}
