//! What is to be seen of statements: before they are sent, and after.

use liftlock_types::sql::{Dialect, Statement};
use liftlock_types::{Probed, Progress, ReadError};
use serde_json::{Value, json};

use crate::connection::Session;
use crate::judge::{Verdict, judge};
use crate::trouble::Trouble;
use crate::{look, marker, sessions};

/// Nothing can be counted.
pub(crate) fn progress(note: &str) -> Progress {
    Progress {
        done: 0,
        total: 0,
        unit: String::new(),
        note: note.to_owned(),
    }
}

/// Is the effect of all of them there before anything is sent? Refuses what could not become it.
pub(crate) async fn before(
    session: &mut Session,
    statements: &[&Statement],
) -> Result<Result<(bool, Value), ReadError>, Trouble> {
    let mut applied = 0;
    let mut absent = None;
    let mut made: Vec<&str> = Vec::new();
    for statement in statements {
        let found = look::find(session, statement).await?;
        if let Some(table) = look::missing_table(statement, &found)
            && !made.contains(&table)
        {
            return Ok(Err(ReadError::NotFound(format!("the table `{table}`"))));
        }
        made.extend(statement.names());
        let why = match judge(statement.dialect(), statement.shape(), &found) {
            Verdict::Applied => {
                applied += 1;
                continue;
            }
            Verdict::Absent | Verdict::Unfinished => {
                absent = Some(statement.text());
                continue;
            }
            Verdict::Part(why) | Verdict::Other(why) => why,
        };
        return Ok(Err(ReadError::Invalid(format!(
            "`{}` cannot be done: {why}",
            statement.text()
        ))));
    }
    match absent {
        Some(text) if applied > 0 => Ok(Err(ReadError::Invalid(format!(
            "{applied} of {} statements are done already, and `{text}` is not: `execute` them one by one",
            statements.len()
        )))),
        absent => Ok(Ok((
            absent.is_none(),
            json!({ "there": applied, "of": statements.len() }),
        ))),
    }
}

/// What became of them.
pub(crate) async fn probe(
    session: &mut Session,
    statements: &[&Statement],
    is_together: bool,
    token: &str,
    answered: bool,
) -> Result<Probed, Trouble> {
    // Who is at work comes first: what it has not done yet is no evidence.
    let at_work = sessions::of_attempt(session, token).await?;
    if let Some(id) = at_work.first() {
        return Ok(Probed::InProgress(build_progress(session, *id).await?));
    }
    let is_marked = is_together && marker::is_there(session, token).await?;
    let mut seen = Vec::new();
    let (mut applied, mut others, mut parts) = (0, 0, 0);
    for statement in statements {
        let verdict = look::verdict(session, statement).await?;
        let word = match &verdict {
            Verdict::Applied => {
                applied += 1;
                "there"
            }
            Verdict::Absent => "not there",
            Verdict::Unfinished => {
                parts += 1;
                "the index is there and not valid"
            }
            Verdict::Part(why) => {
                parts += 1;
                why
            }
            Verdict::Other(why) => {
                others += 1;
                why
            }
        };
        seen.push(json!({ "statement": statement.text(), "seen": word }));
    }
    let mut evidence = json!({ "statements": seen });
    if is_together {
        evidence["marker"] = is_marked.into();
    }
    Ok(if applied == statements.len() {
        Probed::Applied {
            evidence,
            ours: is_marked || answered,
        }
    } else if others > 0 || is_marked {
        Probed::Indeterminate(evidence)
    } else if applied > 0 || parts > 0 {
        Probed::Partial(evidence)
    } else {
        Probed::Absent(evidence)
    })
}

/// How far a session of ours is, where it builds an index on PostgreSQL.
async fn build_progress(session: &mut Session, id: u64) -> Result<Progress, Trouble> {
    let note = format!("session {id} of the server works on it");
    if session.dialect() != Dialect::Postgresql {
        return Ok(progress(&note));
    }
    let text = format!(
        "SELECT blocks_done, blocks_total, phase FROM pg_stat_progress_create_index WHERE pid = {id}"
    );
    let rows = session.rows(&text).await?.rows;
    let Some(row) = rows.into_iter().next() else {
        return Ok(progress(&note));
    };
    let at = |n: usize| row.get(n).cloned().flatten().unwrap_or_default();
    Ok(Progress {
        done: at(0).parse().unwrap_or(0),
        total: at(1).parse().unwrap_or(0),
        unit: "blocks".into(),
        note: format!("{note}: {}", at(2)),
    })
}
