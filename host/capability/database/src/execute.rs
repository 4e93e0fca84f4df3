//! Statements that are sent: one by one, or several in one transaction; tried again while somebody holds their lock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use liftlock_types::Acted;
use liftlock_types::sql::{Dialect, LockPatience, Shape, Statement};
use serde_json::json;

use crate::connection::{Place, Purpose, Session};
use crate::judge::Verdict;
use crate::trouble::Trouble;
use crate::{look, marker, sessions};

/// How long one act may go on trying for a lock, milliseconds.
///
/// A minute: half of what the gate waits for an answer. It asks again later.
const TRYING_MS: u32 = 60_000;

/// First and longest pause between two tries, milliseconds. Whoever waited behind us has that long to go on.
const PAUSE_MS: (u64, u64) = (250, 4_000);

/// Pause between two looks whether nobody holds a table: as long as a short transaction of a client.
const GAP_PAUSE: Duration = Duration::from_millis(5);

/// What is sent.
pub(crate) enum What {
    One(Statement),
    Together(Vec<Statement>),
}

/// Statements on their way.
pub(crate) struct Work {
    pub(crate) place: Arc<Place>,
    pub(crate) token: String,
    /// Which attempt of the gate: from 1.
    pub(crate) number: u32,
    pub(crate) what: What,
    pub(crate) waits: LockPatience,
}

/// A no, whether anything left this process before it, and the part that it is about.
struct No {
    trouble: Trouble,
    sent: bool,
    about: String,
}

impl No {
    fn before(trouble: Trouble) -> Self {
        Self {
            trouble,
            sent: false,
            about: String::new(),
        }
    }

    fn after(trouble: Trouble) -> Self {
        Self {
            trouble,
            sent: true,
            about: String::new(),
        }
    }

    fn into_acted(self) -> Acted {
        match self.trouble.into_acted(self.sent) {
            Acted::Refused {
                status,
                kind,
                text,
                later,
            } => Acted::Refused {
                status,
                kind,
                text: format!("{}{text}", self.about),
                later,
            },
            acted => acted,
        }
    }
}

/// How many tries one act has, and whether another act follows this one.
fn tries(waits: LockPatience, number: u32) -> (u32, bool) {
    // A pause is a second on average.
    let fit = TRYING_MS / waits.timeout_ms().saturating_add(1_000);
    let tries = fit.clamp(1, waits.attempts());
    let acts = waits.attempts().div_ceil(tries);
    // A resumed run has as many again.
    (tries, !number.is_multiple_of(acts))
}

impl Work {
    /// Sends it, and again while a lock is not given.
    pub(crate) async fn run(&self) -> Acted {
        let (tries, is_followed) = tries(self.waits, self.number);
        let mut pause_ms = PAUSE_MS.0;
        for attempt in 1..=tries {
            let no = match self.once(self.waits_for_a_gap(tries, attempt)).await {
                Ok(()) => return Acted::Answered(json!({ "tries": attempt })),
                Err(no) => no,
            };
            if !no.trouble.is_lock() {
                return no.into_acted();
            }
            if attempt == tries {
                return self.not_given(no, is_followed).await;
            }
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            pause_ms = (pause_ms * 2).min(PAUSE_MS.1);
        }
        Acted::NotSent("it was tried no time".into())
    }

    async fn not_given(&self, no: No, later: bool) -> Acted {
        let held_by = match self.place.session(sessions::OURS, Purpose::Read).await {
            Ok(mut session) => sessions::holders(&mut session, &self.names())
                .await
                .unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        match no.into_acted() {
            Acted::Refused {
                status, kind, text, ..
            } => Acted::Refused {
                status,
                kind,
                text: format!(
                    "{text}: no lock within {} ms, of which there are {} tries; {}nothing was changed",
                    self.waits.timeout_ms(),
                    self.waits.attempts(),
                    if held_by.is_empty() {
                        String::new()
                    } else {
                        format!("held by session {}; ", held_by.join(", "))
                    }
                ),
                later,
            },
            acted => acted,
        }
    }

    fn names(&self) -> Vec<&str> {
        match &self.what {
            What::One(statement) => statement.names(),
            What::Together(statements) => statements.iter().flat_map(Statement::names).collect(),
        }
    }

    /// Whether this try keeps out of everybody's way: the first half of them, over all acts.
    ///
    /// A table that is never free for a moment is not got like that; the other half queues for it.
    fn waits_for_a_gap(&self, tries: u32, attempt: u32) -> bool {
        let before = self.number.saturating_sub(1).saturating_mul(tries);
        before % self.waits.attempts() + attempt <= self.waits.attempts().div_ceil(2)
    }

    async fn once(&self, waits_for_a_gap: bool) -> Result<(), No> {
        let name = sessions::name_of(&self.token);
        let purpose = Purpose::Change(self.waits.timeout_ms());
        let mut session = self
            .place
            .session(&name, purpose)
            .await
            .map_err(No::before)?;
        if session.dialect() == Dialect::Postgresql && self.begins_with_two_locks() {
            let most = held_max(&mut session).await.map_err(No::before)?;
            let narrower = format!("SET lock_timeout = {}", self.lock_ms(most));
            session.run(&narrower).await.map_err(No::before)?;
        }
        let done = match &self.what {
            What::One(statement) => match statement.shape() {
                Shape::CreateIndex {
                    concurrently: true,
                    name,
                    ..
                } => beside_writers(&mut session, statement, name).await,
                shape if session.is_mariadb && waits_for_a_gap && is_done_in_a_moment(shape) => {
                    let within = Duration::from_millis(self.waits.timeout_ms().into());
                    in_a_gap(&mut session, statement, within).await
                }
                _ => session.run(statement.text()).await.map_err(No::after),
            },
            What::Together(statements) => self.transaction(&mut session, statements).await,
        };
        // Ends what is open of a transaction.
        session.close().await;
        done
    }

    /// A foreign key is two tables' matter: while it waits for the second it holds the first.
    fn begins_with_two_locks(&self) -> bool {
        let first = match &self.what {
            What::One(statement) => Some(statement),
            What::Together(statements) => statements.first(),
        };
        first.is_some_and(|statement| statement.names().len() > 1)
    }

    /// How long a statement waits for a lock, milliseconds, where no more than `most` is left for it.
    fn lock_ms(&self, most: Duration) -> u128 {
        // 0 would be for ever.
        most.as_millis()
            .clamp(1, u128::from(self.waits.timeout_ms()))
    }

    async fn transaction(&self, session: &mut Session, statements: &[Statement]) -> Result<(), No> {
        session.run("BEGIN").await.map_err(No::before)?;
        // It landed before: this is the identical repeat of a request that had no answer.
        if !marker::write(session, &self.token)
            .await
            .map_err(before_commit)?
        {
            return Ok(());
        }
        let held_max = held_max(session).await.map_err(No::before)?;
        let begun = Instant::now();
        for (n, statement) in statements.iter().enumerate() {
            if n > 0 {
                let left = held_max.saturating_sub(begun.elapsed());
                let narrower = format!("SET LOCAL lock_timeout = {}", self.lock_ms(left));
                session.run(&narrower).await.map_err(before_commit)?;
            }
            session.run(statement.text()).await.map_err(|trouble| No {
                about: format!(
                    "statement {} of {}, `{}`: ",
                    n + 1,
                    statements.len(),
                    statement.text()
                ),
                ..before_commit(trouble)
            })?;
        }
        session.run("COMMIT").await.map_err(No::after)
    }
}

/// How long we may wait for locks while we hold one, counted from when we began to wait for that one.
///
/// Whoever waits for what we hold, and may have begun to while we waited for it ourselves, looks for a deadlock once, after
/// `deadlock_timeout`, and is the one that the server ends where it finds any (PostgreSQL 15, "Lock Management"). That must
/// be us and never a client, so by then nothing may be waited for: a third of that time, since a foreign key waits twice.
async fn held_max(session: &mut Session) -> Result<Duration, Trouble> {
    const SETTING: &str = "SELECT setting FROM pg_settings WHERE name = 'deadlock_timeout'";
    /// What a server has that nobody told otherwise.
    const USUAL_MS: u64 = 1_000;
    let ms = session.one(SETTING).await?.parse().unwrap_or(USUAL_MS);
    Ok(Duration::from_millis(ms / 3))
}

/// Changes of a table that MariaDB makes in its dictionary alone, whatever the table holds.
fn is_done_in_a_moment(shape: &Shape) -> bool {
    matches!(shape, Shape::AddColumns { .. } | Shape::DropIndex { .. })
}

/// Makes a change when nobody happens to hold the table, and queues for it at no time.
///
/// Whoever has read a table in a transaction and goes on to write to it waits behind a change that is queued, which waits
/// for that transaction. MariaDB sees the circle at once and ends whoever weighs less, which is never the change
/// (`MDL_ticket::get_deadlock_weight`). PostgreSQL lets such a client pass. A build that takes long is not made like this: it
/// would be lost at its end, again and again.
async fn in_a_gap(
    session: &mut Session,
    statement: &Statement,
    within: Duration,
) -> Result<(), No> {
    session
        .run("SET SESSION lock_wait_timeout = 0")
        .await
        .map_err(No::before)?;
    let begun = Instant::now();
    loop {
        match session.run(statement.text()).await {
            Err(trouble) if trouble.is_lock() && begun.elapsed() < within => {
                tokio::time::sleep(GAP_PAUSE).await;
            }
            done => return done.map_err(No::after),
        }
    }
}

/// A connection that breaks before the commit was sent takes the transaction with it.
fn before_commit(trouble: Trouble) -> No {
    No {
        sent: false,
        trouble,
        about: String::new(),
    }
}

/// Builds an index beside writers: what an earlier build left unfinished is dropped first, and what this one leaves.
async fn beside_writers(
    session: &mut Session,
    statement: &Statement,
    name: &str,
) -> Result<(), No> {
    drop_unfinished(session, statement, name)
        .await
        .map_err(No::before)?;
    let Err(trouble) = session.run(statement.text()).await else {
        return Ok(());
    };
    if let Trouble::Refused { .. } = trouble
        && let Err(left) = drop_unfinished(session, statement, name).await
    {
        // It changed something: no refusal. The probe sees what is left.
        return Err(No::after(Trouble::Lost(format!(
            "{trouble:?}; and what it left cannot be dropped: {left:?}"
        ))));
    }
    Err(No::after(trouble))
}

async fn drop_unfinished(
    session: &mut Session,
    statement: &Statement,
    name: &str,
) -> Result<(), Trouble> {
    if look::verdict(session, statement).await? != Verdict::Unfinished {
        return Ok(());
    }
    let name = session.dialect().quoted(name);
    session
        .run(&format!("DROP INDEX CONCURRENTLY {name}"))
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_fit_into_what_the_gate_waits_and_end() {
        let of = |ms, attempts, number| {
            tries(LockPatience::new(Some(ms), Some(attempts)).unwrap(), number)
        };
        // The default: 10 tries of 3 s and their pauses are one act.
        assert_eq!(of(3_000, 10, 1), (10, false));
        assert_eq!(of(60_000, 3, 1), (1, true));
        assert_eq!(of(60_000, 3, 2), (1, true));
        assert_eq!(of(60_000, 3, 3), (1, false));
        // Resumed: as many again.
        assert_eq!(of(60_000, 3, 4), (1, true));
        assert_eq!(of(100, 1, 1), (1, false));
        assert_eq!(of(100, 100, 1), (54, true));
        assert_eq!(of(100, 100, 2), (54, false));
    }
}
