//! Ends one session that is still the one that was seen.

use liftlock_types::Acted;
use liftlock_types::facts::database::Session as Seen;
use liftlock_types::sql::Dialect;
use serde_json::json;

use crate::connection::{Place, Purpose, Session};
use crate::trouble::Trouble;
use crate::{literal, sessions};

/// How long the server may take to look, milliseconds; nothing here waits for a lock of a table.
const LOCK_MS: u32 = 3_000;

/// The session of this number, if it is the one that began so.
pub(crate) async fn find(
    session: &mut Session,
    id: u64,
    started: &str,
) -> Result<Option<Seen>, Trouble> {
    let all = sessions::sessions(session).await?;
    Ok(all
        .into_iter()
        .find(|seen| seen.id == id && seen.started == started))
}

fn refused(kind: &str, text: &str) -> Acted {
    Acted::Refused {
        status: 0,
        kind: kind.into(),
        text: text.into(),
        later: false,
    }
}

/// Ends it. Gone already is an answer.
pub(crate) async fn act(
    place: &Place,
    token: &str,
    id: u64,
    application: &str,
    started: &str,
) -> Acted {
    if application.starts_with(sessions::OURS) {
        return refused(
            "ours",
            "it is a session of a run of Liftlock: its own run ends it",
        );
    }
    if started.is_empty() {
        return refused(
            "unseen",
            "this role may not see when it began, so that it could be another one by now",
        );
    }
    let mut session = match place
        .session(&sessions::name_of(token), Purpose::Change(LOCK_MS))
        .await
    {
        Ok(session) => session,
        Err(trouble) => return trouble.into_acted(false),
    };
    let ended = end(&mut session, id, application, started).await;
    session.close().await;
    match ended {
        Ok(was_there) => Acted::Answered(json!({ "was_there": was_there })),
        Err(trouble) => trouble.into_acted(true),
    }
}

async fn end(
    session: &mut Session,
    id: u64,
    application: &str,
    started: &str,
) -> Result<bool, Trouble> {
    if session.dialect() == Dialect::Postgresql {
        // One look and one end, so that no later session of this number is met.
        let text = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = {id} AND application_name = {} \
             AND (extract(epoch FROM backend_start) * 1000000)::bigint::text = {}",
            literal::text(application),
            literal::text(started)
        );
        return Ok(!session.rows(&text).await?.rows.is_empty());
    }
    match find(session, id, started).await? {
        Some(seen) if seen.application == application => {}
        _ => return Ok(false),
    }
    // The server gives a number once while it runs.
    match session.run(&format!("KILL CONNECTION {id}")).await {
        Err(trouble) if trouble.is(&["1094"]) => Ok(false),
        Err(trouble) => Err(trouble),
        Ok(()) => Ok(true),
    }
}
