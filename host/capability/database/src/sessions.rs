//! Who is connected, who waits for whom, and which of them are ours.

use liftlock_types::Digest;
use liftlock_types::facts::database::Session as Seen;
use liftlock_types::sql::Dialect;

use crate::connection::{Session, comment};
use crate::literal;
use crate::trouble::Trouble;

/// What every session of ours begins its name with. MySQL and MariaDB keep no name: there each statement of ours begins
/// with a comment that holds it.
pub(crate) const OURS: &str = "liftlock";

/// Longest name that PostgreSQL keeps, bytes.
const NAME_BYTES_MAX: usize = 63;

const PG: &str = "SELECT pid, coalesce(usename, ''), application_name, coalesce(host(client_addr), 'local'), \
    coalesce(state, ''), (extract(epoch FROM clock_timestamp() - xact_start) * 1000)::bigint, \
    CASE WHEN state = 'active' THEN (extract(epoch FROM clock_timestamp() - query_start) * 1000)::bigint END, \
    CASE WHEN state = 'active' AND wait_event_type IS NOT NULL THEN wait_event_type || ': ' || wait_event END, \
    array_to_string(pg_blocking_pids(pid), ','), coalesce((extract(epoch FROM backend_start) * 1000000)::bigint::text, '') \
    FROM pg_stat_activity \
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY 1";

/// Transactions are seen with the right `PROCESS` only; `{trx}` is left out without it.
const MY: &str = "SELECT p.ID, p.USER, p.USER, SUBSTRING_INDEX(p.HOST, ':', 1), \
    CASE WHEN p.COMMAND <> 'Sleep' THEN 'active' {idle} ELSE 'idle' END, {began}, \
    CASE WHEN p.COMMAND <> 'Sleep' THEN p.TIME * 1000 END, \
    CASE WHEN p.STATE LIKE 'Waiting for %' THEN p.STATE END, '', p.HOST, COALESCE(p.INFO, '') \
    FROM information_schema.PROCESSLIST p {trx} WHERE p.DB = DATABASE() AND p.ID <> CONNECTION_ID() ORDER BY 1";

/// The name of a session that works for an attempt: its token, or as much of it as the server keeps and its hash.
pub(crate) fn name_of(token: &str) -> String {
    if token.len() <= NAME_BYTES_MAX {
        return token.to_owned();
    }
    let hash = Digest::of(token.as_bytes()).to_string();
    let hash: String = hash
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect();
    let begin: String = token
        .chars()
        .filter(char::is_ascii)
        .take(NAME_BYTES_MAX - 17)
        .collect();
    format!("{begin}-{hash}")
}

pub(crate) async fn sessions(session: &mut Session) -> Result<Vec<Seen>, Trouble> {
    let rows = match session.dialect() {
        Dialect::Postgresql => session.rows(PG).await?.rows,
        Dialect::Mysql => {
            let with = MY
                .replace(
                    "{idle}",
                    "WHEN t.trx_id IS NOT NULL THEN 'idle in transaction'",
                )
                .replace(
                    "{began}",
                    "TIMESTAMPDIFF(MICROSECOND, t.trx_started, NOW(6)) DIV 1000",
                )
                .replace(
                    "{trx}",
                    "LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID",
                );
            match session.rows(&with).await {
                Err(trouble) if trouble.is(&["1227"]) => {
                    let without = MY
                        .replace("{idle}", "")
                        .replace("{began}", "NULL")
                        .replace("{trx}", "");
                    session.rows(&without).await?.rows
                }
                table => table?.rows,
            }
        }
    };
    Ok(rows.into_iter().map(seen).collect())
}

fn seen(row: Vec<Option<String>>) -> Seen {
    let at = |index: usize| row.get(index).cloned().flatten();
    let text = |index: usize| at(index).unwrap_or_default();
    let number = |index: usize| at(index).and_then(|text| text.parse().ok());
    Seen {
        id: number(0).unwrap_or(0),
        user: text(1),
        ours: text(2).starts_with(OURS) || text(10).starts_with(&format!("/* {OURS}")),
        application: text(2),
        address: text(3),
        state: text(4),
        transaction_ms: number(5),
        statement_ms: number(6),
        waits_for: at(7),
        blocked_by: text(8)
            .split(',')
            .filter_map(|id| id.parse().ok())
            .collect(),
        started: text(9),
    }
}

/// Numbers of the sessions that work for this attempt. An idle one waits for its client and does nothing any more.
pub(crate) async fn of_attempt(session: &mut Session, token: &str) -> Result<Vec<u64>, Trouble> {
    let name = name_of(token);
    let text = match session.dialect() {
        Dialect::Postgresql => format!(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = {} \
             AND state IS DISTINCT FROM 'idle' AND pid <> pg_backend_pid()",
            literal::text(&name)
        ),
        Dialect::Mysql => format!(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE LEFT(INFO, {length}) = {comment} \
             AND COMMAND <> 'Sleep' AND ID <> CONNECTION_ID()",
            length = comment(&name).len(),
            comment = literal::text(&comment(&name)),
        ),
    };
    let rows = session.rows(&text).await?.rows;
    Ok(rows
        .into_iter()
        .filter_map(|row| row.into_iter().next()??.parse().ok())
        .collect())
}

/// Who holds a lock on one of these tables, for people: `1234 (orders, idle in transaction)`. Only PostgreSQL says it.
pub(crate) async fn holders(
    session: &mut Session,
    tables: &[&str],
) -> Result<Vec<String>, Trouble> {
    if session.dialect() != Dialect::Postgresql {
        return Ok(Vec::new());
    }
    let names: Vec<String> = tables.iter().map(|name| literal::text(name)).collect();
    let text = format!(
        "SELECT DISTINCT a.pid || ' (' || a.application_name || ', ' || coalesce(a.state, 'unknown') || ')' \
         FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid JOIN pg_class c ON c.oid = l.relation \
         WHERE l.granted AND c.relname IN ({}) AND c.relnamespace = current_schema()::regnamespace \
         AND a.pid <> pg_backend_pid() ORDER BY 1 LIMIT 5",
        names.join(", ")
    );
    let rows = session.rows(&text).await?.rows;
    Ok(rows
        .into_iter()
        .filter_map(|row| row.into_iter().next()?)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_token_keeps_its_beginning_and_stays_itself() {
        assert_eq!(name_of("liftlock-r-s-1"), "liftlock-r-s-1");
        let long = |end: &str| name_of(&format!("liftlock-{}-{end}", "x".repeat(80)));
        assert_eq!(long("1").len(), NAME_BYTES_MAX);
        assert!(long("1").starts_with("liftlock-xxx"));
        assert_ne!(long("1"), long("2"));
    }
}
